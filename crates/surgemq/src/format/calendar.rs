//! Date and time in UTC, without a time zone database.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const SECS_PER_DAY: u64 = 86_400;

/// A point in time, by the calendar. Times before 1970 count as 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    unix_secs: u64,
    nanoseconds: u32,
    year: u64,
    /// 1 to 12.
    month: u64,
    /// 1 to 31.
    day: u64,
    /// 0 to 365.
    day_of_year: u64,
    /// 0 is Sunday.
    weekday: u64,
}

impl Moment {
    pub(super) fn new(at: SystemTime) -> Self {
        let since_1970 = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix_secs = since_1970.as_secs();
        let mut days = unix_secs / SECS_PER_DAY;
        let weekday = (days + 4) % 7;
        // Leap years repeat every 400 years, which have 146,097 days.
        let mut year = 1970 + days / 146_097 * 400;
        days %= 146_097;
        while days >= days_of_year(year) {
            days -= days_of_year(year);
            year += 1;
        }
        let day_of_year = days;
        let mut month = 1;
        while days >= days_of_month(year, month) {
            days -= days_of_month(year, month);
            month += 1;
        }
        let nanoseconds = since_1970.subsec_nanos();
        Self { unix_secs, nanoseconds, year, month, day: days + 1, day_of_year, weekday }
    }

    /// Of the second.
    pub(super) fn nanoseconds(&self) -> u32 {
        self.nanoseconds
    }

    /// Such as `2016-08-10T09:47:38+0000`.
    pub(super) fn iso(&self) -> String {
        format!("{}T{}+0000", self.date(), self.time())
    }

    /// Such as `2016-08-10T09:47:38.123456+0000`.
    pub(super) fn iso_with_microseconds(&self) -> String {
        format!("{}T{}.{:06}+0000", self.date(), self.time(), self.nanoseconds / 1000)
    }

    /// Seconds since 1970 with nanoseconds.
    pub(super) fn unix(&self) -> String {
        format!("{}.{:09}", self.unix_secs, self.nanoseconds)
    }

    fn date(&self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }

    fn time(&self) -> String {
        format!("{:02}:{:02}:{:02}", self.hour(), self.minute(), self.second())
    }

    fn hour(&self) -> u64 {
        self.unix_secs % SECS_PER_DAY / 3600
    }

    /// 1 to 12.
    fn hour_of_12(&self) -> u64 {
        (self.hour() + 11) % 12 + 1
    }

    fn minute(&self) -> u64 {
        self.unix_secs % 3600 / 60
    }

    fn second(&self) -> u64 {
        self.unix_secs % 60
    }

    fn is_morning(&self) -> bool {
        self.hour() < 12
    }

    fn weekday_name(&self) -> &'static str {
        name(&DAYS, self.weekday)
    }

    fn month_name(&self) -> &'static str {
        name(&MONTHS, self.month - 1)
    }

    /// 1 is Monday, 7 is Sunday.
    fn iso_weekday(&self) -> u64 {
        (self.weekday + 6) % 7 + 1
    }

    /// Weeks of the year that have begun, if weeks begin on this day.
    fn week_from(&self, first_weekday: u64) -> u64 {
        (self.day_of_year + 7 - (self.weekday + 7 - first_weekday) % 7) / 7
    }

    /// The year and the week of ISO 8601: the first week is that with the first Thursday.
    fn iso_week(&self) -> (u64, u64) {
        let week = (self.day_of_year + 11 - self.iso_weekday()) / 7;
        match week {
            0 => (self.year - 1, weeks_of_year(self.year - 1)),
            week if week > weeks_of_year(self.year) => (self.year + 1, 1),
            week => (self.year, week),
        }
    }
}

/// A letter that strftime knows, as in the C locale and in UTC.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Letter(char);

impl Letter {
    /// `None` for a letter without a meaning.
    pub(super) fn new(letter: char) -> Option<Self> {
        "aAbBcCdDeFgGhHIjklmMnprRsStTuUVwWxXyYzZ".contains(letter).then_some(Self(letter))
    }

