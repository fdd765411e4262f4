//! The rows of a dump in parts that several connections load at the same time.
//!
//! A large table is cut at places that are given beforehand: a part has the rows behind the first newline at or behind
//! its beginning, up to the first newline at or behind its end. `COPY`'s text has no newline within a row, so every row is
//! in exactly one part. Cuts are where pieces of the archive begin, so that little is unpacked twice.

use std::collections::HashSet;
use std::ops::Range;

use bytes::Bytes;

use super::full_name;
use crate::archive::manifest::TableManifest;
use crate::source::postgres::data::newlines;
use crate::target::postgres::failure::failed;
use crate::target::postgres::walk::Slices;
use crate::target::postgres::{Dump, Target, plain};
use crate::{Class, Error, Result};

/// A table under this size is never cut, and so many bytes of small tables share a transaction.
const SMALL_BYTES: u64 = 16 << 20;
/// The largest part; smaller ones balance better.
const LARGEST_BYTES: u64 = 256 << 20;
/// How much is read first for the end of a row that lies behind the end of its part; twice as much each further time.
const BEHIND_BYTES: u64 = 64 << 10;

/// What one transaction loads.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) parts: Vec<Part>,
}

/// Rows of one table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// The table's number in the manifest.
    table: usize,
    /// The part, of a table that is cut.
    cut: Option<Cut>,
}

#[derive(Debug, PartialEq, Eq)]
struct Cut {
    copy: String,
    /// All rows of the table.
    data: Range<u64>,
    /// The place of this part, with the ends of `data` at the ends.
    place: Range<u64>,
}

/// The parts of all tables, the largest first.
pub(super) async fn batches(dump: &Dump<'_>, jobs: usize) -> Result<Vec<Batch>> {
    let manifest = dump.manifest;
    let sizes: Vec<u64> = manifest.tables.iter().map(|table| table.bytes).collect();
    let part = part_bytes(&sizes, jobs);
    let cut = tables_to_cut(&sizes, part, jobs);
    let mut sized: Vec<(u64, Batch)> = Vec::new();
    let (mut small, mut gathered) = (Vec::new(), 0);
    for (number, table) in manifest.tables.iter().enumerate() {
        if cut.contains(&number) {
            let (copy, data) = heading(dump, table).await?;
            for place in cuts(&data, table.offset, part, dump.archive.manifest().piece_bytes) {
                let size = place.end - place.start;
                let cut = Some(Cut { copy: copy.clone(), data: data.clone(), place });
                sized.push((size, Batch { parts: vec![Part { table: number, cut }] }));
            }
        } else if table.bytes >= SMALL_BYTES {
            sized.push((table.bytes, Batch { parts: vec![Part { table: number, cut: None }] }));
        } else {
            small.push(Part { table: number, cut: None });
            gathered += table.bytes;
            if gathered >= SMALL_BYTES {
                sized.push((gathered, Batch { parts: std::mem::take(&mut small) }));
                gathered = 0;
            }
        }
    }
    if !small.is_empty() {
        sized.push((gathered, Batch { parts: small }));
    }
    sized.sort_by_key(|(size, _)| std::cmp::Reverse(*size));
    Ok(sized.into_iter().map(|(_, batch)| batch).collect())
}

/// How large the parts of a table are: several for each connection, so that none waits long for the last one.
fn part_bytes(sizes: &[u64], jobs: usize) -> u64 {
    (sizes.iter().sum::<u64>() / (jobs as u64 * 4).max(1)).clamp(SMALL_BYTES, LARGEST_BYTES)
}

/// The tables that must be cut so that the longest connection has at most a part more than its share.
fn tables_to_cut(sizes: &[u64], part: u64, jobs: usize) -> HashSet<usize> {
    let mut largest: Vec<usize> = (0..sizes.len()).filter(|number| sizes[*number] >= part * 2).collect();
    largest.sort_by_key(|number| std::cmp::Reverse(sizes[*number]));
    let most = sizes.iter().sum::<u64>() / jobs.max(1) as u64 + part;
    let enough = |cut: &usize| {
        let mut rest = sizes.to_vec();
        largest[..*cut].iter().for_each(|number| rest[*number] = 0);
        let parts =
            largest[..*cut].iter().flat_map(|number| std::iter::repeat_n(part, sizes[*number].div_ceil(part) as usize));
        rest.extend(parts);
        longest(rest, jobs) <= most
    };
    let cut = (0..largest.len()).find(enough).unwrap_or(largest.len());
    largest.into_iter().take(if jobs > 1 { cut } else { 0 }).collect()
}

