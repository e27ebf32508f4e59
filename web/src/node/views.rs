//! What the parts of a node look like to the API: journal, catalogue and recorder behind its traits.

use std::sync::Arc;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::StreamKey;
use fengsui_storage::catalogue::{
    self, Catalogue, CatalogueStats, DayStrip, MINUTE_US, STRIP_MINUTES_MAX, SpanKind,
};
use fengsui_storage::frame::GapReason;
use fengsui_storage::gaps::Interval;
use fengsui_storage::journal::{Journal, JournalPage};
use fengsui_storage::playback::SegmentIndex;
use fengsui_storage::recorder::{Recorder, VolumeLoad};
use fengsui_storage::segment::SegmentRow;
use fengsui_storage::volume::{VolumeMode, VolumeState as StoredState, VolumeStatus};
use futures::future::BoxFuture;
use serde_json::Value;

use crate::archive::{self, Archives};
use crate::auth::register::{Register, RegisterError, Wanted};
use crate::media::{FootageIndex, Span, Stretch};
use crate::recordings::{
    OrderRefused, RecordingNow, Recordings, VolumeDetail, VolumeNow, VolumeOrder, VolumeState, VolumeUse,
    own_file_system,
};

/// The journal as register.
pub(super) struct JournalRegister(pub Arc<Journal>);

impl Register for JournalRegister {
    fn append(&self, kind: &'static str, body: Value) -> BoxFuture<'_, Result<u64, RegisterError>> {
        Box::pin(async move { self.0.append(kind, body).await.map_err(|e| RegisterError(e.to_string())) })
    }

    fn page(
        &self,
        before: u64,
        limit: usize,
        wanted: Wanted,
    ) -> BoxFuture<'_, Result<JournalPage, RegisterError>> {
        let journal = self.0.clone();
        Box::pin(async move {
            let read = tokio::task::spawn_blocking(move || journal.page(before, limit, &*wanted)).await;
            let page = read.map_err(|e| RegisterError(e.to_string()))?;
            page.map_err(|e| RegisterError(e.to_string()))
        })
    }

    fn errors(&self) -> u64 {
        let stats = self.0.stats();
        stats.errors + stats.head_errors
    }
}

/// The catalogue as the index of playback and timeline.
pub(super) struct CatalogueIndex {
    pub catalogue: Arc<Catalogue>,
    pub archives: Arc<Archives>,
}

