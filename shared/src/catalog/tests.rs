use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::Error;
use crate::store::Upload;

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn a_key_is_name_prefix_and_date_in_the_zone() {
    let date = at("2024-01-15T02:00:00.999Z");
    assert_eq!(BackupKey::new("clinic", "", date, &TimeZone::UTC).path(), "clinic/2024-01-15-02-00-00.zip");
    assert_eq!(
        BackupKey::new("clinic", "full-", date, &zone("America/New_York")).path(),
        "clinic/full-2024-01-14-21-00-00.zip"
    );
    assert_eq!(BackupKey::new("clinic", "", date, &TimeZone::UTC).date(), at("2024-01-15T02:00:00Z"));
}

#[test]
fn what_is_not_exactly_a_key_is_foreign() {
    let parse = |key: &str| BackupKey::parse("clinic", "", key, &TimeZone::UTC).map(|key| key.date());
    assert_eq!(parse("clinic/2024-02-29-23-59-59.zip"), Some(at("2024-02-29T23:59:59Z")));
    for key in [
        "clinic/2023-02-29-00-00-00.zip",      // no leap year
        "clinic/2024-01-15-24-00-00.zip",      // no hour 24
        "clinic/2024-01-15-02-00-60.zip",      // no leap seconds
        "clinic/2024-13-01-02-00-00.zip",      // no month 13
        "clinic/2024-01-15-02-00-00.ZIP",      // another case
        "clinic/2024-01-15-02-00-00.zip.part", // more behind it
        "clinic/2024-01-15-02-00-00",
        "clinic/2024-1-15-02-00-00.zip",
        "clinic/2024-01-15 02:00:00.zip",
        "clinic/+024-01-15-02-00-00.zip",
        "clinic/２024-01-15-02-00.zip", // a full-width digit, 19 bytes in all
        "clinic/old/2024-01-15-02-00-00.zip",
        "clinic//2024-01-15-02-00-00.zip",
        "clinic/full-2024-01-15-02-00-00.zip",
        "clinics/2024-01-15-02-00-00.zip",
        "clinic2024-01-15-02-00-00.zip",
        "2024-01-15-02-00-00.zip",
        "clinic/",
        "",
    ] {
        assert_eq!(parse(key), None, "{key}");
    }
    assert!(BackupKey::parse("clinic", "full-", "clinic/2024-01-15-02-00-00.zip", &TimeZone::UTC).is_none());
}

#[test]
fn the_two_moments_of_a_repeated_hour_share_a_key_that_stands_for_the_first() {
    let berlin = zone("Europe/Berlin");
    let (first, second) = (at("2026-10-25T00:30:00Z"), at("2026-10-25T01:30:00Z"));
    let key = |date| BackupKey::new("clinic", "", date, &berlin);
    assert_eq!(key(first).path(), "clinic/2026-10-25-02-30-00.zip");
    assert_eq!(key(first).path(), key(second).path());
    assert_eq!(key(second).date(), second);
    assert_eq!(BackupKey::parse("clinic", "", &key(second).path(), &berlin).unwrap().date(), first);
}

#[test]
fn a_skipped_local_time_is_dated_an_hour_later_and_keeps_its_key() {
    let key = "clinic/2026-03-29-02-30-00.zip";
    let parsed = BackupKey::parse("clinic", "", key, &zone("Europe/Berlin")).unwrap();
    assert_eq!(parsed.date(), at("2026-03-29T01:30:00Z"));
    assert_eq!(parsed.path(), key);
}

proptest! {
    #[test]
    fn every_moment_comes_back_from_its_key_unless_its_hour_is_repeated(
        second in -62_000_000_000_i64..253_000_000_000,
        nanosecond in 0..1_000_000_000_i32,
        name in "[A-Za-z0-9._-]{1,12}",
        prefix in "[A-Za-z0-9._-]{0,6}",
        zone_name in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia"]),
    ) {
        let zone = zone(zone_name);
        let date = Timestamp::new(second, nanosecond).unwrap();
        let key = BackupKey::new(&name, &prefix, date, &zone);
        prop_assert_eq!(key.date(), Timestamp::from_second(second).unwrap());
        let read = BackupKey::parse(&name, &prefix, &key.path(), &zone).unwrap();
        prop_assert_eq!(read.path(), key.path());
        if zone.to_ambiguous_timestamp(zone.to_datetime(key.date())).is_ambiguous() {
            prop_assert!(read.date() <= key.date());
        } else {
            prop_assert_eq!(read, key);
        }
    }

    #[test]
    fn what_parses_is_what_was_listed(key in "clinic/[0-9]{4}-[0-9]{2}-[0-3][0-9]-[0-2][0-9]-[0-6][0-9]-[0-6][0-9].zip") {
        if let Some(parsed) = BackupKey::parse("clinic", "", &key, &zone("Europe/Berlin")) {
            prop_assert_eq!(parsed.path(), key);
        }
    }
}

