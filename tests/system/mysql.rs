//! MySQL and MariaDB dumps, restored by the server's own client and compared with the original.

#![allow(clippy::unwrap_used, reason = "a test's helper may fail like the test")]

mod consistency;
mod hostile;
mod refusals;
mod round_trip;

use nightvault_core::config::ServerDatabase;
use nightvault_core::progress::Progress;
use nightvault_core::source::{DatabaseDump, DumpLimits, DumpWriter, mysql};

use crate::support::mariadb::Scratch;

/// Dumps a database into memory.
async fn dump(database: &ServerDatabase) -> nightvault_core::Result<(Vec<u8>, DatabaseDump)> {
    dump_with(database, &DumpLimits::default()).await
}

async fn dump_with(database: &ServerDatabase, limits: &DumpLimits) -> nightvault_core::Result<(Vec<u8>, DatabaseDump)> {
    let mut bytes = Vec::new();
    let progress = Progress::default();
    let mut writer = DumpWriter::new(&mut bytes, &progress);
    let dump = mysql::dump(database, limits, &mut writer).await?;
    let length = writer.finish().await?;
    assert_eq!(length, bytes.len() as u64);
    assert_eq!(progress.snapshot().rows, dump.tables.iter().map(|table| table.rows).sum::<u64>());
    Ok((bytes, dump))
}

/// Dumps `original`, restores the dump into a new database and asserts that nothing differs.
async fn assert_round_trip(original: &Scratch) -> DatabaseDump {
    let (bytes, dump) = dump(&original.config()).await.unwrap();
    let restored = Scratch::with_options("restored", "CHARACTER SET latin1");
    restored.restore(&bytes);
    assert_same(original, &restored);
    dump
}

fn assert_same(original: &Scratch, restored: &Scratch) {
    assert_lines(&original.oracle(), &restored.oracle());
    assert_lines(&original.digests(), &restored.digests());
}

/// Compares texts and shows the first line that differs.
fn assert_lines(expected: &str, found: &str) {
    for (number, (a, b)) in expected.lines().zip(found.lines()).enumerate() {
        assert_eq!(a, b, "line {}", number + 1);
    }
    assert_eq!(expected.lines().count(), found.lines().count());
}
