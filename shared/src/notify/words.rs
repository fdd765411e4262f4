//! Words and figures for messages: made harmless, bounded, and without secrets.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Makes text from outside fit to stand in one line of a message: URLs lose what may be secret in them, everything
/// that could break a line, hide or turn text around is shown escaped, and what is too long is cut and says so.
pub(super) fn clean(text: &str, longest: usize) -> String {
    let visible: String = redact(text)
        .chars()
        .flat_map(|c| if is_unsafe(c) { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect();
    let length = visible.chars().count();
    if length <= longest {
        return visible;
    }
    let cut: String = visible.chars().take(longest).collect();
    format!("{cut}… ({} characters)", grouped(length as u64))
}

/// Control characters, line and paragraph separators, and what is invisible or changes the direction of text.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{ad}')
}

/// Takes out of every URL what may be a secret: user and password, and the path and query of web addresses (a webhook's
/// path and a presigned query are passwords).
pub(super) fn redact(text: &str) -> String {
    let mut safe = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = (&rest[..at], &rest[at + 3..]);
        let scheme =
            before.rsplit(|c: char| !c.is_ascii_alphanumeric() && !"+.-".contains(c)).next().unwrap_or_default();
        let web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
        let store = scheme.eq_ignore_ascii_case("s3") || scheme.eq_ignore_ascii_case("file");
        // A password in a URL may hold blanks and quotes; so where there is a user, the URL lasts until its last `@`.
        let user = if web || store { None } else { after.rfind('@') };
        let end = user.unwrap_or(0);
        let end = after[end..]
            .find(|c: char| c.is_whitespace() || "\"'<>`()[]|".contains(c))
            .map_or(after.len(), |more| end + more);
        let (url, behind) = after.split_at(end);
        safe.push_str(before);
        safe.push_str("://");
        if url.contains('@') {
            safe.push('…');
        } else if web || url.contains('?') {
            let host = url.find(['/', '?', '#']).unwrap_or(url.len());
            safe.push_str(&url[..host]);
            if host < url.len() {
                safe.push_str("/…");
            }
        } else {
            safe.push_str(url);
        }
        rest = behind;
    }
    safe + rest
}

/// `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 table`, `2 tables`.
pub(super) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// `512 bytes`, `1.5 GiB`.
pub(super) fn bytes(number: u64) -> String {
    if number < 1024 {
        return count(number, "byte", "bytes");
    }
    let mut value = number as f64;
    let mut unit = "bytes";
    for next in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
        // 1023.95 would round to 1024.0.
        if value < 1023.95 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

/// `850 ms`, `12.3 s`, `5 min 3 s`, `1 h 5 min`.
pub(super) fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0 => format!("{milliseconds} ms"),
        1..60 => format!("{}.{} s", seconds, milliseconds % 1000 / 100),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// A moment in UTC and, where that is another clock, in the zone: never a time without its zone.
pub(super) fn time(moment: Timestamp, zone: &TimeZone) -> String {
    let utc = moment.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    if *zone == TimeZone::UTC || zone.iana_name() == Some("UTC") {
        return utc;
    }
    let local = moment.to_zoned_datetime(zone.clone());
    let name = zone.iana_name().map(|name| format!(" {name}")).unwrap_or_default();
    format!("{utc} ({}{name})", local.strftime("%Y-%m-%d %H:%M:%S %:z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_breaks_lines_or_turns_around_is_shown_escaped() {
        assert_eq!(clean("a\r\nBcc: x\u{1b}[2J\u{202e}\u{2028}", 100), "a\\r\\nBcc: x\\u{1b}[2J\\u{202e}\\u{2028}");
        assert_eq!(clean("Zürich 病院", 100), "Zürich 病院");
    }

    #[test]
    fn long_text_is_cut_and_says_how_long_it_was() {
        assert_eq!(clean(&"é".repeat(10_000), 3), "ééé… (10,000 characters)");
        assert_eq!(clean("ééé", 3), "ééé");
    }

    #[test]
    fn urls_lose_what_may_be_secret() {
        for (text, safe) in [
            ("post https://hooks.slack.com/services/T0/B0/abc failed", "post https://hooks.slack.com/… failed"),
            ("(HTTPS://b.s3.amazonaws.com?X-Amz-Signature=abc)", "(HTTPS://b.s3.amazonaws.com/…)"),
            ("at https://host", "at https://host"),
            ("postgres://night:p@ss/w#or d@db:5432/clinic is down", "postgres://… is down"),
            ("https://user:pass@host/ and s3://bucket/prefix", "https://… and s3://bucket/prefix"),
            ("s3://bucket?secret=1", "s3://bucket/…"),
            ("a://b://c@d", "a://…"),
            ("no url: //", "no url: //"),
        ] {
            assert_eq!(redact(text), safe);
        }
    }

    #[test]
    fn figures_read_well() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [1, 1023, 1024, 1536, 1_048_575, u64::MAX].map(bytes),
            ["1 byte", "1,023 bytes", "1.0 KiB", "1.5 KiB", "1.0 MiB", "16.0 EiB"]
        );
        assert_eq!(
            [0, 999, 12_345, 61_000, 3_661_000].map(duration),
            ["0 ms", "999 ms", "12.3 s", "1 min 1 s", "1 h 1 min"]
        );
    }

    #[test]
    fn a_time_names_utc_and_the_zone() {
        let moment = "2026-07-01T02:00:00.9Z".parse().unwrap();
        assert_eq!(time(moment, &TimeZone::UTC), "2026-07-01 02:00:00 UTC");
        assert_eq!(
            time(moment, &TimeZone::get("Europe/Berlin").unwrap()),
            "2026-07-01 02:00:00 UTC (2026-07-01 04:00:00 +02:00 Europe/Berlin)"
        );
    }
}
