//! Which unit to send: on duty, of the area, free, near; each with the reason.

use std::cmp::Ordering;

use fengsui_config::clock::UtcMicros;
use serde::Serialize;

use super::hours::is_on;
use super::{Place, Point};
use crate::act::MatterId;
use crate::define::UnitBody;

/// How long a position that was reported says where a unit is, in seconds.
pub const POSITION_FRESH_S: i64 = 15 * 60;

/// Where a unit said it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reported {
    /// There.
    pub point: Point,
    /// When.
    pub at_us: UtcMicros,
}

impl Reported {
    /// Whether it still says something at `now`. A little from the future is of a clock that is ahead.
    #[must_use]
    pub fn is_fresh(&self, now: UtcMicros) -> bool {
        now.since(self.at_us).unsigned_abs() <= POSITION_FRESH_S.unsigned_abs() * 1_000_000
    }
}

/// A unit that may be sent.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Which.
    pub id: &'a MatterId,
    /// What it is.
    pub unit: &'a UnitBody,
    /// Where it said last that it is.
    pub reported: Option<Reported>,
    /// The middle of the sites of its area.
    pub middle: Option<Point>,
    /// It is under way.
    pub busy: bool,
}

/// How a unit has to do with a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cover {
    /// Its area holds the place.
    Area,
    /// It is for everywhere.
    Everywhere,
    /// To which area the place belongs is not known.
    Unknown,
    /// Its area is another one.
    Outside,
}

/// By what its distance is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Known {
    /// By a position that it reported and that is fresh.
    Position,
    /// By its post.
    Post,
    /// By the middle of its area.
    Area,
    /// It is not.
    Nothing,
}

/// A unit and why it stands where it stands in the list.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// Which.
    pub id: MatterId,
    /// It is on duty.
    pub on_duty: bool,
    /// It is under way.
    pub busy: bool,
    /// How it has to do with the place.
    pub cover: Cover,
    /// By what its distance is known.
    pub known: Known,
    /// Metres, straight.
    pub metres: Option<f64>,
}

impl Proposal {
    /// On duty before off duty, those of the area before others, free before busy, then the nearest; what is still equal, by
    /// name, so that the list is the same everywhere.
    fn order(&self, other: &Self) -> Ordering {
        let first = |p: &Self| (!p.on_duty, p.cover == Cover::Outside, p.busy);
        let far = |p: &Self| p.metres.unwrap_or(f64::INFINITY);
        first(self)
            .cmp(&first(other))
            .then_with(|| far(self).total_cmp(&far(other)))
            .then_with(|| self.id.cmp(&other.id))
    }
}

/// How an area, as in a definition, has to do with a place.
#[must_use]
pub fn cover(area: &[String], place: &Place) -> Cover {
    if area.is_empty() {
        Cover::Everywhere
    } else if place.codes.is_empty() {
        Cover::Unknown
    } else if area.iter().any(|code| place.codes.contains(code)) {
        Cover::Area
    } else {
        Cover::Outside
    }
}

/// The units in the order in which to think of them. Those of other areas and those that are off duty stand last: who is
/// needed is sometimes one of these.
#[must_use]
pub fn propose<'a>(
    place: &Place,
    units: impl IntoIterator<Item = Candidate<'a>>,
    now: UtcMicros,
    offset_min: i32,
) -> Vec<Proposal> {
    let mut list: Vec<Proposal> = units
        .into_iter()
        .map(|candidate| {
            let (from, known) = stands(&candidate, now);
            let metres = place.point.zip(from).map(|(place, from)| from.metres_to(place));
            Proposal {
                id: candidate.id.clone(),
                on_duty: is_on(&candidate.unit.duty, now, offset_min),
                busy: candidate.busy,
                cover: cover(&candidate.unit.area, place),
                known: if metres.is_some() { known } else { Known::Nothing },
                metres,
            }
        })
        .collect();
    list.sort_by(Proposal::order);
    list
}

