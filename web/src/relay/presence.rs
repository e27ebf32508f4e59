//! Who is there: each node says so every two seconds, its centre keeps the last word of each and notices silence.
//!
//! Invariant: silence makes a node late, then gone, and a word makes it here again; each change is told once, whatever comes
//! in between. `silence_makes_a_node_late_then_gone_and_one_word_brings_it_back`

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fengsui_config::clock::{MonoMicros, UtcMicros};
use fengsui_config::ids::NodeId;
use fengsui_config::limits;
use fengsui_relay::Now;
use fengsui_relay::central::ConfigWord;
use fengsui_relay::event::{Event, EventKind, Phase, Priority, Source};
use fengsui_relay::link::Link as _;
use fengsui_relay::link::subjects::Subjects;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::up::Uplink;
use crate::api::system;
use crate::app::App;

/// Version of the word.
const VERSION: u64 = 1;

/// A node's cameras, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CamerasCount {
    /// Configured.
    pub total: usize,
    /// Whose main stream plays.
    pub online: usize,
    /// Being recorded.
    pub recording: usize,
}

/// What a node says of itself on `fengsui.presence.<node>`. Newer programs may add fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// Version of this.
    pub v: u64,
    /// Version of the program.
    pub version: String,
    /// Its clock.
    pub clock_us: i64,
    /// Its cameras.
    pub cameras: CamerasCount,
    /// Records that wait for the centre.
    pub backlog_records: u64,
    /// The centre's configuration in force at it; none: its program says nothing of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ConfigWord>,
}

/// How a node's silence is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Silence {
    /// It was heard just now.
    Here,
    /// It was not heard as it should have been.
    Late,
    /// It is not heard any more.
    Gone,
}

/// The last word of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Last {
    /// What it said.
    pub word: Word,
    /// When it was heard.
    pub heard: UtcMicros,
    /// Its clock less the centre's, in microseconds; the way of the word is in it.
    pub offset_us: i64,
    /// How its silence since is taken.
    pub silence: Silence,
    at: MonoMicros,
}

impl Last {
    /// When it was heard, on the clock that never goes back.
    #[must_use]
    pub fn at(&self) -> MonoMicros {
        self.at
    }
}

/// All that were heard, and how the silence of each is taken.
#[derive(Debug, Default)]
pub struct Presences {
    last: BTreeMap<NodeId, Last>,
    /// Nodes that spoke in an earlier life of the centre and were not heard in this one.
    unheard: BTreeSet<NodeId>,
    /// Since when the centre itself can hear.
    hearing_since: Option<MonoMicros>,
}

/// A node went, or came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The node.
    pub node: NodeId,
    /// Where it is now: here or gone.
    pub silence: Silence,
    /// When it was heard last; none in this life of the centre.
    pub heard: Option<UtcMicros>,
    /// It is not known from this life of the centre whether this was told: the rows know.
    pub told_unknown: bool,
}

impl Presences {
    /// Nodes that spoke in an earlier life of the centre should be heard again.
    pub fn expect(&mut self, nodes: impl IntoIterator<Item = NodeId>) {
        let new = nodes.into_iter().filter(|node| !self.last.contains_key(node)).collect::<Vec<_>>();
        self.unheard.extend(new);
    }

    /// The centre's own connection is there, or is not: it cannot hear anybody then, and knows nothing of them.
    pub fn hearing(&mut self, now: MonoMicros, can_hear: bool) {
        match (can_hear, self.hearing_since) {
            (true, None) => self.hearing_since = Some(now),
            (false, Some(_)) => self.hearing_since = None,
            _ => {}
        }
    }

    /// A node said something. Gives the change when it was gone, or may have been before this life of the centre.
    pub fn heard(&mut self, now: Now, node: &NodeId, word: Word) -> Option<Change> {
        self.unheard.remove(node);
        let offset_us = word.clock_us.saturating_sub(now.utc.0);
        let last = Last { word, heard: now.utc, offset_us, silence: Silence::Here, at: now.mono };
        let before = self.last.insert(node.clone(), last).map(|last| last.silence);
        let told_unknown = before.is_none();
        let change =
            Change { node: node.clone(), silence: Silence::Here, heard: Some(now.utc), told_unknown };
        (told_unknown || before == Some(Silence::Gone)).then_some(change)
    }

    /// Looks at silences; gives the nodes that are gone since the last look.
    pub fn look(&mut self, now: MonoMicros) -> Vec<Change> {
        let Some(since) = self.hearing_since else { return Vec::new() };
        let (late, gone) = limits::RELAY_PRESENCE_SILENCE;
        let mut changes = Vec::new();
        for (node, last) in &mut self.last {
            // Silence counts from when the centre could hear.
            let silent = now.since(last.at.max(since));
            let silence = match last.silence {
                Silence::Gone => continue,
                _ if silent >= gone => Silence::Gone,
                _ if silent >= late => Silence::Late,
                before => before,
            };
            if silence == Silence::Gone {
                let (node, heard) = (node.clone(), Some(last.heard));
                changes.push(Change { node, silence, heard, told_unknown: false });
            }
            last.silence = silence;
        }
        if now.since(since) >= gone {
            let never = |node| Change { node, silence: Silence::Gone, heard: None, told_unknown: true };
            changes.extend(std::mem::take(&mut self.unheard).into_iter().map(never));
        }
        changes
    }

