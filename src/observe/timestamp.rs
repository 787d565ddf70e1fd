//! RFC 3339 texts of moments, in UTC with milliseconds, without formatting machinery.

use std::cell::Cell;

use crate::clock::UnixTime;

const LENGTH: usize = "1970-01-01T00:00:00.000Z".len();
const SECONDS_PER_DAY: i64 = 86_400;
/// 0000-01-01T00:00:00Z and 9999-12-31T23:59:59.999Z, the ends of what RFC 3339 can write.
const FIRST: i64 = -62_167_219_200_000;
const LAST: i64 = 253_402_300_799_999;

/// The text of `time`, such as `2026-11-22T21:37:27.123Z`. Years beyond 0 to 9999 become the nearest that can be written.
#[must_use]
pub fn rfc3339(time: UnixTime) -> [u8; LENGTH] {
    let millis = time.millis().clamp(FIRST, LAST);
    let (second, part) = (millis.div_euclid(1000), millis.rem_euclid(1000));
    let (day, of_day) = (second.div_euclid(SECONDS_PER_DAY), second.rem_euclid(SECONDS_PER_DAY));
    let (year, month, date) = civil(day);
    let mut text = *b"0000-00-00T00:00:00.000Z";
    digits(&mut text[0..4], year);
    digits(&mut text[5..7], month);
    digits(&mut text[8..10], date);
    digits(&mut text[11..13], of_day / 3600);
    digits(&mut text[14..16], of_day / 60 % 60);
    digits(&mut text[17..19], of_day % 60);
    digits(&mut text[20..23], part);
    text
}

/// Year, month and day of month of the day that is `day` days after 1970-01-01, in the Gregorian calendar.
fn civil(day: i64) -> (i64, i64, i64) {
    // Counted from 1 March of year 0, so that the leap day is the last day of its year: then months have a fixed
    // pattern of lengths, 153 days for each five of them.
    let since = day + 719_468;
    let (era, of_era) = (since.div_euclid(146_097), since.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let date = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, date)
}

/// Writes `value` into all of `into`, with leading zeros.
fn digits(into: &mut [u8], mut value: i64) {
    for place in into.iter_mut().rev() {
        *place = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Writes moments, and remembers the last second's text: lines of one second differ in three digits.
#[derive(Debug)]
pub struct Stamp {
    second: Cell<i64>,
    text: Cell<[u8; LENGTH]>,
}

impl Default for Stamp {
    fn default() -> Self {
        let epoch = UnixTime::from_secs(0);
        Self { second: Cell::new(epoch.secs()), text: Cell::new(rfc3339(epoch)) }
    }
}

impl Stamp {
    /// The same text as [`rfc3339`] gives.
    #[must_use]
    pub fn text(&self, time: UnixTime) -> [u8; LENGTH] {
        if time.secs() != self.second.get() {
            self.second.set(time.secs());
            self.text.set(rfc3339(time));
        }
        let mut text = self.text.get();
        if (FIRST..=LAST).contains(&time.millis()) {
            digits(&mut text[20..23], time.millis().rem_euclid(1000));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(millis: i64) -> String {
        String::from_utf8(rfc3339(UnixTime::from_millis(millis)).to_vec()).unwrap()
    }

    #[test]
    fn known_moments() {
        for (millis, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_399_000, "2000-02-28T23:59:59.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
            (1_735_689_599_999, "2024-12-31T23:59:59.999Z"),
            (1_000_000_000_001, "2001-09-09T01:46:40.001Z"),
            (FIRST, "0000-01-01T00:00:00.000Z"),
            (LAST, "9999-12-31T23:59:59.999Z"),
            (i64::MIN, "0000-01-01T00:00:00.000Z"),
            (i64::MAX, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(text(millis), expected, "{millis}");
        }
    }

    proptest! {
        #[test]
        fn every_day_of_the_calendar_follows_the_one_before(day in FIRST / 86_400_000 .. LAST / 86_400_000) {
            let (year, month, date) = civil(day);
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month { 2 => 28 + i64::from(leap), 4 | 6 | 9 | 11 => 30, _ => 31 };
            let next = match (month, date) {
                (12, 31) => (year + 1, 1, 1),
                (_, last) if last == length => (year, month + 1, 1),
                _ => (year, month, date + 1),
            };
            prop_assert_eq!(civil(day + 1), next);
        }

        #[test]
        fn the_remembered_second_changes_nothing(moments in proptest::collection::vec(any::<i64>(), 1..20), step in -2000_i64..2000) {
            let stamp = Stamp::default();
            for millis in moments.iter().flat_map(|&at| [at, at.saturating_add(step)]) {
                let time = UnixTime::from_millis(millis);
                prop_assert_eq!(stamp.text(time), rfc3339(time));
            }
        }
    }
}
