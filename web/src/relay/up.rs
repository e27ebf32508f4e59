//! The way up: the journal, through the sender's core, to the centre's servers.
//!
//! One task waits for whatever there is to hear, and a thread for blocking work then tells the core, which reads the journal.
//! What the core wants done is done in its order. Nothing here remembers anything that the journal does not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::NodeId;
use fengsui_config::{UpwardRole, limits};
use fengsui_relay::Now;
use fengsui_relay::frame::Preview;
use fengsui_relay::link::subjects::Subjects;
use fengsui_relay::link::{
    Link as _, LinkError, LinkOptions, LinkState, NatsLink, Publication, Subscription,
};
use fengsui_relay::outbox::{
    JournalSpool, Outbox, OutboxAction, OutboxBounds, OutboxCounters, OutboxOptions, PassedState, Size,
    Standing,
};
use fengsui_relay::talk::{Confirmation, Where};
use fengsui_relay::upward::Priority;
use fengsui_storage::error::StoreError;
use fengsui_storage::journal::{Cursor, Journal, kinds};
use fengsui_storage::segment::NodeKey;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, watch};

use super::{RelayError, seed, upward};
use crate::app::App;

/// Name of the sender's cursor in the journal.
const CURSOR: &str = "relay";

/// How the sender stands, for people and metrics.
#[derive(Debug, Clone)]
pub struct UplinkSeen {
    /// To its centre.
    pub standing: Standing,
    /// What waits, by priority.
    pub waiting: BTreeMap<Priority, Size>,
    /// Counters since the start.
    pub counters: OutboxCounters,
    /// Records passed over in all the node's life.
    pub passed_over: u64,
    /// When the centre last confirmed something.
    pub confirmed_at: Option<UtcMicros>,
}

/// The way of a node to its centre.
pub struct Uplink {
    /// Name by which the centre knows the node.
    pub node: NodeId,
    /// The connection.
    pub link: NatsLink,
    /// The connection of what the centre asks: what it takes away does not hold up what is told.
    pub calls: Arc<NatsLink>,
    bounds: OutboxBounds,
    journal: Arc<Journal>,
    news: Notify,
    below: mpsc::Sender<Preview>,
    below_dropped: AtomicU64,
    seen: Mutex<UplinkSeen>,
}

impl Uplink {
    /// Begins to connect; [`run`] does the rest.
    ///
    /// # Errors
    /// When an address is none.
    pub async fn open(
        role: &UpwardRole,
        journal: &Arc<Journal>,
        key: &Arc<NodeKey>,
    ) -> Result<(Arc<Self>, mpsc::Receiver<Preview>), RelayError> {
        let options = LinkOptions::upward(role, key.clone());
        let calls = LinkOptions { name: format!("{} (calls)", role.node), ..options.clone() };
        let (link, calls) = (NatsLink::open(options).await?, NatsLink::open(calls).await?);
        let (below, from_below) = mpsc::channel(limits::RELAY_BELOW_MAX);
        let backlog = Size { records: role.backlog_records, bytes: role.backlog_bytes };
        let seen = UplinkSeen {
            standing: Standing::Down,
            waiting: BTreeMap::new(),
            counters: OutboxCounters::default(),
            passed_over: 0,
            confirmed_at: None,
        };
        let uplink = Self {
            node: role.node.clone(),
            link,
            calls: Arc::new(calls),
            bounds: OutboxBounds { backlog, ..OutboxBounds::default() },
            journal: journal.clone(),
            news: Notify::new(),
            below,
            below_dropped: AtomicU64::new(0),
            seen: Mutex::new(seen),
        };
        Ok((Arc::new(uplink), from_below))
    }

    /// The journal has something that may go up.
    pub fn news(&self) {
        self.news.notify_one();
    }

