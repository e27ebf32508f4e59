//! Which events a rule is about, and which rules an event may be about.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use fengsui_config::Topology;
use fengsui_config::ids::CameraId;
use fengsui_relay::event::{Event, EventKind, Phase};

use super::hours::Week;
use crate::define::RuleBody;

/// Kinds of events that only ever close something: whoever names one of them wants it, though it begins nothing.
const CLOSING: [EventKind; 5] = [
    EventKind::CameraOnline,
    EventKind::CameraGapClosed,
    EventKind::NodeOnline,
    EventKind::NodeStarted,
    EventKind::StandbyReleased,
];

/// Where the cameras are: national codes of the site, station and sub-centre of each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    cameras: BTreeMap<CameraId, [String; 3]>,
    within: BTreeMap<String, BTreeSet<CameraId>>,
}

impl Places {
    /// Of cameras with the codes of their site, station and sub-centre.
    #[must_use]
    pub fn new(cameras: impl IntoIterator<Item = (CameraId, [String; 3])>) -> Self {
        let mut places = Self::default();
        for (camera, codes) in cameras {
            for code in &codes {
                places.within.entry(code.clone()).or_default().insert(camera);
            }
            places.cameras.insert(camera, codes);
        }
        places
    }

    /// Of the configuration.
    #[must_use]
    pub fn of(topology: &Topology) -> Self {
        let mut places = Self::new(topology.cameras.values().filter_map(|camera| {
            let site = topology.sites.get(&camera.site)?;
            let station = topology.stations.get(&site.station)?;
            let codes = [site.code, station.code, station.sub_centre].map(|code| code.to_string());
            Some((camera.id, codes))
        }));
        // A place without cameras is known all the same.
        let sites = topology.sites.keys();
        for code in sites.chain(topology.stations.keys()).chain(topology.sub_centres.keys()) {
            places.within.entry(code.to_string()).or_default();
        }
        places
    }

    /// The code of a camera's site.
    #[must_use]
    pub fn site(&self, camera: &CameraId) -> Option<&str> {
        self.cameras.get(camera).map(|[site, _, _]| site.as_str())
    }

    /// Whether the camera is configured.
    #[must_use]
    pub fn knows(&self, camera: &CameraId) -> bool {
        self.cameras.contains_key(camera)
    }

    /// The cameras of a site, station or sub-centre; nothing when there is no such place.
    #[must_use]
    pub fn within(&self, code: &str) -> Option<&BTreeSet<CameraId>> {
        self.within.get(code)
    }
}

/// A rule made ready to be asked of many events.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    kinds: HashSet<EventKind>,
    /// None: everywhere.
    pub(super) cameras: Option<HashSet<CameraId>>,
    pub(super) week: Week,
}

impl Filter {
    pub(super) fn of(body: &RuleBody, places: &Places, offset_s: i64) -> Self {
        let everywhere = body.cameras.is_empty() && body.area.is_empty();
        let cameras = (!everywhere).then(|| {
            let area = body.area.iter().filter_map(|code| places.within(code)).flatten();
            body.cameras.iter().chain(area).copied().collect()
        });
        let kinds = body.kinds.iter().filter_map(|word| word.parse().ok()).collect();
        Self { kinds, cameras, week: Week::of(&body.hours, offset_s) }
    }

    /// Whether the rule is about the event, whatever the hour.
    pub(super) fn wants(&self, body: &RuleBody, event: &Event) -> bool {
        (body.kinds.is_empty() || self.kinds.contains(&event.kind))
            && body.min_priority.is_none_or(|least| event.priority >= least)
            && self.cameras.as_ref().is_none_or(|c| event.camera.is_some_and(|camera| c.contains(&camera)))
    }

    /// Whether something begins or happens with it: what only closes raises nothing, unless the rule names its kind.
    pub(super) fn begins(&self, event: &Event) -> bool {
        event.phase != Phase::Closes
            || event.times > 0
            || (CLOSING.contains(&event.kind) && self.kinds.contains(&event.kind))
    }
}

/// Rules by the kinds and cameras that they name: an event is asked only of those that may be about it.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    anywhere: HashMap<EventKind, Vec<u32>>,
    at: HashMap<EventKind, HashMap<CameraId, Vec<u32>>>,
    /// Rules about what lasts: asked of all that closes.
    pub(super) lasting: Vec<u32>,
}

impl Index {
    pub(super) fn add(&mut self, number: u32, filter: &Filter, lasting: bool) {
        let kinds: Vec<EventKind> = match filter.kinds.is_empty() {
            true => EventKind::ALL.to_vec(),
            false => filter.kinds.iter().copied().collect(),
        };
        for kind in kinds {
            match &filter.cameras {
                None => self.anywhere.entry(kind).or_default().push(number),
                Some(cameras) => {
                    let at = self.at.entry(kind).or_default();
                    cameras.iter().for_each(|camera| at.entry(*camera).or_default().push(number));
                }
            }
        }
        if lasting {
            self.lasting.push(number);
        }
    }

    pub(super) fn of(&self, event: &Event, to: &mut Vec<u32>) {
        to.extend(self.anywhere.get(&event.kind).into_iter().flatten());
        if let Some(camera) = &event.camera {
            to.extend(self.at.get(&event.kind).and_then(|at| at.get(camera)).into_iter().flatten());
        }
    }
}
