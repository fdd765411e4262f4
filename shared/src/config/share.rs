//! A share of a backup, such as `5%`.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// All of it, in hundredths of a percent.
const WHOLE: u32 = 10_000;

/// More than nothing and at most all, in hundredths of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share(u32);

impl Share {
    /// Five percent: a backup in twenty slices.
    pub const DEFAULT: Self = Self(500);

    /// This share of `bytes`, rounded up.
    pub fn of(self, bytes: u64) -> u64 {
        let share = (u128::from(bytes) * u128::from(self.0)).div_ceil(u128::from(WHOLE));
        u64::try_from(share).unwrap_or(u64::MAX)
    }

    /// How many slices of this share make a whole.
    pub fn slices(self) -> u32 {
        WHOLE.div_ceil(self.0)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (percent, hundredths) = (self.0 / 100, self.0 % 100);
        match hundredths {
            0 => write!(f, "{percent} %"),
            tenths if tenths % 10 == 0 => write!(f, "{percent}.{} %", tenths / 10),
            _ => write!(f, "{percent}.{hundredths:02} %"),
        }
    }
}

impl FromStr for Share {
    type Err = Error;

    /// Reads `5%`, `5 %`, `5` or `0.25%`.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::configuration(format!("{text:?} is no share of more than 0 % and at most 100 %"));
        let number = text.trim().strip_suffix('%').unwrap_or(text).trim();
        let (percent, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if percent.is_empty() || !digits(percent) || !digits(fraction) || fraction.len() > 2 {
            return Err(wrong());
        }
        if number.ends_with('.') {
            return Err(wrong());
        }
        let percent: u32 = percent.parse().ok().filter(|percent| *percent <= 100).ok_or_else(wrong)?;
        let hundredths: u32 = format!("{fraction:0<2}").parse().map_err(|_| wrong())?;
        let share = percent * 100 + hundredths;
        if (1..=WHOLE).contains(&share) { Ok(Self(share)) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_read_as_people_write_it() {
        for (text, shown, slices) in [
            ("5%", "5 %", 20),
            ("5 %", "5 %", 20),
            (" 7% ", "7 %", 15),
            ("100", "100 %", 1),
            ("0.25%", "0.25 %", 400),
            ("12.5%", "12.5 %", 8),
            ("0.01%", "0.01 %", 10_000),
        ] {
            let share: Share = text.parse().unwrap();
            assert_eq!((share.to_string().as_str(), share.slices()), (shown, slices), "{text}");
        }
        for text in ["", "%", "0", "0%", "0.00%", "100.01%", "101%", "-5%", "5%%", "five", "5.%", "1.234%", "1e1", ".5"]
        {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
    }

    #[test]
    fn slices_of_a_share_are_never_less_than_the_whole() {
        for text in ["5%", "7%", "0.01%", "33.33%", "100%"] {
            let share: Share = text.parse().unwrap();
            for bytes in [0, 1, 19, 20, 21, 12_345, u64::MAX / 2] {
                let covered = u128::from(share.of(bytes)) * u128::from(share.slices());
                assert!(covered >= u128::from(bytes), "{text} of {bytes}");
            }
        }
    }
}
