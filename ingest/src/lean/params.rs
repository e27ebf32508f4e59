//! Parameter sets: those that stand in the description and those that come within the stream. What is made of them is
//! made by retina's own functions, so that both paths tell the same bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use fengsui_storage::frame::{VIDEO_TIMESCALE, VideoCodec, VideoParams};
use retina::codec::h26x::Framing;
use retina::codec::{Depacketizer, ParametersRef, VideoParameters, VideoParametersCodec};

/// Which parameter set; H.264 has no VPS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Set {
    Video,
    Sequence,
    Picture,
}

/// One place for each kind of set.
type Sets = [Option<Box<[u8]>>; 3];

/// The parameters of a video track, and sets of the access unit under way that differ from them.
#[derive(Debug)]
pub(super) struct Parameters {
    codec: VideoCodec,
    known: Option<VideoParams>,
    sets: Sets,
    fresh: Sets,
}

/// Longest set that a sample entry can hold.
const SET_BYTES_MAX: usize = u16::MAX as usize;

impl Parameters {
    /// The parameters that the description tells, if it tells them rightly.
    pub fn new(codec: VideoCodec, format: Option<&str>) -> Self {
        let mut this = Self { codec, known: None, sets: Sets::default(), fresh: Sets::default() };
        let name = if codec == VideoCodec::H264 { "h264" } else { "h265" };
        if let Ok(made) = Depacketizer::new("video", name, VIDEO_TIMESCALE, None, format)
            && let Some(ParametersRef::Video(found)) = made.parameters()
        {
            let boxed = |b: &Bytes| Some(Box::from(&b[..]));
            this.sets = match found.codec_params() {
                VideoParametersCodec::H264 { sps, pps } => [None, boxed(sps), boxed(pps)],
                VideoParametersCodec::H265 { vps, sps, pps } => [boxed(vps), boxed(sps), boxed(pps)],
                _ => return this,
            };
            this.known = Some(told(codec, found));
        }
        this
    }

    /// What is known.
    pub fn known(&self) -> Option<&VideoParams> {
        self.known.as_ref()
    }

    /// Bytes of memory held for sets.
    pub fn held_bytes(&self) -> usize {
        self.sets.iter().chain(&self.fresh).flatten().map(|set| set.len()).sum()
    }

    /// A set within the access unit under way.
    pub fn offer(&mut self, set: Set, nal: &[u8]) {
        if self.known.is_some() && slot(&self.sets, set) == Some(nal) {
            return;
        }
        // One that is too long is refused with its unit; what is kept of it is enough for that.
        let kept = nal.get(..SET_BYTES_MAX + 1).unwrap_or(nal);
        if let Some(place) = self.fresh.get_mut(set as usize) {
            *place = Some(Box::from(kept));
        }
    }

    /// The access unit under way comes to nothing.
    pub fn discard(&mut self) {
        self.fresh = Sets::default();
    }

    /// The access unit under way is whole: its sets count from here on. `true`: they are other ones than before.
    ///
    /// # Errors
    /// They cannot be used.
    pub fn adopt(&mut self) -> Result<bool, &'static str> {
        if self.fresh.iter().all(Option::is_none) {
            return Ok(false);
        }
        let fresh = std::mem::take(&mut self.fresh);
        let needed = if self.codec == VideoCodec::H264 { 1 } else { 0 };
        if self.known.is_none() && fresh.iter().skip(needed).any(Option::is_none) {
            return Ok(false);
        }
        let [video, sequence, picture] = &self.sets;
        let [v, s, p] = fresh;
        let sets =
            [v.or_else(|| video.clone()), s.or_else(|| sequence.clone()), p.or_else(|| picture.clone())];
        self.known = Some(self.make(&sets).ok_or("unusable parameter sets")?);
        self.sets = sets;
        Ok(true)
    }

    fn make(&self, sets: &Sets) -> Option<VideoParams> {
        if sets.iter().flatten().any(|set| set.len() > SET_BYTES_MAX) {
            return None;
        }
        let (sps, pps) = (slot(sets, Set::Sequence)?, slot(sets, Set::Picture)?);
        if self.codec == VideoCodec::H264 {
            let made = retina::codec::h264::parameters_from_sps_and_pps(sps, pps, Framing::FourByteLength);
            return Some(told(self.codec, &made.ok()?));
        }
        let coded = |set: &[u8]| STANDARD.encode(set);
        let vps = coded(slot(sets, Set::Video)?);
        let format = format!("sprop-vps={vps};sprop-sps={};sprop-pps={}", coded(sps), coded(pps));
        let made = Depacketizer::new("video", "h265", VIDEO_TIMESCALE, None, Some(&format)).ok()?;
        match made.parameters() {
            Some(ParametersRef::Video(found)) => Some(told(self.codec, found)),
            _ => None,
        }
    }
}

fn slot(sets: &Sets, set: Set) -> Option<&[u8]> {
    sets.get(set as usize)?.as_deref()
}

fn told(codec: VideoCodec, found: &VideoParameters) -> VideoParams {
    // The size without padding to whole blocks, as the other path has it.
    let (width, height) = found.pixel_dimensions();
    VideoParams {
        codec,
        width: u16::try_from(width).unwrap_or(0),
        height: u16::try_from(height).unwrap_or(0),
        extra: Bytes::copy_from_slice(found.extra_data()),
        rfc6381: found.rfc6381_codec().to_owned(),
    }
}
