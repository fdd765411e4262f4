//! The restore of one tenant, and the map of all, as text.

use nightvault_core::report::{TenantReport, TenantStatus, TenantTable, TenantsReport};

use super::human::{clean, count, duration, plural, size};
use super::table;

pub(crate) fn text(report: &TenantReport) -> String {
    let (key, disk, took) = (clean(&report.key), clean(&report.disk), duration(report.duration_ms));
    let what = match report.status {
        TenantStatus::Planned => "planned, nothing was changed",
        TenantStatus::Restored => "restored; compared again, the rows are those of the backup",
        TenantStatus::Refused => "refused, nothing was changed",
        TenantStatus::Exported => "exported, the database was not changed",
    };
    let mut text = format!(
        "{key} on disk {disk}: tenant {} = {} {what} ({took})\n  {} into {}\n",
        clean(&report.column),
        clean(&report.tenant),
        clean(&report.database),
        clean(&report.target),
    );
    text.push_str(&if report.status == TenantStatus::Exported { rows(report) } else { figures(report) });
    for conflict in &report.conflicts {
        let more = if conflict.rows > conflict.keys.len() as u64 { ", …" } else { "" };
        text.push_str(&format!(
            "  conflict: {} of {} {}: {}{more}\n",
            plural(conflict.rows, "row", "rows"),
            clean(&conflict.table),
            clean(&conflict.what),
            clean(&conflict.keys.join("; "))
        ));
    }
    for counter in &report.counters {
        text.push_str(&format!("  sequence {} goes on at {}\n", clean(&counter.name), counter.to));
    }
    if let Some(folder) = &report.exported_to {
        text.push_str(&format!("  written to {}\n", clean(folder)));
    }
    for warning in &report.warnings {
        text.push_str(&format!("  warning: {}\n", clean(warning)));
    }
    text
}

/// What would be done, or was, table by table.
fn figures(report: &TenantReport) -> String {
    let sum = |field: fn(&TenantTable) -> u64| report.tables.iter().map(field).sum::<u64>();
    let row = |table: &TenantTable| {
        let figures = [table.backup_rows, table.live_rows, table.insert, table.update, table.delete, table.conflicts];
        [clean(&table.name), clean(&table.found)].into_iter().chain(figures.map(count)).collect()
    };
    let mut text = table::render(
        &["TABLE", "FOUND BY", "IN BACKUP", "NOW", "INSERT", "UPDATE", "DELETE", "CONFLICT"],
        &[2, 3, 4, 5, 6, 7],
        report.tables.iter().map(row),
    );
    text.push_str(&format!(
        "  together: {} to insert, {} to update, {} to delete; {} read from the backup\n",
        plural(sum(|table| table.insert), "row", "rows"),
        count(sum(|table| table.update)),
        count(sum(|table| table.delete)),
        size(report.bytes_read)
    ));
    text
}

/// What was exported.
fn rows(report: &TenantReport) -> String {
    let row = |table: &TenantTable| vec![clean(&table.name), clean(&table.found), count(table.backup_rows)];
    let mut text = table::render(&["TABLE", "FOUND BY", "ROWS"], &[2], report.tables.iter().map(row));
    text.push_str(&format!("  {} read from the backup\n", size(report.bytes_read)));
    text
}

pub(crate) fn plan(report: &TenantsReport) -> String {
    let state = if report.written { "written" } else { "as it was, nothing is to be added" };
    let mut text = format!("{} for {}: {state}\n", clean(&report.map), clean(&report.target));
    let row = |table: &nightvault_core::report::ClassedTable| {
        let added = if table.added { "new" } else { "" };
        vec![clean(&table.name), table.class.clone(), clean(&table.found), added.to_owned()]
    };
    text.push_str(&table::render(&["TABLE", "CLASS", "FOUND BY", ""], &[], report.tables.iter().map(row)));
    for open in &report.open {
        text.push_str(&format!("  open: {}\n", clean(open)));
    }
    if report.open.is_empty() {
        text.push_str("  every table is classed; check the file in\n");
    }
    for warning in &report.warnings {
        text.push_str(&format!("  warning: {}\n", clean(warning)));
    }
    text
}

