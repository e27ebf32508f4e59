//! Events: what happens on a node, as one typed and versioned record of its journal (`event.noted`).
//!
//! An [`Event`] has a time at which it happened and, by its record, one at which it was noted. It belongs to a *cause*:
//! all events of one cause are one row for people ([`rows::EventRows`]), with a count and a first and last time. What lasts
//! has *parts* within its cause that open and close; the row is over when no part is open any more. One record may stand
//! for many events ([`Event::count`]): the limiter ([`intake::Intake`]) folds floods, and counts stay exact.
//!
//! Everything here is pure: times are arguments, and nothing is read or sent.
//!
//! Invariant: whatever is read, an event that is not refused is within its bounds, and reads back as it was written.

pub mod fields;
pub mod intake;
mod kind;
pub mod posted;
pub mod rows;
#[cfg(test)]
mod tests;
pub mod watch;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{CameraId, NodeId};
use fengsui_config::limits;
use fengsui_storage::journal::kinds;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use fields::{EventRefusal, Reason};
pub use kind::{EventKind, NotKnown, Phase, Priority};

use fields::{Fields, malformed, required};

/// Version of the body of `event.noted` that this program writes, and the newest that it reads.
pub const VERSION: u64 = 1;

/// Kinds of journal records that go up to a node's centre.
pub const UPWARD: [&str; 1] = [kinds::EVENT_NOTED];

/// 2000-01-01T00:00:00Z. A device whose clock was never set is in 1970, or at the day its program was made.
pub const YEAR_2000: UtcMicros = UtcMicros(946_684_800_000_000);

/// Who tells of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The node that noted it.
    pub node: NodeId,
    /// The name of the token with which it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The name of the operator who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
}

impl Source {
    /// The node itself.
    #[must_use]
    pub fn node(node: NodeId) -> Self {
        Self { node, token: None, operator: None }
    }
}

/// The mark of a request by which its repetition is known: in the record, so that it is known after a crash too.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// Hash of sender and `Idempotency-Key`, 16 hexadecimal digits.
    pub key: String,
    /// Hash of the request's body, 16 hexadecimal digits.
    pub body: String,
    /// Which event of the request.
    pub index: u16,
}

impl Mark {
    fn write(&self) -> String {
        format!("{}.{}.{}", self.key, self.body, self.index)
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let hex = |part: &str| part.len() == 16 && part.bytes().all(|b| b.is_ascii_hexdigit());
        let (key, body) = (parts.next().filter(|p| hex(p))?, parts.next().filter(|p| hex(p))?);
        let index = parts.next()?.parse().ok()?;
        parts.next().is_none().then(|| Self { key: key.to_owned(), body: body.to_owned(), index })
    }
}

/// One event, or several of one cause that one record stands for.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// What happened; of several, the newest.
    pub kind: EventKind,
    /// How much it matters; of several, the highest.
    pub priority: Priority,
    /// What it belongs to: events of one cause are one row.
    pub cause: String,
    /// What opens or closes within the cause; empty for the cause as such.
    pub part: String,
    /// What it does to that part; of several, what the newest does.
    pub phase: Phase,
    /// When it happened; of several, the earliest.
    pub at_us: UtcMicros,
    /// When the latest of several happened.
    pub last_us: UtcMicros,
    /// Where.
    pub camera: Option<CameraId>,
    /// Who tells of it.
    pub source: Source,
    /// How many events this is.
    pub count: u64,
    /// How many of them opened the part.
    pub times: u64,
    /// What people wrote, or a device for people; empty where kind and data say all.
    pub text: String,
    /// Facts for programs.
    pub data: Map<String, Value>,
    /// Marks of the requests that brought it.
    pub marks: Vec<Mark>,
}

impl Event {
    /// One event of the node's own.
    #[must_use]
    pub fn new(
        kind: EventKind,
        priority: Priority,
        cause: impl Into<String>,
        phase: Phase,
        at: UtcMicros,
        source: Source,
    ) -> Self {
        Self {
            kind,
            priority,
            cause: cause.into(),
            part: String::new(),
            phase,
            at_us: at,
            last_us: at,
            camera: None,
            source,
            count: 1,
            times: u64::from(phase == Phase::Opens),
            text: String::new(),
            data: Map::new(),
            marks: Vec::new(),
        }
    }

