mod complete;

use jiff::ToSpan;

use super::*;
use crate::catalog::Verdict;
use crate::store::{Guard, Hidden};

fn now() -> Timestamp {
    "2026-06-30T03:00:00Z".parse().unwrap()
}

fn backup(hours_ago: i64, size: u64) -> Candidate {
    let date = now() - hours_ago.hours();
    Candidate { key: format!("clinic/{date}"), date, size, verdict: None, guard: Guard::default() }
}

fn tail_of(backup: &Candidate) -> TailFacts {
    TailFacts {
        key: backup.key.clone(),
        date: backup.date,
        encrypted: true,
        sources: vec![("clinic".into(), Some(1000)), ("uploads".into(), None)],
        empty_databases: Vec::new(),
        file_problems: 0,
    }
}

/// A disk with five nightly backups of 100 bytes on which every check passes.
fn healthy() -> DiskFacts {
    let backups: Vec<_> = (0..5).map(|night| backup(1 + night * 24, 100)).collect();
    let tails = [tail_of(&backups[0]), tail_of(&backups[1])];
    let [newest_tail, previous_tail] = tails.map(|tail| Some(Ok(tail)));
    DiskFacts {
        disk: "s3".into(),
        reached: Ok(()),
        backups,
        notes_unread: None,
        foreign: 0,
        hidden: Ok(Hidden::default()),
        newest_tail,
        previous_tail,
        trail: Some(Ok(trail_of(12))),
        samples: Vec::new(),
        last_drill: Ok(None),
    }
}

const LIMITS: HealthLimits =
    HealthLimits { max_age_days: 1, max_storage_mb: Some(1), max_drill_age_days: None, empty_databases: Vec::new() };

/// The checks that did not pass, with their status.
fn failing(facts: &DiskFacts) -> Vec<(&'static str, Status)> {
    let findings = check(facts, &LIMITS, now());
    assert_eq!(findings.len(), 12, "every check is made");
    findings.into_iter().filter(|finding| finding.status != Status::Ok).map(|f| (f.check, f.status)).collect()
}

fn message(facts: &DiskFacts, check_name: &str) -> String {
    check(facts, &LIMITS, now()).into_iter().find(|finding| finding.check == check_name).unwrap().message
}

#[test]
fn a_healthy_disk_passes_every_check_and_says_what_was_found() {
    let health = disk_health(&healthy(), &LIMITS, now());
    assert!(health.healthy);
    assert_eq!((health.backups, health.used_bytes, health.newest), (5, 500, Some(now() - 1.hours())));
    let lines: Vec<_> = health.findings.iter().map(|f| format!("{} {}: {}", f.status, f.check, f.message)).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    ok reachable: the disk was reached and listed
    ok present: there are 5 backups
    ok max_age: the newest backup is 1 h 0 min old; allowed: 1 day
    ok max_storage: all backups take 500 bytes; allowed: 1 MiB
    ok readable: clinic/2026-06-30T02:00:00Z opens with today's password; directory, index and manifest are intact, every entry is encrypted
    ok complete: it holds everything that clinic/2026-06-29T02:00:00Z holds
    ok verified: no backup is known to be damaged; verified whole: 0 of 5
    ok drill: no restore was ever proven: run `nightvault drill`; no limit is set
    ok size: the newest backup has 100 bytes; the median of the 4 before it is 100
    ok future: no backup is dated in the future
    ok foreign: nothing but backups lies under the name
    ok audit: the audit trail is whole: 12 records, the last is 12 with SHA-256 9f86d081
    ");
}

#[test]
fn each_thing_that_is_wrong_fails_its_own_check_alone() {
    let mut facts = healthy();
    facts.backups[0].size = 2 << 20;
    facts.backups.truncate(1);
    assert_eq!(failing(&facts), [("max_storage", Status::Unhealthy)]);

    let mut facts = healthy();
    facts.backups.remove(0);
    facts.newest_tail = Some(Ok(tail_of(&facts.backups[0])));
    assert_eq!(failing(&facts), [("max_age", Status::Unhealthy)]);

    let mut facts = healthy();
    facts.backups[0].size = 49;
    assert_eq!(failing(&facts), [("size", Status::Warning)]);
    facts.backups[0].size = 401;
    assert_eq!(failing(&facts), [("size", Status::Warning)]);
    for size in [50, 400] {
        facts.backups[0].size = size;
        assert_eq!(failing(&facts), []);
    }

    let mut facts = healthy();
    facts.foreign = 2;
    assert_eq!(failing(&facts), [("foreign", Status::Warning)]);
    assert!(disk_health(&facts, &LIMITS, now()).healthy, "a warning leaves a disk healthy");
}