    /// A live alarm of a node below goes on at once; dropped when too many do.
    pub fn forward(&self, preview: Preview) {
        if self.below.try_send(preview).is_err() {
            self.below_dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Live alarms of nodes below that were dropped.
    #[must_use]
    pub fn below_dropped(&self) -> u64 {
        self.below_dropped.load(Ordering::Relaxed)
    }

    /// How the sender stands.
    #[must_use]
    pub fn seen(&self) -> UplinkSeen {
        self.seen.lock().clone()
    }

    /// Records that wait for the centre.
    #[must_use]
    pub fn backlog_records(&self) -> u64 {
        self.seen.lock().waiting.values().map(|size| size.records).sum()
    }
}

/// What was heard.
enum Heard {
    Link(LinkState),
    Located(Where),
    Published(u64),
    Refused(u64),
    Confirmed(Confirmation),
    Acknowledged(Option<u64>),
    Noted(bool),
    Below(Preview),
    /// Nothing but that time passed, or that the journal has more.
    Look,
}

/// What the blocking side has.
struct Core {
    outbox: Outbox,
    spool: JournalSpool,
    cursor: Arc<Cursor>,
}

impl Core {
    fn open(uplink: &Uplink) -> Result<Self, StoreError> {
        let journal = &uplink.journal;
        let cursor = journal.cursor(CURSOR)?;
        let outbox = Outbox::new(OutboxOptions {
            node: uplink.node.clone(),
            epoch: journal.epoch(),
            acknowledged: cursor.acknowledged(),
            passed: journal.state::<PassedState>()?,
            upward: upward(),
            bounds: uplink.bounds,
            seed: seed(),
        });
        Ok(Self { outbox, spool: JournalSpool::new(journal.clone()), cursor: Arc::new(cursor) })
    }

    /// Tells the core what was heard, and asks what is to be done.
    fn step(&mut self, now: Now, heard: Vec<Heard>) -> Result<Vec<OutboxAction>, StoreError> {
        let outbox = &mut self.outbox;
        for one in heard {
            match one {
                Heard::Link(LinkState::Up { .. }) => {
                    outbox.link_down();
                    outbox.link_up(now);
                }
                Heard::Link(_) => outbox.link_down(),
                Heard::Located(answer) => outbox.located(now, &answer, &mut self.spool)?,
                Heard::Published(ticket) => outbox.published(ticket),
                Heard::Refused(ticket) => outbox.refused(now, ticket),
                Heard::Confirmed(confirmation) => outbox.confirmed(now, &confirmation),
                Heard::Acknowledged(Some(seq)) => outbox.acknowledged(seq),
                Heard::Acknowledged(None) => outbox.not_acknowledged(),
                Heard::Noted(taken) => outbox.noted(taken),
                Heard::Below(preview) => outbox.direct(now, preview),
                Heard::Look => {}
            }
        }
        outbox.poll(now, &mut self.spool)
    }

    fn show(&self, uplink: &Uplink, now: UtcMicros) {
        let (outbox, mut seen) = (&self.outbox, uplink.seen.lock());
        if outbox.counters().confirmed > seen.counters.confirmed {
            seen.confirmed_at = Some(now);
        }
        seen.standing = outbox.standing();
        seen.counters = outbox.counters().clone();
        seen.passed_over = outbox.passed().count;
        let priorities = [Priority::Low, Priority::Normal, Priority::Alarm];
        seen.waiting = priorities.map(|p| (p, outbox.waiting(p))).into();
    }
}

/// Why driving ended.
enum End {
    Stopped,
    Failed(String),
}

/// Sends until the node stops; what fails begins again from the journal.
pub async fn run(app: Arc<App>, uplink: Arc<Uplink>, mut from_below: mpsc::Receiver<Preview>) {
    loop {
        let end = tokio::select! {
            () = app.stop.cancelled() => End::Stopped,
            end = drive(&app, &uplink, &mut from_below) => end,
        };
        match end {
            End::Stopped => break,
            End::Failed(error) => {
                tracing::error!(%error, "the way to the centre failed; it begins again from the journal");
            }
        }
        tokio::select! {
            () = app.stop.cancelled() => break,
            () = tokio::time::sleep(limits::RELAY_AGAIN_PAUSE) => {}
        }
    }
    uplink.link.close().await;
    uplink.calls.close().await;
}

/// What is under way.
struct Driver<'a> {
    uplink: &'a Arc<Uplink>,
    subjects: Subjects,
    /// Acknowledgements of the stream.
    acks: FuturesUnordered<BoxFuture<'static, Heard>>,
    /// Everything else: at most one question, one move of the cursor and one note.
    work: FuturesUnordered<BoxFuture<'static, Heard>>,
    /// Publications that did not go through at once.
    refused: Vec<u64>,
}

async fn drive(app: &Arc<App>, uplink: &Arc<Uplink>, below: &mut mpsc::Receiver<Preview>) -> End {
    let failed = |error: &dyn std::fmt::Display| End::Failed(error.to_string());
    let opened = {
        let uplink = uplink.clone();
        tokio::task::spawn_blocking(move || Core::open(&uplink)).await
    };
    let mut core = match opened {
        Ok(Ok(core)) => core,
        Ok(Err(error)) => return failed(&error),
        Err(error) => return failed(&error),
    };
    let subjects = Subjects::of(&uplink.node);
    let mut confirmations = match uplink.link.subscribe(&subjects.confirm()).await {
        Ok(subscription) => subscription,
        Err(error) => return failed(&error),
    };
    let (acks, work) = (FuturesUnordered::new(), FuturesUnordered::new());
    let mut driver = Driver { uplink, subjects, acks, work, refused: Vec::new() };
    let mut state = uplink.link.state();
    let mut heard = vec![Heard::Link(state.borrow_and_update().clone())];
    let mut said_unreadable = false;
    loop {
        let now = Now { utc: app.clock.utc(), mono: app.clock.mono() };
        let step = tokio::task::spawn_blocking(move || {
            let actions = core.step(now, heard);
            (core, actions)
        });
        let actions;
        (core, actions) = match step.await {
            Ok(done) => done,
            Err(error) => return failed(&error),
        };
        let mut pause = limits::RELAY_LOOK_INTERVAL;
        match actions {
            Ok(actions) => {
                said_unreadable = false;
                driver.carry_out(&core.cursor, actions).await;
                if let Some(at) = core.outbox.wake_at(now) {
                    pause = pause.min(at.since(app.clock.mono()));
                }
            }
            Err(error) if !said_unreadable => {
                said_unreadable = true;
                tracing::error!(%error, "cannot read the journal for the centre; trying again");
            }
            Err(_) => {}
        }
        core.show(uplink, now.utc);
        heard = driver.hear(&mut state, &mut confirmations, below, pause).await;
    }
}

impl Driver<'_> {
    /// Waits for something, and takes what else has come meanwhile.
    async fn hear(
        &mut self,
        state: &mut watch::Receiver<LinkState>,
        confirmations: &mut Subscription,
        below: &mut mpsc::Receiver<Preview>,
        pause: Duration,
    ) -> Vec<Heard> {
        let mut heard: Vec<Heard> = self.refused.drain(..).map(Heard::Refused).collect();
        if heard.is_empty() {
            let first = tokio::select! {
                biased;
                changed = state.changed() => match changed {
                    Ok(()) => Heard::Link(state.borrow_and_update().clone()),
                    Err(_) => Heard::Link(LinkState::Closed),
                },
                Some(one) = self.work.next(), if !self.work.is_empty() => one,
                Some(message) = confirmations.next() => confirmed(&message.payload),
                Some(one) = self.acks.next(), if !self.acks.is_empty() => one,
                Some(preview) = below.recv() => Heard::Below(preview),
                () = self.uplink.news.notified() => Heard::Look,
                () = tokio::time::sleep(pause) => Heard::Look,
            };
            heard.push(first);
        }
        while heard.len() < limits::RELAY_HEARD_MAX {
            let next = self.acks.next().now_or_never().flatten();
            let next = next.or_else(|| self.work.next().now_or_never().flatten());
            let next = next.or_else(|| {
                let message = confirmations.next().now_or_never().flatten()?;
                Some(confirmed(&message.payload))
            });
            let Some(next) = next else { break };
            heard.push(next);
        }
        heard
    }

