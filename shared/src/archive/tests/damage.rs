//! What is not exactly what was written is told: each bit, each length, each entry that was moved, dropped or renamed.

use std::sync::atomic::{AtomicUsize, Ordering};

use sha2::{Digest, Sha256};

use super::*;
use crate::archive::container::{End, Record};
use crate::archive::manifest::TableManifest;
use crate::archive::piece;
use crate::archive::reader::Opened;
use crate::archive::reader::blocks::{Access, Blocks};
use crate::archive::seal::{CODE_BYTES, Keys, SALT_BYTES, VERIFIER_BYTES};
use crate::progress::Progress;
use crate::source::hex;

const FILE: u32 = 0o100_644;

async fn verified(bytes: &[u8]) -> Result<Verified> {
    let (store, object) = store(bytes);
    verify(store, &object, &password(), SqliteRows::Counted, &Progress::default()).await
}

async fn refusal(bytes: &[u8]) -> Error {
    verified(bytes).await.expect_err("damage must be told")
}

async fn records(bytes: &[u8]) -> Vec<Record> {
    let (store, object) = store(bytes);
    let blocks = Blocks::new(store, object, Access::Random);
    tokio::task::spawn_blocking(move || Opened::open(blocks, &password()).unwrap().records).await.unwrap()
}

/// Where the data of an entry is.
fn data(record: &Record) -> Range<usize> {
    let start = record.offset as usize + record.local_header().len();
    start..start + record.stored as usize
}

/// Writes a faultless zip of entries whose data was taken from elsewhere: only the manifest can tell.
fn forge(entries: &[(Record, &[u8])]) -> Vec<u8> {
    let (mut bytes, mut central) = (Vec::new(), Vec::new());
    for (record, data) in entries {
        let record = Record { offset: bytes.len() as u64, stored: data.len() as u64, ..record.clone() };
        bytes.extend(record.local_header());
        bytes.extend_from_slice(data);
        bytes.extend(record.descriptor());
        central.extend(record.central_header());
    }
    let end = End { entries: entries.len() as u64, offset: bytes.len() as u64, bytes: central.len() as u64 };
    bytes.extend(&central);
    bytes.extend(end.encode());
    bytes
}

