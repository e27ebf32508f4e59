//! Asking the nodes right below this one, all at once and each with its deadline, and what is believed of their answers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use fengsui_config::ids::{CameraId, NodeId, StreamKey, StreamKind};
use fengsui_config::limits;
use fengsui_relay::identity::NodeState;
use fengsui_relay::inbox::Rules as _;
use fengsui_relay::link::{Link as _, LinkError};
use fengsui_relay::search::{Answered, Cursor, Key, Part, is_in_order};
use http_body_util::{BodyExt as _, Limited};
use serde_json::Value;

use super::ask::Asked;
use super::hit::{Hit, Lack, LimitedView, MissingView, SearchView, Why};
use super::local::Origins;
use crate::app::App;
use crate::auth::access::Principal;
use crate::http::problem::{ApiError, ApiResult};
use crate::relay::calls::{Call, CallError};
use crate::relay::centre::Centre;

/// Characters of a node's own words that are passed on.
const WORDS_CHARS_MAX: usize = 200;

/// The nodes to ask.
pub struct Below {
    centre: Option<Arc<Centre>>,
    /// Those that are asked.
    pub nodes: Vec<NodeId>,
}

/// What became of asking a node.
pub struct Reply {
    /// The node.
    pub node: NodeId,
    /// Its answer.
    pub answered: Answered<Hit, Lack>,
    /// Whom it asked.
    pub asked: Vec<NodeId>,
    /// Whose older events were not searched.
    pub limited: Vec<LimitedView>,
    /// Hits that were not believed.
    pub foreign: u64,
}

impl Reply {
    fn missing(node: &NodeId, lack: Lack) -> Self {
        let answered = Answered::Missing(lack);
        Self { node: node.clone(), answered, asked: Vec::new(), limited: Vec::new(), foreign: 0 }
    }

    /// Whether nothing came of it.
    #[must_use]
    pub fn is_away(&self) -> bool {
        matches!(self.answered, Answered::Missing(_))
    }
}

impl Below {
    /// The nodes that `asked` wants.
    ///
    /// # Errors
    /// When it names one that is neither this one nor works right below it.
    pub fn of(app: &App, asked: &Asked) -> ApiResult<Self> {
        let centre = app.relay.read().as_ref().and_then(|relay| relay.centre.clone());
        let known: Vec<NodeId> = centre.as_ref().map(working).unwrap_or_default();
        let stranger = asked.nodes.iter().find(|node| *node != app.desk.node() && !known.contains(node));
        if let Some(stranger) = stranger {
            return Err(ApiError::bad("nodes", format!("{stranger} is no node that is asked from here."))
                .remedy("Name this node, or nodes right below it; the list of nodes has them."));
        }
        let wanted = |node: &NodeId| asked.nodes.is_empty() || asked.nodes.contains(node);
        let nodes = known.into_iter().filter(wanted).filter(|_| asked.everywhere).collect();
        Ok(Self { centre, nodes })
    }

    /// Events that are this node's to tell: its own, and those of nodes that nobody below speaks for any more.
    #[must_use]
    pub fn not_asked(&self, own: &NodeId) -> Origins {
        let (own, centre) = (own.clone(), self.centre.clone());
        let known: Vec<NodeId> = centre.as_ref().map(working).unwrap_or_default();
        Box::new(move |origin| {
            let spoken = |centre: &Arc<Centre>| known.iter().any(|node| centre.roll.may_send(node, origin));
            *origin == own || !centre.as_ref().is_some_and(spoken)
        })
    }

    /// Cameras for which nodes below answer.
    #[must_use]
    pub fn cameras(&self) -> BTreeSet<CameraId> {
        let Some(centre) = &self.centre else { return BTreeSet::new() };
        let nodes = centre.roll.nodes();
        let works = nodes.iter().filter(|(_, node)| node.state != NodeState::Retired);
        works.flat_map(|(_, node)| node.cameras.iter().copied()).collect()
    }

    /// Events of these nodes and of those below them.
    #[must_use]
    pub fn spoken_for(&self, nodes: BTreeSet<NodeId>) -> Origins {
        let centre = self.centre.clone();
        Box::new(move |origin| {
            centre.as_ref().is_some_and(|centre| nodes.iter().any(|node| centre.roll.may_send(node, origin)))
        })
    }

    /// Asks a node; comes back within the time that was asked for.
    pub async fn ask(&self, who: &Principal, asked: &Asked, node: &NodeId) -> Reply {
        let Some(centre) = &self.centre else { return Reply::missing(node, Lack::new(Why::Other)) };
        let within = asked.within.saturating_sub(limits::SEARCH_LEVEL_MARGIN);
        if within < limits::SEARCH_DEADLINE_MIN {
            return Reply::missing(node, since(centre, node, Lack::new(Why::NoTime)));
        }
        let call = Call::get(asked.address(within), who.on_behalf());
        let answer = tokio::time::timeout(asked.within, fetch(centre, node, call, asked.within)).await;
        let read = answer.unwrap_or_else(|_| Err(Lack::new(Why::NoAnswer)));
        match read
            .and_then(|bytes| read_view(&bytes))
            .and_then(|view| believe(centre, who, asked, node, view))
        {
            Ok(reply) => reply,
            Err(lack) => Reply::missing(node, since(centre, node, lack)),
        }
    }
}

fn working(centre: &Arc<Centre>) -> Vec<NodeId> {
    centre.roll.senders().into_iter().filter(|node| centre.roll.works(node)).collect()
}

