//! The streams of the simulated cameras: which clip each shows, when each picture is due, and how its clock runs.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use fengsui_config::ids::StreamKind;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::audio::Audio;
use super::clip::{Clip, ClipError, ClipSpec, Codec};
use super::faults::{FaultKind, FaultSet};
use super::ledger::StreamLedger;
use super::options::Options;

/// Clip id in the bar code: twice the variant, plus 1 for a sub stream.
const VARIANT_BASE: u8 = 0;
const VARIANT_RESOLUTION: u8 = 1;
const VARIANT_CODEC: u8 = 2;
const VARIANT_LONG_GOP: u8 = 3;

/// What a test must know of a stream to turn bar codes into wall time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamFacts {
    /// Camera number.
    pub camera: u16,
    /// Main or sub.
    pub stream: StreamKind,
    /// `h264`, `h265` or `mjpeg`.
    pub codec: Codec,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Pictures per second.
    pub fps: f64,
    /// The same as a fraction.
    pub fps_num: u32,
    /// Its denominator.
    pub fps_den: u32,
    /// Pictures from key frame to key frame.
    pub gop_frames: u32,
    /// Pictures in the loop.
    pub loop_frames: u32,
    /// Global picture n is due at `phase_us + n / fps`, in UTC.
    pub phase_us: i64,
    /// Global picture n shows loop position `(n + offset) mod loop_frames`.
    pub offset: u32,
    /// Camera number in the bar code (clips may be shared); `null` for foreign clips.
    pub barcode_camera: Option<u16>,
    /// Clip id in the bar code.
    pub clip: Option<u8>,
    /// Mean bit rate.
    pub bits_per_second: f64,
}

/// The camera's own clocks, as faults bend them.
#[derive(Debug, Clone, Default)]
pub struct CameraClock {
    drifted_us: f64,
    drift: Option<(i64, f64)>,
    /// Added to the times in sender reports.
    pub step_us: i64,
    /// Added to RTP timestamps.
    pub jump_us: i64,
}

impl CameraClock {
    /// Camera time minus true time by drift alone.
    #[must_use]
    pub fn drift_us(&self, now_us: i64) -> f64 {
        self.drifted_us + self.drift.map_or(0.0, |(since, ppm)| (now_us - since) as f64 * ppm / 1e6)
    }

    /// From now on the clock runs by `ppm` too fast; what has drifted stays.
    pub fn set_drift(&mut self, now_us: i64, ppm: f64) {
        self.drifted_us = self.drift_us(now_us);
        self.drift = (ppm != 0.0).then_some((now_us, ppm));
    }

    /// What is added to an RTP timestamp, in microseconds.
    #[must_use]
    pub fn media_us(&self, now_us: i64) -> f64 {
        self.drift_us(now_us) + self.jump_us as f64
    }

    /// The wall clock as the camera sees it.
    #[must_use]
    pub fn wall_us(&self, now_us: i64) -> i64 {
        now_us + self.step_us + self.drift_us(now_us) as i64
    }
}

/// One stream of one camera.
#[derive(Debug)]
pub struct Stream {
    /// Camera number, from 1.
    pub camera: u16,
    /// Main or sub.
    pub kind: StreamKind,
    /// What it shows now.
    pub clip: Arc<Clip>,
    /// What it shows without faults.
    pub base: Arc<Clip>,
    /// Its sound.
    pub audio: Option<Arc<Audio>>,
    /// See [`StreamFacts::phase_us`].
    pub phase_us: i64,
    /// See [`StreamFacts::offset`].
    pub offset: u32,
    /// What is wrong with it.
    pub faults: FaultSet,
    /// What it sent.
    pub ledger: Arc<StreamLedger>,
    /// How its clocks run.
    pub clock: CameraClock,
    /// Sessions that are set up.
    pub sessions: u32,
    /// DESCRIBE requests so far.
    pub describes: u64,
}

impl Stream {
    /// When global picture `n` is due.
    #[must_use]
    pub fn due_us(&self, n: i64) -> i64 {
        self.phase_us + self.base.rate.due_us(n)
    }

