use std::collections::BTreeSet;

use jiff::{Span, ToSpan};
use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::catalog::BackupKey;

mod guards;
mod promise;
mod simulation;
mod verdicts;

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn candidate(date: &str) -> Candidate {
    Candidate { key: format!("clinic/{date}"), date: at(date), size: 1 << 20, verdict: None, guard: Guard::default() }
}

fn candidates(dates: &[&str]) -> Vec<Candidate> {
    dates.iter().map(|date| candidate(date)).collect()
}

/// `key: kept? reason`, newest first.
fn lines(plan: &Plan) -> Vec<String> {
    let line = |decision: &Decision| {
        format!("{} {}: {}", if decision.keep { "keep" } else { "delete" }, decision.key, decision.reason)
    };
    plan.decisions.iter().map(line).collect()
}

fn kept(plan: &Plan) -> BTreeSet<String> {
    plan.decisions.iter().filter(|decision| decision.keep).map(|decision| decision.key.clone()).collect()
}

fn survivors(candidates: &[Candidate], plan: &Plan) -> Vec<Candidate> {
    let kept = kept(plan);
    candidates.iter().filter(|candidate| kept.contains(&candidate.key)).cloned().collect()
}

const NONE: Policy = Policy {
    keep_all_days: 0,
    keep_daily_days: 0,
    keep_weekly_weeks: 0,
    keep_monthly_months: 0,
    keep_yearly_years: 0,
    delete_oldest_over_mb: None,
};

#[derive(Deserialize)]
struct Case {
    tz: String,
    now_ts: i64,
    policy: CasePolicy,
    files: Vec<File>,
    keep: BTreeSet<String>,
}

#[derive(Deserialize)]
struct CasePolicy {
    keep_all_backups_for_days: u32,
    keep_daily_backups_for_days: u32,
    keep_weekly_backups_for_weeks: u32,
    keep_monthly_backups_for_months: u32,
    keep_yearly_backups_for_years: u32,
    delete_oldest_backups_when_using_more_megabytes_than: Option<u64>,
}

#[derive(Deserialize)]
struct File {
    name: String,
    size: u64,
}

#[test]
fn every_decision_of_spatie_laravel_backup_is_ours_too() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../../tests/data/retention-cases.json")).unwrap();
    assert_eq!(cases.len(), 40);
    for (number, case) in cases.iter().enumerate() {
        let zone = zone(&case.tz);
        let candidate = |file: &File| {
            let key = BackupKey::parse("app", "", &file.name, &zone).unwrap();
            Candidate { key: key.path(), date: key.date(), size: file.size, verdict: None, guard: Guard::default() }
        };
        let files: Vec<_> = case.files.iter().map(candidate).collect();
        let policy = Policy {
            keep_all_days: case.policy.keep_all_backups_for_days,
            keep_daily_days: case.policy.keep_daily_backups_for_days,
            keep_weekly_weeks: case.policy.keep_weekly_backups_for_weeks,
            keep_monthly_months: case.policy.keep_monthly_backups_for_months,
            keep_yearly_years: case.policy.keep_yearly_backups_for_years,
            delete_oldest_over_mb: case.policy.delete_oldest_backups_when_using_more_megabytes_than,
        };
        let plan = plan(&files, &policy, Timestamp::from_second(case.now_ts).unwrap(), &zone);
        assert_eq!(kept(&plan), case.keep, "case {number}");
    }
}

