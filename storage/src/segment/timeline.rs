//! Times of samples: from RTP ticks and node clock to the file's time line.

use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;

use super::mux::Sample;
use crate::frame::{AccessUnit, AudioCodec, AudioParams, StreamInfo, Track, VIDEO_TIMESCALE};

/// Duration of a picture when nothing tells it: 25 pictures a second.
const USUAL_PICTURE: u32 = VIDEO_TIMESCALE / 25;
/// Bound of every time on the file's time line, so that no sum of two overflows: 390 years at 90 kHz.
const TICKS_MAX: i64 = 1 << 50;
/// Samples of an AAC access unit (ISO/IEC 14496-3).
const AAC_FRAME: u32 = 1024;

/// The time line of one file: tick 0 is the segment's start.
#[derive(Debug)]
pub(super) struct Timeline {
    start: UtcMicros,
    audio_params: Option<AudioParams>,
    /// RTP time of tick 0, per track; set by the first unit.
    video_zero: Option<i64>,
    audio_zero: Option<i64>,
    /// Smallest decode time that the next picture may have.
    next_decode: i64,
    /// Duration of the picture before.
    usual: u32,
}

impl Timeline {
    pub(super) fn new(start: UtcMicros, info: &StreamInfo) -> Self {
        Self {
            start,
            audio_params: info.audio.clone(),
            video_zero: None,
            audio_zero: None,
            next_decode: 0,
            usual: USUAL_PICTURE,
        }
    }

    fn rate(&self, track: Track) -> i64 {
        match track {
            Track::Video => i64::from(VIDEO_TIMESCALE),
            Track::Audio => self.audio_params.as_ref().map_or(8000, |a| i64::from(a.sample_rate)),
        }
    }

    /// Sets the zero of a track by its first unit, if it has none yet.
    pub(super) fn learn(&mut self, units: &[AccessUnit]) {
        for track in [Track::Video, Track::Audio] {
            let known = if track == Track::Video { self.video_zero } else { self.audio_zero };
            let first = units.iter().filter(|u| u.track == track).min_by_key(|u| u.pts);
            if let (None, Some(first)) = (known, first) {
                let after = i128::from(first.utc.since(self.start)) * i128::from(self.rate(track));
                let after = i64::try_from(after.div_euclid(1_000_000)).unwrap_or(0).max(0);
                let zero = Some(first.pts.saturating_sub(after));
                if track == Track::Video { self.video_zero = zero } else { self.audio_zero = zero }
            }
        }
    }

    /// Presentation time of a unit in the track's ticks; may be negative for what precedes the start.
    pub(super) fn tick(&self, u: &AccessUnit) -> i64 {
        let zero = if u.track == Track::Video { self.video_zero } else { self.audio_zero };
        u.pts.saturating_sub(zero.unwrap_or(u.pts)).clamp(-TICKS_MAX, TICKS_MAX)
    }

    /// First decode time and samples of a fragment's pictures, given in decode order. Decode times are the sorted
    /// presentation times, so that each picture's composition offset says how far it is out of order.
    pub(super) fn video(&mut self, units: &[&AccessUnit], next_pts: Option<i64>) -> (u64, Vec<Sample>) {
        let shown: Vec<i64> = units.iter().map(|u| self.tick(u)).collect();
        let mut decode = shown.clone();
        decode.sort_unstable();
        for d in &mut decode {
            *d = (*d).max(self.next_decode);
            self.next_decode = *d + 1;
        }
        let Some(&last) = decode.last() else { return (0, Vec::new()) };
        let reordered = shown != decode;
        let end = self.end(last, next_pts, reordered);
        let after = decode.iter().skip(1).copied().chain([end]);
        let samples: Vec<Sample> = units
            .iter()
            .zip(&shown)
            .zip(decode.iter().zip(after))
            .map(|((u, shown), (at, after))| Sample {
                duration: u32::try_from(after - at).unwrap_or(1).max(1),
                size: u32::try_from(u.data.len()).unwrap_or(u32::MAX),
                key: u.key,
                cto: i32::try_from(shown - at).unwrap_or(0),
            })
            .collect();
        if let Some(before_last) = samples.len().checked_sub(2).and_then(|i| samples.get(i)) {
            self.usual = before_last.duration;
        } else if let Some(only) = samples.last() {
            self.usual = only.duration;
        }
        (decode.first().and_then(|d| u64::try_from(*d).ok()).unwrap_or(0), samples)
    }

    /// Decode time after the last picture.
    fn end(&self, last: i64, next_pts: Option<i64>, reordered: bool) -> i64 {
        let usual = i64::from(self.usual);
        let longest = i64::try_from(limits::FRAME_DURATION_MAX.as_millis()).unwrap_or(0) * 90;
        let exact = next_pts.map(|p| p.saturating_sub(self.video_zero.unwrap_or(0)).saturating_sub(last));
        let duration = match exact.filter(|d| (1..=longest).contains(d)) {
            // With pictures out of order the next one to be decoded may be shown only after others.
            Some(d) if reordered => d.min(usual),
            Some(d) => d,
            None => usual,
        };
        last.saturating_add(duration)
    }

    /// First decode time and samples of a fragment's sound.
    pub(super) fn audio(&self, units: &[&AccessUnit]) -> (u64, Vec<Sample>) {
        let longest = self.rate(Track::Audio) * 10;
        let mut samples = Vec::with_capacity(units.len());
        for (i, u) in units.iter().enumerate() {
            let until = units.get(i + 1).map(|n| n.pts.saturating_sub(u.pts));
            let duration = until
                .filter(|d| (1..=longest).contains(d))
                .and_then(|d| u32::try_from(d).ok())
                .unwrap_or_else(|| self.audio_duration(u.data.len()));
            let size = u32::try_from(u.data.len()).unwrap_or(u32::MAX);
            samples.push(Sample { duration, size, key: true, cto: 0 });
        }
        let first = units.first().map_or(0, |u| self.tick(u));
        (u64::try_from(first).unwrap_or(0), samples)
    }

    fn audio_duration(&self, bytes: usize) -> u32 {
        match &self.audio_params {
            Some(a) if a.codec != AudioCodec::Aac => {
                u32::try_from(bytes).unwrap_or(u32::MAX) / u32::from(a.channels.max(1))
            }
            _ => AAC_FRAME,
        }
    }
}