#[cfg(test)]
mod tests {
    use nightvault_core::report::{ClassedTable, MovedCounter, TenantConflict};

    use super::*;

    fn a_report(status: TenantStatus) -> TenantReport {
        TenantReport {
            key: "clinic/2024-01-15-02-00-00.zip".into(),
            disk: "s3".into(),
            status,
            started: "2024-01-16T03:00:00Z".parse().unwrap(),
            duration_ms: 61_000,
            bytes_read: 1 << 20,
            database: "clinic".into(),
            target: "database \"clinic\" on db:5432".into(),
            column: "tenant_id".into(),
            tenant: "42".into(),
            tables: vec![TenantTable {
                name: "public.a\nb".into(),
                class: "tenant".into(),
                found: "column tenant_id".into(),
                backup_rows: 1200,
                live_rows: 1190,
                insert: 12,
                update: 3,
                delete: 2,
                conflicts: 0,
            }],
            conflicts: Vec::new(),
            counters: vec![MovedCounter { name: "public.a_id_seq".into(), from: 5, to: 1201 }],
            exported_to: None,
            warnings: vec!["odd".into()],
        }
    }

    #[test]
    fn a_restore_tells_its_plan_table_by_table() {
        assert_eq!(
            text(&a_report(TenantStatus::Restored)),
            "clinic/2024-01-15-02-00-00.zip on disk s3: tenant tenant_id = 42 restored; compared again, the rows are those \
             of the backup (1 min 1 s)\n\
             \x20 clinic into database \"clinic\" on db:5432\n\
             \x20 TABLE        FOUND BY          IN BACKUP    NOW  INSERT  UPDATE  DELETE  CONFLICT\n\
             \x20 public.a\\nb  column tenant_id      1,200  1,190      12       3       2         0\n\
             \x20 together: 12 rows to insert, 3 to update, 2 to delete; 1.0 MiB read from the backup\n\
             \x20 sequence public.a_id_seq goes on at 1201\n\
             \x20 warning: odd\n"
        );
    }

    #[test]
    fn an_export_tells_no_figure_that_nobody_asked_the_database_for() {
        let mut report = a_report(TenantStatus::Exported);
        report.exported_to = Some("out".into());
        let said = text(&report);
        assert!(said.contains("TABLE        FOUND BY           ROWS\n") && said.contains("written to out\n"), "{said}");
        assert!(!said.contains("INSERT"), "{said}");
    }

    #[test]
    fn conflicts_name_their_rows() {
        let mut report = a_report(TenantStatus::Refused);
        report.conflicts.push(TenantConflict {
            table: "users".into(),
            what: "have a key that somebody else's row has now".into(),
            rows: 11,
            keys: vec!["7".into(), "8".into()],
        });
        let said = text(&report);
        assert!(
            said.contains("  conflict: 11 rows of users have a key that somebody else's row has now: 7; 8, …\n"),
            "{said}"
        );
        assert!(said.contains("refused, nothing was changed"), "{said}");
    }

    #[test]
    fn a_plan_says_what_is_open() {
        let table = |name: &str, class: &str, added| ClassedTable {
            name: name.into(),
            class: class.into(),
            found: String::new(),
            added,
        };
        let report = TenantsReport {
            target: "database \"clinic\" on db:5432".into(),
            map: "tenants.json".into(),
            column: "tenant_id".into(),
            written: true,
            tables: vec![table("countries", "unclassed", true), table("users", "tenant", false)],
            open: vec!["countries is not classed".into()],
            warnings: Vec::new(),
        };
        assert_eq!(
            plan(&report),
            "tenants.json for database \"clinic\" on db:5432: written\n\
             \x20 TABLE      CLASS      FOUND BY\n\
             \x20 countries  unclassed            new\n\
             \x20 users      tenant\n\
             \x20 open: countries is not classed\n"
        );
    }
}