    /// The last global picture due at `us`.
    #[must_use]
    pub fn frame_at(&self, us: i64) -> i64 {
        self.base.rate.at_us(us - self.phase_us)
    }

    /// The facts that the control API tells.
    #[must_use]
    pub fn facts(&self) -> StreamFacts {
        let clip = &self.clip;
        StreamFacts {
            camera: self.camera,
            stream: self.kind,
            codec: clip.codec,
            width: clip.size.0,
            height: clip.size.1,
            fps: clip.rate.per_second(),
            fps_num: clip.rate.num,
            fps_den: clip.rate.den,
            gop_frames: clip.gop_frames,
            loop_frames: clip.loop_frames(),
            phase_us: self.phase_us,
            offset: self.offset,
            barcode_camera: clip.barcode.map(|b| b.0),
            clip: clip.barcode.map(|b| b.1),
            bits_per_second: clip.bits_per_second(),
        }
    }
}

/// Position of a stream in the list of all streams.
#[must_use]
pub fn index(camera: u16, kind: StreamKind) -> usize {
    usize::from(camera.saturating_sub(1)) * 2 + usize::from(kind == StreamKind::Sub)
}

/// Makes clips and shares those that are alike.
#[derive(Debug)]
pub struct ClipStore {
    options: Arc<Options>,
    cache: PathBuf,
    foreign: Option<Arc<Clip>>,
    made: Mutex<HashMap<ClipSpec, Arc<Clip>>>,
}

impl ClipStore {
    /// A store that makes what these options ask for.
    ///
    /// # Errors
    /// When the file of `--clip` cannot be used.
    pub fn new(options: &Arc<Options>) -> Result<Self, ClipError> {
        let cache = options.cache.clone();
        let foreign = options.clip.as_deref().map(|f| Clip::from_file(f, &cache)).transpose()?.map(Arc::new);
        Ok(Self { options: Arc::clone(options), cache, foreign, made: Mutex::new(HashMap::new()) })
    }

    fn spec(&self, camera: u16, kind: StreamKind, variant: u8) -> ClipSpec {
        let o = &self.options;
        let profile = if kind == StreamKind::Main { o.main } else { o.sub };
        let clips = o.clips.unwrap_or(if o.cameras <= 16 { o.cameras } else { 4 }).clamp(1, o.cameras);
        let second_codec = o.h265_every > 0 && camera.is_multiple_of(o.h265_every);
        let gop_frames = o.gop_s * profile.fps;
        ClipSpec {
            camera: (camera - 1) % clips + 1,
            id: variant * 2 + u8::from(kind == StreamKind::Sub),
            codec: if second_codec && kind == StreamKind::Main { Codec::H265 } else { o.codec },
            width: profile.width,
            height: profile.height,
            fps: profile.fps,
            gop_frames,
            loop_frames: o.loop_s.div_ceil(o.gop_s) * gop_frames,
            kbits: profile.kbits,
        }
    }

    fn get(&self, spec: &ClipSpec) -> Result<Arc<Clip>, ClipError> {
        if let Some(clip) = self.made.lock().get(spec) {
            return Ok(Arc::clone(clip));
        }
        let clip = Arc::new(Clip::generate(spec, &self.cache)?);
        Ok(Arc::clone(self.made.lock().entry(spec.clone()).or_insert(clip)))
    }

    /// What a stream shows without faults.
    ///
    /// # Errors
    /// When the clip cannot be made.
    pub fn base(&self, camera: u16, kind: StreamKind) -> Result<Arc<Clip>, ClipError> {
        match &self.foreign {
            Some(clip) if kind == StreamKind::Main => Ok(Arc::clone(clip)),
            _ => self.get(&self.spec(camera, kind, VARIANT_BASE)),
        }
    }

