//! As whom a server runs that refuses to run as root.

use std::os::unix::fs::chown;
use std::path::Path;

use super::Kind;
use crate::{Class, Error, Result};

/// A user of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct User {
    pub(super) id: u32,
    pub(super) group: u32,
}

impl User {
    /// The user of the server's own package, else `nobody`.
    pub(super) fn find(kind: Kind) -> Result<Self> {
        let names = match kind {
            Kind::Postgres => ["postgres", "nobody"],
            Kind::MariaDb => ["mysql", "nobody"],
        };
        let users = std::fs::read_to_string("/etc/passwd")
            .map_err(|error| Error::new(Class::Permission, "cannot read /etc/passwd").because(error))?;
        names.iter().find_map(|name| parse(&users, name)).ok_or_else(|| {
            Error::configuration(format!("no user {} is there to run the drill's server, which refuses root", names[0]))
                .hint("Run the drill as another user than root, or give a server with --to.")
        })
    }

    /// Gives a folder to the user.
    pub(super) fn own(self, folder: &Path) -> Result<()> {
        chown(folder, Some(self.id), Some(self.group))
            .map_err(|error| Error::new(Class::Permission, format!("cannot give {folder:?} away")).because(error))
    }
}

/// `name:x:id:group:…`, never root.
fn parse(users: &str, name: &str) -> Option<User> {
    let line = users.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(':')))?;
    let mut fields = line.split(':').skip(2);
    let user = User { id: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()? };
    (user.id != 0).then_some(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_the_whole_name_and_root_is_none() {
        let users = "root:x:0:0::/:/bin/sh\npostgres2:x:1:1::/:\npostgres:x:104:111:PostgreSQL:/var/lib:/bin/bash\n";
        assert_eq!(parse(users, "postgres"), Some(User { id: 104, group: 111 }));
        assert_eq!(parse(users, "root"), None);
        assert_eq!(parse(users, "mysql"), None);
    }
}
