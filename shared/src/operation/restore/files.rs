//! File sets back into a folder: taken out beside their place, named last.
//!
//! A folder that is not there yet is made as a hidden sibling and takes its name in one step; it is its owner's alone, since
//! an archive does not keep the mode of a set's own root. One that is there, and must
//! be empty, keeps its owner, mode and mount: what belongs into it is made in a hidden folder inside, and its names are
//! moved up one by one; when one cannot be, those before it are taken back. A run that is killed leaves nothing but a
//! folder named `.nightvault-restore-…` (or, in the instant of moving, some of the names beside it).
//!
//! With a database, the order is: the database's dry run, the files into the hidden folder, the database, the names. So
//! whatever fails before the database is committed leaves neither; the names alone can fail after it, and then the error
//! says where the files lie, whole.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::Source;
use crate::archive::manifest::{FilesManifest, Manifest};
use crate::operation::extract::{self, Taken, failed};
use crate::operation::{Context, elapsed_ms};
use crate::report::RestoredFiles;
use crate::target::Findings;
use crate::{Class, Error, Result};

/// So many names that are in the way are told.
const NAMED: usize = 5;

/// Which files are to be restored, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesRequest {
    /// The folder; empty, or not there yet.
    pub to: PathBuf,
    /// This set alone, whose contents become the folder's own; `None` = every set, each in a folder of its name.
    pub set: Option<String>,
}

/// File sets and a folder that can take them.
pub(super) struct Files {
    to: PathBuf,
    sets: Vec<String>,
    /// What their entries' names begin with.
    above: String,
    /// Whether the folder is there.
    is_there: bool,
}

/// Files that lie whole beside their place.
pub(super) struct Hidden {
    files: Files,
    folder: PathBuf,
    taken: Taken,
    begun: Instant,
}

impl Files {
    /// Looks whether the backup has what is wanted and the folder can take it; tells all problems at once.
    pub(super) fn check(request: &FilesRequest, manifest: &Manifest) -> Result<Self> {
        let sets = chosen(request.set.as_deref(), manifest)?;
        let above = request.set.as_ref().map_or_else(|| "files/".to_owned(), |set| format!("files/{set}/"));
        // The name, which the last step gives, must be a name.
        let to = std::path::absolute(&request.to)
            .ok()
            .filter(|to| to.file_name().is_some())
            .ok_or_else(|| Error::configuration(format!("{:?} is no folder that files can go into", request.to)))?;
        let mut findings = Findings::default();
        let bytes = sets.iter().fold(0, |sum: u64, set| sum.saturating_add(set.raw_bytes));
        let is_there = look(&to, bytes, &mut findings)?;
        findings.refuse(&format!("{to:?}"))?;
        Ok(Self { to, sets: sets.into_iter().map(|set| set.name.clone()).collect(), above, is_there })
    }

    /// Reads all of them, makes nothing, and says what a restore would come to.
    pub(super) async fn rehearse(self, source: &Source<'_>, context: &Context) -> Result<RestoredFiles> {
        let begun = Instant::now();
        let of = (source.store, source.object, source.password);
        let taken = extract::rehearse_file_sets(of, &self.sets, &self.above, context).await?;
        Ok(self.report(taken, begun))
    }

    /// Takes all of them out beside their place.
    pub(super) async fn take_out(self, source: &Source<'_>, context: &Context) -> Result<Hidden> {
        let begun = Instant::now();
        let beside = if self.is_there { self.to.as_path() } else { parent(&self.to) };
        let folder = tempfile::Builder::new()
            .prefix(".nightvault-restore-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(beside)
            .map_err(|error| failed("make a folder in", beside, error))?
            .keep();
        // From here on the folder goes when this value goes.
        let mut hidden = Hidden { files: self, folder, taken: Taken::default(), begun };
        let of = (source.store, source.object, source.password);
        let (sets, above) = (&hidden.files.sets, &hidden.files.above);
        hidden.taken = extract::file_sets(of, sets, above, &hidden.folder, context).await?;
        context.progress.set_current("writing the files to the disk");
        let folder = hidden.folder.clone();
        let synced = tokio::task::spawn_blocking(move || sync(&folder));
        synced.await.map_err(|error| Error::bug("the writing thread ended early").because(error))??;
        Ok(hidden)
    }

    fn report(&self, taken: Taken, begun: Instant) -> RestoredFiles {
        RestoredFiles {
            sets: self.sets.clone(),
            target: self.to.display().to_string(),
            files: taken.files,
            directories: taken.directories,
            symlinks: taken.symlinks,
            raw_bytes: taken.raw_bytes,
            bytes_read: taken.bytes_read,
            left_out: taken.left_out,
            duration_ms: elapsed_ms(begun),
        }
    }
}

impl Hidden {
    /// Gives the files their names.
    pub(super) fn name(mut self) -> Result<RestoredFiles> {
        let to = &self.files.to;
        let named = if self.files.is_there { move_up(&self.folder, to) } else { rename(&self.folder, to) };
        // What lies there is whole: no failure from here on may take it away.
        let folder = std::mem::take(&mut self.folder);
        if let Err(error) = named {
            return Err(error.hint(format!(
                "All that belongs into {to:?} lies whole in {folder:?}; move it by hand, or remove it and try again."
            )));
        }
        let synced = fs::File::open(parent(to)).and_then(|above| above.sync_all());
        synced.map_err(|error| failed("write to the disk", parent(to), error))?;
        let taken = std::mem::take(&mut self.taken);
        Ok(self.files.report(taken, self.begun))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if self.folder.as_os_str().is_empty() {
            return;
        }
        if let Err(error) = remove(&self.folder) {
            let folder = self.folder.display();
            tracing::warn!(%folder, %error, "what was begun could not be removed; remove the folder by hand");
        }
    }
}

/// The sets that are meant.
fn chosen<'a>(wanted: Option<&str>, manifest: &'a Manifest) -> Result<Vec<&'a FilesManifest>> {
    let sets: Vec<_> = manifest.files.iter().filter(|set| wanted.is_none_or(|name| set.name == name)).collect();
    if !sets.is_empty() {
        return Ok(sets);
    }
    let names: Vec<&str> = manifest.files.iter().map(|set| set.name.as_str()).collect();
    Err(match wanted {
        Some(name) if !names.is_empty() => {
            Error::new(Class::NotFound, format!("there is no file set {name:?} in this backup"))
                .hint(format!("It has: {}.", names.join(", ")))
        }
        _ => Error::new(Class::NotFound, "this backup holds no files")
            .hint("`nightvault show` tells what it holds; leave --files out to restore a database alone."),
    })
}

