//! Object Lock: what it says of an object, locks that only grow, and legal holds.
//!
//! A bucket without Object Lock answers that its configuration is missing, a store without it that it knows no such
//! request; neither is an error, and neither can be mistaken for "not locked" of a bucket that has it.
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html>

use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{
    ObjectLockEnabled, ObjectLockLegalHold, ObjectLockLegalHoldStatus, ObjectLockMode, ObjectLockRetention,
    ObjectLockRetentionMode,
};
use jiff::SignedDuration;

use super::super::{Guard, HeldBy, Hold, Lock, LockMode, Locking, not_found};
use super::fault::Fault;
use super::{S3Store, tags, timestamp};
use crate::{Error, Result};

/// The note (and so the tag) that goes with a hold.
const NOTE: &str = "hold";

/// What Object Lock has to say.
enum Answer<T> {
    Says(T),
    /// Nothing: the object has none of it, or is gone.
    Nothing,
    /// The bucket or the store has no Object Lock.
    NoSuchThing,
}

impl Fault {
    /// Whether the bucket, or the store, has no Object Lock.
    pub(super) fn is_without_lock(&self) -> bool {
        self.is_unknown_request()
            || self.is("ObjectLockConfigurationNotFoundError")
            || (self.status == Some(400) && self.is("InvalidRequest"))
    }

    fn answer<T>(self, store: &S3Store, doing: &str, action: &str) -> Result<Answer<T>> {
        match self {
            fault if fault.is_without_lock() => Ok(Answer::NoSuchThing),
            fault if fault.status == Some(404) && !fault.is("NoSuchBucket") => Ok(Answer::Nothing),
            fault => Err(fault.error(store.place(), doing, action)),
        }
    }
}

/// What keeps an object.
pub(super) async fn guard(store: &S3Store, key: &str) -> Result<Guard> {
    let (lock, notes) = futures_util::future::try_join(retention(store, key), tags::notes(store, key)).await?;
    let text = notes.and_then(|mut notes| notes.remove(NOTE));
    let (lock, legal_hold) = match lock {
        Answer::NoSuchThing => (None, false),
        Answer::Nothing => (None, legal_hold(store, key).await?),
        Answer::Says(lock) => (Some(lock), legal_hold(store, key).await?),
    };
    let hold = match (legal_hold, text) {
        (true, text) => Some(Hold { by: HeldBy::LegalHold, text }),
        (false, Some(text)) => Some(Hold { by: HeldBy::Mark, text: Some(text) }),
        (false, None) => None,
    };
    Ok(Guard { lock, hold })
}

async fn retention(store: &S3Store, key: &str) -> Result<Answer<Lock>> {
    let get = store.client().get_object_retention().bucket(store.bucket()).key(store.full(key));
    let found = match get.send().await.map_err(Fault::of) {
        Ok(found) => found.retention,
        Err(fault) => {
            return fault.answer(store, &format!("see until when {key:?} is locked"), "s3:GetObjectRetention");
        }
    };
    let Some(ObjectLockRetention { mode: Some(mode), retain_until_date: Some(until), .. }) = found else {
        return Ok(Answer::Nothing);
    };
    let until = timestamp(&until)
        .ok_or_else(|| Error::unsupported(format!("{key:?} is locked until a date that no calendar has")))?;
    Ok(Answer::Says(Lock { mode: mode_of(mode.as_str()), until }))
}

/// Of a mode that is not known here, nobody may assume that it can be bypassed.
fn mode_of(mode: &str) -> LockMode {
    if mode == ObjectLockRetentionMode::Governance.as_str() { LockMode::Governance } else { LockMode::Compliance }
}

/// The lock in the answer to a look at an object; S3 leaves it out for those who may not see it.
pub(super) fn shown(mode: Option<&ObjectLockMode>, until: Option<&DateTime>) -> Option<Lock> {
    Some(Lock { mode: mode_of(mode?.as_str()), until: timestamp(until?)? })
}

/// What a new object is sent with, so that it is never seen without its lock.
pub(super) fn headers(lock: Option<Lock>) -> (Option<ObjectLockMode>, Option<DateTime>) {
    let mode = lock.map(|lock| match lock.mode {
        LockMode::Governance => ObjectLockMode::Governance,
        LockMode::Compliance => ObjectLockMode::Compliance,
    });
    (mode, lock.map(|lock| DateTime::from_secs(lock.until.as_second())))
}

