//! Versions: what a delete really frees, what is stored beyond what a listing shows, and when S3 forgets it.
//!
//! In a versioned bucket a plain DELETE adds a marker and frees nothing; the answer says so. Deleting by version frees the
//! bytes at once, and takes every version of the key, the newest last: an older one would otherwise come back to light.
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeletingObjectVersions.html>

use aws_sdk_s3::types::{ExpirationStatus, LifecycleRule, LifecycleRuleFilter};
use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::super::{Hidden, Removed};
use super::S3Store;
use super::fault::Fault;
use crate::Result;

/// One version of an object, or a marker.
struct Version {
    key: String,
    id: String,
    size: u64,
    latest: bool,
    marker: bool,
}

/// Deletes a key as every store does; says whether a marker was all that came of it.
pub(super) async fn hide(store: &S3Store, key: &str) -> Result<Removed> {
    let delete = store.client().delete_object().bucket(store.bucket()).key(store.full(key));
    match delete.send().await.map_err(Fault::of) {
        Ok(answer) if answer.delete_marker == Some(true) => Ok(Removed::Hidden),
        Ok(_) => Ok(Removed::Freed),
        Err(fault) if fault.status == Some(404) && !fault.is("NoSuchBucket") => Ok(Removed::Freed),
        Err(fault) => Err(fault.error(store.place(), &format!("delete {key:?}"), "s3:DeleteObject")),
    }
}

/// Deletes every version of a key, and its markers; a store that knows no versions deletes the key.
pub(super) async fn destroy(store: &S3Store, key: &str) -> Result<Removed> {
    let full = store.full(key);
    let Some(mut versions) = list(store, &full).await? else { return hide(store, key).await };
    versions.retain(|version| version.key == full);
    // Markers last, the version that is seen before them, so that whatever is interrupted, nothing old comes to light.
    versions.sort_by_key(|version| (version.marker, version.latest));
    for version in versions {
        let delete = store.client().delete_object().bucket(store.bucket()).key(&full).version_id(&version.id);
        match delete.send().await.map_err(Fault::of) {
            Ok(_) => {}
            Err(fault) if fault.status == Some(404) && !fault.is("NoSuchBucket") => {}
            Err(fault) => {
                let doing = format!("delete version {:?} of {key:?}", version.id);
                return Err(fault.error(store.place(), &doing, "s3:DeleteObjectVersion"));
            }
        }
    }
    Ok(Removed::Freed)
}

/// What is stored under a prefix and not listed: old versions, and parts of uploads that were never completed.
pub(super) async fn hidden(store: &S3Store, prefix: &str) -> Result<Hidden> {
    let full = store.full(prefix);
    let mut hidden = Hidden::default();
    for version in list(store, &full).await?.unwrap_or_default() {
        if !version.latest && !version.marker {
            hidden.versions += 1;
            hidden.version_bytes = hidden.version_bytes.saturating_add(version.size);
        }
    }
    for (key, id, _) in store.uploads(&full).await? {
        hidden.uploads += 1;
        hidden.upload_bytes = hidden.upload_bytes.saturating_add(parts(store, &key, &id).await?);
    }
    Ok(hidden)
}

/// Bytes of the parts of an upload; one that ended meanwhile has none.
async fn parts(store: &S3Store, key: &str, id: &str) -> Result<u64> {
    let mut bytes = 0_u64;
    let mut marker: Option<String> = None;
    loop {
        let list = store.client().list_parts().bucket(store.bucket()).key(key).upload_id(id);
        let page = match list.set_part_number_marker(marker.clone()).send().await.map_err(Fault::of) {
            Ok(page) => page,
            Err(fault) if fault.is_unknown_request() => return Ok(bytes),
            Err(fault) if fault.status == Some(404) && !fault.is("NoSuchBucket") => return Ok(0),
            Err(fault) => {
                let doing = format!("list the parts of {key:?}");
                return Err(fault.error(store.place(), &doing, "s3:ListMultipartUploadParts"));
            }
        };
        let sizes = page.parts().iter().filter_map(|part| u64::try_from(part.size()?).ok());
        bytes = sizes.fold(bytes, u64::saturating_add);
        let next = page.next_part_number_marker;
        if page.is_truncated != Some(true) || next.is_none() || next == marker {
            return Ok(bytes);
        }
        marker = next;
    }
}

/// All versions and markers under a full prefix, to the last page; `None`: the store knows no versions.
async fn list(store: &S3Store, full: &str) -> Result<Option<Vec<Version>>> {
    let mut versions = Vec::new();
    let (mut key_marker, mut id_marker): (Option<String>, Option<String>) = (None, None);
    loop {
        let list = store.client().list_object_versions().bucket(store.bucket()).prefix(full);
        let list = list.set_key_marker(key_marker.clone()).set_version_id_marker(id_marker.clone());
        let page = match list.send().await.map_err(Fault::of) {
            Ok(page) => page,
            Err(fault) if fault.is_unknown_request() => return Ok(None),
            Err(fault) => {
                return Err(fault.error(store.place(), "list the versions of objects", "s3:ListBucketVersions"));
            }
        };
        for found in page.versions() {
            let (Some(key), Some(id)) = (found.key(), found.version_id()) else { continue };
            versions.push(Version {
                key: key.to_owned(),
                id: id.to_owned(),
                size: found.size().and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
                latest: found.is_latest() == Some(true),
                marker: false,
            });
        }
        for found in page.delete_markers() {
            let (Some(key), Some(id)) = (found.key(), found.version_id()) else { continue };
            let latest = found.is_latest() == Some(true);
            versions.push(Version { key: key.to_owned(), id: id.to_owned(), size: 0, latest, marker: true });
        }
        let next = (page.next_key_marker, page.next_version_id_marker);
        if page.is_truncated != Some(true) || next.0.is_none() || next == (key_marker, id_marker) {
            return Ok(Some(versions));
        }
        (key_marker, id_marker) = next;
    }
}

