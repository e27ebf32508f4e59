//! From what a session delivers to what the hub takes: runs of access units with both clocks. Pure.
//!
//! A run always begins with a key frame. It begins when a session has its first one, when the parameters at a key frame
//! differ from the run's, and at the first key frame after a clock step ([`crate::clockmap`]). Until that key frame the
//! old run goes on, so that neither change nor step costs a picture. A run also ends where a camera was silent for
//! `limits::STALL_AFTER`, so that a hole within a session becomes a gap with a reason.

use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;
use fengsui_storage::board::FailureClass;
use fengsui_storage::frame::{
    AccessUnit, AudioParams, GapReason, StartReason, StreamInfo, Track, VIDEO_TIMESCALE, VideoCodec,
    VideoParams,
};

use crate::clockmap::{Arrival, ClockMap, Stamp, Step};
use crate::failure::Failure;
use crate::nal;
use crate::source::{SourceItem, SourceUnit};

/// Takes what an [`Assembler`] makes.
pub trait Output {
    /// A run begins.
    fn begin(&mut self, info: StreamInfo);
    /// The next unit of the run.
    fn push(&mut self, unit: AccessUnit);
    /// The run ended with the unit before; nothing came since.
    fn end(&mut self, reason: GapReason);
}

/// What one item came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// A video unit; `key` when a decoder can start at it.
    Video {
        /// A decoder can start here.
        key: bool,
    },
    /// Anything else.
    Other,
}

/// Counters of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Video and audio units given to the output.
    pub units: u64,
    /// Pictures given to the output.
    pub pictures: u64,
    /// Coded bytes given to the output.
    pub bytes: u64,
    /// Packets lost or unusable.
    pub lost_packets: u64,
    /// Pictures thrown away because no key frame had come yet.
    pub before_key: u64,
}

/// Makes runs out of one session.
#[derive(Debug)]
pub struct Assembler {
    video: Option<VideoParams>,
    audio: Option<AudioParams>,
    /// Parameters of the run in progress.
    run: Option<(VideoParams, Option<AudioParams>)>,
    video_map: ClockMap,
    audio_map: Option<ClockMap>,
    counters: Counters,
    offset_us: Option<i64>,
    last_step: Option<Step>,
    last_picture: Option<UtcMicros>,
}

impl Default for Assembler {
    fn default() -> Self {
        Self {
            video: None,
            audio: None,
            run: None,
            video_map: ClockMap::new(VIDEO_TIMESCALE),
            audio_map: None,
            counters: Counters::default(),
            offset_us: None,
            last_step: None,
            last_picture: None,
        }
    }
}

impl Assembler {
    /// Counters of this session.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Camera time less node time at the last picture, in microseconds, when sender reports tell it.
    #[must_use]
    pub fn offset_us(&self) -> Option<i64> {
        self.offset_us
    }

    /// Parameters of the run in progress.
    #[must_use]
    pub fn running(&self) -> Option<&VideoParams> {
        self.run.as_ref().map(|(video, _)| video)
    }

    /// The step that ended the last run, once.
    pub fn take_step(&mut self) -> Option<Step> {
        self.last_step.take()
    }

    /// Takes one item that arrived at `arrival`.
    ///
    /// # Errors
    /// `BadData` when a unit is larger than `limits::ACCESS_UNIT_BYTES_MAX`; `Unsupported` when it is coded in another
    /// way than declared.
    pub fn take(
        &mut self,
        item: SourceItem,
        arrival: Arrival,
        out: &mut dyn Output,
    ) -> Result<Taken, Failure> {
        match item {
            SourceItem::Tracks { video, audio } => {
                if audio.as_ref().map(|a| a.sample_rate) != self.audio.as_ref().map(|a| a.sample_rate) {
                    self.audio_map = audio.as_ref().map(|a| ClockMap::new(a.sample_rate));
                }
                self.video = video;
                self.audio = audio;
            }
            SourceItem::SenderReport { track: Track::Video, ntp, raw_pts } => {
                self.video_map.sender_report(ntp, raw_pts)
            }
            SourceItem::SenderReport { track: Track::Audio, ntp, raw_pts } => {
                if let Some(map) = &mut self.audio_map {
                    map.sender_report(ntp, raw_pts);
                }
            }
            SourceItem::BadPacket => self.counters.lost_packets += 1,
            SourceItem::Unit(unit) => {
                if unit.data.len() > limits::ACCESS_UNIT_BYTES_MAX {
                    let text = format!(
                        "The device sent a picture of {} bytes, which is too large.",
                        unit.data.len()
                    );
                    return Err(Failure::new(FailureClass::BadData, text));
                }
                self.counters.lost_packets += u64::from(unit.lost_before);
                match unit.track {
                    Track::Video => return self.video_unit(unit, arrival, out),
                    Track::Audio => self.audio_unit(unit, arrival, out),
                }
            }
        }
        Ok(Taken::Other)
    }