/// What the busiest of `jobs` connections loads when each takes the largest that waits.
fn longest(mut sizes: Vec<u64>, jobs: usize) -> u64 {
    sizes.sort_unstable_by_key(|size| std::cmp::Reverse(*size));
    let mut loads = vec![0u64; jobs.max(1)];
    for size in sizes {
        *loads.iter_mut().min().expect("there is one at least") += size;
    }
    loads.into_iter().max().unwrap_or(0)
}

/// The statement that takes a table's rows, and where they are.
async fn heading(dump: &Dump<'_>, table: &TableManifest) -> Result<(String, Range<u64>)> {
    let section = table.offset..table.offset + table.bytes;
    let quiet = Default::default();
    let mut slices = Slices::new(dump.archive.range(&dump.manifest.entry, section)?, table.offset, &quiet);
    let rows = slices.rows(table, dump.limit).await?;
    Ok((rows.copy, rows.data))
}

/// Places of about `part` bytes that make up `data`; cuts lie at multiples of `piece` behind `base`.
fn cuts(data: &Range<u64>, base: u64, part: u64, piece: u64) -> Vec<Range<u64>> {
    let piece = piece.max(1);
    let step = part.div_ceil(piece).max(1) * piece;
    let mut places = Vec::new();
    let mut start = data.start;
    let mut cut = base + step;
    while cut < data.end {
        if cut > start {
            places.push(start..cut);
            start = cut;
        }
        cut += step;
    }
    places.push(start..data.end);
    places
}

/// Loads one batch in one transaction. For each part: the table, rows counted in the dump, rows taken by the server.
/// `made`: the tables that this restore made.
pub(super) async fn load_batch(
    worker: &mut Target,
    dump: &Dump<'_>,
    parts: &[Part],
    made: &HashSet<String>,
) -> Result<Vec<(usize, u64, u64)>> {
    let mut done = Vec::new();
    worker.begin().await?;
    for part in parts {
        let table = &dump.manifest.tables[part.table];
        let (counted, taken) = match &part.cut {
            None => {
                let section = table.offset..table.offset + table.bytes;
                let entry = dump.archive.range(&dump.manifest.entry, section)?;
                let mut slices = Slices::new(entry, table.offset, dump.progress);
                let fresh = table.bytes >= SMALL_BYTES && made.contains(&full_name(table));
                if fresh {
                    empty(worker, table).await?;
                }
                let loaded = worker.copy(&mut slices, table, fresh, dump).await?;
                slices.end().await?;
                (loaded.rows, loaded.rows)
            }
            Some(cut) => copy_part(worker, dump, table, cut).await?,
        };
        done.push((part.table, counted, taken));
    }
    worker.execute("COMMIT").await?;
    Ok(done)
}

/// Empties a table that is empty, so that its rows can be frozen. Nobody else can write into it any more.
async fn empty(worker: &mut Target, table: &TableManifest) -> Result<()> {
    let name = full_name(table);
    worker.execute(&format!("LOCK TABLE ONLY {name} IN ACCESS EXCLUSIVE MODE")).await?;
    let rows = format!("SELECT EXISTS (SELECT FROM ONLY {name}) AS rows");
    if worker.session.row("asking for rows", &rows).await?.flag("rows")? {
        let message = format!("somebody else wrote rows into table {} of {}", plain(table), worker.place);
        return Err(Error::new(Class::Inconsistent, message)
            .hint("Keep the application away from the database until it is restored, and save what it wrote into this table before you drop anything."));
    }
    worker.execute(&format!("TRUNCATE TABLE ONLY {name}")).await
}

async fn copy_part(worker: &mut Target, dump: &Dump<'_>, table: &TableManifest, cut: &Cut) -> Result<(u64, u64)> {
    let refused = |error| failed(format!("the rows of table {} were refused", plain(table)), error);
    dump.progress.set_current(format!("loading {}", plain(table)));
    let mut rows = PartRows::new(dump, cut)?;
    let sql = format!("{} FROM stdin", cut.copy);
    let mut copy = worker.session.connection().copy_in_raw(&sql).await.map_err(refused)?;
    let mut counted = 0;
    while let Some(slice) = rows.next().await? {
        counted += newlines(&slice);
        copy.send(slice).await.map_err(refused)?;
    }
    let taken = copy.finish().await.map_err(refused)?;
    dump.progress.add_rows(taken);
    if counted == taken {
        return Ok((counted, taken));
    }
    Err(Error::corrupt(format!("the server took {taken} of {counted} rows of a part of table {}", plain(table))))
}

