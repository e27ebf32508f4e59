//! Names and places of segment files. Names alone rebuild the catalogue.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{StreamKey, VolumeId};

/// What a closed segment's name says about it: a set of letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord, Hash)]
pub struct SegmentFlags(pub u8);

impl SegmentFlags {
    /// Holds video (`v`).
    pub const VIDEO: Self = Self(1);
    /// Holds audio (`a`).
    pub const AUDIO: Self = Self(2);
    /// Closed by recovery after a crash (`t`, torn).
    pub const TORN: Self = Self(4);
    /// Bytes within do not hold (`d`, damaged).
    pub const DAMAGED: Self = Self(8);
    /// Begins with a picture a decoder can start at (`k`).
    pub const KEY_START: Self = Self(16);
    /// Known RTP packet loss within (`l`).
    pub const LOSS: Self = Self(32);

    const LETTERS: [(u8, char); 6] = [(1, 'v'), (2, 'a'), (4, 't'), (8, 'd'), (16, 'k'), (32, 'l')];

    /// Whether all of `other` is in this set.
    #[must_use]
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
    /// Both sets together.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Display for SegmentFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0");
        }
        Self::LETTERS.iter().filter(|(bit, _)| self.0 & bit != 0).try_for_each(|(_, l)| write!(f, "{l}"))
    }
}

/// Numbers from here on are of segments that a node recorded in the place of another. Each node counts for itself, and these
/// files come to lie beside those of the owner: a number of their own keeps them apart.
const STAND_IN_NUMBERS: u64 = 1 << 31;

/// 2020-01-01, from which such numbers count.
const STAND_IN_EPOCH_S: i64 = 1_577_836_800;

/// Whether a segment with this number was recorded by a node in the place of another.
#[must_use]
pub fn is_stand_in(number: u64) -> bool {
    number >= STAND_IN_NUMBERS
}

/// The least number of a segment that a node records in the place of another from `now` on. It grows by one in two seconds,
/// faster than segments come, so that no number comes twice, whatever was recorded and forgotten before; it lasts until 2088.
#[must_use]
pub fn stand_in_number(now: UtcMicros) -> u64 {
    let halves = (now.millis() / 1000).saturating_sub(STAND_IN_EPOCH_S).max(0) / 2;
    STAND_IN_NUMBERS + u64::try_from(halves).unwrap_or(0) % (1 << 30)
}

/// A parsed file name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentName {
    /// Start in milliseconds since 1970, rounded down.
    pub start_ms: i64,
    /// Segment number of the stream.
    pub number: u64,
    /// Duration in milliseconds and flags of a closed segment; none while it is open.
    pub closed: Option<(u32, SegmentFlags)>,
}

impl SegmentName {
    /// The name of an open segment.
    #[must_use]
    pub fn open(start: UtcMicros, number: u64) -> Self {
        Self { start_ms: start.millis(), number, closed: None }
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.closed {
            None => write!(f, "{}_{}.open.mp4", self.start_ms, self.number),
            Some((duration, flags)) => {
                write!(f, "{}_{}_{duration}_{flags}.mp4", self.start_ms, self.number)
            }
        }
    }
}

/// The text is not the name of a segment file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a segment file")]
pub struct NotASegment;

impl FromStr for SegmentName {
    type Err = NotASegment;
    fn from_str(s: &str) -> Result<Self, NotASegment> {
        let stem = s.strip_suffix(".mp4").ok_or(NotASegment)?;
        let (stem, open) = stem.strip_suffix(".open").map_or((stem, false), |stem| (stem, true));
        let mut parts = stem.split('_');
        let mut next = || parts.next().ok_or(NotASegment);
        let start_ms = next()?.parse().map_err(|_| NotASegment)?;
        let number = next()?.parse().map_err(|_| NotASegment)?;
        let closed = if open {
            None
        } else {
            let duration = next()?.parse().map_err(|_| NotASegment)?;
            let letters = next()?;
            if letters.is_empty() || !letters.bytes().all(|b| b.is_ascii_lowercase() || b == b'0') {
                return Err(NotASegment);
            }
            // A letter of a later version is no reason to lose sight of the file.
            let known = SegmentFlags::LETTERS.iter().filter(|(_, l)| letters.contains(*l));
            Some((duration, SegmentFlags(known.fold(0, |set, (bit, _)| set | bit))))
        };
        if parts.next().is_some() {
            return Err(NotASegment);
        }
        Ok(Self { start_ms, number, closed })
    }
}

