//! The RTSP source against a scripted server on loopback: what a device answers, byte by byte, and what becomes of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use fengsui_config::Secret;

use super::*;

/// 1280x720, High, level 3.1.
const SPS: &str = "6764001facd9405005bb016c80000003008000001e078c18cb";
const PPS: &str = "68ebe3cb22c0";
const IDR: &[u8] = &[0x65, 0x88, 0x84, 0x00, 0x11];
const SLICE: &[u8] = &[0x41, 0x9A, 0x21, 0x6C];
const H264: &str = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track0\r\n";
const ALAW: &str = "m=audio 0 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=control:track1\r\n";

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

fn framed(channel: u8, data: &[u8]) -> Vec<u8> {
    let mut out = vec![b'$', channel];
    out.extend_from_slice(&(data.len() as u16).to_be_bytes());
    out.extend_from_slice(data);
    out
}

/// An interleaved RTP packet (RFC 3550 section 5.1).
fn rtp(channel: u8, seq: u16, time: u32, mark: bool, payload: &[u8]) -> Vec<u8> {
    let mut p = vec![0x80, if mark { 0xE0 } else { 0x60 }];
    p.extend_from_slice(&seq.to_be_bytes());
    p.extend_from_slice(&time.to_be_bytes());
    p.extend_from_slice(&(0x1000 + u32::from(channel)).to_be_bytes());
    p.extend_from_slice(payload);
    framed(channel, &p)
}

/// SPS, PPS and an IDR picture in packets `seq` to `seq + 2`.
fn key_picture(seq: u16, time: u32) -> Vec<u8> {
    [
        rtp(0, seq, time, false, &bytes(SPS)),
        rtp(0, seq + 1, time, false, &bytes(PPS)),
        rtp(0, seq + 2, time, true, IDR),
    ]
    .concat()
}

/// What the scripted device does.
#[derive(Clone)]
struct Script {
    /// Media part of the description.
    sdp: String,
    /// Status of DESCRIBE, SETUP and PLAY.
    status: [u16; 3],
    /// DESCRIBE first asks for credentials.
    challenge: bool,
    /// Sent instead of any answer.
    instead: Option<Vec<u8>>,
    /// Sent after PLAY.
    media: Vec<u8>,
    /// Closes the connection after the media.
    close: bool,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            sdp: H264.to_owned(),
            status: [200; 3],
            challenge: false,
            instead: None,
            media: Vec::new(),
            close: false,
        }
    }
}

fn listen(script: Script) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        // One connection; further ones find the port closed.
        let (connection, _) = listener.accept().unwrap();
        drop(listener);
        let _client_gone = talk(connection, &script);
    });
    address
}

fn talk(mut connection: TcpStream, script: &Script) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection.try_clone()?);
    let mut tracks = 0_u8;
    loop {
        let (mut head, mut line) = (String::new(), String::new());
        while reader.read_line(&mut line)? > 2 {
            head.push_str(&line);
            line.clear();
        }
        if head.is_empty() {
            return Ok(());
        }
        if let Some(instead) = &script.instead {
            connection.write_all(instead)?;
            return Ok(());
        }
        let cseq = head.lines().find_map(|l| l.strip_prefix("CSeq: ")).unwrap_or("0").to_owned();
        let step = ["DESCRIBE", "SETUP", "PLAY"].iter().position(|m| head.starts_with(m));
        let mut status = step.map_or(200, |s| script.status[s]);
        if script.challenge && step == Some(0) && !head.contains("Authorization") {
            status = 401;
        }
        let mut answer = format!("RTSP/1.0 {status} Reason\r\nCSeq: {cseq}\r\n");
        if status == 401 {
            answer.push_str("WWW-Authenticate: Digest realm=\"x\", nonce=\"n\"\r\n");
        }
        let mut body = String::new();
        match step {
            Some(0) if status == 200 => {
                body =
                    format!("v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=x\r\nt=0 0\r\na=control:*\r\n{}", script.sdp);
                answer.push_str("Content-Type: application/sdp\r\n");
            }
            Some(1) => {
                answer.push_str(&format!(
                    "Session: 1;timeout=60\r\nTransport: RTP/AVP/TCP;unicast;interleaved={}-{}\r\n",
                    tracks * 2,
                    tracks * 2 + 1
                ));
                tracks += 1;
            }
            Some(2) => answer.push_str("Session: 1\r\n"),
            _ => {}
        }
        connection.write_all(format!("{answer}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes())?;
        if step == Some(2) && status == 200 {
            connection.write_all(&script.media)?;
            if script.close {
                return Ok(());
            }
        }
    }
}

fn target(address: SocketAddr) -> Target {
    Target {
        url: format!("rtsp://{address}/cam").parse().unwrap(),
        transport: Transport::Tcp,
        credentials: Some(Credentials {
            user: "admin".to_owned(),
            password: Secret::new("s3cret".to_owned()),
        }),
    }
}

fn within<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(20), future).await.expect("20 s are enough")
    })
}

