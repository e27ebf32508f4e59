//! Cameras fail in every way that the field knows; recording resumes, and every second is footage or a gap with the
//! right reason.

use std::time::Duration;

use fengsui_config::clock::{Clock as _, SystemClock};
use fengsui_config::ids::StreamKind;
use fengsui_tests::camsim::auth::AuthScheme;
use fengsui_tests::camsim::faults::{CameraChoice, FaultKind, FaultOrder};
use fengsui_tests::camsim::ledger::SessionRecord;
use fengsui_tests::camsim::options::Options;
use fengsui_tests::harness::config::{ConfigOptions, camera_text};
use fengsui_tests::harness::{Api, wait_for};
use fengsui_tests::scenario::{Scene, judge, small};
use serde_json::{Value, json};

/// Pictures on the way when a session is cut off may be lost.
const IN_FLIGHT_US: i64 = 1_000_000;

/// What one camera does wrong while it is recorded, and what may come of it.
struct Case {
    kind: &'static str,
    args: Value,
    /// How long; 0 for what happens once or stays.
    for_ms: u64,
    transport: &'static str,
    /// Reasons that its gaps may have; none: there must be no gap.
    reasons: &'static [&'static str],
    /// Pictures of it that cannot be read are no wonder.
    damaged: bool,
}

impl Case {
    /// Puts the fault on camera `n`.
    fn begin(&self, scene: &Scene, n: u16) {
        let kind = FaultKind::from_parts(self.kind, &self.args).unwrap();
        let for_ms = (self.for_ms > 0).then_some(self.for_ms);
        let (camera, stream) = (CameraChoice::One(n), Some(StreamKind::Main));
        scene.sim.fault(FaultOrder { camera, stream, kind, for_ms }).unwrap();
    }
}

fn cases() -> Vec<Case> {
    let case =
        |kind, args, for_ms, reasons| Case { kind, args, for_ms, transport: "tcp", reasons, damaged: false };
    vec![
        case("stall", json!({}), 11_000, &["network"]),
        case("close", json!({}), 0, &["camera_offline"]),
        case("close", json!({"reset": true}), 0, &["camera_offline"]),
        case("reboot", json!({}), 4000, &["camera_offline"]),
        case("resolution", json!({"width": 256, "height": 144}), 0, &[]),
        case("codec", json!({"codec": "h265"}), 0, &["camera_offline"]),
        case("codec", json!({"codec": "h265", "keep": true}), 6000, &["camera_offline", "bad_stream"]),
        case("garbage", json!({"bytes": 5000, "seed": 3}), 0, &["bad_stream"]),
        // 25 MB/s from one camera: it costs neither its own pictures nor anybody else's.
        case("flood", json!({"kib": 1000}), 6000, &[]),
        case("step", json!({"ms": 3_600_000}), 0, &[]),
        case("timestamp_jump", json!({"ms": 20_000}), 0, &[]),
        case("timestamp_jump", json!({"ms": -20_000}), 0, &[]),
        case("timestamp_wrap", json!({"after_ms": 2000}), 0, &[]),
        Case {
            transport: "udp",
            damaged: true,
            ..case(
                "loss",
                json!({"percent": 5.0, "seed": 7}),
                6000,
                &["network", "bad_stream", "no_key_frame"],
            )
        },
        // Pictures without a key frame are stored as they come; the next key frame makes them readable again.
        Case { damaged: true, ..case("no_keys", json!({}), 4000, &[]) },
    ]
}

async fn wait_playing(scene: &Scene, api: &Api, n: u16, since_us: i64) {
    let facts = scene.sim.facts(n, StreamKind::Main).unwrap();
    wait_for(&format!("camera {n} is recorded again"), Duration::from_secs(60), || async {
        let camera = api.camera(n).await?;
        let recording = camera["recording"]["state"] == "recording";
        let last = camera["recording"]["last_us"].as_i64().unwrap_or(0);
        let sent = scene.ledger(n).last().is_some_and(|s| {
            s.ended_us.is_none() && s.last_frame.is_some_and(|f| judge::due_us(&facts, f) > since_us)
        });
        Ok((recording && sent && last > since_us).then_some(()))
    })
    .await
    .unwrap();
}

/// A pause between two sessions that is a gap, whatever of it the last picture before lasts.
const GAP_SURE_US: i64 = 700_000;

/// Whether a camera was back at once: after a session of more than five seconds it may be, and half a second is no gap yet.
fn is_blink(sessions: &[SessionRecord]) -> bool {
    let pause = |two: &[SessionRecord]| match two {
        [one, next] => next.first_utc_us.unwrap_or(i64::MAX) - one.last_utc_us.unwrap_or(0),
        _ => i64::MAX,
    };
    sessions.windows(2).map(pause).max().is_some_and(|us| us < GAP_SURE_US)
}