    /// What strftime makes of it.
    pub(super) fn of(self, moment: &Moment) -> impl fmt::Display {
        let (iso_year, iso_week) = moment.iso_week();
        let half = if moment.is_morning() { "AM" } else { "PM" };
        let short_date =
            || format!("{:02}/{:02}/{:02}", moment.month, moment.day, moment.year % 100);
        let abbreviated = |name: &str| name.get(..3).unwrap_or(name).to_owned();
        match self.0 {
            'a' => abbreviated(moment.weekday_name()),
            'A' => moment.weekday_name().to_owned(),
            'b' | 'h' => abbreviated(moment.month_name()),
            'B' => moment.month_name().to_owned(),
            'c' => format!(
                "{} {} {:2} {} {}",
                abbreviated(moment.weekday_name()),
                abbreviated(moment.month_name()),
                moment.day,
                moment.time(),
                moment.year
            ),
            'C' => format!("{:02}", moment.year / 100),
            'd' => format!("{:02}", moment.day),
            'D' | 'x' => short_date(),
            'e' => format!("{:2}", moment.day),
            'F' => moment.date(),
            'g' => format!("{:02}", iso_year % 100),
            'G' => iso_year.to_string(),
            'H' => format!("{:02}", moment.hour()),
            'I' => format!("{:02}", moment.hour_of_12()),
            'j' => format!("{:03}", moment.day_of_year + 1),
            'k' => format!("{:2}", moment.hour()),
            'l' => format!("{:2}", moment.hour_of_12()),
            'm' => format!("{:02}", moment.month),
            'M' => format!("{:02}", moment.minute()),
            'n' => "\n".into(),
            'p' => half.into(),
            'r' => {
                let (minute, second) = (moment.minute(), moment.second());
                format!("{:02}:{minute:02}:{second:02} {half}", moment.hour_of_12())
            }
            'R' => format!("{:02}:{:02}", moment.hour(), moment.minute()),
            's' => moment.unix_secs.to_string(),
            'S' => format!("{:02}", moment.second()),
            't' => "\t".into(),
            'T' | 'X' => moment.time(),
            'u' => moment.iso_weekday().to_string(),
            'U' => format!("{:02}", moment.week_from(0)),
            'V' => format!("{iso_week:02}"),
            'w' => moment.weekday.to_string(),
            'W' => format!("{:02}", moment.week_from(1)),
            'y' => format!("{:02}", moment.year % 100),
            'Y' => moment.year.to_string(),
            'z' => "+0000".into(),
            _ => "UTC".into(),
        }
    }
}

