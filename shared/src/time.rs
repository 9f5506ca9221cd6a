//! Times as the contract shows them: RFC 3339, UTC, milliseconds.

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

const RFC3339_MILLISECONDS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// One moment, read once per call and passed to everything that needs the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now(OffsetDateTime);

impl Now {
    /// The system clock's time.
    pub fn read() -> Self {
        Self(OffsetDateTime::now_utc())
    }

    /// The moment that many seconds after the Unix epoch, or `None` outside the years -9999 to 9999.
    pub fn from_epoch_seconds(seconds: i64) -> Option<Self> {
        OffsetDateTime::from_unix_timestamp(seconds).ok().map(Self)
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub fn epoch_seconds(self) -> i64 {
        self.0.unix_timestamp()
    }

    /// For example `2026-03-01T12:00:00.000Z`.
    pub fn rfc3339(self) -> String {
        // Formatting numbers into a string cannot fail; a time that is not there would be an empty string.
        self.0.format(&RFC3339_MILLISECONDS).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_utc_milliseconds() {
        assert_eq!(Now::from_epoch_seconds(1_772_366_400).unwrap().rfc3339(), "2026-03-01T12:00:00.000Z");
        assert_eq!(Now::read().rfc3339().len(), 24);
    }
}
