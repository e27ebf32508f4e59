//! How a stream stands that does not play: what its tiles are told, here and at a centre whose tiles show it.

use fengsui_config::ids::StreamKey;
use fengsui_relay::picture::Words;
use fengsui_storage::board::{FailureClass, SessionState};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::protocol::TileState;
use crate::app::App;

/// What keeps pictures of another node from coming. Texts are part of the API; the UI translates them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkTrouble {
    /// The node is not heard, or what it sends broke off.
    NodeUnreachable,
    /// The node answers, but does not give this stream.
    NodeRefuses,
    /// What may come over the line to the node is in use by pictures that matter as much or more.
    LinkFull,
    /// A picture of higher priority took the place of this one.
    Preempted,
}

/// Why a stream does not play.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Why {
    /// The camera, or the way to it.
    Camera(FailureClass),
    /// The way to the node that reads the camera.
    Link(LinkTrouble),
}

/// How a stream stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// State of a tile that shows it.
    pub state: TileState,
    /// Class of the failure.
    pub reason: Option<Why>,
    /// One sentence.
    pub detail: Option<String>,
    /// The node below this one that has the camera.
    pub node: Option<String>,
}

impl From<TileState> for Standing {
    fn from(state: TileState) -> Self {
        Self { state, reason: None, detail: None, node: None }
    }
}

impl Standing {
    /// A stream that does not come, with a sentence.
    #[must_use]
    pub fn ended(detail: &str) -> Self {
        Self { detail: Some(detail.to_owned()), ..TileState::Ended.into() }
    }

    /// How a stream stands now.
    #[must_use]
    pub fn of(app: &App, key: StreamKey) -> Self {
        let topology = app.topology();
        let Some(camera) = topology.cameras.get(&key.camera).filter(|c| c.source(key.stream).is_some())
        else {
            return Self::ended("The camera is no longer configured.");
        };
        if !camera.enabled {
            return app.far.standing(&key).unwrap_or_else(|| Self::ended("The camera is disabled."));
        }
        let Some(status) = app.board.get(&key) else { return TileState::Waiting.into() };
        let state = match status.state {
            SessionState::Idle | SessionState::Waiting => TileState::Waiting,
            // Between two pictures the board may say that it plays; for the tile it is about to.
            SessionState::Opening | SessionState::Playing => TileState::Opening,
            SessionState::Stalled => TileState::Stalled,
            SessionState::BackOff => TileState::Offline,
        };
        Self { reason: status.failure.map(Why::Camera), detail: status.detail, ..state.into() }
    }

    /// In words for the centre.
    #[must_use]
    pub fn words(&self) -> Words {
        Words {
            state: word(&self.state).unwrap_or_default(),
            reason: self.reason.as_ref().and_then(word),
            detail: self.detail.clone(),
            node: self.node.clone(),
        }
    }

    /// As the words of `node` say. What is not known here counts as a camera that does not play.
    #[must_use]
    pub fn told_by(node: &str, words: Words) -> Self {
        Self {
            state: known(words.state).unwrap_or(TileState::Offline),
            reason: words.reason.and_then(known),
            detail: words.detail,
            node: Some(words.node.unwrap_or_else(|| node.to_owned())),
        }
    }
}

fn word(value: &impl Serialize) -> Option<String> {
    serde_json::to_value(value).ok()?.as_str().map(str::to_owned)
}

fn known<T: for<'a> Deserialize<'a>>(word: String) -> Option<T> {
    serde_json::from_value(Value::String(word)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_tells_of_a_stream_is_told_on_and_what_is_new_there_does_no_harm() {
        let standing = Standing {
            state: TileState::Offline,
            reason: Some(Why::Camera(FailureClass::Auth)),
            detail: Some("The camera refused the password.".into()),
            node: None,
        };
        let there = Standing::told_by("east", standing.words());
        assert_eq!(there, Standing { node: Some("east".into()), ..standing });
        let full = Standing { reason: Some(Why::Link(LinkTrouble::LinkFull)), ..there };
        assert_eq!(Standing::told_by("county", full.words()), full, "the node further below keeps its name");
        let newer = Words { state: "dreaming".into(), reason: Some("fog".into()), detail: None, node: None };
        let understood = Standing::told_by("east", newer);
        assert_eq!((understood.state, understood.reason), (TileState::Offline, None));
    }
}
