//! The first computation: from the state of matters in the book.

use std::collections::BTreeMap;

use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;

use super::{Ask, DAY_US, Grouping, Measures, Places, Report, Row, Share, SitePlace, Spread};
use crate::act::MatterId;
use crate::book::Book;
use crate::fact::{AlarmFact, Fact, IncidentFact};
use crate::incident::IncidentState;

/// Everything that reports are made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Alarms.
    pub alarms: Vec<(MatterId, AlarmFact)>,
    /// Incidents.
    pub incidents: Vec<(MatterId, IncidentFact)>,
    /// What was raised or opened then or later is all here; none while everything is.
    pub whole_since: Option<UtcMicros>,
}

impl Facts {
    /// Of all matters that a book knows, those included of which it has nothing but the facts.
    #[must_use]
    pub fn of(book: &Book) -> Self {
        Self::of_bounded(book, limits::DUTY_FACTS_MAX)
    }

    /// As [`Self::of`], of a book that keeps so many bare facts.
    fn of_bounded(book: &Book, most: usize) -> Self {
        let (mut facts, mut bare, mut oldest) = (Self::default(), 0, None::<UtcMicros>);
        for (id, fact) in book.facts() {
            let over = match &fact {
                Fact::Alarm(fact) => fact.closed_us,
                Fact::Incident(fact) => fact.over_us,
            };
            if book.is_gone(&id) {
                bare += 1;
                oldest = oldest.into_iter().chain(over).min();
            }
            match fact {
                Fact::Alarm(fact) => facts.alarms.push((id, fact)),
                Fact::Incident(fact) => facts.incidents.push((id, fact)),
            }
        }
        // A book that is full dropped those first that were over first: what it dropped began before the oldest end here.
        facts.whole_since = oldest.filter(|_| bare >= most);
        facts
    }
}

/// Values of one group on their way to measures.
#[derive(Default)]
struct Group {
    counted: Measures,
    acknowledge: Vec<i64>,
    settle: Vec<i64>,
    close: Vec<i64>,
    arrive: Vec<i64>,
    incident_close: Vec<i64>,
    /// The newest alarm's name of its rule, and by what it is the newest.
    newest: Option<(UtcMicros, MatterId, String)>,
}

/// How long after `from`, if it happened.
fn took(values: &mut Vec<i64>, from: UtcMicros, at: Option<UtcMicros>) {
    values.extend(at.map(|at| at.0.saturating_sub(from.0).max(0)));
}

fn add(share: &mut Share, part: bool) {
    share.of += 1;
    share.part += u64::from(part);
}

impl Group {
    fn alarm(&mut self, id: &MatterId, fact: &AlarmFact, now: UtcMicros) {
        let counted = &mut self.counted;
        counted.alarms += 1;
        counted.escalations += u64::from(fact.escalations);
        add(&mut counted.disposed, fact.closed_us.is_some());
        if fact.due_s > 0 {
            add(&mut counted.overdue, fact.was_overdue(now));
        }
        if fact.settled_us.is_some() {
            add(&mut counted.found_false, fact.was_false);
        }
        took(&mut self.acknowledge, fact.raised_us, fact.acknowledged_us);
        took(&mut self.settle, fact.raised_us, fact.settled_us);
        took(&mut self.close, fact.raised_us, fact.closed_us);
        let mine = (fact.raised_us, id.clone(), fact.rule_name.clone());
        if self.newest.as_ref().is_none_or(|newest| *newest < mine) {
            self.newest = Some(mine);
        }
    }

    fn incident(&mut self, fact: &IncidentFact) {
        let counted = &mut self.counted;
        counted.incidents += 1;
        counted.dispatches += u64::from(fact.dispatches);
        counted.skipped += u64::from(fact.skipped);
        counted.cancelled += u64::from(fact.state == IncidentState::Cancelled);
        let closed = fact.over_us.filter(|_| fact.state == IncidentState::Closed);
        add(&mut counted.incidents_disposed, closed.is_some());
        took(&mut self.arrive, fact.opened_us, fact.arrived_us);
        took(&mut self.incident_close, fact.opened_us, closed);
    }

    fn measures(mut self) -> Measures {
        self.counted.acknowledge = spread(self.acknowledge);
        self.counted.settle = spread(self.settle);
        self.counted.close = spread(self.close);
        self.counted.arrive = spread(self.arrive);
        self.counted.incident_close = spread(self.incident_close);
        self.counted
    }
}

