//! Placing, extending and releasing holds: under the lock that deletion takes too, and in the journal first.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{CameraId, NationalCode, StreamKey, StreamKind};
use fengsui_config::limits;
use serde::Serialize;
use serde_json::Value;

use super::hold::{Extension, Hold, Holds, Release};
use super::{Core, Inner, Retention};
use crate::frame::GapReason;
use crate::gaps::SpanKind;
use crate::journal::kinds;

/// What somebody wants to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HoldRequest {
    /// Cameras.
    pub cameras: BTreeSet<CameraId>,
    /// Sites, stations or sub-centres whose cameras are held, those of the future included.
    pub places: BTreeSet<NationalCode>,
    /// One stream alone.
    pub stream: Option<StreamKind>,
    /// Start of the footage.
    pub from: UtcMicros,
    /// End of the footage; until the release when absent.
    pub to: Option<UtcMicros>,
    /// Why.
    pub reason: String,
    /// Number of the case.
    pub case_number: Option<String>,
    /// Who asks.
    pub by: String,
}

/// A stretch of a hold whose footage had been deleted before it was placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Gone {
    /// The stream.
    #[serde(flatten)]
    pub key: StreamKey,
    /// Start.
    pub from_us: UtcMicros,
    /// End.
    pub to_us: UtcMicros,
    /// Why it was deleted.
    pub reason: GapReason,
}

/// What a hold keeps of what is stored now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Segments.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A hold that is in force, and the truth about what it came too late for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The hold.
    pub hold: Hold,
    /// What it keeps.
    pub kept: Kept,
    /// What was gone already; at most `limits::HOLD_GONE_SPANS_MAX` stretches.
    pub gone: Vec<Gone>,
    /// Length of all that was gone in microseconds, those not listed included.
    pub gone_us: i64,
}

/// Why a hold was not placed, extended or released.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HoldRefused {
    /// A member is malformed; member, what is wrong, what to do.
    #[error("{1}")]
    Bad(&'static str, String, &'static str),
    /// There is no such hold.
    #[error("There is no hold {0}.")]
    Unknown(u64),
    /// It was released before.
    #[error("Hold {0} was released already.")]
    Released(u64),
    /// The journal did not take it; the hold is not in force, or stays in force.
    #[error("{0}")]
    Journal(String),
}

fn bad(field: &'static str, problem: impl Into<String>, remedy: &'static str) -> HoldRefused {
    HoldRefused::Bad(field, problem.into(), remedy)
}

/// A reason that says something.
fn reason(text: &str) -> Result<String, HoldRefused> {
    let text = text.trim();
    if text.is_empty() {
        return Err(bad("reason", "A hold has no reason.", "Say why, in a sentence."));
    }
    if text.chars().count() > limits::HOLD_REASON_CHARS_MAX || text.chars().any(char::is_control) {
        let problem =
            format!("A reason has at most {} characters, on one line.", limits::HOLD_REASON_CHARS_MAX);
        return Err(bad("reason", problem, "Shorten it; the case file has room for the rest."));
    }
    Ok(text.to_owned())
}

fn case_number(text: Option<&str>) -> Result<Option<String>, HoldRefused> {
    let Some(text) = text.map(str::trim).filter(|t| !t.is_empty()) else { return Ok(None) };
    if text.chars().count() > limits::NAME_CHARS_MAX || text.chars().any(char::is_control) {
        let problem = format!("A case number has at most {} characters.", limits::NAME_CHARS_MAX);
        return Err(bad("case_number", problem, "Write the number alone."));
    }
    Ok(Some(text.to_owned()))
}

impl Retention {
    /// Places a hold: from the answer on nothing of it is deleted. The answer says what it came too late for. Blocks for
    /// as long as a batch of deletions takes.
    ///
    /// # Errors
    /// When the request makes no sense or the journal does not take it; then there is no hold.
    pub fn place_hold(&self, request: HoldRequest) -> Result<Placed, HoldRefused> {
        let reason = reason(&request.reason)?;
        let case_number = case_number(request.case_number.as_deref())?;
        if request.to.is_some_and(|to| to <= request.from) {
            return Err(bad(
                "to_us",
                "The end is not after the start.",
                "Leave to_us out for a hold without end.",
            ));
        }
        let core = &self.core;
        let mut inner = core.inner.lock();
        let cameras = core.cameras_of(&inner, &request)?;
        if inner.state.holds.in_force() >= limits::HOLDS_MAX {
            let problem = format!("{} holds are in force; there may be no more.", limits::HOLDS_MAX);
            return Err(bad("", problem, "Release holds that are not needed any more."));
        }
        let hold = Hold {
            id: inner.state.holds.next_id(),
            cameras,
            places: request.places,
            stream: request.stream,
            from_us: request.from,
            to_us: request.to,
            reason,
            case_number,
            by: request.by,
            placed_us: core.options.clock.utc(),
            extensions: Vec::new(),
            released: None,
        };
        core.journal(kinds::HOLD_PLACED, &hold)?;
        inner.state.holds.place(hold.clone());
        core.holds_changed.fetch_add(1, Ordering::AcqRel);
        tracing::info!(hold = hold.id, cameras = hold.cameras.len(), by = hold.by, "hold placed");
        let placed = core.placed(hold);
        drop(inner);
        Ok(placed)
    }

