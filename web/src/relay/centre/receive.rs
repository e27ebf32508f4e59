//! The receiver: one task that owns the core, writes the centre's journal, and only then acknowledges and confirms.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use fengsui_config::ids::NodeId;
use fengsui_config::limits;
use fengsui_relay::Now;
use fengsui_relay::event::rows::Row;
use fengsui_relay::inbox::{Applied, Inbox, InboxAction, InboxState};
use fengsui_relay::link::subjects::{self, Subjects};
use fengsui_relay::link::{Delivery, Incoming, Link as _, LinkError, Subscription};
use fengsui_relay::talk::Ask;
use fengsui_storage::journal::kinds;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use serde::Deserialize as _;
use serde_json::Value;
use tokio::sync::mpsc;

use super::super::presence::{self, Change, Silence};
use super::super::{seed, upward};
use super::Centre;
use super::readers::Came;
use crate::app::App;
use crate::desk::remote;
use crate::relay::up::Uplink;

/// A record that the journal was given, and what came of it.
struct Written {
    ticket: u64,
    applied: Option<Applied>,
    taken: bool,
}

/// Receives until the node stops; what fails begins again from the journal.
pub(super) async fn run(
    app: Arc<App>,
    centre: Arc<Centre>,
    uplink: Option<Arc<Uplink>>,
    mut coming: mpsc::Receiver<Came>,
) {
    let mut ready = BTreeSet::new();
    loop {
        let end = tokio::select! {
            () = app.stop.cancelled() => break,
            end = drive(&app, &centre, uplink.as_ref(), &mut coming, &mut ready) => end,
        };
        tracing::error!(error = %end, "the receiver of frames failed; it begins again from the journal");
        tokio::select! {
            () = app.stop.cancelled() => break,
            () = tokio::time::sleep(limits::RELAY_AGAIN_PAUSE) => {}
        }
    }
    centre.link.close().await;
}

struct Receiver<'a> {
    app: &'a Arc<App>,
    centre: &'a Arc<Centre>,
    uplink: Option<&'a Arc<Uplink>>,
    inbox: Inbox,
    /// Deliveries that have no answer yet; bounded by what the core takes and by what each consumer may have under way.
    deliveries: HashMap<u64, Delivery>,
    last_token: u64,
    /// At most one.
    writing: FuturesUnordered<BoxFuture<'static, Written>>,
    /// Answers and confirmations on their way; what fails comes again by itself.
    saying: FuturesUnordered<BoxFuture<'static, ()>>,
    /// Nodes whose frames are read.
    ready: &'a mut BTreeSet<NodeId>,
    words_refused: u64,
}

/// What nodes ask and say beside frames.
struct Ears {
    position: Subscription,
    now: Subscription,
    presence: Subscription,
}

