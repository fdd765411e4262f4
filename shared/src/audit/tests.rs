use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::store::memory::MemoryStore;

const HOSTILE: &str = "a\"b\\c\nd\u{1b}[31m\u{0}é\u{202e}";

fn place() -> Place {
    Place::new("clinic")
}

fn new(operation: &str) -> NewRecord {
    NewRecord {
        at: "2026-11-25T02:00:00Z".parse().unwrap(),
        operation: operation.to_owned(),
        error: None,
        trigger: Trigger::command_line("ann@desk"),
        configuration: digest(b"{}"),
        report: json!({"key": "clinic/2026-11-25-02-00-00.zip"}),
    }
}

fn failed(operation: &str) -> NewRecord {
    let error = Failure { class: "TransientFailure".to_owned(), message: "the server is away".to_owned() };
    NewRecord { error: Some(error), ..new(operation) }
}

async fn trail_of(operations: &[&str]) -> MemoryStore {
    let store = MemoryStore::new("memory");
    for operation in operations {
        append(&store, &place(), new(operation)).await.unwrap();
    }
    store
}

async fn bytes_of(store: &MemoryStore, key: &str) -> Vec<u8> {
    let object = store.head(key).await.unwrap().unwrap();
    store.read(key, 0..object.size, None).await.unwrap().to_vec()
}

async fn put(store: &MemoryStore, key: &str, bytes: impl Into<Vec<u8>>) {
    store.delete(key).await.unwrap();
    write(store, key, bytes.into()).await.unwrap();
}

/// Changes one record in its place.
async fn edit(store: &MemoryStore, sequence: u64, change: impl FnOnce(&mut Value)) {
    let key = place().key(sequence);
    let mut value = serde_json::from_slice(&bytes_of(store, &key).await).unwrap();
    change(&mut value);
    put(store, &key, serde_json::to_vec(&value).unwrap()).await;
}

/// What is found, as `name key`.
async fn found(store: &MemoryStore) -> Vec<String> {
    let trail = read(store, &place()).await.unwrap();
    trail.findings.iter().map(|it| format!("{} {}", it.finding, it.key.trim_start_matches("clinic/audit/"))).collect()
}

