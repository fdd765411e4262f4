//! What is locked or held outweighs the policy, and changes nothing for the others.

use super::*;
use crate::store::{HeldBy, Hold, Lock, LockMode};

fn held() -> Guard {
    Guard { lock: None, hold: Some(Hold { by: HeldBy::Mark, text: None }) }
}

fn locked_until(until: &str) -> Guard {
    Guard { lock: Some(Lock { mode: LockMode::Governance, until: at(until) }), hold: None }
}

fn three_of_a_day(oldest: Guard) -> Vec<Candidate> {
    let mut there = candidates(&["2026-06-30T02:00:00Z", "2026-06-01T03:00:00Z", "2026-06-01T02:00:00Z"]);
    there[2].guard = oldest;
    there
}

fn planned(there: &[Candidate]) -> Plan {
    plan(there, &Policy::default(), at("2026-06-30T12:00:00Z"), &TimeZone::UTC)
}

#[test]
fn what_is_held_or_locked_stays_and_says_why() {
    for (guard, keep, reason) in [
        (Guard::default(), false, "another backup of its day 2026-06-01 is newer"),
        (held(), true, "held until it is released"),
        (locked_until("2026-07-01T00:00:00.5Z"), true, "locked until 2026-07-01T00:00:00Z"),
        // A lock that has run out keeps nothing; the moment itself is no longer locked.
        (locked_until("2026-06-30T12:00:00Z"), false, "another backup of its day 2026-06-01 is newer"),
        (Guard { hold: held().hold, ..locked_until("2027-01-01T00:00:00Z") }, true, "held until it is released"),
    ] {
        let plan = planned(&three_of_a_day(guard));
        let oldest = plan.decisions.last().unwrap();
        assert_eq!((oldest.keep, oldest.reason.to_string().as_str()), (keep, reason));
        assert!(plan.decisions[..2].iter().all(|decision| decision.keep), "the others are judged as ever");
    }
}

#[test]
fn what_the_policy_keeps_anyway_has_the_reason_of_the_policy() {
    let mut there = three_of_a_day(Guard::default());
    there.iter_mut().for_each(|candidate| candidate.guard = held());
    let plan = planned(&there);
    assert_eq!(plan.decisions[0].reason, Reason::Newest);
    assert!(matches!(plan.decisions[1].reason, Reason::NewestOfSlot(Slot::Day(_))));
}

#[test]
fn the_size_limit_takes_nothing_that_is_held_and_says_that_it_was_not_reached() {
    let mut there = three_of_a_day(held());
    there[1].guard = locked_until("2027-01-01T00:00:00Z");
    let policy = Policy { delete_oldest_over_mb: Some(1), ..Policy::default() };
    let plan = plan(&there, &policy, at("2026-06-30T12:00:00Z"), &TimeZone::UTC);
    assert_eq!(plan.deletions().count(), 0);
    assert!(plan.warnings.iter().any(|warning| warning.contains("locked or held")), "{:?}", plan.warnings);
}

proptest! {
    #[test]
    fn nothing_that_is_guarded_is_ever_deleted_and_a_second_plan_deletes_nothing(
        mut there in any_candidates(), guards in prop::collection::vec(0..4_u8, 160), limit in prop::option::of(1..200_u64),
    ) {
        for (candidate, guard) in there.iter_mut().zip(&guards) {
            candidate.guard = match guard {
                0 => held(),
                1 => locked_until("2030-01-01T00:00:00Z"),
                2 => locked_until("2020-01-01T00:00:00Z"),
                _ => Guard::default(),
            };
        }
        let policy = Policy { delete_oldest_over_mb: limit, ..Policy::default() };
        let first = plan(&there, &policy, at(NOW), &TimeZone::UTC);
        let kept: BTreeSet<&str> = first.decisions.iter().filter(|it| it.keep).map(|it| it.key.as_str()).collect();
        for candidate in &there {
            prop_assert!(kept.contains(candidate.key.as_str()) || !candidate.guard.keeps(at(NOW)));
        }
        let left: Vec<Candidate> = there.iter().filter(|it| kept.contains(it.key.as_str())).cloned().collect();
        prop_assert_eq!(plan(&left, &policy, at(NOW), &TimeZone::UTC).deletions().count(), 0);
    }
}
