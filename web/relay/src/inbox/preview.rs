//! Live alarms that are shown ahead of their frames.

use std::collections::BTreeMap;

use fengsui_config::clock::MonoMicros;
use fengsui_config::ids::NodeId;
use fengsui_config::limits;

use crate::frame::{Key, Preview};

/// The live alarms shown; bounded, the oldest leave first.
#[derive(Debug, Default)]
pub(super) struct Previews {
    shown: BTreeMap<(NodeId, Key), (MonoMicros, Preview)>,
}

impl Previews {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Preview> {
        self.shown.values().map(|(_, preview)| preview)
    }

    pub(super) fn len(&self) -> usize {
        self.shown.len()
    }

    /// Shows one; `None` when it is shown already, else those that leave for want of room.
    pub(super) fn put(&mut self, preview: Preview, now: MonoMicros) -> Option<Vec<(NodeId, Key)>> {
        let place = (preview.origin.clone(), preview.key());
        if self.shown.contains_key(&place) {
            return None;
        }
        let mut gone = Vec::new();
        let of_origin = self.of(&place.0).count();
        if of_origin >= limits::RELAY_PREVIEWS_PER_ORIGIN_MAX {
            gone.extend(self.of(&place.0).next());
        } else if self.shown.len() >= limits::RELAY_PREVIEWS_MAX {
            gone.extend(self.shown.iter().min_by_key(|(_, (at, _))| *at).map(|(place, _)| place.clone()));
        }
        for place in &gone {
            self.shown.remove(place);
        }
        self.shown.insert(place, (now, preview));
        Some(gone)
    }

    fn of(&self, origin: &NodeId) -> impl Iterator<Item = (NodeId, Key)> {
        let first = (origin.clone(), Key::default());
        let origin = origin.clone();
        self.shown.range(first..).map(|(place, _)| place.clone()).take_while(move |(o, _)| *o == origin)
    }

    /// Takes away what the durable frames of an origin have reached.
    pub(super) fn reached(&mut self, origin: &NodeId, mark: Key) -> Vec<(NodeId, Key)> {
        let gone: Vec<_> = self.of(origin).take_while(|(_, key)| *key <= mark).collect();
        for place in &gone {
            self.shown.remove(place);
        }
        gone
    }

    /// Takes away those whose frames did not come in time.
    pub(super) fn expired(&mut self, now: MonoMicros) -> Vec<(NodeId, Key)> {
        let old = |at: MonoMicros| now.since(at) >= limits::RELAY_PREVIEW_AGE_MAX;
        let gone: Vec<_> =
            self.shown.iter().filter(|(_, (at, _))| old(*at)).map(|(place, _)| place.clone()).collect();
        for place in &gone {
            self.shown.remove(place);
        }
        gone
    }

    /// When the next one expires.
    pub(super) fn next_expiry(&self) -> Option<MonoMicros> {
        self.shown.values().map(|(at, _)| *at + limits::RELAY_PREVIEW_AGE_MAX).min()
    }
}
