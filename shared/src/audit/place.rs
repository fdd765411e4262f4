//! Where a trail lies, and the names of its records.

/// The folder of a trail in a store: `<name>/audit/`. No `BACKUP_NAME` and no filename prefix has a slash, so no backup of
/// this or another name can lie there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// `BACKUP_NAME`.
    pub name: String,
}

/// Digits of a number, at least: keys are listed in the order of their numbers up to a hundred million.
const DIGITS: usize = 8;
/// What every key ends with.
const EXTENSION: &str = ".json";

impl Place {
    /// The trail of the backups of `name`.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }

    /// What every key of the trail starts with.
    pub fn folder(&self) -> String {
        format!("{}/audit/", self.name)
    }

    /// The key of a record.
    pub fn key(&self, sequence: u64) -> String {
        format!("{}{sequence:0DIGITS$}{EXTENSION}", self.folder())
    }

    /// The number of the record with this key; `None` when it is not exactly the key of one.
    pub fn sequence(&self, key: &str) -> Option<u64> {
        let digits = key.strip_prefix(&self.folder())?.strip_suffix(EXTENSION)?;
        let sequence = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
        (sequence > 0 && self.key(sequence) == key).then_some(sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_number_and_tells_it() {
        let place = Place::new("clinic");
        for (sequence, key) in [
            (1, "clinic/audit/00000001.json"),
            (99_999_999, "clinic/audit/99999999.json"),
            (100_000_000, "clinic/audit/100000000.json"),
            (u64::MAX, "clinic/audit/18446744073709551615.json"),
        ] {
            assert_eq!(place.key(sequence), key);
            assert_eq!(place.sequence(key), Some(sequence));
        }
    }

    #[test]
    fn what_is_not_exactly_a_key_has_no_number() {
        let place = Place::new("clinic");
        for key in [
            "clinic/audit/00000000.json",
            "clinic/audit/1.json",
            "clinic/audit/000000001.json",
            "clinic/audit/+0000001.json",
            "clinic/audit/0000000１.json",
            "clinic/audit/18446744073709551616.json",
            "clinic/audit/00000001.json.bak",
            "clinic/audit/00000001",
            "clinic/audit/a/00000001.json",
            "clinic/audit/.json",
            "clinic/audit/",
            "clinic/00000001.json",
            "other/audit/00000001.json",
            "x/clinic/audit/00000001.json",
        ] {
            assert_eq!(place.sequence(key), None, "{key}");
        }
    }
}
