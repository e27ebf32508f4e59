#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::collections::HashMap;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use fengsui_config::clock::SystemClock;
use fengsui_config::ids::{StreamKey, StreamKind};
use fengsui_config::topology::{RecordPolicy, Transport};
use fengsui_config::{Credentials, Secret, StreamSource};
use fengsui_storage::board::{FailureClass, SessionState, StreamStatus};
use fengsui_storage::frame::{Track, VideoCodec, VideoParams};
use fengsui_storage::hub::{RecorderTap, RingItem};
use futures::future::BoxFuture;

use super::*;
use crate::failure::Failure;
use crate::source::{Source, SourceItem, SourceUnit};
use crate::spec::Target;

/// What a fake device does with its next sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Conduct {
    /// Plays 25 pictures a second, a key frame each second.
    Play,
    /// Refuses the password.
    Refuse,
    /// Never answers.
    Silent,
    /// Makes our own code panic while reading.
    Poison,
    /// Makes our own code panic while opening.
    PoisonOpen,
}

#[derive(Debug, Default)]
struct Device {
    conduct: Option<Conduct>,
    opens: usize,
    live: usize,
    live_max: usize,
}

/// Fake devices by path.
#[derive(Debug, Default, Clone)]
struct City(Arc<Mutex<HashMap<String, Device>>>);

impl City {
    fn set(&self, path: &str, conduct: Conduct) {
        self.0.lock().entry(path.to_owned()).or_default().conduct = Some(conduct);
    }
    fn opens(&self, path: &str) -> usize {
        self.0.lock().get(path).map_or(0, |d| d.opens)
    }
    fn live(&self) -> usize {
        self.0.lock().values().map(|d| d.live).sum()
    }
}

struct FakeSource {
    city: City,
    path: String,
    poison: bool,
    next: u64,
    tick: tokio::time::Interval,
}

impl Drop for FakeSource {
    fn drop(&mut self) {
        self.city.0.lock().get_mut(&self.path).unwrap().live -= 1;
    }
}

impl Source for FakeSource {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<SourceItem, Failure>> {
        assert!(!self.poison, "poisoned by the test");
        self.next += 1;
        if self.next == 1 {
            let video = VideoParams {
                codec: VideoCodec::H264,
                width: 640,
                height: 360,
                extra: Bytes::from_static(b"avcC"),
                rfc6381: "avc1.64001F".to_owned(),
            };
            return Poll::Ready(Ok(SourceItem::Tracks { video: Some(video), audio: None }));
        }
        if self.tick.poll_tick(cx).is_pending() {
            self.next -= 1;
            return Poll::Pending;
        }
        let key = self.next % 25 == 2;
        let data = if key { &[0, 0, 0, 2, 0x65, 1][..] } else { &[0, 0, 0, 2, 0x41, 1][..] };
        Poll::Ready(Ok(SourceItem::Unit(SourceUnit {
            track: Track::Video,
            raw_pts: i64::try_from(self.next * 3600).unwrap(),
            lost_before: 0,
            data: Bytes::copy_from_slice(data),
        })))
    }
}

impl Opener for City {
    fn open(&self, target: Target) -> BoxFuture<'static, Result<Box<dyn Source>, Failure>> {
        let (city, path) = (self.clone(), target.url.path().to_owned());
        let conduct = {
            let mut devices = city.0.lock();
            let d = devices.entry(path.clone()).or_default();
            d.opens += 1;
            d.conduct.unwrap_or(Conduct::Play)
        };
        Box::pin(async move {
            match conduct {
                Conduct::Refuse => {
                    let failure = Failure::new(FailureClass::Auth, "refused: admin/s3cret");
                    return Err(failure.without(target.credentials.as_ref()));
                }
                Conduct::Silent => std::future::pending().await,
                Conduct::PoisonOpen => panic!("poisoned by the test"),
                Conduct::Play | Conduct::Poison => {}
            }
            {
                let mut devices = city.0.lock();
                let d = devices.get_mut(&path).unwrap();
                d.live += 1;
                d.live_max = d.live_max.max(d.live);
            }
            let poison = conduct == Conduct::Poison;
            let tick = tokio::time::interval(Duration::from_millis(40));
            Ok(Box::new(FakeSource { city, path, poison, next: 0, tick }) as Box<dyn Source>)
        })
    }
}

struct Bench {
    city: City,
    hub: Arc<Hub>,
    board: Arc<Board>,
    fleet: Fleet,
}

