//! Moments as clients read them: ISO 8601 in UTC, in the three spellings of the contract.

use std::fmt;

use muster_control::Stamp;
use time::OffsetDateTime;

/// How a moment is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spelling {
    /// `2024-03-09T14:22:03+00:00`
    Offset,
    /// `2024-03-09T14:22:03Z`
    Seconds,
    /// `2024-03-09T14:22:03.000000Z`
    Micros,
    /// `2024-03-09T14:22:03.000Z`
    Millis,
}

/// A moment on its way to a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    at: OffsetDateTime,
    spelling: Spelling,
}

impl Moment {
    /// As in agent objects.
    pub(crate) fn offset(stamp: Stamp) -> Self {
        Self::new(stamp, Spelling::Offset)
    }

    /// As in the answer of `GET /`.
    pub(crate) fn seconds(stamp: Stamp) -> Self {
        Self::new(stamp, Spelling::Seconds)
    }

    /// As in the health check of the cluster.
    pub(crate) fn micros(stamp: Stamp) -> Self {
        Self::new(stamp, Spelling::Micros)
    }

    /// As under `/v1`.
    pub(crate) fn millis(stamp: Stamp) -> Self {
        Self::new(stamp, Spelling::Millis)
    }

    fn new(stamp: Stamp, spelling: Spelling) -> Self {
        let nanos = i128::from(stamp.as_millis()) * 1_000_000;
        // Later than the year 9999 no clock of a node is taken seriously.
        let last = time::macros::datetime!(9999-12-31 23:59:59 UTC);
        let at = OffsetDateTime::from_unix_timestamp_nanos(nanos).map_or(last, |at| at.min(last));
        Self { at, spelling }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.at.to_calendar_date();
        let (hour, minute, second) = self.at.to_hms();
        let month = u8::from(month);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        match self.spelling {
            Spelling::Offset => f.write_str("+00:00"),
            Spelling::Seconds => f.write_str("Z"),
            Spelling::Micros => write!(f, ".{:06}Z", self.at.microsecond()),
            Spelling::Millis => write!(f, ".{:03}Z", self.at.millisecond()),
        }
    }
}

impl serde::Serialize for Moment {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The clock of this node.
pub(crate) fn now() -> Stamp {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Stamp::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_spelling_is_that_of_the_contract() {
        let stamp = Stamp::from_millis(1_709_994_123_045);
        assert_eq!(Moment::offset(stamp).to_string(), "2024-03-09T14:22:03+00:00");
        assert_eq!(Moment::seconds(stamp).to_string(), "2024-03-09T14:22:03Z");
        assert_eq!(Moment::micros(stamp).to_string(), "2024-03-09T14:22:03.045000Z");
        assert_eq!(Moment::millis(stamp).to_string(), "2024-03-09T14:22:03.045Z");
    }

    #[test]
    fn no_moment_is_later_than_the_year_9999() {
        assert_eq!(Moment::offset(Stamp::from_millis(u64::MAX)).to_string(), "9999-12-31T23:59:59+00:00");
    }
}
