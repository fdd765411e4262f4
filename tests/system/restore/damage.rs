//! The damage matrix: whatever is changed in an archive, restore executes **no statement that writes**. The judges are the
//! servers' own statement logs. Looking (SELECT, SHOW, SET, the frame of a transaction) is allowed by name; anything else is
//! a failure. Each judge first proves on the whole archive that it would see a restore.
//!
//! Restore reads what it restores: here that is the whole archive, since it holds one dump and nothing else. (Damage in an
//! entry that is not restored is `verify`'s to find.)

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use nightvault_core::catalog::Selector;
use nightvault_core::config::{self, Config};
use nightvault_core::environment::Environment;
use nightvault_core::operation::{Context, Failed, RestoreRequest, Wanted, restore};
use nightvault_core::report::RestoreReport;
use nightvault_core::store::memory::MemoryStore;
use nightvault_core::store::{Review, Store};
use rusqlite::Connection;

use super::judge::{MariaDb, Postgres};
use crate::support::given;
use crate::support::mariadb::{self, User};
use crate::support::nightvault::{Nightvault, PASSWORD};
use crate::support::postgres;

/// Attempts at the same time.
const AT_ONCE: usize = 4;
/// Most bytes of one kind that are flipped.
const FLIPS: usize = 100;

/// An archive of a small database, and another one of the same database with other rows.
pub(super) struct Archives {
    pub(super) key: String,
    pub(super) whole: Vec<u8>,
    pub(super) other: Vec<u8>,
}

/// Backs the installation up twice, with `change` between.
pub(super) fn archives(nightvault: &Nightvault, change: impl FnOnce()) -> Archives {
    let run = |time: &str| {
        let report = nightvault.ok(&["run", "--no-notify", "--scheduled-time", time]);
        let key = report["key"].as_str().expect("a key").to_owned();
        let bytes = fs::read(nightvault.archive(&key)).expect("an archive");
        (key, bytes)
    };
    let (key, whole) = run("2024-01-15T02:00:00Z");
    change();
    let (_, other) = run("2024-01-16T02:00:00Z");
    Archives { key, whole, other }
}

/// A configuration that knows no source, and whose disk nobody uses.
pub(crate) fn config() -> Config {
    let variables = BTreeMap::from([
        ("BACKUP_NAME", "clinic"),
        ("BACKUP_DISK", "local"),
        ("BACKUP_LOCAL_PATH", "/nowhere"),
        ("BACKUP_ARCHIVE_PASSWORD", PASSWORD),
    ]);
    config::load(&|name| variables.get(name).map(|value| (*value).to_owned())).expect("a configuration")
}

/// A store that holds these bytes under this key.
pub(super) async fn store_of(key: &str, bytes: &[u8]) -> Arc<dyn Store> {
    let store = MemoryStore::new("memory");
    let mut upload = store.create(key, None).await.expect("an upload");
    upload.write(Bytes::copy_from_slice(bytes)).await.expect("taken");
    upload.complete(&Review { bytes: bytes.len() as u64 }).await.expect("stored");
    Arc::new(store)
}

/// Restores the newest backup of a store to an address.
pub(super) async fn attempt(store: Arc<dyn Store>, to: &str) -> Result<RestoreReport, Failed<RestoreReport>> {
    let config = config();
    // Of the judged user of MariaDB; nobody else asks for one.
    let password = to.starts_with("mariadb:").then(|| nightvault_core::secret::Secret::new("pw"));
    let to = config::parse_database_url("--to", to, &config.database_defaults, password).expect("an address");
    let environment = Environment::with_stores(config, vec![store], vec![]);
    let request = RestoreRequest {
        of: Wanted { backup: Selector::Latest, disks: vec![] },
        to: Some(to),
        files: None,
        database: None,
        jobs: 1,
        table: None,
        dry_run: false,
    };
    restore(&environment, &request, &context()).await
}

/// The moment at which a test runs.
pub(crate) fn context() -> Context {
    Context {
        now: "2030-01-01T00:00:00Z".parse().expect("a moment"),
        deadline: None,
        progress: Arc::default(),
        interrupt: Default::default(),
        trigger: nightvault_core::audit::Trigger::command_line("a test"),
    }
}

/// One entry of an archive of ours.
struct Entry {
    local: Range<usize>,
    data: Range<usize>,
    descriptor: Range<usize>,
    central: Range<usize>,
}

fn number(bytes: &[u8], at: usize, len: usize) -> usize {
    bytes[at..at + len].iter().rev().fold(0, |value, byte| value << 8 | usize::from(*byte))
}