fn bench() -> Bench {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let (city, board) = (City::default(), Arc::new(Board::default()));
    let hub = Hub::new(clock.clone(), 1 << 20);
    let mut options = FleetOptions::new(clock, hub.clone(), board.clone());
    options.opener = Arc::new(city.clone());
    options.seed = 7;
    options.runtime = RuntimeOptions {
        threads: 1,
        rest_unwatched: Duration::ZERO,
        rest_watched: Duration::ZERO,
        rest_opening: Duration::ZERO,
    };
    Bench { city, hub, board, fleet: Fleet::start(options).unwrap() }
}

fn camera(n: u32, path: &str) -> CameraSpec {
    CameraSpec {
        id: format!("3308000000132{n:07}").parse().unwrap(),
        enabled: true,
        record: RecordPolicy::Always,
        transport: Transport::Tcp,
        main: StreamSource { url: format!("rtsp://10.0.0.{n}{path}").parse().unwrap() },
        sub: Some(StreamSource { url: format!("rtsp://10.0.0.{n}{path}/sub").parse().unwrap() }),
        credentials: Some(Credentials {
            user: "admin".to_owned(),
            password: Secret::new("s3cret".to_owned()),
        }),
    }
}

fn key(n: u32, stream: StreamKind) -> StreamKey {
    StreamKey { camera: camera(n, "/").id, stream }
}

fn main_of(n: u32) -> StreamKey {
    key(n, StreamKind::Main)
}

