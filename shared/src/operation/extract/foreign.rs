//! Entries of another program's archive into a folder, by the same safe code as ours.
//!
//! What is read is not vouched for before its end, where its code or CRC is checked; as everywhere, a file gets its name
//! only then. On request a dump that gzip compressed is decompressed beside itself.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use flate2::write::MultiGzDecoder;
use tempfile::NamedTempFile;

use super::folder::failed;
use super::take::{Take, new_file};
use crate::Result;
use crate::archive::foreign::dump::is_dump;
use crate::archive::foreign::{ForeignEntry, ForeignUnpacker};
use crate::archive::manifest::IndexEntry;
use crate::archive::reader::Unpacker;
use crate::report::LeftOut;

/// Entries on their way into a folder.
pub(super) struct ForeignTake {
    take: Take,
    gunzip: bool,
    /// The dump that is being decompressed; an error once gzip cannot go on.
    text: Option<io::Result<Box<MultiGzDecoder<NamedTempFile>>>>,
    /// Dumps that were decompressed.
    pub(super) decompressed: u64,
}

impl ForeignTake {
    pub(super) fn new(take: Take, gunzip: bool) -> Self {
        Self { take, gunzip, text: None, decompressed: 0 }
    }

    pub(super) fn into_take(self) -> Take {
        self.take
    }

    /// Where the text of a compressed dump belongs.
    fn text_of(&self, name: &str) -> Option<String> {
        let text = name.strip_suffix(".gz").filter(|text| self.gunzip && is_dump(text));
        text.map(str::to_owned)
    }

    fn text_place(&self, name: &str) -> Result<Option<PathBuf>> {
        self.text_of(name).map(|text| self.take.folder().place(&text)).transpose()
    }

    /// Gives the text its name, or says why there is none.
    fn name_text(&mut self, entry: &IndexEntry, place: &Path) -> Result<()> {
        let Some(text) = self.text.take() else { return Ok(()) };
        match text.and_then(|text| text.finish()) {
            Ok(file) => {
                self.take.name_file(file, place, entry)?;
                self.decompressed += 1;
                Ok(())
            }
            Err(error) if is_of_gzip(&error) => {
                let reason = format!("it cannot be decompressed: {error}");
                self.take.leave_out(LeftOut { entry: entry.name.clone(), reason });
                Ok(())
            }
            Err(error) => Err(failed("write", place, error)),
        }
    }
}

/// Whether gzip says it, and not the file system.
fn is_of_gzip(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
}

impl ForeignUnpacker for ForeignTake {
    fn plan(&mut self, entries: &[ForeignEntry]) -> Result<Vec<usize>> {
        let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        let numbers = self.take.filter().select_foreign(&names)?;
        let texts: Vec<String> = numbers.iter().filter_map(|number| self.text_of(names[*number])).collect();
        let entries = numbers.iter().map(|number| names[*number]);
        self.take.check_places(entries, texts.iter().map(String::as_str))?;
        Ok(numbers)
    }

    fn begin(&mut self, entry: &ForeignEntry) -> Result<()> {
        self.take.begin(&as_ours(entry))?;
        if let Some(place) = self.text_place(&entry.name)? {
            self.text = Some(Ok(Box::new(MultiGzDecoder::new(new_file(&place)?))));
        }
        Ok(())
    }

    fn piece(&mut self, bytes: &[u8]) -> Result<()> {
        self.take.piece(bytes)?;
        if let Some(Ok(text)) = &mut self.text
            && let Err(error) = text.write_all(bytes)
        {
            self.text = Some(Err(error));
        }
        Ok(())
    }

    fn end(&mut self, entry: &ForeignEntry) -> Result<()> {
        let as_ours = as_ours(entry);
        self.take.end(&as_ours)?;
        match self.text_place(&entry.name)? {
            Some(place) => self.name_text(&as_ours, &place),
            None => Ok(()),
        }
    }
}

fn as_ours(entry: &ForeignEntry) -> IndexEntry {
    IndexEntry {
        name: entry.name.clone(),
        mode: entry.mode,
        modified: entry.modified,
        bytes: entry.bytes,
        stored_bytes: entry.stored_bytes,
        sha256: String::new(),
        pieces: Vec::new(),
    }
}
