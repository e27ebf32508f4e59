//! Events that come by the API: what a device, another system or an operator may say, and what becomes of it.

use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;
use serde_json::Value;

use super::fields::{EventRefusal, Fields, Reason, malformed, required};
use super::{Event, EventKind, NotKnown, Phase, Priority, Source};

/// Who posts, and what they may say.
#[derive(Debug, Clone)]
pub struct Poster {
    /// Goes into the event.
    pub source: Source,
    /// Id of the token: causes of different tokens never meet. Absent for operators.
    pub token: Option<String>,
    /// Kinds that they may post.
    pub kinds: Vec<EventKind>,
    /// The highest priority that they may give.
    pub priority: Priority,
}

/// What an input does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    On,
    Off,
    Pulse,
}

impl std::str::FromStr for State {
    type Err = NotKnown;
    fn from_str(s: &str) -> Result<Self, NotKnown> {
        match s {
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            "pulse" => Ok(Self::Pulse),
            _ => Err(NotKnown),
        }
    }
}

impl Poster {
    /// Reads one posted event. `at_us` is now when it is missing. Whether it can be true is for [`Event::check`].
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn read(&self, value: &Value, now: UtcMicros) -> Result<Event, EventRefusal> {
        let bytes = value.to_string().len();
        if bytes > limits::EVENT_BYTES_MAX {
            let (what, most) = (format!("has {bytes} bytes as JSON"), limits::EVENT_BYTES_MAX);
            let remedy = format!("keep an event within {most}");
            return Err(EventRefusal::new(Reason::Oversized, "", Some(value), what, remedy));
        }
        let mut fields = Fields::of(value)?;
        let kind = self.kind(&mut fields)?;
        let priority = self.priority(&mut fields)?;
        let camera = fields.camera("camera")?;
        let at = fields.time("at_us")?.unwrap_or(now);
        let text = fields.text("text", limits::EVENT_TEXT_CHARS_MAX)?.unwrap_or_default();
        let data = fields.data("data")?;
        let place = camera.map_or_else(|| "-".to_owned(), |c| c.to_string());
        let (cause, phase, data) = if kind == EventKind::OperatorMark {
            required(camera, "camera", "say on which camera the mark is")?;
            let who = self.source.operator.as_deref().unwrap_or_default();
            if text.trim().is_empty() {
                return Err(malformed("text", None, "is missing", "write what is to be seen"));
            }
            // Each mark is a row of its own.
            (format!("mark/{place}/{}/{who}", at.0), Phase::Point, data)
        } else {
            self.input(kind, &place, &mut fields, data)?
        };
        fields.done()?;
        let cause = cause.chars().take(limits::EVENT_CAUSE_CHARS_MAX).collect::<String>();
        let event = Event::new(kind, priority, cause, phase, at, self.source.clone());
        Ok(Event { camera, text, data, ..event })
    }

    fn kind(&self, fields: &mut Fields<'_>) -> Result<EventKind, EventRefusal> {
        let words: Vec<&str> = self.kinds.iter().map(|k| k.as_str()).collect();
        let words = words.join(" or ");
        let value = required(fields.take("kind"), "kind", &format!("send {words}"))?;
        let kind: Option<EventKind> = value.as_str().and_then(|text| text.parse().ok());
        let refused = |what| {
            Err(EventRefusal::new(Reason::UnknownKind, "kind", Some(value), what, format!("send {words}")))
        };
        match kind {
            None => refused("is no kind of event"),
            Some(kind) if !self.kinds.contains(&kind) => refused("is no kind that this sender may send"),
            Some(kind) => Ok(kind),
        }
    }

    fn priority(&self, fields: &mut Fields<'_>) -> Result<Priority, EventRefusal> {
        let most = self.priority.as_str();
        let found = fields.take("priority");
        let Some(value) = found else { return Ok(Priority::Normal.min(self.priority)) };
        let priority: Option<Priority> = value.as_str().and_then(|text| text.parse().ok());
        match priority {
            None => Err(malformed("priority", Some(value), "is not known", "send low, normal or alarm")),
            Some(priority) if priority > self.priority => {
                let remedy = format!("send {most} at most, or ask an administrator for a token that may");
                Err(malformed("priority", Some(value), "is higher than this sender may send", remedy))
            }
            Some(priority) => Ok(priority),
        }
    }

    /// Cause, phase and data of what a device tells.
    fn input(
        &self,
        kind: EventKind,
        place: &str,
        fields: &mut Fields<'_>,
        mut data: serde_json::Map<String, Value>,
    ) -> Result<(String, Phase, serde_json::Map<String, Value>), EventRefusal> {
        let input = fields.text("input", limits::EVENT_INPUT_CHARS_MAX)?.filter(|i| !i.trim().is_empty());
        let state = fields.word("state", Reason::Malformed, "on, off or pulse")?.unwrap_or(State::Pulse);
        let name = if kind == EventKind::DeviceInput {
            required(input, "input", "name the input, for example door-1")?
        } else {
            input.unwrap_or_else(|| "picture".to_owned())
        };
        let (phase, word) = match state {
            State::On => (Phase::Opens, "on"),
            State::Off => (Phase::Closes, "off"),
            State::Pulse => (Phase::Point, "pulse"),
        };
        data.insert("input".into(), name.clone().into());
        data.insert("state".into(), word.into());
        let who = self.token.as_deref().unwrap_or("-");
        Ok((format!("token/{who}/{place}/{kind}/{name}"), phase, data))
    }
}
