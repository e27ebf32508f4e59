//! Still pictures out of stored key frames, through FFmpeg. One access unit in, one JPEG out; nothing is kept.

use bytes::Bytes;
use ffmpeg_next as ffmpeg;

use ffmpeg::codec;
use ffmpeg::format::Pixel;
use ffmpeg::software::scaling;
use ffmpeg::util::frame;

use crate::error::StoreError;
use crate::frame::{VideoCodec, VideoParams};

/// Pixels of a picture that is decoded at most: 8K with room to spare.
const PIXELS_MAX: u64 = 8192 * 8192;
/// JPEG quantiser: 2 (best) to 31.
const JPEG_QUANTISER: usize = 4;

fn refuse(what: &'static str) -> impl Fn(ffmpeg::Error) -> StoreError {
    move |e| StoreError::Invalid(format!("{what}: {e}"))
}

/// Decodes a picture that stands alone and makes a JPEG of it whose longer side has at most `side_max` pixels.
/// Fails when the bytes are no such picture; never panics. A Motion JPEG picture that is small enough is returned
/// as it is.
pub fn jpeg(params: &VideoParams, unit: &[u8], side_max: u32) -> Result<Bytes, StoreError> {
    static START: std::sync::Once = std::sync::Once::new();
    START.call_once(|| {
        // What FFmpeg has to say about broken pictures goes into our errors, not to the terminal.
        ffmpeg::util::log::set_level(ffmpeg::util::log::Level::Quiet);
    });
    let side = u32::from(params.width.max(params.height));
    if params.codec == VideoCodec::Mjpeg && (1..=side_max).contains(&side) && unit.starts_with(&[0xff, 0xd8])
    {
        return Ok(Bytes::copy_from_slice(unit));
    }
    let picture = decode(params, unit)?;
    encode(&picture, side_max)
}

fn decode(params: &VideoParams, unit: &[u8]) -> Result<frame::Video, StoreError> {
    let (id, stream) = match params.codec {
        VideoCodec::H264 => (codec::Id::H264, annex_b(&avc_sets(&params.extra), unit)),
        VideoCodec::H265 => (codec::Id::HEVC, annex_b(&hevc_sets(&params.extra), unit)),
        VideoCodec::Mjpeg => (codec::Id::MJPEG, Some(unit.to_vec())),
    };
    let stream = stream.ok_or_else(|| StoreError::Invalid("the picture's NAL units do not hold".into()))?;
    let codec = codec::decoder::find(id);
    let codec = codec.ok_or_else(|| StoreError::Invalid(format!("FFmpeg has no decoder for {id:?}")))?;
    let mut decoder =
        codec::Context::new_with_codec(codec).decoder().video().map_err(refuse("open decoder"))?;
    let mut picture = frame::Video::empty();
    let packet = codec::packet::Packet::copy(&stream);
    decoder.send_packet(&packet).map_err(refuse("decode picture"))?;
    // The decoder holds pictures back to put them in order; the end of the stream brings the only one out.
    decoder.send_eof().map_err(refuse("decode picture"))?;
    decoder.receive_frame(&mut picture).map_err(refuse("decode picture"))?;
    let pixels = u64::from(picture.width()) * u64::from(picture.height());
    if pixels == 0 || pixels > PIXELS_MAX {
        return Err(StoreError::Invalid(format!("a picture of {}x{}", picture.width(), picture.height())));
    }
    Ok(picture)
}

