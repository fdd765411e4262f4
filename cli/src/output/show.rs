//! What is inside a backup, as text.

use nightvault_core::archive::manifest::{DatabaseManifest, FilesManifest, TableManifest};
use nightvault_core::report::{ForeignLine, ShowReport};

use super::human::{age, clean, count, plural, size};
use super::{hold, table};

/// At most so many files that are not in the backup are named; the report has all of them.
const PROBLEMS_SHOWN: usize = 20;
/// At most so many entries of another program's archive are listed; the report has all of them.
const ENTRIES_SHOWN: usize = 1000;

pub(crate) fn text(report: &ShowReport) -> String {
    let manifest = report.manifest.as_ref();
    let written_by = manifest.map_or_else(
        || "another program, without a manifest".to_owned(),
        |manifest| format!("{} (format {})", clean(&manifest.tool), manifest.format_version),
    );
    let encrypted = match (report.encrypted, manifest) {
        (true, _) => "AES-256",
        (false, Some(_)) => "NOT encrypted",
        (false, None) => "NOT all encrypted with AES-256",
    };
    let (key, bytes, old) = (clean(&report.key), size(report.size), age(report.age_seconds));
    let mut text = format!("{key}: {bytes}, {old} old, {encrypted}, written by {written_by}\n");
    if let Some(manifest) = manifest {
        text.push_str(&format!(
            "  of {:.0}, read from its sources from {:.0} to {:.0}\n",
            manifest.date, manifest.started, manifest.finished
        ));
    }
    text.push_str(&match &report.proof {
        Some(proof) if proof.whole => format!("  verified whole on {:.0}\n", proof.at),
        Some(proof) => format!("  DAMAGED since {:.0}\n", proof.at),
        None => "  never verified whole, as far as is noted\n".to_owned(),
    });
    text.push_str(&report.guard.as_ref().map_or(String::new(), |guard| format!("  {}\n", hold::sentence(guard))));
    if let Some(manifest) = manifest {
        manifest.databases.iter().for_each(|it| text.push_str(&database(it)));
        manifest.files.iter().for_each(|it| text.push_str(&files(it)));
    }
    if let Some(lines) = &report.foreign {
        text.push_str(&directory(lines));
    }
    text.push_str(&format!(
        "{}; {} of {} were read from disk {}\n",
        plural(report.entries, "entry", "entries"),
        size(report.bytes_read),
        size(report.size),
        clean(&report.disk)
    ));
    text
}

/// What a directory says that nothing vouches for.
fn directory(lines: &[ForeignLine]) -> String {
    let row = |line: &ForeignLine| {
        let modified = line.modified.map_or_else(|| "?".to_owned(), |at| format!("{at:.0}"));
        vec![clean(&line.name), size(line.bytes), clean(&line.encryption), modified]
    };
    let header = ["ENTRY", "BYTES", "ENCRYPTION", "MODIFIED"];
    let mut text = table::render(&header, &[1], lines.iter().take(ENTRIES_SHOWN).map(row));
    let rest = lines.len().saturating_sub(ENTRIES_SHOWN);
    if rest > 0 {
        text.push_str(&format!("  and {rest} more entries; --json shows all\n"));
    }
    text
}

fn database(it: &DatabaseManifest) -> String {
    let mut text = format!(
        "database {}: {} {}, {} with {}, {} ({} stored) in {}\n",
        clean(&it.name),
        clean(&it.engine),
        clean(&it.server_version),
        plural(it.tables.len() as u64, "table", "tables"),
        plural(it.rows, "row", "rows"),
        size(it.raw_bytes),
        size(it.stored_bytes),
        clean(&it.entry),
    );
    let row = |table: &TableManifest| {
        let schema = table.schema.as_ref().map_or(String::new(), |schema| format!("{}.", clean(schema)));
        // The tables of a SQLite file share its pages; none has bytes of its own.
        let bytes = if it.engine == "SQLite" { "-".to_owned() } else { size(table.bytes) };
        vec![format!("{schema}{}", clean(&table.name)), count(table.rows), bytes]
    };
    if !it.tables.is_empty() {
        text.push_str(&table::render(&["TABLE", "ROWS", "BYTES"], &[1, 2], it.tables.iter().map(row)));
    }
    if !it.objects.is_empty() {
        let objects: Vec<_> =
            it.objects.iter().map(|(kind, many)| format!("{} {}", count(*many), clean(kind))).collect();
        text.push_str(&format!("  objects: {}\n", objects.join(", ")));
    }
    it.warnings.iter().for_each(|warning| text.push_str(&format!("  warning: {}\n", clean(warning))));
    text
}

