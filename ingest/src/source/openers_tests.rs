#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use fengsui_config::clock::SystemClock;
use fengsui_storage::board::FailureClass;

use super::super::scripted::{H264, Script, key_picture, listen, rtp, target, within};
use super::super::{Sessions, SourceUnit};
use super::*;

fn openers(lean: bool) -> Arc<dyn Opener> {
    Openers::shared(Arc::new(SystemClock::new()), lean)
}

/// Opens a session and reads it to its end: how many pictures, who read it at last, why it ended.
fn run(openers: &Arc<dyn Opener>, target: Target) -> (usize, Sessions, Failure) {
    within(async {
        let work = async {
            let mut source = match openers.open(target).await {
                Ok(source) => source,
                Err(failure) => return (0, openers.tempo().sessions(), failure),
            };
            let (mut pictures, mut sessions) = (0, openers.tempo().sessions());
            loop {
                source.hurry(true);
                match std::future::poll_fn(|cx| source.poll_next(cx)).await {
                    Ok(SourceItem::Unit(SourceUnit { .. })) => pictures += 1,
                    Ok(_) => {}
                    Err(failure) => return (pictures, sessions, failure),
                }
                sessions = openers.tempo().sessions();
            }
        };
        tokio::select! {
            done = work => done,
            () = openers.serve() => unreachable!("it serves for ever"),
        }
    })
}

fn by(sessions: Sessions) -> (usize, usize, usize) {
    (sessions.lean, sessions.retina, sessions.gstreamer)
}

/// A picture in a form that the lean path does not know.
fn unusual(seq: u16) -> Vec<u8> {
    rtp(0, seq, 3600, true, &[0x79, 0, 0, 0, 0, 0, 1])
}

#[test]
fn the_usual_session_is_lean_and_all_are_retinas_when_that_is_turned_off() {
    for (lean, want) in [(true, (1, 0, 0)), (false, (0, 1, 0))] {
        let script = Script { media: key_picture(1, 0), close: true, ..Script::default() };
        let openers = openers(lean);
        let (pictures, sessions, failure) = run(&openers, target(listen(&script)));
        assert_eq!((pictures, by(sessions), failure.class), (1, want, FailureClass::Closed));
        assert_eq!(by(openers.tempo().sessions()), (0, 0, 0), "counted while it is open");
    }
}

#[test]
fn what_is_unusual_at_the_opening_is_retinas_within_the_same_attempt_and_from_then_on() {
    let script = Script {
        sdp: H264.replace("RTP/AVP 96", "RTP/AVP 26").replace("a=rtpmap:96 H264/90000\r\n", ""),
        connections: 3,
        close: true,
        ..Script::default()
    };
    let (openers, goal) = (openers(true), target(listen(&script)));
    let (_, sessions, failure) = run(&openers, goal.clone());
    assert_eq!((by(sessions), failure.class), ((0, 1, 0), FailureClass::Closed));
    assert_eq!(script.methods(), ["DESCRIBE", "DESCRIBE", "SETUP", "PLAY"]);
    let (_, sessions, _) = run(&openers, goal);
    assert_eq!(by(sessions), (0, 1, 0));
    assert_eq!(script.methods()[4..], ["DESCRIBE", "SETUP", "PLAY"], "not tried again");
}

#[test]
fn what_is_unusual_before_the_first_picture_is_retinas_at_once() {
    let script = Script { media: unusual(1), close: true, connections: 2, ..Script::default() };
    let openers = openers(true);
    let (pictures, _, _) = run(&openers, target(listen(&script)));
    assert_eq!(pictures, 0);
    let opened = script.methods().iter().filter(|m| *m == "PLAY").count();
    assert_eq!(opened, 2, "one of each: {:?}", script.methods());
}

#[test]
fn what_is_unusual_among_pictures_is_retinas_with_the_next_attempt() {
    let media = [key_picture(1, 0), unusual(4)].concat();
    let script = Script { media, connections: 2, close: true, ..Script::default() };
    let (openers, goal) = (openers(true), target(listen(&script)));
    let (pictures, sessions, failure) = run(&openers, goal.clone());
    assert_eq!((pictures, by(sessions), failure.class), (1, (1, 0, 0), FailureClass::BadData));
    let (pictures, sessions, _) = run(&openers, goal);
    assert_eq!((pictures, by(sessions)), (1, (0, 1, 0)));
}

#[test]
fn datagrams_are_not_for_the_lean_path() {
    let script = Script::default();
    let goal = Target { transport: Transport::Udp, ..target(listen(&script)) };
    let (_, _, failure) = run(&openers(true), goal);
    // retina asked for datagrams, which the scripted device does not offer.
    assert_ne!(failure.class, FailureClass::Closed);
    assert!(script.heard.lock().iter().any(|h| h.contains("client_port=")));
}

#[test]
fn only_so_many_unusual_streams_are_remembered() {
    let Openers(inner) = Openers(Arc::new(Inner {
        lean: None,
        rtsp: rtsp::RtspOpener::default(),
        tempo: Arc::default(),
        unusual: Mutex::default(),
        #[cfg(feature = "gst")]
        fickle: Mutex::default(),
    }));
    for n in 0..=limits::RETINA_STREAMS_MAX {
        let mut goal = target(([127, 0, 0, 1], 554).into());
        goal.url.set_path(&format!("/{n}"));
        inner.give_up(&goal, "x");
        assert!(!inner.is_usual(&goal));
    }
    assert_eq!(inner.unusual.lock().len(), limits::RETINA_STREAMS_MAX);
}
