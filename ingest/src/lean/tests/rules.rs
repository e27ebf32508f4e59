//! Single rules, and where they differ from retina's on purpose: where it gives a session up, or panics, for one packet
//! that cannot be used, that packet is counted and the session goes on.

use fengsui_config::limits;

use super::device::{H264_SETS, H265_SETS, Rtp, bytes, framed};
use super::*;

const IDR: &[u8] = &[0x65, 0x88, 0x84, 0x00, 0x11];
const SLICE: &[u8] = &[0x41, 0x9A, 0x21, 0x6C];
const SLICE_H265: &[u8] = &[0x02, 0x01, 0xD0, 0x11];

fn wire(codec: VideoCodec, format: Option<&str>) -> Result<Wire, Trouble> {
    let video = VideoMedia { codec, channel: 0, format: format.map(str::to_owned) };
    Wire::new(&Media { video, audio: None })
}

fn rtp(sequence: u16, time: u32, mark: bool, payload: &[u8]) -> Vec<u8> {
    Rtp { channel: 0, sequence, time, mark, payload: payload.to_vec() }.bytes()
}

fn short(item: &WireItem) -> String {
    match item {
        WireItem::Message(message) => format!("message {}", message.len()),
        WireItem::Source(SourceItem::Unit(u)) => {
            format!("unit {} lost {} bytes {}", u.raw_pts, u.lost_before, u.data.len())
        }
        WireItem::Source(SourceItem::Tracks { video, .. }) => {
            format!("tracks {:?}", video.as_ref().map(|v| v.width))
        }
        WireItem::Source(SourceItem::BadPacket) => "bad".to_owned(),
        WireItem::Source(SourceItem::SenderReport { .. }) => "report".to_owned(),
    }
}

/// What comes of packets, and how it ends.
fn heard(codec: VideoCodec, parts: &[Vec<u8>]) -> (Vec<String>, Result<(), Trouble>) {
    let (mut wire, mut out) = (wire(codec, None).unwrap(), VecDeque::new());
    let end = wire.take(&parts.concat(), &mut out);
    (out.iter().map(short).collect(), end)
}

#[test]
fn a_nal_unit_cut_off_by_a_time_stamp_is_one_bad_packet() {
    let parts = [
        rtp(1, 0, true, SLICE),
        rtp(2, 3600, false, &[0x7C, 0x85, 1, 2]),
        rtp(3, 7200, true, SLICE),
        rtp(4, 10_800, false, &[0x7C, 0x85, 1, 2]),
        rtp(5, 14_400, true, &[0x7C, 0x45, 1, 2]),
        rtp(6, 18_000, true, SLICE),
    ];
    let (items, end) = heard(VideoCodec::H264, &parts);
    let units: Vec<_> = items.iter().filter(|i| !i.starts_with("tracks")).collect();
    assert_eq!(
        units,
        ["unit 0 lost 0 bytes 8", "bad", "unit 7200 lost 1 bytes 8", "bad", "unit 18000 lost 1 bytes 8"]
    );
    assert_eq!(end, Ok(()));
}

#[test]
fn a_broken_packet_does_not_take_the_unit_that_it_ends_with_it() {
    let parts = [rtp(1, 0, false, SLICE), rtp(2, 3600, false, &[0xFF]), rtp(3, 7200, true, SLICE)];
    let (items, _) = heard(VideoCodec::H264, &parts);
    assert_eq!(items[1..], ["unit 0 lost 0 bytes 8", "bad", "tracks None", "unit 7200 lost 1 bytes 8"]);
}

#[test]
fn an_aggregation_within_a_fragmented_nal_unit_is_a_bad_packet() {
    let ap = [&[0x60, 0x01, 0, 4][..], SLICE_H265].concat();
    let fragment = [0x62, 0x01, 0x81, 7, 7];
    let parts = [rtp(1, 0, false, &fragment), rtp(2, 0, true, &ap), rtp(3, 3600, true, SLICE_H265)];
    let (items, _) = heard(VideoCodec::H265, &parts);
    assert_eq!(items, ["bad", "tracks None", "unit 3600 lost 1 bytes 8"]);
}

#[test]
fn a_parameter_set_that_no_record_can_hold_is_a_bad_packet() {
    let [vps, sps, _] = H265_SETS[0].map(bytes);
    let mut parts = vec![rtp(1, 0, false, &vps), rtp(2, 0, false, &sps)];
    let part = vec![7; 60_000];
    parts.push(rtp(3, 0, false, &[&[0x62, 0x01, 0x80 | 34][..], &part].concat()));
    parts.push(rtp(4, 0, false, &[&[0x62, 0x01, 0x40 | 34][..], &part].concat()));
    parts.push(rtp(5, 0, true, SLICE_H265));
    assert_eq!(heard(VideoCodec::H265, &parts).0, ["bad"]);
}

