//! Any bytes as what a camera sends in a playing session.

use std::collections::VecDeque;
use std::num::NonZeroU16;

use fengsui_config::limits;
use fengsui_ingest::lean::media::{AudioMedia, Media, VideoMedia};
use fengsui_ingest::lean::wire::{Wire, WireItem};
use fengsui_ingest::nal;
use fengsui_ingest::source::SourceItem;
use fengsui_storage::frame::{Track, VideoCodec};

/// Bits of the first byte: H.265; parameter sets in the description; sound: G.711, AAC; the bytes are taken as they are.
pub(super) const H265: u8 = 1;
pub(super) const DESCRIBED: u8 = 2;
pub(super) const G711: u8 = 4;
pub(super) const AAC: u8 = 8;
pub(super) const RAW: u8 = 16;

/// Bits of the first byte of a record: the channel, or bytes between packets; what is odd about the packet.
pub(super) const CHANNEL: u8 = 3;
pub(super) const MARK: u8 = 4;
pub(super) const LATER: u8 = 8;
pub(super) const LOST: u8 = 16;
pub(super) const ODD: u8 = 32;
pub(super) const AGAIN: u8 = 64;
pub(super) const LONG: u8 = 128;

fn media(bits: u8) -> Media {
    let codec = if bits & H265 == 0 { VideoCodec::H264 } else { VideoCodec::H265 };
    let format = match codec {
        VideoCodec::H264 => "sprop-parameter-sets=Z2QAH6zZQFAFuwFsgAAAAwCAAAAeB4wYyw==,aOvjyyLA",
        _ => {
            "sprop-vps=QAEMAf//BAgAAAMAnggAAAMAAF2VlAk=;sprop-pps=RAHAcxgwGJA=;\
             sprop-sps=QgEBBAgAAAMAnggAAAMAAF2QAFAQBaLLKypSYXgLcCAgAEAAAAMAQAAABkI="
        }
    };
    let audio = |encoding: &str, format: Option<&str>| AudioMedia {
        encoding: encoding.to_owned(),
        channel: 2,
        clock_rate: if format.is_some() { 16_000 } else { 8000 },
        channels: NonZeroU16::new(1),
        format: format.map(str::to_owned),
    };
    let aac = "mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1408";
    Media {
        video: VideoMedia { codec, channel: 0, format: (bits & DESCRIBED != 0).then(|| format.to_owned()) },
        audio: match bits & (G711 | AAC) {
            0 => None,
            G711 => Some(audio("pcma", None)),
            _ => Some(audio("mpeg4-generic", Some(aac))),
        },
    }
}

/// Records made into packets: so that a changed byte reaches the depacketisers instead of breaking the framing.
fn packets(mut records: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut sequence, mut time) = ([0_u16; 4], 0_u32);
    while let [bits, length, rest @ ..] = records {
        let length = usize::from(*length).min(rest.len());
        let (payload, after) = rest.split_at(length);
        records = after;
        let channel = bits & CHANNEL;
        if channel == 3 {
            out.extend_from_slice(payload);
            continue;
        }
        let times = if bits & LONG == 0 { 1 } else { 64 };
        let mut packet = Vec::new();
        if channel != 1 {
            let number = &mut sequence[usize::from(channel)];
            *number = number.wrapping_add(u16::from(bits & LOST != 0) * 2 + u16::from(bits & AGAIN == 0));
            time = time.wrapping_add(u32::from(bits & LATER != 0) * 3600);
            let odd = bits & ODD != 0;
            packet.extend_from_slice(&[if odd { 0xB1 } else { 0x80 }, (bits & MARK) << 5 | 96]);
            packet.extend_from_slice(&number.to_be_bytes());
            packet.extend_from_slice(&time.to_be_bytes());
            packet.extend_from_slice(&[0, 0, 0, channel]);
            if odd {
                packet.extend_from_slice(&[9, 9, 9, 9, 0xBE, 0xDE, 0, 1, 1, 2, 3, 4]);
            }
        }
        packet.extend_from_slice(&payload.repeat(times));
        if channel != 1 && bits & ODD != 0 {
            packet.push(1);
        }
        let length = u16::try_from(packet.len()).unwrap();
        out.extend_from_slice(&[b'$', channel]);
        out.extend_from_slice(&length.to_be_bytes());
        out.append(&mut packet);
    }
    out
}

/// What comes of the bytes when they are split into parts of this length.
fn heard(media: &Media, bytes: &[u8], step: usize) -> (VecDeque<WireItem>, String) {
    let (mut wire, mut out) = (Wire::new(media).unwrap(), VecDeque::new());
    for part in bytes.chunks(step) {
        let end = wire.take(part, &mut out);
        // What is not whole is held once, with room; sets are held apart.
        assert!(wire.held_bytes() <= 3 * bytes.len() + 400_000, "{} bytes held", wire.held_bytes());
        if let Err(trouble) = end {
            return (out, format!("{trouble:?}"));
        }
    }
    (out, wire.closed().to_string())
}

/// Takes bytes for a session in one go and in parts: the same comes of them, no more than they held, and units of NAL
/// units have lengths that fit.
pub fn wire(bytes: &[u8]) {
    let [bits, step, rest @ ..] = bytes else { return };
    let media = media(*bits);
    let sent = if bits & RAW == 0 { packets(rest) } else { rest.to_vec() };
    let (items, end) = heard(&media, &sent, usize::MAX);
    let mut total = 0;
    for item in &items {
        match item {
            WireItem::Message(message) => {
                assert!(message.len() <= limits::RTSP_MESSAGE_BYTES_MAX);
                total += message.len();
            }
            WireItem::Source(SourceItem::Unit(unit)) => {
                assert!(unit.data.len() <= limits::ACCESS_UNIT_BYTES_MAX);
                let looked = nal::look(media.video.codec, &unit.data);
                assert!(unit.track == Track::Audio || looked.whole, "lengths that do not fit");
                total += unit.data.len();
            }
            WireItem::Source(_) => {}
        }
    }
    assert!(total <= 2 * sent.len(), "{total} bytes of {}", sent.len());
    let (parts, other) = heard(&media, &sent, usize::from(*step) * 5 + 1);
    assert!(end == other, "{end} and {other}");
    assert_eq!(format!("{items:?}"), format!("{parts:?}"));
}