/// When the bucket's lifecycle rules remove what is hidden at `hidden_at`; `None`: no rule does.
pub(super) async fn forgotten(store: &S3Store, prefix: &str, hidden_at: Timestamp) -> Result<Option<Timestamp>> {
    let get = store.client().get_bucket_lifecycle_configuration().bucket(store.bucket());
    let rules = match get.send().await.map_err(Fault::of) {
        Ok(found) => found.rules.unwrap_or_default(),
        Err(fault) if fault.is("NoSuchLifecycleConfiguration") || fault.is_unknown_request() => Vec::new(),
        Err(fault) => {
            return Err(fault.error(store.place(), "read the lifecycle rules", "s3:GetLifecycleConfiguration"));
        }
    };
    let full = store.full(prefix);
    let days = rules.iter().filter_map(|rule| days(rule, &full)).min();
    Ok(days.and_then(|days| expiry(hidden_at, days)))
}

/// After how many days a rule removes old versions of every key under `full`; `None`: it does not, or not for certain.
fn days(rule: &LifecycleRule, full: &str) -> Option<i32> {
    let expires = rule.noncurrent_version_expiration.as_ref()?;
    if rule.status != ExpirationStatus::Enabled || expires.newer_noncurrent_versions.is_some() {
        return None;
    }
    // Rules by tag or size may or may not take a backup.
    let LifecycleRuleFilter { prefix: filter, tag, object_size_greater_than, object_size_less_than, and, .. } =
        rule.filter.clone().unwrap_or_else(|| LifecycleRuleFilter::builder().build());
    let narrow =
        tag.is_some() || object_size_greater_than.is_some() || object_size_less_than.is_some() || and.is_some();
    #[expect(deprecated, reason = "old rules have their prefix here, and S3 still heeds it")]
    let prefix = filter.or_else(|| rule.prefix.clone()).unwrap_or_default();
    (!narrow && full.starts_with(&prefix)).then_some(expires.noncurrent_days?)
}

/// S3 counts from the moment that a version became noncurrent, rounded up to the next midnight UTC.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html>
fn expiry(hidden_at: Timestamp, days: i32) -> Option<Timestamp> {
    let exact = hidden_at.checked_add(SignedDuration::from_hours(24 * i64::from(days))).ok()?;
    let at = TimeZone::UTC.to_datetime(exact);
    let midnight = at.date().to_datetime(Time::midnight());
    let midnight = if at == midnight { midnight } else { midnight.checked_add(jiff::Span::new().days(1)).ok()? };
    TimeZone::UTC.to_timestamp(midnight).ok()
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::types::{LifecycleRuleAndOperator, NoncurrentVersionExpiration, Tag};

    use super::*;

    fn rule(status: ExpirationStatus, days: i32, filter: LifecycleRuleFilter) -> LifecycleRule {
        let expires = NoncurrentVersionExpiration::builder().noncurrent_days(days).build();
        let rule = LifecycleRule::builder().status(status).noncurrent_version_expiration(expires).filter(filter);
        rule.build().unwrap()
    }

    #[test]
    fn only_a_rule_that_surely_takes_the_backups_is_believed() {
        let by = LifecycleRuleFilter::builder;
        let tag = Tag::builder().key("a").value("b").build().unwrap();
        let and = LifecycleRuleAndOperator::builder().prefix("clinic/").object_size_greater_than(1).build();
        let on = ExpirationStatus::Enabled;
        for (rule, expected) in [
            (rule(on.clone(), 30, by().prefix("").build()), Some(30)),
            (rule(on.clone(), 30, by().build()), Some(30)),
            (rule(on.clone(), 7, by().prefix("clinic").build()), Some(7)),
            (rule(on.clone(), 7, by().prefix("clinic/2024").build()), None),
            (rule(on.clone(), 7, by().prefix("other/").build()), None),
            (rule(on.clone(), 7, by().tag(tag).build()), None),
            (rule(on, 7, by().and(and).build()), None),
            (rule(ExpirationStatus::Disabled, 7, by().prefix("").build()), None),
        ] {
            assert_eq!(days(&rule, "clinic/"), expected, "{rule:?}");
        }
        let mut keeps_some = rule(ExpirationStatus::Enabled, 7, by().build());
        keeps_some.noncurrent_version_expiration =
            Some(NoncurrentVersionExpiration::builder().noncurrent_days(7).newer_noncurrent_versions(2).build());
        assert_eq!(days(&keeps_some, "clinic/"), None);
    }

    #[test]
    fn a_version_goes_at_the_midnight_after_its_days() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        for (hidden, days, gone) in [
            ("2026-01-15T10:30:00Z", 3, "2026-01-19T00:00:00Z"),
            ("2026-01-15T00:00:00Z", 1, "2026-01-16T00:00:00Z"),
            ("2026-01-15T00:00:00.1Z", 1, "2026-01-17T00:00:00Z"),
        ] {
            assert_eq!(expiry(at(hidden), days), Some(at(gone)));
        }
        assert_eq!(expiry(Timestamp::MAX, 1), None);
    }
}
