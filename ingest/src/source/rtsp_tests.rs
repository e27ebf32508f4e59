//! RTSP sources against a scripted server on loopback: what a device answers, byte by byte, and what becomes of it. One
//! table for both openers of `rtsp://`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

use std::net::TcpListener;

use fengsui_config::clock::SystemClock;

use super::super::scripted::{
    ALAW, H264, IDR, PPS, SLICE, SPS, Script, bytes, framed, key_picture, listen, rtp, target, within,
};
use super::*;
use crate::lean::LeanOpener;

/// Who opens the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Retina,
    Lean,
}

const BOTH: [By; 2] = [By::Retina, By::Lean];

/// Opens a session and does `then` with it; the second of an error tells whether nonces were found not to last.
fn opened<T>(
    by: By,
    target: Target,
    then: impl AsyncFnOnce(Result<Box<dyn Source>, (Failure, bool)>) -> T,
) -> T {
    let lean = LeanOpener::new(Arc::new(SystemClock::new()), Arc::default());
    within(async {
        let work = async {
            let opened = match by {
                By::Retina => {
                    let opener = RtspOpener::default();
                    opener.open_or_explain(target).await.map_err(|r| (r.failure, r.fickle))
                }
                By::Lean => match lean.open(target).await {
                    Ok(source) => Ok(Box::new(source) as Box<dyn Source>),
                    Err(stop) => Err((stop.failure(), false)),
                },
            };
            then(opened).await
        };
        tokio::select! {
            done = work => done,
            () = lean.run() => unreachable!("it runs for ever"),
        }
    })
}

/// Why the device's session is not opened, and whether retina takes it for one with one-time nonces.
fn refused(script: &Script) -> (Failure, bool) {
    let [(retina, fickle), (lean, _)] = BOTH.map(|by| {
        opened(by, target(listen(script)), async |opened| match opened {
            Ok(_) => panic!("the session was opened by {by:?}"),
            Err(refusal) => refusal,
        })
    });
    assert_eq!(retina.class, lean.class, "{retina} / {lean}");
    assert_eq!(retina.detail, lean.detail);
    (retina, fickle)
}

fn class(script: &Script) -> FailureClass {
    refused(script).0.class
}

/// Everything until the session ends, and why it ended.
fn played(script: &Script) -> (Vec<SourceItem>, Failure) {
    let [retina, lean] = BOTH.map(|by| {
        opened(by, target(listen(script)), async |opened| {
            let mut source = opened.map_err(|r| r.0).unwrap();
            let mut items = Vec::new();
            loop {
                match std::future::poll_fn(|cx| source.poll_next(cx)).await {
                    Ok(item) => items.push(item),
                    Err(failure) => return (items, failure),
                }
            }
        })
    });
    assert_eq!(format!("{:?}", retina.0), format!("{:?}", lean.0));
    assert_eq!(retina.1.class, lean.1.class, "{} / {}", retina.1, lean.1);
    retina
}

fn media(parts: &[Vec<u8>]) -> Script {
    Script { media: parts.concat(), close: true, ..Script::default() }
}

fn short(item: &SourceItem) -> String {
    match item {
        SourceItem::Tracks { video, audio } => {
            let size = video.as_ref().map(|v| (v.width, v.height));
            format!("tracks {size:?} {:?}", audio.as_ref().map(|a| a.codec))
        }
        SourceItem::Unit(u) => {
            format!("{:?} {} lost {} bytes {}", u.track, u.raw_pts, u.lost_before, u.data.len())
        }
        SourceItem::SenderReport { track, ntp, raw_pts } => format!("report {track:?} {ntp:x} {raw_pts}"),
        SourceItem::BadPacket => "bad".to_owned(),
    }
}

fn told(items: &[SourceItem]) -> Vec<String> {
    items.iter().map(short).collect()
}

#[test]
fn parameter_sets_that_come_only_within_the_stream_are_enough() {
    let (items, end) = played(&media(&[key_picture(1, 9000), rtp(0, 4, 12_600, true, SLICE)]));
    assert_eq!(
        told(&items),
        ["tracks Some((1280, 720)) None", "Video 9000 lost 0 bytes 9", "Video 12600 lost 0 bytes 8"]
    );
    assert_eq!(end.class, FailureClass::Closed);
    let SourceItem::Tracks { video: Some(v), .. } = &items[0] else { panic!() };
    assert_eq!(v.rfc6381, "avc1.64001F");
    assert_eq!(v.extra[..4], [1, 0x64, 0x00, 0x1F], "an avcC");
}

#[test]
fn a_picture_without_parameters_is_told_as_such() {
    let (items, _) = played(&media(&[rtp(0, 1, 0, true, IDR)]));
    assert_eq!(told(&items), ["tracks None None", "Video 0 lost 0 bytes 9"]);
}