/// Where a unit is, as far as is known.
fn stands(candidate: &Candidate<'_>, now: UtcMicros) -> (Option<Point>, Known) {
    if let Some(fresh) = candidate.reported.filter(|reported| reported.is_fresh(now)) {
        return (Some(fresh.point), Known::Position);
    }
    if let Some(post) = candidate.unit.post.and_then(|(lat, lon)| Point::of(lat, lon)) {
        return (Some(post), Known::Post);
    }
    (candidate.middle, Known::Area)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use proptest::prelude::*;

    use super::super::geo::tests::away;
    use super::*;
    use crate::define::{Hours, Net};

    const NOW: UtcMicros = UtcMicros(1_790_000_000_000_000);
    const SITE: &str = "33080200002160000001";

    fn here() -> Point {
        Point::of(28.97, 118.86).unwrap()
    }

    fn place() -> Place {
        Place { point: Some(here()), codes: vec![SITE.into(), "station".into(), "centre".into()] }
    }

    fn unit(area: &[&str], post: Option<Point>) -> UnitBody {
        UnitBody {
            name: "x".into(),
            net: Net::Street,
            members: vec!["li".into()],
            contact: "1".into(),
            area: area.iter().map(|code| (*code).to_owned()).collect(),
            duty: Vec::new(),
            post: post.map(|p| (p.lat(), p.lon())),
        }
    }

    fn id(name: &str) -> MatterId {
        format!("unit/centre/{name}").parse().unwrap()
    }

    fn plain<'a>(id: &'a MatterId, unit: &'a UnitBody) -> Candidate<'a> {
        Candidate { id, unit, reported: None, middle: None, busy: false }
    }

    fn names(list: &[Proposal]) -> Vec<&str> {
        list.iter().map(|p| p.id.name.as_str()).collect()
    }

    #[test]
    fn those_of_the_area_come_first_then_free_ones_then_near_ones() {
        let at = |metres| Some(away(here(), 45.0, metres));
        let (far, near, busy) = (unit(&["centre"], at(900.0)), unit(&[], at(300.0)), unit(&[SITE], at(10.0)));
        let (outside, nowhere) = (unit(&["other"], at(1.0)), unit(&["station"], None));
        let mut asleep = unit(&[SITE], at(1.0));
        asleep.duty = vec![Hours { days: vec![], from_min: 0, to_min: 1 }];
        let ids = ["far", "near", "busy", "outside", "nowhere", "asleep"].map(id);
        let bodies = [&far, &near, &busy, &outside, &nowhere, &asleep];
        let list =
            ids.iter().zip(bodies).map(|(id, unit)| Candidate { busy: id.name == "busy", ..plain(id, unit) });
        let list = propose(&place(), list, NOW, 0);
        assert_eq!(names(&list), ["near", "far", "nowhere", "busy", "outside", "asleep"]);
        let covers: Vec<Cover> = list.iter().map(|p| p.cover).collect();
        assert_eq!(covers[..3], [Cover::Everywhere, Cover::Area, Cover::Area]);
        assert_eq!((list[2].known, list[2].metres), (Known::Nothing, None));
        assert_eq!((list[1].known, list[1].metres.map(f64::round)), (Known::Post, Some(900.0)));
    }

    #[test]
    fn a_fresh_position_counts_before_the_post_and_an_old_one_does_not() {
        let (body, id) = (unit(&[], Some(away(here(), 0.0, 5000.0))), id("a"));
        let seen = |age_s: i64| {
            let at_us = UtcMicros(NOW.0 - age_s * 1_000_000);
            let reported = Some(Reported { point: away(here(), 0.0, 70.0), at_us });
            let list = propose(&place(), [Candidate { reported, ..plain(&id, &body) }], NOW, 0);
            (list[0].known, list[0].metres.map(f64::round))
        };
        assert_eq!(seen(POSITION_FRESH_S), (Known::Position, Some(70.0)));
        assert_eq!(seen(POSITION_FRESH_S + 1), (Known::Post, Some(5000.0)));
        let body = unit(&[SITE], None);
        let middle = Some(away(here(), 0.0, 400.0));
        let list = propose(&place(), [Candidate { middle, ..plain(&id, &body) }], NOW, 0);
        assert_eq!((list[0].known, list[0].metres.map(f64::round)), (Known::Area, Some(400.0)));
    }

    #[test]
    fn of_a_place_whose_area_is_not_known_nobody_is_outside() {
        let (body, id) = (unit(&["other"], None), id("a"));
        let list = propose(&Place { codes: vec![], ..place() }, [plain(&id, &body)], NOW, 0);
        assert_eq!(list[0].cover, Cover::Unknown);
    }

    proptest! {
        /// The list depends on who there is and not on the order in which they come; within one class distances only grow.
        #[test]
        fn the_order_is_one_and_distances_grow(units in proptest::collection::vec((any::<bool>(), any::<bool>(), 0.0..50_000.0_f64), 1..20), turn in 0..20_usize) {
            let bodies: Vec<(MatterId, UnitBody, bool)> = units.iter().enumerate().map(|(i, (busy, outside, metres))| {
                (id(&format!("u{i}")), unit(if *outside { &["other"] } else { &[] }, Some(away(here(), 10.0, *metres))), *busy)
            }).collect();
            let list = |turned: usize| {
                let mut order: Vec<_> = bodies.iter().collect();
                order.rotate_left(turned % bodies.len());
                propose(&place(), order.into_iter().map(|(id, unit, busy)| Candidate { busy: *busy, ..plain(id, unit) }), NOW, 0)
            };
            let (one, other) = (list(0), list(turn));
            prop_assert_eq!(&one, &other);
            for pair in one.windows(2) {
                let class = |p: &Proposal| (p.cover == Cover::Outside, p.busy);
                prop_assert!(class(&pair[0]) <= class(&pair[1]));
                prop_assert!(class(&pair[0]) < class(&pair[1]) || pair[0].metres <= pair[1].metres);
            }
        }

        #[test]
        fn no_number_makes_a_proposal_panic(post in any::<(f64, f64)>(), at in any::<i64>(), now in any::<i64>(), offset in any::<i32>()) {
            let mut body = unit(&[], None);
            body.post = Some(post);
            let id = id("a");
            let reported = Some(Reported { point: here(), at_us: UtcMicros(at) });
            let list = propose(&place(), [Candidate { reported, ..plain(&id, &body) }], UtcMicros(now), offset);
            prop_assert!(list[0].metres.is_none_or(f64::is_finite));
        }
    }
}