    fn video_unit(
        &mut self,
        unit: SourceUnit,
        arrival: Arrival,
        out: &mut dyn Output,
    ) -> Result<Taken, Failure> {
        let codec = self.video.as_ref().map_or(VideoCodec::H264, |v| v.codec);
        let contents = nal::look(codec, &unit.data);
        if !contents.whole || unit.data.is_empty() {
            self.counters.lost_packets += 1;
            return Ok(Taken::Other);
        }
        if contents.foreign {
            return Err(foreign(codec));
        }
        let mut stamp = self.video_map.stamp(unit.raw_pts, arrival);
        let silent = self.last_picture.is_some_and(|last| stamp.utc > last + limits::STALL_AFTER);
        self.last_picture = Some(stamp.utc);
        if silent && self.run.take().is_some() {
            out.end(GapReason::Network);
        }
        let key = contents.key && self.video.is_some();
        if key && let Some(info) = self.next_run() {
            self.video_map.begin_run();
            if let Some(map) = &mut self.audio_map {
                map.begin_run();
            }
            stamp = self.video_map.stamp(unit.raw_pts, arrival);
            out.begin(info);
        }
        self.offset_us = stamp.camera_utc.map(|c| c.since(stamp.utc));
        self.last_picture = Some(stamp.utc);
        self.emit(unit, key, stamp, arrival, out);
        Ok(Taken::Video { key })
    }

    /// The run that has to begin at this key frame, if one has.
    fn next_run(&mut self) -> Option<StreamInfo> {
        let now = (self.video.clone()?, self.audio.clone());
        let step = self.video_map.step().or_else(|| self.audio_map.as_ref().and_then(ClockMap::step));
        let start = match &self.run {
            None => StartReason::Connected,
            Some(run) if *run != now => StartReason::ParametersChanged,
            Some(_) if step.is_some() => StartReason::ClockStep,
            Some(_) => return None,
        };
        self.last_step = step;
        self.run = Some(now.clone());
        Some(StreamInfo { video: Some(now.0), audio: now.1, start })
    }

    fn audio_unit(&mut self, unit: SourceUnit, arrival: Arrival, out: &mut dyn Output) {
        if unit.data.is_empty() {
            return;
        }
        if let Some(map) = &mut self.audio_map {
            let stamp = map.stamp(unit.raw_pts, arrival);
            // Parameters may have changed since the run began; its sound then waits for the next run, too.
            if self.run.as_ref().is_some_and(|(_, audio)| *audio == self.audio) {
                self.emit(unit, true, stamp, arrival, out);
            }
        }
    }

    fn emit(&mut self, unit: SourceUnit, key: bool, stamp: Stamp, arrival: Arrival, out: &mut dyn Output) {
        if self.run.is_none() {
            self.counters.before_key += 1;
            return;
        }
        self.counters.units += 1;
        self.counters.pictures += u64::from(unit.track == Track::Video);
        self.counters.bytes += unit.data.len() as u64;
        out.push(AccessUnit {
            track: unit.track,
            key,
            pts: stamp.pts,
            utc: stamp.utc,
            camera_utc: stamp.camera_utc,
            arrived: arrival.utc,
            lost_before: unit.lost_before,
            data: unit.data,
        });
    }
}

fn foreign(declared: VideoCodec) -> Failure {
    let text = match declared {
        VideoCodec::H264 => "The device declares H.264, but sends H.265.",
        VideoCodec::H265 => "The device declares H.265, but sends H.264.",
        VideoCodec::Mjpeg => "The device declares JPEG, but sends something else.",
    };
    Failure::new(FailureClass::Unsupported, text)
}

#[cfg(test)]
#[path = "assemble_tests.rs"]
mod tests;
