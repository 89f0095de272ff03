//! How fast the bytes of files may go: at one rate, or at one for each time of the day or of the week. All
//! that goes either way counts together; what is asked and answered about files does not count.
//!
//! Rates are kept over a few seconds: a message is sent as a whole, and a part of a file is asked for as a
//! whole, each when its time has come.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Zoned;
use jiff::civil::{DateTime, Time};
use tokio::time::{Instant, sleep_until};

use crate::units;

/// A slower line would look like a dead one.
const RATE_MIN: u64 = 1024;

/// Minutes of a day and of a week.
const DAY: u32 = 24 * 60;
const WEEK: u32 = 7 * DAY;

/// The rates of a week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Timetable {
    /// By when they begin, in minutes since Monday 0:00; never empty.
    turns: Vec<(u32, Option<u64>)>,
}

/// Gives each transfer its time.
pub(crate) struct Pace {
    timetable: Timetable,
    /// When the next bytes may go.
    next: Mutex<Instant>,
}

impl Timetable {
    /// `512K` (bytes a second), `off`, or when each holds, in local time: `08:00,512K 19:00,off`,
    /// `Mon-08:00,512K Fri-19:00,off`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut turns = Vec::new();
        for part in text.split_whitespace() {
            let Some((when, text)) = part.split_once(',') else {
                let rate = rate(part)?;
                return match text.trim() == part {
                    true => Ok(Self { turns: vec![(0, rate)] }),
                    false => Err(format!("`{part}` has no time; write 08:00,512K 19:00,off")),
                };
            };
            let rate = rate(text)?;
            turns.extend(minutes(when)?.into_iter().map(|minute| (minute, rate)));
        }
        // Where one time is named twice, the later word holds.
        turns.reverse();
        turns.sort_by_key(|(minute, _)| *minute);
        turns.dedup_by_key(|(minute, _)| *minute);
        match turns.is_empty() {
            true => Err("it is empty; write 512K, or 08:00,512K 19:00,off".to_owned()),
            false => Ok(Self { turns }),
        }
    }

    /// The rate at a time, in bytes a second; none where there is no limit.
    fn at(&self, time: DateTime) -> Option<u64> {
        let day = u32::from(time.weekday().to_monday_zero_offset().unsigned_abs());
        let minute = day * DAY + minute_of(time.time());
        let begun = self.turns.partition_point(|(from, _)| *from <= minute);
        // Before the first of the week, the last of the week before holds.
        let turn = begun.checked_sub(1).unwrap_or(self.turns.len() - 1);
        self.turns[turn].1
    }
}

impl Pace {
    pub(crate) fn new(timetable: Timetable) -> Self {
        Self { timetable, next: Mutex::new(Instant::now()) }
    }

    /// Returns when these bytes may go. Whoever comes first goes first.
    pub(crate) async fn take(&self, bytes: u64) {
        let Some(rate) = self.rate() else { return };
        let start = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let (start, end) =
                turn(*next, Instant::now(), Duration::from_secs_f64(bytes as f64 / rate as f64));
            *next = end;
            start
        };
        sleep_until(start).await;
    }

    /// Bytes that are best sent or asked for at once: a second's worth.
    pub(crate) fn stride(&self) -> u64 {
        self.rate().unwrap_or(u64::MAX)
    }

    fn rate(&self) -> Option<u64> {
        self.timetable.at(Zoned::now().datetime())
    }
}

/// When something begins and ends that takes so long: what was not used before is not made up for.
fn turn(next: Instant, now: Instant, lasts: Duration) -> (Instant, Instant) {
    let start = next.max(now);
    (start, start + lasts)
}

fn rate(text: &str) -> Result<Option<u64>, String> {
    if text == "off" {
        return Ok(None);
    }
    let problem = |_| format!("`{text}` is no rate; write 512K, 10M (bytes a second) or off");
    match units::size(text).map_err(problem)? {
        0..RATE_MIN => Err(format!("`{text}` is too slow; 1K is the least, off is no limit")),
        rate => Ok(Some(rate)),
    }
}

