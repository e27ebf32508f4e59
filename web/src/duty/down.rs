//! What others did goes down to the nodes that it concerns: a centre's task over [`fengsui_duty::sync`], one end for each node,
//! and the node's side, which notes what it lacked before it answers. A county does both.
//!
//! - What a centre says is in the node's journal before it is answered: `a_node_notes_what_its_centre_says_before_it_answers`.
//! - A node whose program is older is left alone: `an_older_node_is_left_alone`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fengsui_config::clock::MonoMicros;
use fengsui_config::ids::NodeId;
use fengsui_config::limits;
use fengsui_duty::act::Noted;
use fengsui_duty::book::Received;
use fengsui_duty::sync::{self, Answer, Concern, Down, DownCounters, Say};
use fengsui_relay::call::OnBehalf;
use fengsui_storage::journal::kinds;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use http::{Method, StatusCode};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;

use crate::app::App;
use crate::auth::register::RegisterError;
use crate::relay::centre::Centre;
use crate::relay::centre::configs::Asks;
use crate::relay::presence::Silence;

/// Where a node takes acts.
pub const PATH: &str = "/api/v1/node/duty";

/// How a node below stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DownNow {
    /// It has everything that it is to have, as far as is known here.
    pub in_step: bool,
    /// Acts that are to be said to it; what a comparison will find is not among them.
    pub waiting: usize,
    /// Counters since the start.
    pub counters: DownCounters,
    /// Why nothing comes through.
    pub why: Option<String>,
}

/// What goes down, as others see it.
#[derive(Debug, Default)]
pub struct DownSide {
    /// Acts that the task has not looked at; none while there is no task.
    news: Mutex<Option<News>>,
    wake: Notify,
    now: Mutex<BTreeMap<NodeId, DownNow>>,
    /// Held while a message of the centre is noted and taken in.
    receiving: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct News {
    acts: VecDeque<Noted>,
    /// There were too many: everything is to be compared.
    lost: bool,
}

impl DownSide {
    /// How the nodes below stand; nothing at a node without any.
    #[must_use]
    pub fn now(&self) -> BTreeMap<NodeId, DownNow> {
        self.now.lock().clone()
    }

    /// Acts came into the book.
    pub(super) fn told(&self, new: &[Noted]) {
        let mut news = self.news.lock();
        let Some(news) = &mut *news else { return };
        for noted in new {
            if news.acts.len() >= limits::DUTY_NEWS_MAX {
                news.lost = true;
                news.acts.clear();
            }
            news.acts.push_back(noted.clone());
        }
        self.wake.notify_one();
    }

    fn take(&self) -> News {
        self.news.lock().replace(News::default()).unwrap_or_default()
    }
}

/// The end for one node.
struct Lane {
    down: Down,
    busy: bool,
    /// Nothing is said before this.
    again: MonoMicros,
    /// When everything was compared anew last.
    compared: MonoMicros,
    /// It was heard at the last look.
    heard: bool,
    why: Option<String>,
}

/// What became of a message.
struct Said {
    node: NodeId,
    ticket: u64,
    answer: Result<Answer, NotSaid>,
}

/// Why a message was not answered.
enum NotSaid {
    /// The node does not know the address.
    Older,
    /// Something else.
    Failed(String),
}

/// The ends for all nodes below.
pub struct Lanes {
    lanes: BTreeMap<NodeId, Lane>,
}

impl Lanes {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self { lanes: BTreeMap::new() }
    }

    /// Looks who is there: of whom a centre has lost sight everything is compared anew, and from time to time anyway.
    fn look(&mut self, here: &NodeId, concerns: &BTreeMap<NodeId, (Concern, bool)>, now: MonoMicros) {
        self.lanes.retain(|node, _| concerns.contains_key(node));
        for (node, (concern, heard)) in concerns {
            let lane = self.lanes.entry(node.clone()).or_insert_with(|| Lane {
                down: Down::new(here.clone(), concern.clone()),
                busy: false,
                again: now,
                compared: now,
                heard: false,
                why: None,
            });
            lane.down.concerns(concern.clone());
            let due = now.since(lane.compared) >= limits::DUTY_DOWN_COMPARE && lane.down.is_in_step();
            if (*heard && !lane.heard) || due {
                lane.down.restart();
                (lane.compared, lane.again) = (now, now);
            }
            lane.heard = *heard;
        }
    }