/// The directory of a stream's day, relative to the volume: `<camera>/<stream>/<YYYYMMDD>` (UTC day).
#[must_use]
pub fn stream_dir(key: StreamKey, start_ms: i64) -> PathBuf {
    let (year, month, day) = civil(start_ms.div_euclid(86_400_000));
    PathBuf::from(format!("{}/{}/{year:04}{month:02}{day:02}", key.camera, key.stream))
}

/// Year, month and day of a day number since 1970-01-01 (proleptic Gregorian calendar).
fn civil(days: i64) -> (i64, i64, i64) {
    // Count from 0000-03-01, so that the leap day is the last of its year.
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// One segment as an index knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentRow {
    /// The volume that holds it.
    pub volume: VolumeId,
    /// The stream.
    pub key: StreamKey,
    /// Segment number of the stream.
    pub number: u64,
    /// Start in milliseconds since 1970, rounded down.
    pub start_ms: i64,
    /// Duration in milliseconds; of an open segment, what is committed so far.
    pub duration_ms: u32,
    /// Flags of the name; empty while open.
    pub flags: SegmentFlags,
    /// Length of the file in bytes; of an open segment, what is committed so far.
    pub bytes: u64,
    /// Closed, with a footer.
    pub closed: bool,
}

impl SegmentRow {
    /// The file's name.
    #[must_use]
    pub fn name(&self) -> SegmentName {
        let closed = self.closed.then_some((self.duration_ms, self.flags));
        SegmentName { start_ms: self.start_ms, number: self.number, closed }
    }

    /// The file's path, relative to its volume.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        stream_dir(self.key, self.start_ms).join(self.name().to_string())
    }

    /// Start on the node's clock, to the millisecond.
    #[must_use]
    pub fn start(&self) -> UtcMicros {
        UtcMicros(self.start_ms.saturating_mul(1000))
    }

    /// End on the node's clock, to the millisecond (rounded up, as durations are).
    #[must_use]
    pub fn end(&self) -> UtcMicros {
        UtcMicros((self.start_ms.saturating_add(i64::from(self.duration_ms))).saturating_mul(1000))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn names_survive_a_round_trip(start_ms in 0..4_000_000_000_000i64, number: u64, open: bool, ms: u32, flags in 0..64u8) {
            let name = SegmentName { start_ms, number, closed: (!open).then_some((ms, SegmentFlags(flags))) };
            prop_assert_eq!(name.to_string().parse::<SegmentName>(), Ok(name));
        }
        #[test]
        fn any_text_is_refused_or_read_without_panic(text in ".{0,40}") {
            let _ = text.parse::<SegmentName>();
        }
    }

    #[test]
    fn other_files_are_no_segments() {
        for text in
            ["", ".mp4", "1_2.mp4", "1_2_3.mp4", "1_2_3_.mp4", "1_2_3_v_x.mp4", "a_2.open.mp4", "1_2_3_v.mkv"]
        {
            assert_eq!(text.parse::<SegmentName>(), Err(NotASegment), "{text}");
        }
        assert_eq!("5_6_7_vz.mp4".parse::<SegmentName>().unwrap().closed, Some((7, SegmentFlags::VIDEO)));
    }

    #[test]
    fn days_of_the_calendar() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(-1), (1969, 12, 31));
        assert_eq!(civil(19_782), (2024, 2, 29));
        assert_eq!(civil(19_783), (2024, 3, 1));
        assert_eq!(civil(20_819), (2027, 1, 1));
    }
}
