//! The register of viewings (Regulation on public-security video systems, Art. 16): who saw what, durable before the
//! first byte leaves. A [`Viewed`] is the proof that the row is on disk; stored pictures are given for it alone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fengsui_config::clock::{Clock, MonoMicros, UtcMicros};
use fengsui_config::ids::StreamKey;
use parking_lot::Mutex;
use serde_json::json;

use super::access::{CameraAccess, Via};
use super::register::{Register, kinds};
use crate::http::problem::ApiError;

/// For how long a row stands for repeated requests of the same pictures by the same person.
const ROW_STANDS_FOR: Duration = Duration::from_secs(3600);
/// Rows start and end on whole minutes, so that seeking about writes few of them.
const GRAIN_US: i64 = 60_000_000;
/// Ranges remembered; when there are more all are forgotten, and rows are written anew.
const RANGES_MAX: usize = 20_000;

/// Proof that the viewing of one stream and range is in the register.
#[derive(Debug)]
pub struct Viewed {
    key: StreamKey,
    from: UtcMicros,
    to: UtcMicros,
}

impl Viewed {
    /// The stream.
    #[must_use]
    pub fn key(&self) -> StreamKey {
        self.key
    }
    /// Start of what may be shown.
    #[must_use]
    pub fn from(&self) -> UtcMicros {
        self.from
    }
    /// End of what may be shown.
    #[must_use]
    pub fn to(&self) -> UtcMicros {
        self.to
    }
}

struct Noted {
    from: i64,
    to: i64,
    at: MonoMicros,
}

#[derive(Default)]
struct Memory {
    ranges: HashMap<(Via, StreamKey), Vec<Noted>>,
    live: HashMap<(Via, StreamKey), MonoMicros>,
    count: usize,
}

/// Writes the register of viewings.
pub struct Viewing {
    register: Arc<dyn Register>,
    clock: Arc<dyn Clock>,
    memory: Mutex<Memory>,
}

impl Viewing {
    /// A register that remembers no row yet.
    #[must_use]
    pub fn new(register: Arc<dyn Register>, clock: Arc<dyn Clock>) -> Self {
        Self { register, clock, memory: Mutex::new(Memory::default()) }
    }

    /// Makes sure that the register says that `access` sees `from..to`; `how` is a word such as `playback`.
    ///
    /// # Errors
    /// When the range is not allowed, or the row cannot be made durable: then nothing may be shown.
    pub async fn footage(
        &self,
        access: &CameraAccess,
        from: UtcMicros,
        to: UtcMicros,
        how: &'static str,
    ) -> Result<Viewed, ApiError> {
        let (from, to) = access.clip(from, to)?;
        let place = (access.principal().via(), access.key());
        let first = from.0.div_euclid(GRAIN_US).saturating_mul(GRAIN_US);
        let last = to.0.saturating_add(GRAIN_US - 1).div_euclid(GRAIN_US).saturating_mul(GRAIN_US);
        let viewed = Viewed { key: access.key(), from, to };
        if self.noted(place, |n| n.from <= first && last <= n.to) {
            return Ok(viewed);
        }
        let body = json!({
            "by": access.principal().user().name.as_ref(), "address": access.principal().address().to_string(),
            "camera": access.key().camera, "stream": access.key().stream,
            "from_us": first, "to_us": last, "how": how,
        });
        self.register
            .append(kinds::VIEWING_FOOTAGE, body)
            .await
            .map_err(|e| ApiError::internal("write the register of viewings", &e))?;
        self.note(place, first, last);
        Ok(viewed)
    }

    /// As [`Viewing::footage`] for a part of a segment that a list named before: a row that meets `from..to` is enough.
    ///
    /// # Errors
    /// As [`Viewing::footage`].
    pub async fn part(
        &self,
        access: &CameraAccess,
        from: UtcMicros,
        to: UtcMicros,
        how: &'static str,
    ) -> Result<Viewed, ApiError> {
        let (from, to) = access.clip(from, to)?;
        let place = (access.principal().via(), access.key());
        if self.noted(place, |n| n.from < to.0 && from.0 < n.to) {
            return Ok(Viewed { key: access.key(), from, to });
        }
        self.footage(access, from, to, how).await
    }

    /// Writes that `access` looks at the live picture, once an hour.
    ///
    /// # Errors
    /// When the row cannot be made durable.
    pub async fn live(&self, access: &CameraAccess) -> Result<(), ApiError> {
        let place = (access.principal().via(), access.key());
        let now = self.clock.mono();
        if self.memory.lock().live.get(&place).is_some_and(|at| now.since(*at) < ROW_STANDS_FOR) {
            return Ok(());
        }
        let body = json!({
            "by": access.principal().user().name.as_ref(), "address": access.principal().address().to_string(),
            "camera": access.key().camera, "stream": access.key().stream,
        });
        self.register
            .append(kinds::VIEWING_LIVE, body)
            .await
            .map_err(|e| ApiError::internal("write the register of viewings", &e))?;
        let mut memory = self.memory.lock();
        if memory.live.len() >= RANGES_MAX {
            memory.live.clear();
        }
        memory.live.insert(place, now);
        Ok(())
    }

    fn noted(&self, place: (Via, StreamKey), fits: impl Fn(&Noted) -> bool) -> bool {
        let now = self.clock.mono();
        let memory = self.memory.lock();
        let noted = memory.ranges.get(&place).map(Vec::as_slice).unwrap_or_default();
        noted.iter().any(|n| now.since(n.at) < ROW_STANDS_FOR && fits(n))
    }

    fn note(&self, place: (Via, StreamKey), from: i64, to: i64) {
        let at = self.clock.mono();
        let mut memory = self.memory.lock();
        if memory.count >= RANGES_MAX {
            memory.ranges.clear();
            memory.count = 0;
        }
        memory.count += 1;
        memory.ranges.entry(place).or_default().push(Noted { from, to, at });
    }
}
