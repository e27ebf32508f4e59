//! Looking through all rows that are in memory.

use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;

use super::{EventRows, Row};

impl EventRows {
    /// All rows in memory.
    pub fn iter(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    /// From when on all that happened is in memory: some time after the oldest row that is over was noted last, because clocks
    /// may be ahead. None while no row was let go.
    #[must_use]
    pub fn whole_since(&self) -> Option<UtcMicros> {
        let begun = usize::try_from(self.next_number).unwrap_or(usize::MAX);
        let oldest = self.over.first_key_value().and_then(|(_, number)| self.rows.get(number));
        oldest.map(|row| row.noted_us + limits::EVENT_AHEAD_MAX).filter(|_| begun > self.rows.len())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::super::RecordId;
    use super::*;
    use crate::event::{Event, EventKind, Phase, Priority, Source};

    #[test]
    fn rows_say_from_when_on_they_are_all_there() {
        let (mut rows, source) = (EventRows::default(), Source::node("centre".parse().unwrap()));
        let at = |n: u64| UtcMicros(1_790_000_000_000_000 + i64::try_from(n).unwrap() * 1_000_000);
        let whole = |n: u64| at(n) + limits::EVENT_AHEAD_MAX;
        let most = u64::try_from(limits::EVENT_ROWS_OVER_MAX).unwrap();
        for n in 1..=most + 2 {
            assert_eq!(rows.whole_since(), if n > most + 1 { Some(whole(2)) } else { None });
            let (kind, cause) = (EventKind::OperatorMark, format!("mark/{n}"));
            let event = Event::new(kind, Priority::Normal, cause, Phase::Point, at(n), source.clone());
            rows.note(RecordId { node: "centre".into(), epoch: 1, seq: n }, at(n), &event);
        }
        assert_eq!((rows.whole_since(), rows.iter().count()), (Some(whole(3)), limits::EVENT_ROWS_OVER_MAX));
    }
}