    /// Forgets those that are no nodes any more; what was told to be open about them is over.
    pub fn forget(&mut self, is_node: &dyn Fn(&NodeId) -> bool) -> Vec<Change> {
        self.unheard.retain(|node| is_node(node));
        let gone: Vec<NodeId> = self.last.keys().filter(|node| !is_node(node)).cloned().collect();
        let forgotten = gone.into_iter().filter_map(|node| {
            let heard = Some(self.last.remove(&node)?.heard);
            Some(Change { node, silence: Silence::Here, heard, told_unknown: true })
        });
        forgotten.collect()
    }

    /// The last word of a node.
    #[must_use]
    pub fn of(&self, node: &NodeId) -> Option<&Last> {
        self.last.get(node)
    }

    /// Since when the centre itself can hear; none while it cannot.
    #[must_use]
    pub fn hearing_since(&self) -> Option<MonoMicros> {
        self.hearing_since
    }

    /// Whether a node spoke in an earlier life of the centre and was not heard in this one yet.
    #[must_use]
    pub fn is_expected(&self, node: &NodeId) -> bool {
        self.unheard.contains(node)
    }

    /// How many are here, late and gone.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, usize); 3] {
        let count = |wanted| self.last.values().filter(|last| last.silence == wanted).count();
        [("here", count(Silence::Here)), ("late", count(Silence::Late)), ("gone", count(Silence::Gone))]
    }
}

/// The cause of all events about whether a node is there.
#[must_use]
pub fn cause(node: &NodeId) -> String {
    format!("below/{node}")
}

/// The event of a change, as the centre tells it.
#[must_use]
pub fn event(own: &NodeId, change: &Change, at: UtcMicros) -> Event {
    let (kind, priority, phase) = match change.silence {
        Silence::Gone => (EventKind::NodeOffline, Priority::Alarm, Phase::Opens),
        _ => (EventKind::NodeOnline, Priority::Normal, Phase::Closes),
    };
    let event = Event::new(kind, priority, cause(&change.node), phase, at, Source::node(own.clone()));
    let event = event.part("link").fact("node", change.node.to_string());
    match change.heard.filter(|_| change.silence == Silence::Gone) {
        Some(heard) => event.fact("heard_us", heard.0),
        None => event,
    }
}

/// What this node says of itself.
fn word(app: &App, uplink: &Uplink) -> Word {
    let counts = system::counts(app, &app.topology());
    let cameras = CamerasCount { total: counts.cameras, online: counts.online, recording: counts.recording };
    Word {
        v: VERSION,
        version: app.node.version.to_owned(),
        clock_us: app.clock.utc().0,
        cameras,
        backlog_records: uplink.backlog_records(),
        config: app.central.read().as_ref().map(|central| central.word()),
    }
}

/// Says to the centre that this node is there, until it stops.
pub async fn tell(app: Arc<App>, uplink: Arc<Uplink>) {
    let subject = Subjects::of(&uplink.node).presence();
    loop {
        if uplink.link.state().borrow().session().is_some() {
            let bytes = serde_json::to_vec(&word(&app, &uplink)).unwrap_or_default();
            // The next word says the same, and more.
            if let Err(error) = uplink.link.tell(&subject, bytes.into()).await {
                tracing::debug!(%error, "cannot say to the centre that this node is there");
            }
        }
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = tokio::time::sleep(limits::RELAY_PRESENCE_INTERVAL) => {}
        }
    }
}

