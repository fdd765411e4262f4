//! A restore's report as text.

use nightvault_core::report::{RestoreReport, RestoreStatus, RestoredDatabase, RestoredFiles, RestoredTable};

use super::human::{clean, count, duration, plural, size};
use super::table;

/// At most so many tables are shown, the largest; the report has all of them.
const TABLES_SHOWN: usize = 30;
/// At most so many entries that were left out are named; the report has all of them.
const LEFT_OUT_SHOWN: usize = 20;

pub(crate) fn text(report: &RestoreReport) -> String {
    let (key, disk, took) = (clean(&report.key), clean(&report.disk), duration(report.duration_ms));
    let mut text = match report.status {
        RestoreStatus::Restored => format!("{key} on disk {disk}: restored in {took}\n"),
        RestoreStatus::Planned if report.database.as_ref().is_some_and(|it| !it.whole) => {
            format!("{key} on disk {disk}: dry run, nothing was executed; the target can take it ({took})\n")
        }
        RestoreStatus::Planned => format!(
            "{key} on disk {disk}: dry run, nothing was executed; every byte was read and checked, and the target can take \
             it ({took})\n"
        ),
    };
    if let Some(database) = &report.database {
        text.push_str(&of_database(database, report.status));
    }
    if let Some(files) = &report.files {
        text.push_str(&of_files(files, report.status));
    }
    text.push_str(&format!("  {} read from the backup\n", size(report.bytes_read)));
    for warning in &report.warnings {
        text.push_str(&format!("  warning: {}\n", clean(warning)));
    }
    let swap = report.database.iter().filter(|_| report.status == RestoreStatus::Restored).flat_map(|it| &it.swap);
    let swap: Vec<String> = swap.map(|line| statement(line)).collect();
    if !swap.is_empty() {
        text.push_str(
            "  To put it in the place of the live database on the same server, stop the application, then either\n",
        );
        text.push_str("  give it the new name and its user the rights on that, or swap the tables:\n");
        for line in swap {
            text.push_str(&format!("    {line}\n"));
        }
    }
    text
}

/// A statement as it can be copied. One that a screen cannot hold, or not character by character, is in the report alone.
fn statement(line: &str) -> String {
    const SHOWN_CHARS: usize = 4000;
    if line.chars().count() <= SHOWN_CHARS && clean(line) == line {
        return line.to_owned();
    }
    let words = line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    format!("{} … (the whole statement is in the report: --json)", clean(&words))
}

fn of_database(it: &RestoredDatabase, status: RestoreStatus) -> String {
    let mut text = format!(
        "  {} {} into {}: {}, {}",
        clean(&it.engine),
        clean(&it.name),
        clean(&it.target),
        plural(it.rows, "row", "rows"),
        size(it.raw_bytes)
    );
    if status == RestoreStatus::Restored {
        text.push_str(&format!(" in {}; the server took as many rows as the manifest has", duration(it.duration_ms)));
    }
    text.push('\n');
    if !it.along.is_empty() {
        let along: Vec<String> = it.along.iter().map(|made| clean(made)).collect();
        text.push_str(&format!("  made along with it: {}\n", along.join(", ")));
    }
    let mut tables: Vec<&RestoredTable> = it.tables.iter().collect();
    tables.sort_by_key(|table| std::cmp::Reverse(table.bytes));
    let more = tables.len().saturating_sub(TABLES_SHOWN);
    tables.truncate(TABLES_SHOWN);
    if !tables.is_empty() {
        text.push_str(&table::render(&["TABLE", "ROWS", "SIZE", "TIME"], &[1, 2, 3], tables.into_iter().map(row)));
    }
    if more > 0 {
        text.push_str(&format!("  and {more} smaller tables; --json shows all\n"));
    }
    text
}

fn of_files(it: &RestoredFiles, status: RestoreStatus) -> String {
    let sets: Vec<String> = it.sets.iter().map(|set| clean(set)).collect();
    let mut text = format!(
        "  files {} into {}: {}, {} and {}, {}",
        sets.join(", "),
        clean(&it.target),
        plural(it.files, "file", "files"),
        plural(it.directories, "directory", "directories"),
        plural(it.symlinks, "symbolic link", "symbolic links"),
        size(it.raw_bytes),
    );
    if status == RestoreStatus::Restored {
        text.push_str(&format!(" in {}, whole and authenticated", duration(it.duration_ms)));
    }
    text.push('\n');
    for left_out in it.left_out.iter().take(LEFT_OUT_SHOWN) {
        text.push_str(&format!("  NOT MADE: {}: {}\n", clean(&left_out.entry), clean(&left_out.reason)));
    }
    let rest = it.left_out.len().saturating_sub(LEFT_OUT_SHOWN);
    if rest > 0 {
        text.push_str(&format!("  and {rest} more were not made; --json names all\n"));
    }
    text
}

fn row(table: &RestoredTable) -> Vec<String> {
    let name = match &table.schema {
        Some(schema) => format!("{schema}.{}", table.name),
        None => table.name.clone(),
    };
    let name = match &table.renamed {
        Some(renamed) => format!("{name} as {renamed}"),
        None => name,
    };
    vec![clean(&name), count(table.rows), size(table.bytes), duration(table.duration_ms)]
}

