//! Reads the contents of entries, digest by digest.

use std::io::Read;

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use zip::ZipReadOptions;

use crate::archive::Verified;
use crate::archive::container::Record;
use crate::archive::manifest::{DatabaseManifest, IndexEntry, Piece, TableManifest};
use crate::secret::Secret;
use crate::source::hex;
use crate::source::sqlite::Recount;
use crate::{Class, Error, Result};

use super::check::{DESCRIPTOR_FIELDS, LOCAL_FIELDS, compare};
use super::open::{Opened, zip_error};
use super::rows::RowCounter;
use super::{SqliteRows, Step, Unpacker};

/// Reads and checks every byte of the archive. `steps` is told how far it is; nobody need listen.
pub(crate) fn verify(
    mut archive: Opened,
    password: &Secret,
    rows: SqliteRows,
    steps: &mpsc::Sender<Step>,
) -> Result<Verified> {
    let key = archive.blocks.key().to_owned();
    let mut raw_bytes = 0;
    let mut not_recounted = Vec::new();
    for number in 0..archive.records.len() {
        drop(steps.blocking_send(Step::Entry(archive.records[number].name.clone())));
        // Index and manifest, the last two, were read whole and authenticated when the archive was opened.
        if let Some(entry) = archive.index.get(number) {
            let of_sqlite = |it: &&DatabaseManifest| it.entry == entry.name && it.engine == "SQLite";
            let sqlite = archive.manifest.databases.iter().find(of_sqlite).cloned();
            let mut recount = match (&sqlite, rows) {
                (Some(database), SqliteRows::Counted) => Some(Recount::begin(database)),
                _ => None,
            };
            let mut count = |piece: &mut Vec<u8>| {
                drop(steps.blocking_send(Step::Bytes(piece.len() as u64)));
                if let Some(recount) = &mut recount {
                    recount.take(piece);
                }
                Ok(())
            };
            read_entry(&mut archive, number, password, &mut count).map_err(|e| e.context(&key))?;
            if let Some(database) = sqlite {
                let why = match recount {
                    Some(recount) => recount.finish(&database).map_err(|e| e.context(&key))?,
                    None => Some("it was not asked for".to_owned()),
                };
                not_recounted.extend(why.map(|why| format!("{}: {why}", database.name)));
            }
        }
        check_headers(&archive, &archive.records[number]).map_err(|e| e.context(&key))?;
        raw_bytes += archive.records[number].raw;
    }
    let entries = archive.records.len() as u64;
    Ok(Verified { tail: archive.tail(), entries, raw_bytes, bytes: archive.blocks.size(), not_recounted })
}

/// Reads one entry and hands on each piece once its digest matched. The headers around it, and around index and manifest,
/// are compared before the first piece: where one bit of them was changed, nothing is handed on.
pub(crate) fn extract(
    mut archive: Opened,
    password: &Secret,
    name: &str,
    pieces: &mpsc::Sender<Vec<u8>>,
) -> Result<()> {
    let key = archive.blocks.key().to_owned();
    let Some(number) = archive.index.iter().position(|entry| entry.name == name) else {
        return Err(Error::new(Class::NotFound, format!("{key} has no entry {name:?}"))
            .hint("Entries are named as in its manifest, e.g. db-dumps/<database>.sql."));
    };
    for record in [number, archive.records.len() - 2, archive.records.len() - 1].map(|number| &archive.records[number])
    {
        check_headers(&archive, record).map_err(|e| e.context(&key))?;
    }
    let mut hand_on = |piece: &mut Vec<u8>| {
        let gone = |_| Error::bug("the reader of an entry is gone, so nobody sees this message");
        pieces.blocking_send(std::mem::take(piece)).map_err(gone)
    };
    read_entry(&mut archive, number, password, &mut hand_on).map_err(|e| e.context(&key))
}

/// Reads the entries that `unpacker` asks for and hands on each piece once its digest matched.
pub(crate) fn unpack(mut archive: Opened, password: &Secret, unpacker: &mut impl Unpacker) -> Result<()> {
    let key = archive.blocks.key().to_owned();
    for number in unpacker.plan(&archive.manifest, &archive.index)? {
        let of = &archive.index[number];
        let entry = IndexEntry { name: of.name.clone(), sha256: of.sha256.clone(), pieces: Vec::new(), ..*of };
        unpacker.begin(&entry)?;
        let mut failed = None;
        let mut hand_on = |piece: &mut Vec<u8>| {
            unpacker.piece(piece).map_err(|error| {
                failed = Some(error);
                Error::bug("the unpacker failed, and says so itself")
            })
        };
        let read = read_entry(&mut archive, number, password, &mut hand_on);
        // What the unpacker says is not about the archive.
        if let Some(error) = failed {
            return Err(error);
        }
        read.and_then(|()| check_headers(&archive, &archive.records[number])).map_err(|e| e.context(&key))?;
        unpacker.end(&entry)?;
    }
    Ok(())
}