impl Bench {
    fn status(&self, key: StreamKey) -> StreamStatus {
        self.board.get(&key).unwrap_or_else(|| StreamStatus::idle(fengsui_config::clock::UtcMicros(0)))
    }
    /// Waits until `done`, at most ten seconds.
    fn until(&self, what: &str, done: impl Fn() -> bool) {
        for _ in 0..5000 {
            if done() {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        panic!("waited in vain for: {what}; board: {:#?}", self.board.snapshot());
    }
    fn plays(&self, n: u32) {
        self.until("a playing stream", || self.status(main_of(n)).state == SessionState::Playing);
    }
    fn stop(self) {
        let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        rt.block_on(self.fleet.stop());
        assert_eq!(self.city.live(), 0, "no session outlives the fleet");
    }
}

fn drained(tap: &mut RecorderTap) -> Vec<String> {
    let mut items = Vec::new();
    tap.drain(&mut items);
    let name = |i: &RingItem| match i {
        RingItem::Begin(info) => format!("begin {:?}", info.start),
        RingItem::Unit(_) => "unit".to_owned(),
        RingItem::End { reason, .. } => format!("end {reason:?}"),
        RingItem::Dropped { .. } => "dropped".to_owned(),
    };
    items.iter().map(name).collect()
}

#[test]
fn pictures_reach_the_hub_and_the_board_says_so() {
    let b = bench();
    let mut tap = b.hub.stream(main_of(1)).attach_recorder();
    b.fleet.apply(vec![camera(1, "/a")]);
    b.plays(1);
    let mut seen = Vec::new();
    for _ in 0..500 {
        seen.extend(drained(&mut tap));
        if seen.len() > 5 {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(seen[..2], ["begin Connected", "unit"]);
    let s = b.status(main_of(1));
    assert_eq!((s.codec.as_deref(), s.size, s.sessions), (Some("avc1.64001F"), Some((640, 360)), 1));
    assert_eq!(
        b.status(key(1, StreamKind::Sub)).state,
        SessionState::Idle,
        "nobody watches the small picture"
    );
    b.stop();
    let rest = drained(&mut tap);
    assert_eq!(rest.last().map(String::as_str), Some("end NodeDown"));
}

#[test]
fn a_panic_restarts_its_own_stream_and_disturbs_no_other() {
    let b = bench();
    b.city.set("/bad", Conduct::Poison);
    b.city.set("/worse", Conduct::PoisonOpen);
    b.fleet.apply(vec![camera(1, "/good"), camera(2, "/bad"), camera(3, "/worse")]);
    b.plays(1);
    for n in [2, 3] {
        b.until("an internal failure", || b.status(main_of(n)).failure == Some(FailureClass::Internal));
    }
    assert!(b.fleet.stats().panics >= 2);
    b.city.set("/bad", Conduct::Play);
    b.plays(2);
    assert_eq!(b.city.opens("/good"), 1);
    b.stop();
}

#[test]
fn hot_reload_touches_only_what_changed() {
    let b = bench();
    b.fleet.apply(vec![camera(1, "/a"), camera(2, "/b"), camera(3, "/c")]);
    (1..=3).for_each(|n| b.plays(n));
    let mut live_only = camera(2, "/b");
    live_only.record = RecordPolicy::Never;
    b.fleet.apply(vec![camera(1, "/a"), live_only, camera(4, "/d"), camera(3, "/moved")]);
    b.until("the moved camera", || b.city.opens("/moved") == 1);
    b.plays(3);
    b.plays(4);
    b.until("the camera that is not recorded any more", || b.status(main_of(2)).state == SessionState::Idle);
    assert_eq!((b.city.opens("/a"), b.city.opens("/b"), b.city.opens("/c")), (1, 1, 1));
    b.fleet.apply(vec![camera(1, "/a")]);
    b.until("three cameras gone", || b.board.snapshot().len() == 2);
    assert_eq!(b.city.live(), 1);
    b.fleet.apply(vec![camera(1, "/a"), camera(2, "/b")]);
    b.plays(2);
    assert_eq!(b.city.opens("/a"), 1);
    b.stop();
}

#[test]
fn a_stream_never_has_two_sessions_at_once() {
    let b = bench();
    for n in 0..30 {
        let mut c = camera(1, "/a");
        c.credentials = Some(Credentials { user: format!("user{n}"), password: Secret::new("x".to_owned()) });
        b.fleet.apply(if n % 7 == 6 { Vec::new() } else { vec![c] });
        std::thread::sleep(Duration::from_millis(3));
    }
    b.plays(1);
    assert_eq!(b.city.0.lock()["/a"].live_max, 1);
    b.stop();
}

#[test]
fn attempts_keep_the_floor_across_reconfiguration() {
    let b = bench();
    b.city.set("/a", Conduct::Silent);
    let started = std::time::Duration::from_millis(700);
    for n in 0..70 {
        let mut c = camera(1, "/a");
        c.credentials = Some(Credentials { user: format!("user{n}"), password: Secret::new("x".to_owned()) });
        b.fleet.apply(vec![c]);
        std::thread::sleep(started / 70);
    }
    assert!(b.city.opens("/a") <= 2, "{} attempts within 0.7 s", b.city.opens("/a"));
    b.stop();
}

#[test]
fn a_sub_stream_is_pulled_only_while_someone_watches() {
    let b = bench();
    let sub = key(1, StreamKind::Sub);
    b.fleet.apply(vec![camera(1, "/a")]);
    b.plays(1);
    assert_eq!(b.city.opens("/a/sub"), 0);
    let tap = b.hub.stream(sub).subscribe(false);
    b.until("the watched sub-stream", || b.status(sub).state == SessionState::Playing);
    drop(tap);
    // It lingers: a viewer who comes back within seconds finds it running.
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(b.status(sub).state, SessionState::Playing);
    let _again = b.hub.stream(sub).subscribe(false);
    assert_eq!(b.city.opens("/a/sub"), 1);
    b.stop();
}

#[test]
fn a_wrong_password_is_shown_without_the_password_and_not_tried_again_soon() {
    let b = bench();
    b.city.set("/a", Conduct::Refuse);
    let mut tap = b.hub.stream(main_of(1)).attach_recorder();
    b.fleet.apply(vec![camera(1, "/a")]);
    b.until("the refusal", || b.status(main_of(1)).failure == Some(FailureClass::Auth));
    let s = b.status(main_of(1));
    assert_eq!(s.detail.as_deref(), Some("refused: admin/***"));
    assert!(s.retry_at.unwrap().since(s.since) >= 14_000_000);
    assert_eq!(drained(&mut tap), ["end Auth"]);
    b.stop();
}

#[test]
fn a_disabled_camera_is_idle_and_known() {
    let b = bench();
    let mut c = camera(1, "/a");
    c.enabled = false;
    b.fleet.apply(vec![c]);
    b.until("both streams on the board", || b.board.snapshot().len() == 2);
    assert_eq!(b.status(main_of(1)).state, SessionState::Idle);
    assert_eq!((b.city.opens("/a"), b.fleet.stats().streams), (0, 0));
    b.fleet.apply(vec![camera(1, "/a")]);
    b.plays(1);
    b.stop();
}

#[test]
fn one_device_is_opened_a_few_streams_at_a_time() {
    let b = bench();
    let cameras: Vec<CameraSpec> = (1..=6)
        .map(|n| {
            let path = format!("/ch{n}");
            b.city.set(&path, Conduct::Silent);
            let mut c = camera(n, &path);
            c.main = StreamSource { url: format!("rtsp://10.0.0.99{path}").parse().unwrap() };
            c
        })
        .collect();
    b.fleet.apply(cameras);
    let opens = || (1..=6).map(|n| b.city.opens(&format!("/ch{n}"))).sum::<usize>();
    b.until("the first ones", || opens() == limits::OPENING_PER_DEVICE_MAX);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(opens(), limits::OPENING_PER_DEVICE_MAX);
    assert_eq!(b.fleet.stats().opening, limits::OPENING_PER_DEVICE_MAX);
    b.stop();
}