    /// Makes a hold longer; it never becomes shorter.
    ///
    /// # Errors
    /// As [`Self::place_hold`]; also when there is no such hold in force.
    pub fn extend_hold(
        &self,
        id: u64,
        from: Option<UtcMicros>,
        to: Option<Option<UtcMicros>>,
        why: &str,
        by: &str,
    ) -> Result<Placed, HoldRefused> {
        let reason = reason(why)?;
        let mut inner = self.core.inner.lock();
        let hold = in_force(&inner, id)?;
        let shorter = "A hold is only made longer. Place another one, then release this one.";
        if from.is_some_and(|f| f > hold.from_us) {
            return Err(bad("from_us", "The start is after the one so far.", shorter));
        }
        let end = hold.to_us.unwrap_or(UtcMicros(i64::MAX));
        if matches!(to, Some(Some(new)) if new < end) {
            return Err(bad("to_us", "The end is before the one so far.", shorter));
        }
        if from.is_none() && to.is_none() {
            return Err(bad(
                "to_us",
                "Neither a start nor an end is given.",
                "Give from_us, to_us or open_end.",
            ));
        }
        let more = Extension {
            id,
            by: by.to_owned(),
            at_us: self.core.options.clock.utc(),
            reason,
            from_us: from,
            to_us: to.flatten(),
            open_end: to == Some(None),
            cameras: BTreeSet::new(),
        };
        self.core.journal(kinds::HOLD_EXTENDED, &more)?;
        inner.state.holds.extend(more);
        self.core.holds_changed.fetch_add(1, Ordering::AcqRel);
        let hold = inner.state.holds.get(id).cloned().ok_or(HoldRefused::Unknown(id))?;
        Ok(self.core.placed(hold))
    }

    /// Releases a hold: what it kept is deleted when its time is over, if no other hold keeps it.
    ///
    /// # Errors
    /// As [`Self::extend_hold`]; then the hold stays in force.
    pub fn release_hold(&self, id: u64, why: &str, by: &str) -> Result<Hold, HoldRefused> {
        let reason = reason(why)?;
        let mut inner = self.core.inner.lock();
        in_force(&inner, id)?;
        let release = Release { id, by: by.to_owned(), at_us: self.core.options.clock.utc(), reason };
        self.core.journal(kinds::HOLD_RELEASED, &release)?;
        inner.state.holds.release(release);
        self.core.holds_changed.fetch_add(1, Ordering::AcqRel);
        tracing::info!(hold = id, by, "hold released");
        inner.state.holds.get(id).cloned().ok_or(HoldRefused::Unknown(id))
    }

    /// Every hold that is in force, and those released last; in order of number.
    #[must_use]
    pub fn holds(&self) -> Vec<Hold> {
        self.core.inner.lock().state.holds.iter().cloned().collect()
    }

    /// One hold, with what it keeps and what was gone.
    #[must_use]
    pub fn hold(&self, id: u64) -> Option<Placed> {
        let hold = self.core.inner.lock().state.holds.get(id).cloned()?;
        Some(self.core.placed(hold))
    }

    /// Changes whenever a hold is placed, extended or released.
    #[must_use]
    pub fn holds_generation(&self) -> u64 {
        self.core.holds_changed.load(Ordering::Acquire)
    }

    /// What is held now, for many questions.
    #[must_use]
    pub fn holds_now(&self) -> Holds {
        self.core.inner.lock().state.holds.clone()
    }

