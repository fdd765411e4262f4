//! One error for the whole core: what happened, on which object, and what to do about it.
//!
//! The message names our action and the object, lower case, no final stop; the cause stands only in the chain
//! (`source()`), so that a printer of chains says nothing twice. `hint` is a full sentence for the operator. `class`
//! drives the exit code, the retry decision and Lambda's `error_type`, and is part of the contract with alarms.

use std::error::Error as StdError;
use std::fmt;

/// The result of everything that can fail in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure it is, and therefore who must act and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The configuration or an argument is wrong. Nothing was changed, except that one wrong disk keeps no other from its
    /// backup.
    Configuration,
    /// A server, a store or the file system denied access.
    Permission,
    /// A network, server or store fault that may pass; trying again is sensible.
    Transient,
    /// A thing that must be there is not: a bucket, a backup, a database.
    NotFound,
    /// The backup of this key is there already; nothing was done twice.
    AlreadyExists,
    /// Bytes do not match their digest, or a structure is damaged.
    Corrupt,
    /// The password does not open the archive (or its first bytes are damaged).
    WrongPassword,
    /// Something that was found cannot be dumped faithfully; the message names it.
    Unsupported,
    /// The source changed while it was read, in a way that the snapshot cannot hide; or somebody wrote into the target of a
    /// restore.
    Inconsistent,
    /// A limit was reached: disk full, a row larger than memory allows, too many files.
    Limit,
    /// The run was stopped because its time was running out.
    Deadline,
    /// A backup set is not healthy (`monitor`), or a dump in an archive of another program looks cut off (`verify`).
    Unhealthy,
    /// Nightvault itself is wrong; please report it.
    Bug,
}

impl Class {
    /// The stable name that Lambda reports as `error_type` and that alarms and runbooks match on.
    pub fn error_type(self) -> &'static str {
        match self {
            Class::Configuration => "ConfigurationError",
            Class::Permission => "PermissionDenied",
            Class::Transient => "TransientFailure",
            Class::NotFound => "NotFound",
            Class::AlreadyExists => "AlreadyExists",
            Class::Corrupt => "CorruptArchive",
            Class::WrongPassword => "WrongPassword",
            Class::Unsupported => "UnsupportedObject",
            Class::Inconsistent => "InconsistentSource",
            Class::Limit => "LimitReached",
            Class::Deadline => "DeadlineExceeded",
            Class::Unhealthy => "Unhealthy",
            Class::Bug => "InternalError",
        }
    }

    /// The exit code of the command line: 1 failed or unhealthy, 2 configuration, 3 corrupt or wrong password,
    /// 4 refused as unsupported.
    pub fn exit_code(self) -> u8 {
        match self {
            Class::Configuration => 2,
            Class::Corrupt | Class::WrongPassword => 3,
            Class::Unsupported => 4,
            Class::Permission
            | Class::Transient
            | Class::NotFound
            | Class::AlreadyExists
            | Class::Inconsistent
            | Class::Limit
            | Class::Deadline
            | Class::Unhealthy
            | Class::Bug => 1,
        }
    }
}

/// A failure: class, message, cause and what to do about it.
pub struct Error(Box<Inner>);

struct Inner {
    class: Class,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A failure of `class`; `message` is lower case, names the object and has no final stop.
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { class, message: message.into(), hint: None, source: None }))
    }

    /// A configuration error.
    pub fn configuration(message: impl Into<String>) -> Self {
        Self::new(Class::Configuration, message)
    }

    /// Something that cannot be dumped faithfully; `message` names it.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(Class::Unsupported, message)
    }

    /// Damage.
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(Class::Corrupt, message)
    }

    /// A broken promise of our own code.
    pub fn bug(message: impl Into<String>) -> Self {
        Self::new(Class::Bug, message)
    }

    /// Adds what to do about it, as a full sentence.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Puts what was being done in front of the message: `context: message`. Class, hint and cause stay.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.0.message = format!("{context}: {}", self.0.message);
        self
    }

    /// An error that two may own: class, message and hint; the causes become part of the message.
    pub(crate) fn copy(error: &Self) -> Self {
        let copied = Self::new(error.class(), error.chain());
        match error.hint_text() {
            Some(hint) => copied.hint(hint),
            None => copied,
        }
    }

    /// Who must act.
    pub fn class(&self) -> Class {
        self.0.class
    }

    /// What to do about it, where that is known.
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The message with the whole chain of causes on one line, `: ` between them; control characters are escaped,
    /// so that a hostile name cannot break a log line.
    pub fn chain(&self) -> String {
        let mut line = self.0.message.clone();
        let mut cause = self.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Some libraries repeat their cause in their own message; say it once.
            if !line.ends_with(&text) {
                line.push_str(": ");
                line.push_str(&text);
            }
            cause = error.source();
        }
        line.chars()
            .flat_map(|c| if c.is_control() && c != '\n' { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
            .collect()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0.class, self.chain())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|cause| cause as &(dyn StdError + 'static))
    }
}
