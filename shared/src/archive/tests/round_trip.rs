//! What goes in comes out: by our reader, and by the `zip` crate alone.

use std::collections::HashSet;
use std::io::{Cursor, Read};

use proptest::prelude::*;
use sha2::{Digest, Sha256};
use zip::ZipArchive;

use super::*;
use crate::progress::Progress;
use crate::source::hex;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Reads an archive with nothing of ours: names, modes and contents in order.
fn unzip(bytes: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
    let mut zip = ZipArchive::new(Cursor::new(bytes)).unwrap();
    let secret = password();
    (0..zip.len())
        .map(|number| {
            let mut entry = zip.by_index_decrypt(number, secret.expose().as_bytes()).unwrap();
            let mut contents = Vec::new();
            entry.read_to_end(&mut contents).unwrap();
            (entry.name().unwrap().into_owned(), entry.external_attributes() >> 16, contents)
        })
        .collect()
}

fn some_entries() -> Vec<Given> {
    let text = "INSERT INTO t VALUES (1,'äöü');\n".repeat(50_000).into_bytes();
    vec![
        Given { slices: vec![text.clone(), b"x".to_vec(), text], ..given("db-dumps/clinic.sql", 0o100_600, b"") },
        given("db-dumps/empty.sql", 0o100_600, b""),
        given("files/set/", 0o40_755, b""),
        given("files/set/a:b\\c", 0o100_644, b"a name that Windows does not know"),
        given("files/set/Ä/ö\n.txt", 0o104_755, b"hello"),
        Given { modified: -1, ..given("files/set/old", 0o100_644, b"before 1970") },
        Given { modified: 1 << 40, ..given("files/set/future", 0o100_644, b"") },
        given("files/set/link", 0o120_777, b"../etc/passwd"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_read_back_by_all_three_readers() {
    for compression in [Compression::Deflate(1), Compression::Deflate(9), Compression::Zstd(3), Compression::Store] {
        let entries = some_entries();
        let (bytes, summary) = archive(&entries, ArchiveOptions { compression, ..OPTIONS }).await;
        assert_eq!(summary.bytes, bytes.len() as u64);
        assert_eq!(summary.sha256, hex(&Sha256::digest(&bytes)));
        assert_eq!(summary.entries, entries.len() as u64 + 2);

        let unzipped = unzip(&bytes);
        assert_eq!(unzipped.len(), entries.len() + 2);
        for (given, (name, mode, contents)) in entries.iter().zip(&unzipped) {
            assert_eq!((&given.name, given.mode, &given.slices.concat()), (name, *mode, contents));
        }

        let (store, object) = store(&bytes);
        let tail = read_tail(store.clone(), &object, &password()).await.unwrap();
        assert_eq!(tail.manifest, summary.manifest);
        assert_eq!((tail.entries, tail.encrypted), (summary.entries, true));
        let progress = Progress::default();
        let verified = verify(store.clone(), &object, &password(), SqliteRows::Counted, &progress).await.unwrap();
        assert_eq!((verified.entries, verified.bytes), (summary.entries, summary.bytes));
        assert_eq!(verified.raw_bytes, unzipped.iter().map(|(_, _, contents)| contents.len() as u64).sum::<u64>());
        for given in entries.iter().filter(|given| !given.name.ends_with('/')) {
            let mut contents = Vec::new();
            let len = extract(store.clone(), &object, &password(), &given.name, &mut contents).await.unwrap();
            assert!(contents == given.slices.concat() && len == contents.len() as u64, "{}", given.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_of_nothing_is_an_archive() {
    let (bytes, summary) = archive(&[], OPTIONS).await;
    let (store, object) = store(&bytes);
    assert_eq!(
        verify(store, &object, &password(), SqliteRows::Counted, &Progress::default()).await.unwrap().entries,
        2
    );
    assert_eq!(summary.manifest.index.entries, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn any_writes_come_back_as_they_were(
        lengths in prop::collection::vec(prop::collection::vec(0usize..1_500_000, 0..4), 0..5),
        seed in any::<u64>(),
        workers in 1usize..4,
        which in 0u8..4,
    ) {
        let compression = [Compression::Deflate(1), Compression::Deflate(3), Compression::Zstd(1), Compression::Store][which as usize];
        let mut state = seed | 1;
        let mut contents = |len: usize| (0..len).map(|at| {
            // Half text, half noise.
            if at % 4096 == 0 { state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1); }
            if state >> 63 == 0 { b'a' + (at % 7) as u8 } else { (state >> (at % 57)) as u8 ^ at as u8 }
        }).collect::<Vec<u8>>();
        let entries: Vec<Given> = lengths.iter().enumerate().map(|(number, lengths)| Given {
            slices: lengths.iter().map(|len| contents(*len)).collect(),
            ..given(&format!("db-dumps/{number}.sql"), 0o100_600, b"")
        }).collect();
        runtime().block_on(async {
            let (bytes, _) = archive(&entries, ArchiveOptions { compression, workers, ..OPTIONS }).await;
            for (given, (name, _, contents)) in entries.iter().zip(unzip(&bytes)) {
                assert_eq!(&given.name, &name);
                assert!(given.slices.concat() == contents, "{name}");
            }
            let (store, object) = store(&bytes);
            verify(store, &object, &password(), SqliteRows::Counted, &Progress::default()).await.unwrap();
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_piece_can_be_found_by_the_index_and_inflated_alone() {
    let (bytes, _) = archive(&some_entries()[..1], OPTIONS).await;
    let unzipped = unzip(&bytes);
    let index: manifest::IndexEntry = serde_json::from_slice(&unzipped[1].2).unwrap();
    // Two megabytes and a half with two cuts: text, text, x, text, text.
    assert_eq!(index.pieces.len(), 5);
    // The compressed stream, decrypted by the `zip` crate: the entry without its last two bytes is all pieces.
    let mut zip = ZipArchive::new(Cursor::new(&bytes)).unwrap();
    let mut ciphertext = Vec::new();
    zip.by_index_raw(0).unwrap().read_to_end(&mut ciphertext).unwrap();
    let (salt, rest) = ciphertext.split_at(seal::SALT_BYTES);
    let keys = seal::Keys::derive(&password(), salt.try_into().unwrap());
    assert_eq!(keys.prefix()[seal::SALT_BYTES..], rest[..2]);
    let mut stream = rest[2..rest.len() - seal::CODE_BYTES].to_vec();
    seal::Seal::new(&keys).seal(&mut stream);
    let raw = &unzipped[0].2;
    for (at, manifest::Piece(start, stored, sha256)) in index.pieces.iter().enumerate() {
        let next = index.pieces.get(at + 1);
        let (end, stored_end) = next.map_or((raw.len(), stream.len()), |next| (next.0 as usize, next.1 as usize));
        let mut piece = Vec::new();
        let alone = [&stream[*stored as usize..stored_end], &[3, 0]].concat();
        flate2::read::DeflateDecoder::new(alone.as_slice()).read_to_end(&mut piece).unwrap();
        assert!(piece == raw[*start as usize..end], "piece {at}");
        assert_eq!(hex(&Sha256::digest(&piece)), *sha256);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_would_leave_the_folder_are_refused() {
    let mut output = Kept::default();
    for name in
        ["", "/", "/etc/passwd", "../x", "a/../x", "a/./x", "a//x", "a\0b", "manifest.json", "index.jsonl", ".."]
    {
        let mut writer = ArchiveWriter::new(&mut output, &password(), &OPTIONS).unwrap();
        let error = writer.start_entry(name, EntryMeta { mode: 0o100_644, modified: 0 }).await.unwrap_err();
        assert_eq!(error.class(), Class::Unsupported, "{name:?}");
    }
    let mut writer = ArchiveWriter::new(&mut output, &password(), &OPTIONS).unwrap();
    let long = "x".repeat(65_536);
    assert!(writer.start_entry(&long, EntryMeta { mode: 0o100_644, modified: 0 }).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_taken_once_and_entries_are_limited() {
    let twice = [given("files/set/a", 0o100_644, b"1"), given("files/set/a", 0o100_644, b"2")];
    let error = write_archive(&twice, OPTIONS, manifest(), |_| ()).await.unwrap_err();
    assert_eq!(error.to_string(), r#"two entries are named "files/set/a""#);
    let options = ArchiveOptions { max_entries: 7, ..OPTIONS };
    let error = write_archive(&some_entries(), options, manifest(), |_| ()).await.unwrap_err();
    assert_eq!(error.class(), Class::Limit);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_output_stops_the_archive_and_its_error_is_the_one_that_is_told() {
    struct Full(usize);
    #[async_trait]
    impl ArchiveOutput for Full {
        async fn write(&mut self, _bytes: Bytes) -> Result<()> {
            self.0 = self.0.checked_sub(1).ok_or_else(|| Error::new(Class::Limit, "the disk is full"))?;
            Ok(())
        }
    }
    // Fails at each write in turn, until there are none left to fail.
    let mut failed = 0;
    for writes in 0.. {
        let mut output = Full(writes);
        let mut writer = ArchiveWriter::new(
            &mut output,
            &password(),
            &ArchiveOptions { compression: Compression::Store, ..OPTIONS },
        )
        .unwrap();
        let result = async {
            writer.start_entry("files/set/a", EntryMeta { mode: 0o100_644, modified: 0 }).await?;
            for _ in 0..4 {
                if let Err(error) = EntrySink::write(&mut writer, &[7; 1 << 20]).await {
                    let again = EntrySink::write(&mut writer, b"more").await.unwrap_err();
                    assert_eq!(again.class(), Class::Bug, "a failed archive takes no more");
                    return Err(error);
                }
            }
            writer.end_entry().await?;
            writer.finish(manifest()).await
        };
        match result.await {
            Ok(_) => break,
            Err(error) => assert_eq!(error.to_string(), "the disk is full"),
        }
        failed += 1;
    }
    assert!(failed > 4, "{failed} writes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_given_up_leaves_an_archive_that_cannot_be_finished() {
    struct Never;
    #[async_trait]
    impl ArchiveOutput for Never {
        async fn write(&mut self, _bytes: Bytes) -> Result<()> {
            std::future::pending().await
        }
    }
    let mut output = Never;
    let mut writer = ArchiveWriter::new(&mut output, &password(), &OPTIONS).unwrap();
    writer.start_entry("files/set/a", EntryMeta { mode: 0o100_644, modified: 0 }).await.unwrap();
    let noise: Vec<u8> = (0..16u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    // Back-pressure: an output that never takes anything makes the writer wait, not gather.
    let gave_up = tokio::select! {
        biased;
        _ = EntrySink::write(&mut writer, &noise) => false,
        () = async { for _ in 0..1000 { tokio::task::yield_now().await } } => true,
    };
    assert!(gave_up);
    assert_eq!(writer.end_entry().await.unwrap_err().class(), Class::Bug);
    assert_eq!(writer.finish(manifest()).await.unwrap_err().class(), Class::Bug);
}

#[tokio::test(flavor = "multi_thread")]
async fn salts_are_never_used_twice() {
    let entries: Vec<Given> =
        (0..200).map(|number| given(&format!("files/set/{number}"), 0o100_644, b"same")).collect();
    let mut salts = HashSet::new();
    for _ in 0..2 {
        let (bytes, _) = archive(&entries, OPTIONS).await;
        let mut zip = ZipArchive::new(Cursor::new(&bytes)).unwrap();
        for number in 0..zip.len() {
            salts.insert(zip.get_aes_verification_key_and_salt(number).unwrap().unwrap().salt);
        }
    }
    assert_eq!(salts.len(), 2 * 202);
}