/// The rows of a part.
struct PartRows<'a> {
    dump: &'a Dump<'a>,
    cut: &'a Cut,
    slices: Slices<'a>,
    /// Where the slices end.
    end: u64,
    /// How much is read next behind the part's end.
    behind: u64,
    /// The part's first row begins behind a newline that did not come yet.
    skipping: bool,
    /// The last row's newline was seen.
    over: bool,
}

impl<'a> PartRows<'a> {
    fn new(dump: &'a Dump<'a>, cut: &'a Cut) -> Result<Self> {
        let place = cut.place.clone();
        let slices = Slices::new(dump.archive.range(&dump.manifest.entry, place.clone())?, place.start, dump.progress);
        let skipping = place.start > cut.data.start;
        Ok(Self { dump, cut, slices, end: place.end, behind: BEHIND_BYTES, skipping, over: false })
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        while !self.over {
            let at = self.slices.at();
            match self.slices.next(self.end).await? {
                Some(slice) => {
                    let slice = self.take(slice, at);
                    if !slice.is_empty() {
                        return Ok(Some(slice));
                    }
                }
                None if self.end >= self.cut.data.end || self.skipping => self.over = true,
                None => {
                    // The last row goes on behind the part's end.
                    let from = self.end;
                    self.end = self.cut.data.end.min(from + self.behind);
                    self.behind *= 2;
                    let entry = self.dump.archive.range(&self.dump.manifest.entry, from..self.end)?;
                    self.slices = Slices::new(entry, from, self.dump.progress);
                }
            }
        }
        Ok(None)
    }

    /// Cuts a slice that begins at `at` to what belongs to the part.
    fn take(&mut self, mut slice: Bytes, at: u64) -> Bytes {
        if self.skipping {
            match slice.iter().position(|byte| *byte == b'\n') {
                // A row that begins behind the part's end is not its own.
                Some(newline) if at + (newline as u64) < self.cut.place.end => {
                    drop(slice.split_to(newline + 1));
                    self.skipping = false;
                }
                _ => return Bytes::new(),
            }
        } else if at >= self.cut.place.end
            && let Some(newline) = slice.iter().position(|byte| *byte == b'\n')
        {
            slice.truncate(newline + 1);
            self.over = true;
        }
        slice
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_lie_where_pieces_begin_and_leave_nothing_out() {
        for (data, base, part, piece) in [(130..10_000, 100, 1000, 256), (100..101, 100, 10, 7), (5000..5000, 1, 9, 9)]
        {
            let places = cuts(&data, base, part, piece);
            assert_eq!((places[0].start, places[places.len() - 1].end), (data.start, data.end));
            for pair in places.windows(2) {
                assert_eq!(pair[0].end, pair[1].start);
                assert_eq!((pair[0].end - base) % piece, 0);
            }
        }
        assert_eq!(cuts(&(130..10_000), 100, 1000, 256).len(), 10);
    }

    #[test]
    fn a_table_is_cut_only_where_connections_would_wait_for_it() {
        let tables = |mib: &[u64], jobs| {
            let sizes: Vec<u64> = mib.iter().map(|size| size << 20).collect();
            let mut cut: Vec<usize> = tables_to_cut(&sizes, part_bytes(&sizes, jobs), jobs).into_iter().collect();
            cut.sort_unstable();
            cut
        };
        assert_eq!(tables(&[1000], 1), [0; 0]);
        assert_eq!(tables(&[1000], 2), [0]);
        assert_eq!(tables(&[250, 250, 250, 250], 2), [0; 0]);
        assert_eq!(tables(&[250, 250, 250, 250], 4), [0; 0]);
        assert_eq!(tables(&[100, 100, 3000, 100], 4), [2]);
        assert_eq!(tables(&[31, 1, 1], 4), [0; 0], "too small to be worth it");
        assert_eq!(tables(&[], 4), [0; 0]);
        for sizes in [vec![700, 300, 300, 40, 40], vec![100; 9], vec![513, 400, 17]] {
            for jobs in [2, 3, 8] {
                let bytes: Vec<u64> = sizes.iter().map(|size| size << 20).collect();
                let part = part_bytes(&bytes, jobs);
                let cut = tables(&sizes, jobs);
                let mut rest = bytes.clone();
                for number in cut {
                    rest.extend(vec![part; bytes[number].div_ceil(part) as usize]);
                    rest[number] = 0;
                }
                let share = bytes.iter().sum::<u64>() / jobs as u64;
                assert!(longest(rest, jobs) <= share + 2 * part, "{sizes:?} over {jobs}");
            }
        }
    }
}
