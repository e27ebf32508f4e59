//! What a search answers.

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::NodeId;
use fengsui_relay::event::rows::RecordId;
use fengsui_relay::search::{Key, NoPlace};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Footage of a camera within a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FootageView {
    /// First microsecond of the range.
    pub from_us: i64,
    /// First microsecond after it.
    pub to_us: i64,
    /// Microseconds of it that are stored.
    pub footage_us: i64,
    /// Microseconds of it that should be stored and are not.
    pub gap_us: i64,
    /// How many gaps that are.
    pub gaps: u64,
    /// Where the first footage in it begins.
    pub first_us: Option<i64>,
    /// Where the last one ends.
    pub last_us: Option<i64>,
}

/// All events of one cause, and whether there is footage of when it happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventHit {
    /// The row, as in `/events/rows`.
    #[schema(example = "east.3.4711")]
    pub id: String,
    /// The node where it happened.
    pub node: String,
    /// What it is.
    #[schema(example = "camera.offline")]
    pub kind: String,
    /// `low`, `normal` or `alarm`.
    pub priority: String,
    /// It lasts.
    pub open: bool,
    /// The camera, when it is of one.
    pub camera: Option<String>,
    /// Name of the camera.
    pub camera_name: Option<String>,
    /// Name of its site.
    pub site_name: Option<String>,
    /// The moment within the range searched: when it began, else its latest event, else the beginning of the range.
    pub at_us: i64,
    /// When the first event happened.
    pub began_us: i64,
    /// When the latest happened.
    pub last_us: i64,
    /// When it was over.
    pub over_us: Option<i64>,
    /// Events.
    pub count: u64,
    /// How often it began, for what lasts.
    pub times: u64,
    /// What people, or a device for people, wrote; its beginning when it is long.
    pub text: String,
    /// Footage from 10 s before the moment to 30 s after it; absent when it is of no camera, or not known.
    pub footage: Option<FootageView>,
    /// It is known from what the node told its centre before, because the node does not answer.
    pub copied: bool,
}

/// A camera and its footage within the range searched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CameraHit {
    /// National code.
    pub camera: String,
    /// The node that has it.
    pub node: String,
    /// Its name.
    pub name: String,
    /// Name of its site.
    pub site_name: String,
    /// Name of its station.
    pub station_name: String,
    /// Name of its sub-centre.
    pub sub_centre_name: String,
    /// Metres from the point searched around.
    pub metres: Option<u64>,
    /// Its footage.
    pub footage: FootageView,
}

/// One hit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Hit {
    /// Events of one cause.
    Event(EventHit),
    /// A camera.
    Camera(CameraHit),
}

impl Hit {
    /// Its place in the order of all hits.
    ///
    /// # Errors
    /// When it names no row, camera or node.
    pub fn key(&self) -> Result<Key, NoPlace> {
        match self {
            Self::Event(hit) => {
                let id: RecordId = hit.id.parse().map_err(|_| NoPlace)?;
                let node: NodeId = id.node.parse().map_err(|_| NoPlace)?;
                (node.as_str() == hit.node).then_some(Key::event(UtcMicros(hit.began_us), id)).ok_or(NoPlace)
            }
            Self::Camera(hit) => {
                let camera = hit.camera.parse().map_err(|_| NoPlace)?;
                Ok(Key::Camera { camera, node: hit.node.parse().map_err(|_| NoPlace)? })
            }
        }
    }

    /// The node that it is of, and the camera.
    #[must_use]
    pub fn of(&self) -> (&str, Option<&str>) {
        match self {
            Self::Event(hit) => (&hit.node, hit.camera.as_deref()),
            Self::Camera(hit) => (&hit.node, Some(&hit.camera)),
        }
    }
}

/// Why a node gave no whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It is not heard.
    Gone,
    /// It did not answer in time.
    NoAnswer,
    /// The centre has no connection to its own message servers.
    Link,
    /// It refused.
    Refused,
    /// Its answer cannot be read.
    Unreadable,
    /// Its answer is too large.
    TooLarge,
    /// It answered for a camera or a node for which it does not speak; those hits are left out.
    ForeignCamera,
    /// Its hits were not in order.
    Disorder,
    /// It gave no whole answer to a page before; its hits may be missing there.
    Before,
    /// There was no time left to ask it.
    NoTime,
    /// Another reason, of a newer program.
    #[serde(other)]
    Other,
}

impl Why {
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::NoAnswer => "no_answer",
            Self::Link => "link",
            Self::Refused => "refused",
            Self::Unreadable => "unreadable",
            Self::TooLarge => "too_large",
            Self::ForeignCamera => "foreign_camera",
            Self::Disorder => "disorder",
            Self::Before => "before",
            Self::NoTime => "no_time",
            Self::Other => "other",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Gone => "It is not heard.",
            Self::NoAnswer => "It did not answer in time.",
            Self::Link => "This centre has no connection to its message servers.",
            Self::Refused => "It refused.",
            Self::Unreadable => "Its answer cannot be read.",
            Self::TooLarge => "Its answer is too large.",
            Self::ForeignCamera => "It answered for a camera of another node.",
            Self::Disorder => "Its hits were not in order.",
            Self::Before => "It gave no whole answer to a page before.",
            Self::NoTime => "There was no time left to ask it.",
            Self::Other => "For another reason.",
        }
    }
}

/// What a node lacks in an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// Why.
    pub why: Why,
    /// That in a sentence.
    pub detail: String,
    /// When it was heard last.
    pub since_us: Option<i64>,
}

impl Lack {
    /// Without particulars.
    #[must_use]
    pub fn new(why: Why) -> Self {
        Self { why, detail: why.words().to_owned(), since_us: None }
    }
    /// With a sentence of its own.
    #[must_use]
    pub fn with(why: Why, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..Self::new(why) }
    }
}

/// A node that gave no whole answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MissingView {
    /// The node.
    pub node: String,
    /// Why.
    pub why: Why,
    /// That in a sentence.
    pub detail: String,
    /// When it was heard last.
    pub since_us: Option<i64>,
}

impl MissingView {
    /// As it is shown.
    #[must_use]
    pub fn of(node: NodeId, lack: Lack) -> Self {
        Self { node: node.to_string(), why: lack.why, detail: lack.detail, since_us: lack.since_us }
    }
}

/// A node that has older events of the range in its journal alone, where a search does not look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LimitedView {
    /// The node.
    pub node: String,
    /// From when on all its events were searched.
    pub events_from_us: i64,
}

/// A page of hits, and whose are missing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SearchView {
    /// Events by when they began, the newest first, then cameras by code. May be fewer than asked for although there are more:
    /// see `next`.
    pub items: Vec<Hit>,
    /// Ask the same with this `cursor` to go on; absent at the end.
    pub next: Option<String>,
    /// All nodes that were asked.
    pub asked: Vec<String>,
    /// Nodes that gave no whole answer, and why. Empty: nothing is missing.
    pub missing: Vec<MissingView>,
    /// Nodes whose older events were not searched.
    pub limited: Vec<LimitedView>,
    /// The range searched; name it for the next pages.
    pub from_us: i64,
    /// Its end.
    pub to_us: i64,
    /// How long it took.
    pub took_ms: u64,
}