/// Camera 1 is good; every other has a fault of its own, all at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recording_resumes_after_every_fault_and_every_second_is_explained() {
    let cases = cases();
    let numbered = || (2u16..).zip(&cases);
    let cameras = cases.len() as u16 + 1;
    let scene = Scene::new(small(cameras), ConfigOptions { sub: false, ..ConfigOptions::default() }).unwrap();
    let entry = |n: u16, over: &str| camera_text(n, &scene.sim.url(n, StreamKind::Main), None, over, None);
    let text: String = numbered().map(|(n, c)| entry(n, c.transport)).collect();
    scene.write_cameras(&(entry(1, "tcp") + &text)).unwrap();
    let (node, api) = scene.run_recording().await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;

    let clock = SystemClock::new();
    let begun_us = clock.utc().0;
    let longest_ms = cases.iter().map(|c| c.for_ms).max().unwrap();
    numbered().for_each(|(n, case)| case.begin(&scene, n));
    tokio::time::sleep(Duration::from_millis(longest_ms)).await;
    let over_us = clock.utc().0;
    let mut again_us = Vec::new();
    for n in 1..=cameras {
        wait_playing(&scene, &api, n, over_us).await;
        again_us.push(clock.utc().0);
    }
    tokio::time::sleep(Duration::from_secs(4)).await;
    scene.quiet(&api).await.unwrap();

    let mut wrong = Vec::new();
    for n in 1..=cameras {
        let ledger = scene.ledger(n);
        let (from, to) = (ledger[0].first_utc_us.unwrap(), ledger.last().unwrap().last_utc_us.unwrap());
        let timeline = api.timeline(n, StreamKind::Main, from + 500_000, to - 500_000).await.unwrap();
        let case = n.checked_sub(2).map(|i| &cases[usize::from(i)]);
        let name = case.map_or("good".to_owned(), |c| format!("{} {}", c.kind, c.args));
        let mut say = |what: String| wrong.push(format!("camera {n} ({name}): {what}"));
        for hole in judge::unexplained(&timeline.spans, from + 500_000, to - 500_000) {
            say(format!("{hole:?} is not explained"));
        }
        let reasons = case.map_or(&[][..], |c| c.reasons);
        for gap in timeline.gaps() {
            if !gap.reason.as_deref().is_some_and(|r| reasons.contains(&r)) {
                say(format!("{gap:?}, allowed are {reasons:?}"));
            }
        }
        let damaged = case.is_some_and(|c| c.damaged);
        if !(reasons.is_empty() || damaged || is_blink(&ledger)) && timeline.gaps().next().is_none() {
            say("there is no gap".to_owned());
        }
        let files = scene.stored(n).unwrap();
        let facts = scene.sim.facts(n, StreamKind::Main).unwrap();
        let account = judge::account(&judge::sent(&ledger), &files);
        let window = begun_us - IN_FLIGHT_US..again_us[usize::from(n) - 1];
        let lost: Vec<i64> = account
            .missing
            .iter()
            .copied()
            .filter(|&f| case.is_none() || !window.contains(&judge::due_us(&facts, f)))
            .collect();
        if !lost.is_empty() {
            say(format!("pictures {lost:?} are missing outside of the fault"));
        }
        if !account.is_true() && !damaged {
            say(format!("{account:?}"));
        }
        for file in files.iter().filter(|f| !f.complaints.is_empty() && !damaged) {
            say(format!("{}: {}", file.path.display(), file.complaints.trim()));
        }
    }
    assert!(node.stop().await.unwrap().success());
    assert_eq!(scene.ledger(1).len(), 1, "the good camera was disturbed");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What cameras do wrong all their lives; they are recorded all the same, every frame.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quirks_of_cameras_do_not_cost_a_frame() {
    let quirks = [
        ("no_sprop", json!({})),
        ("sprop_change", json!({})),
        ("ssrc_space", json!({})),
        ("content_base", json!({"how": "missing"})),
        ("content_base", json!({"how": "no_slash"})),
        ("sr1970", json!({})),
        ("no_sr", json!({})),
        ("stale_nonce", json!({"requests": 1})),
        ("auth_every_second", json!({})),
        ("one_session", json!({})),
        ("long_gop", json!({"seconds": 6})),
        ("drift", json!({"ppm": 200.0})),
        ("slow_start", json!({"answer_ms": 300, "media_ms": 2000})),
    ];
    let sim = Options { auth: AuthScheme::Md5, ..small(quirks.len() as u16) };
    let scene = Scene::new(sim, ConfigOptions { sub: false, ..ConfigOptions::default() }).unwrap();
    for (n, (kind, args)) in (1..).zip(&quirks) {
        scene.fault(n, kind, args).unwrap();
    }
    let (node, api) = scene.run_recording().await.unwrap();
    tokio::time::sleep(Duration::from_secs(8)).await;
    scene.quiet(&api).await.unwrap();
    assert!(node.stop().await.unwrap().success());
    let mut wrong = Vec::new();
    for (n, (kind, args)) in (1..).zip(&quirks) {
        let (ledger, files) = (scene.ledger(n), scene.stored(n).unwrap());
        let account = judge::account(&judge::sent(&ledger), &files);
        if !account.is_exact() || account.sent < 50 {
            wrong.push(format!("camera {n} ({kind} {args}): {account:?}"));
        }
        for file in files.iter().filter(|f| !f.complaints.is_empty()) {
            wrong.push(format!("camera {n} ({kind} {args}): {}", file.complaints.trim()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
