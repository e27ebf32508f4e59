//! Wrong addresses, wrong passwords, strange servers, full and broken disks: each has a clear state, and disturbs nobody.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use fengsui_config::ids::StreamKind;
use fengsui_tests::camsim::auth::AuthScheme;
use fengsui_tests::camsim::faults::Random;
use fengsui_tests::camsim::options::Options;
use fengsui_tests::harness::config::{ConfigOptions, camera_text, node_text, write_text};
use fengsui_tests::harness::{Api, Fengsui, binary, wait_for};
use fengsui_tests::scenario::{STATE_WITHIN, Scene, judge, small};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Time for a state that needs twenty seconds without a key frame, or a time-out of ten.
const SLOW_STATE_WITHIN: Duration = Duration::from_secs(60);

/// A server that answers anything with seeded noise, or (without a seed) with nothing at all.
async fn strange_server(tasks: &mut JoinSet<()>, seed: Option<u64>) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tasks.spawn(async move {
        let mut random = Random::new(seed.unwrap_or(0));
        let mut silent = Vec::new();
        while let Ok((mut peer, _)) = listener.accept().await {
            if seed.is_none() {
                silent.push(peer);
                continue;
            }
            let noise: Vec<u8> = (0..8192).map(|_| random.bits() as u8).collect();
            // The client may have hung up already.
            let _ = peer.write_all(&noise).await;
        }
    });
    address
}

async fn wait_state(api: &Api, n: u16, failures: &[&str], reason: &str) -> Result<(), String> {
    let last = std::sync::Mutex::new(Value::Null);
    wait_for(&format!("camera {n} says {failures:?}"), SLOW_STATE_WITHIN, || async {
        let camera = api.camera(n).await?;
        let main = &camera["streams"]["main"];
        let said = main["failure"].as_str().is_some_and(|f| failures.contains(&f))
            && main["detail"].as_str().is_some_and(|d| !d.is_empty())
            && camera["recording"]["state"] == "not_recording"
            && camera["recording"]["reason"] == reason;
        *last.lock().unwrap() = camera;
        Ok(said.then_some(()))
    })
    .await
    .map_err(|e| format!("{e}; last: {}", last.lock().unwrap()))
}

/// Camera 1 is good. The others are wrong in one way each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wrong_camera_has_a_clear_state_and_disturbs_no_other() {
    let mut tasks = JoinSet::new();
    let noisy = strange_server(&mut tasks, Some(11)).await;
    let silent = strange_server(&mut tasks, None).await;
    let closed = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap();
    let sim = Options { auth: AuthScheme::Md5, ..small(3) };
    let scene = Scene::new(sim, ConfigOptions { sub: false, ..ConfigOptions::default() }).unwrap();
    scene.fault(3, "no_keys", &Value::Null).unwrap();
    let (rtsp, control) = (scene.sim.rtsp_address(), scene.sim.control_address());
    let main = |n| scene.sim.url(n, StreamKind::Main);
    let cases: [(u16, String, &[&str], &str); 8] = [
        (2, main(2), &["auth"], "auth"),
        (3, main(3), &["no_key_frame"], "no_key_frame"),
        (4, "rtsp://no-such-host.invalid/main".to_owned(), &["unreachable"], "camera_offline"),
        (5, format!("rtsp://{closed}/main"), &["unreachable"], "camera_offline"),
        (6, format!("rtsp://{rtsp}/no/such/path"), &["wrong_path"], "camera_offline"),
        (7, format!("rtsp://{control}/main"), &["not_rtsp"], "camera_offline"),
        (8, format!("rtsp://{noisy}/main"), &["not_rtsp"], "camera_offline"),
        (9, format!("rtsp://{silent}/main"), &["unreachable", "not_rtsp"], "camera_offline"),
    ];
    std::fs::write(scene.directory().join("wrong.password"), "wrong").unwrap();
    let login = Some((scene.sim.options().user.as_str(), ""));
    let mut text = camera_text(1, &main(1), None, "tcp", login);
    for (n, url, ..) in &cases {
        let entry = camera_text(*n, url, None, "tcp", login);
        text += &if *n == 2 { entry.replace("camera.password", "wrong.password") } else { entry };
    }
    scene.write_cameras(&text).unwrap();
    let (node, api) = scene.run().await.unwrap();
    api.wait_recording(1, STATE_WITHIN).await.unwrap();
    let mut wrong = Vec::new();
    for (n, _, failures, reason) in &cases {
        wrong.extend(wait_state(&api, *n, failures, reason).await.err());
    }
    scene.quiet_of(&api, &[1]).await.unwrap();
    let log = node.log().join("\n");
    assert!(node.stop().await.unwrap().success());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(!log.contains(&scene.sim.options().password), "a password stands in the log");
    assert_eq!(scene.ledger(1).len(), 1, "the good camera was disturbed");
    let account = judge::account(&judge::sent(&scene.ledger(1)), &scene.stored(1).unwrap());
    assert!(account.is_exact() && account.sent > 50, "{account:?}");
}

