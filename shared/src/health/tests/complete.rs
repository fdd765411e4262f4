//! What the newest backup must hold.

use super::*;

#[test]
fn a_source_that_the_previous_backup_held_is_missed() {
    let previous = |change: fn(&mut TailFacts)| {
        let mut facts = healthy();
        let mut tail = tail_of(&facts.backups[1]);
        change(&mut tail);
        facts.previous_tail = Some(Ok(tail));
        facts
    };
    let more = previous(|tail| tail.sources.push(("billing".into(), Some(1))));
    assert_eq!(failing(&more), [("complete", Status::Unhealthy)]);
    assert!(message(&more, "complete").ends_with("holds: billing"), "{}", message(&more, "complete"));
    assert_eq!(failing(&previous(|tail| tail.sources.truncate(1))), [], "a new source is no loss");

    let half = previous(|tail| tail.sources[0].1 = Some(2000));
    assert_eq!(failing(&half), []);
    let less = previous(|tail| tail.sources[0].1 = Some(2001));
    assert_eq!(failing(&less), [("complete", Status::Warning)]);
    assert!(message(&less, "complete").contains("clinic has 1000 rows, 2001 before"));

    let mut unread = healthy();
    unread.previous_tail = Some(Err((Class::Corrupt, "damaged".into())));
    assert_eq!(failing(&unread), [("complete", Status::Warning)]);
    let mut first = healthy();
    first.previous_tail = None;
    assert_eq!(failing(&first), []);
}

#[test]
fn a_database_without_a_row_is_told_every_night_until_it_is_said_that_it_may_be() {
    let limits = |names: &[&str]| HealthLimits {
        empty_databases: names.iter().map(|name| (*name).to_owned()).collect(),
        ..LIMITS
    };
    let complete = |facts: &DiskFacts, limits: &HealthLimits| {
        let found = check(facts, limits, now()).into_iter().find(|finding| finding.check == "complete").unwrap();
        (found.status, found.message)
    };
    let mut facts = healthy();
    let mut tail = tail_of(&facts.backups[0]);
    tail.sources.push(("archive".into(), Some(0)));
    tail.sources.push(("queue".into(), Some(0)));
    let empty = |name: &str, tables| EmptyDatabase { name: name.into(), tables };
    tail.empty_databases = vec![empty("archive", 12), empty("queue", 0)];
    facts.newest_tail = Some(Ok(tail));

    // The first night of all, a night like the one before, and one whose predecessor cannot be read.
    let same = facts.newest_tail.clone();
    for previous in [None, same, Some(Err((Class::Corrupt, "damaged".to_owned())))] {
        facts.previous_tail = previous;
        assert_eq!(failing(&facts), [("complete", Status::Warning)]);
        let told = message(&facts, "complete");
        assert!(told.contains("without a single row: archive (12 tables), queue (it has no table either)"), "{told}");
        assert!(told.contains("BACKUP_EMPTY_DATABASES"), "{told}");
    }
    facts.previous_tail = None;
    let (status, told) = complete(&facts, &limits(&["queue"]));
    assert!(status == Status::Warning && told.contains("archive") && !told.contains("queue"), "{told}");
    assert_eq!(complete(&facts, &limits(&["queue", "archive"])).0, Status::Ok);
    // Neither what is not there nor a set of files is a database.
    let (status, told) = complete(&facts, &limits(&["queue", "archive", "arhcive", "uploads"]));
    assert_eq!((status, told.ends_with("no database in it: arhcive, uploads")), (Status::Warning, true), "{told}");
}