#[test]
fn other_parameters_within_the_session_are_told_before_their_picture() {
    let mut other = bytes(SPS);
    other[3] = 0x20; // level 3.2
    let changed =
        [rtp(0, 4, 3600, false, &other), rtp(0, 5, 3600, false, &bytes(PPS)), rtp(0, 6, 3600, true, IDR)]
            .concat();
    let (items, _) = played(&media(&[key_picture(1, 0), changed, key_picture(7, 7200)]));
    let codecs: Vec<_> = items
        .iter()
        .filter_map(|i| match i {
            SourceItem::Tracks { video, .. } => video.as_ref().map(|v| v.rfc6381.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(codecs, ["avc1.64001F", "avc1.640020", "avc1.64001F"]);
}

#[test]
fn lost_packets_are_counted_before_the_next_picture() {
    let (items, _) = played(&media(&[key_picture(1, 0), rtp(0, 9, 7200, true, SLICE)]));
    assert_eq!(told(&items)[2], "Video 7200 lost 5 bytes 8");
}

#[test]
fn one_bad_packet_does_not_end_a_session() {
    let (items, end) = played(&media(&[
        key_picture(1, 0),
        rtp(0, 4, 3600, true, &[0x80 | 0x41, 1]),
        rtp(0, 5, 7200, true, SLICE),
    ]));
    assert_eq!(told(&items)[2..], ["bad".to_owned(), "Video 7200 lost 1 bytes 8".to_owned()]);
    assert_eq!(end.class, FailureClass::Closed);
}

#[test]
fn nothing_but_bad_packets_ends_it() {
    let bad: Vec<Vec<u8>> = (0..200).map(|n| rtp(0, n, u32::from(n) * 3600, true, &[0xFF, 1])).collect();
    let (items, end) = played(&media(&bad));
    assert_eq!(items.len(), limits::BAD_PACKETS_MAX as usize);
    assert_eq!(end.class, FailureClass::BadData);
}

#[test]
fn sender_reports_are_passed_on() {
    let mut report = vec![0x80, 200, 0, 6];
    report.extend_from_slice(&0x1000_u32.to_be_bytes());
    report.extend_from_slice(&0xEB00_0000_8000_0000_u64.to_be_bytes());
    report.extend_from_slice(&9000_u32.to_be_bytes());
    report.extend_from_slice(&[0; 8]);
    let (items, _) = played(&media(&[key_picture(1, 9000), framed(1, &report)]));
    assert_eq!(told(&items)[2], "report Video eb00000080000000 9000");
}

#[test]
fn sound_is_a_second_track() {
    let script = Script {
        sdp: format!("{H264}{ALAW}"),
        ..media(&[key_picture(1, 0), rtp(2, 1, 160, true, &[0xD5; 160])])
    };
    let (items, _) = played(&script);
    assert_eq!(
        told(&items),
        ["tracks Some((1280, 720)) Some(Pcma)", "Video 0 lost 0 bytes 9", "Audio 160 lost 0 bytes 160"]
    );
}

#[test]
fn garbage_within_a_session_is_bad_data() {
    let (items, end) = played(&Script { close: false, ..media(&[key_picture(1, 0), vec![0xFF; 64]]) });
    assert_eq!((items.len(), end.class), (2, FailureClass::BadData));
}

#[test]
fn status_codes_of_every_step_have_their_class() {
    let at = |step: usize, status: u16| {
        let mut script = Script::default();
        script.status[step] = status;
        class(&script)
    };
    assert_eq!(at(0, 404), FailureClass::WrongPath);
    assert_eq!(at(0, 453), FailureClass::Busy);
    assert_eq!(at(1, 453), FailureClass::Busy);
    assert_eq!(at(2, 503), FailureClass::Busy);
    assert_eq!(at(1, 461), FailureClass::Unsupported);
    assert_eq!(at(1, 404), FailureClass::WrongPath);
}

#[test]
fn refused_credentials_are_told_from_nonces_that_do_not_last() {
    let (wrong, fickle) = refused(&Script { status: [401, 200, 200], ..Script::default() });
    assert_eq!((wrong.class, fickle), (FailureClass::Auth, false));
    assert!(!wrong.detail.contains("s3cret"));
    let (later, fickle) = refused(&Script { challenge: true, status: [200, 401, 200], ..Script::default() });
    assert_eq!((later.class, fickle), (FailureClass::Auth, true));
}

#[test]
fn what_speaks_another_protocol_is_not_rtsp() {
    for text in
        ["HTTP/1.1 400 Bad Request\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "\u{1}\u{2}\u{3}\u{4}garbage\r\n\r\n"]
    {
        let instead = Some(text.as_bytes().to_vec());
        assert_eq!(class(&Script { instead, ..Script::default() }), FailureClass::NotRtsp, "{text:?}");
    }
    assert_eq!(class(&Script { instead: Some(Vec::new()), ..Script::default() }), FailureClass::Closed);
}

#[test]
fn a_closed_port_is_unreachable() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for by in BOTH {
        let (failure, _) = opened(by, target(address), async |o| o.map(|_| ()).unwrap_err());
        assert_eq!(failure.class, FailureClass::Unreachable);
        assert_eq!(failure.detail, "The device refused the connection (nothing listens on this port).");
    }
}

#[test]
fn codings_that_are_not_supported_are_named() {
    let vp8 = "m=video 0 RTP/AVP 97\r\na=rtpmap:97 VP8/90000\r\na=control:track0\r\n";
    let (failure, _) = refused(&Script { sdp: vp8.to_owned(), ..Script::default() });
    assert_eq!(failure.class, FailureClass::Unsupported);
    assert!(failure.detail.contains("vp8"), "{failure}");
    let (failure, _) = refused(&Script { sdp: ALAW.to_owned(), ..Script::default() });
    assert_eq!(failure.detail, "The device offers no video.");
}