/// No volume has room at the start: said of the volume and of each camera; live pictures come all the same.
#[tokio::test]
async fn a_full_disk_at_the_start_is_said_and_live_goes_on() {
    let options = ConfigOptions { sub: false, reserve_mib: 1 << 28, ..ConfigOptions::default() };
    let scene = Scene::new(small(1), options).unwrap();
    let (node, api) = scene.run().await.unwrap();
    wait_for("the full disk is said", STATE_WITHIN, || async {
        let camera = api.camera(1).await?;
        let system: Value = api.get("/system").await?;
        let said = camera["recording"]["state"] == "not_recording"
            && camera["recording"]["reason"] == "disk_full"
            && camera["streams"]["main"]["state"] == "playing"
            && system["volumes"][0]["state"] == "full"
            && system["volumes"][0]["detail"].as_str().is_some_and(|d| !d.is_empty());
        Ok(said.then_some(()))
    })
    .await
    .unwrap();
    assert!(node.stop().await.unwrap().success());
    assert!(scene.stored(1).unwrap().is_empty());
}

/// One of two volumes cannot be made: it says so, and the other takes all the footage.
#[tokio::test]
async fn a_volume_that_cannot_be_written_is_said_and_the_other_takes_over() {
    let options =
        ConfigOptions { sub: false, volumes: vec!["blocked/v1".to_owned()], ..ConfigOptions::default() };
    let good = ConfigOptions { sub: false, volumes: vec!["v2".to_owned()], ..ConfigOptions::default() };
    let scene = Scene::new(small(2), good.clone()).unwrap();
    // A file stands where the folder would have to be: not even root can write there.
    std::fs::write(scene.directory().join("blocked"), "a file").unwrap();
    let bad = node_text(&options);
    let bad = &bad[bad.find("[[storage.volume]]").unwrap()..bad.find("[city]").unwrap()];
    let bad = bad.replace("id = \"blocked/v1\"", "id = \"v1\"");
    let entry = |n: u16| camera_text(n, &scene.sim.url(n, StreamKind::Main), None, "tcp", None);
    let text = node_text(&good).replace("\n[city]", &format!("\n{bad}\n[city]")) + &entry(1) + &entry(2);
    write_text(scene.directory(), &text, &good, None).unwrap();
    let (node, api) = scene.run_recording().await.unwrap();
    let system: Value = api.get("/system").await.unwrap();
    let volumes = system["volumes"].as_array().unwrap();
    let state = |id: &str| {
        let volume = volumes.iter().find(|v| v["id"] == id).unwrap();
        (volume["state"].as_str().unwrap().to_owned(), volume["detail"].as_str().unwrap_or("").to_owned())
    };
    assert_eq!(state("v2").0, "ok", "{system}");
    let (bad_state, detail) = state("v1");
    assert!(["missing", "error"].contains(&bad_state.as_str()) && !detail.is_empty(), "{system}");
    tokio::time::sleep(Duration::from_secs(4)).await;
    scene.quiet(&api).await.unwrap();
    assert!(node.stop().await.unwrap().success());
    for n in [1, 2] {
        let account = judge::account(&judge::sent(&scene.ledger(n)), &scene.stored(n).unwrap());
        assert!(account.is_exact() && account.sent > 30, "camera {n}: {account:?}");
    }
}

/// The command that checks a configuration lists every refusal at once, with line and remedy, and the node refuses too.
#[test]
fn ten_faults_are_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("fengsui.toml");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/src/load/ten_faults.toml");
    std::fs::copy(source, &config).unwrap();
    let output = Command::new(binary().unwrap()).arg("--config").arg(&config).arg("check").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let refusals: Vec<_> = said.lines().filter(|l| l.starts_with("refused: ")).collect();
    assert!(refusals.len() >= 10, "{said}");
    assert!(refusals.iter().all(|l| l.contains("fengsui.toml:")), "{said}");
    let refused = Fengsui::start(&config).err().unwrap();
    assert!(refused.0.contains("exit status: 1"), "{refused}");
}