#[test]
fn parameters_are_those_of_the_unit_they_stand_before() {
    let unit = |n: usize| {
        let mut stap = vec![0x78];
        for nal in [&bytes(H264_SETS[n][0])[..], &bytes(H264_SETS[n][1]), IDR] {
            stap.extend_from_slice(&(nal.len() as u16).to_be_bytes());
            stap.extend_from_slice(nal);
        }
        stap
    };
    // The second packet ends both units at once.
    let parts = [rtp(1, 0, false, &unit(0)), rtp(2, 3600, true, &unit(2))];
    let (items, _) = heard(VideoCodec::H264, &parts);
    let expected =
        ["tracks Some(1280)", "unit 0 lost 0 bytes 9", "tracks Some(640)", "unit 3600 lost 0 bytes 9"];
    assert_eq!(items, expected);
}

#[test]
fn what_is_not_known_here_is_left_to_retina() {
    for kind in [25, 26, 27, 29] {
        let (items, end) =
            heard(VideoCodec::H264, &[rtp(1, 0, true, SLICE), rtp(2, 9, true, &[0x60 | kind, 0, 0, 9])]);
        assert!(items.len() == 2 && matches!(end, Err(Trouble::Unknown(_))), "{kind}: {end:?}");
    }
    assert!(matches!(
        heard(VideoCodec::H265, &[rtp(1, 0, true, &[100, 1, 0, 0])]).1,
        Err(Trouble::Unknown(_))
    ));
    let refused = |codec, format| matches!(wire(codec, Some(format)), Err(Trouble::Unknown(_)));
    assert!(refused(VideoCodec::H264, "profile-level-id=64001f; packetization-mode=2"));
    assert!(refused(VideoCodec::H265, "sprop-max-don-diff=3"));
    assert!(refused(VideoCodec::H265, "tx-mode=MRST"));
    assert!(refused(VideoCodec::Mjpeg, ""));
    assert!(!refused(VideoCodec::H264, "packetization-mode=1"));
    assert!(!refused(VideoCodec::H265, "sprop-max-don-diff=0;tx-mode=SRST"));
    let sound = AudioMedia {
        encoding: "opus".to_owned(),
        channel: 2,
        clock_rate: 48_000,
        channels: None,
        format: None,
    };
    let video = VideoMedia { codec: VideoCodec::H264, channel: 0, format: None };
    assert!(matches!(Wire::new(&Media { video, audio: Some(sound) }), Err(Trouble::Unknown(_))));
}

#[test]
fn messages_come_in_their_place_and_whole() {
    let answer = b"RTSP/1.0 200 OK\r\nCSeq: 9\r\nContent-Length: 4\r\n\r\n$$$$";
    let all = [rtp(1, 0, true, SLICE), b"\r\n".to_vec(), answer.to_vec(), rtp(2, 9, true, SLICE)].concat();
    for step in 1..all.len() {
        let (mut wire, mut out) = (wire(VideoCodec::H264, None).unwrap(), VecDeque::new());
        for part in all.chunks(step) {
            wire.take(part, &mut out).unwrap();
        }
        let told: Vec<_> = out.iter().map(short).filter(|i| !i.starts_with("tracks")).collect();
        assert_eq!(told, ["unit 0 lost 0 bytes 8", "message 51", "unit 9 lost 0 bytes 8"], "{step}");
        let WireItem::Message(message) = out.iter().find(|i| matches!(i, WireItem::Message(_))).unwrap()
        else {
            panic!()
        };
        assert_eq!(message[..], answer[..]);
    }
}

#[test]
fn garbage_and_nothing_but_bad_packets_end_a_session_for_good() {
    let (items, end) = heard(VideoCodec::H264, &[rtp(1, 0, true, SLICE), vec![0xFF; 9]]);
    assert!(items.len() == 2 && matches!(end, Err(Trouble::Broken(_))));
    let bad: Vec<_> = (0..200).map(|n| rtp(n, 0, true, &[0xFF])).collect();
    let (items, end) = heard(VideoCodec::H264, &bad);
    assert_eq!(items.len(), limits::BAD_PACKETS_MAX as usize);
    assert!(matches!(end, Err(Trouble::Broken(_))), "{end:?}");
    let (mut wire, mut out) = (wire(VideoCodec::H264, None).unwrap(), VecDeque::new());
    let first = wire.take(&[0xFF], &mut out);
    assert!(first.is_err() && wire.take(&rtp(1, 0, true, SLICE), &mut out) == first && out.is_empty());
}

