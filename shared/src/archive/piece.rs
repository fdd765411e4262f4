//! Pieces: slices of an entry that are compressed apart from each other and whose results, one after the other, are one
//! ordinary compressed stream.
//!
//! DEFLATE: a piece starts with an empty window and ends at a byte (full flush), no block of it is the last one; an empty
//! last block closes the stream. Zstandard: a piece is a frame; readers take frames one after the other as one stream.
//! What does not get smaller is kept in stored blocks.

use flate2::{Compress, Decompress, FlushCompress, FlushDecompress};

use crate::config::Compression;
use crate::{Error, Result};

use super::container::Method;

/// Bytes of raw data in one of the first pieces of an entry.
pub(crate) const FIRST_PIECE_BYTES: usize = 1 << 20;
/// Bytes of raw data in the largest pieces.
pub(crate) const LAST_PIECE_BYTES: usize = 4 << 20;
/// After so many pieces an entry's pieces double, up to [`LAST_PIECE_BYTES`], so that the index of a huge entry stays
/// small: some 25 MB for 1 TB.
const PIECES_OF_A_SIZE: u64 = 4096;

/// An empty last block with fixed codes: ends a DEFLATE stream.
const DEFLATE_END: [u8; 2] = [3, 0];
/// The longest stored block (RFC 1951, 3.2.4).
const STORED_BLOCK_BYTES: usize = 65_535;
/// How much of a piece is compressed before it is asked whether that is worth the time.
const PROBE_BYTES: usize = 128 << 10;
/// What deflate may hold back without a flush: one block of 16,384 symbols.
const PROBE_LAG: usize = 16 << 10;

/// How many raw bytes the next piece of an entry with `pieces` of them takes.
pub(crate) fn piece_bytes(pieces: u64) -> usize {
    let doublings = (pieces / PIECES_OF_A_SIZE).min(2) as u32;
    (FIRST_PIECE_BYTES << doublings).min(LAST_PIECE_BYTES)
}

/// The method under which the container lists entries of this compression.
pub(crate) fn method(compression: Compression) -> Method {
    match compression {
        Compression::Deflate(_) => Method::Deflate,
        Compression::Zstd(_) => Method::Zstd,
        Compression::Store => Method::Store,
    }
}

/// What closes the stream of an entry with `pieces` pieces.
pub(crate) fn stream_end(method: Method, pieces: u64) -> &'static [u8] {
    match method {
        Method::Deflate => &DEFLATE_END,
        // An empty frame, as `zstd` writes it for an empty file: a stream of no frames is an error for some readers.
        Method::Zstd if pieces == 0 => &[0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x00, 0x01, 0x00, 0x00],
        Method::Zstd | Method::Store => &[],
    }
}

/// Compresses pieces; one per worker, reused.
pub(crate) enum Compressor {
    /// DEFLATE, and its level.
    Deflate(Box<Compress>, u8),
    /// Zstandard.
    Zstd(Box<zstd::bulk::Compressor<'static>>),
    /// Nothing to do: the raw piece is what is kept.
    Store,
}

impl Compressor {
    /// A compressor as configured.
    pub(crate) fn new(compression: Compression) -> Result<Self> {
        Ok(match compression {
            Compression::Deflate(level @ 1..=9) => Self::Deflate(Box::new(deflate(level)), level),
            Compression::Zstd(level @ 1..=19) => {
                let compressor = zstd::bulk::Compressor::new(i32::from(level))
                    .map_err(|e| Error::bug("zstd does not start").because(e))?;
                Self::Zstd(Box::new(compressor))
            }
            Compression::Store => Self::Store,
            Compression::Deflate(level) | Compression::Zstd(level) => {
                return Err(Error::configuration(format!("there is no compression level {level}"))
                    .hint("Set BACKUP_COMPRESSION_LEVEL to 1 to 9 for deflate, 1 to 19 for zstd."));
            }
        })
    }

    /// Compresses one piece into `packed`, which is empty and stays so when the raw piece itself is to be kept.
    pub(crate) fn compress(&mut self, raw: &[u8], packed: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Deflate(state, level) => {
                packed.reserve(raw.len() + raw.len() / 1000 + 1024);
                if !shrink(state, raw, packed)? {
                    // zlib-rs 0.6 resets all but the fact that a block is open, so what was left half-way is not reused.
                    **state = deflate(*level);
                    packed.clear();
                    stored_blocks(raw, packed);
                }
                Ok(())
            }
            Self::Zstd(zstd) => {
                packed.reserve(zstd::zstd_safe::compress_bound(raw.len()));
                zstd.compress_to_buffer(raw, packed).map_err(|e| Error::bug("zstd failed").because(e))?;
                Ok(())
            }
            Self::Store => Ok(()),
        }
    }
}

fn deflate(level: u8) -> Compress {
    Compress::new(flate2::Compression::new(u32::from(level)), false)
}

/// Deflates a piece up to its full flush; `false` when that does not make it smaller.
fn shrink(deflate: &mut Compress, raw: &[u8], packed: &mut Vec<u8>) -> Result<bool> {
    deflate.reset();
    if raw.len() >= 2 * PROBE_BYTES {
        feed(deflate, &raw[..PROBE_BYTES], packed, FlushCompress::None)?;
        if packed.len() + PROBE_LAG >= PROBE_BYTES / 100 * 98 {
            return Ok(false);
        }
    }
    let fed = deflate.total_in() as usize;
    feed(deflate, &raw[fed..], packed, FlushCompress::Full)?;
    Ok(packed.len() < raw.len() + raw.len().div_ceil(STORED_BLOCK_BYTES) * 5)
}