/// Looks at the place; says whether a folder is there.
fn look(to: &Path, bytes: u64, findings: &mut Findings) -> Result<bool> {
    let is_there = match fs::metadata(to) {
        Ok(found) if found.is_dir() => {
            let entries = fs::read_dir(to).and_then(|entries| entries.take(NAMED + 1).collect::<Result<Vec<_>, _>>());
            match entries {
                Ok(entries) if entries.is_empty() => {}
                Ok(entries) => {
                    let names: Vec<String> =
                        entries.iter().take(NAMED).map(|entry| format!("{:?}", entry.file_name())).collect();
                    let more = if entries.len() > NAMED { ", …" } else { "" };
                    findings.problem(format!("it is not empty: {}{more}", names.join(", ")));
                }
                Err(error) => findings.problem(format!("it cannot be looked into: {error}")),
            }
            true
        }
        Ok(_) => {
            findings.problem("it is there and is no folder");
            return Ok(false);
        }
        Err(_) if fs::symlink_metadata(to).is_ok() => {
            findings.problem("it is a symbolic link that leads nowhere");
            return Ok(false);
        }
        Err(_) => false,
    };
    let place = if is_there { to } else { parent(to) };
    if !place.is_dir() {
        findings.problem(format!("the folder above it, {place:?}, is not there"));
        return Ok(is_there);
    }
    if rustix::fs::access(place, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_err() {
        findings.problem(format!("the folder {place:?} cannot be written to"));
    }
    if let Ok(stat) = rustix::fs::statvfs(place) {
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        if free < bytes {
            findings.problem(format!("{place:?} has {free} bytes left, the files take {bytes}"));
        }
    }
    Ok(is_there)
}

fn parent(to: &Path) -> &Path {
    to.parent().unwrap_or(to)
}

/// `rename` puts a folder in the place of nothing, or of an empty folder; it never replaces anything else.
fn rename(folder: &Path, to: &Path) -> Result<()> {
    fs::rename(folder, to).map_err(|error| failed("give the files their name,", to, error))
}

/// Moves all that is in `folder` up into `to`, or nothing.
fn move_up(folder: &Path, to: &Path) -> Result<()> {
    let names = || fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect::<std::io::Result<Vec<_>>>();
    let names = names().map_err(|error| failed("read", folder, error))?;
    let mut moved: Vec<&std::ffi::OsString> = Vec::new();
    for name in &names {
        let place = to.join(name);
        let taken = fs::symlink_metadata(&place).is_ok();
        let done =
            if taken { Err(std::io::ErrorKind::AlreadyExists.into()) } else { carry(&folder.join(name), &place) };
        if let Err(error) = done {
            for name in moved {
                if let Err(error) = carry(&to.join(name), &folder.join(name)) {
                    tracing::warn!(name = %name.display(), %error, "could not be taken back");
                }
            }
            return Err(failed("put the files into", to, error));
        }
        moved.push(name);
    }
    fs::remove_dir(folder).map_err(|error| failed("remove the emptied folder", folder, error))
}

/// Renames into another folder. A directory must be writable for that, whoever owns it; it gets its mode and time back.
fn carry(from: &Path, to: &Path) -> std::io::Result<()> {
    let found = fs::symlink_metadata(from)?;
    if !found.is_dir() || found.mode() & 0o200 != 0 {
        return fs::rename(from, to);
    }
    fs::set_permissions(from, Permissions::from_mode(found.mode() & 0o777 | 0o700))?;
    let renamed = fs::rename(from, to);
    let there = if renamed.is_ok() { to } else { from };
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(found.mtime()).unwrap_or(0));
    let restored = fs::File::open(there)
        .and_then(|directory| directory.set_times(fs::FileTimes::new().set_modified(modified)))
        .and_then(|()| fs::set_permissions(there, Permissions::from_mode(found.mode() & 0o777)));
    renamed.and(restored)
}

/// Makes what was written durable: a folder that has its name must be whole after a power cut, too.
fn sync(folder: &Path) -> Result<()> {
    let opened = fs::File::open(folder);
    let synced = opened.and_then(|folder| Ok(rustix::fs::syncfs(folder)?));
    synced.map_err(|error| failed("write to the disk", folder, error))
}

/// Removes a folder with all in it, read-only directories too; follows no link.
fn remove(folder: &Path) -> std::io::Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    fs::remove_dir(folder)
}