    async fn carry_out(&mut self, cursor: &Arc<Cursor>, actions: Vec<OutboxAction>) {
        // Behind one that did not go through none may go: what follows would come before it.
        let mut broken = false;
        for action in actions {
            match action {
                OutboxAction::Ask(ask) => {
                    // A new walk begins with the answer: nobody waits for what the one before has under way.
                    self.acks.clear();
                    let (uplink, subject) = (self.uplink.clone(), self.subjects.position());
                    self.work.push(Box::pin(async move {
                        let within = limits::BACKOFF_RELAY_ASK.1;
                        let answer = uplink.link.ask(&subject, ask.encode().into(), within).await;
                        located(answer)
                    }));
                }
                OutboxAction::Publish { ticket, .. } if broken => self.refused.push(ticket),
                OutboxAction::Publish { ticket, message_id, bytes } => {
                    broken = !self.publish(ticket, message_id, bytes).await;
                }
                OutboxAction::Direct(bytes) => {
                    let sent = self.uplink.link.tell(&self.subjects.now(), bytes.into()).await;
                    // Its frame comes all the same.
                    if let Err(error) = sent {
                        tracing::debug!(%error, "a live alarm did not go the direct way");
                    }
                }
                OutboxAction::Acknowledge { seq } => self.acknowledge(cursor.clone(), seq),
                OutboxAction::Note(passed) => self.note(serde_json::to_value(passed).unwrap_or_default()),
            }
        }
    }