    fn news(&mut self, app: &App, news: News) {
        if news.acts.is_empty() && !news.lost {
            return;
        }
        app.duty.read(|book| {
            for lane in self.lanes.values_mut() {
                if news.lost {
                    lane.down.restart();
                }
                for noted in &news.acts {
                    lane.down.news(book, noted);
                }
            }
        });
    }

    /// What is to be said now, to whom.
    fn due(&mut self, app: &App, now: MonoMicros, most: usize) -> Vec<(NodeId, u64, Say)> {
        app.duty.read(|book| {
            let free =
                self.lanes.iter_mut().filter(|(_, lane)| lane.heard && !lane.busy && lane.again <= now);
            let say = |(node, lane): (&NodeId, &mut Lane)| {
                let (ticket, say) = lane.down.next(book)?;
                lane.busy = true;
                Some((node.clone(), ticket, say))
            };
            free.filter_map(say).take(most).collect()
        })
    }

    fn said(&mut self, said: Said, now: MonoMicros) {
        let Some(lane) = self.lanes.get_mut(&said.node) else { return };
        lane.busy = false;
        let (pause, why) = match said.answer {
            Ok(answer) => {
                lane.down.answered(said.ticket, answer);
                (Duration::ZERO, None)
            }
            Err(NotSaid::Older) => {
                lane.down.failed(said.ticket);
                let why = "the node's program is older and takes no acts from its centre".to_owned();
                (limits::DUTY_DOWN_OLDER_AGAIN, Some(why))
            }
            Err(NotSaid::Failed(why)) => {
                lane.down.failed(said.ticket);
                (limits::DUTY_DOWN_AGAIN, Some(why))
            }
        };
        if let Some(why) = why.as_ref().filter(|why| lane.why.as_ref() != Some(*why)) {
            tracing::warn!(node = %said.node, why, "what others did does not reach a node; it is said again");
        }
        (lane.again, lane.why) = (now + pause, why);
    }

    fn show(&self) -> BTreeMap<NodeId, DownNow> {
        let of = |(node, lane): (&NodeId, &Lane)| {
            let now = DownNow {
                in_step: lane.down.is_in_step(),
                waiting: lane.down.waiting(),
                counters: lane.down.counters,
                why: lane.why.clone(),
            };
            (node.clone(), now)
        };
        self.lanes.iter().map(of).collect()
    }

    /// When somebody is to be asked again, when that is not now.
    fn pause(&self, now: MonoMicros) -> Duration {
        let waits = self.lanes.values().filter(|lane| lane.heard && !lane.busy && lane.again > now);
        let next = waits.map(|lane| lane.again.since(now)).min().unwrap_or(limits::DUTY_DOWN_LOOK);
        next.clamp(Duration::from_millis(10), limits::DUTY_DOWN_LOOK)
    }
}

impl Default for Lanes {
    fn default() -> Self {
        Self::new()
    }
}

/// For each node below: whom it stands for, and whether it is heard.
fn concerns(centre: &Centre) -> BTreeMap<NodeId, (Concern, bool)> {
    let nodes: BTreeSet<NodeId> =
        centre.roll.senders().into_iter().filter(|node| centre.roll.works(node)).collect();
    let origins: BTreeSet<NodeId> =
        centre.seen().origins.keys().chain(&nodes).filter(|node| **node != centre.own).cloned().collect();
    let speaker: BTreeMap<NodeId, NodeId> =
        origins.iter().filter_map(|origin| Some((origin.clone(), centre.roll.speaker(origin)?))).collect();
    let presence = centre.presence.lock();
    let of = |node: &NodeId| {
        let (own, others) = origins.iter().cloned().partition(|origin| speaker.get(origin) == Some(node));
        let heard = presence.of(node).is_some_and(|last| last.silence != Silence::Gone);
        (node.clone(), (Concern { own, others }, heard))
    };
    nodes.iter().map(of).collect()
}