async fn drive(
    app: &Arc<App>,
    centre: &Arc<Centre>,
    uplink: Option<&Arc<Uplink>>,
    coming: &mut mpsc::Receiver<Came>,
    ready: &mut BTreeSet<NodeId>,
) -> String {
    let (mut receiver, mut ears) = match open(app, centre, uplink, ready).await {
        Ok(opened) => opened,
        Err(error) => return error,
    };
    let mut state = centre.link.state();
    loop {
        let hears = state.borrow_and_update().session().is_some();
        centre.presence.lock().hearing(app.clock.mono(), hears);
        let pause = receiver.act();
        tokio::select! {
            Some(written) = receiver.writing.next(), if !receiver.writing.is_empty() => receiver.written(written),
            Some(()) = receiver.saying.next(), if !receiver.saying.is_empty() => {}
            Some(asked) = ears.position.next() => receiver.asked(asked),
            Some(alarm) = ears.now.next() => receiver.alarm(&alarm),
            Some(word) = ears.presence.next() => receiver.word(&word),
            Some(came) = coming.recv() => receiver.came(came),
            changed = state.changed() => if changed.is_err() { return "the connection was closed".to_owned() },
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn open<'a>(
    app: &'a Arc<App>,
    centre: &'a Arc<Centre>,
    uplink: Option<&'a Arc<Uplink>>,
    ready: &'a mut BTreeSet<NodeId>,
) -> Result<(Receiver<'a>, Ears), String> {
    let journal = centre.journal.clone();
    let state = tokio::task::spawn_blocking(move || journal.state::<InboxState>()).await;
    let state = state.map_err(|e| e.to_string())?.map_err(|e| e.to_string())?;
    centre.seen.lock().origins.clone_from(&state.origins);
    let spoke = state.origins.keys().filter(|node| centre.roll.works(node)).cloned();
    centre.presence.lock().expect(spoke);
    // The core begins by asking all senders: that has to reach them.
    if centre.link.up().await.is_none() {
        return Err("the connection was closed".to_owned());
    }
    // What an earlier life of this task showed is shown again by those who tell it.
    app.desk.hide_all_previews();
    let ears = Ears {
        position: hear(centre, "fengsui.where.*").await?,
        now: hear(centre, "fengsui.now.*").await?,
        presence: hear(centre, "fengsui.presence.*").await?,
    };
    let receiver = Receiver {
        app,
        centre,
        uplink,
        inbox: Inbox::new(state, upward(), centre.roll.clone(), seed()),
        deliveries: HashMap::new(),
        last_token: 0,
        writing: FuturesUnordered::new(),
        saying: FuturesUnordered::new(),
        ready,
        words_refused: 0,
    };
    Ok((receiver, ears))
}

async fn hear(centre: &Centre, subject: &str) -> Result<Subscription, String> {
    centre.link.subscribe(subject).await.map_err(|e| e.to_string())
}

impl Receiver<'_> {
    fn now(&self) -> Now {
        Now { utc: self.app.clock.utc(), mono: self.app.clock.mono() }
    }

    fn came(&mut self, came: Came) {
        match came {
            Came::Ready(node) => drop(self.ready.insert(node)),
            Came::NotReady(node) => drop(self.ready.remove(&node)),
            Came::Frames(node, batch) => {
                let now = self.now();
                for delivery in batch {
                    self.last_token += 1;
                    self.inbox.offer(now, &node, &delivery.payload, self.last_token);
                    self.deliveries.insert(self.last_token, delivery);
                }
            }
        }
    }

    /// A node asks where to go on. Before its frames are read it gets no answer, and asks again.
    fn asked(&mut self, asked: Incoming) {
        let sender = subjects::sender(&asked.subject).filter(|node| self.ready.contains(node));
        let (Some(node), Ok(ask)) = (sender, Ask::decode(&asked.payload)) else { return };
        let (answer, centre) = (self.inbox.locate(&node, ask).encode(), self.centre.clone());
        self.say(async move { centre.link.answer(&asked, answer.into()).await });
    }

    fn alarm(&mut self, alarm: &Incoming) {
        let Some(node) = subjects::sender(&alarm.subject) else { return };
        let now = self.now();
        self.inbox.offer_preview(now, &node, &alarm.payload);
    }

    fn word(&mut self, said: &Incoming) {
        let node = subjects::sender(&said.subject).filter(|node| self.centre.roll.works(node));
        let (Some(node), Some(word)) = (node, presence::read(&said.payload)) else {
            self.words_refused += 1;
            return;
        };
        let change = self.centre.presence.lock().heard(self.now(), &node, word);
        self.tell(change.into_iter().collect());
    }

    /// Tells who went and who came back as events of this node.
    fn tell(&self, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        let (at, own) = (self.app.clock.utc(), &self.centre.own);
        let is_open = |change: &Change| {
            let rows = self.app.desk.rows().read();
            rows.current(own.as_str(), &presence::cause(&change.node)).is_some_and(Row::is_open)
        };
        let is_news =
            |change: &&Change| !change.told_unknown || is_open(change) == (change.silence == Silence::Here);
        let events = changes.iter().filter(is_news).map(|change| presence::event(own, change, at)).collect();
        self.app.desk.put_own(events);
    }

    fn written(&mut self, written: Written) {
        let now = self.now();
        self.inbox.journalled(now, written.ticket, written.taken);
        if let Some(applied) = written.applied.filter(|_| written.taken) {
            for part in &applied.parts {
                remote::applied(self.app, now.utc, &part.frames);
                self.app.duty.take_part(self.app, part);
            }
            self.app.rules.news();
            // A county sends on what it took in.
            if let Some(uplink) = self.uplink {
                uplink.news();
            }
        }
    }

    /// Does what the core wants done; gives how long nothing has to be done.
    fn act(&mut self) -> Duration {
        let now = self.now();
        let nodes = self.centre.roll.clone();
        let changes = {
            let mut presence = self.centre.presence.lock();
            let mut changes = presence.forget(&|node| nodes.works(node));
            changes.extend(presence.look(now.mono));
            changes
        };
        self.tell(changes);
        for action in self.inbox.poll(now) {
            self.carry_out(action);
        }
        self.show();
        let next = self.inbox.wake_at().map_or(limits::RELAY_TELL_INTERVAL, |at| at.since(now.mono));
        next.clamp(Duration::from_millis(1), limits::RELAY_TELL_INTERVAL)
    }

    fn carry_out(&mut self, action: InboxAction) {
        match action {
            InboxAction::Journal { ticket, kind, body } => self.write(ticket, kind, body),
            InboxAction::Ack { token } => {
                let Some(delivery) = self.deliveries.remove(&token) else { return };
                self.say(async move { delivery.acknowledge().await });
            }
            InboxAction::Nak { token, delay } => {
                let Some(delivery) = self.deliveries.remove(&token) else { return };
                self.say(async move { delivery.later(delay).await });
            }
            InboxAction::Confirm { to, confirmation } => {
                let (centre, subject) = (self.centre.clone(), Subjects::of(&to).confirm());
                self.say(async move { centre.link.tell(&subject, confirmation.encode().into()).await });
            }
            InboxAction::Show(preview) => {
                remote::show(self.app, &preview);
                if let Some(uplink) = self.uplink {
                    uplink.forward(preview);
                }
            }
            InboxAction::Hide { origin, key, applied } => {
                remote::hide(self.app, &origin, (key.epoch, key.seq), applied);
            }
        }
    }

    fn say(&self, saying: impl Future<Output = Result<(), LinkError>> + Send + 'static) {
        self.saying.push(Box::pin(async move {
            if let Err(error) = saying.await {
                tracing::debug!(%error, "something was not said to a node or to the stream");
            }
        }));
    }

    fn write(&self, ticket: u64, kind: &'static str, body: Value) {
        let applied = (kind == kinds::RELAY_APPLIED).then(|| Applied::deserialize(&body).ok()).flatten();
        let journal = self.centre.journal.clone();
        self.writing.push(Box::pin(async move {
            let written = journal.append(kind, body).await;
            if let Err(error) = &written {
                tracing::error!(%error, kind, "the journal does not take what nodes sent; it comes again");
            }
            Written { ticket, applied, taken: written.is_ok() }
        }));
    }

    fn show(&self) {
        let mut seen = self.centre.seen.lock();
        if seen.counters != *self.inbox.counters() {
            seen.counters = self.inbox.counters().clone();
            seen.origins.clone_from(&self.inbox.state().origins);
        } else if seen.origins.is_empty() {
            seen.origins.clone_from(&self.inbox.state().origins);
        }
        seen.previews = self.inbox.previews_shown();
        seen.words_refused = self.words_refused;
    }
}
