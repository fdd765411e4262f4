//! What is known of the backups' contents outweighs the calendar.

use super::*;
use crate::catalog::Verdict::{Damaged, Whole};

/// One backup a day at 02:00, newest first; the first is of the day of `at("2026-06-30T12:00:00Z")`.
fn daily(verdicts: &[(usize, Verdict)], days: usize) -> Vec<Candidate> {
    let newest = at("2026-06-30T02:00:00Z");
    let day = |number: usize| {
        let date = newest - (number as i64 * 24).hours();
        let verdict = verdicts.iter().find(|(day, _)| *day == number).map(|(_, verdict)| *verdict);
        Candidate { key: format!("day {number}"), date, size: 1 << 20, verdict, guard: Guard::default() }
    };
    (0..days).map(day).collect()
}

fn planned(candidates: &[Candidate], policy: &Policy) -> Plan {
    plan(candidates, policy, at("2026-06-30T12:00:00Z"), &TimeZone::UTC)
}

const SHORT: Policy = Policy {
    keep_all_days: 1,
    keep_daily_days: 2,
    keep_weekly_weeks: 0,
    keep_monthly_months: 0,
    keep_yearly_years: 0,
    delete_oldest_over_mb: None,
};

#[test]
fn the_newest_that_was_verified_whole_stays_however_old_it_is() {
    let without = planned(&daily(&[], 60), &SHORT);
    assert!(!kept(&without).contains("day 50"));
    let there = daily(&[(50, Whole), (55, Whole)], 60);
    let with = planned(&there, &SHORT);
    assert!(kept(&with).contains("day 50") && !kept(&with).contains("day 55"));
    assert_eq!(kept(&with).len(), kept(&without).len() + 1);
    let decision = with.decisions.iter().find(|decision| decision.key == "day 50").unwrap();
    assert_eq!(decision.reason.to_string(), "the newest backup that was verified whole is never deleted");
    // A plan for what is left deletes nothing more.
    assert_eq!(planned(&survivors(&there, &with), &SHORT).deletions().count(), 0);
}

#[test]
fn the_size_limit_spares_the_newest_that_was_verified_whole() {
    let policy = Policy { delete_oldest_over_mb: Some(1), ..Policy::default() };
    let plan = planned(&daily(&[(5, Whole)], 7), &policy);
    assert_eq!(kept(&plan), ["day 0", "day 5"].map(String::from).into());
    assert!(plan.warnings.iter().any(|warning| warning.contains("verified whole")), "{:?}", plan.warnings);
}

#[test]
fn nothing_is_deleted_while_the_newest_of_which_anything_is_known_is_damaged() {
    for policy in [SHORT, Policy { delete_oldest_over_mb: Some(1), ..SHORT }] {
        // Whether it is the newest of all, or newer ones were not looked at.
        for damaged in [0, 3] {
            let plan = planned(&daily(&[(damaged, Damaged), (10, Whole)], 60), &policy);
            assert_eq!(plan.deletions().count(), 0);
            assert_eq!(plan.held_by, Some(format!("day {damaged}")));
            assert!(plan.warnings.iter().any(|warning| warning.contains("is damaged")), "{:?}", plan.warnings);
        }
        // A newer one is known to be whole: the damaged one is judged by its date like all others.
        let plan = planned(&daily(&[(2, Whole), (3, Damaged)], 60), &policy);
        assert_eq!(plan.held_by, None);
        assert!(plan.deletions().any(|decision| decision.key == "day 3"));
    }
}

#[test]
fn damage_holds_nothing_where_nothing_was_due_to_go() {
    let plan = planned(&daily(&[(0, Damaged)], 1), &SHORT);
    assert_eq!((plan.held_by, plan.warnings), (None, vec![]));
}

#[test]
fn a_verdict_on_a_backup_of_the_future_decides_nothing() {
    let future =
        Candidate { date: at("2099-01-01T00:00:00Z"), verdict: Some(Damaged), ..candidate("2099-01-01T00:00:00Z") };
    let there = [vec![future], daily(&[], 60)].concat();
    assert_eq!(planned(&there, &SHORT).held_by, None);
    let whole = [vec![Candidate { verdict: Some(Whole), ..there[0].clone() }], daily(&[(50, Whole)], 60)].concat();
    assert!(kept(&planned(&whole, &SHORT)).contains("day 50"));
}

proptest! {
    #[test]
    fn whatever_is_known_the_newest_whole_backup_survives_and_no_more_is_deleted_than_without_it(
        days in 1..80_usize,
        judged in prop::collection::btree_map(0..80_usize, prop::bool::ANY, 0..8),
        limit in prop::option::of(0..40_u64),
    ) {
        let verdicts: Vec<(usize, Verdict)> =
            judged.iter().map(|(day, whole)| (*day, if *whole { Whole } else { Damaged })).collect();
        let policy = Policy { delete_oldest_over_mb: limit, ..SHORT };
        let there = daily(&verdicts, days);
        let plan = planned(&there, &policy);
        if let Some(whole) = there.iter().find(|candidate| candidate.verdict == Some(Whole)) {
            prop_assert!(kept(&plan).contains(&whole.key));
        }
        let without = planned(&daily(&[], days), &policy);
        prop_assert!(plan.deletions().count() <= without.deletions().count());
        prop_assert_eq!(planned(&survivors(&there, &plan), &policy).deletions().count(), 0);
    }
}