fn days_of_year(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn days_of_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

/// A year has 53 weeks if it ends on a Thursday, or on a Friday after a leap day.
fn weeks_of_year(year: u64) -> u64 {
    let last_weekday = |year: u64| (year + year / 4 - year / 100 + year / 400) % 7;
    if last_weekday(year) == 4 || last_weekday(year - 1) == 3 { 53 } else { 52 }
}

fn name(names: &[&'static str], index: u64) -> &'static str {
    usize::try_from(index).ok().and_then(|index| names.get(index)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(unix_secs: u64) -> Moment {
        Moment::new(UNIX_EPOCH + Duration::new(unix_secs, 120_000_034))
    }

    /// What `date -u -d @SECS +...` of GNU coreutils printed.
    const LETTERS: &str = "aAbBcCdDeFgGhHIjklmMprRsSTuUVwWxXyYzZ";
    const EXPECTED: [(u64, &str); 14] = [
        (
            0,
            "Thu|Thursday|Jan|January|Thu Jan  1 00:00:00 1970|19|01|01/01/70| 1|1970-01-01|70|1970|Jan|00|12|001| 0|12|01|00|AM|12:00:00 AM|00:00|0|00|00:00:00|4|00|01|4|00|01/01/70|00:00:00|70|1970|+0000|UTC",
        ),
        (
            951_782_399,
            "Mon|Monday|Feb|February|Mon Feb 28 23:59:59 2000|20|28|02/28/00|28|2000-02-28|00|2000|Feb|23|11|059|23|11|02|59|PM|11:59:59 PM|23:59|951782399|59|23:59:59|1|09|09|1|09|02/28/00|23:59:59|00|2000|+0000|UTC",
        ),
        (
            951_868_800,
            "Wed|Wednesday|Mar|March|Wed Mar  1 00:00:00 2000|20|01|03/01/00| 1|2000-03-01|00|2000|Mar|00|12|061| 0|12|03|00|AM|12:00:00 AM|00:00|951868800|00|00:00:00|3|09|09|3|09|03/01/00|00:00:00|00|2000|+0000|UTC",
        ),
        (
            1_104_537_600,
            "Sat|Saturday|Jan|January|Sat Jan  1 00:00:00 2005|20|01|01/01/05| 1|2005-01-01|04|2004|Jan|00|12|001| 0|12|01|00|AM|12:00:00 AM|00:00|1104537600|00|00:00:00|6|00|53|6|00|01/01/05|00:00:00|05|2005|+0000|UTC",
        ),
        (
            1_199_145_599,
            "Mon|Monday|Dec|December|Mon Dec 31 23:59:59 2007|20|31|12/31/07|31|2007-12-31|08|2008|Dec|23|11|365|23|11|12|59|PM|11:59:59 PM|23:59|1199145599|59|23:59:59|1|52|01|1|53|12/31/07|23:59:59|07|2007|+0000|UTC",
        ),
        (
            1_230_768_000,
            "Thu|Thursday|Jan|January|Thu Jan  1 00:00:00 2009|20|01|01/01/09| 1|2009-01-01|09|2009|Jan|00|12|001| 0|12|01|00|AM|12:00:00 AM|00:00|1230768000|00|00:00:00|4|00|01|4|00|01/01/09|00:00:00|09|2009|+0000|UTC",
        ),
        (
            1_483_228_799,
            "Sat|Saturday|Dec|December|Sat Dec 31 23:59:59 2016|20|31|12/31/16|31|2016-12-31|16|2016|Dec|23|11|366|23|11|12|59|PM|11:59:59 PM|23:59|1483228799|59|23:59:59|6|52|52|6|52|12/31/16|23:59:59|16|2016|+0000|UTC",
        ),
        (
            1_709_164_800,
            "Thu|Thursday|Feb|February|Thu Feb 29 00:00:00 2024|20|29|02/29/24|29|2024-02-29|24|2024|Feb|00|12|060| 0|12|02|00|AM|12:00:00 AM|00:00|1709164800|00|00:00:00|4|08|09|4|09|02/29/24|00:00:00|24|2024|+0000|UTC",
        ),
        (
            1_795_345_528,
            "Sun|Sunday|Nov|November|Sun Nov 22 11:05:28 2026|20|22|11/22/26|22|2026-11-22|26|2026|Nov|11|11|326|11|11|11|05|AM|11:05:28 AM|11:05|1795345528|28|11:05:28|7|47|47|0|46|11/22/26|11:05:28|26|2026|+0000|UTC",
        ),
        (
            1_609_459_200,
            "Fri|Friday|Jan|January|Fri Jan  1 00:00:00 2021|20|01|01/01/21| 1|2021-01-01|20|2020|Jan|00|12|001| 0|12|01|00|AM|12:00:00 AM|00:00|1609459200|00|00:00:00|5|00|53|5|00|01/01/21|00:00:00|21|2021|+0000|UTC",
        ),
        (
            1_262_304_000,
            "Fri|Friday|Jan|January|Fri Jan  1 00:00:00 2010|20|01|01/01/10| 1|2010-01-01|09|2009|Jan|00|12|001| 0|12|01|00|AM|12:00:00 AM|00:00|1262304000|00|00:00:00|5|00|53|5|00|01/01/10|00:00:00|10|2010|+0000|UTC",
        ),
        (
            4_102_444_799,
            "Thu|Thursday|Dec|December|Thu Dec 31 23:59:59 2099|20|31|12/31/99|31|2099-12-31|99|2099|Dec|23|11|365|23|11|12|59|PM|11:59:59 PM|23:59|4102444799|59|23:59:59|4|52|53|4|52|12/31/99|23:59:59|99|2099|+0000|UTC",
        ),
        (
            13_574_563_200,
            "Tue|Tuesday|Feb|February|Tue Feb 29 00:00:00 2400|24|29|02/29/00|29|2400-02-29|00|2400|Feb|00|12|060| 0|12|02|00|AM|12:00:00 AM|00:00|13574563200|00|00:00:00|2|09|09|2|09|02/29/00|00:00:00|00|2400|+0000|UTC",
        ),
        (
            253_402_300_799,
            "Fri|Friday|Dec|December|Fri Dec 31 23:59:59 9999|99|31|12/31/99|31|9999-12-31|99|9999|Dec|23|11|365|23|11|12|59|PM|11:59:59 PM|23:59|253402300799|59|23:59:59|5|52|52|5|52|12/31/99|23:59:59|99|9999|+0000|UTC",
        ),
    ];

    #[test]
    fn every_letter_is_what_strftime_makes_of_it() {
        for (secs, expected) in EXPECTED {
            let moment = at(secs);
            let printed: Vec<_> =
                LETTERS.chars().map(|c| Letter::new(c).unwrap().of(&moment).to_string()).collect();
            assert_eq!(printed.join("|"), expected);
        }
    }

    #[test]
    fn long_forms_have_all_digits() {
        let moment = at(951_782_399);
        assert_eq!(moment.iso(), "2000-02-28T23:59:59+0000");
        assert_eq!(moment.iso_with_microseconds(), "2000-02-28T23:59:59.120000+0000");
        assert_eq!(moment.unix(), "951782399.120000034");
    }
}
