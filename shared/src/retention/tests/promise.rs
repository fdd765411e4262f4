//! What the policy promises, it keeps: a lock until that date never outlives the backup's place in the plan.

use jiff::SignedDuration;

use super::*;
use crate::retention::kept_until;

fn promised(date: &str, others: &[&str], policy: &Policy, now: &str) -> Option<String> {
    let others: Vec<Timestamp> = others.iter().map(|other| at(other)).collect();
    kept_until(at(date), &others, policy, at(now), &TimeZone::UTC).map(|until| until.to_string()[..10].to_owned())
}

#[test]
fn the_promise_grows_with_every_slot_that_is_won() {
    let default = Policy::default();
    let year_end = ["2026-12-30T02:00:00Z", "2027-01-01T02:00:00Z"];
    for (date, others, now, until, why) in [
        // Tuesday. Another may come on the same day, and win when both leave the seven days.
        ("2026-06-30T02:00:00Z", &[][..], "2026-06-30T02:05:00Z", Some("2026-07-06"), "just made"),
        // The day is over: safe through the daily window, until the next of its week follows into the weekly one.
        ("2026-06-30T02:00:00Z", &["2026-07-01T02:00:00Z"][..], "2026-07-02T02:30:00Z", Some("2026-08-06"), "its day"),
        // Sunday, the week over: until the next of July follows into the monthly window.
        ("2026-07-05T02:00:00Z", &["2026-07-06T02:00:00Z"][..], "2026-07-08T02:30:00Z", Some("2026-11-03"), "its week"),
        // The last of the year: until it is older than everything is kept.
        ("2026-12-31T02:00:00Z", &year_end[..], "2027-01-03T02:30:00Z", Some("2035-04-26"), "its year"),
        // Beaten already, or too old, or of the future: nothing.
        ("2026-06-01T02:00:00Z", &["2026-06-01T03:00:00Z"][..], "2026-07-01T00:00:00Z", None, "beaten"),
        ("2015-12-31T02:00:00Z", &[][..], "2026-07-01T00:00:00Z", None, "too old"),
        ("2026-07-01T00:00:01Z", &[][..], "2026-07-01T00:00:00Z", None, "of the future"),
        // Whole seconds, as S3 keeps them.
        ("2026-06-30T02:00:00.9Z", &[][..], "2026-06-30T02:05:00Z", Some("2026-07-06"), "a fraction"),
    ] {
        assert_eq!(promised(date, others, &default, now).as_deref(), until, "{why}: {date}");
    }
    let limited = Policy { delete_oldest_over_mb: Some(1), ..default };
    assert_eq!(promised("2026-06-30T02:00:00Z", &[], &limited, "2026-06-30T02:05:00Z"), None);
    let nothing_but_days = Policy {
        keep_all_days: 3,
        keep_daily_days: 0,
        keep_weekly_weeks: 0,
        keep_monthly_months: 0,
        keep_yearly_years: 0,
        delete_oldest_over_mb: None,
    };
    let whole = kept_until(at("2026-06-30T02:00:00.9Z"), &[], &default, at("2026-06-30T02:05:00Z"), &TimeZone::UTC);
    assert_eq!(whole.unwrap().subsec_nanosecond(), 0);
    let until = promised("2026-06-30T02:00:00Z", &[], &nothing_but_days, "2026-06-30T02:05:00Z");
    assert_eq!(until.as_deref(), Some("2026-07-02"));
}

#[test]
fn the_promise_stays_the_same_from_hour_to_hour() {
    let (date, other) = (at("2026-06-30T02:00:00Z"), [at("2026-07-01T02:00:00Z")]);
    let until = |hours: i64| {
        kept_until(date, &other, &Policy::default(), at("2026-07-02T02:30:00Z") + hours.hours(), &TimeZone::UTC)
    };
    assert!((0..200).all(|hours| until(hours) == until(0)));
}

prop_compose! {
    fn any_policy()(all in 0..9_u32, daily in 0..20_u32, weekly in 0..6_u32, monthly in 0..5_u32, yearly in 0..3_u32) -> Policy {
        Policy {
            keep_all_days: all,
            keep_daily_days: daily,
            keep_weekly_weeks: weekly,
            keep_monthly_months: monthly,
            keep_yearly_years: yearly,
            delete_oldest_over_mb: None,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn until_the_promised_date_the_policy_keeps_the_backup_whatever_is_made_later(
        policy in any_policy(),
        ages in prop::collection::vec(0..9_000_i64, 1..30),
        now_hours in 0..50_000_i64,
        later in prop::collection::vec(0..1_000_u32, 1..40),
        zone_name in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Pacific/Auckland"]),
        looks in prop::collection::vec(0..=1_000_i64, 3),
    ) {
        let zone = zone(zone_name);
        let now = at("2023-02-20T01:17:00Z") + now_hours.hours();
        let candidate = |date: Timestamp, name: String| Candidate {
            key: name, date, size: 1, verdict: None, guard: Guard::default(),
        };
        let there: Vec<Candidate> =
            ages.iter().enumerate().map(|(number, age)| candidate(now - age.hours(), format!("b{number:03}"))).collect();
        for (number, backup) in there.iter().enumerate() {
            let others: Vec<Timestamp> =
                there.iter().enumerate().filter(|(other, _)| *other != number).map(|(_, it)| it.date).collect();
            let Some(until) = kept_until(backup.date, &others, &policy, now, &zone) else { continue };
            prop_assert!(until > now);
            let length = until.duration_since(now).as_secs();
            for look in looks.iter().copied().chain([0, 1_000]) {
                let then = now + SignedDuration::from_secs((i128::from(length) * i128::from(look) / 1_000) as i64);
                // Made since yesterday, at any moment up to then: evenly spread, and crowded at the end and the beginning.
                let span = then.duration_since(now).as_secs() + 24 * 3600;
                let spread = later.iter().map(|part| i128::from(span) * i128::from(*part) / 1_000);
                let crowded = later.iter().map(|part| i128::from(*part) * 300).filter(|at| *at <= i128::from(span));
                let made = spread.chain(crowded).enumerate().map(|(number, seconds)| {
                    candidate(now - 24.hours() + SignedDuration::from_secs(seconds as i64), format!("a{number:03}"))
                });
                let all: Vec<Candidate> = there.iter().cloned().chain(made).collect();
                let plan = plan(&all, &policy, then, &zone);
                let fate = plan.decisions.iter().find(|decision| decision.key == backup.key).unwrap();
                prop_assert!(fate.keep, "{} of {} until {until}, deleted at {then}: {}", backup.key, backup.date, fate.reason);
            }
        }
    }
}
