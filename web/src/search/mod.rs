//! Search by place, time and event over this node and all nodes below it.
//!
//! Each node looks into what it has itself ([`local`]): its rows of events, its places, and the index of its footage. A centre
//! asks all its nodes at once ([`below`]) by the same address, each with the same deadline, and puts the answers together by the
//! pure core `fengsui_relay::search`. Who gave no whole answer is named with why. For events of nodes that do not answer, the
//! centre looks into what they told it before; such hits say so, because nothing is known of the footage.
//!
//! - Every hit is of a camera that the person may see: `nobody_finds_cameras_that_they_may_not_see`.
//! - A node is not believed about cameras of others: `a_node_that_answers_for_a_foreign_camera_is_named_and_not_believed`.

pub mod ask;
pub mod below;
pub mod hit;
pub mod local;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fengsui_config::clock::MonoMicros;
use fengsui_config::ids::NodeId;
use fengsui_config::limits;
use fengsui_relay::search::{Answered, Gathered, Reasons, gather};
use futures::future::join_all;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::app::App;
use crate::auth::access::Principal;
use crate::http::problem::{ApiError, ApiResult, Refusal};
use ask::{Asked, What};
use below::Below;
use hit::{Hit, Lack, LimitedView, MissingView, SearchView, Why};
use local::{Found, Look};

/// What was counted since the start.
#[derive(Debug, Clone, Default)]
pub struct SearchStats {
    /// Searches done.
    pub searches: u64,
    /// Searches refused because too many were under way.
    pub refused: u64,
    /// Time that they took together, in microseconds.
    pub took_us: u64,
    /// Nodes asked.
    pub asked: u64,
    /// Nodes that gave no whole answer, by why.
    pub missing: BTreeMap<&'static str, u64>,
    /// Hits not believed: about a camera or a node for which the sender does not speak.
    pub foreign: u64,
}

/// Searches under way, and their counters.
#[derive(Debug)]
pub struct Searches {
    turns: Arc<Semaphore>,
    searches: AtomicU64,
    refused: AtomicU64,
    took_us: AtomicU64,
    asked: AtomicU64,
    foreign: AtomicU64,
    missing: Mutex<BTreeMap<&'static str, u64>>,
}

impl Default for Searches {
    fn default() -> Self {
        let none = AtomicU64::default;
        Self {
            turns: Arc::new(Semaphore::new(limits::SEARCHES_AT_ONCE_MAX)),
            searches: none(),
            refused: none(),
            took_us: none(),
            asked: none(),
            foreign: none(),
            missing: Mutex::default(),
        }
    }
}

impl Searches {
    /// Counters.
    #[must_use]
    pub fn stats(&self) -> SearchStats {
        let load = |n: &AtomicU64| n.load(Ordering::Relaxed);
        SearchStats {
            searches: load(&self.searches),
            refused: load(&self.refused),
            took_us: load(&self.took_us),
            asked: load(&self.asked),
            missing: self.missing.lock().clone(),
            foreign: load(&self.foreign),
        }
    }

    fn turn(&self) -> ApiResult<OwnedSemaphorePermit> {
        self.turns.clone().try_acquire_owned().map_err(|_| {
            self.refused.fetch_add(1, Ordering::Relaxed);
            ApiError::new(Refusal::Unavailable, "This node does too many searches at once.")
                .remedy("Try again in a moment.")
                .retry_after(Duration::from_secs(1))
        })
    }