    /// With the part that it opens or closes.
    #[must_use]
    pub fn part(mut self, part: impl Into<String>) -> Self {
        self.part = part.into();
        self
    }

    /// With its camera.
    #[must_use]
    pub fn camera(mut self, camera: CameraId) -> Self {
        self.camera = Some(camera);
        self
    }

    /// With a fact; one that is null is left out.
    #[must_use]
    pub fn fact(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        if !value.is_null() {
            self.data.insert(name.to_owned(), value);
        }
        self
    }

    /// The body of its journal record. Fields at their usual values are left out.
    #[must_use]
    pub fn body(&self) -> Value {
        let mut body = Map::new();
        let mut put = |name: &str, value: Value| drop(body.insert(name.to_owned(), value));
        put("v", VERSION.into());
        put("kind", self.kind.as_str().into());
        put("priority", self.priority.as_str().into());
        put("cause", self.cause.clone().into());
        put("phase", self.phase.as_str().into());
        put("at_us", self.at_us.0.into());
        put("source", serde_json::to_value(&self.source).unwrap_or_default());
        if !self.part.is_empty() {
            put("part", self.part.clone().into());
        }
        if self.last_us != self.at_us {
            put("last_us", self.last_us.0.into());
        }
        if let Some(camera) = self.camera {
            put("camera", camera.to_string().into());
        }
        if self.count != 1 {
            put("count", self.count.into());
        }
        if self.times != self.usual_times() {
            put("times", self.times.into());
        }
        if !self.text.is_empty() {
            put("text", self.text.clone().into());
        }
        if !self.data.is_empty() {
            put("data", self.data.clone().into());
        }
        if !self.marks.is_empty() {
            put("marks", self.marks.iter().map(Mark::write).collect::<Vec<_>>().into());
        }
        Value::Object(body)
    }

    fn usual_times(&self) -> u64 {
        if self.phase == Phase::Opens { self.count } else { 0 }
    }

    /// Reads the body of a record: its shape and bounds, not whether it can be true; see [`Event::check`].
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn read(body: &Value) -> Result<Self, EventRefusal> {
        let bytes = body.to_string().len();
        if bytes > limits::EVENT_BYTES_MAX {
            let (what, most) = (format!("has {bytes} bytes as JSON"), limits::EVENT_BYTES_MAX);
            let remedy = format!("keep an event within {most}");
            return Err(EventRefusal::new(Reason::Oversized, "event", Some(body), what, remedy));
        }
        let mut fields = Fields::of(body)?;
        version(&mut fields)?;
        let kind = fields.word("kind", Reason::UnknownKind, "a kind that this node knows")?;
        let priority = fields.word("priority", Reason::Malformed, "low, normal or alarm")?;
        let phase = fields.word("phase", Reason::Malformed, "opens, closes or point")?;
        let cause = fields.text("cause", limits::EVENT_CAUSE_CHARS_MAX)?.filter(|c| !c.is_empty());
        let at_us = fields.time("at_us")?;
        let at_us = required(at_us, "at_us", "say when it happened")?;
        let last_us = fields.time("last_us")?.unwrap_or(at_us);
        let count = fields.count("count", limits::EVENT_COUNT_MAX)?.unwrap_or(1).max(1);
        let times = fields.count("times", limits::EVENT_COUNT_MAX)?;
        let event = Self {
            kind: required(kind, "kind", "say what happened")?,
            priority: required(priority, "priority", "say low, normal or alarm")?,
            cause: required(cause, "cause", "say what it belongs to")?,
            part: fields.text("part", limits::EVENT_CAUSE_CHARS_MAX)?.unwrap_or_default(),
            phase: required(phase, "phase", "say opens, closes or point")?,
            at_us,
            last_us: last_us.max(at_us),
            camera: fields.camera("camera")?,
            source: source(&mut fields)?,
            count,
            times: 0,
            text: fields.text("text", limits::EVENT_TEXT_CHARS_MAX)?.unwrap_or_default(),
            data: fields.data("data")?,
            marks: marks(&mut fields)?,
        };
        fields.done()?;
        Ok(Self { times: times.unwrap_or(event.usual_times()).min(count), ..event })
    }