    async fn publish(&mut self, ticket: u64, id: String, bytes: Vec<u8>) -> bool {
        let publication = Publication { subject: self.subjects.up(), id, payload: Bytes::from(bytes) };
        match self.uplink.link.publish(publication).await {
            Ok(ack) => {
                self.acks.push(Box::pin(async move {
                    match ack.await {
                        Ok(_) => Heard::Published(ticket),
                        Err(error) => {
                            tracing::debug!(%error, "the centre's stream did not take a frame");
                            Heard::Refused(ticket)
                        }
                    }
                }));
                true
            }
            Err(error) => {
                tracing::debug!(%error, "a frame did not go up");
                self.refused.push(ticket);
                false
            }
        }
    }

    fn acknowledge(&self, cursor: Arc<Cursor>, seq: u64) {
        self.work.push(Box::pin(async move {
            let moved = tokio::task::spawn_blocking(move || cursor.acknowledge(seq)).await;
            let error = match moved {
                Ok(Ok(())) => return Heard::Acknowledged(Some(seq)),
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            tracing::error!(%error, "cannot note what the centre confirmed; it may be sent again");
            Heard::Acknowledged(None)
        }));
    }

    fn note(&self, body: serde_json::Value) {
        tracing::warn!(%body, "too much waits for the centre; passing over what matters least");
        let journal = self.uplink.journal.clone();
        self.work.push(Box::pin(async move {
            let noted = journal.append(kinds::RELAY_PASSED_OVER, body).await;
            if let Err(error) = &noted {
                tracing::error!(%error, "cannot note what is passed over; nothing is");
            }
            Heard::Noted(noted.is_ok())
        }));
    }
}

fn located(answer: Result<Bytes, LinkError>) -> Heard {
    match answer.map(|bytes| Where::decode(&bytes)) {
        Ok(Ok(answer)) => Heard::Located(answer),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the centre's answer cannot be read");
            Heard::Look
        }
        // The core asks again after a while.
        Err(error) => {
            tracing::debug!(%error, "the centre does not say where to go on");
            Heard::Look
        }
    }
}

fn confirmed(bytes: &[u8]) -> Heard {
    match Confirmation::decode(bytes) {
        Ok(confirmation) => Heard::Confirmed(confirmation),
        Err(error) => {
            // Anybody's acknowledgement of the stream can be sent here; it is no confirmation.
            tracing::debug!(%error, "no confirmation");
            Heard::Look
        }
    }
}