/// The entries, from a directory without zip64 fields, and where the directory starts.
fn entries(bytes: &[u8]) -> (Vec<Entry>, usize) {
    let directory = number(bytes, bytes.len() - 6, 4);
    let (mut found, mut at) = (Vec::new(), directory);
    while bytes[at..].starts_with(b"PK\x01\x02") {
        let next = at + 46 + number(bytes, at + 28, 2) + number(bytes, at + 30, 2);
        let start = number(bytes, at + 42, 4);
        let data = start + 30 + number(bytes, start + 26, 2) + number(bytes, start + 28, 2);
        let end = data + number(bytes, at + 20, 4);
        found.push(Entry { local: start..data, data: data..end, descriptor: end..end + 24, central: at..next });
        at = next;
    }
    (found, directory)
}

/// An archive put together anew from pieces of others: headers, data, descriptor, and the central header of each entry.
fn assemble(parts: &[(&[u8], &Entry)]) -> Vec<u8> {
    let (mut bytes, mut central) = (Vec::new(), Vec::new());
    for (of, entry) in parts {
        let offset = u32::try_from(bytes.len()).expect("small").to_le_bytes();
        bytes.extend_from_slice(&of[entry.local.start..entry.descriptor.end]);
        let mut header = of[entry.central.clone()].to_vec();
        header[42..46].copy_from_slice(&offset);
        central.extend(header);
    }
    let count = u16::try_from(parts.len()).expect("few").to_le_bytes();
    let size = u32::try_from(central.len()).expect("small").to_le_bytes();
    let offset = u32::try_from(bytes.len()).expect("small").to_le_bytes();
    [bytes, central, b"PK\x05\x06\0\0\0\0".to_vec(), count.into(), count.into(), size.into(), offset.into(), vec![0, 0]]
        .concat()
}

/// Everything that is done to the archive: what, under which key, and the bytes. `every`: one in so many bytes of the
/// structures is flipped.
fn damages(archives: &Archives, every: usize) -> Vec<(String, String, Vec<u8>)> {
    let Archives { key, whole, other } = archives;
    let (ours, directory) = entries(whole);
    let (theirs, _) = entries(other);
    let mut cases = Vec::new();
    let mut case = |what: String, bytes: Vec<u8>| cases.push((what, key.clone(), bytes));

    let mut flips: Vec<usize> = Vec::new();
    for entry in &ours {
        let structures = entry.local.clone().chain(entry.descriptor.clone());
        flips.extend(structures.step_by(every));
        // Salt and verifier, the ciphertext, and the authentication code.
        let Range { start, end } = entry.data;
        flips.extend((start..start + 18).step_by(every).chain((end - 10..end).step_by(every)));
        flips.extend((start + 18..end - 10).step_by((entry.data.len() * every).div_ceil(FLIPS)));
    }
    flips.extend((directory..whole.len()).step_by(every));
    for at in flips {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        case(format!("bit {} of byte {at} flipped", at % 8), bytes);
    }
    let lengths = (1..whole.len()).step_by(whole.len() / 24).chain(whole.len() - 24..whole.len()).step_by(every.min(3));
    for length in lengths {
        case(format!("cut to {length}"), whole[..length].to_vec());
    }
    case("a byte behind".into(), [whole.as_slice(), b"\0"].concat());
    case("twice".into(), [whole.as_slice(), whole].concat());
    case("the other behind".into(), [whole.as_slice(), other].concat());

    let last = ours.len() - 1;
    let all = || ours.iter().map(|entry| (whole.as_slice(), entry)).collect::<Vec<_>>();
    assert_eq!(assemble(&all()), *whole, "what is put together from its own pieces is the archive");
    for at in 0..=last {
        let mut parts = all();
        parts.remove(at);
        case(format!("entry {at} dropped"), assemble(&parts));
        let mut parts = all();
        parts[at] = (other.as_slice(), &theirs[at]);
        case(format!("entry {at} of the other archive in its place"), assemble(&parts));
        let mut parts = all();
        parts.swap(at, (at + 1) % ours.len());
        case(format!("entry {at} swapped with the next"), assemble(&parts));
        let mut parts = all();
        parts.push(parts[at]);
        case(format!("entry {at} twice"), assemble(&parts));
        let mut bytes = whole.clone();
        for start in [ours[at].local.start + 30, ours[at].central.start + 46] {
            bytes[start] ^= 0x20;
        }
        case(format!("entry {at} renamed"), bytes);
        if at != last {
            // The data alone, under the headers of the other.
            let next = &ours[at + 1];
            let mut bytes = whole.clone();
            let len = ours[at].data.len().min(next.data.len());
            for offset in 0..len {
                bytes.swap(ours[at].data.start + offset, next.data.start + offset);
            }
            case(format!("data of entry {at} swapped with the next"), bytes);
        }
    }
    cases.push(("another day's under this key".into(), key.clone(), other.clone()));
    cases.push(("under another day's key".into(), key.replace("01-15", "01-17"), whole.clone()));
    cases
}

