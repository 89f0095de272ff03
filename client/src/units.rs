//! Durations and sizes as people write them: `10s`, `5m`, `7d`; `25M`, with K, M, G and T as powers of
//! 1024. Times are RFC 3339 in UTC.

use std::time::Duration;

use jiff::Timestamp;

/// `10s`, `5m`, `12h`, `7d`, `250ms`; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let problem = || format!("`{text}` is no duration; write 10s, 5m, 12h or 7d");
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number: u64 = text[..digits].parse().map_err(|_| problem())?;
    let seconds = match &text[digits..] {
        "ms" => return Ok(Duration::from_millis(number)),
        "" | "s" => Some(number),
        "m" => number.checked_mul(60),
        "h" => number.checked_mul(60 * 60),
        "d" => number.checked_mul(24 * 60 * 60),
        _ => None,
    };
    seconds.map(Duration::from_secs).ok_or_else(problem)
}

/// `4096`, `64K`, `25M`, `1.5G`, `2T`; also with `iB` or `B` behind.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let problem = || format!("`{text}` is no size; write 4096, 64K, 25M, 10G or 2T");
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let shift = match unit.trim_end_matches("iB").trim_end_matches('B') {
        "" => 0,
        "K" | "k" => 10,
        "M" | "m" => 20,
        "G" | "g" => 30,
        "T" | "t" => 40,
        _ => return Err(problem()),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole: u64 = whole.parse().map_err(|_| problem())?;
    let bytes = whole.checked_mul(1 << shift).ok_or_else(problem)?;
    if fraction.is_empty() {
        return Ok(bytes);
    }
    if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) || shift == 0 {
        return Err(problem());
    }
    let parts: u128 = fraction.parse().map_err(|_| problem())?;
    let below = (parts << shift) / 10_u128.pow(fraction.len() as u32);
    bytes.checked_add(u64::try_from(below).map_err(|_| problem())?).ok_or_else(problem)
}

/// `3 B`, `1.5 KiB`, `12 MiB`: at most three digits that matter.
pub(crate) fn show_size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} B"),
        _ if value < 9.95 => format!("{value:.1} {}", UNITS[unit]),
        _ => format!("{value:.0} {}", UNITS[unit]),
    }
}

/// In the largest unit that it is whole in, such as `90 s` or `2 min`.
pub(crate) fn show_duration(duration: Duration) -> String {
    match duration.as_secs() {
        0 => format!("{} ms", duration.as_millis()),
        seconds if seconds % 3600 == 0 => format!("{} h", seconds / 3600),
        seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

/// `1 file`, `2 files`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// RFC 3339 in UTC, such as `2026-03-01T12:00:00.5Z`; `None` for a time that no calendar has.
pub(crate) fn rfc3339(time: Option<&prost_types::Timestamp>) -> Option<String> {
    timestamp(time).map(|time| time.to_string())
}

/// For people: to the second.
pub(crate) fn show_time(time: Option<&prost_types::Timestamp>) -> String {
    let rounded = timestamp(time).and_then(|time| Timestamp::from_second(time.as_second()).ok());
    rounded.map_or_else(|| "-".to_owned(), |time| time.to_string())
}

fn timestamp(time: Option<&prost_types::Timestamp>) -> Option<Timestamp> {
    let time = time?;
    Timestamp::new(time.seconds, time.nanos).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{duration, rfc3339, show_duration, show_size, show_time, size};

    #[test]
    fn durations_are_shown_in_whole_units() {
        for (seconds, shown) in [(5, "5 s"), (90, "90 s"), (120, "2 min"), (7200, "2 h")] {
            assert_eq!(show_duration(Duration::from_secs(seconds)), shown);
        }
        assert_eq!(show_duration(Duration::from_millis(250)), "250 ms");
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("7d"), Ok(Duration::from_secs(604_800)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for wrong in
            ["", "s", "-1s", "1w", "1.5s", "10 s", "99999999999999999999s", "999999999999999999d"]
        {
            assert!(duration(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(size("0"), Ok(0));
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(size("64K"), Ok(65_536));
        assert_eq!(size("25M"), Ok(26_214_400));
        assert_eq!(size("1.5G"), Ok(1_610_612_736));
        assert_eq!(size("2TiB"), Ok(2_199_023_255_552));
        for wrong in ["", "K", "-1", "1.5", "1X", "16777216T", "1..5M", "1.5.5M", "ä"] {
            assert!(size(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn sizes_are_shown_short() {
        assert_eq!(show_size(3), "3 B");
        assert_eq!(show_size(1024), "1.0 KiB");
        assert_eq!(show_size(26_214_400), "25 MiB");
        assert_eq!(show_size(u64::MAX), "16777216 TiB");
    }

    #[test]
    fn times_are_in_utc() {
        let time = prost_types::Timestamp { seconds: 1_700_000_000, nanos: 5_000_000 };
        assert_eq!(rfc3339(Some(&time)).as_deref(), Some("2023-11-14T22:13:20.005Z"));
        assert_eq!(show_time(Some(&time)), "2023-11-14T22:13:20Z");
        assert_eq!(rfc3339(None), None);
        let endless = prost_types::Timestamp { seconds: i64::MAX, nanos: 0 };
        assert_eq!(rfc3339(Some(&endless)), None);
    }
}
