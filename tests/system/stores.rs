//! Stores: one conformance suite that runs on every kind of them, and what is each kind's own.

#![allow(clippy::unwrap_used, reason = "everything here is test code, its helpers too")]

mod conformance;
mod faults;
mod local;
mod locks;
pub(crate) mod proxy;
mod rig;
mod s3_checksum;
mod s3_faults;
mod s3_service;

/// One test per promise of the contract, on the store that `$rig` opens.
macro_rules! conforms {
    ($module:ident, $rig:expr, [$($promise:ident),* $(,)?]) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    let rig = $rig.await;
                    super::conformance::$promise(&rig).await;
                    rig.close().await;
                }
            )*
        }
    };
    ($module:ident, $rig:expr) => {
        conforms!($module, $rig, [
            a_store_that_is_there_can_be_probed,
            what_was_written_is_read_back,
            an_empty_object_is_an_object,
            every_size_around_a_part_boundary_is_stored_whole,
            a_wrong_guess_of_the_size_harms_nothing,
            nothing_is_visible_before_completion,
            an_existing_object_is_never_replaced,
            of_two_uploads_of_one_key_exactly_one_wins,
            a_review_that_disagrees_stores_nothing,
            an_aborted_upload_leaves_nothing,
            a_dropped_upload_leaves_nothing_visible,
            ranges_are_exact_or_an_error,
            another_version_is_not_read,
            a_key_that_is_not_there_is_told,
            deleting_takes_exactly_one_key_and_twice_is_no_error,
            a_listing_is_sorted_and_bounded_by_its_prefix,
            odd_keys_come_back_as_they_were,
            notes_stand_beside_an_object_and_go_with_it,
            a_hold_is_told_until_it_is_released_and_changes_nothing_else,
        ]);
    };
}

conforms!(memory, super::rig::memory());
conforms!(local_directory, super::rig::local());
conforms!(s3, super::rig::s3());
conforms!(s3_below_a_prefix, super::rig::s3_below_a_prefix());
conforms!(aws, super::rig::aws());