    /// What a stream shows under this fault; `None` when the fault changes no pictures.
    ///
    /// # Errors
    /// When the clip cannot be made.
    pub fn under_fault(
        &self,
        camera: u16,
        kind: StreamKind,
        fault: &FaultKind,
    ) -> Result<Option<Arc<Clip>>, ClipError> {
        let spec = match fault {
            FaultKind::Resolution { width, height } => ClipSpec {
                width: width & !1,
                height: height & !1,
                ..self.spec(camera, kind, VARIANT_RESOLUTION)
            },
            FaultKind::Codec { codec, .. } => {
                ClipSpec { codec: *codec, ..self.spec(camera, kind, VARIANT_CODEC) }
            }
            FaultKind::LongGop { seconds } => {
                let spec = self.spec(camera, kind, VARIANT_LONG_GOP);
                let gop_frames = (*seconds).clamp(1, 120) * spec.fps;
                ClipSpec {
                    gop_frames,
                    loop_frames: spec.loop_frames.div_ceil(gop_frames) * gop_frames,
                    ..spec
                }
            }
            _ => return Ok(None),
        };
        self.get(&spec).map(Some)
    }

    /// Makes the clips of all cameras, two at a time, and the streams that show them.
    ///
    /// # Errors
    /// The first clip that cannot be made.
    pub fn streams(&self) -> Result<Vec<Stream>, ClipError> {
        let o = &self.options;
        let mut specs: Vec<ClipSpec> = (1..=o.cameras)
            .flat_map(|n| [StreamKind::Main, StreamKind::Sub].map(|k| (n, k)))
            .filter(|(_, k)| self.foreign.is_none() || *k == StreamKind::Sub)
            .map(|(n, k)| self.spec(n, k, VARIANT_BASE))
            .collect();
        let mut seen = std::collections::HashSet::new();
        specs.retain(|s| seen.insert(s.clone()));
        let next = std::sync::atomic::AtomicUsize::new(0);
        let work = || {
            while let Some(spec) = specs.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                self.get(spec)?;
            }
            Ok(())
        };
        std::thread::scope(|s| {
            let other = s.spawn(work);
            let mine = work();
            other
                .join()
                .unwrap_or_else(|_| Err(ClipError::Content("a clip maker panicked".to_owned())))
                .and(mine)
        })?;
        let audio = o.audio.map(|codec| Audio::generate(codec, &self.cache)).transpose()?.map(Arc::new);
        (1..=o.cameras)
            .flat_map(|n| [(n, StreamKind::Main), (n, StreamKind::Sub)])
            .map(|(n, kind)| self.stream(n, kind, audio.as_ref()))
            .collect()
    }

    fn stream(&self, camera: u16, kind: StreamKind, audio: Option<&Arc<Audio>>) -> Result<Stream, ClipError> {
        let clip = self.base(camera, kind)?;
        // Spread the cameras over one picture interval, and their key frames over a GOP (golden-ratio steps).
        let part = (f64::from(camera) * 0.618_033_988_749_895
            + if kind == StreamKind::Sub { 0.5 } else { 0.0 })
        .fract();
        Ok(Stream {
            camera,
            kind,
            phase_us: (part * 1e6 / clip.rate.per_second()) as i64,
            offset: u32::from(camera) * 7 % clip.loop_frames().max(1),
            base: Arc::clone(&clip),
            clip,
            audio: audio.filter(|_| kind == StreamKind::Main).cloned(),
            faults: FaultSet::default(),
            ledger: Arc::default(),
            clock: CameraClock::default(),
            sessions: 0,
            describes: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_adds_up_over_changes_of_rate_and_steps_touch_the_wall_clock_alone() {
        let mut clock = CameraClock::default();
        clock.set_drift(0, 100.0);
        clock.set_drift(10_000_000, 0.0);
        clock.step_us = 5_000_000;
        assert!((clock.media_us(99_000_000) - 1000.0).abs() < 1e-6);
        assert_eq!(clock.wall_us(20_000_000), 25_001_000);
    }

    #[test]
    fn streams_lie_main_and_sub_in_turn() {
        assert_eq!(
            [index(1, StreamKind::Main), index(1, StreamKind::Sub), index(3, StreamKind::Sub)],
            [0, 1, 5]
        );
    }
}