#[test]
fn a_backup_exactly_as_old_as_allowed_is_not_too_old() {
    let mut facts = healthy();
    facts.backups = vec![backup(24, 100)];
    facts.newest_tail = Some(Ok(tail_of(&facts.backups[0])));
    assert_eq!(failing(&facts), []);
    let findings = check(&facts, &LIMITS, now() + 1.nanosecond());
    assert_eq!(findings[2].status, Status::Unhealthy);
}

#[test]
fn the_newest_backup_must_open_with_todays_password_and_be_what_its_key_says() {
    let with = |tail: Option<Result<TailFacts, (Class, String)>>| {
        // Nothing to compare with: this is about the newest alone.
        DiskFacts { newest_tail: tail, previous_tail: None, ..healthy() }
    };
    let changed = |change: fn(&mut TailFacts)| {
        let mut tail = tail_of(&healthy().backups[0]);
        change(&mut tail);
        with(Some(Ok(tail)))
    };
    for (facts, words) in [
        (with(None), "was not read"),
        (with(Some(Err((Class::WrongPassword, "no".into())))), "does not open with today's password: no"),
        (with(Some(Err((Class::Corrupt, "bad directory".into())))), "is damaged: bad directory"),
        (with(Some(Err((Class::Transient, "timed out".into())))), "could not be read: timed out"),
        (changed(|tail| tail.encrypted = false), "not encrypted"),
        (changed(|tail| tail.sources.clear()), "holds no database and no files"),
        (changed(|tail| tail.key = "clinic/other".into()), "is a copy of clinic/other"),
    ] {
        assert_eq!(failing(&facts), [("readable", Status::Unhealthy)], "{words}");
        assert!(message(&facts, "readable").contains(words), "{}", message(&facts, "readable"));
    }
    for (facts, words) in [
        (changed(|tail| tail.file_problems = 3), "3 files"),
        (changed(|tail| tail.date += 2.hours()), "BACKUP_TIMEZONE"),
    ] {
        assert_eq!(failing(&facts), [("readable", Status::Warning)], "{words}");
        assert!(message(&facts, "readable").contains(words), "{}", message(&facts, "readable"));
    }
}

#[test]
fn a_backup_of_the_future_makes_no_disk_fresh() {
    let mut facts = healthy();
    facts.backups = vec![backup(-24, 100), backup(48, 100)];
    facts.newest_tail = Some(Ok(tail_of(&facts.backups[1])));
    assert_eq!(failing(&facts), [("max_age", Status::Unhealthy), ("future", Status::Warning)]);
    facts.backups.truncate(1);
    let statuses: Vec<_> = failing(&facts).into_iter().map(|(check, _)| check).collect();
    assert_eq!(statuses, ["present", "max_age", "readable", "future"]);
}

#[test]
fn a_disk_without_backups_fails_what_needs_one() {
    let facts = DiskFacts { backups: Vec::new(), newest_tail: None, ..healthy() };
    let statuses: Vec<_> = failing(&facts).into_iter().map(|(check, _)| check).collect();
    assert_eq!(statuses, ["present", "max_age", "readable"]);
}

#[test]
fn on_a_disk_that_is_not_reached_every_check_is_told_as_not_made() {
    let facts = DiskFacts { reached: Err("access denied".into()), backups: Vec::new(), newest_tail: None, ..healthy() };
    let findings = check(&facts, &LIMITS, now());
    assert_eq!(findings[0].message, "the disk could not be read: access denied");
    assert!(findings[1..].iter().all(|finding| finding.status != Status::Ok));
    assert!(findings[1..].iter().all(|finding| finding.message.starts_with("not checked")));
    assert!(!disk_health(&facts, &LIMITS, now()).healthy);
}

#[test]
fn without_a_storage_limit_no_size_is_too_large() {
    let mut facts = healthy();
    facts.backups[1].size = u64::MAX;
    let limits = HealthLimits { max_storage_mb: None, ..LIMITS };
    assert_eq!(check(&facts, &limits, now())[3].status, Status::Ok);
}

#[test]
fn a_backup_of_this_very_moment_is_the_newest() {
    let backups = [backup(0, 1), backup(1, 2)];
    assert_eq!(newest(&backups, now()).unwrap().size, 1);
}

