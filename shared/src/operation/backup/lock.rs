//! The lock with which a new backup is stored.
//!
//! Until when: as long as the policy surely keeps a backup of this date beside any others, which are the days in which all
//! are kept; cleanup, which knows the others, extends the lock from night to night. Where the bucket's own rule locks for longer, that rule
//! is left to work. A bucket that cannot lock is refused before a byte is written.

use jiff::Timestamp;

use crate::config::Config;
use crate::retention;
use crate::store::{Lock, LockMode, Locking, Store};
use crate::{Error, Result};

/// What a backup of `date` is stored with on this disk; `None`: nothing, or what the bucket's own rule says.
pub(super) async fn wanted(
    store: &dyn Store,
    config: &Config,
    date: Timestamp,
    now: Timestamp,
) -> Result<Option<Lock>> {
    let Some(mode) = config.object_lock else { return Ok(None) };
    let locking = store.locking().await?;
    check(store.disk(), mode, &locking)?;
    // As if there were a rival in each of its slots: what else is there was not looked at.
    let until = retention::kept_until(date, &[date], &config.retention, now, &config.timezone);
    Ok(match locking {
        Locking::On { default } => until
            .filter(|until| default.is_none_or(|(_, by_itself)| now.checked_add(by_itself).is_ok_and(|it| it < *until)))
            .map(|until| Lock { mode, until }),
        Locking::Never | Locking::Off => None,
    })
}

fn check(disk: &str, mode: LockMode, locking: &Locking) -> Result<()> {
    match locking {
        Locking::Off => Err(Error::configuration(format!(
            "BACKUP_OBJECT_LOCK is {mode}, and the bucket of disk {disk} has no Object Lock"
        ))
        .hint(
            "Turn Object Lock on for the bucket (on a new one, or with versioning on), or set BACKUP_OBJECT_LOCK=off.",
        )),
        Locking::On { default: Some((other, _)) } if *other != mode => Err(Error::configuration(format!(
            "BACKUP_OBJECT_LOCK is {mode}, and the bucket of disk {disk} locks new objects with {other}"
        ))
        .hint("Give both the same mode.")),
        _ => Ok(()),
    }
}