    /// Whether it can be true: not from the future, not from before 2000, and of a camera that is known.
    ///
    /// # Errors
    /// What speaks against it.
    pub fn check(&self, now: UtcMicros, knows: &dyn Fn(CameraId) -> bool) -> Result<(), EventRefusal> {
        for (field, time) in [("at_us", self.at_us), ("last_us", self.last_us)] {
            if time > now + limits::EVENT_AHEAD_MAX {
                let ahead = limits::EVENT_AHEAD_MAX.as_secs();
                let what = format!("is more than {ahead} s ahead of this node's clock");
                let remedy = "set the sender's clock";
                return Err(EventRefusal::new(Reason::Future, field, Some(&time.0.into()), what, remedy));
            }
            if time < YEAR_2000 {
                let remedy = "set the sender's clock, and send microseconds, not seconds";
                let value = Some(&Value::from(time.0));
                return Err(EventRefusal::new(
                    Reason::Before2000,
                    field,
                    value.map(|v| v as &Value),
                    "lies before the year 2000",
                    remedy,
                ));
            }
        }
        match self.camera {
            Some(camera) if !knows(camera) => {
                let value = Value::from(camera.to_string());
                let remedy = "send the code of a camera in the configuration of this node";
                let what = "is no camera of this node";
                Err(EventRefusal::new(Reason::UnknownCamera, "camera", Some(&value), what, remedy))
            }
            _ => Ok(()),
        }
    }

    /// Reads and checks the body of a record that comes from somewhere else.
    ///
    /// # Errors
    /// As [`Event::read`] and [`Event::check`].
    pub fn decode(
        body: &Value,
        now: UtcMicros,
        knows: &dyn Fn(CameraId) -> bool,
    ) -> Result<Self, EventRefusal> {
        let event = Self::read(body)?;
        event.check(now, knows)?;
        Ok(event)
    }
}

/// What the relay needs to know of a record that goes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upward {
    /// How much it matters.
    pub priority: Priority,
    /// Its camera.
    pub camera: Option<CameraId>,
    /// When it happened.
    pub at: UtcMicros,
}

/// What the relay needs to know of a journal record; `None` for one that does not go up.
///
/// # Errors
/// When it goes up by its kind, and its body is none of an event.
pub fn upward(kind: &str, body: &Value) -> Option<Result<Upward, EventRefusal>> {
    UPWARD.contains(&kinds::current(kind)).then(|| {
        let event = Event::read(body)?;
        Ok(Upward { priority: event.priority, camera: event.camera, at: event.at_us })
    })
}

fn version(fields: &mut Fields<'_>) -> Result<(), EventRefusal> {
    let Some(value) = fields.take("v") else { return Ok(()) };
    match value.as_u64() {
        Some(v) if (1..=VERSION).contains(&v) => Ok(()),
        Some(v) if v > VERSION => {
            let what = format!("is newer than version {VERSION}, which this node reads");
            let remedy = "bring this node up to date: the centre first, then the nodes below it";
            Err(EventRefusal::new(Reason::UnknownVersion, "v", Some(value), what, remedy))
        }
        _ => Err(malformed("v", Some(value), "is no version", format!("send {VERSION}"))),
    }
}

fn source(fields: &mut Fields<'_>) -> Result<Source, EventRefusal> {
    let value = required(fields.take("source"), "source", "say which node noted it")?;
    let mut inner = Fields::of(value).map_err(|e| e.within("source"))?;
    let mut read = || {
        let node = inner.word("node", Reason::Malformed, "the name of a node")?;
        let source = Source {
            node: required(node, "node", "say which node noted it")?,
            token: inner.text("token", limits::NAME_CHARS_MAX)?,
            operator: inner.text("operator", limits::NAME_CHARS_MAX)?,
        };
        Ok(source)
    };
    let source = read().map_err(|e: EventRefusal| e.within("source"))?;
    inner.done().map_err(|e| e.within("source"))?;
    Ok(source)
}

fn marks(fields: &mut Fields<'_>) -> Result<Vec<Mark>, EventRefusal> {
    let Some(value) = fields.take("marks") else { return Ok(Vec::new()) };
    let remedy = "leave it out: only nodes write it";
    let wrong = || malformed("marks", Some(value), "is no list of marks", remedy);
    let list = value.as_array().filter(|list| list.len() <= limits::EVENT_MARKS_MAX).ok_or_else(wrong)?;
    let read = |one: &Value| one.as_str().and_then(Mark::read).ok_or_else(wrong);
    list.iter().map(read).collect()
}
