//! The simulated city: what happens next, by a clock of its own and the dice of a seed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use super::check::Oracle;
use super::journal::{ModelSpool, Waits};
use super::server::PubAck;
use super::site::{LinkState, Site, at, event, utc};
use crate::inbox::InboxAction;
use crate::outbox::OutboxAction;
use crate::pace::Dice;
use crate::talk::{Ask, Confirmation, Where};

pub(super) const MS: u64 = 1000;
pub(super) const S: u64 = 1_000_000;
/// After this long without a sign of life a node gives its connection up.
const DETECT_US: u64 = 20 * S;

/// From a node to its centre's server.
#[derive(Clone)]
enum Up {
    Publish { ticket: u64, id: String, bytes: Arc<[u8]> },
    Ask(Ask),
    Direct(Arc<[u8]>),
}

/// From the server to a node.
#[derive(Clone)]
enum Down {
    Published { ticket: u64, ack: PubAck },
    Where(Arc<Where>),
    Confirm(Arc<Confirmation>),
}

enum Event {
    OutboxWake(usize),
    InboxWake(usize),
    Sync { site: usize, life: u64, is_good: bool },
    Cursor { site: usize, life: u64, seq: u64 },
    Up { site: usize, life: u64, generation: u64, is_late: bool, message: Up },
    Down { site: usize, life: u64, generation: u64, message: Down },
    Connect { site: usize },
    Detect { site: usize, generation: u64 },
    Deliver { centre: usize, sender: usize },
    Act(Box<dyn FnOnce(&mut World)>),
}

pub(super) struct World {
    pub now: u64,
    pub sites: Vec<Site>,
    pub dice: Dice,
    pub oracle: Oracle,
    /// Something may go wrong by itself.
    pub is_rough: bool,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    events: BTreeMap<u64, Event>,
    count: u64,
    /// When each live alarm was acknowledged, and how long until it was shown at the top.
    pub latencies: Vec<u64>,
    pub steps: u64,
}

impl World {
    /// Sites of these names, each with the index of its parent; parents first.
    pub(super) fn new(seed: u64, names: &[(&str, Option<usize>)]) -> Self {
        let mut sites: Vec<Site> = names.iter().map(|(name, parent)| Site::new(name, *parent)).collect();
        for child in 0..sites.len() {
            let mut above = sites[child].parent;
            if let Some(parent) = above {
                sites[parent].children.push(child);
            }
            let id = sites[child].id.clone();
            let mut sender = child;
            while let Some(centre) = above {
                let (from, id) = (sites[sender].id.clone(), id.clone());
                Arc::get_mut(&mut sites[centre].rules).unwrap().0.push((from, id));
                (sender, above) = (centre, sites[centre].parent);
            }
        }
        let oracle = Oracle::new(sites.len());
        let dice = Dice::new(seed);
        let (queue, events) = (BinaryHeap::new(), BTreeMap::new());
        let mut world = Self {
            now: 0,
            sites,
            dice,
            oracle,
            is_rough: false,
            queue,
            events,
            count: 0,
            latencies: Vec::new(),
            steps: 0,
        };
        for site in 0..world.sites.len() {
            world.sites[site].server.is_up = true;
            world.start(site);
        }
        world
    }

    pub(super) fn roll(&mut self, below: u64) -> u64 {
        self.dice.roll() % below.max(1)
    }

    fn schedule(&mut self, at: u64, event: Event) {
        self.count += 1;
        self.queue.push(Reverse((at.max(self.now), self.count)));
        self.events.insert(self.count, event);
    }

    /// Does something at a time.
    pub(super) fn act(&mut self, at: u64, what: impl FnOnce(&mut Self) + 'static) {
        self.schedule(at, Event::Act(Box::new(what)));
    }