/// `08:00`, of each day; `Mon-08:00`, of one.
fn minutes(text: &str) -> Result<Vec<u32>, String> {
    let problem = || format!("`{text}` is no time; write 08:00 or Mon-08:00");
    let (day, time) = match text.split_once('-') {
        Some((day, time)) => (Some(weekday(day).ok_or_else(problem)?), time),
        None => (None, text),
    };
    let (hour, minute) = time.split_once(':').ok_or_else(problem)?;
    let number = |text: &str| match text.len() {
        2 => text.parse().map_err(|_| problem()),
        _ => Err(problem()),
    };
    let time = Time::new(number(hour)?, number(minute)?, 0, 0).map_err(|_| problem())?;
    let minute = minute_of(time);
    Ok(match day {
        Some(day) => vec![day * DAY + minute],
        None => (0..WEEK / DAY).map(|day| day * DAY + minute).collect(),
    })
}

fn minute_of(time: Time) -> u32 {
    u32::from(time.hour().unsigned_abs()) * 60 + u32::from(time.minute().unsigned_abs())
}

/// Days since Monday.
fn weekday(name: &str) -> Option<u32> {
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    (0..).zip(days).find(|(_, day)| name.eq_ignore_ascii_case(day)).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use jiff::civil::{DateTime, date};
    use tokio::time::{Duration, Instant};

    use super::{Timetable, turn};

    /// 2026-03-02 is a Monday.
    fn at(day: i8, hour: i8, minute: i8) -> DateTime {
        date(2026, 3, 1 + day).at(hour, minute, 0, 0)
    }

    #[test]
    fn one_rate_holds_always() {
        let table = Timetable::parse("1.5M").unwrap();
        assert_eq!(table.at(at(3, 4, 5)), Some(3 << 19));
        assert_eq!(Timetable::parse("off").unwrap().at(at(1, 0, 0)), None);
    }

    #[test]
    fn a_rate_holds_until_the_next_one_begins() {
        let daily = Timetable::parse("19:00,off 08:00,512K 12:30,1M").unwrap();
        for (time, rate) in [
            (at(1, 0, 0), None),
            (at(1, 7, 59), None),
            (at(1, 8, 0), Some(512 << 10)),
            (at(4, 12, 29), Some(512 << 10)),
            (at(4, 12, 30), Some(1 << 20)),
            (at(7, 23, 59), None),
        ] {
            assert_eq!(daily.at(time), rate, "{time}");
        }
        let weekly = Timetable::parse("Mon-08:00,512K fri-19:00,off").unwrap();
        for (time, rate) in [
            (at(1, 7, 59), None),
            (at(1, 8, 0), Some(512 << 10)),
            (at(5, 18, 59), Some(512 << 10)),
            (at(5, 19, 0), None),
            (at(7, 12, 0), None),
        ] {
            assert_eq!(weekly.at(time), rate, "{time}");
        }
        let mixed = Timetable::parse("08:00,1M Sun-08:00,off").unwrap();
        assert_eq!((mixed.at(at(6, 9, 0)), mixed.at(at(7, 9, 0))), (Some(1 << 20), None));
    }

    #[test]
    fn what_is_no_rate_and_no_time_is_refused() {
        for wrong in
            ["", " ", "0", "1023", "-1", "1X", "8:00,1M", "08:60,1M", "24:00,1M", "Mo-08:00,1M"]
        {
            assert!(Timetable::parse(wrong).is_err(), "{wrong:?}");
        }
        for wrong in ["08:00", "08:00,", "08:00,1M 1M", "1M 08:00,1M", "08:00,1M,2M", "x"] {
            assert!(Timetable::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn one_comes_after_the_other() {
        let second = Duration::from_secs(1);
        let now = Instant::now();
        let (start, end) = turn(now, now, 2 * second);
        assert_eq!((start, end), (now, now + 2 * second), "the first goes at once");
        assert_eq!(turn(end, now, second), (now + 2 * second, now + 3 * second));
        let later = now + 60 * second;
        assert_eq!(turn(end, later, second), (later, later + second));
    }
}