/// Says something to a node, and reads what it answers.
async fn say(asks: &dyn Asks, own: &NodeId, node: NodeId, ticket: u64, say: Say) -> Said {
    let body = Bytes::from(serde_json::to_vec(&say).unwrap_or_default());
    let by = OnBehalf { user: own.to_string(), roles: Vec::new() };
    let answer = match asks.ask(&node, Method::PUT, PATH, body, by).await {
        Ok((StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, _)) => Err(NotSaid::Older),
        Ok((status, body)) if status.is_success() => serde_json::from_slice(&body)
            .map_err(|error| NotSaid::Failed(format!("the node's answer cannot be read: {error}"))),
        Ok((status, body)) => {
            let problem = serde_json::from_slice::<Value>(&body).unwrap_or_default();
            let detail = problem.get("detail").and_then(Value::as_str).unwrap_or_default();
            Err(NotSaid::Failed(format!("the node answers {}: {detail}", status.as_u16())))
        }
        Err(why) => Err(NotSaid::Failed(why)),
    };
    Said { node, ticket, answer }
}

/// Says to all nodes what they lack, until it stops.
pub async fn run(app: Arc<App>, centre: Arc<Centre>) {
    let (mut lanes, mut changes) = (Lanes::new(), centre.roll.changes());
    let mut saying: FuturesUnordered<BoxFuture<'static, Said>> = FuturesUnordered::new();
    loop {
        let now = app.clock.mono();
        lanes.look(&centre.own, &concerns(&centre), now);
        lanes.news(&app, app.duty.down.take());
        let room = limits::DUTY_DOWN_NODES_MAX.saturating_sub(saying.len());
        for (node, ticket, message) in lanes.due(&app, now, room) {
            let centre = centre.clone();
            saying.push(Box::pin(async move { say(&*centre, &centre.own, node, ticket, message).await }));
        }
        *app.duty.down.now.lock() = lanes.show();
        tokio::select! {
            () = app.stop.cancelled() => return,
            Some(said) = saying.next(), if !saying.is_empty() => lanes.said(said, app.clock.mono()),
            () = app.duty.down.wake.notified() => {}
            changed = changes.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(lanes.pause(now)) => {}
        }
    }
}

/// Says to one node what it lacks until it has everything, or does not answer; for tests without a link.
///
/// # Errors
/// Why it did not answer.
#[cfg(test)]
pub(crate) async fn all(
    app: &App,
    asks: &dyn Asks,
    node: &NodeId,
    concern: Concern,
) -> Result<DownCounters, String> {
    let mut down = Down::new(app.duty.node().clone(), concern);
    while let Some((ticket, message)) = app.duty.read(|book| down.next(book)) {
        match say(asks, app.duty.node(), node.clone(), ticket, message).await.answer {
            Ok(answer) => down.answered(ticket, answer),
            Err(NotSaid::Older) => return Err("older".to_owned()),
            Err(NotSaid::Failed(why)) => return Err(why),
        }
    }
    Ok(down.counters)
}

/// Takes in what the centre says: what is new is in the journal before this gives an answer.
///
/// # Errors
/// When the journal does not take it; then nothing is taken in.
pub async fn receive(app: &App, message: &Say) -> Result<Answer, RegisterError> {
    let _receiving = app.duty.down.receiving.lock().await;
    let acts = app.duty.read(|book| sync::lacking(book, message));
    let took = acts.len();
    if !acts.is_empty() {
        let new: Vec<Noted> = acts.iter().filter_map(|carried| carried.read().ok()).collect();
        let body = serde_json::to_value(Received { from: message.from.clone(), acts }).unwrap_or_default();
        app.auth.register.append(kinds::DUTY_RECEIVED, body).await?;
        app.duty.taken(app, new);
    }
    Ok(app.duty.read(|book| sync::answer(book, message, took)))
}