#[tokio::test]
async fn each_record_carries_the_digest_of_the_bytes_before_it() {
    let store = trail_of(&["backup", "cleanup", "monitor"]).await;
    let trail = read(&store, &place()).await.unwrap();
    assert_eq!(trail.findings, []);
    assert_eq!(trail.records.iter().map(|it| it.sequence).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(trail.records[0].previous, None);
    for sequence in [1, 2] {
        let before = digest(&bytes_of(&store, &place().key(sequence)).await);
        assert_eq!(trail.records[sequence as usize].previous.as_deref(), Some(before.as_str()));
    }
    let last = digest(&bytes_of(&store, "clinic/audit/00000003.json").await);
    assert_eq!(trail.head, Some(Head { sequence: 3, sha256: last }));
}

#[tokio::test]
async fn what_was_appended_is_what_is_read_whatever_stands_in_it() {
    let store = MemoryStore::new("memory");
    let hostile = NewRecord {
        operation: HOSTILE.to_owned(),
        error: Some(Failure { class: HOSTILE.to_owned(), message: HOSTILE.to_owned() }),
        trigger: Trigger::lambda(HOSTILE, HOSTILE).scheduled(Some("2026-11-25T02:00:00Z".parse().unwrap())),
        report: json!({ HOSTILE: [HOSTILE, 1.5, null, u64::MAX] }),
        ..new("x")
    };
    let written = append(&store, &place(), hostile).await.unwrap();
    append(&store, &place(), new("backup")).await.unwrap();
    let trail = read(&store, &place()).await.unwrap();
    assert_eq!(trail.findings, []);
    assert_eq!(trail.records[0], written);
    assert_eq!(trail.records[0].trigger.by, "eventbridge-scheduler");
    // One line: no name can make a second record of one.
    let bytes = bytes_of(&store, "clinic/audit/00000001.json").await;
    assert_eq!(bytes.iter().filter(|byte| byte.is_ascii_control()).count(), 1);
}

#[tokio::test]
async fn no_trail_is_whole_and_has_no_head() {
    let trail = read(&MemoryStore::new("memory"), &place()).await.unwrap();
    assert_eq!(trail, Trail { records: vec![], findings: vec![], head: None });
}

#[tokio::test]
async fn a_change_of_any_field_of_a_record_is_told() {
    let pristine = trail_of(&["backup", "cleanup", "monitor"]).await;
    let record: Value = serde_json::from_slice(&bytes_of(&pristine, &place().key(2)).await).unwrap();
    for field in record.as_object().unwrap().keys() {
        let store = trail_of(&["backup", "cleanup", "monitor"]).await;
        edit(&store, 2, |record| {
            let field = &mut record[field];
            *field = match &*field {
                Value::Number(number) => json!(number.as_u64().unwrap() + 1),
                Value::String(text) if text.starts_with("2026") => json!("2026-11-25T02:00:01Z"),
                Value::String(text) if text == "success" => json!("failure"),
                Value::String(text) => json!(format!("{text}x")),
                Value::Null => json!({"class": "x", "message": "y"}),
                Value::Object(map) if map.contains_key("by") => json!({"by": "nobody"}),
                Value::Object(map) if map.contains_key("backup") => json!({"backup": 2}),
                _ => json!({}),
            };
        })
        .await;
        let found = found(&store).await;
        let telling: Vec<&str> = found.iter().map(|it| it.split(' ').next().unwrap()).collect();
        assert!(telling.contains(&"broken") || telling.contains(&"unreadable"), "{field}: {found:?}");
    }
}

#[tokio::test]
async fn a_change_that_means_the_same_is_a_change() {
    let store = trail_of(&["backup", "cleanup"]).await;
    let mut bytes = bytes_of(&store, &place().key(1)).await;
    bytes.push(b' ');
    put(&store, &place().key(1), bytes).await;
    assert_eq!(found(&store).await, ["broken 00000002.json"]);
    let trail = read(&store, &place()).await.unwrap();
    assert_eq!(
        trail.findings[0].message,
        "record 2 was not written after record 1 as it is: one of the two was changed or exchanged"
    );
}

#[tokio::test]
async fn records_that_were_taken_away_are_told_by_their_numbers() {
    for (gone, told, message) in [
        (&[1][..], "gap 00000001.json", "record 1 is missing"),
        (&[1, 2], "gap 00000001.json", "the records 1 to 2 are missing"),
        (&[3], "gap 00000003.json", "record 3 is missing"),
        (&[2, 3, 4], "gap 00000002.json", "the records 2 to 4 are missing"),
    ] {
        let store = trail_of(&["backup"; 5]).await;
        for sequence in gone {
            store.delete(&place().key(*sequence)).await.unwrap();
        }
        assert_eq!(found(&store).await, [told], "{gone:?}");
        assert_eq!(read(&store, &place()).await.unwrap().findings[0].message, message);
    }
}

#[tokio::test]
async fn a_gap_that_was_closed_by_renaming_is_told() {
    let store = trail_of(&["backup"; 5]).await;
    for sequence in 3..5 {
        let moved = bytes_of(&store, &place().key(sequence + 1)).await;
        put(&store, &place().key(sequence), moved).await;
    }
    store.delete(&place().key(5)).await.unwrap();
    let found = found(&store).await;
    assert!(found.contains(&"misplaced 00000003.json".to_owned()), "{found:?}");
    assert!(found.contains(&"broken 00000003.json".to_owned()), "{found:?}");
}

#[tokio::test]
async fn records_that_changed_places_are_told() {
    let store = trail_of(&["backup"; 4]).await;
    let (two, three) = (bytes_of(&store, &place().key(2)).await, bytes_of(&store, &place().key(3)).await);
    put(&store, &place().key(2), three).await;
    put(&store, &place().key(3), two).await;
    let found = found(&store).await;
    for told in ["misplaced 00000002.json", "misplaced 00000003.json", "broken 00000002.json", "broken 00000004.json"] {
        assert!(found.contains(&told.to_owned()), "{found:?}");
    }
}

#[tokio::test]
async fn a_fork_is_told_where_it_joins() {
    // Two histories after record 1; the second's record 2 was put into the first.
    let (store, other) = (trail_of(&["backup", "cleanup", "monitor"]).await, trail_of(&["backup", "verify"]).await);
    put(&store, &place().key(2), bytes_of(&other, &place().key(2)).await).await;
    assert_eq!(found(&store).await, ["broken 00000003.json"]);
}

#[tokio::test]
async fn a_trail_of_another_name_is_told() {
    let store = trail_of(&["backup"]).await;
    let bytes = bytes_of(&store, "clinic/audit/00000001.json").await;
    write(&store, "dentist/audit/00000001.json", bytes).await.unwrap();
    let trail = read(&store, &Place::new("dentist")).await.unwrap();
    assert_eq!(trail.findings[0].finding, "misplaced");
    assert_eq!(trail.findings[0].message, "record 1 says that it is of the backups of \"clinic\"");
}

#[tokio::test]
async fn what_is_no_record_is_told_and_the_trail_goes_on_behind_it() {
    for rubbish in
        ["", "{}", "[1]", "null", "{\"version\":1}", "{\"version\":2,\"sequence\":2}", "\u{0}\u{1}", "{\"a\":"]
    {
        let store = trail_of(&["backup"]).await;
        put(&store, &place().key(2), rubbish).await;
        let three = append(&store, &place(), new("cleanup")).await.unwrap();
        assert_eq!(three.previous, Some(digest(rubbish.as_bytes())), "{rubbish:?}");
        assert_eq!(three.successes, BTreeMap::from([("backup".to_owned(), 1), ("cleanup".to_owned(), 3)]));
        assert_eq!(found(&store).await, ["unreadable 00000002.json"], "{rubbish:?}");
    }
}

#[tokio::test]
async fn a_giant_in_a_records_place_is_not_read_and_told() {
    let store = trail_of(&["backup", "cleanup", "monitor"]).await;
    put(&store, &place().key(2), vec![b' '; LONGEST as usize + 1]).await;
    assert_eq!(found(&store).await, ["unreadable 00000002.json"]);
    put(&store, &place().key(4), vec![b' '; LONGEST as usize + 1]).await;
    let refused = append(&store, &place(), new("backup")).await.unwrap_err();
    assert_eq!(refused.class(), Class::Corrupt);
    assert!(refused.chain().contains("clinic/audit/00000004.json"), "{refused:?}");
}

#[tokio::test]
async fn other_things_in_the_folder_are_told() {
    let store = trail_of(&["backup"]).await;
    put(&store, "clinic/audit/notes.txt", "x").await;
    put(&store, "clinic/audit/2.json", "x").await;
    assert_eq!(found(&store).await, ["stray 2.json", "stray notes.txt"]);
    assert_eq!(append(&store, &place(), new("backup")).await.unwrap().sequence, 2);
}

#[tokio::test]
async fn a_lie_about_the_newest_success_is_told() {
    let store = trail_of(&["backup", "drill"]).await;
    // The last record: no record behind it vouches for its bytes.
    edit(&store, 2, |record| record["successes"] = json!({"backup": 2, "drill": 1})).await;
    assert_eq!(found(&store).await, ["misleading 00000002.json"]);
    assert_eq!(latest(&store, &place(), "drill").await.unwrap_err().class(), Class::Corrupt);
}

#[tokio::test]
async fn the_chain_alone_cannot_tell_a_shorter_trail_but_its_head_does() {
    let store = trail_of(&["backup", "cleanup", "monitor"]).await;
    let before = read(&store, &place()).await.unwrap().head.unwrap();
    store.delete(&place().key(3)).await.unwrap();
    let trail = read(&store, &place()).await.unwrap();
    assert_eq!(trail.findings, []);
    assert_ne!(trail.head, Some(before));
}

#[tokio::test]
async fn the_latest_is_the_newest_that_succeeded() {
    let store = trail_of(&["drill", "backup", "drill", "cleanup"]).await;
    append(&store, &place(), failed("drill")).await.unwrap();
    append(&store, &place(), failed("restore")).await.unwrap();
    let latest = async |operation: &str| latest(&store, &place(), operation).await.unwrap().map(|it| it.sequence);
    assert_eq!(latest("drill").await, Some(3));
    assert_eq!(latest("cleanup").await, Some(4));
    assert_eq!(latest("restore").await, None);
    assert_eq!(latest("unheard of").await, None);
    assert_eq!(super::latest(&MemoryStore::new("empty"), &place(), "backup").await.unwrap(), None);
}

#[tokio::test]
async fn writers_at_the_same_time_each_get_a_number_of_their_own() {
    let store = MemoryStore::new("memory");
    let names: Vec<String> = (0..8).map(|writer| format!("writer-{writer}")).collect();
    let place = place();
    let all = futures_util::future::join_all(names.iter().map(|name| append(&store, &place, new(name)))).await;
    let mut numbers: Vec<u64> = all.into_iter().map(|record| record.unwrap().sequence).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=8).collect::<Vec<_>>());
    assert_eq!(found(&store).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_record_that_is_too_long_is_refused_and_nothing_is_written() {
    let store = trail_of(&["backup"]).await;
    let long = NewRecord { report: json!("x".repeat(LONGEST as usize)), ..new("backup") };
    assert_eq!(append(&store, &place(), long).await.unwrap_err().class(), Class::Limit);
    assert_eq!(read(&store, &place()).await.unwrap().records.len(), 1);
}

#[test]
fn the_digest_of_a_configuration_changes_with_it_and_not_with_its_secrets() {
    let of = |password: &str, days: &str| {
        let lookup = |name: &str| match name {
            "BACKUP_DISK" => Some("local".to_owned()),
            "BACKUP_LOCAL_PATH" => Some("/vault".to_owned()),
            "BACKUP_WORKERS" => Some("2".to_owned()),
            "BACKUP_ARCHIVE_PASSWORD" => Some(password.to_owned()),
            "BACKUP_KEEP_ALL_DAYS" => Some(days.to_owned()),
            _ => None,
        };
        configuration(&crate::config::load(&lookup).unwrap())
    };
    let (one, other) = ("0123456789abcdefghijklmnopqrstuv", "vutsrqponmlkjihgfedcba9876543210");
    assert_eq!(of(one, "7"), of(other, "7"));
    assert_ne!(of(one, "7"), of(one, "8"));
    assert_eq!(of(one, "7").len(), 64);
}