    fn count(&self, asked: usize, missing: &BTreeMap<NodeId, Lack>, took: Duration) {
        let add = |n: &AtomicU64, by: u64| n.fetch_add(by, Ordering::Relaxed);
        add(&self.searches, 1);
        add(&self.took_us, u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        add(&self.asked, asked as u64);
        let mut counts = self.missing.lock();
        for lack in missing.values() {
            *counts.entry(lack.why.as_str()).or_default() += 1;
        }
    }
}

/// Searches this node and all below it, as far as `asked` says.
///
/// # Errors
/// When a node is named that is none, too much is under way, or the node stops. A node that does not answer is no error: it is
/// named in the answer.
pub async fn run(app: Arc<App>, who: Principal, asked: Asked) -> ApiResult<SearchView> {
    let _turn = app.search.turn()?;
    let began = app.clock.mono();
    let until = began + asked.within;
    let own = app.desk.node().clone();
    let below = Below::of(&app, &asked)?;
    let asked = Arc::new(asked);
    let here = asked.nodes.is_empty() || asked.nodes.contains(&own);
    let local = async {
        if !here {
            return Ok(None);
        }
        let (origins, of_others) = (below.not_asked(&own), below.cameras());
        let cameras = asked.wants_cameras();
        let found = look(&app, &who, &asked, Look { origins, cameras, of_others, copies: false, until });
        found.await.map(Some)
    };
    let replies = join_all(below.nodes.iter().map(|node| below.ask(&who, &asked, node)));
    let (local, replies) = tokio::join!(local, replies);
    let away: BTreeSet<NodeId> = replies.iter().filter(|r| r.is_away()).map(|r| r.node.clone()).collect();
    let copies = if away.is_empty() || asked.what == What::Cameras {
        None
    } else {
        let origins = below.spoken_for(away);
        // What is in memory is quick to look through; it has its time whatever the nodes took.
        let until = app.clock.mono() + limits::SEARCH_LEVEL_MARGIN;
        Some(
            look(
                &app,
                &who,
                &asked,
                Look { origins, cameras: false, of_others: BTreeSet::new(), copies: true, until },
            )
            .await?,
        )
    };
    let mut page = Page { own, answers: Vec::new(), named: BTreeSet::new(), limited: Vec::new() };
    for found in local?.into_iter().chain(copies) {
        page.found(found);
    }
    for reply in replies {
        app.search.foreign.fetch_add(reply.foreign, Ordering::Relaxed);
        page.named.extend(reply.asked);
        page.limited.extend(reply.limited);
        page.answers.push((reply.node, reply.answered));
    }
    Ok(page.finish(&app, &asked, began))
}

/// Looks into this node's own, off the threads that serve.
async fn look(app: &Arc<App>, who: &Principal, asked: &Arc<Asked>, look: Look) -> ApiResult<Found> {
    let (app, who, asked) = (app.clone(), who.clone(), asked.clone());
    let found = tokio::task::spawn_blocking(move || local::look(&app, &who, &asked, look)).await;
    found.map_err(|e| ApiError::internal("search", &e))
}

/// A page while it is put together.
struct Page {
    own: NodeId,
    answers: Vec<(NodeId, Answered<Hit, Lack>)>,
    named: BTreeSet<NodeId>,
    limited: Vec<LimitedView>,
}

impl Page {
    fn found(&mut self, found: Found) {
        let limited =
            found.events_from.map(|from| LimitedView { node: self.own.to_string(), events_from_us: from.0 });
        self.limited.extend(limited);
        self.named.insert(self.own.clone());
        self.answers.push((self.own.clone(), Answered::Part(found.part, Vec::new())));
    }

    fn finish(self, app: &App, asked: &Asked, began: MonoMicros) -> SearchView {
        let reasons = Reasons {
            silent: Lack::new(Why::NoAnswer),
            disorder: Lack::new(Why::Disorder),
            before: Lack::new(Why::Before),
        };
        let nodes: BTreeSet<NodeId> = self.answers.iter().map(|(node, _)| node.clone()).collect();
        let Gathered { items, next, missing } =
            gather(&nodes, self.answers, asked.cursor.as_ref(), asked.limit, &reasons);
        let took = app.clock.mono().since(began);
        app.search.count(nodes.len(), &missing, took);
        let mut limited = self.limited;
        limited.sort_by(|a, b| a.node.cmp(&b.node));
        limited.dedup_by(|a, b| a.node == b.node);
        SearchView {
            items: items.into_iter().map(|(_, hit)| hit).collect(),
            next: next.map(|cursor| URL_SAFE_NO_PAD.encode(cursor.to_string())),
            asked: self
                .named
                .iter()
                .chain(&nodes)
                .map(ToString::to_string)
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
            missing: missing.into_iter().map(|(node, lack)| MissingView::of(node, lack)).collect(),
            limited,
            from_us: asked.from.0,
            to_us: asked.to.0,
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        }
    }
}
