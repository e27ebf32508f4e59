//! Footage goes to an S3 store, leaves its volume, and is played from the store; what was changed there is not shown.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use fengsui_config::clock::{Clock as _, SystemClock};
use fengsui_config::ids::StreamKind;
use fengsui_tests::harness::api::Segment;
use fengsui_tests::harness::config::{ConfigOptions, camera_code};
use fengsui_tests::harness::s3::S3;
use fengsui_tests::harness::{Api, binary, media, wait_for};
use fengsui_tests::scenario::{STATE_WITHIN, Scene, small};
use serde_json::Value;

fn fengsui(config: &Path, arguments: &[&str]) -> Output {
    Command::new(binary().unwrap()).arg("--config").arg(config).args(arguments).output().unwrap()
}

fn assert_code(output: &Output, code: i32) {
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    assert_eq!(output.status.code(), Some(code), "{}{}", text(&output.stdout), text(&output.stderr));
}

fn hour() -> (i64, i64) {
    let now = SystemClock::new().utc().0;
    (now - 3_600_000_000, now)
}

/// The last quarter of an hour: as much as one listing gives.
fn quarter() -> (i64, i64) {
    let now = SystemClock::new().utc().0;
    (now - 900_000_000, now)
}

fn decodes(directory: &Path, bytes: &[u8]) -> usize {
    let file = directory.join("played.mp4");
    std::fs::write(&file, bytes).unwrap();
    let decoded = media::decode(&file).unwrap();
    assert_eq!(decoded.complaints, "");
    decoded.pictures.len()
}

async fn archive(api: &Api) -> Value {
    api.get::<Value>("/archive").await.unwrap()["items"][0].clone()
}

/// A scene whose node archives to `s3`.
fn scene(s3: &S3) -> Scene {
    let extra = format!(
        "\n[[storage.archive]]\nid = \"cold\"\nurl = \"s3://footage/city\"\nendpoint = \"{}\"\nafter_minutes = 0\n\
         access_key = \"file:s3.key\"\nsecret_key = \"file:s3.secret\"\nlock = \"governance\"\nlock_days = 1\n",
        s3.url()
    );
    let scene =
        Scene::new(small(1), ConfigOptions { sub: false, extra, ..ConfigOptions::default() }).unwrap();
    for file in ["s3.key", "s3.secret"] {
        std::fs::write(scene.directory().join(file), "tester").unwrap();
    }
    scene
}

