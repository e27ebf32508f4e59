#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

use std::net::TcpListener;
use std::sync::Arc;
use std::task::Waker;

use fengsui_config::clock::{Clock, ManualClock, UtcMicros};
use fengsui_storage::frame::VideoCodec;

use super::super::dialog::Dialog;
use super::super::media::{Media, VideoMedia};
use super::*;
use crate::source::scripted::{IDR, key_picture, rtp};

/// A playing session whose other end and whose time are ours.
struct Bench {
    clock: Arc<ManualClock>,
    sweeps: Arc<Sweeps>,
    source: LeanSource,
    device: TcpStream,
}

fn bench() -> Bench {
    let clock = Arc::new(ManualClock::at(UtcMicros(0)));
    let tempo = Arc::<Tempo>::default();
    let sweeps = Sweeps::new(clock.clone(), tempo.clone());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    socket.set_nonblocking(true).unwrap();
    let device = listener.accept().unwrap().0;
    device.set_nodelay(true).unwrap();
    let mut dialog = Dialog::new("rtsp://127.0.0.1/cam".parse().unwrap(), None);
    dialog.set_up("7;timeout=30");
    let video = VideoMedia { codec: VideoCodec::H264, channel: 0, format: None };
    let wire = Wire::new(&Media { video, audio: None }).unwrap();
    let playing = Playing { socket, window: 2 << 20, rest: Vec::new(), dialog, wire };
    let source = LeanSource::new(playing, &sweeps, &tempo);
    Bench { clock, sweeps, source, device }
}

impl Bench {
    /// Lets time pass in short periods, and takes what comes in each.
    fn pass(&mut self, time: Duration) -> Vec<SourceItem> {
        let mut items = Vec::new();
        let end = self.clock.mono() + time;
        while self.clock.mono() < end {
            self.clock.advance(limits::LEAN_SWEEP_WATCHED);
            self.call();
            items.extend(self.take());
        }
        items
    }

    fn call(&self) {
        let _next = self.sweeps.turn_for_tests();
    }

    /// Everything that one wake-up gives.
    fn take(&mut self) -> Vec<SourceItem> {
        let cx = Context::from_waker(Waker::noop());
        let mut items = Vec::new();
        while let Poll::Ready(item) = self.source.poll_item(&cx) {
            items.push(item.unwrap());
        }
        items
    }

    fn ends(&mut self) -> Stop {
        let cx = Context::from_waker(Waker::noop());
        for _ in 0..10_000 {
            self.clock.advance(limits::LEAN_SWEEP_WATCHED);
            self.call();
            while let Poll::Ready(item) = self.source.poll_item(&cx) {
                if let Err(stop) = item {
                    return stop;
                }
            }
        }
        panic!("the session goes on");
    }

    fn settle(&mut self) {
        self.pass(limits::LEAN_SETTLE + limits::LEAN_SWEEP);
    }

    /// How long something that the device sends takes until it is delivered.
    fn latency(&mut self, seq: u16) -> Duration {
        self.device.write_all(&key_picture(seq, u32::from(seq) * 3600)).unwrap();
        let start = self.clock.mono();
        while self.pass(limits::LEAN_SWEEP_WATCHED).is_empty() {}
        self.clock.mono().since(start)
    }
}

fn units(items: &[SourceItem]) -> usize {
    items.iter().filter(|i| matches!(i, SourceItem::Unit(_))).count()
}

#[test]
fn a_watched_stream_waits_for_a_short_period_and_another_for_a_long_one_on_the_same_connection() {
    let mut b = bench();
    assert!(b.latency(1) <= limits::LEAN_SWEEP_WATCHED, "at first");
    b.settle();
    let unwatched: Vec<_> = (2..12).map(|n| b.latency(n * 3)).collect();
    assert!(unwatched.iter().all(|l| *l <= limits::LEAN_SWEEP), "{unwatched:?}");
    assert!(unwatched.iter().any(|l| *l > limits::LEAN_SWEEP / 2), "read too often: {unwatched:?}");
    b.source.hurry(true);
    let watched: Vec<_> = (12..22).map(|n| b.latency(n * 3)).collect();
    assert!(watched.iter().all(|l| *l <= limits::LEAN_SWEEP_WATCHED), "{watched:?}");
    b.source.hurry(false);
    let again: Vec<_> = (22..32).map(|n| b.latency(n * 3)).collect();
    assert!(again.iter().any(|l| *l > limits::LEAN_SWEEP / 2), "{again:?}");
}

#[test]
fn who_begins_to_watch_gets_what_is_there_at_once() {
    let mut b = bench();
    b.settle();
    b.device.write_all(&key_picture(1, 0)).unwrap();
    b.source.hurry(true);
    let mut got = b.take();
    while units(&got) == 0 {
        // Loopback may take a moment of real time.
        b.source.hurry(false);
        b.source.hurry(true);
        got = b.take();
    }
    assert_eq!(units(&got), 1, "without any time of the clock passing");
}

