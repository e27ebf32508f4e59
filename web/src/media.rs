//! The only door to pictures. Live ones are given for a [`CameraAccess`], stored ones for a [`Viewed`]; neither can be
//! made without the check it stands for. Stored pictures are read on blocking threads, a bounded number at once.

use std::sync::Arc;

use bytes::Bytes;
use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::StreamKey;
use fengsui_storage::catalogue::{CatalogueStats, DayStrip};
use fengsui_storage::error::StoreError;
use fengsui_storage::facets::FacetStatus;
use fengsui_storage::frame::{AccessUnit, GapReason, StreamInfo};
use fengsui_storage::hub::{Hub, HubStats, LiveTap, StreamHub};
use fengsui_storage::playback::{Footage, FootageFile, GopList, HlsSegment, SegmentIndex, is_unreachable};
use fengsui_storage::segment::SegmentRow;
use tokio::sync::Semaphore;

use crate::auth::access::CameraAccess;
use crate::auth::viewing::Viewed;
use crate::http::problem::{ApiError, Refusal};

/// Stored pictures read at once; more wait their turn, so that playback cannot take every disk queue slot.
const READS_AT_ONCE_MAX: usize = 16;

/// What a stretch of the timeline is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stretch {
    /// Pictures are stored.
    Footage {
        /// The segment is still being written.
        open: bool,
        /// It is in an archive alone: reading it takes longer, and may not work now.
        archived: bool,
    },
    /// Pictures were due and are not there.
    Gap(GapReason),
}

/// One stretch of the timeline, `from <= t < to`.
pub type Span = (UtcMicros, UtcMicros, Stretch);

/// What is known of footage without opening it.
pub trait FootageIndex: SegmentIndex + 'static {
    /// Footage and gaps within a range.
    fn spans(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> Vec<Span>;
    /// One stream at a glance, a minute a bit; at most `STRIP_MINUTES_MAX` minutes.
    fn day_strip(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> DayStrip;
    /// Sizes and counters.
    fn stats(&self) -> CatalogueStats;
    /// Start of the oldest and end of the newest footage.
    fn extent(&self, key: StreamKey) -> (Option<UtcMicros>, Option<UtcMicros>);
}

/// Takes pictures in, and gives none.
pub struct Feed(Arc<StreamHub>);

impl Feed {
    /// A run of pictures with these parameters begins.
    pub fn begin(&self, info: StreamInfo) {
        self.0.begin(info);
    }
    /// Whether a run is in progress.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.0.info().is_some()
    }
    /// Adds one. Never waits.
    pub fn push(&self, unit: AccessUnit) {
        self.0.push(unit);
    }
    /// No pictures come from now on.
    pub fn end(&self, reason: GapReason) {
        self.0.end(reason);
    }
}

/// Live and stored pictures of a node.
pub struct Media {
    hub: Arc<Hub>,
    footage: Arc<Footage>,
    index: Arc<dyn FootageIndex>,
    reads: Arc<Semaphore>,
}

impl Media {
    /// The pictures of `hub` and `footage`; `index` is the one that `footage` uses.
    #[must_use]
    pub fn new(hub: Arc<Hub>, footage: Arc<Footage>, index: Arc<dyn FootageIndex>) -> Self {
        Self { hub, footage, index, reads: Arc::new(Semaphore::new(READS_AT_ONCE_MAX)) }
    }

    /// The live picture, from the newest cached key frame on. Viewers of a sub-stream make it open.
    #[must_use]
    pub fn live(&self, access: &CameraAccess) -> LiveTap {
        self.hub.stream(access.key()).subscribe(true)
    }

    /// The way in for pictures of a stream that another node reads.
    #[must_use]
    pub fn feed(&self, key: StreamKey) -> Feed {
        Feed(self.hub.stream(key))
    }

    /// Counters of the hub; no picture.
    #[must_use]
    pub fn stats(&self) -> HubStats {
        self.hub.stats()
    }

    /// Footage and gaps; no picture.
    #[must_use]
    pub fn spans(&self, access: &CameraAccess, from: UtcMicros, to: UtcMicros) -> Vec<Span> {
        self.index.spans(access.key(), from, to)
    }

    /// Sizes and counters of the index; no picture.
    #[must_use]
    pub fn index_stats(&self) -> CatalogueStats {
        self.index.stats()
    }

    /// How the derived facets stand, when there are any; no picture.
    #[must_use]
    pub fn facets(&self) -> Option<FacetStatus> {
        self.footage.facets()
    }

    /// Stretches of time of many streams at a glance, in the order given; no picture.
    ///
    /// # Errors
    /// When the node is stopping.
    pub async fn day_strips(
        &self,
        access: Vec<CameraAccess>,
        days: Vec<(UtcMicros, UtcMicros)>,
    ) -> Result<Vec<Vec<DayStrip>>, ApiError> {
        let index = self.index.clone();
        let strips = move || {
            let of = |key| days.iter().map(|(from, to)| index.day_strip(key, *from, *to)).collect();
            access.iter().map(|a| of(a.key())).collect()
        };
        tokio::task::spawn_blocking(strips).await.map_err(|e| ApiError::internal("read days", &e))
    }

    /// Start of the oldest and end of the newest footage; no picture.
    #[must_use]
    pub fn extent(&self, access: &CameraAccess) -> (Option<UtcMicros>, Option<UtcMicros>) {
        self.index.extent(access.key())
    }

    /// Segments of a range, by name; no picture.
    #[must_use]
    pub fn segments(&self, access: &CameraAccess, from: UtcMicros, to: UtcMicros) -> Vec<SegmentRow> {
        self.index.segments(access.key(), from, to)
    }

