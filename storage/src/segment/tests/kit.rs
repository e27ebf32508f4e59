//! Streams and segments for tests.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{StreamKey, StreamKind};

use crate::frame::{
    AccessUnit, AudioCodec, AudioParams, StartReason, StreamInfo, Track, VideoCodec, VideoParams,
};
use crate::fs::{Fs, PageBuf, SimFs};
use crate::segment::{ClosedSegment, EndReason, NodeKey, SegmentHead, SegmentWriter};

/// 2025-06-01T00:00:00Z: a fixed start, so that files are the same on every run.
pub(crate) const START: UtcMicros = UtcMicros(1_748_736_000_000_000);

pub(crate) fn key() -> StreamKey {
    StreamKey { camera: "33080200001320000001".parse().unwrap(), stream: StreamKind::Main }
}

pub(crate) fn signer() -> Arc<NodeKey> {
    Arc::new(NodeKey::from_seed([7; 32]))
}

/// H.264 Constrained Baseline 64x64, and G.711 A-law if asked for.
pub(crate) fn info(audio: bool) -> Arc<StreamInfo> {
    let avcc =
        b"\x01\x42\xc0\x0a\xff\xe1\x00\x09\x67\x42\xc0\x0a\xdb\x04\x24\x20\x90\x01\x00\x04\x68\xce\x0f\xc8";
    Arc::new(StreamInfo {
        video: Some(VideoParams {
            codec: VideoCodec::H264,
            width: 64,
            height: 64,
            extra: Bytes::from_static(avcc),
            rfc6381: "avc1.42C00A".into(),
        }),
        audio: audio.then(|| AudioParams {
            codec: AudioCodec::Pcma,
            sample_rate: 8000,
            channels: 1,
            extra: Bytes::new(),
        }),
        start: StartReason::Connected,
    })
}

pub(crate) fn head(number: u64, info: &Arc<StreamInfo>) -> SegmentHead {
    SegmentHead {
        node: "centre".parse().unwrap(),
        volume: "v1".parse().unwrap(),
        key: key(),
        number,
        start: START,
        info: info.clone(),
        previous: [0; 32],
    }
}

/// Bytes that differ per unit and never look like a box.
pub(crate) fn data(n: u64, len: usize) -> Bytes {
    let mut state = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let bytes = (0..len).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    });
    Bytes::from(bytes.collect::<Vec<_>>())
}

pub(crate) fn picture(n: u64, fps: u64, key: bool, len: usize) -> AccessUnit {
    let utc = UtcMicros(START.0 + (n * 1_000_000 / fps) as i64);
    AccessUnit {
        track: Track::Video,
        key,
        pts: (n * 90_000 / fps) as i64,
        utc,
        camera_utc: Some(UtcMicros(utc.0 + 250_000)),
        arrived: utc,
        lost_before: 0,
        data: data(n, len),
    }
}

pub(crate) fn sound(n: u64) -> AccessUnit {
    let utc = UtcMicros(START.0 + (n * 40_000) as i64);
    AccessUnit {
        track: Track::Audio,
        key: true,
        pts: (n * 320) as i64,
        utc,
        camera_utc: None,
        arrived: utc,
        lost_before: 0,
        data: data(n + 1_000_000, 320),
    }
}

/// `n` pictures at 25 a second with a key frame every `gop`, and sound between them if asked for.
pub(crate) fn stream(n: u64, gop: u64, len: usize, audio: bool) -> Vec<AccessUnit> {
    let mut out = Vec::new();
    for i in 0..n {
        let key = i % gop == 0;
        out.push(picture(i, 25, key, if key { len * 4 } else { len }));
        if audio {
            out.push(sound(i));
        }
    }
    out
}

/// An in-memory volume.
pub(crate) fn volume() -> (SimFs, PathBuf) {
    (SimFs::new(1), PathBuf::from("/v1"))
}

/// Pushes units as the recorder does: a flush whenever one is due.
pub(crate) fn feed(w: &mut SegmentWriter, units: &[AccessUnit], buf: &mut PageBuf) -> Vec<u64> {
    let mut lengths = Vec::new();
    for u in units {
        w.push(u.clone());
        while w.due(u.arrived) {
            lengths.push(w.flush(buf).unwrap().length);
        }
    }
    lengths
}

/// A whole closed segment.
pub(crate) fn closed(
    fs: &dyn Fs,
    root: &Path,
    info: &Arc<StreamInfo>,
    units: &[AccessUnit],
) -> ClosedSegment {
    let mut w = SegmentWriter::create(fs, root, head(1, info), 0, signer()).unwrap();
    let mut buf = PageBuf::new();
    feed(&mut w, units, &mut buf);
    w.close(fs, EndReason::Rotation, &mut buf).unwrap()
}

/// A segment that is still open, with what `units` made due.
pub(crate) fn open(
    fs: &dyn Fs,
    root: &Path,
    info: &Arc<StreamInfo>,
    units: &[AccessUnit],
) -> (SegmentWriter, Vec<u64>) {
    let mut w = SegmentWriter::create(fs, root, head(1, info), 0, signer()).unwrap();
    let lengths = feed(&mut w, units, &mut PageBuf::new());
    (w, lengths)
}