#[test]
fn signs_of_life_are_sent_between_pictures() {
    let mut b = bench();
    b.settle();
    for n in 0..100 {
        b.device.write_all(&key_picture(n * 3, u32::from(n) * 36_000)).unwrap();
        b.pass(Duration::from_millis(400));
    }
    b.device.set_nonblocking(true).unwrap();
    let mut heard = vec![0; 1 << 16];
    let n = b.device.read(&mut heard).unwrap();
    let heard = String::from_utf8_lossy(&heard[..n]).into_owned();
    assert_eq!(heard.matches("OPTIONS rtsp://127.0.0.1/cam RTSP/1.0").count(), 3, "40 s of 12: {heard}");
}

#[test]
fn a_device_that_never_reads_is_read_on_and_holds_nobody_up() {
    let mut b = bench();
    b.settle();
    let mut got = 0;
    for n in 0..100 {
        // Nothing more goes in; what the kernel still moves on makes room that is filled again.
        while b.source.socket.as_mut().unwrap().write(&[0; 1 << 16]).is_ok() {}
        while b.source.socket.as_mut().unwrap().write(&[0; 1]).is_ok() {}
        b.device.write_all(&key_picture(n * 3, u32::from(n) * 90_000)).unwrap();
        got += units(&b.pass(Duration::from_secs(1)));
    }
    assert!(got >= 99, "{got} of 100 pictures");
    let waiting = String::from_utf8(b.source.life.outgoing().clone()).unwrap();
    assert_eq!(waiting.matches("OPTIONS ").count(), 1, "{waiting}");
}

#[test]
fn a_camera_that_floods_gets_a_bounded_part_of_each_turn() {
    let mut b = bench();
    b.settle();
    let slice = [&[0x41][..], &[7; 60_000]].concat();
    let mut flood = key_picture(1, 0);
    for n in 0..100_u16 {
        flood.extend(rtp(0, 4 + n, 3600 * u32::from(n + 1), true, &slice));
    }
    let mut device = b.device.try_clone().unwrap();
    let writer = std::thread::spawn(move || device.write_all(&flood).unwrap());
    let mut got = 0;
    while got < 101 {
        b.clock.advance(limits::LEAN_SWEEP_WATCHED);
        b.call();
        let in_one_turn: usize = b
            .take()
            .iter()
            .map(|i| match i {
                SourceItem::Unit(u) => {
                    got += 1;
                    u.data.len()
                }
                _ => 0,
            })
            .sum();
        assert!(in_one_turn <= limits::LEAN_TURN_BYTES_MAX + limits::LEAN_SCRATCH_BYTES + 60_100);
    }
    writer.join().unwrap();
}

#[test]
fn parts_of_a_picture_may_come_in_any_number_of_turns() {
    let mut b = bench();
    let all = [key_picture(1, 0), rtp(0, 4, 3600, true, IDR)].concat();
    let mut got = Vec::new();
    for byte in &all {
        b.device.write_all(&[*byte]).unwrap();
        got.extend(b.pass(limits::LEAN_SWEEP_WATCHED));
    }
    while units(&got) < 2 {
        got.extend(b.pass(limits::LEAN_SWEEP_WATCHED));
    }
    assert_eq!(units(&got), 2);
}

#[test]
fn a_process_that_stood_still_looks_before_its_watchdog_barks() {
    let mut b = bench();
    b.settle();
    b.device.write_all(&key_picture(1, 0)).unwrap();
    b.clock.advance(limits::STALL_CLOSE_AFTER * 2);
    // No turn of the clock came yet; the worker polls because its deadline is over.
    let mut got = Vec::new();
    while units(&got) == 0 {
        got = b.take();
        b.clock.advance(limits::LEAN_SWEEP * 3);
    }
    assert_eq!(units(&got), 1);
}

#[test]
fn ends_are_told_apart() {
    let mut closed = bench();
    closed.device.write_all(&key_picture(1, 0)).unwrap();
    closed.device.shutdown(std::net::Shutdown::Both).unwrap();
    let Stop::Failed(failure) = closed.ends() else { panic!() };
    assert_eq!(failure.class, FailureClass::Closed);

    let mut garbage = bench();
    garbage.device.write_all(&[0xFF; 64]).unwrap();
    let Stop::Failed(failure) = garbage.ends() else { panic!() };
    assert_eq!(failure.class, FailureClass::BadData);

    let mut away = bench();
    away.device.write_all(b"REDIRECT rtsp://127.0.0.1/cam RTSP/1.0\r\nCSeq: 1\r\n\r\n").unwrap();
    let Stop::Failed(failure) = away.ends() else { panic!() };
    assert_eq!(failure.class, FailureClass::Closed);
}

#[test]
fn what_is_unusual_within_a_session_ends_it_for_retina() {
    let mut b = bench();
    // A unit in the interleaved mode of RFC 6184.
    b.device.write_all(&key_picture(1, 0)).unwrap();
    b.device.write_all(&rtp(0, 4, 3600, true, &[0x79, 0, 0, 0, 0, 0, 1])).unwrap();
    match b.ends() {
        Stop::Unknown(_) => {}
        Stop::Failed(failure) => panic!("{failure}"),
    }
    assert!(b.source.played());
}

#[test]
fn the_goodbye_is_said_when_the_session_is_dropped() {
    let b = bench();
    let mut device = b.device.try_clone().unwrap();
    drop(b.source);
    let mut words = vec![0; 4096];
    let n = device.read(&mut words).unwrap();
    assert!(String::from_utf8_lossy(&words[..n]).starts_with("TEARDOWN rtsp://127.0.0.1/cam RTSP/1.0"));
}
