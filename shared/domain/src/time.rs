//! Moments as the contract shows them: RFC 3339, UTC, milliseconds.

use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Duration, OffsetDateTime, PrimitiveDateTime};

const RFC3339_MILLISECONDS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// A moment in whole milliseconds, in the years 0 to 9999. Each call reads the clock once and passes the moment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(OffsetDateTime);

impl Timestamp {
    /// 1970-01-01T00:00:00.000Z.
    pub const UNIX_EPOCH: Self = Self(OffsetDateTime::UNIX_EPOCH);

    /// The system clock's time.
    pub fn now() -> Self {
        let now = OffsetDateTime::now_utc();
        Self(now.replace_millisecond(now.millisecond()).unwrap_or(now))
    }

    /// The moment that many seconds after the Unix epoch; `None` outside the years 0 to 9999.
    pub fn from_epoch_seconds(seconds: i64) -> Option<Self> {
        OffsetDateTime::from_unix_timestamp(seconds).ok().filter(|moment| moment.year() >= 0).map(Self)
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub fn epoch_seconds(self) -> i64 {
        self.0.unix_timestamp()
    }

    /// The whole second at or before this moment, that many seconds later. Stops at the end of the year 9999.
    pub fn plus_seconds(self, seconds: u32) -> Self {
        Self(self.0.replace_millisecond(0).unwrap_or(self.0)).later_by(seconds)
    }

    /// That many seconds later. Stops at the end of the year 9999.
    pub fn later_by(self, seconds: u32) -> Self {
        Self(self.0.saturating_add(Duration::seconds(seconds.into())))
    }

    /// Reads [`Self::rfc3339`]'s format; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        PrimitiveDateTime::parse(text, RFC3339_MILLISECONDS).ok().map(|moment| Self(moment.assume_utc()))
    }

    /// For example `2026-03-01T12:00:00.000Z`.
    pub fn rfc3339(self) -> String {
        // Formatting numbers into a string cannot fail.
        self.0.format(&RFC3339_MILLISECONDS).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_and_reads_utc_milliseconds() {
        let noon = Timestamp::from_epoch_seconds(1_772_366_400).unwrap();
        assert_eq!(noon.rfc3339(), "2026-03-01T12:00:00.000Z");
        let now = Timestamp::now();
        for moment in [noon, now, Timestamp::UNIX_EPOCH] {
            assert_eq!(Timestamp::parse(&moment.rfc3339()), Some(moment));
        }
        for text in [
            "",
            "2026-03-01",
            "2026-03-01T12:00:00Z",
            "2026-03-01T12:00:00.000+01:00",
            "2026-02-30T12:00:00.000Z",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_deadline_is_a_whole_second_and_never_overflows() {
        let moment = Timestamp::parse("2026-03-01T12:00:00.999Z").unwrap();
        assert_eq!(moment.plus_seconds(60).rfc3339(), "2026-03-01T12:01:00.000Z");
        let last = Timestamp::from_epoch_seconds(253_402_300_799).unwrap();
        assert_eq!(
            Timestamp::parse(&last.plus_seconds(86_400).rfc3339()).unwrap().epoch_seconds(),
            253_402_300_799
        );
        assert_eq!(Timestamp::from_epoch_seconds(253_402_300_800), None, "the year 10000");
        assert_eq!(Timestamp::from_epoch_seconds(-62_167_219_201), None, "before the year 0");
    }
}