fn encode(picture: &frame::Video, side_max: u32) -> Result<Bytes, StoreError> {
    let (width, height) = fit(picture.width(), picture.height(), side_max);
    let flags = scaling::Flags::BILINEAR;
    let from = (picture.format(), picture.width(), picture.height());
    let mut scaler = scaling::Context::get(from.0, from.1, from.2, Pixel::YUVJ420P, width, height, flags)
        .map_err(refuse("scale picture"))?;
    let mut small = frame::Video::empty();
    scaler.run(picture, &mut small).map_err(refuse("scale picture"))?;
    small.set_pts(Some(0));
    let codec = codec::encoder::find(codec::Id::MJPEG);
    let codec = codec.ok_or_else(|| StoreError::Invalid("FFmpeg has no JPEG encoder".into()))?;
    let mut encoder =
        codec::Context::new_with_codec(codec).encoder().video().map_err(refuse("open JPEG encoder"))?;
    encoder.set_width(width);
    encoder.set_height(height);
    encoder.set_format(Pixel::YUVJ420P);
    encoder.set_time_base((1, 25));
    encoder.set_qmin(i32::try_from(JPEG_QUANTISER).unwrap_or(2));
    encoder.set_qmax(i32::try_from(JPEG_QUANTISER).unwrap_or(31));
    let mut encoder = encoder.open_as(codec).map_err(refuse("open JPEG encoder"))?;
    encoder.send_frame(&small).map_err(refuse("encode JPEG"))?;
    encoder.send_eof().map_err(refuse("encode JPEG"))?;
    let mut packet = codec::packet::Packet::empty();
    encoder.receive_packet(&mut packet).map_err(refuse("encode JPEG"))?;
    let bytes = packet.data().filter(|d| d.starts_with(&[0xff, 0xd8]));
    bytes
        .map(Bytes::copy_from_slice)
        .ok_or_else(|| StoreError::Invalid("the JPEG encoder gave nothing".into()))
}

/// Width and height with the longer side at most `side_max`, both even.
fn fit(width: u32, height: u32, side_max: u32) -> (u32, u32) {
    let side = width.max(height).max(1);
    let scale = |n: u32| {
        let scaled =
            if side > side_max { u64::from(n) * u64::from(side_max) / u64::from(side) } else { n.into() };
        u32::try_from(scaled).unwrap_or(2).max(2) & !1
    };
    (scale(width), scale(height))
}

/// Start codes in place of lengths (ISO/IEC 14496-15 to Annex B), the parameter sets first. None when a length
/// leads beyond the end.
fn annex_b(sets: &[&[u8]], unit: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(unit.len() + sets.iter().map(|s| s.len() + 4).sum::<usize>() + 64);
    for set in sets {
        out.extend_from_slice(&[0, 0, 0, 1]);
        out.extend_from_slice(set);
    }
    let mut rest = unit;
    while !rest.is_empty() {
        let (len, after) = rest.split_first_chunk::<4>()?;
        let (nal, after) = after.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
        out.extend_from_slice(&[0, 0, 0, 1]);
        out.extend_from_slice(nal);
        rest = after;
    }
    Some(out)
}

/// One length-prefixed (16 bits) parameter set off the front.
fn set16(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))
}

/// Parameter sets of an `avcC` box (ISO/IEC 14496-15, 5.3.3.1).
fn avc_sets(extra: &[u8]) -> Vec<&[u8]> {
    let mut sets = Vec::new();
    let mut rest = extra.get(5..).unwrap_or_default();
    for mask in [0x1f, 0xff] {
        let Some((count, after)) = rest.split_first() else { return sets };
        rest = after;
        for _ in 0..(count & mask) {
            let Some((set, after)) = set16(rest) else { return sets };
            sets.push(set);
            rest = after;
        }
    }
    sets
}

/// Parameter sets of an `hvcC` box (ISO/IEC 14496-15, 8.3.3.1).
fn hevc_sets(extra: &[u8]) -> Vec<&[u8]> {
    let mut sets = Vec::new();
    let Some((arrays, mut rest)) = extra.get(22..).and_then(|r| r.split_first()) else { return sets };
    for _ in 0..*arrays {
        let Some(([_, high, low], after)) = rest.split_first_chunk::<3>() else { return sets };
        rest = after;
        for _ in 0..u16::from_be_bytes([*high, *low]) {
            let Some((set, after)) = set16(rest) else { return sets };
            sets.push(set);
            rest = after;
        }
    }
    sets
}