async fn small() -> Vec<u8> {
    archive(&[given("files/set/a", FILE, b"hello"), given("files/set/d/", 0o40_755, b"")], OPTIONS).await.0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_is_told_wherever_it_is() {
    let bytes = small().await;
    let files = records(&bytes).await.into_iter().filter(|record| !record.is_directory());
    let ciphertext: Vec<Range<usize>> =
        files.map(|record| data(&record).start + SALT_BYTES + VERIFIER_BYTES..data(&record).end - CODE_BYTES).collect();
    let mut checks = tokio::task::JoinSet::new();
    let threads = 4;
    let bytes = Arc::new(bytes);
    for thread in 0..threads {
        let (bytes, ciphertext) = (Arc::clone(&bytes), ciphertext.clone());
        checks.spawn(async move {
            let mut flips = 0;
            for at in (thread..bytes.len()).step_by(threads) {
                // One bit of each byte, another one from byte to byte; of the ciphertext every eighth byte, as the
                // authentication code covers all alike. Each try costs three derivations of keys.
                if at % 8 != 0 && ciphertext.iter().any(|range| range.contains(&at)) {
                    continue;
                }
                let mut flipped = bytes.to_vec();
                flipped[at] ^= 1 << (at * 5 % 8);
                let error = verified(&flipped).await.expect_err(&format!("byte {at}"));
                let class = error.class();
                assert!(matches!(class, Class::Corrupt | Class::WrongPassword), "byte {at}: {error:?}");
                flips += 1;
            }
            flips
        });
    }
    let flips: usize = checks.join_all().await.into_iter().sum();
    assert!(flips > 700, "{flips}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_was_cut_is_told_at_every_length() {
    let bytes = small().await;
    for len in 0..bytes.len() {
        let error = refusal(&bytes[..len]).await;
        assert_eq!(error.class(), Class::Corrupt, "{len} bytes: {error:?}");
    }
    let longer = [bytes.as_slice(), b"\0"].concat();
    assert_eq!(refusal(&longer).await.class(), Class::Corrupt);
    // The object has grown since it was listed.
    let (_, listed) = store(&bytes);
    let (grown, _) = store(&longer);
    let error = read_tail(grown, &listed, &password()).await.unwrap_err();
    assert!(error.to_string().contains("bytes, not"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_were_swapped_dropped_renamed_or_added_are_told() {
    let given = [given("files/set/a", FILE, b"one"), given("files/set/b", FILE, b"two")];
    let bytes = archive(&given, OPTIONS).await.0;
    let records = records(&bytes).await;
    let of = |number: usize| (records[number].clone(), &bytes[data(&records[number])]);
    let [a, b, index, manifest] = [of(0), of(1), of(2), of(3)];
    let named = |name: &str, from: &(Record, _)| Record { name: name.into(), ..from.0.clone() };

    let same = forge(&[a.clone(), b.clone(), index.clone(), manifest.clone()]);
    assert!(same == bytes, "the forger's tools are good");
    for (what, entries, told) in [
        ("swapped", vec![(a.0.clone(), b.1), (b.0.clone(), a.1)], "does not match its digest"),
        ("swapped with their names", vec![b.clone(), a.clone()], "is named"),
        ("dropped", vec![a.clone()], "is named"),
        ("renamed", vec![a.clone(), (named("files/set/c", &b), b.1)], "is named"),
        ("made evil", vec![a.clone(), (named("../../etc/cron.d/b", &b), b.1)], "is named"),
        ("added", vec![a.clone(), b.clone(), (named("files/set/c", &b), b.1)], "is named"),
        ("doubled", vec![a.clone(), b.clone(), b.clone()], "same name"),
        ("emptied", vec![], "is named"),
    ] {
        let entries = [entries, vec![index.clone(), manifest.clone()]].concat();
        let error = refusal(&forge(&entries)).await;
        assert_eq!(error.class(), Class::Corrupt, "{what}: {error:?}");
        assert!(error.to_string().contains(told), "{what}: {error}");
    }
    for entries in [vec![a.clone(), b.clone()], vec![a.clone(), b.clone(), manifest.clone()], vec![]] {
        assert!(refusal(&forge(&entries)).await.to_string().contains("the last entries are not"));
    }
    // The index of another archive with the same password, and its whole end.
    let other = archive(&given[..1], OPTIONS).await.0;
    let others = super::damage::records(&other).await;
    let other_index = (others[1].clone(), &other[data(&others[1])]);
    let error = refusal(&forge(&[a.clone(), b.clone(), other_index, manifest])).await;
    assert!(error.to_string().contains("the index is not the one"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_even_when_its_verifier_is_right() {
    let mut bytes = small().await;
    let (one, object) = store(&bytes);
    let wrong = Secret::new("another password that is long enough");
    let error = read_tail(one, &object, &wrong).await.unwrap_err();
    assert_eq!(error.class(), Class::WrongPassword);
    assert_eq!(error.to_string(), format!("{KEY}: wrong password: it opens no entry that was tried"));

    // What one wrong password in 65,536 meets: its verifier, here put in on purpose.
    let manifest = data(records(&bytes).await.last().unwrap());
    let salt = bytes[manifest.start..manifest.start + SALT_BYTES].try_into().unwrap();
    let prefix = Keys::derive(&wrong, salt).prefix();
    bytes[manifest.start..manifest.start + prefix.len()].copy_from_slice(&prefix);
    let (colliding, object) = store(&bytes);
    let error = read_tail(colliding, &object, &wrong).await.unwrap_err();
    assert_eq!(error.class(), Class::WrongPassword, "{error:?}");
    // The right password meets the same damage.
    let (damaged, object) = store(&bytes);
    let error = read_tail(damaged, &object, &password()).await.unwrap_err();
    assert_eq!(error.class(), Class::Corrupt);
    assert!(error.to_string().contains("damaged, and the password is the right one"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_another_key_is_told_to_be_a_copy() {
    let yesterday = Manifest { key: "clinic/2024-01-14-02-00-00.zip".into(), ..manifest() };
    let (bytes, _) = write_archive(&[], OPTIONS, yesterday, |_| ()).await.unwrap();
    let error = refusal(&bytes).await;
    assert_eq!(error.class(), Class::Corrupt);
    assert!(error.to_string().contains("clinic/2024-01-14-02-00-00.zip"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_does_not_fit_its_entries_is_told() {
    const BLOCK: &[u8] = b"COPY t FROM stdin;\n1\n\\.\n\n";
    let dump = [BLOCK, b"b;", BLOCK].concat();
    let entries = [given("db-dumps/a.sql", FILE, &dump), given("files/set/x", FILE, b"")];
    let end = BLOCK.len() as u64 + 2;
    let table = |offset, bytes: &[u8]| TableManifest {
        schema: None,
        name: "t".into(),
        rows: 1,
        offset,
        bytes: bytes.len() as u64,
        sha256: hex(&Sha256::digest(bytes)),
        longest_statement: None,
    };
    let with = |tables: Vec<TableManifest>| {
        move |manifest: &mut Manifest| {
            manifest.databases[0].rows = tables.iter().map(|table| table.rows).sum();
            manifest.databases[0].tables = tables;
        }
    };
    let both = || vec![table(0, BLOCK), table(end, BLOCK)];
    let (good, _) = write_archive(&entries, OPTIONS, manifest(), with(both())).await.unwrap();
    verified(&good).await.unwrap();
    type Change<'a> = Box<dyn FnOnce(&mut Manifest) + 'a>;
    let changes: Vec<(&str, Change)> = vec![
        ("is not in the archive", Box::new(|m| m.databases[0].entry = "db-dumps/b.sql".into())),
        ("not in the manifest", Box::new(|m| m.databases.clear())),
        ("not in the manifest", Box::new(|m| m.files.clear())),
        ("lists \"db-dumps/a.sql\" twice", Box::new(|m| m.databases.push(m.databases[0].clone()))),
        ("disagree", Box::new(|m| m.databases[0].raw_bytes += 1)),
        ("file set \"set\" holds", Box::new(|m| m.files[0].files += 1)),
        ("have 0 rows, not 5", Box::new(|m| m.databases[0].rows = 5)),
        ("do not match their digest", Box::new(with(vec![table(2, b"x;")]))),
        ("are not where", Box::new(with(vec![table(4, &[0; 100])]))),
        ("are not where", Box::new(with(both().into_iter().rev().collect()))),
        ("are not where", Box::new(with(vec![TableManifest { bytes: u64::MAX, ..table(4, b"c;") }]))),
        (
            "holds 1 rows of table \"t\" where its manifest says 2",
            Box::new(with(vec![table(0, BLOCK), TableManifest { rows: 2, ..table(end, BLOCK) }])),
        ),
        (
            "holds 1 rows of table \"s.t\" where its manifest says 0",
            Box::new(with(vec![TableManifest { rows: 0, schema: Some("s".into()), ..table(0, BLOCK) }])),
        ),
        (
            "the section of table \"t\" in \"db-dumps/a.sql\" is no block of COPY",
            Box::new(with(vec![table(0, &BLOCK[..9])])),
        ),
        (
            "is no sequence of INSERT statements",
            Box::new(move |m| {
                with(both())(m);
                m.databases[0].engine = "MariaDB".into();
            }),
        ),
    ];
    for (told, change) in changes {
        let (bytes, _) = write_archive(&entries, OPTIONS, manifest(), change).await.unwrap();
        let error = refusal(&bytes).await;
        assert!(error.class() == Class::Corrupt && error.to_string().contains(told), "{told}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn extract_writes_no_byte_of_a_damaged_piece() {
    let options = ArchiveOptions { compression: Compression::Store, ..OPTIONS };
    let contents: Vec<u8> = (0..3 * piece::FIRST_PIECE_BYTES).map(|at| (at % 251) as u8).collect();
    let (mut bytes, _) = archive(&[given("files/set/a", FILE, &contents)], options).await;
    let data = data(&records(&bytes).await[0]);
    bytes[data.start + SALT_BYTES + 2 + 2 * piece::FIRST_PIECE_BYTES + 5] ^= 1;
    let (damaged, object) = store(&bytes);
    let mut out = Vec::new();
    let error = extract(damaged.clone(), &object, &password(), "files/set/a", &mut out).await.unwrap_err();
    assert!(error.to_string().contains("files/set/a"), "{error}");
    assert!(out == contents[..2 * piece::FIRST_PIECE_BYTES], "{} bytes were written", out.len());
    // The tail is whole: it does not read the contents, and does not say that it did.
    read_tail(damaged.clone(), &object, &password()).await.unwrap();
    let error = extract(damaged.clone(), &object, &password(), "files/set/b", &mut out).await.unwrap_err();
    assert_eq!(error.class(), Class::NotFound);
    let full = &mut [0; 10][..];
    let error = extract(damaged, &object, &password(), "files/set/a", &mut { full }).await.unwrap_err();
    assert!(error.to_string().contains("cannot write"), "{error:?}");
}

/// A store whose n-th read fails.
#[derive(Debug)]
struct Failing {
    inner: Arc<dyn Store>,
    left: AtomicUsize,
}

#[async_trait]
impl Store for Failing {
    fn disk(&self) -> &str {
        "failing"
    }
    async fn probe(&self) -> Result<()> {
        self.inner.probe().await
    }
    async fn list(&self, prefix: &str) -> Result<Vec<Object>> {
        self.inner.list(prefix).await
    }
    async fn head(&self, key: &str) -> Result<Option<Object>> {
        self.inner.head(key).await
    }
    async fn read(&self, key: &str, range: Range<u64>, etag: Option<&str>) -> Result<Bytes> {
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| Some(left.saturating_sub(1)));
        if left == Ok(1) {
            return Err(Error::new(Class::Transient, "the store stumbled"));
        }
        self.inner.read(key, range, etag).await
    }
    async fn create(&self, key: &str, expected_bytes: Option<u64>) -> Result<Box<dyn Upload>> {
        self.inner.create(key, expected_bytes).await
    }
    async fn delete(&self, key: &str) -> Result<()> {
        self.inner.delete(key).await
    }
    async fn abort_stale(&self, prefix: &str, before: Timestamp) -> Result<u64> {
        self.inner.abort_stale(prefix, before).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_is_not_taken_for_damage() {
    let options = ArchiveOptions { compression: Compression::Store, ..OPTIONS };
    let (bytes, _) = archive(&[given("files/set/a", FILE, &vec![7; 18 << 20])], options).await;
    let (inner, object) = store(&bytes);
    for fail in 1.. {
        let failing = Arc::new(Failing { inner: inner.clone(), left: AtomicUsize::new(fail) });
        match verify(failing, &object, &password(), SqliteRows::Counted, &Progress::default()).await {
            Ok(_) => {
                assert!(fail > 5, "18 MiB are more than five reads");
                break;
            }
            Err(error) => assert_eq!(error.class(), Class::Transient, "{error:?}"),
        }
    }
}
