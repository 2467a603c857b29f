//! The rule by which dated snapshots stay: the last one of each of so many hours, days, weeks, months and years that have any.

use time::{Date, Month};

use crate::pfs_label::date_of;

/// For how many spans of each kind a snapshot stays: the last one of the span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Retention {
    hourly: usize,
    daily: usize,
    weekly: usize,
    monthly: usize,
    yearly: usize,
}

/// When a snapshot was made, by its label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct When {
    date: Date,
    hour: u8,
    /// Minutes and seconds as they are written.
    rest: u16,
}

impl When {
    /// The time in a label that consists of this origin's label and a time.
    fn of(label: &[u8], origin: &[u8]) -> Option<Self> {
        let [year, month, day, hour, minute, second] = date_of(label, origin)?;
        let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
        let date = Date::from_calendar_date(i32::from(year), month, u8::try_from(day).ok()?).ok()?;
        let is_time = hour < 24 && minute < 60 && second < 61;
        is_time.then(|| Self { date, hour: hour as u8, rest: minute * 100 + second })
    }
}

/// The number of the hour, day or other span that a moment is in.
type Span<'s> = &'s dyn Fn(&When) -> i32;

impl Retention {
    /// A rule as it is written: `hourly=24,daily=7,weekly=4`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut rule = Self::default();
        for part in text.split(',') {
            let wrong = || format!("{part}: a rule is written as hourly=24,daily=7,weekly=4,monthly=12,yearly=5");
            let (span, count) = part.split_once('=').ok_or_else(wrong)?;
            let place = match span.trim() {
                "hourly" => &mut rule.hourly,
                "daily" => &mut rule.daily,
                "weekly" => &mut rule.weekly,
                "monthly" => &mut rule.monthly,
                "yearly" => &mut rule.yearly,
                _ => return Err(wrong()),
            };
            *place = count.trim().parse().map_err(|_| wrong())?;
        }
        match rule == Self::default() {
            // Nobody wants to remove all of them.
            true => Err(format!("{text}: that would keep nothing")),
            false => Ok(rule),
        }
    }

    /// The labels of snapshots to remove: dated ones of this origin that the rule doesn't keep. The newest always stays.
    pub(super) fn expired<'l>(&self, labels: impl IntoIterator<Item = &'l [u8]>, origin: &[u8]) -> Vec<&'l [u8]> {
        let dated = labels.into_iter().filter_map(|label| Some((When::of(label, origin)?, label)));
        let mut dated: Vec<(When, &[u8])> = dated.collect();
        dated.sort_by(|one, other| other.cmp(one));
        let day = |when: &When| when.date.to_julian_day();
        // Julian days begin with a Monday.
        let spans: [(usize, Span<'_>); 5] = [
            (self.hourly, &|when| day(when) * 24 + i32::from(when.hour)),
            (self.daily, &day),
            (self.weekly, &|when| day(when).div_euclid(7)),
            (self.monthly, &|when| when.date.year() * 12 + i32::from(u8::from(when.date.month()))),
            (self.yearly, &|when| when.date.year()),
        ];
        let mut stays = vec![false; dated.len()];
        stays.first_mut().into_iter().for_each(|newest| *newest = true);
        for (count, span) in spans {
            let (mut kept, mut last) = (0, None);
            for (place, (when, _)) in dated.iter().enumerate() {
                if kept < count && last != Some(span(when)) {
                    (stays[place], last) = (true, Some(span(when)));
                    kept += 1;
                }
            }
        }
        dated.iter().zip(stays).filter(|(_, stays)| !stays).map(|((_, label), _)| *label).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expired(rule: &str, labels: &[&str]) -> Vec<String> {
        let bytes = labels.iter().map(|label| label.as_bytes());
        let expired = Retention::parse(rule).unwrap().expired(bytes, b"HOME");
        expired.into_iter().map(|label| String::from_utf8(label.to_vec()).unwrap()).collect()
    }

    #[test]
    fn the_last_of_each_span_stays() {
        let labels = [
            "HOME.20261129.100000",
            "HOME.20261129.105959",
            "HOME.20261129.120000",
            "HOME.20261128.235959",
            "HOME.20261128.000000",
            "HOME.20261120.120000",
            "HOME.20251231.235959",
        ];
        assert_eq!(
            expired("hourly=2", &labels)[..],
            [labels[0], labels[3], labels[4], labels[5], labels[6]].map(str::to_owned)
        );
        assert_eq!(expired("daily=3", &labels)[..], [labels[1], labels[0], labels[4], labels[6]].map(str::to_owned));
        // The 29th is a Sunday, and the last day of its week.
        assert_eq!(expired("weekly=3", &labels)[..], [labels[1], labels[0], labels[3], labels[4]].map(str::to_owned));
        assert_eq!(expired("monthly=12,hourly=24", &labels), [labels[0]]);
        assert_eq!(expired("yearly=1,daily=1", &labels).len(), 6);
    }

    #[test]
    fn what_nobody_dated_stays() {
        let others = [
            "HOME",
            "DATA.20261129.100000",
            "HOME.20261129.10000",
            "HOME.20261329.100000",
            "HOME.20261129.250000",
            "HOME.20261129-100000",
            "HOME.2026112A.100000",
            "BEFORE",
        ];
        assert!(expired("hourly=1", &others).is_empty());
        assert!(expired("hourly=1", &["HOME.20261129.100000"]).is_empty(), "the newest stays");
        assert!(expired("hourly=1", &[]).is_empty());
    }

    #[test]
    fn rules_are_read_as_they_are_written() {
        let rule = Retention::parse("hourly=24,daily=7,weekly=4").unwrap();
        assert_eq!((rule.hourly, rule.daily, rule.weekly, rule.monthly), (24, 7, 4, 0));
        for wrong in ["", "hourly", "hourly=", "hourly=x", "secondly=3", "hourly=0", "hourly=1;daily=1", "hourly=-1"] {
            assert!(Retention::parse(wrong).is_err(), "{wrong}");
        }
    }
}