/// Every damage is refused. Returns how many there were.
async fn refuse_all(archives: &Archives, every: usize, to: &str) -> usize {
    let cases = damages(archives, every);
    let count = cases.len();
    let attempts = cases.into_iter().map(|(what, key, bytes)| async move {
        let store = store_of(&key, &bytes).await;
        let refused = attempt(store, to).await;
        assert!(refused.is_err(), "{what}: restored");
    });
    futures_util::stream::iter(attempts).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_damaged_archive_is_executed_by_postgresql() {
    let source = postgres::Scratch::new();
    source.psql("CREATE TABLE t (id int PRIMARY KEY, name text); INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 40) i");
    let mut nightvault = Nightvault::local("clinic");
    let url = |name: &str| format!("postgres://postgres@127.0.0.1:{}/{name}?sslmode=disable", postgres::port());
    nightvault.set("DATABASE_URL", &url(&source.name));
    let archives = archives(&nightvault, || _ = source.psql("UPDATE t SET name = 'other'"));

    let target = postgres::Scratch::new();
    let judge = Postgres::of(&target.name);
    let count = refuse_all(&archives, 1, &url(&target.name)).await;
    assert!(count > 700, "{count} damages");
    let looked = judge.statements();
    assert!(looked.iter().any(|statement| statement.starts_with("SELECT")), "the log is that of this database");
    assert_eq!(judge.writing(), Vec::<String>::new());
    // The judge would have seen it.
    attempt(store_of(&archives.key, &archives.whole).await, &url(&target.name))
        .await
        .expect("the whole one is restored");
    let written = judge.writing();
    assert!(
        written.iter().any(|it| it.starts_with("CREATE TABLE")) && written.iter().any(|it| it.starts_with("COPY")),
        "{written:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_damaged_archive_is_executed_by_mariadb() {
    let source = mariadb::Scratch::new("damaged");
    source.run("CREATE TABLE t (id INT PRIMARY KEY, name TEXT); INSERT INTO t SELECT seq, MD5(seq) FROM seq_1_to_40");
    let mut nightvault = Nightvault::local("clinic");
    nightvault.set_source(&source);
    let archives = archives(&nightvault, || _ = source.run("UPDATE t SET name = 'other'"));

    let target = mariadb::Scratch::new("target");
    let user = User::new("judged", &[&format!("ALL ON `{}`.*", target.name())]);
    let to =
        format!("mariadb://{}@127.0.0.1:{}/{}?sslmode=prefer", user.name(), given("TEST_MARIADB_PORT"), target.name());
    let judge = MariaDb::of(user.name());
    // Every seventh byte of the structures: what reads them is the same for every engine.
    let count = refuse_all(&archives, 7, &to).await;
    assert!(count > 100, "{count} damages");
    assert!(judge.statements().iter().any(|statement| statement.starts_with("SELECT")), "the log is that of this user");
    assert_eq!(judge.writing(), Vec::<String>::new());
    attempt(store_of(&archives.key, &archives.whole).await, &to).await.expect("the whole one is restored");
    let written = judge.writing();
    assert!(
        written.iter().any(|it| it.starts_with("CREATE TABLE")) && written.iter().any(|it| it.starts_with("INSERT")),
        "{written:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_file_comes_of_a_damaged_archive_of_sqlite() {
    let mut nightvault = Nightvault::local("clinic");
    let path = nightvault.folder().join("source.sqlite");
    let source = Connection::open(&path).expect("a database");
    source
        .execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO t VALUES (1, 'x')")
        .expect("a row");
    nightvault.set("DATABASE_URL", &format!("sqlite://{}", path.display()));
    let archives = archives(&nightvault, || source.execute_batch("UPDATE t SET name = 'other'").expect("another row"));
    let folder = nightvault.folder().join("new");
    fs::create_dir(&folder).expect("a folder");
    let to = format!("sqlite://{}/copy.sqlite", folder.display());
    let count = refuse_all(&archives, 7, &to).await;
    assert!(count > 100, "{count} damages");
    let names = |folder: &Path| fs::read_dir(folder).expect("a folder").count();
    assert_eq!(names(&folder), 0, "not even a hidden file");
    attempt(store_of(&archives.key, &archives.whole).await, &to).await.expect("the whole one is restored");
    assert_eq!(names(&folder), 1);
}