#[test]
fn every_reason_is_told_in_words() {
    let policy = Policy { delete_oldest_over_mb: Some(8), ..Policy::default() };
    let all = candidates(&[
        "2099-01-01T02:00:00Z", // future
        "2026-06-30T02:00:00Z", // newest
        "2026-06-29T02:00:00Z", // within 7 days
        "2026-06-10T14:00:00Z", // newest of its day
        "2026-06-10T02:00:00Z", // not
        "2026-05-10T02:00:00Z", // Sunday of W19
        "2026-05-09T02:00:00Z", // Saturday of W19
        "2025-12-31T02:00:00Z", // month
        "2025-12-01T02:00:00Z",
        "2024-12-31T02:00:00Z", // year
        "2024-01-01T02:00:00Z",
        "2023-12-31T02:00:00Z",
        "2019-12-31T02:00:00Z", // goes for the size limit
        "2017-12-31T02:00:00Z", // too old
    ]);
    let plan = plan(&all, &policy, at("2026-06-30T02:30:00Z"), &TimeZone::UTC);
    insta::assert_snapshot!(lines(&plan).join("\n"), @r"
    keep clinic/2099-01-01T02:00:00Z: dated in the future; no rule is applied to it
    keep clinic/2026-06-30T02:00:00Z: the newest backup is never deleted
    keep clinic/2026-06-29T02:00:00Z: all backups of the last 7 days are kept
    keep clinic/2026-06-10T14:00:00Z: newest of its day 2026-06-10
    delete clinic/2026-06-10T02:00:00Z: another backup of its day 2026-06-10 is newer
    keep clinic/2026-05-10T02:00:00Z: newest of its week 19 in 2026
    delete clinic/2026-05-09T02:00:00Z: another backup of its week 19 in 2026 is newer
    keep clinic/2025-12-31T02:00:00Z: newest of its month 2025-12
    delete clinic/2025-12-01T02:00:00Z: another backup of its month 2025-12 is newer
    keep clinic/2024-12-31T02:00:00Z: newest of its year 2024
    delete clinic/2024-01-01T02:00:00Z: another backup of its year 2024 is newer
    keep clinic/2023-12-31T02:00:00Z: newest of its year 2023
    delete clinic/2019-12-31T02:00:00Z: the oldest while all backups together were over 8 MiB
    delete clinic/2017-12-31T02:00:00Z: older than the last window, which ends at 2018-03-01T02:30:00Z
    ");
    insta::assert_snapshot!(plan.warnings.join("\n"), @r"
    1 backup is dated in the future (the latest is clinic/2099-01-01T02:00:00Z): kept, and left out of every rule; check the clocks and BACKUP_TIMEZONE
    the size limit of 8 MiB deletes 1 backup that the windows would keep
    ");
    assert_eq!(plan.keep_bytes(), 8 << 20);
    assert_eq!(plan.delete_bytes(), 6 << 20);
    assert!(plan.deletions().zip(plan.deletions().skip(1)).all(|(a, b)| a.date <= b.date), "oldest first");
}

#[test]
fn nothing_is_planned_for_nothing() {
    assert_eq!(plan(&[], &NONE, at("2026-06-30T02:30:00Z"), &TimeZone::UTC), Plan::default());
}

#[test]
fn a_policy_of_zeros_keeps_the_newest_alone() {
    let all = candidates(&["2026-06-28T02:00:00Z", "2026-06-30T02:00:00Z", "2026-06-29T02:00:00Z"]);
    let plan = plan(&all, &NONE, at("2026-06-30T02:30:00Z"), &TimeZone::UTC);
    assert_eq!(kept(&plan), BTreeSet::from(["clinic/2026-06-30T02:00:00Z".into()]));
}

#[test]
fn a_size_limit_of_zero_keeps_the_newest_alone_and_says_so() {
    let all = candidates(&["2026-06-29T02:00:00Z", "2026-06-30T02:00:00Z"]);
    let policy = Policy { delete_oldest_over_mb: Some(0), ..Policy::default() };
    let plan = plan(&all, &policy, at("2026-06-30T02:30:00Z"), &TimeZone::UTC);
    assert_eq!(kept(&plan), BTreeSet::from(["clinic/2026-06-30T02:00:00Z".into()]));
    assert_eq!(plan.warnings.len(), 2, "{:?}", plan.warnings);
}

#[test]
fn a_sum_exactly_at_the_size_limit_is_within_it() {
    let all = candidates(&["2026-06-29T02:00:00Z", "2026-06-30T02:00:00Z"]);
    let policy = Policy { delete_oldest_over_mb: Some(2), ..Policy::default() };
    let plan = plan(&all, &policy, at("2026-06-30T02:30:00Z"), &TimeZone::UTC);
    assert_eq!(plan.delete_bytes(), 0);
    assert_eq!(plan.warnings, Vec::<String>::new());
}

#[test]
fn a_backup_of_the_future_does_not_count_as_the_newest() {
    let all = candidates(&["2099-01-01T00:00:00Z", "2026-06-30T02:00:00Z", "2026-06-29T02:00:00Z"]);
    let plan = plan(&all, &NONE, at("2026-06-30T02:30:00Z"), &TimeZone::UTC);
    let expected = ["clinic/2026-06-30T02:00:00Z".to_owned(), "clinic/2099-01-01T00:00:00Z".to_owned()];
    assert_eq!(kept(&plan), BTreeSet::from(expected));
    assert_eq!(plan.warnings.len(), 1);
}

#[test]
fn a_backup_of_this_very_moment_is_not_of_the_future() {
    let plan = plan(&candidates(&["2026-06-30T02:30:00Z"]), &NONE, at("2026-06-30T02:30:00Z"), &TimeZone::UTC);
    assert_eq!(plan.decisions[0].reason, Reason::Newest);
}

#[test]
fn an_old_newest_backup_is_told_when_others_are_to_go() {
    let all = candidates(&["2016-06-30T02:00:00Z", "2016-06-29T02:00:00Z"]);
    let plan = plan(&all, &Policy::default(), at("2026-06-30T02:30:00Z"), &TimeZone::UTC);
    assert_eq!(kept(&plan).len(), 1);
    assert!(plan.warnings[0].contains("3652 days old"), "{:?}", plan.warnings);
}

#[test]
fn a_flood_of_backups_in_one_day_pushes_out_no_other_day() {
    let now = at("2026-06-30T02:30:00Z");
    let days = (10..30).map(|day| now - (day * 24).hours());
    let flood = (0..1000).map(|minute| now - (9 * 24).hours() + minute.minutes());
    let all: Vec<_> = days
        .chain(flood)
        .map(|date| Candidate { key: date.to_string(), date, size: 1, verdict: None, guard: Guard::default() })
        .collect();
    let kept = kept(&plan(&all, &Policy::default(), now, &TimeZone::UTC));
    assert!(all[..20].iter().all(|candidate| kept.contains(&candidate.key)));
}

#[test]
fn windows_follow_the_calendar_of_php() {
    let windows = |now: &str, zone_name: &str, policy: Policy| Windows::new(&policy, at(now), &zone(zone_name));
    // 31 March minus one month is 31 February, which is 3 March (2 March in a leap year).
    let month = Policy { keep_monthly_months: 1, ..NONE };
    assert_eq!(windows("2026-03-31T12:00:00Z", "UTC", month).monthly, at("2026-03-03T12:00:00Z"));
    assert_eq!(windows("2028-03-31T12:00:00Z", "UTC", month).monthly, at("2028-03-02T12:00:00Z"));
    assert_eq!(windows("2026-01-15T12:00:00Z", "UTC", month).monthly, at("2025-12-15T12:00:00Z"));
    // 29 February minus a year is 1 March; minus four it is 29 February.
    let years = |count| Policy { keep_yearly_years: count, ..NONE };
    assert_eq!(windows("2028-02-29T12:00:00Z", "UTC", years(1)).yearly, at("2027-03-01T12:00:00Z"));
    assert_eq!(windows("2028-02-29T12:00:00Z", "UTC", years(4)).yearly, at("2024-02-29T12:00:00Z"));
    assert_eq!(windows("2028-02-29T12:00:00Z", "UTC", years(7)).yearly, at("2021-03-01T12:00:00Z"));
    // Seven days keep the wall-clock time over a change of the clocks; a skipped time moves an hour ahead.
    let days = Policy { keep_all_days: 7, ..NONE };
    assert_eq!(windows("2026-04-02T12:00:00Z", "Europe/Berlin", days).all, at("2026-03-26T13:00:00Z"));
    assert_eq!(windows("2026-04-05T00:30:00Z", "Europe/Berlin", days).all, at("2026-03-29T01:30:00Z"));
    // 02:30 happens twice on 25 October; a step from winter time ends in winter time.
    assert_eq!(windows("2026-11-01T01:30:00Z", "Europe/Berlin", days).all, at("2026-10-25T01:30:00Z"));
    // What would lie before all time has no end.
    let ever = Policy { keep_all_days: u32::MAX, keep_yearly_years: u32::MAX, ..NONE };
    assert_eq!(windows("2026-04-02T12:00:00Z", "UTC", ever).yearly, Timestamp::MIN);
}

#[derive(Deserialize)]
struct WindowsCase {
    tz: String,
    now: i64,
    policy: [u32; 5],
    windows: [i64; 5],
}

/// 400 moments of 2020 to 2040 in seven zones, many at changes of the clocks, leap days and ends of months; the windows
/// are what PHP's own `DateTime::modify` made of them.
#[test]
fn windows_end_where_php_says_from_2020_to_2040() {
    let cases: Vec<WindowsCase> = serde_json::from_str(include_str!("../../tests/data/windows-php.json")).unwrap();
    assert_eq!(cases.len(), 400);
    for case in &cases {
        let [keep_all_days, keep_daily_days, keep_weekly_weeks, keep_monthly_months, keep_yearly_years] = case.policy;
        let policy = Policy {
            keep_all_days,
            keep_daily_days,
            keep_weekly_weeks,
            keep_monthly_months,
            keep_yearly_years,
            delete_oldest_over_mb: None,
        };
        let windows = Windows::new(&policy, Timestamp::from_second(case.now).unwrap(), &zone(&case.tz));
        let ends = [windows.all, windows.daily, windows.weekly, windows.monthly, windows.yearly];
        assert_eq!(ends.map(Timestamp::as_second), case.windows, "{} {} {:?}", case.tz, case.now, case.policy);
    }
}

#[test]
fn a_backup_at_the_very_end_of_the_last_window_still_belongs_to_it() {
    let policy = Policy { keep_yearly_years: 1, ..NONE };
    let now = at("2026-06-30T02:30:00Z");
    let all = candidates(&["2026-06-30T02:00:00Z", "2025-06-30T02:30:00Z", "2025-06-30T02:29:59Z"]);
    let plan = plan(&all, &policy, now, &TimeZone::UTC);
    assert_eq!(plan.decisions[1].reason, Reason::NewestOfSlot(Slot::Year(2025)));
    assert_eq!(plan.decisions[2].reason, Reason::OlderThanLastWindow(at("2025-06-30T02:30:00Z")));
}

#[test]
fn weeks_count_by_calendar_year_and_iso_week() {
    let policy = Policy { keep_weekly_weeks: 20, ..NONE };
    let all = candidates(&[
        "2027-02-01T02:00:00Z", // newest
        "2027-01-04T02:00:00Z", // W01
        "2027-01-03T02:00:00Z", // W53 of 2026, in calendar year 2027
        "2027-01-01T02:00:00Z", // the same
        "2026-12-31T02:00:00Z", // W53, in calendar year 2026
        "2026-12-28T02:00:00Z", // the same
        "2026-12-27T02:00:00Z", // W52
    ]);
    let plan = plan(&all, &policy, at("2027-02-01T02:30:00Z"), &TimeZone::UTC);
    insta::assert_snapshot!(lines(&plan).join("\n"), @r"
    keep clinic/2027-02-01T02:00:00Z: the newest backup is never deleted
    keep clinic/2027-01-04T02:00:00Z: newest of its week 1 in 2027
    keep clinic/2027-01-03T02:00:00Z: newest of its week 53 in 2027
    delete clinic/2027-01-01T02:00:00Z: another backup of its week 53 in 2027 is newer
    keep clinic/2026-12-31T02:00:00Z: newest of its week 53 in 2026
    delete clinic/2026-12-28T02:00:00Z: another backup of its week 53 in 2026 is newer
    keep clinic/2026-12-27T02:00:00Z: newest of its week 52 in 2026
    ");
}

#[test]
fn a_day_is_a_day_of_the_zone() {
    // 23:30 and 00:30 in Berlin are one day in UTC and two in Berlin.
    let policy = Policy { keep_daily_days: 30, ..NONE };
    let all = candidates(&["2026-06-30T02:00:00Z", "2026-06-20T22:30:00Z", "2026-06-20T21:30:00Z"]);
    let kept = |zone| kept(&plan(&all, &policy, at("2026-06-30T02:30:00Z"), &zone)).len();
    assert_eq!((kept(zone("Europe/Berlin")), kept(TimeZone::UTC)), (3, 2));
}

#[test]
fn of_equal_dates_the_first_key_counts_as_the_newest() {
    let twin = |key: &str| Candidate {
        key: key.into(),
        date: at("2026-06-30T02:00:00Z"),
        size: 1,
        verdict: None,
        guard: Guard::default(),
    };
    for all in [[twin("a"), twin("b")], [twin("b"), twin("a")]] {
        let plan = plan(&all, &NONE, at("2026-06-30T02:30:00Z"), &TimeZone::UTC);
        assert_eq!(kept(&plan), BTreeSet::from(["a".into()]));
    }
}

fn any_policy() -> impl Strategy<Value = Policy> {
    (0..12_u32, 0..40_u32, 0..60_u32, 0..15_u32, 0..9_u32, prop::option::weighted(0.3, 0..200_u64)).prop_map(
        |(keep_all_days, keep_daily_days, keep_weekly_weeks, keep_monthly_months, keep_yearly_years, limit)| Policy {
            keep_all_days,
            keep_daily_days,
            keep_weekly_weeks,
            keep_monthly_months,
            keep_yearly_years,
            delete_oldest_over_mb: limit,
        },
    )
}

prop_compose! {
    /// Backups at multiples of six hours before (and a few after) `NOW`, so that seams of windows, equal dates and several per
    /// day are frequent; half of them close to now.
    fn any_candidates()(
        near in prop::collection::vec((-20..600_i64, 0..8_u64), 0..80),
        far in prop::collection::vec((0..16_000_i64, 0..8_u64), 0..80),
    ) -> Vec<Candidate> {
        let candidate = |(number, (quarters, mib)): (usize, (i64, u64))| Candidate {
            key: format!("clinic/{number:03}"),
            date: at(NOW) - (quarters * 6).hours(),
            size: mib << 20,
            verdict: None,
            guard: Guard::default(),
        };
        near.into_iter().chain(far).enumerate().map(candidate).collect()
    }
}

const NOW: &str = "2028-02-29T02:00:00Z";

fn any_zone() -> impl Strategy<Value = TimeZone> {
    prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Pacific/Apia"]).prop_map(zone)
}

proptest! {
    #[test]
    fn the_newest_and_the_future_survive_every_policy(all in any_candidates(), policy in any_policy(), zone in any_zone()) {
        let now = at(NOW);
        let plan = plan(&all, &policy, now, &zone);
        prop_assert_eq!(plan.decisions.len(), all.len());
        let newest = all.iter().filter(|candidate| candidate.date <= now).map(|candidate| candidate.date).max();
        let kept_dates: Vec<_> = plan.decisions.iter().filter(|decision| decision.keep).map(|decision| decision.date).collect();
        prop_assert!(newest.is_none_or(|newest| kept_dates.contains(&newest)));
        let future = all.iter().filter(|candidate| candidate.date > now).count();
        prop_assert_eq!(kept_dates.iter().filter(|date| **date > now).count(), future);
        prop_assert!(plan.decisions.is_sorted_by(|a, b| (b.date, &a.key) <= (a.date, &b.key)));
    }

    #[test]
    fn planning_again_for_the_survivors_deletes_nothing(all in any_candidates(), policy in any_policy(), zone in any_zone()) {
        let left = survivors(&all, &plan(&all, &policy, at(NOW), &zone));
        prop_assert_eq!(kept(&plan(&left, &policy, at(NOW), &zone)).len(), left.len());
    }

    #[test]
    fn the_order_of_the_input_does_not_matter(
        (all, shuffled) in any_candidates().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
        policy in any_policy(),
    ) {
        let now = at(NOW);
        prop_assert_eq!(plan(&all, &policy, now, &TimeZone::UTC), plan(&shuffled, &policy, now, &TimeZone::UTC));
    }

    #[test]
    fn every_slot_that_has_a_backup_keeps_its_newest(all in any_candidates(), policy in any_policy(), zone in any_zone()) {
        // Half an hour past the dates of all candidates, so that none stands on the seam of two windows.
        let now = at(NOW) + 30.minutes();
        let policy = Policy { delete_oldest_over_mb: None, ..policy };
        let plan = plan(&all, &policy, now, &zone);
        let newest = plan.decisions.iter().find(|decision| decision.reason == Reason::Newest).map(|decision| decision.key.clone());
        for window in Windows::new(&policy, now, &zone).slotted() {
            let mut seen = BTreeSet::new();
            for decision in plan.decisions.iter().filter(|decision| Some(&decision.key) != newest.as_ref()) {
                if let Some(slot) = window.slot(decision.date, &zone) {
                    prop_assert_eq!(decision.keep, seen.insert(slot.to_string()));
                }
            }
        }
    }
}

/// A span in days, for `Timestamp` arithmetic in UTC.
fn days(count: i64) -> Span {
    (count * 24).hours()
}