/// With the time when the node was heard last.
fn since(centre: &Centre, node: &NodeId, lack: Lack) -> Lack {
    Lack { since_us: centre.presence.lock().of(node).map(|last| last.heard.0), ..lack }
}

async fn fetch(centre: &Centre, node: &NodeId, call: Call, within: Duration) -> Result<Bytes, Lack> {
    let response = centre.call(node, call, within).await.map_err(|error| match &error {
        CallError::Gone(_) => Lack::new(Why::Gone),
        CallError::Failed(_, LinkError::Timeout(_) | LinkError::Nobody(_)) => Lack::new(Why::NoAnswer),
        CallError::Failed(..) if centre.link.state().borrow().session().is_none() => Lack::new(Why::Link),
        CallError::Failed(_, error) => Lack::with(Why::NoAnswer, format!("{error}.")),
        CallError::Unreadable(..) => Lack::new(Why::Unreadable),
        CallError::Stranger(_) | CallError::TooLarge(_) => Lack::with(Why::Refused, format!("{error}.")),
    })?;
    let status = response.status();
    let bytes = collect(response).await?;
    if status.is_success() {
        return Ok(bytes);
    }
    // A node of an older program knows no search.
    let problem: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let words = problem.get("detail").and_then(Value::as_str).unwrap_or("It gave no reason.");
    let words: String = words.chars().filter(|c| !c.is_control()).take(WORDS_CHARS_MAX).collect();
    Err(Lack::with(Why::Refused, format!("It refused ({}): {words}", status.as_u16())))
}

async fn collect(response: Response) -> Result<Bytes, Lack> {
    let body = Limited::new(response.into_body(), limits::SEARCH_PART_BYTES_MAX).collect().await;
    body.map(http_body_util::Collected::to_bytes).map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            return Lack::new(Why::TooLarge);
        }
        Lack::with(Why::NoAnswer, "Its answer broke off.")
    })
}

fn read_view(bytes: &[u8]) -> Result<SearchView, Lack> {
    serde_json::from_slice(bytes).map_err(|_| Lack::new(Why::Unreadable))
}

/// What is believed of a node's answer: hits about its own cameras and of nodes for which it speaks, in their order.
fn believe(
    centre: &Centre,
    who: &Principal,
    asked: &Asked,
    node: &NodeId,
    view: SearchView,
) -> Result<Reply, Lack> {
    if view.items.len() > asked.limit || view.missing.len() > limits::SEARCH_NODES_MAX {
        return Err(Lack::new(Why::TooLarge));
    }
    let speaks_for = |name: &str| name.parse().is_ok_and(|origin| centre.roll.may_send(node, &origin));
    let reach = view.next.as_deref().map(read_reach).transpose()?;
    let (mut items, mut foreign) = (Vec::new(), 0);
    for hit in view.items {
        let key = hit.key().map_err(|_| Lack::new(Why::Unreadable))?;
        let (origin, camera) = hit.of();
        let owns = |camera: &str| origin.parse().is_ok_and(|o| centre.roll.owns(&o, camera));
        if !speaks_for(origin) || !camera.is_none_or(owns) {
            foreign += 1;
            continue;
        }
        // It decides by roles as this node does, but not who somebody is here.
        if may_see(who, camera) {
            items.push((key, hit));
        }
    }
    let part = Part { items, reach };
    if !is_in_order(&part, asked.cursor.as_ref().map(|c| &c.after)) {
        return Err(Lack::new(Why::Disorder));
    }
    let mut lacks: Vec<(NodeId, Lack)> =
        view.missing.into_iter().filter_map(|m| lack_below(m, &speaks_for)).collect();
    if foreign > 0 {
        tracing::warn!(%node, foreign, "a node answered a search for cameras of another node");
        lacks.push((node.clone(), since(centre, node, Lack::new(Why::ForeignCamera))));
    }
    let names = view.asked.iter().filter(|name| speaks_for(name)).take(limits::SEARCH_NODES_MAX);
    let limited = view.limited.into_iter().filter(|l| speaks_for(&l.node)).take(limits::SEARCH_NODES_MAX);
    Ok(Reply {
        node: node.clone(),
        asked: names.filter_map(|name| name.parse().ok()).collect(),
        limited: limited.collect(),
        answered: Answered::Part(part, lacks),
        foreign,
    })
}

fn may_see(who: &Principal, camera: Option<&str>) -> bool {
    let allowed = |code: &str| {
        code.parse().is_ok_and(|camera| who.camera(StreamKey { camera, stream: StreamKind::Main }).is_ok())
    };
    camera.is_none_or(allowed)
}

fn read_reach(text: &str) -> Result<Key, Lack> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    let cursor = bytes.and_then(|b| std::str::from_utf8(&b).ok()?.parse::<Cursor>().ok());
    cursor.map(|c| c.after).ok_or_else(|| Lack::new(Why::Unreadable))
}

fn lack_below(missing: MissingView, speaks_for: &dyn Fn(&str) -> bool) -> Option<(NodeId, Lack)> {
    if !speaks_for(&missing.node) {
        return None;
    }
    let detail = missing.detail.chars().filter(|c| !c.is_control()).take(WORDS_CHARS_MAX).collect();
    Some((missing.node.parse().ok()?, Lack { why: missing.why, detail, since_us: missing.since_us }))
}
