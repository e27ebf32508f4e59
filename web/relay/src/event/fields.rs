//! Reading JSON from outside, field by field: every refusal names the field, its value, and what to do.

use std::collections::BTreeMap;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::CameraId;
use fengsui_config::limits;
use serde_json::{Map, Value};

/// Why an event is refused. The words are part of metrics, of quarantine records and of the API's refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A field is missing, has another shape, or is not known.
    Malformed,
    /// Its time is ahead of the reader's clock.
    Future,
    /// Its time is before the year 2000: a clock that was never set.
    Before2000,
    /// Its kind is none that is known, or none for this sender.
    UnknownKind,
    /// Its version is newer than the reader.
    UnknownVersion,
    /// It, or a part of it, is too large.
    Oversized,
    /// Its camera is none that is known.
    UnknownCamera,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::Malformed,
        Self::Future,
        Self::Before2000,
        Self::UnknownKind,
        Self::UnknownVersion,
        Self::Oversized,
        Self::UnknownCamera,
    ];

    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Future => "future",
            Self::Before2000 => "before_2000",
            Self::UnknownKind => "unknown_kind",
            Self::UnknownVersion => "unknown_version",
            Self::Oversized => "oversized",
            Self::UnknownCamera => "unknown_camera",
        }
    }
}

/// A refusal: what is wrong, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {what} (it is {value}); {remedy}")]
pub struct EventRefusal {
    /// Its class.
    pub reason: Reason,
    /// The field.
    pub field: String,
    /// What it holds, cut to a bound; `nothing` when it is missing.
    pub value: String,
    /// What is wrong, for a sentence that begins with the field.
    pub what: String,
    /// What the sender can do.
    pub remedy: String,
}

impl EventRefusal {
    /// A refusal of `field`, which holds `value`.
    pub fn new(
        reason: Reason,
        field: &str,
        value: Option<&Value>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let text = value.map_or_else(|| "nothing".to_owned(), ToString::to_string);
        let most = limits::FINDING_VALUE_CHARS_MAX;
        let cut: String = text.chars().take(most).collect();
        let value = if cut.len() < text.len() { format!("{cut} …") } else { cut };
        Self { reason, field: field.to_owned(), value, what: what.into(), remedy: remedy.into() }
    }

    /// The same, with the field said to lie within another.
    #[must_use]
    pub fn within(mut self, outer: &str) -> Self {
        self.field = if self.field.is_empty() { outer.to_owned() } else { format!("{outer}.{}", self.field) };
        self
    }
}

/// The fields of a JSON object, each taken once; what is left over is refused.
#[derive(Debug)]
pub struct Fields<'a> {
    left: BTreeMap<&'a str, &'a Value>,
}

impl<'a> Fields<'a> {
    /// The fields of `value`.
    ///
    /// # Errors
    /// When it is no object.
    pub fn of(value: &'a Value) -> Result<Self, EventRefusal> {
        let Value::Object(map) = value else {
            let remedy = "send an object with the fields of an event";
            return Err(EventRefusal::new(Reason::Malformed, "", Some(value), "is no object", remedy));
        };
        Ok(Self { left: map.iter().map(|(name, value)| (name.as_str(), value)).collect() })
    }

    /// Takes a field; one that is null counts as missing.
    pub fn take(&mut self, name: &str) -> Option<&'a Value> {
        self.left.remove(name).filter(|value| !value.is_null())
    }

    /// Takes a text of at most `chars_max` characters.
    ///
    /// # Errors
    /// When it is no text, too long, or holds control characters other than line ends and tabs.
    pub fn text(&mut self, name: &str, chars_max: usize) -> Result<Option<String>, EventRefusal> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let Value::String(text) = value else {
            return Err(malformed(name, Some(value), "is no text", "send a text in quotation marks"));
        };
        if text.chars().count() > chars_max {
            let what = format!("has more than {chars_max} characters");
            return Err(EventRefusal::new(Reason::Oversized, name, Some(value), what, "shorten it"));
        }
        if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
            return Err(malformed(name, Some(value), "has control characters", "leave them out"));
        }
        Ok(Some(text.clone()))
    }

    /// Takes a whole number within bounds.
    ///
    /// # Errors
    /// When it is none.
    pub fn count(&mut self, name: &str, most: u64) -> Result<Option<u64>, EventRefusal> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.as_u64() {
            Some(n) if n <= most => Ok(Some(n)),
            _ => {
                let remedy = format!("send a number from 0 to {most}");
                Err(malformed(name, Some(value), "is no number that can be", remedy))
            }
        }
    }

    /// Takes a time in microseconds since 1970.
    ///
    /// # Errors
    /// When it is no whole number.
    pub fn time(&mut self, name: &str) -> Result<Option<UtcMicros>, EventRefusal> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let remedy = "send whole microseconds since 1970-01-01T00:00:00Z";
        let us = value.as_i64().ok_or_else(|| malformed(name, Some(value), "is no time", remedy))?;
        Ok(Some(UtcMicros(us)))
    }

    /// Takes a word of a set.
    ///
    /// # Errors
    /// When it is no word of it.
    pub fn word<T: std::str::FromStr>(
        &mut self,
        name: &str,
        reason: Reason,
        words: &str,
    ) -> Result<Option<T>, EventRefusal> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let found = value.as_str().and_then(|text| text.parse().ok());
        let refused =
            || EventRefusal::new(reason, name, Some(value), "is not known", format!("send {words}"));
        found.map(Some).ok_or_else(refused)
    }

    /// Takes the code of a camera.
    ///
    /// # Errors
    /// When it is no national code.
    pub fn camera(&mut self, name: &str) -> Result<Option<CameraId>, EventRefusal> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let remedy = "send the camera's national code of 20 digits as text";
        let code = value.as_str().and_then(|text| text.parse().ok());
        code.map(Some).ok_or_else(|| malformed(name, Some(value), "is no code of a camera", remedy))
    }

    /// Takes facts for programs: an object of bounded size.
    ///
    /// # Errors
    /// When it is none, or too large.
    pub fn data(&mut self, name: &str) -> Result<Map<String, Value>, EventRefusal> {
        let Some(value) = self.take(name) else { return Ok(Map::new()) };
        let Value::Object(map) = value else {
            return Err(malformed(name, Some(value), "is no object", "send an object, or leave it out"));
        };
        let (bytes, most) = (value.to_string().len(), limits::EVENT_DATA_BYTES_MAX);
        if bytes > most {
            let what = format!("has {bytes} bytes as JSON");
            let remedy = format!("keep it within {most}");
            return Err(EventRefusal::new(Reason::Oversized, name, Some(value), what, remedy));
        }
        Ok(map.clone())
    }

    /// Refuses what was not taken.
    ///
    /// # Errors
    /// When there is any.
    pub fn done(self) -> Result<(), EventRefusal> {
        let Some((name, value)) = self.left.into_iter().next() else { return Ok(()) };
        let name: String = name.chars().take(limits::FINDING_VALUE_CHARS_MAX).collect();
        Err(malformed(&name, Some(value), "is no field of an event", "leave it out, or put it into data"))
    }
}

/// A malformed field.
pub fn malformed(
    field: &str,
    value: Option<&Value>,
    what: impl Into<String>,
    remedy: impl Into<String>,
) -> EventRefusal {
    EventRefusal::new(Reason::Malformed, field, value, what, remedy)
}

/// A field that must be there.
///
/// # Errors
/// When it is not.
pub fn required<T>(found: Option<T>, name: &str, remedy: &str) -> Result<T, EventRefusal> {
    found.ok_or_else(|| malformed(name, None, "is missing", remedy))
}
