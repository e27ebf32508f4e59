//! The seeds that the fuzzers begin with, made by the code that writes such files in a node.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use fengsui_config::clock::{ManualClock, UtcMicros};
use fengsui_config::ids::{StreamKey, StreamKind, VolumeId};
use fengsui_storage::archive::{ArchiveIndex, Stored};
use fengsui_storage::catalogue::Catalogue;
use fengsui_storage::frame::{
    AccessUnit, AudioCodec, AudioParams, GapReason, StartReason, StreamInfo, Track, VideoCodec, VideoParams,
};
use fengsui_storage::fs::{Fs, PageBuf, SimFs};
use fengsui_storage::journal::{Journal, JournalOptions};
use fengsui_storage::segment::{EndReason, SegmentFlags, SegmentHead, SegmentRow, SegmentWriter};

use super::records::MARK;
use super::wire;
use super::{NOW, key};

/// The seeds of a target, with their names. `whole`: every check sum in it holds.
pub(super) fn of(target: &str) -> Vec<(String, Vec<u8>)> {
    let seeds = match target {
        "segment_reader" | "recovery" => segments(),
        "catalogue" => catalogues(),
        "journal" => journals(),
        "wire" => sessions(),
        _ => archives(),
    };
    seeds.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect()
}

fn stream_key() -> StreamKey {
    StreamKey { camera: "33080200001320000001".parse().unwrap(), stream: StreamKind::Main }
}

fn unit(n: i64, track: Track, is_key: bool, data: &'static [u8], rate: i64) -> AccessUnit {
    let utc = UtcMicros(NOW.0 + n * 40_000);
    let pts = n * rate / 25;
    let data = Bytes::from_static(data);
    AccessUnit { track, key: is_key, pts, utc, camera_utc: Some(utc), arrived: utc, lost_before: 0, data }
}

/// A small segment: `pictures` at 25 a second, with sound or without.
fn segment(pictures: i64, codec: VideoCodec, sound: bool, close: bool) -> Vec<u8> {
    let avcc =
        b"\x01\x42\xc0\x0a\xff\xe1\x00\x09\x67\x42\xc0\x0a\xdb\x04\x24\x20\x90\x01\x00\x04\x68\xce\x0f\xc8";
    let extra = if codec == VideoCodec::Mjpeg { Bytes::new() } else { Bytes::from_static(avcc) };
    let video = VideoParams { codec, width: 64, height: 64, extra, rfc6381: "avc1.42C00A".into() };
    let audio = AudioParams { codec: AudioCodec::Pcma, sample_rate: 8000, channels: 1, extra: Bytes::new() };
    let info =
        StreamInfo { video: Some(video), audio: sound.then_some(audio), start: StartReason::Connected };
    let (fs, root) = (SimFs::new(1), Path::new("/v1"));
    let head = SegmentHead {
        node: "centre".parse().unwrap(),
        volume: "v1".parse().unwrap(),
        key: stream_key(),
        number: 1,
        start: NOW,
        info: Arc::new(info),
        previous: [0; 32],
    };
    let mut writer = SegmentWriter::create(&fs, root, head, 0, key()).unwrap();
    let mut buf = PageBuf::new();
    for n in 0..pictures {
        let first = n % 25 == 0;
        // A key frame with its parameter sets, so that the order of pictures is looked up in them.
        let picture: &[u8] = if first {
            b"\0\0\0\x09\x67\x42\xc0\x0a\xdb\x04\x24\x20\x90\0\0\0\x04\x68\xce\x0f\xc8\0\0\0\x04\x65\x88\x84\x00"
        } else {
            b"\0\0\0\x05\x41\x9a\x21\x6c\x42"
        };
        writer.push(unit(n, Track::Video, first, picture, 90_000));
        if sound {
            writer.push(unit(n, Track::Audio, true, &[0xd5; 32], 8000));
        }
        let now = UtcMicros(NOW.0 + n * 40_000);
        while writer.due(now) {
            let done = writer.flush(&mut buf).unwrap();
            writer.synced(done.length);
        }
    }
    let path = writer.path().to_path_buf();
    if close {
        let path = writer.close(&fs, EndReason::Rotation, &mut buf).unwrap().path;
        return fs.get(&path).unwrap();
    }
    fs.get(&path).unwrap()
}

