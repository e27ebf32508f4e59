//! The sender of a sub-centre without the sub-centre: core and link are the product's own, the journal is in memory. So
//! that a whole city of them fits beside a real centre and a real message server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fengsui_config::clock::{Clock as _, SystemClock};
use fengsui_config::ids::NodeId;
use fengsui_config::limits;
use fengsui_relay::Now;
use fengsui_relay::event::{Priority as EventPriority, UPWARD, VERSION};
use fengsui_relay::link::subjects::Subjects;
use fengsui_relay::link::{Link as _, LinkState, NatsLink, Publication, Subscription};
use fengsui_relay::outbox::{
    Outbox, OutboxAction, OutboxBounds, OutboxOptions, PassedState, Spool, Standing,
};
use fengsui_relay::talk::{Confirmation, Where};
use fengsui_relay::upward::{Known, Priority, Upward, UpwardKind};
use fengsui_storage::error::StoreError;
use fengsui_storage::journal::{JournalRecord, kinds};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Opening of the journal in memory.
const EPOCH: u64 = 1;

/// A journal in memory: all of it, for as long as the outpost lives.
#[derive(Debug, Default)]
struct Memory {
    records: Mutex<Vec<Arc<JournalRecord>>>,
}

struct MemorySpool<'a>(&'a Memory);

impl Spool for MemorySpool<'_> {
    fn batch(&mut self, after: u64, max: usize) -> Result<Vec<Arc<JournalRecord>>, StoreError> {
        let after = usize::try_from(after).unwrap_or(usize::MAX);
        Ok(self.0.records.lock().iter().skip(after).take(max).cloned().collect())
    }
}

/// A sender.
pub struct Outpost {
    /// Its name.
    pub node: NodeId,
    /// Its connection.
    pub link: NatsLink,
    /// What its word of presence says of its cameras.
    cameras: usize,
    memory: Memory,
    news: Notify,
    walks: AtomicBool,
    clock: SystemClock,
}

/// What goes up: events, as the product has it.
#[must_use]
pub fn upward() -> Arc<Upward> {
    let kind = |name| UpwardKind { name, version: VERSION, priority, camera, body: |_| Known::Yes };
    Arc::new(Upward::new(UPWARD.map(kind)))
}

fn priority(body: &Value) -> Priority {
    let word = body.get("priority").and_then(Value::as_str).unwrap_or_default();
    match word.parse().unwrap_or_default() {
        EventPriority::Low => Priority::Low,
        EventPriority::Normal => Priority::Normal,
        EventPriority::Alarm => Priority::Alarm,
    }
}

fn camera(body: &Value) -> Option<&str> {
    body.get("camera").and_then(Value::as_str)
}

enum Heard {
    Link(LinkState),
    Located(Where),
    Published(u64),
    Refused(u64),
    Confirmed(Confirmation),
    Acknowledged(u64),
    Noted,
    Look,
}

struct Driver<'a> {
    outpost: &'a Outpost,
    outbox: Outbox,
    subjects: Subjects,
    acks: FuturesUnordered<BoxFuture<'static, Heard>>,
    work: FuturesUnordered<BoxFuture<'a, Heard>>,
    /// What was heard at once.
    heard: Vec<Heard>,
}

impl Outpost {
    /// An outpost that says nothing yet: see [`Self::run`].
    #[must_use]
    pub fn new(node: NodeId, link: NatsLink, cameras: usize) -> Self {
        let (memory, news, walks, clock) =
            (Memory::default(), Notify::new(), AtomicBool::new(false), SystemClock::new());
        Self { node, link, cameras, memory, news, walks, clock }
    }

    /// The clock on which events are made.
    #[must_use]
    pub fn clock(&self) -> &SystemClock {
        &self.clock
    }

    /// Writes an event into the journal; gives its number.
    pub fn note(&self, body: Value) -> u64 {
        let seq = self.append(kinds::EVENT_NOTED, body);
        self.news.notify_one();
        seq
    }

    fn append(&self, kind: &str, body: Value) -> u64 {
        let mut records = self.memory.records.lock();
        let seq = records.len() as u64 + 1;
        let (node, at, kind) = (self.node.to_string(), self.clock.utc(), kind.to_owned());
        let record =
            JournalRecord { node, epoch: EPOCH, seq, at, kind, body, previous: [0; 32], hash: [0; 32] };
        records.push(Arc::new(record));
        seq
    }

    /// Whether the centre said where to go on, and frames go up.
    #[must_use]
    pub fn is_walking(&self) -> bool {
        self.walks.load(Ordering::Relaxed)
    }

    fn now(&self) -> Now {
        Now { utc: self.clock.utc(), mono: self.clock.mono() }
    }

    /// Says every two seconds that it is there.
    async fn presence(&self) {
        let subject = Subjects::of(&self.node).presence();
        loop {
            let clock_us = self.clock.utc().0;
            let cameras = json!({"total": self.cameras, "online": self.cameras, "recording": self.cameras});
            let word = json!({"v": 1, "version": "0", "clock_us": clock_us, "cameras": cameras, "backlog_records": 0});
            // Without a connection nobody hears it.
            let _unheard = self.link.tell(&subject, Bytes::from(word.to_string())).await;
            tokio::time::sleep(limits::RELAY_PRESENCE_INTERVAL).await;
        }
    }

