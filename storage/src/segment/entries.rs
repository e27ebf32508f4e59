//! Sample entries and codec strings: what `moov` says about each coding.

use super::boxes::Boxes;
use crate::error::StoreError;
use crate::frame::{AudioCodec, AudioParams, VideoCodec, VideoParams};

/// MPEG-4 object type indications (ISO/IEC 14496-1 and the MP4 registration authority).
const OBJECT_AAC: u8 = 0x40;
const OBJECT_JPEG: u8 = 0x6c;
/// Stream types of a decoder configuration, shifted as in the descriptor, with the reserved bit set.
const STREAM_VIDEO: u8 = 0x04 << 2 | 1;
const STREAM_AUDIO: u8 = 0x05 << 2 | 1;

/// The sample entry of a video track.
pub(super) fn video(w: &mut Boxes, p: &VideoParams) -> Result<(), StoreError> {
    let (kind, config) = match p.codec {
        VideoCodec::H264 => (*b"avc1", Some(*b"avcC")),
        VideoCodec::H265 => (*b"hvc1", Some(*b"hvcC")),
        VideoCodec::Mjpeg => (*b"mp4v", None),
    };
    if config.is_some() && p.extra.is_empty() {
        return Err(StoreError::Invalid(
            "a video track without its parameter sets cannot be described".into(),
        ));
    }
    w.boxed(kind, |w| {
        w.zeros(6);
        w.u16(1); // data reference
        w.zeros(16);
        w.u16(p.width);
        w.u16(p.height);
        w.u32(72 << 16);
        w.u32(72 << 16);
        w.u32(0);
        w.u16(1); // frames per sample
        w.zeros(32); // compressor name
        w.u16(24); // depth
        w.u16(0xffff);
        match config {
            Some(kind) => w.boxed(kind, |w| w.bytes(&p.extra)),
            None => esds(w, OBJECT_JPEG, STREAM_VIDEO, &[]),
        }
    });
    Ok(())
}

/// The sample entry of an audio track.
pub(super) fn audio(w: &mut Boxes, p: &AudioParams) -> Result<(), StoreError> {
    let kind = match p.codec {
        AudioCodec::Aac => *b"mp4a",
        AudioCodec::Pcma => *b"alaw",
        AudioCodec::Pcmu => *b"ulaw",
    };
    if p.codec == AudioCodec::Aac && p.extra.is_empty() {
        return Err(StoreError::Invalid(
            "an AAC track without its AudioSpecificConfig cannot be described".into(),
        ));
    }
    w.boxed(kind, |w| {
        w.zeros(6);
        w.u16(1); // data reference
        w.zeros(8);
        w.u16(p.channels);
        w.u16(16); // sample size after decoding
        w.u32(0);
        w.u32(if p.sample_rate < 1 << 16 { p.sample_rate << 16 } else { 0 });
        if p.codec == AudioCodec::Aac {
            esds(w, OBJECT_AAC, STREAM_AUDIO, &p.extra);
        }
    });
    Ok(())
}

/// Elementary stream descriptor (ISO/IEC 14496-14).
fn esds(w: &mut Boxes, object: u8, stream: u8, specific: &[u8]) {
    // Sizes are written in one byte each: the config of a camera's AAC has 2 to 5 bytes.
    let specific = specific.get(..specific.len().min(64)).unwrap_or_default();
    let specific_len = if specific.is_empty() { 0 } else { 2 + u8::try_from(specific.len()).unwrap_or(0) };
    let config_len = 13 + specific_len;
    w.full(*b"esds", 0, 0, |w| {
        w.u8(3);
        w.u8(3 + 2 + config_len + 3);
        w.u16(0); // ES id
        w.u8(0);
        w.u8(4);
        w.u8(config_len);
        w.u8(object);
        w.u8(stream);
        w.zeros(3); // buffer size
        w.u32(0); // bit rates: not known
        w.u32(0);
        if !specific.is_empty() {
            w.u8(5);
            w.u8(specific_len - 2);
            w.bytes(specific);
        }
        w.bytes(&[6, 1, 2]); // SL config: as in MP4
    });
}

/// Codec string of an audio track (RFC 6381).
pub(crate) fn audio_rfc6381(p: &AudioParams) -> String {
    match p.codec {
        // The object type is the first five bits of the AudioSpecificConfig.
        AudioCodec::Aac => format!("mp4a.40.{}", p.extra.first().map_or(2, |b| b >> 3)),
        AudioCodec::Pcma => "alaw".into(),
        AudioCodec::Pcmu => "ulaw".into(),
    }
}