fn segments() -> Vec<(&'static str, Vec<u8>)> {
    let whole = segment(45, VideoCodec::H264, true, true);
    let open = segment(60, VideoCodec::H264, false, false);
    let mut torn = open.clone();
    torn.truncate(torn.len() - 1000);
    let mut damaged = segment(60, VideoCodec::H264, false, true);
    damaged[4096 + 40] ^= 4;
    vec![
        ("whole", whole),
        ("whole-mjpeg", segment(20, VideoCodec::Mjpeg, false, true)),
        ("open", open),
        ("torn", torn),
        ("damaged", damaged),
    ]
}

fn row(number: u64, start_ms: i64) -> SegmentRow {
    SegmentRow {
        volume: "v1".parse().unwrap(),
        key: stream_key(),
        number,
        start_ms,
        duration_ms: 300_000,
        flags: SegmentFlags(1),
        bytes: 70_000_000,
        closed: true,
    }
}

fn catalogues() -> Vec<(&'static str, Vec<u8>)> {
    let (fs, dir) = (SimFs::new(1), Path::new("/c"));
    let shared: Arc<dyn Fs> = Arc::new(fs.clone());
    let catalogue = Catalogue::open(shared, dir, Arc::new(ManualClock::at(NOW))).unwrap();
    let volume: VolumeId = "v1".parse().unwrap();
    for n in 1..6u64 {
        let start = UtcMicros(NOW.0 + n as i64 * 300_000_000);
        catalogue.opened(stream_key(), &volume, n, start);
        catalogue.closed(&row(n, start.millis()), [n as u8; 32]);
    }
    let later = |s: i64| UtcMicros(NOW.0 + s * 1_000_000);
    catalogue.gap(stream_key(), GapReason::CameraOffline, later(2000), later(2100));
    catalogue.gap_begin(stream_key(), GapReason::Network, later(2200));
    catalogue.opened(stream_key(), &volume, 9, later(2300));
    catalogue.open_lost(stream_key(), 9, later(2300).millis());
    let sub = StreamKey { stream: StreamKind::Sub, ..stream_key() };
    catalogue.opened(sub, &"v2".parse().unwrap(), 1, later(5));
    catalogue.removed(&row(1, NOW.millis() + 300_000), GapReason::Expired);
    catalogue.alive(later(2500));
    catalogue.flush(true).unwrap();
    let log = dir.join("catalogue.log");
    let grown = fs.get(&log).unwrap();
    catalogue.compact().unwrap();
    let fresh = fs.get(&log).unwrap();
    let mut torn = grown.clone();
    torn.truncate(torn.len() - 7);
    let mut damaged = grown.clone();
    damaged[60] ^= 8;
    let golden = include_bytes!("../../../storage/golden/catalogue-v1.bin").to_vec();
    vec![
        ("whole-grown", grown),
        ("whole-fresh", fresh),
        ("whole-golden", golden),
        ("torn", torn),
        ("damaged", damaged),
    ]
}

fn journals() -> Vec<(&'static str, Vec<u8>)> {
    let (fs, dir) = (SimFs::new(1), Path::new("/j"));
    let open = |limit: u64| {
        let clock = Arc::new(ManualClock::at(NOW));
        let shared: Arc<dyn Fs> = Arc::new(fs.clone());
        let mut options =
            JournalOptions::new(shared, dir.to_path_buf(), clock, "centre".parse().unwrap(), key());
        (options.head_every, options.file_bytes_max) = (None, limit);
        Journal::open(options).unwrap()
    };
    let life = |limit: u64| {
        let journal = open(limit);
        for n in 0..3 {
            journal.append_blocking("session.opened", serde_json::json!({"n": n})).unwrap();
        }
        let cursor = journal.cursor("uplink").unwrap();
        cursor.acknowledge(2).unwrap();
        journal.close();
    };
    life(1 << 20);
    let one = fs.get(&dir.join("0000000001.journal")).unwrap();
    life(200);
    let mut whole = Vec::new();
    for path in fs.files() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let which = match name.as_str() {
            "head" => b'h',
            "uplink.cursor" => b'u',
            n => n.as_bytes()[9],
        };
        whole.extend_from_slice(MARK);
        whole.push(which);
        whole.extend_from_slice(&fs.get(&path).unwrap());
    }
    let mut torn = one.clone();
    torn.truncate(torn.len() - 5);
    let mut damaged = whole.clone();
    damaged[200] ^= 16;
    vec![("whole-one", one), ("whole-all", whole), ("torn", torn), ("damaged", damaged)]
}