#[cfg(test)]
mod tests {
    use nightvault_core::report::LeftOut;

    use super::*;

    fn a_report() -> RestoreReport {
        let table = |name: &str, rows, bytes| RestoredTable {
            schema: Some("public".into()),
            name: name.into(),
            renamed: None,
            rows,
            bytes,
            duration_ms: 1200,
        };
        RestoreReport {
            key: "clinic/2024-01-15-02-00-00.zip".into(),
            disk: "s3".into(),
            status: RestoreStatus::Restored,
            started: "2024-01-16T03:00:00Z".parse().unwrap(),
            duration_ms: 61_000,
            bytes_read: 1 << 20,
            database: Some(RestoredDatabase {
                name: "clinic".into(),
                engine: "PostgreSQL".into(),
                target: "database \"copy\" on db:5432".into(),
                whole: true,
                jobs: 1,
                along: Vec::new(),
                swap: Vec::new(),
                rows: 1001,
                raw_bytes: 3 << 20,
                statements: 12,
                duration_ms: 30_000,
                tables: vec![table("a\nb", 1, 10), table("visits", 1000, 2 << 20)],
            }),
            files: None,
            warnings: vec!["clinic: odd".into()],
        }
    }

    #[test]
    fn a_restore_tells_its_tables_the_largest_first() {
        assert_eq!(
            text(&a_report()),
            "clinic/2024-01-15-02-00-00.zip on disk s3: restored in 1 min 1 s\n\
             \x20 PostgreSQL clinic into database \"copy\" on db:5432: 1,001 rows, 3.0 MiB in 30.0 s; the server took as \
             many rows as the manifest has\n\
             \x20 TABLE           ROWS     SIZE   TIME\n\
             \x20 public.visits  1,000  2.0 MiB  1.2 s\n\
             \x20 public.a\\nb        1     10 B  1.2 s\n\
             \x20 1.0 MiB read from the backup\n\
             \x20 warning: clinic: odd\n"
        );
    }

    #[test]
    fn files_are_told_with_what_was_left_out() {
        let left_out = LeftOut { entry: "files/docs/l\n".into(), reason: "leads out".into() };
        let files = RestoredFiles {
            sets: vec!["docs".into(), "media".into()],
            target: "/srv/new".into(),
            files: 1200,
            directories: 1,
            symlinks: 0,
            raw_bytes: 5 << 20,
            bytes_read: 6 << 20,
            left_out: vec![left_out],
            duration_ms: 2500,
        };
        let report = RestoreReport { database: None, files: Some(files), warnings: Vec::new(), ..a_report() };
        assert_eq!(
            text(&report),
            "clinic/2024-01-15-02-00-00.zip on disk s3: restored in 1 min 1 s\n\
             \x20 files docs, media into /srv/new: 1,200 files, 1 directory and 0 symbolic links, 5.0 MiB in 2.5 s, whole and \
             authenticated\n\
             \x20 NOT MADE: files/docs/l\\n: leads out\n\
             \x20 1.0 MiB read from the backup\n"
        );
    }

    #[test]
    fn what_came_along_and_the_new_name_of_a_table_are_told() {
        let mut report = a_report();
        let database = report.database.as_mut().unwrap();
        database.along = vec!["type \"a\nb\"".into(), "table public.clinics".into()];
        database.tables[1].renamed = Some("visits_restored".into());
        let text = text(&report);
        assert!(text.contains("\n  made along with it: type \"a\\nb\", table public.clinics\n"), "{text}");
        assert!(text.contains("  public.visits as visits_restored  1,000"), "{text}");
    }

    #[test]
    fn how_to_swap_stands_at_the_end() {
        let mut report = a_report();
        report.database.as_mut().unwrap().swap = vec![
            "CREATE DATABASE `clinic_before`;".into(),
            format!("RENAME TABLE {};", "x".repeat(5000)),
            "DROP TABLE `\n`".into(),
        ];
        let text = text(&report);
        let wanted = "or swap the tables:\n    CREATE DATABASE `clinic_before`;\n    RENAME TABLE … (the whole statement is in the report: --json)\n    \
             DROP TABLE … (the whole statement is in the report: --json)\n";
        assert!(text.ends_with(wanted), "{text}");
    }

    #[test]
    fn a_dry_run_says_that_nothing_was_executed() {
        let mut report = RestoreReport { status: RestoreStatus::Planned, warnings: Vec::new(), ..a_report() };
        report.database.as_mut().unwrap().tables.clear();
        assert_eq!(
            text(&report),
            "clinic/2024-01-15-02-00-00.zip on disk s3: dry run, nothing was executed; every byte was read and checked, \
             and the target can take it (1 min 1 s)\n\
             \x20 PostgreSQL clinic into database \"copy\" on db:5432: 1,001 rows, 3.0 MiB\n\
             \x20 1.0 MiB read from the backup\n"
        );
    }
}
