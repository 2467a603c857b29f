//! Points in time (format 3.1).

use core::fmt;

const SECONDS_OF_DAY: u64 = 86400;
const DAYS_OF_400_YEARS: u64 = 146_097;
/// Days from March 1st of year 0, where the 400-year cycles that end with a leap day begin, to the start of 1970.
const DAYS_TO_1970: u64 = 719_468;

/// A point in time: microseconds since the Unix epoch, UTC. It is formatted as `2026-11-22 14:41:38.000123`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Microseconds since the epoch.
    pub microseconds: u64,
}

impl Timestamp {
    /// Nanoseconds since the epoch.
    pub const fn nanoseconds(self) -> u128 {
        self.microseconds as u128 * 1000
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, microseconds) = (self.microseconds / 1_000_000, self.microseconds % 1_000_000);
        let (year, month, day) = date(seconds / SECONDS_OF_DAY);
        let second = seconds % SECONDS_OF_DAY;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{microseconds:06}")
    }
}

/// Year, month and day of a day counted from the start of 1970. Years are counted from March, so that the leap day comes last.
fn date(days_since_1970: u64) -> (u64, u64, u64) {
    let days = days_since_1970 + DAYS_TO_1970;
    let (cycle, day) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
    let year = (day - day / 1460 + day / 36524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Five months from March on have 153 days.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let year = 400 * cycle + year;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let shown = |seconds: u64| Timestamp { microseconds: seconds * 1_000_000 + 42 }.to_string();
        assert_eq!(shown(0), "1970-01-01 00:00:00.000042");
        assert_eq!(shown(951_782_399), "2000-02-28 23:59:59.000042");
        assert_eq!(shown(951_782_400), "2000-02-29 00:00:00.000042");
        assert_eq!(shown(4_107_542_400), "2100-03-01 00:00:00.000042");
        assert_eq!(shown(1_234_567_890), "2009-02-13 23:31:30.000042");
        let mut previous = date(0);
        for day in 1..400_000 {
            let next = date(day);
            let (year, month, number) = previous;
            let follows = next == (year, month, number + 1)
                || (number >= 28 && next == (year, month + 1, 1))
                || (previous == (year, 12, 31) && next == (year + 1, 1, 1));
            assert!(follows, "{previous:?} {next:?}");
            previous = next;
        }
        assert!(Timestamp { microseconds: u64::MAX }.to_string().starts_with("586524-"));
    }
}