fn archives() -> Vec<(&'static str, Vec<u8>)> {
    let (fs, dir) = (SimFs::new(1), Path::new("/a"));
    let (mut index, _) = ArchiveIndex::open(&fs, dir, "far".parse().unwrap(), NOW).unwrap();
    let rows: Vec<_> = (1..5u64)
        .map(|n| Stored {
            key: stream_key(),
            number: n,
            start_ms: NOW.millis() + n as i64 * 300_000,
            duration_ms: 300_000,
            flags: SegmentFlags(1),
            bytes: 70_000_000,
            at: NOW,
            hash: [n as u8; 32],
        })
        .collect();
    index.append(&rows).unwrap();
    let whole = fs.get(&dir.join("far.log")).unwrap();
    let mut torn = whole.clone();
    torn.truncate(torn.len() - 5);
    let mut damaged = whole.clone();
    damaged[200] ^= 16;
    vec![("whole", whole), ("torn", torn), ("damaged", damaged)]
}

/// Sessions in records, and one as it goes over the connection.
fn sessions() -> Vec<(&'static str, Vec<u8>)> {
    let record = |bits: u8, payload: &[u8]| [&[bits, payload.len() as u8], payload].concat();
    let hex = |text: &str| hex::decode(text).unwrap();
    let (sps, pps) = (hex("6764001facd9405005bb016c80000003008000001e078c18cb"), hex("68ebe3cb22c0"));
    let report = hex("80c800060000000100eb0000800000000000238c0000000000000000000000");
    let idr = b"\x65\x88\x84\x00\x11";
    let stap = [&b"\x78\0\x19"[..], &sps, b"\0\x06", &pps, b"\0\x05", idr].concat();
    let h264 = [
        record(0, &sps),
        record(0, &pps),
        record(wire::MARK, idr),
        record(1, &report),
        record(wire::LATER | wire::LONG, b"\x7c\x81\x9a\x21"),
        record(wire::LONG, b"\x7c\x01\0\0\x03"),
        record(wire::MARK, b"\x7c\x41\x21\0"),
        record(wire::LATER | wire::MARK, &stap),
        record(wire::LATER | wire::LOST, b"\x41\x9a\0\0\x01\x06\x05\0"),
        record(wire::MARK | wire::ODD, b"\x41\x9a\x21"),
        record(3, b"RTSP/1.0 200 OK\r\nCSeq: 4\r\nContent-Length: 1\r\n\r\nx"),
        record(wire::AGAIN, b"\x41\x9a"),
        record(wire::LATER | wire::MARK, b"\x41\x9a\x22"),
    ]
    .concat();
    let (vps, sps5) = (
        hex("40010c01ffff0408000003009e0800000300005d959409"),
        hex("4201010408000003009e0800000300005d9000501005a2cb2b2a5261780b7020200040000003004000000642"),
    );
    let h265 = [
        record(0, &vps),
        record(0, &sps5),
        record(0, &hex("4401c07318301890")),
        record(wire::LONG, b"\x62\x01\x93\xaf"),
        record(wire::MARK, b"\x62\x01\x53\x11"),
        record(wire::LATER | wire::MARK, b"\x60\x01\0\x03\x46\x01\x50\0\x04\x02\x01\xd0\x11"),
        record(wire::LATER | wire::LOST, b"\x02\x01\xd0"),
        record(wire::LATER | wire::MARK, b"\x02\x01\xd1"),
    ]
    .concat();
    let sound = [
        record(2 | wire::MARK, b"\0\x10\0\x18abc"),
        record(2 | wire::MARK, b"\0\x20\0\x10\0\x18ababc"),
        record(2, b"\0\x10\0\x28ab"),
        record(2 | wire::MARK, b"\0\x10\0\x28cde"),
        record(2 | wire::LATER | wire::LOST, b"\0\x10\0\x28ab"),
    ]
    .concat();
    let raw = b"$\0\0\x11\x80\xe0\0\x01\0\0\x0e\x10\0\0\0\x01\x65\x88\x84\0\x11\r\nOPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n$\x09\0\x01x";
    let seed = |bits: u8, parts: &[&[u8]]| [&[bits, 3][..], &parts.concat()].concat();
    vec![
        ("h264", seed(0, &[&h264])),
        ("h264-described", seed(wire::DESCRIBED | wire::G711, &[&h264, &sound])),
        ("h265", seed(wire::H265, &[&h265])),
        ("h265-described", seed(wire::H265 | wire::DESCRIBED | wire::AAC, &[&h265, &sound])),
        ("raw", seed(wire::RAW | wire::DESCRIBED, &[raw])),
    ]
}