impl SegmentIndex for CatalogueIndex {
    fn segments(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> Vec<SegmentRow> {
        let local = self.catalogue.segments(key, from, to);
        self.archives.tiers().add(local, key, from, to)
    }
    fn lost(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> Vec<(u64, Interval)> {
        self.catalogue.damages().lost(key, from, to)
    }
}

impl FootageIndex for CatalogueIndex {
    fn spans(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> Vec<Span> {
        let spans = self.catalogue.spans(key, from, to);
        let stretch = |kind| match kind {
            SpanKind::Footage { open } => Stretch::Footage { open, archived: false },
            SpanKind::Gap(reason) => Stretch::Gap(reason),
        };
        let spans = spans.into_iter().map(|s| (s.from, s.to, stretch(s.kind))).collect();
        let tiers = self.archives.tiers();
        let archived = |r: &SegmentRow| tiers.0.iter().any(|t| *t.id() == r.volume);
        let rows = SegmentIndex::segments(self, key, from, to);
        let rows = rows.iter().filter(|r| archived(r)).map(|r| (r.start(), r.end())).collect();
        archive::overlay(spans, rows, (from, to))
    }
    fn day_strip(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> DayStrip {
        if self.archives.tiers().0.is_empty() {
            return self.catalogue.day_strip(key, from, to);
        }
        let longest = UtcMicros(from.0.saturating_add(STRIP_MINUTES_MAX * MINUTE_US));
        let spans =
            FootageIndex::spans(self, key, from, to.min(longest)).into_iter().map(|(from, to, what)| {
                let kind = match what {
                    Stretch::Footage { open, .. } => SpanKind::Footage { open },
                    Stretch::Gap(reason) => SpanKind::Gap(reason),
                };
                catalogue::Span { from, to, kind }
            });
        DayStrip::of(key, from, to, &spans.collect::<Vec<_>>())
    }
    fn stats(&self) -> CatalogueStats {
        self.catalogue.stats()
    }
    fn extent(&self, key: StreamKey) -> (Option<UtcMicros>, Option<UtcMicros>) {
        let summary = self.catalogue.summary(key);
        let archived = self.archives.extent(key);
        (
            summary.first.into_iter().chain(archived.map(|a| a.0)).min(),
            summary.last.into_iter().chain(archived.map(|a| a.1)).max(),
        )
    }
}

/// The recorder as the API shows it.
pub(super) struct RecorderView(pub Arc<Recorder>);

impl Recordings for RecorderView {
    fn volume_details(&self) -> Vec<VolumeDetail> {
        let loads = self.0.volume_loads().into_iter();
        self.0.volumes().into_iter().zip(loads).map(|(v, load)| detail(v, load)).collect()
    }

    fn order(&self, volume: &str, order: VolumeOrder) -> Result<(), OrderRefused> {
        let id = volume.parse().map_err(|_| OrderRefused(format!("{volume} is no name of a volume")))?;
        let done = match order {
            VolumeOrder::Use => self.0.set_volume_mode(&id, VolumeMode::Use).map(drop),
            VolumeOrder::Drain => self.0.set_volume_mode(&id, VolumeMode::Drain).map(drop),
            VolumeOrder::Evacuate => self.0.set_volume_mode(&id, VolumeMode::Evacuate).map(drop),
            VolumeOrder::Adopt => self.0.adopt_volume(&id).map(drop),
            VolumeOrder::Replace | VolumeOrder::ReplaceFolder => {
                if let Some(known) = self.0.volumes().into_iter().find(|v| v.id == id) {
                    own_file_system(&known.root, order).map_err(OrderRefused)?;
                }
                self.0.replace_volume(&id).map(drop)
            }
        };
        done.map_err(|e| OrderRefused(e.to_string()))
    }

    fn stream(&self, key: &StreamKey) -> Option<RecordingNow> {
        let now = self.0.stream(*key).filter(|s| s.due)?;
        // A volume that fails keeps every stream from being recorded, whatever the camera does.
        let volumes = self.0.volumes();
        let no_room = !volumes.is_empty() && volumes.iter().all(|v| v.state != StoredState::Ok);
        let disk = if volumes.iter().all(|v| v.state == StoredState::Full) {
            GapReason::DiskFull
        } else {
            GapReason::DiskError
        };
        let reason = if no_room && !now.recording { Some(disk) } else { now.reason };
        Some(RecordingNow { recording: now.recording, reason, since: Some(now.since), last: now.last })
    }

    fn volumes(&self) -> Vec<VolumeNow> {
        let volumes = self.0.volumes().into_iter();
        let shown = volumes.map(|v| VolumeNow {
            id: v.id.to_string(),
            state: shown(v.state),
            detail: v.detail,
            total_bytes: v.total_bytes,
            free_bytes: v.free_bytes,
        });
        shown.collect()
    }
}

fn shown(state: StoredState) -> VolumeState {
    match state {
        StoredState::Ok => VolumeState::Ok,
        StoredState::Full => VolumeState::Full,
        StoredState::Error => VolumeState::Error,
        StoredState::Missing => VolumeState::Missing,
    }
}

fn detail(v: VolumeStatus, load: VolumeLoad) -> VolumeDetail {
    let (segments, bytes) = (load.usage.segments, load.usage.bytes);
    let waits = |n: u64| if load.sends_away { n } else { 0 };
    VolumeDetail {
        id: v.id.to_string(),
        state: shown(v.state),
        detail: v.detail,
        since_us: v.since.0,
        mode: match v.mode {
            VolumeMode::Use => VolumeUse::Use,
            VolumeMode::Drain => VolumeUse::Drain,
            VolumeMode::Evacuate => VolumeUse::Evacuate,
        },
        weight: v.weight,
        stage: v.stage.map(|s| s.to_string()),
        is_stage: v.is_stage,
        total_bytes: v.total_bytes,
        free_bytes: v.free_bytes,
        reserve_bytes: v.reserve_bytes,
        segments,
        bytes,
        oldest_us: load.usage.oldest_ms.map(|ms| ms.saturating_mul(1000)),
        open_segments: load.usage.open,
        waiting_segments: waits(segments),
        waiting_bytes: waits(bytes),
        moved_segments: load.moved,
        moved_bytes: load.moved_bytes,
        move_failures: load.failures,
        alarm: load.alarm,
        round_us: u64::try_from(load.round.as_micros()).unwrap_or(u64::MAX),
    }
}