/// Reads the entry `number` of the index piece by piece, and checks all its digests and its authentication code.
fn read_entry(
    archive: &mut Opened,
    number: usize,
    password: &Secret,
    piece_done: &mut dyn FnMut(&mut Vec<u8>) -> Result<()>,
) -> Result<()> {
    let entry = &archive.index[number];
    if archive.records[number].is_directory() {
        return Ok(());
    }
    let name = &entry.name;
    let blocks = &archive.blocks;
    let options = ZipReadOptions::new().password(Some(password.expose().as_bytes()));
    let mut reader =
        archive.zip.by_index_with_options(number, options).map_err(|e| zip_error(blocks, &format!("{name:?}"), e))?;
    let mut read_error = |e: std::io::Error| zip_error(blocks, &format!("{name:?}"), e.into());

    let database = archive.manifest.databases.iter().find(|database| database.entry == *name);
    let mut sections = Sections::new(database);
    let mut sha256 = Sha256::new();
    let mut piece = Vec::new();
    for (at, Piece(start, _, expected)) in entry.pieces.iter().enumerate() {
        let end = entry.pieces.get(at + 1).map_or(entry.bytes, |next| next.0);
        if end - start > archive.manifest.piece_bytes {
            return Err(Error::corrupt(format!("piece {at} of {name:?} is longer than pieces can be")));
        }
        piece.clear();
        (&mut reader).take(end - start).read_to_end(&mut piece).map_err(&mut read_error)?;
        if hex(&Sha256::digest(&piece)) != *expected {
            return Err(Error::corrupt(format!("piece {at} of {name:?} does not match its digest")));
        }
        sha256.update(&piece);
        sections.take(*start, &piece)?;
        piece_done(&mut piece)?;
    }
    // Beyond the last piece there must be nothing; asking for it also checks the authentication code.
    if reader.read(&mut [0]).map_err(&mut read_error)? != 0 {
        return Err(Error::corrupt(format!("{name:?} is longer than the index says")));
    }
    if hex(&sha256.finalize()) != entry.sha256 {
        return Err(Error::corrupt(format!("{name:?} does not match its digest")));
    }
    Ok(())
}

/// Local header and data descriptor must be those of the record.
pub(super) fn check_headers(archive: &Opened, record: &Record) -> Result<()> {
    let header = record.local_header();
    let data = record.offset + header.len() as u64;
    let found = archive.blocks.read(record.offset..data)?;
    compare(&found, &header, LOCAL_FIELDS, "local header", &record.name)?;
    let descriptor = record.descriptor();
    let end = data + record.stored;
    let found = archive.blocks.read(end..end + descriptor.len() as u64)?;
    compare(&found, &descriptor, DESCRIPTOR_FIELDS, "data descriptor", &record.name)
}

/// Digests the tables' sections of a dump, and counts their rows, as its bytes pass by.
struct Sections<'a> {
    entry: &'a str,
    engine: &'a str,
    tables: std::slice::Iter<'a, TableManifest>,
    current: Option<Section<'a>>,
}

struct Section<'a> {
    table: &'a TableManifest,
    sha256: Sha256,
    rows: Option<RowCounter>,
}

impl<'a> Sections<'a> {
    /// Those of a database's dump; none where it has no text (SQLite: the whole file is one section, which the entry's
    /// own digest covers) and for what is no dump.
    fn new(database: Option<&'a DatabaseManifest>) -> Self {
        let sectioned = database.filter(|database| database.engine != "SQLite");
        let (entry, engine, tables) = sectioned.map_or(("", "", &[][..]), |database| {
            (database.entry.as_str(), database.engine.as_str(), &database.tables[..])
        });
        Self { entry, engine, tables: tables.iter(), current: None }
    }

    /// Takes the bytes at `start`.
    fn take(&mut self, start: u64, bytes: &[u8]) -> Result<()> {
        let end = start + bytes.len() as u64;
        loop {
            if self.current.is_none() {
                let begin = |table| Section { table, sha256: Sha256::new(), rows: RowCounter::new(self.engine) };
                self.current = self.tables.next().map(begin);
            }
            let Some(section) = &mut self.current else { return Ok(()) };
            let table = section.table;
            let (from, to) = (table.offset.max(start), (table.offset + table.bytes).min(end));
            if from < to {
                let bytes = &bytes[(from - start) as usize..(to - start) as usize];
                section.sha256.update(bytes);
                if let Some(rows) = &mut section.rows {
                    rows.take(bytes);
                }
            }
            if table.offset + table.bytes > end {
                return Ok(());
            }
            self.current.take().map_or(Ok(()), |section| section.judge(self.entry))?;
        }
    }
}

impl Section<'_> {
    /// Digest and rows must be those of the manifest.
    fn judge(self, entry: &str) -> Result<()> {
        let Self { table, sha256, rows } = self;
        let name = match &table.schema {
            Some(schema) => format!("{:?}", format!("{schema}.{}", table.name)),
            None => format!("{:?}", table.name),
        };
        if hex(&sha256.finalize()) != table.sha256 {
            return Err(Error::corrupt(format!("the rows of table {name} in {entry:?} do not match their digest")));
        }
        match rows.map(RowCounter::finish) {
            None => Ok(()),
            Some(Ok(rows)) if rows == table.rows => Ok(()),
            Some(Ok(rows)) => Err(Error::corrupt(format!(
                "{entry:?} holds {rows} rows of table {name} where its manifest says {}",
                table.rows
            ))),
            Some(Err(what)) => Err(Error::corrupt(format!("the section of table {name} in {entry:?} {what}"))),
        }
    }
}
