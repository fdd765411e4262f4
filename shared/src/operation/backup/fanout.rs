//! One archive, several disks: every byte goes to every disk, and a disk that fails is named while the others go on.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;
use jiff::Timestamp;

use crate::archive::manifest::FileProblemKind;
use crate::archive::{ArchiveOutput, reader};
use crate::config::Config;
use crate::operation::Context;
use crate::operation::backup::lock;
use crate::progress::Progress;
use crate::report::DiskReport;
use crate::secret::Secret;
use crate::store::{Lock, Object, Review, Store, Stored, Upload};
use crate::{Class, Error, Result};

/// One disk's way through a run.
pub(super) struct Lane {
    pub(super) store: Arc<dyn Store>,
    pub(super) state: State,
    /// Bytes that its upload took.
    taken: u64,
    /// How the stored object was proved.
    pub(super) verified: Option<&'static str>,
    /// Why what a whole reading found could not be noted beside the object.
    pub(super) not_noted: Option<String>,
    /// What the object is locked with from the beginning.
    lock: Option<Lock>,
}

/// Where a lane is.
pub(super) enum State {
    /// Reached; the key is free.
    Ready,
    /// Held by a step that is at work on it.
    Busy,
    /// This very backup was there before: a repeated event.
    There,
    /// Being written.
    Open(Box<dyn Upload>),
    /// Visible.
    Stored(Stored),
    /// Failed; nothing of this run is to be trusted there. With `Stored`: visible, but not proved.
    Failed(Error, Option<Stored>),
}

/// What a run makes, so that a disk that has it already can be told.
pub(super) struct Making {
    /// The key.
    pub(super) key: String,
    /// The moment that the key stands for.
    pub(super) date: Timestamp,
    /// The names of the databases and file sets that it is to hold.
    pub(super) sources: Vec<String>,
    /// The password that opens it.
    pub(super) password: Secret,
}

/// The disks that a run writes to.
pub(super) struct FanOut {
    lanes: Vec<Lane>,
    making: Making,
    progress: Arc<Progress>,
}

impl FanOut {
    /// Asks every disk whether it can be reached and has the key already. A disk that holds exactly this backup is done;
    /// one that holds another backup under this key has failed, and so has one that cannot lock what is to be locked.
    pub(super) async fn reach(
        stores: &[Arc<dyn Store>],
        making: Making,
        config: &Config,
        context: &Context,
    ) -> Result<Self> {
        let lanes = join_all(stores.iter().map(async |store| {
            let mut lock = None;
            let state = match store.head(&making.key).await {
                Ok(None) => match lock::wanted(&**store, config, making.date, context.now).await {
                    Ok(wanted) => {
                        lock = wanted;
                        State::Ready
                    }
                    Err(error) => State::Failed(error, None),
                },
                Ok(Some(object)) => making.look_at(store, &object).await,
                Err(error) => State::Failed(error, None),
            };
            let verified = matches!(state, State::There).then_some("tail");
            Lane { store: store.clone(), state, taken: 0, verified, not_noted: None, lock }
        }))
        .await;
        Ok(Self { lanes, making, progress: context.progress.clone() })
    }

    /// Whether no disk is left to write to.
    pub(super) fn is_empty(&self) -> bool {
        !self.lanes.iter().any(|lane| matches!(lane.state, State::Ready | State::Open(_)))
    }

    /// The lanes, in the order of the configuration.
    pub(super) fn lanes_mut(&mut self) -> &mut [Lane] {
        &mut self.lanes
    }

    /// Starts the upload on every disk that is ready.
    ///
    /// # Errors
    /// The first failure, when no disk is left.
    pub(super) async fn open(&mut self, expected: Option<u64>) -> Result<()> {
        let key = &self.making.key;
        join_all(self.lanes.iter_mut().filter(|lane| matches!(lane.state, State::Ready)).map(async |lane| {
            lane.state = match lane.store.create_locked(key, expected, lane.lock).await {
                Ok(upload) => State::Open(upload),
                Err(error) => State::Failed(error, None),
            };
        }))
        .await;
        self.some_left()
    }

    /// Makes the object visible on every disk that took all of its bytes. Where another process was quicker with the same
    /// event, its backup is what this run was to make.
    pub(super) async fn complete(&mut self, bytes: u64) {
        let making = &self.making;
        join_all(self.lanes.iter_mut().map(async |lane| {
            let State::Open(_) = lane.state else { return };
            let State::Open(upload) = lane.take_state() else { return };
            lane.state = if lane.taken == bytes {
                match upload.complete(&Review { bytes }).await {
                    Ok(stored) => locked(lane.lock, stored),
                    Err(error) if error.class() == Class::AlreadyExists => match lane.store.head(&making.key).await {
                        Ok(Some(object)) => making.look_at(&lane.store, &object).await,
                        _ => State::Failed(error, None),
                    },
                    Err(error) => State::Failed(error, None),
                }
            } else {
                abort(&*lane.store, upload).await;
                let taken = lane.taken;
                State::Failed(Error::bug(format!("the disk took {taken} of {bytes} bytes of the archive")), None)
            };
            if matches!(lane.state, State::There) {
                lane.verified = Some("tail");
            }
        }))
        .await;
    }

    /// Aborts every upload that is open. What goes wrong in that is logged: the reason for the abort matters more.
    pub(super) async fn abort(&mut self) {
        join_all(self.lanes.iter_mut().map(async |lane| {
            if let State::Open(_) = lane.state
                && let State::Open(upload) = lane.take_state()
            {
                abort(&*lane.store, upload).await;
            }
        }))
        .await;
    }