/// Feeds all of `raw` and, on a flush, takes out all that comes of it.
fn feed(deflate: &mut Compress, raw: &[u8], packed: &mut Vec<u8>, flush: FlushCompress) -> Result<()> {
    let target = deflate.total_in() + raw.len() as u64;
    loop {
        let rest = &raw[raw.len() - (target - deflate.total_in()) as usize..];
        deflate.compress_vec(rest, packed, flush).map_err(|e| Error::bug("deflate failed").because(e))?;
        // With room left in the output, nothing more is held back than the flush allows.
        if deflate.total_in() == target && packed.len() < packed.capacity() {
            return Ok(());
        }
        packed.reserve(64 << 10);
    }
}

fn stored_blocks(raw: &[u8], packed: &mut Vec<u8>) {
    for block in raw.chunks(STORED_BLOCK_BYTES) {
        let len = block.len() as u16;
        packed.push(0);
        packed.extend(len.to_le_bytes());
        packed.extend((!len).to_le_bytes());
        packed.extend_from_slice(block);
    }
}

/// Decompresses one piece alone; `None` when `packed` is not a piece of `bytes` raw bytes. What stands behind the piece,
/// such as the end of the stream, is let be: the caller compares digests.
pub(crate) fn unpack(method: Method, packed: &[u8], bytes: usize) -> Option<Vec<u8>> {
    let raw = match method {
        Method::Deflate => {
            let mut raw = Vec::with_capacity(bytes);
            // All of the input is here and the output has room for all that may come of it: one call is enough.
            Decompress::new(false).decompress_vec(packed, &mut raw, FlushDecompress::Sync).ok()?;
            raw
        }
        Method::Zstd => zstd::bulk::decompress(packed, bytes).ok()?,
        Method::Store => packed.to_vec(),
    };
    (raw.len() == bytes).then_some(raw)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn noise(len: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let step = |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        };
        (0..len).map(step).collect()
    }

    fn inflate(stream: &[u8]) -> Vec<u8> {
        let mut raw = Vec::new();
        flate2::read::DeflateDecoder::new(stream).read_to_end(&mut raw).unwrap();
        raw
    }

    #[test]
    fn pieces_are_one_stream_and_each_can_be_inflated_alone() {
        let text = "INSERT INTO patients VALUES (1, 'Müller');\n".repeat(9000).into_bytes();
        let pieces = [text.clone(), b"x".to_vec(), noise(300_000), text, noise(10)];
        for level in 1..=9 {
            let mut compressor = Compressor::new(Compression::Deflate(level)).unwrap();
            let mut stream = Vec::new();
            for piece in &pieces {
                let mut packed = Vec::new();
                compressor.compress(piece, &mut packed).unwrap();
                let alone = [packed.as_slice(), &DEFLATE_END].concat();
                assert_eq!(inflate(&alone), *piece, "level {level}");
                stream.extend(packed);
            }
            stream.extend(DEFLATE_END);
            assert_eq!(inflate(&stream), pieces.concat(), "level {level}");
        }
    }

    #[test]
    fn noise_grows_by_five_bytes_a_stored_block_and_no_more() {
        let raw = noise(1 << 20);
        let mut packed = Vec::new();
        Compressor::new(Compression::Deflate(2)).unwrap().compress(&raw, &mut packed).unwrap();
        assert_eq!(packed.len(), raw.len() + 17 * 5);
    }

    #[test]
    fn an_output_that_is_full_is_made_larger() {
        let raw = noise(200_000);
        let mut deflate = Compress::new(flate2::Compression::new(6), false);
        let mut packed = Vec::with_capacity(16);
        feed(&mut deflate, &raw, &mut packed, FlushCompress::Full).unwrap();
        packed.extend(DEFLATE_END);
        assert_eq!(inflate(&packed), raw);
    }

    #[test]
    fn zstd_frames_are_one_stream_and_an_empty_entry_is_an_empty_frame() {
        let mut compressor = Compressor::new(Compression::Zstd(3)).unwrap();
        let pieces = [noise(100_000), vec![b'a'; 1 << 20]];
        let mut stream = Vec::new();
        for piece in &pieces {
            let mut packed = Vec::new();
            compressor.compress(piece, &mut packed).unwrap();
            stream.extend(packed);
        }
        assert_eq!(zstd::decode_all(stream.as_slice()).unwrap(), pieces.concat());
        assert_eq!(zstd::decode_all(stream_end(Method::Zstd, 0)).unwrap(), b"");
    }

    #[test]
    fn pieces_grow_with_the_entry_up_to_a_limit() {
        let sizes = [0, 4095, 4096, 8191, 8192, 1 << 40].map(|pieces| piece_bytes(pieces) >> 20);
        assert_eq!(sizes, [1, 1, 2, 2, 4, 4]);
    }

    #[test]
    fn levels_that_do_not_exist_are_refused() {
        for compression in [Compression::Deflate(0), Compression::Deflate(10), Compression::Zstd(20)] {
            assert!(Compressor::new(compression).is_err());
        }
    }
}
