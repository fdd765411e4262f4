//! How an upload of unknown length is cut into parts.
//!
//! S3 takes 10,000 parts of 5 MiB to 5 GiB each. Parts of one small size would end at tens of gigabytes, parts of one
//! large size would need gigabytes of memory for every small archive. So the first parts are alike and small (a few
//! stores, R2 among them, want equal parts, and ordinary archives stay among these), and the later ones grow
//! geometrically, just fast enough that 10,000 of them hold 5 TiB. A guess of the length moves the start: an archive
//! that is no longer than a quarter more than its guess is cut into equal parts.
//!
//! Limits: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>, and for equal parts
//! <https://developers.cloudflare.com/r2/objects/multipart-objects/>.

const MIB: u64 = 1 << 20;

/// The smallest part that S3 takes, other than the last.
pub(crate) const SMALLEST: u64 = 5 * MIB;

/// The largest part that S3 takes; also the most that one PutObject takes.
pub(crate) const LARGEST: u64 = 5 << 30;

/// Parts of one upload, at most.
pub(crate) const MOST: u32 = 10_000;

/// What must always fit: the longest object of S3 for most of its life and of most stores like it.
const MUST_FIT: u64 = 5 << 40;

/// Equal parts at the start, at least and at most.
const EQUAL: (u64, u64) = (1000, 7500);

/// The sizes of all parts of one upload.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Parts {
    first: u64,
    equal: u32,
    growth: f64,
}

impl Parts {
    /// Sizes for an upload whose first parts should have `first_part_bytes`, of perhaps `expected_bytes`.
    pub(crate) fn plan(first_part_bytes: u64, expected_bytes: Option<u64>) -> Self {
        let expected = expected_bytes.unwrap_or(0).min(MUST_FIT);
        // 6,000 parts for the guess leave 4,000 for how wrong it is.
        let first = first_part_bytes.max(expected / 6000).clamp(SMALLEST, LARGEST).next_multiple_of(MIB);
        let equal = (expected + expected / 4).div_ceil(first).clamp(EQUAL.0, EQUAL.1) as u32;
        let mut parts = Self { first, equal, growth: 1.0 };
        // The slowest growth that is fast enough, by halving; the upper end reaches 5 GiB within a few parts.
        let (mut slow, mut fast) = (1.0, 2.0);
        while parts.capacity() < MUST_FIT && fast - slow > 1e-7 {
            let middle = f64::midpoint(slow, fast);
            let tried = Self { growth: middle, ..parts };
            if tried.capacity() < MUST_FIT { slow = middle } else { fast = middle }
        }
        if parts.capacity() < MUST_FIT {
            parts.growth = fast;
        }
        parts
    }

    /// Bytes of part `number`; the first is 1.
    pub(crate) fn size(&self, number: u32) -> u64 {
        let grown = number.saturating_sub(self.equal);
        if grown == 0 || self.growth == 1.0 {
            return self.first;
        }
        let size = (self.first as f64 * self.growth.powi(grown as i32)).min(LARGEST as f64);
        (size as u64).next_multiple_of(MIB).min(LARGEST)
    }

    /// Bytes of all parts together.
    pub(crate) fn capacity(&self) -> u64 {
        (1..=MOST).map(|number| self.size(number)).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_plan_keeps_the_limits_and_holds_five_tebibytes(
            first in 0..=2 * LARGEST,
            expected in prop_oneof![Just(None), (0..u64::MAX).prop_map(Some), (0..=MUST_FIT).prop_map(Some)],
        ) {
            let parts = Parts::plan(first, expected);
            let sizes: Vec<u64> = (1..=MOST).map(|number| parts.size(number)).collect();
            prop_assert!(sizes.iter().all(|size| (SMALLEST..=LARGEST).contains(size)));
            prop_assert!(sizes.is_sorted());
            prop_assert!(sizes.iter().sum::<u64>() >= MUST_FIT);
            prop_assert!(sizes[0] >= first.min(LARGEST));
        }

        #[test]
        fn an_archive_near_its_guess_is_cut_into_equal_parts(expected in 0..=4u64 << 40, percent in 0..=125u64) {
            let parts = Parts::plan(SMALLEST, Some(expected));
            let needed = (expected / 100 * percent).div_ceil(parts.size(1)) as u32;
            prop_assert!(needed <= MOST);
            prop_assert_eq!(parts.size(needed.max(1)), parts.size(1));
        }

        #[test]
        fn a_part_is_never_much_larger_than_what_went_before_needs(first in SMALLEST..=64 * MIB) {
            // Memory follows the part size: without a guess, a part is at most 0.15 % of the bytes before it.
            let parts = Parts::plan(first, None);
            let mut before = 0;
            for number in 1..=MOST {
                let size = parts.size(number);
                prop_assert!(size <= parts.size(1) + before / 600 + MIB, "part {number}: {size} after {before}");
                before += size;
            }
        }
    }

    #[test]
    fn the_default_is_eight_mebibytes_for_the_first_eight_gigabytes() {
        let parts = Parts::plan(8 * MIB, None);
        assert_eq!(parts.size(1), 8 * MIB);
        assert_eq!(parts.size(1000), 8 * MIB);
        assert!(parts.size(1100) > 8 * MIB);
    }

    #[test]
    fn a_terabyte_that_was_expected_needs_parts_of_the_size_that_ten_thousand_would_have() {
        assert_eq!(Parts::plan(8 * MIB, Some(1 << 40)).size(7000), 175 * MIB);
    }
}