#[test]
fn storage_exactly_at_the_limit_is_within_it() {
    let mut facts = healthy();
    facts.backups = vec![backup(1, 1 << 20)];
    assert_eq!(check(&facts, &LIMITS, now())[3].status, Status::Ok);
    facts.backups[0].size += 1;
    assert_eq!(check(&facts, &LIMITS, now())[3].status, Status::Unhealthy);
}

#[test]
fn the_size_is_compared_with_the_median_of_the_seven_before_in_any_order() {
    // Newest first: 100, then seven of which the median is 150, then old ones that must not count.
    let sizes = [100, 900, 100, 150, 120, 800, 700, 110, 9_000, 9_000, 9_000, 9_000, 9_000, 9_000, 9_000, 9_000];
    let mut facts = healthy();
    facts.backups = sizes.iter().zip(0..).map(|(size, night)| backup(1 + night * 24, *size)).collect();
    facts.backups.reverse();
    let expected = "the newest backup has 100 bytes; the median of the 7 before it is 150";
    assert_eq!(message(&facts, "size"), expected);
}

#[test]
fn three_backups_before_the_newest_are_enough_to_compare_sizes() {
    let mut facts = healthy();
    facts.backups.truncate(4);
    facts.backups[0].size = 1;
    assert_eq!(failing(&facts), [("size", Status::Warning)]);
    facts.backups.truncate(3);
    assert_eq!(failing(&facts), []);
}

#[test]
fn a_backup_that_is_known_to_be_damaged_is_told_whichever_it_is() {
    let mut facts = healthy();
    facts.backups[1].verdict = Some(Verdict::Whole);
    assert_eq!(failing(&facts), []);
    assert!(message(&facts, "verified").ends_with("verified whole: 1 of 5"));
    for number in [0, 4] {
        let mut facts = facts.clone();
        facts.backups[number].verdict = Some(Verdict::Damaged);
        assert_eq!(failing(&facts), [("verified", Status::Unhealthy)]);
        let expected = format!("1 backup is known to be damaged: {}", facts.backups[number].key);
        assert_eq!(message(&facts, "verified"), expected);
    }
    for backup in &mut facts.backups {
        backup.verdict = Some(Verdict::Damaged);
    }
    facts.backups.push(backup(500, 100));
    facts.backups[5].verdict = Some(Verdict::Damaged);
    assert!(message(&facts, "verified").starts_with("6 backups are known to be damaged: "));
    assert!(message(&facts, "verified").ends_with(", …"));
}

#[test]
fn notes_that_cannot_be_read_are_told_and_leave_the_disk_healthy() {
    let mut facts = healthy();
    facts.notes_unread = Some("access denied".into());
    assert_eq!(failing(&facts), [("verified", Status::Warning)]);
    assert!(message(&facts, "verified").starts_with("not checked: "));
}

#[test]
fn the_facts_of_a_tail_are_those_of_its_manifest() {
    let table = serde_json::json!({ "name": "t", "rows": 0, "offset": 0, "bytes": 0, "sha256": "" });
    let database = |name: &str, engine: &str, rows: u64, tables: usize, objects: serde_json::Value| {
        serde_json::json!({
            "name": name, "engine": engine, "server_version": "1", "entry": name, "snapshot": {},
            "tables": vec![&table; tables], "objects": objects, "warnings": [], "rows": rows, "raw_bytes": 9,
            "stored_bytes": 1, "sha256": ""
        })
    };
    let problem = serde_json::json!({ "path": "a", "kind": "unreadable", "detail": "" });
    let manifest = serde_json::json!({
        "format_version": 1, "tool": "nightvault", "name": "clinic", "key": "clinic/x.zip",
        "date": "2026-06-30T02:00:00Z", "started": "2026-06-30T02:00:01Z", "finished": "2026-06-30T02:00:02Z",
        "databases": [
            database("full", "PostgreSQL", 1, 1, serde_json::json!({})),
            database("bare", "PostgreSQL", 0, 2, serde_json::json!({})),
            database("void", "SQLite", 0, 1, serde_json::json!({ "table": 1 })),
            // The rows of one of its two tables could not be counted; the other's rows are an extension's.
            database("uncounted", "SQLite", 0, 1, serde_json::json!({ "table": 2 })),
            database("virtual", "SQLite", 0, 1, serde_json::json!({ "table": 1, "virtual table": 1 })),
        ],
        "files": [{ "name": "uploads", "files": 1, "directories": 0, "symlinks": 0, "raw_bytes": 1, "stored_bytes": 1,
                    "problems": [problem, problem] }],
        "compression": "deflate", "piece_bytes": 1, "index": { "entries": 1, "bytes": 1, "sha256": "" }
    });
    let tail = Tail { manifest: serde_json::from_value(manifest).unwrap(), entries: 7, encrypted: true, bytes_read: 0 };
    let expected = TailFacts {
        key: "clinic/x.zip".into(),
        date: "2026-06-30T02:00:00Z".parse().unwrap(),
        encrypted: true,
        sources: vec![
            ("full".into(), Some(1)),
            ("bare".into(), Some(0)),
            ("void".into(), Some(0)),
            ("uncounted".into(), Some(0)),
            ("virtual".into(), Some(0)),
            ("uploads".into(), None),
        ],
        empty_databases: vec![
            EmptyDatabase { name: "bare".into(), tables: 2 },
            EmptyDatabase { name: "void".into(), tables: 1 },
        ],
        file_problems: 2,
    };
    assert_eq!(TailFacts::from(&tail), expected);
}