    /// Sends until it is stopped.
    ///
    /// # Errors
    /// When the server does not let it hear what the centre confirms.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), String> {
        let done = tokio::select! {
            () = stop.cancelled() => Ok(()),
            () = self.presence() => Ok(()),
            error = self.drive() => Err(error),
        };
        self.link.close().await;
        done
    }

    async fn drive(&self) -> String {
        let subjects = Subjects::of(&self.node);
        let mut confirmations = match self.link.subscribe(&subjects.confirm()).await {
            Ok(confirmations) => confirmations,
            Err(error) => return error.to_string(),
        };
        let outbox = Outbox::new(OutboxOptions {
            node: self.node.clone(),
            epoch: EPOCH,
            acknowledged: 0,
            passed: PassedState::default(),
            upward: upward(),
            bounds: OutboxBounds::default(),
            seed: getrandom::u64().unwrap_or(1),
        });
        let (acks, work) = (FuturesUnordered::new(), FuturesUnordered::new());
        let mut driver = Driver { outpost: self, outbox, subjects, acks, work, heard: Vec::new() };
        let mut state = self.link.state();
        driver.heard.push(Heard::Link(state.borrow_and_update().clone()));
        loop {
            let pause = match driver.step().await {
                Ok(pause) => pause,
                Err(error) => return error.to_string(),
            };
            if !driver.heard.is_empty() {
                continue;
            }
            let first = tokio::select! {
                changed = state.changed() => match changed {
                    Ok(()) => Heard::Link(state.borrow_and_update().clone()),
                    Err(_) => return "the link is gone".to_owned(),
                },
                Some(one) = driver.work.next(), if !driver.work.is_empty() => one,
                Some(message) = confirmations.next() => confirmed(&message.payload),
                Some(one) = driver.acks.next(), if !driver.acks.is_empty() => one,
                () = self.news.notified() => Heard::Look,
                () = tokio::time::sleep(pause) => Heard::Look,
            };
            driver.heard.push(first);
            driver.hear_more(&mut confirmations);
        }
    }
}

impl Driver<'_> {
    /// Takes what else has come.
    fn hear_more(&mut self, confirmations: &mut Subscription) {
        while self.heard.len() < limits::RELAY_HEARD_MAX {
            let next = self.acks.next().now_or_never().flatten();
            let next = next.or_else(|| self.work.next().now_or_never().flatten());
            let next = next.or_else(|| {
                let message = confirmations.next().now_or_never().flatten()?;
                Some(confirmed(&message.payload))
            });
            let Some(next) = next else { break };
            self.heard.push(next);
        }
    }

    async fn step(&mut self) -> Result<Duration, StoreError> {
        let (now, outpost) = (self.outpost.now(), self.outpost);
        for one in std::mem::take(&mut self.heard) {
            let outbox = &mut self.outbox;
            match one {
                Heard::Link(LinkState::Up { .. }) => {
                    outbox.link_down();
                    outbox.link_up(now);
                }
                Heard::Link(_) => outbox.link_down(),
                Heard::Located(answer) => outbox.located(now, &answer, &mut MemorySpool(&outpost.memory))?,
                Heard::Published(ticket) => outbox.published(ticket),
                Heard::Refused(ticket) => outbox.refused(now, ticket),
                Heard::Confirmed(confirmation) => outbox.confirmed(now, &confirmation),
                Heard::Acknowledged(seq) => outbox.acknowledged(seq),
                Heard::Noted => outbox.noted(true),
                Heard::Look => {}
            }
        }
        let actions = self.outbox.poll(now, &mut MemorySpool(&outpost.memory))?;
        let mut broken = false;
        for action in actions {
            self.carry_out(action, &mut broken).await;
        }
        outpost.walks.store(self.outbox.standing() == Standing::Walking, Ordering::Relaxed);
        let wake = self.outbox.wake_at(now).map(|at| at.since(outpost.clock.mono()));
        Ok(wake.unwrap_or(limits::RELAY_LOOK_INTERVAL).min(limits::RELAY_LOOK_INTERVAL))
    }

    async fn carry_out(&mut self, action: OutboxAction, broken: &mut bool) {
        let outpost = self.outpost;
        match action {
            OutboxAction::Ask(ask) => {
                self.acks.clear();
                let subject = self.subjects.position();
                self.work.push(Box::pin(async move {
                    let within = limits::BACKOFF_RELAY_ASK.1;
                    let answer = outpost.link.ask(&subject, ask.encode().into(), within).await;
                    // The core asks again by itself.
                    let answer = answer.ok().and_then(|bytes| Where::decode(&bytes).ok());
                    answer.map_or(Heard::Look, Heard::Located)
                }));
            }
            OutboxAction::Publish { ticket, .. } if *broken => self.heard.push(Heard::Refused(ticket)),
            OutboxAction::Publish { ticket, message_id, bytes } => {
                let publication =
                    Publication { subject: self.subjects.up(), id: message_id, payload: bytes.into() };
                match outpost.link.publish(publication).await {
                    Ok(ack) => self.acks.push(Box::pin(async move {
                        ack.await.map_or(Heard::Refused(ticket), |_| Heard::Published(ticket))
                    })),
                    Err(_) => {
                        *broken = true;
                        self.heard.push(Heard::Refused(ticket));
                    }
                }
            }
            OutboxAction::Direct(bytes) => {
                // Its frame comes all the same.
                let _late = outpost.link.tell(&self.subjects.now(), bytes.into()).await;
            }
            OutboxAction::Acknowledge { seq } => self.heard.push(Heard::Acknowledged(seq)),
            OutboxAction::Note(passed) => {
                outpost.append(kinds::RELAY_PASSED_OVER, serde_json::to_value(passed).unwrap_or_default());
                self.heard.push(Heard::Noted);
            }
        }
    }
}

fn confirmed(bytes: &[u8]) -> Heard {
    Confirmation::decode(bytes).map_or(Heard::Look, Heard::Confirmed)
}
