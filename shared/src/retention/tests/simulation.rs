//! Ten years of nights: what a policy keeps today must not be missed tomorrow.

use std::collections::BTreeMap;

use super::*;
use crate::retention::windows::Window;

/// A backup every night at 02:00 (but for every eleventh, which was missed), cleaned up every night at 02:30.
fn nights(zone: &TimeZone, policy: &Policy, mut look: impl FnMut(Timestamp, &[Candidate])) {
    let start = at("2024-01-01T02:00:00Z");
    let mut there: Vec<Candidate> = Vec::new();
    for night in 0..3653 {
        let date = start + days(night);
        if night % 11 != 5 {
            there.push(Candidate {
                key: format!("clinic/{date}"),
                date,
                size: 1 << 20,
                verdict: None,
                guard: Guard::default(),
            });
        }
        let now = date + 30.minutes();
        there = survivors(&there, &plan(&there, policy, now, zone));
        // Every night is lived through; every fifth is looked at closely.
        if night % 5 == 0 {
            look(now, &there);
        }
    }
}

/// How many of `there` each slot of a window holds that has lain wholly in the window and wholly in the simulation.
fn whole_slots(window: &Window, zone: &TimeZone, there: &[Candidate]) -> BTreeMap<String, usize> {
    let Window { newest, oldest, slot_of } = *window;
    let start = at("2024-01-02T00:00:00Z");
    let slot = |date: Timestamp| slot_of(zone.to_datetime(date).date()).to_string();
    // All days of the window, less the two slots that it cuts and those that began before the simulation.
    let mut slots: BTreeMap<String, usize> = BTreeMap::new();
    let mut day = oldest.max(start);
    while day <= newest {
        slots.entry(slot(day)).or_default();
        day += days(1);
    }
    for cut in [newest, oldest, start] {
        slots.remove(&slot(cut));
    }
    for candidate in there {
        if let Some(count) = slots.get_mut(&slot(candidate.date)) {
            *count += 1;
        }
    }
    slots
}

#[test]
fn over_ten_years_every_week_month_and_year_keeps_exactly_one_until_it_is_too_old() {
    for zone_name in ["UTC", "Europe/Berlin"] {
        let zone = zone(zone_name);
        let policy = Policy::default();
        let mut checked = 0;
        let mut most = 0;
        nights(&zone, &policy, |now, there| {
            most = most.max(there.len());
            let windows = Windows::new(&policy, now, &zone).slotted();
            // Days may have been missed; weeks, months and years may not.
            for window in &windows[1..] {
                for (slot, count) in whole_slots(window, &zone, there) {
                    assert_eq!(count, 1, "{slot} at {now} in {zone_name}");
                    checked += 1;
                }
            }
            for (slot, count) in whole_slots(&windows[0], &zone, there) {
                assert!(count <= 1, "{slot} at {now} in {zone_name}");
            }
        });
        assert!(checked > 10_000, "{checked} slots were looked at");
        // 7 + 30 + 12 + 12 + 7 and one more per seam.
        assert!(most <= 73, "{most} backups at once");
    }
}

#[test]
fn over_ten_years_the_newest_is_always_there() {
    nights(&TimeZone::UTC, &Policy { keep_yearly_years: 0, delete_oldest_over_mb: Some(1), ..NONE }, |now, there| {
        assert_eq!(there.len(), 1);
        assert!(now.duration_since(there[0].date).as_hours() <= 24);
    });
}