fn files(it: &FilesManifest) -> String {
    let mut text = format!(
        "files {}: {}, {}, {}, {} ({} stored)\n",
        clean(&it.name),
        plural(it.files, "file", "files"),
        plural(it.directories, "directory", "directories"),
        plural(it.symlinks, "symbolic link", "symbolic links"),
        size(it.raw_bytes),
        size(it.stored_bytes),
    );
    for problem in it.problems.iter().take(PROBLEMS_SHOWN) {
        let kind = format!("{:?}", problem.kind).to_lowercase();
        text.push_str(&format!("  {kind}: {}\n", clean(&problem.path)));
    }
    let rest = it.problems.len().saturating_sub(PROBLEMS_SHOWN);
    if rest > 0 {
        text.push_str(&format!("  and {rest} more such files; --json shows all\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn databases_tables_files_and_warnings_are_shown_and_no_name_is_obeyed() {
        let table = json!({"schema": "public", "name": "pa\u{1b}tients", "rows": 1200, "offset": 0, "bytes": 2048, "sha256": ""});
        let manifest = json!({
            "format_version": 1, "tool": "nightvault 0.1.0", "name": "clinic", "key": "clinic/2024-01-15-02-00-00.zip",
            "date": "2024-01-15T02:00:00Z", "started": "2024-01-15T02:00:01Z", "finished": "2024-01-15T02:03:00Z",
            "databases": [{
                "name": "clinic", "engine": "PostgreSQL", "server_version": "15.4", "entry": "db-dumps/clinic.sql",
                "snapshot": {}, "tables": [table], "objects": {"views": 2}, "warnings": ["a b\n"], "rows": 1200,
                "raw_bytes": 4096, "stored_bytes": 1024, "sha256": "",
            }],
            "files": [{
                "name": "docs", "files": 3, "directories": 1, "symlinks": 0, "raw_bytes": 10, "stored_bytes": 20,
                "problems": [{"path": "x", "kind": "vanished", "detail": ""}],
            }],
            "compression": "deflate", "piece_bytes": 4194304, "index": {"entries": 5, "bytes": 1, "sha256": ""},
        });
        let report: ShowReport = serde_json::from_value(json!({
            "disk": "s3", "key": "clinic/2024-01-15-02-00-00.zip", "date": "2024-01-15T02:00:00Z", "age_seconds": 7200,
            "size": 700 << 20, "bytes_read": 1 << 20, "entries": 7, "encrypted": true,
            "proof": {"whole": true, "at": "2024-01-16T03:00:00Z"}, "manifest": manifest,
            "guard": {"held": true, "held_by": "mark", "hold_reason": "a b", "lock_mode": null, "held_since": null},
        }))
        .unwrap();
        assert_eq!(
            text(&report),
            "clinic/2024-01-15-02-00-00.zip: 700.0 MiB, 2 h 0 min old, AES-256, written by nightvault 0.1.0 (format 1)\n\
             \x20 of 2024-01-15T02:00:00Z, read from its sources from 2024-01-15T02:00:01Z to 2024-01-15T02:03:00Z\n\
             \x20 verified whole on 2024-01-16T03:00:00Z\n\
             \x20 held by a mark that our cleanup heeds, and nobody else: a b\n\
             database clinic: PostgreSQL 15.4, 1 table with 1,200 rows, 4.0 KiB (1.0 KiB stored) in db-dumps/clinic.sql\n\
             \x20 TABLE                   ROWS    BYTES\n\
             \x20 public.pa\\u{1b}tients  1,200  2.0 KiB\n\
             \x20 objects: 2 views\n\
             \x20 warning: a b\\n\n\
             files docs: 3 files, 1 directory, 0 symbolic links, 10 B (20 B stored)\n\
             \x20 vanished: x\n\
             7 entries; 1.0 MiB of 700.0 MiB were read from disk s3\n"
        );
    }

    #[test]
    fn the_directory_of_another_programs_archive_is_shown() {
        let report: ShowReport = serde_json::from_value(json!({
            "disk": "s3", "key": "clinic/2024-01-15-02-00-00.zip", "date": "2024-01-15T02:00:00Z", "age_seconds": 7200,
            "size": 700 << 20, "bytes_read": 1 << 20, "entries": 1, "encrypted": false, "proof": null, "manifest": null,
            "foreign": [{
                "name": "db-dumps/mysql-x\u{1b}.sql", "bytes": 2048, "stored_bytes": 20, "encryption": "ZipCrypto",
                "modified": "2024-01-15T02:00:00Z",
            }],
        }))
        .unwrap();
        assert_eq!(
            text(&report),
            "clinic/2024-01-15-02-00-00.zip: 700.0 MiB, 2 h 0 min old, NOT all encrypted with AES-256, written by another \
             program, without a manifest\n\
             \x20 never verified whole, as far as is noted\n\
             \x20 ENTRY                         BYTES  ENCRYPTION  MODIFIED\n\
             \x20 db-dumps/mysql-x\\u{1b}.sql  2.0 KiB  ZipCrypto   2024-01-15T02:00:00Z\n\
             1 entry; 1.0 MiB of 700.0 MiB were read from disk s3\n"
        );
    }
}