fn trail_of(records: u64) -> TrailFacts {
    let head = (records > 0).then(|| crate::audit::Head { sequence: records, sha256: "9f86d081".into() });
    TrailFacts {
        records,
        begun: head.as_ref().map(|_| now() - 48.hours()),
        head,
        findings: vec![],
        newest_recorded: true,
    }
}

#[test]
fn a_trail_that_is_broken_unread_or_lacks_the_newest_backup_is_told() {
    let of = |trail: Option<Result<TrailFacts, String>>| {
        let facts = DiskFacts { trail, ..healthy() };
        let found = check(&facts, &LIMITS, now()).into_iter().find(|it| it.check == "audit").unwrap();
        (found.status, found.message)
    };
    let whole = "the audit trail is whole: 12 records, the last is 12 with SHA-256 9f86d081";
    assert_eq!(of(Some(Ok(trail_of(12)))), (Status::Ok, whole.to_owned()));
    assert_eq!(of(None).0, Status::Unhealthy);
    let denied = of(Some(Err("access denied".into())));
    assert_eq!(denied, (Status::Unhealthy, "the audit trail could not be read: access denied".to_owned()));

    let finding = crate::audit::Finding {
        finding: "gap".into(),
        key: "clinic/audit/00000007.json".into(),
        message: "record 7 is missing".into(),
    };
    let broken = TrailFacts { findings: vec![finding.clone(), finding], ..trail_of(12) };
    let said = "the audit trail is broken: clinic/audit/00000007.json: record 7 is missing, and 1 more \
                (`nightvault audit verify` tells all)";
    assert_eq!(of(Some(Ok(broken))), (Status::Unhealthy, said.to_owned()));

    let unrecorded = TrailFacts { newest_recorded: false, ..trail_of(12) };
    let said = format!("no record says who made {}; {whole}", healthy().backups[0].key);
    assert_eq!(of(Some(Ok(unrecorded.clone()))), (Status::Unhealthy, said));
    // A vault that is older than its trail.
    let younger = TrailFacts { begun: Some(now()), ..unrecorded };
    assert_eq!(of(Some(Ok(younger))).0, Status::Warning);
    assert_eq!(of(Some(Ok(TrailFacts { newest_recorded: false, ..trail_of(0) }))).0, Status::Warning);
}

#[test]
fn a_backup_that_is_still_being_read_back_may_have_no_record_yet() {
    let of = |minutes: i64, size: u64| {
        let newest = Candidate { date: now() - minutes.minutes(), size, ..backup(0, 0) };
        let trail = Some(Ok(TrailFacts { newest_recorded: false, ..trail_of(12) }));
        let facts = DiskFacts { backups: vec![newest], trail, ..healthy() };
        check(&facts, &LIMITS, now()).into_iter().find(|it| it.check == "audit").unwrap().status
    };
    assert_eq!(of(15, 100), Status::Warning);
    assert_eq!(of(16, 100), Status::Unhealthy);
    // An hour at 10 MiB a second.
    assert_eq!(of(75, 36_000 << 20), Status::Warning);
    assert_eq!(of(76, 36_000 << 20), Status::Unhealthy);
}