    /// Groups of pictures of the range that `viewed` names.
    ///
    /// # Errors
    /// When storage fails.
    pub async fn gops(&self, viewed: &Viewed) -> Result<GopList, ApiError> {
        let (key, from, to) = (viewed.key(), viewed.from(), viewed.to());
        self.read(move |f| f.gops(key, from, to)).await
    }

    /// An init segment for browsers.
    ///
    /// # Errors
    /// When there is none of that id, or storage fails.
    pub async fn init(&self, access: &CameraAccess, id: String) -> Result<Bytes, ApiError> {
        let key = access.key();
        self.read(move |f| f.init(key, &id)).await
    }

    /// A group of pictures for browsers.
    ///
    /// # Errors
    /// When there is none of that id, its bytes do not match their hash, or storage fails.
    pub async fn gop(&self, viewed: &Viewed, id: String) -> Result<Bytes, ApiError> {
        let key = viewed.key();
        self.read(move |f| f.gop(key, &id)).await
    }

    /// Segments and fragments of a range for an HLS playlist.
    ///
    /// # Errors
    /// When storage fails.
    pub async fn hls(&self, viewed: &Viewed) -> Result<Vec<HlsSegment>, ApiError> {
        let (key, from, to) = (viewed.key(), viewed.from(), viewed.to());
        self.read(move |f| f.hls(key, from, to)).await
    }

    /// The stored init segment of a segment.
    ///
    /// # Errors
    /// When there is no such segment, or storage fails.
    pub async fn raw_init(&self, viewed: &Viewed, name: String) -> Result<Bytes, ApiError> {
        let key = viewed.key();
        self.read(move |f| f.raw_init(key, &name)).await
    }

    /// A fragment of a segment, as stored.
    ///
    /// # Errors
    /// When there is no such fragment, its bytes do not match their hash, or storage fails.
    pub async fn raw_fragment(&self, viewed: &Viewed, name: String, index: u32) -> Result<Bytes, ApiError> {
        let key = viewed.key();
        self.read(move |f| f.raw_fragment(key, &name, index)).await
    }

    /// A segment for range requests.
    ///
    /// # Errors
    /// When there is no such segment, or storage fails.
    pub async fn file(&self, viewed: &Viewed, name: String) -> Result<Arc<FootageFile>, ApiError> {
        let key = viewed.key();
        self.read(move |f| f.file(key, &name)).await.map(Arc::new)
    }

    /// Bytes of an open segment.
    ///
    /// # Errors
    /// When storage fails.
    pub async fn read_file(
        &self,
        file: Arc<FootageFile>,
        offset: u64,
        length: usize,
    ) -> Result<Bytes, ApiError> {
        self.read(move |_| file.read(offset, length)).await
    }

    /// The key frame at or before the end of what `viewed` names, as JPEG, with its time.
    ///
    /// # Errors
    /// When there is none, it cannot be decoded, or this build cannot decode at all.
    pub async fn still(&self, viewed: &Viewed, at: UtcMicros) -> Result<(UtcMicros, Bytes), ApiError> {
        let key = viewed.key();
        #[cfg(feature = "ffmpeg")]
        return self.read(move |f| f.still(key, at)).await;
        #[cfg(not(feature = "ffmpeg"))]
        {
            let _ = (key, at);
            Err(ApiError::new(Refusal::NotBuilt, "This build decodes no pictures.").remedy(
                "Run a build with the feature `ffmpeg`, or let the player decode the key frame itself.",
            ))
        }
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Footage) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let permit = self.reads.clone().acquire_owned().await;
        let permit = permit.map_err(|e| ApiError::internal("read footage", &e))?;
        let footage = self.footage.clone();
        let done = tokio::task::spawn_blocking(move || {
            let done = work(&footage);
            drop(permit);
            done
        });
        done.await.map_err(|e| ApiError::internal("read footage", &e))?.map_err(refuse)
    }
}

/// Kind of a storage error -> answer, for the whole API.
fn refuse(error: StoreError) -> ApiError {
    match &error {
        StoreError::NotFound(_) => ApiError::not_found(format!("{error}.")),
        StoreError::Invalid(_) => ApiError::new(Refusal::Unsupported, format!("{error}.")),
        StoreError::Damaged { .. } => {
            tracing::error!(%error, "stored bytes are damaged");
            ApiError::new(Refusal::Damaged, "The stored bytes do not match their hash; they are not shown.")
                .remedy("Run `fengsui fsck --full` on this volume and look at its disk.")
        }
        StoreError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            ApiError::not_found("The footage is not stored any more.")
        }
        StoreError::Io { .. } if is_unreachable(&error) => {
            tracing::warn!(%error, "an archive does not answer");
            ApiError::new(
                Refusal::ArchiveUnreachable,
                "The footage is in an archive that does not answer now.",
            )
            .remedy("Try again later; GET /api/v1/archive says how the archive stands.")
            .retry_after(fengsui_config::limits::ARCHIVE_REST_AFTER_FAILURE)
        }
        StoreError::Io { source, .. } if source.kind() == std::io::ErrorKind::InvalidData => {
            tracing::error!(%error, "an archive gives other bytes than were stored");
            ApiError::new(
                Refusal::Damaged,
                "The archive gives other bytes than were stored; they are not shown.",
            )
            .remedy("Run `fengsui archive verify` and look at the archive.")
        }
        StoreError::Io { .. } => ApiError::internal("read footage", &error),
    }
}
