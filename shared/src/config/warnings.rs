//! What is not wrong and yet probably not meant: unknown names, values that another variable overrules.

use std::collections::BTreeSet;

use super::disks::stem;
use super::password::ends_in_newline;
use super::variables::{DISK_VARIABLES, VARIABLES, disk_variable};
use super::{Config, DiskKind, Lookup};

/// What a person should know of the variables that made `config`. `names`: the names of all variables there are.
///
/// Unknown names that begin with `BACKUP_` are told with the nearest known one, because a mistyped
/// `BACKUP_KEEP_YEARLY_YEAR` would otherwise quietly mean the default.
pub fn warnings(config: &Config, lookup: Lookup<'_>, names: &[String]) -> Vec<String> {
    let mut warnings = Vec::new();
    let is_set = |name: &str| lookup(name).is_some_and(|value| !value.is_empty());
    let stems: BTreeSet<String> =
        config.disks.iter().chain(&config.monitor_disks).map(|disk| stem(&disk.name)).collect();
    let mut unknown: Vec<&String> = names.iter().filter(|name| name.starts_with("BACKUP_") && is_set(name)).collect();
    unknown.sort();
    for name in unknown {
        let disk = DISK_VARIABLES.iter().find_map(|(ending, _)| disk_variable(name, ending));
        if VARIABLES.iter().any(|(known, _)| known == name) {
            continue;
        } else if let Some(disk) = disk {
            if !stems.contains(&format!("BACKUP_DISK_{disk}")) || ["S3", "LOCAL"].contains(&disk) {
                warnings
                    .push(format!("{name} describes a disk that BACKUP_DISK and BACKUP_MONITOR_DISKS do not name so"));
            }
        } else {
            let nearest = nearest(name).map_or(String::new(), |known| format!("; did you mean {known}?"));
            warnings.push(format!("{name} is no variable of ours and does nothing{nearest}"));
        }
    }
    for (value, secret) in
        [("BACKUP_ARCHIVE_PASSWORD", "BACKUP_ARCHIVE_PASSWORD_SECRET"), ("SLACK_WEBHOOK_URL", "SLACK_WEBHOOK_SECRET")]
    {
        if is_set(value) && is_set(secret) {
            warnings.push(format!("{value} is not used, because {secret} is set and wins"));
        }
    }
    if !is_set("BACKUP_ARCHIVE_PASSWORD_SECRET")
        && lookup("BACKUP_ARCHIVE_PASSWORD").is_some_and(|it| ends_in_newline(&it))
    {
        warnings.push("the newline at the end of BACKUP_ARCHIVE_PASSWORD is not part of the password".into());
    }
    if config.allow_weak_password {
        warnings.push(
            "BACKUP_ALLOW_WEAK_PASSWORD is true: a weak password can be guessed, and with it every backup".into(),
        );
    }
    for disk in config.disks.iter().filter(|disk| matches!(disk.kind, DiskKind::Local { .. })) {
        if config.object_lock.is_some() {
            warnings
                .push(format!("BACKUP_OBJECT_LOCK does nothing on the disk {}: a directory has no locks", disk.name));
        }
    }
    if config.notifications.failure.is_empty() && config.notifications.health.is_empty() {
        warnings.push("nobody is told when a backup fails: no mail address and no Slack webhook is in use".into());
    }
    warnings
}

/// The known variable that takes the fewest changes, if they are few.
fn nearest(name: &str) -> Option<&'static str> {
    let (known, changes) =
        VARIABLES.iter().map(|(known, _)| (*known, strsim::levenshtein(name, known))).min_by_key(|(_, d)| *d)?;
    (changes <= 3).then_some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_name_is_answered_with_the_nearest_one() {
        assert_eq!(nearest("BACKUP_KEEP_YEARLY_YEAR"), Some("BACKUP_KEEP_YEARLY_YEARS"));
        assert_eq!(nearest("BACKUP_DISKS"), Some("BACKUP_DISK"));
        assert_eq!(nearest("BACKUP_SOMETHING_ELSE"), None);
    }
}