#[test]
fn a_proven_restore_is_told_and_one_that_is_too_old_or_was_never_made_is_unhealthy_where_a_limit_is_set() {
    let proven = |days: i64| ProvenRestore {
        key: "clinic/old".into(),
        at: now() - (24 * days).hours(),
        duration_ms: 61_500,
        raw_bytes: 9,
        in_part: false,
    };
    let status = |last_drill, limit| {
        let limits = HealthLimits { max_drill_age_days: limit, ..LIMITS };
        let facts = DiskFacts { last_drill, ..healthy() };
        let finding = check(&facts, &limits, now()).into_iter().find(|finding| finding.check == "drill").unwrap();
        (finding.status, finding.message)
    };
    let (told, message) = status(Ok(Some(proven(31))), None);
    assert_eq!(told, Status::Ok);
    assert_eq!(
        message,
        "the last proven restore is 31 days old: clinic/old on 2026-05-30T03:00:00Z, 9 bytes in 61 s; no limit is set"
    );
    assert_eq!(status(Ok(Some(proven(31))), Some(31)).0, Status::Ok);
    assert_eq!(status(Ok(Some(proven(32))), Some(31)).0, Status::Unhealthy);
    let in_part = |days| Ok(Some(ProvenRestore { in_part: true, ..proven(days) }));
    let (told, message) = status(in_part(31), Some(31));
    assert!(told == Status::Warning && message.contains("not every database was restored"), "{message}");
    assert_eq!(status(in_part(32), Some(31)).0, Status::Unhealthy);
    assert_eq!(status(in_part(31), None).0, Status::Ok);
    assert_eq!(status(Ok(None), Some(31)).0, Status::Unhealthy);
    assert_eq!(status(Ok(None), None).0, Status::Ok);
    assert_eq!(status(Err("denied".into()), None).0, Status::Warning);
    assert_eq!(status(Err("denied".into()), Some(31)).0, Status::Unhealthy);
}

#[test]
fn damage_that_is_noted_or_was_found_by_a_slice_is_unhealthy_and_a_slice_that_was_not_read_a_warning() {
    let sample = |verdict, error: Option<&str>| crate::report::VerifiedBackup {
        key: "clinic/x".into(),
        date: now(),
        size: 9,
        verdict,
        error: error.map(str::to_owned),
        entries: 0,
        tables: 0,
        rows: 0,
        not_recounted: Vec::new(),
        raw_bytes: 0,
        bytes_read: 9,
        slice: None,
        duration_ms: 1,
        recorded: None,
        not_recorded: None,
        warnings: Vec::new(),
    };
    use crate::report::VerifyVerdict::{Damaged, NotRead};
    let noted = |facts: &mut DiskFacts| facts.backups[0].verdict = Some(Verdict::Damaged);
    let mut facts = healthy();
    noted(&mut facts);
    let known = format!("1 backup is known to be damaged: {}", facts.backups[0].key);
    assert_eq!(failing(&facts), [("verified", Status::Unhealthy)]);
    assert_eq!(message(&facts, "verified"), known);
    facts.samples = vec![sample(Damaged, Some("piece 1 is gone"))];
    assert_eq!(message(&facts, "verified"), format!("clinic/x is damaged: piece 1 is gone; {known}"));
    facts = DiskFacts { samples: vec![sample(NotRead, Some("cut"))], ..healthy() };
    assert_eq!(failing(&facts), [("verified", Status::Warning)]);
}

#[test]
fn what_no_listing_shows_counts_against_the_storage_limit() {
    let limits = HealthLimits { max_storage_mb: Some(10), ..LIMITS };
    let storage = |hidden: Result<Hidden, String>| {
        let facts = DiskFacts { backups: vec![backup(1, 6 << 20)], hidden, ..healthy() };
        let finding = check(&facts, &limits, now()).into_iter().find(|finding| finding.check == "max_storage").unwrap();
        (finding.status, finding.message)
    };
    let hidden = |version_bytes, upload_bytes| Ok(Hidden { versions: 1, version_bytes, uploads: 1, upload_bytes });
    let (status, message) = storage(hidden(2 << 20, 2 << 20));
    assert_eq!((status, message.contains("old versions 2097152")), (Status::Ok, true), "{message}");
    assert_eq!(storage(hidden(2 << 20, (2 << 20) + 1)).0, Status::Unhealthy);
    // What could not be counted is told, and is no alarm of its own.
    let (status, message) = storage(Err("not allowed".into()));
    assert_eq!((status, message.contains("not allowed")), (Status::Warning, true), "{message}");
}
