//! A node of the simulated city: its journal, its sender, its receiver, and what it is connected by.

use std::sync::Arc;

use fengsui_config::clock::{MonoMicros, UtcMicros};
use fengsui_config::ids::NodeId;
use serde_json::{Value, json};

use super::journal::ModelJournal;
use super::server::Server;
use crate::inbox::{Inbox, InboxState, Rules};
use crate::outbox::{Outbox, OutboxBounds, OutboxOptions, PassedState};
use crate::pace::Now;
use crate::upward::{Known, Priority, Upward, UpwardKind};

pub(super) const EPOCH_US: i64 = 1_790_000_000_000_000;

fn priority(body: &Value) -> Priority {
    match body["priority"].as_str() {
        Some("alarm") => Priority::Alarm,
        Some("low") => Priority::Low,
        _ => Priority::Normal,
    }
}

fn camera(body: &Value) -> Option<&str> {
    body["camera"].as_str()
}

/// What goes up in the simulated city.
pub(super) fn upward() -> Arc<Upward> {
    Arc::new(Upward::new([UpwardKind {
        name: "event.noted",
        version: 1,
        priority,
        camera,
        body: |_| Known::Yes,
    }]))
}

/// An event of a node.
pub(super) fn event(node: &str, number: u64, priority: &str) -> Value {
    json!({"camera": format!("{node}-1"), "n": number, "priority": priority})
}

/// Each node speaks for itself and for those below it, and owns the cameras named after it.
pub(super) struct CityRules(pub Vec<(NodeId, NodeId)>);

impl Rules for CityRules {
    fn may_send(&self, sender: &NodeId, origin: &NodeId) -> bool {
        sender == origin || self.0.iter().any(|(s, o)| s == sender && o == origin)
    }

    fn owns(&self, origin: &NodeId, camera: &str) -> bool {
        camera.strip_prefix(origin.as_str()).is_some_and(|rest| rest.starts_with('-'))
    }
}

/// What a link does to what goes over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinkState {
    Good,
    /// Both ends notice at once.
    Cut,
    /// Nothing arrives, and nobody is told.
    BlackHole,
    /// Nothing arrives at the server.
    UpLost,
    /// Nothing arrives at the node.
    DownLost,
    /// 300 ms more each way.
    Slow,
    /// 64 kbit/s.
    Narrow,
}

pub(super) struct Link {
    pub state: LinkState,
    /// The node believes in its connection.
    pub is_connected: bool,
    pub generation: u64,
    pub up_at: u64,
    pub down_at: u64,
}

pub(super) struct Site {
    pub id: NodeId,
    pub parent: Option<usize>,
    pub children: Vec<usize>,
    pub journal: ModelJournal,
    pub is_alive: bool,
    pub life: u64,
    pub outbox: Option<Outbox>,
    pub inbox: Option<Inbox>,
    /// At a centre.
    pub server: Server,
    /// To the parent's server.
    pub link: Link,
    pub produced: u64,
    pub outbox_wake: Option<u64>,
    pub inbox_wake: Option<u64>,
    /// When the parent's server next looks for messages of this node.
    pub deliver_wake: Option<u64>,
    pub rules: Arc<CityRules>,
    pub bounds: OutboxBounds,
}

impl Site {
    pub(super) fn new(name: &str, parent: Option<usize>) -> Self {
        let link = Link { state: LinkState::Good, is_connected: false, generation: 0, up_at: 0, down_at: 0 };
        Self {
            id: name.parse().unwrap(),
            parent,
            children: Vec::new(),
            journal: ModelJournal::new(name),
            is_alive: false,
            life: 0,
            outbox: None,
            inbox: None,
            server: Server::default(),
            link,
            produced: 0,
            outbox_wake: None,
            inbox_wake: None,
            deliver_wake: None,
            rules: Arc::new(CityRules(Vec::new())),
            bounds: OutboxBounds::default(),
        }
    }

    pub(super) fn start(&mut self, now: u64, seed: u64) {
        self.journal.open(utc(now));
        self.life += 1;
        self.is_alive = true;
        (self.outbox_wake, self.inbox_wake) = (None, None);
        if self.parent.is_some() {
            self.outbox = Some(Outbox::new(OutboxOptions {
                node: self.id.clone(),
                epoch: self.journal.epoch,
                acknowledged: self.journal.cursor,
                passed: self.journal.reduce::<PassedState>(),
                upward: upward(),
                bounds: self.bounds,
                seed,
            }));
        }
        if !self.children.is_empty() {
            let state = self.journal.reduce::<InboxState>();
            self.inbox = Some(Inbox::new(state, upward(), self.rules.clone(), seed ^ 1));
        }
    }

    pub(super) fn kill(&mut self, keep: usize) {
        self.is_alive = false;
        self.life += 1;
        self.journal.crash(keep);
        (self.outbox, self.inbox) = (None, None);
    }
}

pub(super) fn utc(now: u64) -> UtcMicros {
    UtcMicros(EPOCH_US + i64::try_from(now).unwrap())
}

pub(super) fn at(now: u64) -> Now {
    Now { utc: utc(now), mono: MonoMicros(now) }
}