    /// Whether any moment of `[from, to)` of a stream is held.
    #[must_use]
    pub fn is_held(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> bool {
        self.core.inner.lock().state.holds.holds(key, from, to)
    }
}

fn in_force(inner: &Inner, id: u64) -> Result<&Hold, HoldRefused> {
    let hold = inner.state.holds.get(id).ok_or(HoldRefused::Unknown(id))?;
    if hold.is_in_force() { Ok(hold) } else { Err(HoldRefused::Released(id)) }
}

impl Core {
    fn journal(&self, kind: &str, body: &impl Serialize) -> Result<u64, HoldRefused> {
        let body = serde_json::to_value(body).unwrap_or(Value::Null);
        self.options.log.append(kind, body).map_err(HoldRefused::Journal)
    }

    /// The cameras of a request, those of its places included.
    fn cameras_of(&self, inner: &Inner, request: &HoldRequest) -> Result<BTreeSet<CameraId>, HoldRefused> {
        let mut cameras = request.cameras.clone();
        let stored: BTreeSet<CameraId> =
            self.options.catalogue.keys().into_iter().map(|k| k.camera).collect();
        let unknown = cameras.iter().find(|c| !inner.cameras.contains_key(c) && !stored.contains(c));
        if let Some(camera) = unknown {
            let problem = format!("There is no camera {camera}, and no footage of one.");
            return Err(bad("cameras", problem, "Write codes of cameras as the list of cameras shows them."));
        }
        for place in &request.places {
            let there = inner.cameras.iter().filter(|(_, c)| c.places.contains(place)).map(|(id, _)| *id);
            let before = cameras.len();
            cameras.extend(there);
            let known = inner.cameras.values().any(|c| c.places.contains(place));
            if before == cameras.len() && !known {
                let problem = format!("No camera belongs to {place}.");
                return Err(bad(
                    "places",
                    problem,
                    "Write codes of sites, stations or sub-centres that have cameras.",
                ));
            }
        }
        if cameras.is_empty() {
            return Err(bad("cameras", "The hold names no camera and no place.", "Name what is to be held."));
        }
        if cameras.len() > limits::HOLD_CAMERAS_MAX {
            let problem = format!(
                "The hold names {} cameras; one has at most {}.",
                cameras.len(),
                limits::HOLD_CAMERAS_MAX
            );
            return Err(bad("cameras", problem, "Place several holds."));
        }
        Ok(cameras)
    }

    /// What a hold keeps, and what it came too late for.
    fn placed(&self, hold: Hold) -> Placed {
        let now = self.options.clock.utc();
        let until = hold.to_us.map_or(now, |to| to.min(now));
        let mut placed = Placed { hold, kept: Kept::default(), gone: Vec::new(), gone_us: 0 };
        let streams: Vec<StreamKey> = placed.hold.streams().collect();
        for key in streams {
            let from = placed.hold.from_us;
            let rows = self.options.catalogue.segments(key, from, until);
            for row in rows.iter().filter(|r| r.start() < until && from < r.end()) {
                placed.kept.segments += 1;
                placed.kept.bytes += row.bytes;
            }
            for span in self.options.catalogue.spans(key, from, until) {
                let SpanKind::Gap(reason @ (GapReason::Expired | GapReason::Sacrificed)) = span.kind else {
                    continue;
                };
                placed.gone_us += span.to.since(span.from);
                if placed.gone.len() < limits::HOLD_GONE_SPANS_MAX {
                    placed.gone.push(Gone { key, from_us: span.from, to_us: span.to, reason });
                }
            }
        }
        placed
    }

    /// Holds on places take in cameras that came to belong to them.
    pub(super) fn follow_places(&self, inner: &mut Inner) {
        let now = self.options.clock.utc();
        let mut found = Vec::new();
        for hold in inner.state.holds.iter().filter(|h| h.is_in_force() && !h.places.is_empty()) {
            let new: BTreeSet<CameraId> = inner
                .cameras
                .iter()
                .filter(|(id, c)| !hold.cameras.contains(id) && !c.places.is_disjoint(&hold.places))
                .map(|(id, _)| *id)
                .collect();
            if !new.is_empty() {
                found.push(Extension {
                    id: hold.id,
                    by: "node".to_owned(),
                    at_us: now,
                    reason: "cameras came to a place that is held".to_owned(),
                    from_us: None,
                    to_us: None,
                    open_end: false,
                    cameras: new,
                });
            }
        }
        for more in found {
            if let Err(error) = self.journal(kinds::HOLD_EXTENDED, &more) {
                // Held all the same; the next change of cameras, or start, writes it again.
                tracing::error!(%error, hold = more.id, "cameras under a hold could not be written to the journal");
                inner.errors += 1;
            }
            inner.state.holds.extend(more);
            self.holds_changed.fetch_add(1, Ordering::AcqRel);
        }
    }
}
