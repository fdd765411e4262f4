//! What keeps an object from being deleted: a lock until a date, and a hold until somebody lets it go.
//!
//! A lock is the store's own (S3 Object Lock); nobody can shorten one under compliance, and it only ever grows here. A
//! hold is the store's own too where it has such a thing (S3 legal hold); elsewhere it is a mark beside the object that
//! cleanup heeds, and nobody else. The two are told apart wherever they are shown.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

/// How firm a lock is.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html#object-lock-retention-modes>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    /// Whoever has the right to bypass it can.
    Governance,
    /// Nobody can, the account's root included.
    Compliance,
}

impl fmt::Display for LockMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Governance => "governance",
            Self::Compliance => "compliance",
        })
    }
}

/// A lock on one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lock {
    /// How firm it is.
    pub mode: LockMode,
    /// The moment from which it no longer holds.
    pub until: Timestamp,
}

/// What a store can do in the way of locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locking {
    /// Stores of this kind have none.
    Never,
    /// Others of its kind have; this one has none, or was made without.
    Off,
    /// It locks.
    On {
        /// What each new object gets by the store's own rule, and for how long.
        default: Option<(LockMode, SignedDuration)>,
    },
}

/// Who heeds a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldBy {
    /// The store itself: nobody can delete the object.
    LegalHold,
    /// Our cleanup alone: it is a mark beside the object.
    Mark,
}

/// A hold on one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Who heeds it.
    pub by: HeldBy,
    /// What was written down with it; `None`: nothing, because something else than Nightvault holds it.
    pub text: Option<String>,
}

/// All that keeps an object from being deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guard {
    /// Its lock, even one whose time is over.
    pub lock: Option<Lock>,
    /// Its hold.
    pub hold: Option<Hold>,
}

impl Guard {
    /// Until when it is locked, if it is at `now`.
    pub fn locked_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.lock.map(|lock| lock.until).filter(|until| *until > now)
    }

    /// Whether anything keeps the object at `now`.
    pub fn keeps(&self, now: Timestamp) -> bool {
        self.hold.is_some() || self.locked_until(now).is_some()
    }
}