    /// Runs until a time, or until nothing is left to happen.
    pub(super) fn run(&mut self, until: u64) {
        while let Some(Reverse((time, number))) = self.queue.peek().copied() {
            if time > until {
                break;
            }
            self.queue.pop();
            self.now = time;
            self.steps += 1;
            if let Some(event) = self.events.remove(&number) {
                self.happen(event);
            }
        }
        self.now = until;
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::OutboxWake(site) => {
                if self.sites[site].outbox_wake.is_some_and(|at| at <= self.now) {
                    self.sites[site].outbox_wake = None;
                    self.outbox(site);
                }
            }
            Event::InboxWake(site) => {
                if self.sites[site].inbox_wake.is_some_and(|at| at <= self.now) {
                    self.sites[site].inbox_wake = None;
                    self.inbox(site);
                }
            }
            Event::Sync { site, life, is_good } if self.sites[site].life == life => {
                self.synced(site, is_good)
            }
            Event::Cursor { site, life, seq } if self.sites[site].life == life => {
                self.sites[site].journal.cursor = seq;
                self.sites[site].outbox.as_mut().unwrap().acknowledged(seq);
                self.outbox(site);
            }
            Event::Up { site, life, generation, is_late, message } => {
                let link = &self.sites[site].link;
                let lost = matches!(link.state, LinkState::Cut | LinkState::BlackHole | LinkState::UpLost);
                if !lost && (is_late || link.generation == generation && self.sites[site].life == life) {
                    self.arrives_up(site, message);
                }
            }
            Event::Down { site, life, generation, message } => {
                let link = &self.sites[site].link;
                let lost = matches!(link.state, LinkState::Cut | LinkState::BlackHole | LinkState::DownLost);
                if !lost && link.generation == generation && self.sites[site].life == life {
                    self.arrives_down(site, message);
                }
            }
            Event::Connect { site } => self.connect(site),
            Event::Detect { site, generation } => {
                let link = &self.sites[site].link;
                if link.generation == generation && link.is_connected {
                    self.disconnect(site);
                    self.reconnect_later(site);
                }
            }
            Event::Deliver { centre, sender } => self.deliver(centre, sender),
            Event::Act(what) => what(self),
            Event::Sync { .. } | Event::Cursor { .. } => {}
        }
    }

    // Nodes.

    pub(super) fn start(&mut self, site: usize) {
        if self.sites[site].is_alive {
            return;
        }
        let seed = self.dice.roll();
        let now = self.now;
        self.sites[site].start(now, seed);
        self.look(site);
        if self.sites[site].parent.is_some() {
            self.reconnect_later(site);
        }
        if !self.sites[site].children.is_empty() {
            self.inbox(site);
            self.deliver_all(site);
        }
    }

    pub(super) fn kill(&mut self, site: usize) {
        if !self.sites[site].is_alive {
            return;
        }
        let keep =
            usize::try_from(self.dice.roll() % (self.sites[site].journal.group_len() as u64 + 1)).unwrap();
        self.sites[site].kill(keep);
        self.sites[site].link.is_connected = false;
        self.sites[site].link.generation += 1;
        self.look(site);
    }

    pub(super) fn produce(&mut self, site: usize) {
        if !self.sites[site].is_alive {
            return;
        }
        let roll = self.roll(20);
        let node = &mut self.sites[site];
        node.produced += 1;
        let priority = match roll {
            0..=2 => "alarm",
            3..=10 => "low",
            _ => "normal",
        };
        let body = event(node.id.as_str(), node.produced, priority);
        node.journal.append("event.noted", body, Waits::Nobody);
        if roll.is_multiple_of(7) {
            node.journal.append("session.opened", serde_json::json!({"by": "li"}), Waits::Nobody);
        }
        self.write(site);
    }

    fn write(&mut self, site: usize) {
        let (life, now) = (self.sites[site].life, self.now);
        let journal = &mut self.sites[site].journal;
        if !journal.is_idle() || !journal.has_pending() {
            return;
        }
        journal.begin_group(utc(now));
        let took = MS + self.roll(7 * MS);
        let is_good = !self.is_rough || self.roll(200) > 0;
        self.schedule(now + took, Event::Sync { site, life, is_good });
    }

    fn synced(&mut self, site: usize, is_good: bool) {
        let journal = &mut self.sites[site].journal;
        let waits = if is_good { journal.end_group() } else { journal.refuse_group() };
        self.look(site);
        let now = at(self.now);
        for who in waits {
            match who {
                Waits::Nobody => {}
                Waits::Inbox(ticket) => {
                    self.sites[site].inbox.as_mut().unwrap().journalled(now, ticket, is_good)
                }
                Waits::Outbox => self.sites[site].outbox.as_mut().unwrap().noted(is_good),
            }
        }
        self.write(site);
        self.inbox(site);
        self.outbox(site);
    }

    /// Lets the oracle look at what is durable.
    fn look(&mut self, site: usize) {
        let (oracle, sites) = (&mut self.oracle, &self.sites);
        oracle.look(site, sites);
    }

    fn outbox(&mut self, site: usize) {
        let now = at(self.now);
        let node = &mut self.sites[site];
        let Some(outbox) = node.outbox.as_mut() else { return };
        let actions = outbox.poll(now, &mut ModelSpool(&node.journal)).unwrap();
        let life = node.life;
        for action in actions {
            match action {
                OutboxAction::Ask(ask) => self.send_up(site, Up::Ask(ask), 60),
                OutboxAction::Publish { ticket, message_id, bytes } => {
                    let size = bytes.len();
                    self.send_up(site, Up::Publish { ticket, id: message_id, bytes: bytes.into() }, size);
                }
                OutboxAction::Direct(bytes) => {
                    let size = bytes.len();
                    self.send_up(site, Up::Direct(bytes.into()), size);
                }
                OutboxAction::Acknowledge { seq } => {
                    let at = self.now + MS + self.roll(5 * MS);
                    self.schedule(at, Event::Cursor { site, life, seq });
                }
                OutboxAction::Note(passed) => {
                    let body = serde_json::to_value(passed).unwrap();
                    self.sites[site].journal.append("relay.passed_over", body, Waits::Outbox);
                    self.write(site);
                }
            }
        }
        let outbox = self.sites[site].outbox.as_ref().unwrap();
        self.oracle.bounded(outbox, &self.sites[site].bounds);
        let wake = outbox.wake_at(now).map(|at| at.0.max(self.now + 10));
        if let Some(wake) = wake.filter(|w| self.sites[site].outbox_wake.is_none_or(|at| *w < at)) {
            self.sites[site].outbox_wake = Some(wake);
            self.schedule(wake, Event::OutboxWake(site));
        }
    }

    fn inbox(&mut self, site: usize) {
        let now = at(self.now);
        let Some(inbox) = self.sites[site].inbox.as_mut() else { return };
        let actions = inbox.poll(now);
        for action in actions {
            match action {
                InboxAction::Journal { ticket, kind, body } => {
                    self.sites[site].journal.append(kind, body, Waits::Inbox(ticket));
                    self.write(site);
                }
                InboxAction::Ack { token } => self.sites[site].server.ack(token),
                InboxAction::Nak { token, delay } => {
                    let delay = u64::try_from(delay.as_micros()).unwrap();
                    self.sites[site].server.nak(self.now, token, delay);
                }
                InboxAction::Confirm { to, confirmation } => {
                    if let Some(child) = self.sites.iter().position(|s| s.id == to) {
                        self.send_down(child, Down::Confirm(Arc::new(confirmation)));
                    }
                }
                InboxAction::Show(preview) => {
                    if self.sites[site].outbox.is_some() {
                        self.sites[site].outbox.as_mut().unwrap().direct(now, preview);
                        self.outbox(site);
                    } else {
                        let latency = now.utc.0 - preview.at_us;
                        self.latencies.push(u64::try_from(latency.max(0)).unwrap());
                    }
                }
                InboxAction::Hide { .. } => {}
            }
        }
        let wake = self.sites[site].inbox.as_ref().unwrap().wake_at().map(|at| at.0.max(self.now + 10));
        if let Some(wake) = wake.filter(|w| self.sites[site].inbox_wake.is_none_or(|at| *w < at)) {
            self.sites[site].inbox_wake = Some(wake);
            self.schedule(wake, Event::InboxWake(site));
        }
        self.deliver_all(site);
    }

    // Servers and links.

    fn deliver_all(&mut self, centre: usize) {
        for sender in self.sites[centre].children.clone() {
            let node = &self.sites[centre];
            let due = node.server.due_at(self.now, sender).filter(|_| node.server.is_up && node.is_alive);
            if let Some(at) = due {
                let at = at.max(self.now) + 200 + self.roll(800);
                self.deliver_at(centre, sender, at);
            }
        }
    }

    fn deliver_at(&mut self, centre: usize, sender: usize, at: u64) {
        if self.sites[sender].deliver_wake.is_none_or(|wake| at < wake) {
            self.sites[sender].deliver_wake = Some(at);
            self.schedule(at, Event::Deliver { centre, sender });
        }
    }

    fn deliver(&mut self, centre: usize, sender: usize) {
        if self.sites[sender].deliver_wake.is_none_or(|wake| wake > self.now) {
            return;
        }
        self.sites[sender].deliver_wake = None;
        let reorder = self.roll(3) == 0;
        let (now, id) = (self.now, self.sites[sender].id.clone());
        let node = &mut self.sites[centre];
        let Some(inbox) = node.inbox.as_mut().filter(|_| node.server.is_up) else { return };
        let credit = inbox.credit(&id);
        let got = node.server.deliver(now, sender, credit, reorder);
        if got.is_empty() {
            let due = self.sites[centre].server.due_at(now, sender);
            due.into_iter().for_each(|at| self.deliver_at(centre, sender, at.max(now + 50 * MS)));
            return;
        }
        for (token, bytes) in got {
            inbox.offer(at(now), &id, &bytes, token);
        }
        self.inbox(centre);
    }

    fn delay(&mut self, site: usize, size: usize) -> u64 {
        let usual = 2 * MS + self.roll(10 * MS);
        match self.sites[site].link.state {
            LinkState::Slow => usual + 300 * MS,
            LinkState::Narrow => usual + size as u64 * 8 * S / 64_000,
            _ => usual,
        }
    }

    fn send_up(&mut self, site: usize, message: Up, size: usize) {
        let delay = self.delay(site, size);
        // What is under way when a connection ends may still arrive, long after the next one has begun.
        let is_late = self.is_rough && self.roll(40) == 0;
        let late = if is_late { self.roll(3 * S) } else { 0 };
        let link = &mut self.sites[site].link;
        if !link.is_connected {
            return;
        }
        let base = if link.state == LinkState::Narrow { link.up_at.max(self.now) } else { self.now };
        // One connection keeps its order, but for what is left over of it.
        let at = (base + delay).max(link.up_at + 1);
        link.up_at = at;
        let (life, generation) = (self.sites[site].life, self.sites[site].link.generation);
        if is_late {
            self.schedule(at + late, Event::Up { site, life, generation, is_late, message: message.clone() });
        }
        self.schedule(at, Event::Up { site, life, generation, is_late: false, message });
    }

    fn send_down(&mut self, site: usize, message: Down) {
        let delay = self.delay(site, 300);
        let link = &mut self.sites[site].link;
        if !link.is_connected {
            return;
        }
        let at = (self.now + delay).max(link.down_at + 1);
        link.down_at = at;
        let (life, generation) = (self.sites[site].life, self.sites[site].link.generation);
        self.schedule(at, Event::Down { site, life, generation, message });
    }

    fn arrives_up(&mut self, site: usize, message: Up) {
        let centre = self.sites[site].parent.unwrap();
        let (now, coin) = (self.now, self.roll(2) == 0);
        if !self.sites[centre].server.is_up {
            return;
        }
        match message {
            Up::Publish { ticket, id, bytes } => {
                let ack = self.sites[centre].server.publish(now, site, id, bytes, coin);
                self.send_down(site, Down::Published { ticket, ack });
                if self.sites[centre].is_alive {
                    self.deliver_at(centre, site, now + 500);
                }
            }
            Up::Ask(ask) => {
                let from = self.sites[site].id.clone();
                let Some(inbox) = self.sites[centre].inbox.as_mut() else { return };
                let answer = inbox.locate(&from, ask);
                self.send_down(site, Down::Where(Arc::new(answer)));
            }
            Up::Direct(bytes) => {
                let from = self.sites[site].id.clone();
                if let Some(inbox) = self.sites[centre].inbox.as_mut() {
                    inbox.offer_preview(at(now), &from, &bytes);
                    self.inbox(centre);
                }
            }
        }
    }

    fn arrives_down(&mut self, site: usize, message: Down) {
        let now = at(self.now);
        let node = &mut self.sites[site];
        let Some(outbox) = node.outbox.as_mut() else { return };
        match message {
            Down::Published { ticket, ack: PubAck::Stored } => outbox.published(ticket),
            Down::Published { ticket, ack: PubAck::Refused } => outbox.refused(now, ticket),
            Down::Where(answer) => {
                let answer = Where::decode(&answer.encode()).unwrap();
                outbox.located(now, &answer, &mut ModelSpool(&node.journal)).unwrap();
            }
            Down::Confirm(confirmation) => {
                outbox.confirmed(now, &Confirmation::decode(&confirmation.encode()).unwrap());
            }
        }
        self.outbox(site);
    }

    fn connect(&mut self, site: usize) {
        let centre = self.sites[site].parent.unwrap();
        let node = &self.sites[site];
        let possible = matches!(node.link.state, LinkState::Good | LinkState::Slow | LinkState::Narrow);
        if !node.is_alive || node.link.is_connected || !possible || !self.sites[centre].server.is_up {
            return;
        }
        let now = at(self.now);
        let node = &mut self.sites[site];
        node.link.is_connected = true;
        node.link.generation += 1;
        (node.link.up_at, node.link.down_at) = (0, 0);
        node.outbox.as_mut().unwrap().link_up(now);
        self.outbox(site);
    }

    fn disconnect(&mut self, site: usize) {
        let node = &mut self.sites[site];
        node.link.is_connected = false;
        node.link.generation += 1;
        if let Some(outbox) = node.outbox.as_mut() {
            outbox.link_down();
        }
    }

    fn reconnect_later(&mut self, site: usize) {
        let at = self.now + 100 * MS + self.roll(2 * S);
        self.schedule(at, Event::Connect { site });
    }

    /// Changes a link; what was on the old connection is lost with it.
    pub(super) fn set_link(&mut self, site: usize, state: LinkState) {
        let was = std::mem::replace(&mut self.sites[site].link.state, state);
        let silent = |s| matches!(s, LinkState::BlackHole | LinkState::UpLost | LinkState::DownLost);
        if state == LinkState::Cut || silent(was) && !silent(state) {
            self.disconnect(site);
        }
        if silent(state) {
            let generation = self.sites[site].link.generation;
            self.schedule(self.now + DETECT_US, Event::Detect { site, generation });
        }
        self.reconnect_later(site);
    }

    /// Ends a connection that comes back at once.
    pub(super) fn reset(&mut self, site: usize) {
        self.disconnect(site);
        self.reconnect_later(site);
    }

    pub(super) fn kill_server(&mut self, centre: usize) {
        self.sites[centre].server.kill();
        for child in self.sites[centre].children.clone() {
            self.disconnect(child);
        }
    }

    pub(super) fn start_server(&mut self, centre: usize) {
        self.sites[centre].server.is_up = true;
        for child in self.sites[centre].children.clone() {
            self.reconnect_later(child);
        }
        self.deliver_all(centre);
    }
}