#[test]
fn where_the_device_closes_tells_what_that_means() {
    let (mut wire, mut out) = (wire(VideoCodec::H264, None).unwrap(), VecDeque::new());
    wire.take(&rtp(1, 0, true, SLICE), &mut out).unwrap();
    assert_eq!(wire.closed().class, FailureClass::Closed);
    wire.take(&rtp(2, 0, true, &[]), &mut out).unwrap();
    assert_eq!(wire.closed().detail, "The device sent unusable packets.");
    wire.take(&rtp(3, 0, true, SLICE)[..9], &mut out).unwrap();
    assert_eq!(wire.closed().class, FailureClass::BadData);
}

#[test]
fn a_unit_is_bounded_while_it_gathers() {
    let mut wire = wire(VideoCodec::H264, None).unwrap();
    let mut out = VecDeque::new();
    let part = [&[0x7C, 0x05][..], &[9; 60_000]].concat();
    wire.take(&rtp(0, 0, false, &[0x7C, 0x85, 9]), &mut out).unwrap();
    let most = limits::ACCESS_UNIT_BYTES_MAX;
    let refused = (1..1000_u16).find(|n| {
        let end = wire.take(&rtp(*n, 0, false, &part), &mut out);
        assert!(wire.held_bytes() <= 2 * most, "{n}");
        end.is_err()
    });
    assert_eq!(refused.map(usize::from), Some(most / 60_000 + 1));
    assert!(out.is_empty());
}

#[test]
fn pictures_lie_close_together_in_chunks_of_one_size() {
    // Key pictures ten times as large as the others, read as they come, in sweeps.
    let mut media = Vec::new();
    let mut sequence = 0;
    for n in 0..100_u32 {
        let parts = if n % 10 == 0 { 40 } else { 4 };
        for p in 0..parts {
            let edge = u8::from(p == 0) << 7 | u8::from(p + 1 == parts) << 6;
            let payload = [&[0x7C, edge | 1][..], &[n as u8 | 1; 1300]].concat();
            media.extend_from_slice(&rtp(sequence, n * 3600, p + 1 == parts, &payload));
            sequence += 1;
        }
    }
    for step in [1000, 1448, 20_000, 50_000, media.len()] {
        let (mut wire, mut out) = (wire(VideoCodec::H264, None).unwrap(), VecDeque::new());
        media.chunks(step).for_each(|part| wire.take(part, &mut out).unwrap());
        let units = out.iter().filter_map(|item| match item {
            WireItem::Source(SourceItem::Unit(unit)) => Some(unit.data.as_ptr_range()),
            _ => None,
        });
        let (mut count, mut bytes, mut chunks, mut end) = (0, 0, 0, std::ptr::null());
        for at in units {
            chunks += usize::from(at.start != end);
            bytes += at.end as usize - at.start as usize;
            (count, end) = (count + 1, at.end);
        }
        assert_eq!(count, 100);
        // A key picture and a few others fill a chunk; beside them lies the rest that the next one did not fit into.
        assert!(chunks * (64 << 10) <= bytes * 4 / 3 + (64 << 10), "{bytes} in {chunks}, read by {step}");
    }
}

#[test]
fn a_picture_that_outgrows_its_chunk_is_not_copied_for_every_chunk() {
    // 12 MB in packets that come one by one, so that nothing can be seen ahead.
    let part = [&[0x7C, 0x05][..], &[9; 60_000]].concat();
    let (mut wire, mut out) = (wire(VideoCodec::H264, None).unwrap(), VecDeque::new());
    wire.take(&rtp(0, 0, false, &[0x7C, 0x85, 9]), &mut out).unwrap();
    let mut sizes = std::collections::BTreeSet::new();
    for n in 1..200_u16 {
        wire.take(&rtp(n, 0, false, &part), &mut out).unwrap();
        sizes.insert(wire.held_bytes());
    }
    assert!(sizes.len() < 12, "it moved {} times", sizes.len());
}

#[test]
fn channels_that_were_not_set_up_are_passed_over() {
    let parts = [framed(7, &[1, 2, 3]), rtp(1, 0, true, SLICE), framed(255, &[])];
    assert_eq!(
        heard(VideoCodec::H264, &parts),
        (vec!["tracks None".to_owned(), "unit 0 lost 0 bytes 8".to_owned()], Ok(()))
    );
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_survived(
        bytes in proptest::collection::vec(proptest::arbitrary::any::<u8>(), 0..300),
        payloads in proptest::collection::vec(proptest::collection::vec(proptest::arbitrary::any::<u8>(), 0..40), 0..20),
    ) {
        for codec in [VideoCodec::H264, VideoCodec::H265] {
            let (mut wire, mut out) = (wire(codec, None).unwrap(), VecDeque::new());
            for (n, payload) in payloads.iter().enumerate() {
                let _ = wire.take(&rtp(n as u16, 0, n % 3 == 0, payload), &mut out);
            }
            let _ = wire.take(&bytes, &mut out);
        }
    }
}