/// Whether the bucket locks, and what it locks new objects with by itself.
pub(super) async fn locking(store: &S3Store) -> Result<Locking> {
    let get = store.client().get_object_lock_configuration().bucket(store.bucket());
    let found = match get.send().await.map_err(Fault::of) {
        Ok(found) => found.object_lock_configuration,
        Err(fault) if fault.is_without_lock() => return Ok(Locking::Off),
        Err(fault) => {
            let doing = "see whether objects can be locked";
            return Err(fault.error(store.place(), doing, "s3:GetBucketObjectLockConfiguration"));
        }
    };
    let Some(found) = found.filter(|it| it.object_lock_enabled == Some(ObjectLockEnabled::Enabled)) else {
        return Ok(Locking::Off);
    };
    let default = found.rule.and_then(|rule| rule.default_retention).and_then(|rule| {
        let days = rule.days.map(i64::from).or(rule.years.map(|years| i64::from(years) * 365))?;
        Some((mode_of(rule.mode?.as_str()), SignedDuration::from_hours(24 * days)))
    });
    Ok(Locking::On { default })
}

/// Extends a lock, or sets one, and says what the store shows then.
pub(super) async fn lock(store: &S3Store, key: &str, wanted: Lock) -> Result<Option<Lock>> {
    let there = match retention(store, key).await? {
        Answer::NoSuchThing => return Ok(None),
        Answer::Nothing => None,
        Answer::Says(lock) => Some(lock),
    };
    if let Some(there) = there.filter(|lock| lock.until >= wanted.until) {
        return Ok(Some(there));
    }
    let mode = match there {
        Some(Lock { mode: LockMode::Compliance, .. }) => LockMode::Compliance,
        _ => wanted.mode,
    };
    let retention_mode = match mode {
        LockMode::Governance => ObjectLockRetentionMode::Governance,
        LockMode::Compliance => ObjectLockRetentionMode::Compliance,
    };
    let until = DateTime::from_secs(wanted.until.as_second());
    let new = ObjectLockRetention::builder().mode(retention_mode).retain_until_date(until).build();
    let put = store.client().put_object_retention().bucket(store.bucket()).key(store.full(key)).retention(new);
    if let Err(fault) = put.send().await.map_err(Fault::of) {
        return Err(fault.error(store.place(), &format!("lock {key:?}"), "s3:PutObjectRetention"));
    }
    match retention(store, key).await? {
        Answer::Says(lock) if lock.until >= wanted.until => Ok(Some(lock)),
        _ => Err(Error::unsupported(format!("{} took a lock on {key:?} and does not show it", store.place()))),
    }
}

async fn legal_hold(store: &S3Store, key: &str) -> Result<bool> {
    let get = store.client().get_object_legal_hold().bucket(store.bucket()).key(store.full(key));
    match get.send().await.map_err(Fault::of) {
        Ok(found) => Ok(found.legal_hold.and_then(|it| it.status) == Some(ObjectLockLegalHoldStatus::On)),
        Err(fault) => {
            let answer = fault.answer::<()>(store, &format!("see whether {key:?} is held"), "s3:GetObjectLegalHold");
            answer.map(|_| false)
        }
    }
}

/// Holds an object: first by the store, where it can, then by the tag, which says why.
pub(super) async fn hold(store: &S3Store, key: &str, text: &str) -> Result<Option<HeldBy>> {
    let by_store = set_legal_hold(store, key, ObjectLockLegalHoldStatus::On).await?;
    let noted = tags::note(store, key, NOTE, Some(text)).await?;
    Ok(match (by_store, noted) {
        (true, _) => Some(HeldBy::LegalHold),
        (false, true) => Some(HeldBy::Mark),
        (false, false) => None,
    })
}

/// Ends a hold; the tag goes last, so that what was interrupted is still held.
pub(super) async fn release(store: &S3Store, key: &str) -> Result<()> {
    if store.look(key).await?.is_none() {
        return Ok(());
    }
    // One that was never held needs no right to release.
    if legal_hold(store, key).await? {
        set_legal_hold(store, key, ObjectLockLegalHoldStatus::Off).await?;
    }
    tags::note(store, key, NOTE, None).await.map(|_| ())
}

/// False: the bucket or the store has no Object Lock.
async fn set_legal_hold(store: &S3Store, key: &str, status: ObjectLockLegalHoldStatus) -> Result<bool> {
    let hold = ObjectLockLegalHold::builder().status(status).build();
    let put = store.client().put_object_legal_hold().bucket(store.bucket()).key(store.full(key)).legal_hold(hold);
    match put.send().await.map_err(Fault::of) {
        Ok(_) => Ok(true),
        Err(fault) => match fault.answer::<()>(store, &format!("hold {key:?}"), "s3:PutObjectLegalHold")? {
            Answer::NoSuchThing => Ok(false),
            _ => Err(not_found(&store.place().disk, key)),
        },
    }
}