/// The word that `bytes` are.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<Word> {
    if bytes.len() > limits::RELAY_PRESENCE_BYTES_MAX {
        return None;
    }
    let word: Word = serde_json::from_slice(bytes).ok()?;
    (word.v > 0 && word.version.chars().count() <= limits::NAME_CHARS_MAX).then_some(word)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn at(ms: u64) -> Now {
        Now {
            utc: UtcMicros(1_790_000_000_000_000 + i64::try_from(ms).unwrap() * 1000),
            mono: MonoMicros(ms * 1000),
        }
    }

    fn said() -> Word {
        let cameras = CamerasCount { total: 3, online: 2, recording: 1 };
        let clock_us = at(0).utc.0 + 250_000;
        Word { v: 1, version: "1.0.0".into(), clock_us, cameras, backlog_records: 7, config: None }
    }

    #[test]
    fn silence_makes_a_node_late_then_gone_and_one_word_brings_it_back() {
        let (mut all, east) = (Presences::default(), "east".parse::<NodeId>().unwrap());
        all.hearing(at(0).mono, true);
        assert!(all.heard(at(0), &east, said()).unwrap().told_unknown, "an earlier life may have missed it");
        assert_eq!(all.heard(at(0), &east, said()), None);
        assert_eq!(all.of(&east).unwrap().offset_us, 250_000);
        assert!(all.look(at(5_999).mono).is_empty());
        assert_eq!(all.of(&east).unwrap().silence, Silence::Here);
        assert!(all.look(at(6_000).mono).is_empty());
        assert_eq!(all.of(&east).unwrap().silence, Silence::Late);
        let gone = all.look(at(15_000).mono);
        assert_eq!((gone.len(), gone[0].silence, gone[0].heard), (1, Silence::Gone, Some(at(0).utc)));
        assert!(all.look(at(99_000).mono).is_empty(), "told once");
        let back = all.heard(at(100_000), &east, said()).unwrap();
        assert_eq!((back.silence, back.told_unknown), (Silence::Here, false));
        assert_eq!(all.heard(at(101_000), &east, said()), None);
        assert_eq!(all.counts(), [("here", 1), ("late", 0), ("gone", 0)]);
    }

    #[test]
    fn a_centre_that_cannot_hear_takes_nobody_for_gone() {
        let (mut all, east) = (Presences::default(), "east".parse::<NodeId>().unwrap());
        all.hearing(at(0).mono, true);
        all.heard(at(0), &east, said());
        all.hearing(at(1_000).mono, false);
        assert!(all.look(at(60_000).mono).is_empty());
        all.hearing(at(60_000).mono, true);
        assert!(all.look(at(74_000).mono).is_empty(), "it has time to say something");
        assert_eq!(all.look(at(75_000).mono).len(), 1);
    }

    #[test]
    fn a_node_that_died_while_the_centre_was_away_is_gone_and_a_retired_one_is_forgotten() {
        let mut all = Presences::default();
        let (east, west): (NodeId, NodeId) = ("east".parse().unwrap(), "west".parse().unwrap());
        all.expect([east.clone(), west.clone()]);
        all.hearing(at(1_000).mono, true);
        all.heard(at(2_000), &west, said());
        assert!(all.look(at(15_999).mono).is_empty());
        let gone = all.look(at(16_000).mono);
        assert_eq!((gone.len(), &gone[0].node, gone[0].told_unknown), (1, &east, true));
        assert!(all.look(at(16_500).mono).is_empty());
        let over = all.forget(&|node| *node == east);
        assert_eq!((over.len(), &over[0].node, over[0].silence), (1, &west, Silence::Here));
        assert!(all.of(&west).is_none() && all.forget(&|_| false).is_empty());
    }

    #[test]
    fn going_and_coming_back_are_one_row() {
        use fengsui_relay::event::rows::{EventRows, RecordId};
        let (own, east): (NodeId, NodeId) = ("centre".parse().unwrap(), "east".parse().unwrap());
        let mut rows = EventRows::default();
        for (n, silence) in (1..).zip([Silence::Gone, Silence::Here, Silence::Gone, Silence::Here]) {
            let heard = Some(at(0).utc);
            let change = Change { node: east.clone(), silence, heard, told_unknown: false };
            let id = RecordId { node: own.to_string(), epoch: 1, seq: n };
            let told = event(&own, &change, at(n * 1000).utc);
            rows.note(id, at(n * 1000).utc, &Event::read(&told.body()).unwrap());
        }
        let (page, _) = rows.page(None, 10, &|_| true);
        assert_eq!((page.len(), page[0].times, page[0].count), (1, 2, 4));
        assert!(!page[0].is_open() && page[0].kind == EventKind::NodeOffline);
    }

    #[test]
    fn no_word_of_a_stranger_is_believed_beyond_its_bounds() {
        let good = serde_json::to_vec(&said()).unwrap();
        assert_eq!(read(&good), Some(said()));
        let config = Some(ConfigWord { in_force: Some(3), released: None });
        let newer = Word { config, ..said() };
        assert_eq!(read(&serde_json::to_vec(&newer).unwrap()), Some(newer));
        let long = Word { version: "x".repeat(5000), ..said() };
        assert_eq!(read(&serde_json::to_vec(&long).unwrap()), None);
        assert_eq!(read(b"{}"), None);
        assert_eq!(read(&[0xff; 40]), None);
    }

    #[test]
    fn a_word_of_the_next_version_is_read_by_this_one() {
        let mut newer = serde_json::to_value(said()).unwrap();
        newer["v"] = 2.into();
        newer["disks"] = serde_json::json!([{"free": 1}]);
        newer["cameras"]["stalled"] = 1.into();
        let bytes = serde_json::to_vec(&newer).unwrap();
        assert_eq!(read(&bytes), Some(Word { v: 2, ..said() }));
    }
}
