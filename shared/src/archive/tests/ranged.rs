//! Any bytes of an entry, without the bytes before them; and the question whether all of it is whole.

use super::*;
use crate::archive::reader::Archive;
use crate::progress::Progress;

const ENTRY: &str = "db-dumps/clinic.sql";

/// Text, noise and a long run, cut into pieces of odd lengths.
fn contents() -> Vec<Vec<u8>> {
    let noise = (0..70_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let text = b"INSERT INTO patients VALUES (1, 'M\xc3\xbcller');\n".repeat(1000);
    vec![text, noise, vec![b'x'; 300_000], b"end".to_vec()]
}

async fn written(compression: Compression) -> (Vec<u8>, Vec<u8>) {
    let slices = contents();
    let raw = slices.concat();
    let dump = Given { slices, ..given(ENTRY, 0o100_600, b"") };
    let entries = [given("files/set/before", 0o100_644, b"not to be read"), dump];
    (archive(&entries, ArchiveOptions { compression, ..OPTIONS }).await.0, raw)
}

async fn open(bytes: &[u8]) -> Result<Arc<Archive>> {
    let (store, object) = store(bytes);
    Archive::open(store, &object, &password()).await
}

async fn read(archive: &Arc<Archive>, range: Range<u64>) -> Result<Vec<u8>> {
    let mut reader = archive.range(ENTRY, range)?;
    let mut raw = Vec::new();
    while let Some(piece) = reader.next().await? {
        raw.extend(piece);
    }
    Ok(raw)
}

#[tokio::test(flavor = "multi_thread")]
async fn any_range_is_the_one_of_the_contents_in_every_compression() {
    for compression in [Compression::Deflate(6), Compression::Zstd(3), Compression::Store] {
        let (bytes, raw) = written(compression).await;
        let archive = open(&bytes).await.unwrap();
        let borders: Vec<usize> = contents()
            .iter()
            .scan(0, |at, slice| {
                *at += slice.len();
                Some(*at)
            })
            .flat_map(|at| [at - 1, at, at + 1])
            .chain([0, 1])
            .filter(|at| *at <= raw.len())
            .collect();
        for &from in &borders {
            for &to in borders.iter().filter(|to| **to >= from) {
                let found = read(&archive, from as u64..to as u64).await.unwrap();
                assert!(found == raw[from..to], "{compression:?} {from}..{to}");
            }
        }
        assert!(read(&archive, 0..raw.len() as u64 + 1).await.is_err());
        archive.authenticate(ENTRY, &Progress::default()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_reads_its_own_pieces_and_a_header_besides() {
    let (bytes, raw) = written(Compression::Store).await;
    let archive = open(&bytes).await.unwrap();
    let before = archive.bytes_read();
    read(&archive, raw.len() as u64 - 3..raw.len() as u64).await.unwrap();
    let first = archive.bytes_read() - before;
    assert!((3..300).contains(&first), "{first}");
    read(&archive, raw.len() as u64 - 2..raw.len() as u64).await.unwrap();
    assert_eq!(archive.bytes_read() - before - first, 3, "the keys are known, the piece is not cut");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bit_of_an_entry_is_under_its_authentication() {
    let (bytes, _) = written(Compression::Deflate(6)).await;
    let archive = open(&bytes).await.unwrap();
    let entry = archive.entry_bytes(ENTRY).unwrap();
    let mut flips = 0;
    let edges = (entry.start..entry.start + 130).chain(entry.end - 60..entry.end);
    for at in edges.chain((entry.start + 130..entry.end - 60).step_by(1009)) {
        let mut flipped = bytes.clone();
        flipped[at as usize] ^= 1 << (at % 8);
        // Opening reads the end alone, which is whole.
        let archive = open(&flipped).await.unwrap();
        let error = archive.authenticate(ENTRY, &Progress::default()).await.expect_err("damage must be told");
        assert_eq!(error.class(), Class::Corrupt, "{at}: {error}");
        flips += 1;
    }
    assert!(flips > 190, "{flips}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_piece_is_never_handed_out() {
    let (bytes, raw) = written(Compression::Deflate(6)).await;
    let entry = open(&bytes).await.unwrap().entry_bytes(ENTRY).unwrap();
    let mut flipped = bytes.clone();
    let middle = (entry.start + entry.end) / 2;
    flipped[middle as usize] ^= 1;
    let archive = open(&flipped).await.unwrap();
    let error = read(&archive, 0..raw.len() as u64).await.unwrap_err();
    assert_eq!(error.class(), Class::Corrupt);
    let text = contents()[0].len() as u64;
    assert!(read(&archive, 0..text).await.unwrap() == raw[..text as usize], "what is whole can be read");
}