/// Why the device's session is not opened, and whether it is taken for one with one-time nonces.
fn refused(script: Script) -> (Failure, bool) {
    let opener = RtspOpener::default();
    within(async {
        match opener.open_or_explain(target(listen(script))).await {
            Ok(_) => panic!("the session was opened"),
            Err(refusal) => (refusal.failure, refusal.fickle),
        }
    })
}

fn class(script: Script) -> FailureClass {
    refused(script).0.class
}

/// Everything until the session ends, and why it ended.
fn played(script: Script) -> (Vec<SourceItem>, Failure) {
    let opener = RtspOpener::default();
    within(async {
        let mut source = opener.open_or_explain(target(listen(script))).await.map_err(|r| r.failure).unwrap();
        let mut items = Vec::new();
        loop {
            match std::future::poll_fn(|cx| source.poll_next(cx)).await {
                Ok(item) => items.push(item),
                Err(failure) => return (items, failure),
            }
        }
    })
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
    let (items, end) = played(media(&[key_picture(1, 9000), rtp(0, 4, 12_600, true, SLICE)]));
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
    let (items, _) = played(media(&[rtp(0, 1, 0, true, IDR)]));
    assert_eq!(told(&items), ["tracks None None", "Video 0 lost 0 bytes 9"]);
}

#[test]
fn other_parameters_within_the_session_are_told_before_their_picture() {
    let mut other = bytes(SPS);
    other[3] = 0x20; // level 3.2
    let changed =
        [rtp(0, 4, 3600, false, &other), rtp(0, 5, 3600, false, &bytes(PPS)), rtp(0, 6, 3600, true, IDR)]
            .concat();
    let (items, _) = played(media(&[key_picture(1, 0), changed, key_picture(7, 7200)]));
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
    let (items, _) = played(media(&[key_picture(1, 0), rtp(0, 9, 7200, true, SLICE)]));
    assert_eq!(told(&items)[2], "Video 7200 lost 5 bytes 8");
}

#[test]
fn one_bad_packet_does_not_end_a_session() {
    let (items, end) = played(media(&[
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
    let (items, end) = played(media(&bad));
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
    let (items, _) = played(media(&[key_picture(1, 9000), framed(1, &report)]));
    assert_eq!(told(&items)[2], "report Video eb00000080000000 9000");
}

#[test]
fn sound_is_a_second_track() {
    let script = Script {
        sdp: format!("{H264}{ALAW}"),
        ..media(&[key_picture(1, 0), rtp(2, 1, 160, true, &[0xD5; 160])])
    };
    let (items, _) = played(script);
    assert_eq!(
        told(&items),
        ["tracks Some((1280, 720)) Some(Pcma)", "Video 0 lost 0 bytes 9", "Audio 160 lost 0 bytes 160"]
    );
}

#[test]
fn garbage_within_a_session_is_bad_data() {
    let (items, end) = played(Script { close: false, ..media(&[key_picture(1, 0), vec![0xFF; 64]]) });
    assert_eq!((items.len(), end.class), (2, FailureClass::BadData));
}

#[test]
fn status_codes_of_every_step_have_their_class() {
    let at = |step: usize, status: u16| {
        let mut script = Script::default();
        script.status[step] = status;
        class(script)
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
    let (wrong, fickle) = refused(Script { status: [401, 200, 200], ..Script::default() });
    assert_eq!((wrong.class, fickle), (FailureClass::Auth, false));
    assert!(!wrong.detail.contains("s3cret"));
    let (later, fickle) = refused(Script { challenge: true, status: [200, 401, 200], ..Script::default() });
    assert_eq!((later.class, fickle), (FailureClass::Auth, true));
}

#[test]
fn what_speaks_another_protocol_is_not_rtsp() {
    for text in
        ["HTTP/1.1 400 Bad Request\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "\u{1}\u{2}\u{3}\u{4}garbage\r\n\r\n"]
    {
        let instead = Some(text.as_bytes().to_vec());
        assert_eq!(class(Script { instead, ..Script::default() }), FailureClass::NotRtsp, "{text:?}");
    }
    assert_eq!(class(Script { instead: Some(Vec::new()), ..Script::default() }), FailureClass::Closed);
}

#[test]
fn a_closed_port_is_unreachable() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let opener = RtspOpener::default();
    let failure =
        within(opener.open_or_explain(target(address))).map(|_| ()).map_err(|r| r.failure).unwrap_err();
    assert_eq!(failure.class, FailureClass::Unreachable);
    assert_eq!(failure.detail, "The device refused the connection (nothing listens on this port).");
}

#[test]
fn codings_that_are_not_supported_are_named() {
    let vp8 = "m=video 0 RTP/AVP 97\r\na=rtpmap:97 VP8/90000\r\na=control:track0\r\n";
    let (failure, _) = refused(Script { sdp: vp8.to_owned(), ..Script::default() });
    assert_eq!(failure.class, FailureClass::Unsupported);
    assert!(failure.detail.contains("vp8"), "{failure}");
    let (failure, _) = refused(Script { sdp: ALAW.to_owned(), ..Script::default() });
    assert_eq!(failure.detail, "The device offers no video.");
}