/// A store that can only list, and remembers with which prefix.
#[derive(Debug)]
struct Listing {
    keys: Vec<(&'static str, u64)>,
}

#[async_trait]
impl Store for Listing {
    fn disk(&self) -> &str {
        "listing"
    }
    async fn list(&self, prefix: &str) -> Result<Vec<Object>> {
        let of =
            |&(key, size): &(&str, u64)| Object { key: key.into(), size, modified: Timestamp::UNIX_EPOCH, etag: None };
        Ok(self.keys.iter().filter(|(key, _)| key.starts_with(prefix)).map(of).collect())
    }
    async fn probe(&self) -> Result<()> {
        Err(Error::bug("not asked for"))
    }
    async fn head(&self, _: &str) -> Result<Option<Object>> {
        Err(Error::bug("not asked for"))
    }
    async fn read(&self, _: &str, _: Range<u64>, _: Option<&str>) -> Result<Bytes> {
        Err(Error::bug("not asked for"))
    }
    async fn create(&self, _: &str, _: Option<u64>) -> Result<Box<dyn Upload>> {
        Err(Error::bug("not asked for"))
    }
    async fn delete(&self, _: &str) -> Result<()> {
        Err(Error::bug("not asked for"))
    }
    async fn abort_stale(&self, _: &str, _: Timestamp) -> Result<u64> {
        Err(Error::bug("not asked for"))
    }
}

#[tokio::test]
async fn a_catalog_is_newest_first_tells_foreign_objects_and_sees_no_neighbour() {
    let store = Listing {
        keys: vec![
            ("clinic/", 0),
            ("clinic/2024-01-14-02-00-00.zip", 10),
            ("clinic/2024-01-16-02-00-00.zip", 12),
            ("clinic/2024-01-15-02-00-00.zip", 11),
            ("clinic/2024-01-17-02-00-00.zip", 0), // empty: no archive, must not pass for the newest
            ("clinic/backup-2020-01-01.zip", 3),
            ("clinic/sub/2024-01-18-02-00-00.zip", 3),
            ("clinic/audit/00000001.json", 3), // a record of the trail is neither a backup nor foreign
            ("clinic/audit/2024-01-18-02-00-00.zip", 3), // and nothing else in its folder is one
            ("audit/2024-01-18-02-00-00.zip", 3), // the neighbour with the name of the folder
            ("clinics/2024-01-18-02-00-00.zip", 3), // a neighbour whose name starts alike
        ],
    };
    let catalog = read(&store, "clinic", "", &TimeZone::UTC).await.unwrap();
    let keys: Vec<_> = catalog.backups.iter().map(|backup| backup.object.key.as_str()).collect();
    assert_eq!(
        keys,
        ["clinic/2024-01-16-02-00-00.zip", "clinic/2024-01-15-02-00-00.zip", "clinic/2024-01-14-02-00-00.zip"]
    );
    let newest = |now| catalog.newest(at(now)).map(|backup| backup.object.size);
    assert_eq!(newest("2024-01-16T01:59:59Z"), Some(11), "one of the future is not the newest");
    assert_eq!((newest("2024-01-16T02:00:00Z"), newest("2024-01-01T00:00:00Z")), (Some(12), None));
    let foreign: Vec<_> = catalog.foreign.iter().map(|object| object.key.as_str()).collect();
    assert_eq!(
        foreign,
        [
            "clinic/",
            "clinic/2024-01-17-02-00-00.zip",
            "clinic/backup-2020-01-01.zip",
            "clinic/sub/2024-01-18-02-00-00.zip",
            "clinic/audit/2024-01-18-02-00-00.zip"
        ]
    );
}

#[tokio::test]
async fn backups_of_one_moment_stand_in_the_order_of_their_keys() {
    let store = Listing {
        keys: vec![
            ("clinic/2026-03-29-03-30-00.zip", 1), // and the skipped 02:30 is this same moment
            ("clinic/2026-03-29-02-30-00.zip", 1),
        ],
    };
    let catalog = read(&store, "clinic", "", &zone("Europe/Berlin")).await.unwrap();
    assert_eq!(catalog.backups[0].key.date(), catalog.backups[1].key.date());
    assert_eq!(catalog.backups[0].key.path(), "clinic/2026-03-29-02-30-00.zip");
}