    /// What could not be noted beside the backups, for the report's warnings.
    pub(super) fn warnings(&self) -> impl Iterator<Item = String> {
        self.lanes.iter().filter_map(|lane| {
            let why = lane.not_noted.as_ref()?;
            Some(format!("disk {}: what was verified could not be noted beside the backup: {why}", lane.store.disk()))
        })
    }

    /// Whether any disk holds a backup that this run made.
    pub(super) fn any_stored(&self) -> bool {
        self.lanes.iter().any(|lane| matches!(lane.state, State::Stored(_)))
    }

    /// What became of every disk, and the first failure in the order of the configuration.
    pub(super) fn into_outcome(self) -> (Vec<DiskReport>, Option<Error>) {
        let mut first_error = None;
        let reports = self
            .lanes
            .into_iter()
            .map(|lane| {
                let disk = lane.store.disk().to_owned();
                let (stored, failed) = match lane.state {
                    State::Stored(stored) => (Some(stored), None),
                    State::Failed(error, stored) => (stored, Some(error)),
                    State::Ready | State::Busy | State::There | State::Open(_) => (None, None),
                };
                let error = failed.as_ref().map(Error::chain);
                if first_error.is_none() {
                    first_error = failed.map(|error| error.context(format!("disk {disk}")));
                }
                DiskReport {
                    disk,
                    uploaded_bytes: stored.as_ref().map_or(0, |stored| stored.object.size),
                    parts: stored.as_ref().map_or(0, |stored| stored.parts),
                    verified: lane.verified.map(str::to_owned),
                    locked_until: stored.as_ref().and_then(|stored| stored.lock).map(|lock| lock.until),
                    checksum: stored.and_then(|stored| stored.checksum),
                    error,
                }
            })
            .collect();
        (reports, first_error)
    }

    /// Whether there is still a disk to write to; the lanes keep their own errors for the report.
    fn some_left(&self) -> Result<()> {
        if !self.is_empty() {
            return Ok(());
        }
        let mut failed = self.lanes.iter().filter_map(|lane| match &lane.state {
            State::Failed(error, _) => Some((lane.store.disk(), error)),
            _ => None,
        });
        let Some((disk, error)) = failed.next() else { return Err(Error::bug("a run without disks")) };
        let told = Error::new(error.class(), format!("disk {disk}: {}", error.chain()));
        Err(match error.hint_text() {
            Some(hint) => told.hint(hint),
            None => told,
        })
    }
}

impl Lane {
    /// Takes the state out; the step that does so gives the lane its next one.
    pub(super) fn take_state(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Busy)
    }
}

#[async_trait]
impl ArchiveOutput for FanOut {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        join_all(self.lanes.iter_mut().map(async |lane| {
            let State::Open(upload) = &mut lane.state else { return };
            match upload.write(bytes.clone()).await {
                Ok(()) => lane.taken += bytes.len() as u64,
                Err(error) => {
                    let failed = std::mem::replace(&mut lane.state, State::Failed(error, None));
                    if let State::Open(upload) = failed {
                        abort(&*lane.store, upload).await;
                    }
                }
            }
        }))
        .await;
        self.progress.add_uploaded_bytes(bytes.len() as u64);
        self.some_left()
    }
}

/// A backup that was to be locked and is not, as far as the store shows, is stored and is no success.
fn locked(wanted: Option<Lock>, stored: Stored) -> State {
    match wanted {
        Some(wanted) if stored.lock.is_none_or(|lock| lock.until < wanted.until) => {
            let message =
                format!("{:?} is stored, and does not show its lock until {}", stored.object.key, wanted.until);
            let error = Error::unsupported(message)
                .hint("Allow s3:GetObjectRetention; a store that takes locks and keeps none must not be told to lock.");
            State::Failed(error, Some(stored))
        }
        _ => State::Stored(stored),
    }
}

async fn abort(store: &dyn Store, upload: Box<dyn Upload>) {
    if let Err(error) = upload.abort().await {
        tracing::warn!(
            disk = store.disk(),
            error = error.chain(),
            "an upload could not be aborted; cleanup will abort it when it is a day old"
        );
    }
}

impl Making {
    /// What a disk is that has an object under the key: done, when it is this very backup, readable, made for the same
    /// moment, and holding everything that this run was to take.
    async fn look_at(&self, store: &Arc<dyn Store>, object: &Object) -> State {
        let manifest = match reader::read_tail(store.clone(), object, &self.password).await {
            Ok(tail) => tail.manifest,
            Err(error) => {
                let what = format!("{} is there already and does not prove to be this backup", object.key);
                return State::Failed(error.context(what), None);
            }
        };
        let (key, of) = (&object.key, manifest.date);
        let there = manifest.source_names();
        let lacks: Vec<&str> = self.sources.iter().filter(|name| !there.contains(name)).map(String::as_str).collect();
        let problems = manifest.files.iter().flat_map(|files| &files.problems);
        let unreadable = problems.filter(|problem| problem.kind == FileProblemKind::Unreadable).count();
        let error = if of != self.date {
            let message = format!("{key} is there already, and it is the backup of {of}, not of {}", self.date);
            Error::new(Class::AlreadyExists, message).hint(
                "Nothing was overwritten. Two runs of one second share a key: run it again. So do two moments when clocks are \
                 set back: use BACKUP_TIMEZONE=UTC.",
            )
        } else if !lacks.is_empty() {
            let message = format!("{key} is there already, and it lacks {}", lacks.join(", "));
            Error::new(Class::AlreadyExists, message).hint(
                "Nothing was overwritten. Run again without a scheduled time: the backup then gets a key of its own.",
            )
        } else if unreadable > 0 {
            let message = format!("{key} is there already, without {unreadable} files that could not be read");
            Error::new(Class::Permission, message)
                .hint("Mend the permissions, then run again without a scheduled time for a backup that is whole.")
        } else {
            return State::There;
        };
        State::Failed(error, None)
    }
}
