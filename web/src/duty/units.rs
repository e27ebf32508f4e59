//! Units at this node beside what the journal says: where they said last that they are, and who is under way.
//!
//! Positions are in memory alone: where people were is nobody's business once they are elsewhere.

use std::collections::BTreeMap;

use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;
use fengsui_duty::act::MatterId;
use fengsui_duty::book::Book;
use fengsui_duty::incident::Progress;
use fengsui_duty::near::Point;
use fengsui_duty::near::nearest::Reported;
use parking_lot::RwLock;

use super::links::Links;

/// What this node knows of units.
#[derive(Debug, Default)]
pub struct Units {
    /// Where they said that they are.
    pub positions: Positions,
    /// Links of dispatches, as the journal says.
    pub links: RwLock<Links>,
    /// Held from the check of a definition or a link until it is in the journal: of two who change the same version, or open
    /// the same link, the second is refused.
    pub turn: tokio::sync::Mutex<()>,
}

/// The newest position of each unit; at most [`limits::UNIT_POSITIONS_MAX`].
#[derive(Debug, Default)]
pub struct Positions {
    newest: RwLock<BTreeMap<MatterId, Reported>>,
}

/// Why a position is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PositionRefused {
    /// Latitude and longitude are no point on the globe.
    #[error("this is no point on the globe")]
    NoPoint,
    /// It is of a time too far ahead.
    #[error("this is of a time that has not come yet")]
    Ahead,
    /// It is too old to be of use.
    #[error("this is too old to be of use")]
    Old,
}

impl Positions {
    /// Takes a position; false when a newer one of the unit is known.
    ///
    /// # Errors
    /// When it can be none.
    pub fn put(
        &self,
        unit: &MatterId,
        (lat, lon): (f64, f64),
        at_us: UtcMicros,
        now: UtcMicros,
    ) -> Result<bool, PositionRefused> {
        let point = Point::of(lat, lon).ok_or(PositionRefused::NoPoint)?;
        if at_us > now + limits::UNIT_POSITION_AHEAD_MAX {
            return Err(PositionRefused::Ahead);
        }
        if at_us < now - limits::UNIT_POSITION_AGE_MAX {
            return Err(PositionRefused::Old);
        }
        let mut newest = self.newest.write();
        if newest.get(unit).is_some_and(|known| known.at_us >= at_us) {
            return Ok(false);
        }
        if newest.len() >= limits::UNIT_POSITIONS_MAX && !newest.contains_key(unit) {
            let oldest = newest.iter().min_by_key(|(_, known)| known.at_us).map(|(id, _)| id.clone());
            if let Some(id) = oldest {
                newest.remove(&id);
            }
        }
        newest.insert(unit.clone(), Reported { point, at_us });
        Ok(true)
    }

    /// Positions from a moment on.
    #[must_use]
    pub fn since(&self, at_us: UtcMicros) -> Vec<(MatterId, Reported)> {
        let newest = self.newest.read();
        newest
            .iter()
            .filter(|(_, known)| known.at_us >= at_us)
            .map(|(id, known)| (id.clone(), *known))
            .collect()
    }

    /// The newest position of a unit, however old.
    #[must_use]
    pub fn of(&self, unit: &MatterId) -> Option<Reported> {
        self.newest.read().get(unit).copied()
    }
}

/// Something that a unit is sent to and has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnderWay {
    /// The incident.
    pub incident: MatterId,
    /// Its number.
    pub number: String,
    /// Its title.
    pub title: String,
    /// The dispatch.
    pub dispatch: String,
    /// How far the unit is.
    pub progress: Progress,
}

/// Who is under way, by the dispatches of incidents that are not over.
#[must_use]
pub fn under_way(book: &Book) -> BTreeMap<MatterId, Vec<UnderWay>> {
    let mut found: BTreeMap<MatterId, Vec<UnderWay>> = BTreeMap::new();
    let known = book.incidents.iter().filter_map(|(id, ledger)| Some((id, ledger.state()?)));
    for (id, incident) in known.filter(|(_, incident)| !incident.is_over()) {
        for (dispatch, sent) in incident.dispatches.iter().filter(|(_, sent)| sent.progress.is_open()) {
            found.entry(sent.unit.id.clone()).or_default().push(UnderWay {
                incident: id.clone(),
                number: incident.open.number.clone(),
                title: incident.open.title.clone(),
                dispatch: dispatch.clone(),
                progress: sent.progress,
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const NOW: UtcMicros = UtcMicros(1_790_000_000_000_000);

    fn id(n: usize) -> MatterId {
        format!("unit/centre/u{n}").parse().unwrap()
    }

    #[test]
    fn only_the_newest_position_stays_and_their_number_is_bounded() {
        let positions = Positions::default();
        let at = |s: i64| UtcMicros(NOW.0 + s * 1_000_000);
        assert_eq!(positions.put(&id(0), (28.97, 118.86), at(-5), NOW), Ok(true));
        assert_eq!(positions.put(&id(0), (28.90, 118.80), at(-9), NOW), Ok(false));
        assert_eq!(positions.of(&id(0)).unwrap().at_us, at(-5));
        for n in 1..=limits::UNIT_POSITIONS_MAX {
            assert_eq!(positions.put(&id(n), (28.97, 118.86), at(0), NOW), Ok(true));
        }
        assert!(positions.of(&id(0)).is_none(), "the oldest one made room");
        assert!(positions.of(&id(limits::UNIT_POSITIONS_MAX)).is_some());
    }

    #[test]
    fn what_can_be_no_position_is_refused() {
        let positions = Positions::default();
        let put = |point, s: i64| positions.put(&id(1), point, UtcMicros(NOW.0 + s * 1_000_000), NOW);
        assert_eq!(put((118.86, 28.97), 0), Err(PositionRefused::NoPoint));
        assert_eq!(put((f64::NAN, 1.0), 0), Err(PositionRefused::NoPoint));
        assert_eq!(put((28.97, 118.86), 61), Err(PositionRefused::Ahead));
        assert_eq!(put((28.97, 118.86), -3601), Err(PositionRefused::Old));
        assert!(positions.of(&id(1)).is_none());
    }
}
