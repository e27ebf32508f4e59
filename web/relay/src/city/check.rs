//! The judge of the simulated city: compares what the centres' journals took in with what the nodes' journals hold, record
//! by record, whenever anything becomes durable anywhere.

use std::collections::BTreeMap;

use fengsui_config::ids::NodeId;
use fengsui_storage::journal::{JournalRecord, Reducer, kinds};

use super::site::{Site, upward};
use crate::frame::{Frame, Key};
use crate::inbox::{Applied, InboxState};
use crate::outbox::{Outbox, OutboxBounds, PassedState};
use crate::upward::Priority;
use serde::Deserialize;

/// How far a centre has come with one origin.
#[derive(Default, Clone)]
struct Progress {
    /// Records of the origin's journal that are dealt with.
    at: usize,
    applied: u64,
    skipped: u64,
}

pub(super) struct Oracle {
    /// Records of each journal that were looked at.
    looked: Vec<usize>,
    /// What each node has passed over.
    passed: Vec<PassedState>,
    progress: BTreeMap<(usize, NodeId), Progress>,
    pub applied: u64,
}

impl Oracle {
    pub(super) fn new(sites: usize) -> Self {
        let passed = vec![PassedState::default(); sites];
        Self { looked: vec![0; sites], passed, progress: BTreeMap::new(), applied: 0 }
    }

    /// Looks at what has become durable at a site.
    pub(super) fn look(&mut self, site: usize, sites: &[Site]) {
        let from = self.looked[site];
        self.looked[site] = sites[site].journal.records.len();
        for record in &sites[site].journal.records[from..] {
            self.passed[site].apply(record).unwrap();
            assert_ne!(record.kind, kinds::RELAY_QUARANTINED, "{:?}", record.body);
            if record.kind == kinds::RELAY_APPLIED {
                for part in Applied::deserialize(&record.body).unwrap().parts {
                    part.frames.iter().for_each(|frame| self.took(site, frame, sites));
                }
            }
        }
    }

    /// A centre took in a frame: it has to be the next one of its origin.
    fn took(&mut self, centre: usize, frame: &Frame, sites: &[Site]) {
        let origin = sites.iter().position(|s| s.id == frame.origin).unwrap();
        let mut progress = self.progress.remove(&(centre, frame.origin.clone())).unwrap_or_default();
        let next = self.skip(origin, &mut progress, sites);
        let Some(next) = next else { panic!("{} {} was never written", frame.origin, frame.key()) };
        let expected = (next.epoch, next.seq, next.kind.as_str(), &next.body, next.at.0);
        let found = (frame.epoch, frame.seq, frame.kind.as_str(), &frame.body, frame.at_us);
        assert_eq!(found, expected, "the next frame of {} at {}", frame.origin, sites[centre].id);
        progress.at += 1;
        progress.applied += 1;
        self.applied += 1;
        self.progress.insert((centre, frame.origin.clone()), progress);
    }

    /// The next record of an origin that has to arrive.
    fn skip<'a>(
        &self,
        origin: usize,
        progress: &mut Progress,
        sites: &'a [Site],
    ) -> Option<&'a JournalRecord> {
        while let Some(record) = sites[origin].journal.records.get(progress.at) {
            if let Some(priority) = upward().priority(&record.kind, &record.body) {
                if !self.passed[origin].covers(Key::new(record.epoch, record.seq), priority) {
                    return Some(record);
                }
                assert_ne!(priority, Priority::Alarm, "an alarm was passed over");
                progress.skipped += 1;
            }
            progress.at += 1;
        }
        None
    }

    /// How many frames of an origin a centre took in.
    pub(super) fn applied_of(&self, centre: usize, origin: &NodeId) -> u64 {
        self.progress.get(&(centre, origin.clone())).map_or(0, |p| p.applied)
    }

    /// Whether a centre has everything of every node below it.
    pub(super) fn is_complete(&self, centre: usize, sites: &[Site]) -> bool {
        let below = sites[centre].rules.0.iter();
        below.into_iter().all(|(_, origin)| {
            let at = sites.iter().position(|s| s.id == *origin).unwrap();
            let mut progress = self.progress.get(&(centre, origin.clone())).cloned().unwrap_or_default();
            self.skip(at, &mut progress, sites).is_none()
        })
    }

    /// What is left of each origin that is not complete, for people.
    pub(super) fn missing(&self, centre: usize, sites: &[Site]) -> Vec<String> {
        let below = sites[centre].rules.0.iter().filter_map(|(_, origin)| {
            let at = sites.iter().position(|s| s.id == *origin)?;
            let mut progress = self.progress.get(&(centre, origin.clone())).cloned().unwrap_or_default();
            let record = self.skip(at, &mut progress, sites)?;
            Some(format!(
                "{origin} at {} of {}: {:#?}",
                record.seq,
                sites[at].journal.records.len(),
                sites[at].outbox
            ))
        });
        below.collect()
    }

    /// At the end: the counts are those of what really was passed over, and the reduced state says the same.
    pub(super) fn settle(&mut self, centre: usize, sites: &[Site]) {
        let state = sites[centre].inbox.as_ref().unwrap().state();
        let mut reduced = sites[centre].journal.reduce::<InboxState>();
        reduced.standing_since = state.standing_since;
        assert_eq!(*state, reduced, "the state is what the journal says");
        for (_, origin) in &sites[centre].rules.0 {
            let at = sites.iter().position(|s| s.id == *origin).unwrap();
            let mut progress = self.progress.get(&(centre, origin.clone())).cloned().unwrap_or_default();
            assert!(self.skip(at, &mut progress, sites).is_none());
            assert_eq!(progress.skipped, self.passed[at].count, "records that {origin} passed over");
            let told = state.origins.get(origin).map_or(0, |o| o.passed_over);
            assert_eq!(told, progress.skipped, "records of {origin} that the centre knows to be passed over");
            assert_eq!(state.origins.get(origin).map_or(0, |o| o.applied), progress.applied);
            assert!(state.origins.get(origin).is_none_or(|o| o.quarantined == 0));
        }
    }

    /// Forgets what a centre took in that lost the end of its journal.
    pub(super) fn restored(&mut self, centre: usize, sites: &[Site]) {
        self.progress.retain(|(c, _), _| *c != centre);
        self.looked[centre] = 0;
        self.passed[centre] = PassedState::default();
        self.look(centre, sites);
    }

    /// A sender keeps within its bounds.
    pub(super) fn bounded(&self, outbox: &Outbox, bounds: &OutboxBounds) {
        let (frames, _) = outbox.in_flight();
        // A record that the centre has is noted whole.
        assert!(frames < 2 * bounds.window_frames, "{frames} frames on their way");
    }
}
