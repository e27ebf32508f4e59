#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::time::Duration;

use fengsui_config::clock::SystemClock;

use super::*;
use crate::source::scripted::{ALAW, H264, Script, listen, target, within};

fn sweeps() -> Arc<Sweeps> {
    Sweeps::new(Arc::new(SystemClock::new()), Arc::default())
}

/// Opens a session with the device; `Err` with what became of it.
fn opened(script: &Script) -> Result<(), Stop> {
    let sweeps = sweeps();
    within(open(&target(listen(script)), sweeps)).map(drop)
}

#[test]
fn a_session_is_described_set_up_and_played_with_the_same_credentials() {
    let script = Script { sdp: format!("{H264}{ALAW}"), challenge: true, ..Script::default() };
    opened(&script).unwrap();
    assert_eq!(script.methods(), ["DESCRIBE", "DESCRIBE", "SETUP", "SETUP", "PLAY"]);
    let heard = script.heard.lock();
    assert!(heard[1..].iter().all(|h| h.contains("Authorization: Digest ")), "{heard:?}");
    assert!(heard.iter().all(|h| !h.contains("s3cret") && h.contains("User-Agent: fengsui")), "{heard:?}");
    assert!(heard[2].contains("/cam/track0 ") && heard[2].contains("interleaved=0-1"), "{}", heard[2]);
    assert!(heard[3].contains("interleaved=2-3") && heard[3].contains("Session: 1\r\n"), "{}", heard[3]);
    assert!(heard[4].contains("Range: npt=0.000-"), "{}", heard[4]);
}

#[test]
fn nonces_that_hold_for_one_request_are_met_anew_each_time() {
    let script = Script { fresh_nonces: true, ..Script::default() };
    opened(&script).unwrap();
    assert_eq!(script.methods(), ["DESCRIBE", "DESCRIBE", "SETUP", "SETUP", "PLAY", "PLAY"]);
}

#[test]
fn refused_credentials_are_tried_once() {
    let script = Script { status: [401, 200, 200], ..Script::default() };
    let Err(Stop::Failed(failure)) = opened(&script) else { panic!("not refused") };
    assert_eq!(failure.class, FailureClass::Auth);
    assert!(!failure.detail.contains("s3cret"), "{failure}");
    assert_eq!(script.methods().len(), 2, "devices lock accounts");
}

#[test]
fn refused_sound_is_no_reason_to_do_without_the_picture() {
    for status in [404, 461, 500] {
        let script = Script { sdp: format!("{H264}{ALAW}"), second_track: status, ..Script::default() };
        opened(&script).unwrap();
        assert_eq!(script.methods(), ["DESCRIBE", "SETUP", "SETUP", "PLAY"]);
    }
}

#[test]
fn what_is_unusual_is_told_from_what_failed() {
    let transport = |t: &str| Script { transport: Some(t.to_owned()), ..Script::default() };
    let jpeg = H264.replace("H264", "JPEG");
    for (what, script) in [
        ("datagrams", transport("RTP/AVP;unicast;client_port=5000-5001;server_port=6000-6001")),
        ("channels apart", transport("RTP/AVP/TCP;unicast;interleaved=0-5")),
        ("no second channel", transport("RTP/AVP/TCP;unicast;interleaved=255")),
        (
            "channels twice",
            Script { sdp: format!("{H264}{ALAW}"), ..transport("RTP/AVP/TCP;interleaved=0-1") },
        ),
        ("JPEG", Script { sdp: jpeg, ..Script::default() }),
        ("another kind", Script { described: "Content-Type: text/html\r\n".to_owned(), ..Script::default() }),
        ("bare line", Script { described: "no header at all\r\n".to_owned(), ..Script::default() }),
        ("no number", Script { instead: Some(b"RTSP/1.0 200 OK\r\n\r\n".to_vec()), ..Script::default() }),
    ] {
        assert!(matches!(opened(&script), Err(Stop::Unknown(_))), "{what}");
    }
}

#[test]
fn an_endless_answer_is_not_gathered() {
    let endless = [&b"RTSP/1.0 200 OK\r\nx: "[..], &[b'a'; 4 * limits::LEAN_MESSAGE_BYTES_MAX]].concat();
    let Err(Stop::Failed(failure)) = opened(&Script { instead: Some(endless), ..Script::default() }) else {
        panic!("taken")
    };
    assert_eq!(failure.class, FailureClass::NotRtsp);
}

#[test]
fn an_attempt_that_is_dropped_half_way_leaves_the_session() {
    // The device never answers PLAY.
    let script = Script { status: [200, 200, 100], ..Script::default() };
    let (sweeps, address) = (sweeps(), listen(&script));
    within(async {
        let goal = target(address);
        let mut opening = Box::pin(open(&goal, sweeps.clone()));
        while !script.methods().iter().any(|m| m == "PLAY") {
            tokio::select! {
                _ = &mut opening => panic!("the session was opened"),
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
        }
        drop(opening);
        tokio::select! {
            () = sweeps.settle() => {}
            () = sweeps.clone().run() => {}
        }
    });
    assert_eq!(script.methods(), ["DESCRIBE", "SETUP", "PLAY", "TEARDOWN"]);
}