/// Median and 95th percentile by nearest rank.
fn spread(mut values: Vec<i64>) -> Spread {
    values.sort_unstable();
    let at = |percent: usize| {
        let rank = (values.len() * percent).div_ceil(100);
        values.get(rank.saturating_sub(1)).copied()
    };
    Spread { n: values.len() as u64, median_us: at(50), p95_us: at(95) }
}

/// The local day of a moment.
fn day(at: UtcMicros, utc_offset_min: i32) -> String {
    let local = at.0.saturating_add(i64::from(utc_offset_min).saturating_mul(60_000_000));
    let julian = local.div_euclid(DAY_US).saturating_add(UNIX_JULIAN_DAY);
    let date = i32::try_from(julian).ok().and_then(|day| time::Date::from_julian_day(day).ok());
    date.map(|date| date.to_string()).unwrap_or_default()
}

/// Julian day of 1970-01-01.
const UNIX_JULIAN_DAY: i64 = 2_440_588;

/// Says which row something belongs to.
struct Sorter<'a> {
    ask: &'a Ask,
    places: &'a Places,
}

impl Sorter<'_> {
    fn key(&self, id: &MatterId, at: UtcMicros, site: Option<&str>) -> String {
        let site = site.unwrap_or_default();
        let place = |pick: fn(&SitePlace) -> &String| {
            self.places.sites.get(site).map(pick).cloned().unwrap_or_default()
        };
        match self.ask.by {
            Grouping::Area => place(|site| &site.sub_centre),
            Grouping::Station => place(|site| &site.station),
            Grouping::Site => site.to_owned(),
            Grouping::Day => day(at, self.ask.utc_offset_min),
            Grouping::Node => id.home.to_string(),
            Grouping::All | Grouping::Rule | Grouping::Camera => String::new(),
        }
    }

    fn alarm_key(&self, id: &MatterId, fact: &AlarmFact) -> String {
        let camera = fact.camera.map(|camera| camera.to_string());
        match self.ask.by {
            Grouping::Rule => fact.rule.to_string(),
            Grouping::Camera => camera.unwrap_or_default(),
            _ => {
                let by_camera =
                    camera.and_then(|c| self.places.cameras.get(&c)).map(|(_, site)| site.as_str());
                self.key(id, fact.raised_us, fact.site.as_deref().or(by_camera))
            }
        }
    }

    fn name(&self, key: &str, group: &Group) -> String {
        let places = self.places;
        let name = match self.ask.by {
            Grouping::Area => places.sub_centres.get(key),
            Grouping::Station => places.stations.get(key),
            Grouping::Site => places.sites.get(key).map(|site| &site.name),
            Grouping::Camera => places.cameras.get(key).map(|(name, _)| name),
            Grouping::Rule => group.newest.as_ref().map(|(_, _, name)| name),
            Grouping::All | Grouping::Day | Grouping::Node => None,
        };
        name.cloned().unwrap_or_default()
    }
}

/// The report that `ask` wants.
#[must_use]
pub fn report(ask: &Ask, facts: &Facts, places: &Places) -> Report {
    let sorter = Sorter { ask, places };
    let (mut total, mut groups) = (Group::default(), BTreeMap::<String, Group>::new());
    for (id, fact) in facts.alarms.iter().filter(|(_, fact)| ask.holds(fact.raised_us.0)) {
        total.alarm(id, fact, ask.now);
        groups.entry(sorter.alarm_key(id, fact)).or_default().alarm(id, fact, ask.now);
    }
    for (id, fact) in facts.incidents.iter().filter(|(_, fact)| ask.holds(fact.opened_us.0)) {
        total.incident(fact);
        if ask.by.takes_incidents() {
            let key = sorter.key(id, fact.opened_us, fact.site.as_deref());
            groups.entry(key).or_default().incident(fact);
        }
    }
    let row = |(key, group): (String, Group)| Row {
        name: sorter.name(&key, &group),
        key,
        measures: group.measures(),
    };
    let rows = if ask.by == Grouping::All { Vec::new() } else { groups.into_iter().map(row).collect() };
    Report {
        from_us: ask.from.0,
        to_us: ask.to.0,
        made_us: ask.now.0,
        by: ask.by,
        utc_offset_min: ask.utc_offset_min,
        total: total.measures(),
        rows,
    }
}