#[tokio::test]
async fn footage_that_left_its_volume_plays_from_an_s3_store_and_changed_bytes_are_not_shown() {
    let Some(program) = S3::program() else {
        println!("SKIPPED: moto_server is missing; tests/scripts/setup.sh test installs it");
        return;
    };
    let s3 = S3::start(&program).await.unwrap();
    s3.make_bucket("footage", true).await.unwrap();
    let scene = scene(&s3);
    let (node, api) = scene.run_recording().await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    scene.quiet(&api).await.unwrap();
    let shown = wait_for("all is archived", STATE_WITHIN, || async {
        let shown = archive(&api).await;
        let done = shown["segments"].as_u64() > Some(0) && shown["backlog_segments"] == 0;
        Ok((done && shown["state"] == "ok").then_some(shown))
    })
    .await
    .unwrap();
    assert_eq!(shown["lock"]["state"], "locked", "{shown}");
    assert_eq!(shown["work"]["verified"], shown["work"]["stored"], "{shown}");
    let (from, to) = hour();
    let segments = api.segments(1, StreamKind::Main, from, to).await.unwrap();
    let segment = segments.first().unwrap();
    let whole = api.segment(1, StreamKind::Main, &segment.name).await.unwrap();
    assert!(node.stop().await.unwrap().success());

    // The volume forgets it all, as retention would make it.
    std::fs::remove_dir_all(scene.volume().join(camera_code(1))).unwrap();
    assert_code(&fengsui(&scene.config, &["index", "rebuild"]), 0);
    let (node, api) = scene.run().await.unwrap();
    let timeline: Value = api
        .get(&format!("/footage/{}/main/timeline?from_us={from}&to_us={to}", camera_code(1)))
        .await
        .unwrap();
    let tier =
        timeline["spans"].as_array().unwrap().iter().find(|s| s["kind"] == "footage").map(|s| &s["tier"]);
    assert_eq!(tier.and_then(|t| t.as_str()), Some("archive"), "{timeline}");
    assert_eq!(api.segments(1, StreamKind::Main, from, to).await.unwrap(), segments);
    assert_eq!(api.segment(1, StreamKind::Main, &segment.name).await.unwrap(), whole);
    assert!(decodes(scene.directory(), &whole) > 10);
    let (from, to) = quarter();
    let gops = api.gops(1, StreamKind::Main, from, to).await.unwrap();
    for gop in [gops.first().unwrap(), gops.last().unwrap()] {
        let file = api.gop_file(1, StreamKind::Main, gop).await.unwrap();
        // The last group has one picture alone when the camera stopped right behind a key frame.
        assert!(decodes(scene.directory(), &file) > 0);
    }
    assert_code(&fengsui(&scene.config, &["archive", "verify"]), 0);
    assert!(node.stop().await.unwrap().success());

    changed_bytes_are_refused(&s3, &scene, segment, &whole).await;

    // Without the store the node starts, and says that the footage is there but cannot be had now.
    drop(s3);
    let (node, api) = scene.run().await.unwrap();
    let error = api.gops(1, StreamKind::Main, from, to).await.unwrap_err().to_string();
    assert!(error.contains("503") && error.contains("archive_unreachable"), "{error}");
    assert!(node.stop().await.unwrap().success());
    assert_code(&fengsui(&scene.config, &["archive", "verify"]), 3);
}

/// A byte of a picture in the middle of an object changes: what it belongs to is refused, the rest plays.
async fn changed_bytes_are_refused(s3: &S3, scene: &Scene, segment: &Segment, whole: &[u8]) {
    let (from, to) = quarter();
    let day = time_day(segment.start_us / 1000);
    let key = format!("footage/city/centre/{}/main/{day}/{}", camera_code(1), segment.name);
    let mut object = s3.get(&key).await.unwrap();
    assert_eq!(object, whole);
    let middle = object.len() / 2;
    let pictures =
        object[middle..].windows(4).position(|w| w == b"mdat").expect("pictures behind the middle");
    object[middle + pictures + 100] ^= 1;
    s3.put(&key, object).await.unwrap();
    let (node, api) = scene.run().await.unwrap();
    let gops = api.gops(1, StreamKind::Main, from, to).await.unwrap();
    let mut refused = 0;
    for gop in &gops {
        match api.gop_file(1, StreamKind::Main, gop).await {
            Ok(file) => assert!(decodes(scene.directory(), &file) > 0),
            Err(e) => {
                assert!(e.to_string().contains("\"damaged\""), "{e}");
                refused += 1;
            }
        }
    }
    assert!(refused > 0 && refused < gops.len(), "{refused} of {}", gops.len());
    let served = api.segment(1, StreamKind::Main, &segment.name).await;
    assert!(
        served.is_err() || served.is_ok_and(|bytes| whole.starts_with(&bytes) && bytes.len() < whole.len())
    );
    assert_code(&fengsui(&scene.config, &["archive", "verify"]), 1);
    assert!(node.stop().await.unwrap().success());
}

/// The day of a moment as it stands in keys.
fn time_day(ms: i64) -> String {
    let dir = fengsui_storage::segment::stream_dir(
        fengsui_config::ids::StreamKey {
            camera: fengsui_tests::harness::config::camera_id(1),
            stream: StreamKind::Main,
        },
        ms,
    );
    dir.file_name().unwrap().to_string_lossy().into_owned()
}
