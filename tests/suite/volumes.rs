//! Real disks that fill up, run out of files and are pulled while a node records on them; orders to a running node.
//!
//! Mounts are made in a mount namespace of the test's own: the test runs itself again below `unshare`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use fengsui_config::clock::{Clock as _, SystemClock};
use fengsui_config::env::{Env as _, ProcessEnv};
use fengsui_config::ids::StreamKind;
use fengsui_tests::camsim::faults::{CameraChoice, FaultKind, FaultOrder};
use fengsui_tests::harness::config::{ConfigOptions, camera_code};
use fengsui_tests::harness::{Api, binary, wait_for};
use fengsui_tests::scenario::{STATE_WITHIN, Scene, judge, small};
use serde_json::{Value, json};

/// Set for the run below `unshare`.
const INSIDE: &str = "FENGSUI_TEST_MOUNTS";

/// Whether this is the run that may mount. Otherwise runs the test `name` again where it may, and fails as it does.
pub fn may_mount(name: &str) -> bool {
    if ProcessEnv.get(INSIDE).is_some() {
        return true;
    }
    let apart = || {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "--"]);
        command
    };
    if !apart().arg("true").status().is_ok_and(|s| s.success()) {
        println!("SKIPPED 1 test: {name}: mounting is not permitted here; run it as root");
        eprintln!("SKIPPED 1 test: {name}: mounting is not permitted here; run it as root");
        return false;
    }
    let own = std::env::current_exe().unwrap();
    let output = apart().arg(own).args(["--exact", name, "--nocapture"]).env(INSIDE, "1").output().unwrap();
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("1 passed"), "{}", text(&output.stdout));
    false
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

pub fn tmpfs(at: &Path, options: &str) {
    fs::create_dir_all(at).unwrap();
    run("mount", &["-t", "tmpfs", "-o", options, "tmpfs", &at.to_string_lossy()]);
}

/// Another program fills the disk, to the last byte.
fn fill(volume: &Path) -> PathBuf {
    let path = volume.join("rival");
    let mut file = fs::File::create(&path).unwrap();
    let block = vec![7; 1 << 20];
    for size in [1 << 20, 4096, 1] {
        while std::io::Write::write_all(&mut file, &block[..size]).is_ok() {}
    }
    path
}

/// Another program takes every file that the disk can have.
fn take_inodes(volume: &Path) -> PathBuf {
    let dir = volume.join("rival-files");
    fs::create_dir_all(&dir).unwrap();
    let mut n = 0;
    while fs::File::create(dir.join(n.to_string())).is_ok() {
        n += 1;
    }
    dir
}

async fn volume(api: &Api, id: &str) -> Value {
    let list: Value = api.get("/volumes").await.unwrap();
    list["volumes"].as_array().unwrap().iter().find(|v| v["id"] == id).unwrap().clone()
}

async fn wait_volumes(api: &Api, states: &[(&str, &str)]) {
    wait_for(&format!("volumes are {states:?}"), STATE_WITHIN, || async {
        for (id, state) in states {
            if volume(api, id).await["state"] != *state {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })
    .await
    .unwrap();
}

/// Every camera has pictures on the disk that are younger than this call.
pub async fn wait_all_stored(scene: &Scene, api: &Api) {
    let now = SystemClock::new().utc().0;
    for n in 1..=scene.sim.cameras() {
        wait_for(&format!("camera {n} reaches a disk"), STATE_WITHIN, || async {
            let camera = api.camera(n).await?;
            let recording = camera["recording"]["state"] == "recording";
            Ok((recording && camera["recording"]["last_us"].as_i64() > Some(now)).then_some(()))
        })
        .await
        .unwrap();
    }
}

/// Three disks: one is filled by another program, one runs out of files, one is pulled, then all are full. Nothing stops
/// while one of them takes footage, and in the end every picture sent is on a disk.
#[test]
fn disks_that_fill_or_go_away_cost_no_picture_while_another_is_there() {
    if may_mount("volumes::disks_that_fill_or_go_away_cost_no_picture_while_another_is_there") {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(bad_days());
    }
}

async fn bad_days() {
    let names = ["v1", "v2", "v3"].map(str::to_owned);
    let options = ConfigOptions {
        sub: false,
        volumes: names.to_vec(),
        reserve_mib: 4,
        extra: String::new(),
        ..ConfigOptions::default()
    };
    let scene = Scene::new(small(6), options).unwrap();
    let [v1, v2, v3] = names.each_ref().map(|n| scene.directory().join(n));
    tmpfs(&v1, "size=64m");
    tmpfs(&v2, "size=64m,nr_inodes=4000");
    tmpfs(&v3, "size=64m");
    let drawer = scene.directory().join("drawer");
    fs::create_dir_all(&drawer).unwrap();
    let (v3_text, drawer_text) = (v3.to_string_lossy(), drawer.to_string_lossy());
    run("mount", &["--bind", &v3_text, &drawer_text]);

    let (mut node, api) = scene.run_recording().await.unwrap();
    wait_all_stored(&scene, &api).await;
    let (rival, files) = (fill(&v1), take_inodes(&v2));
    wait_volumes(&api, &[("v1", "full"), ("v2", "full"), ("v3", "ok")]).await;
    wait_all_stored(&scene, &api).await;
    wait_for("the node says that v2 has no more files", STATE_WITHIN, || async {
        let v2 = volume(&api, "v2").await;
        Ok(v2["detail"].as_str().is_some_and(|d| d.contains("more files can be created")).then_some(()))
    })
    .await
    .unwrap();
    // Room again on two, and the third is pulled.
    fs::remove_file(rival).unwrap();
    fs::remove_dir_all(files).unwrap();
    wait_volumes(&api, &[("v1", "ok"), ("v2", "ok")]).await;
    run("umount", &["--lazy", &v3_text]);
    wait_volumes(&api, &[("v3", "missing")]).await;
    wait_all_stored(&scene, &api).await;
    assert!(fs::read_dir(&v3).unwrap().next().is_none(), "nothing is written to a bare mount point");
    // Back again; then all three are full at once.
    run("mount", &["--bind", &drawer_text, &v3_text]);
    wait_volumes(&api, &[("v3", "ok")]).await;
    let rivals: Vec<_> = [&v1, &v2, &v3].map(|v| fill(v)).into();
    wait_volumes(&api, &[("v1", "full"), ("v2", "full"), ("v3", "full")]).await;
    wait_for("the node says that nothing is recorded", STATE_WITHIN, || async {
        let camera = api.camera(1).await?;
        Ok((camera["recording"]["reason"] == "disk_full").then_some(()))
    })
    .await
    .unwrap();
    let room_at = SystemClock::new().utc().0;
    rivals.iter().for_each(|r| fs::remove_file(r).unwrap());
    wait_all_stored(&scene, &api).await;
    let again_ms = (SystemClock::new().utc().0 - room_at) / 1000;
    assert!(again_ms < 8000, "recording again {again_ms} ms after there was room");
    scene.quiet(&api).await.unwrap();
    assert!(node.is_running(), "no exit");
    judge_all(&scene, &api).await;
    assert!(node.stop().await.unwrap().success());
}

/// Every picture that was sent is stored (twice, where a file was given up and its pictures went to another), and no
/// second is unexplained.
async fn judge_all(scene: &Scene, api: &Api) {
    let mut wrong = Vec::new();
    for n in 1..=scene.sim.cameras() {
        let ledger = scene.ledger(n);
        let account = judge::account(&judge::sent(&ledger), &scene.stored(n).unwrap());
        if account.strange + account.unreadable > 0 || account.sent < 50 || !account.missing.is_empty() {
            wrong.push(format!("camera {n}: {account:?}"));
        }
        let (from, to) =
            (ledger[0].first_utc_us.unwrap() + 500_000, ledger[0].last_utc_us.unwrap() - 500_000);
        let timeline = api.timeline(n, StreamKind::Main, from, to).await.unwrap();
        let holes = judge::unexplained(&timeline.spans, from, to);
        if !holes.is_empty() || timeline.gaps().next().is_some() {
            wrong.push(format!("camera {n}: {:?}", timeline.spans));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn fengsui(config: &Path, arguments: &[&str]) -> Output {
    Command::new(binary().unwrap()).arg("--config").arg(config).args(arguments).output().unwrap()
}

fn assert_code(output: &Output, code: i32) {
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    assert_eq!(output.status.code(), Some(code), "{}{}", text(&output.stdout), text(&output.stderr));
}

/// A stage in front of one volume, another volume beside it: footage plays wherever it lies, the command line gives
/// orders to the running node, and they are in the journal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn staged_footage_moves_and_plays_and_orders_reach_a_running_node() {
    let options = ConfigOptions {
        sub: false,
        volumes: vec!["v2".to_owned()],
        extra: "\n[[storage.volume]]\nid = \"nvme\"\npath = \"nvme\"\nreserve_mib = 4\n\
            \n[[storage.volume]]\nid = \"bulk\"\npath = \"bulk\"\nreserve_mib = 4\nkind = \"staged\"\nstage = \"nvme\"\n"
            .to_owned(),
        ..ConfigOptions::default()
    };
    let scene = Scene::new(small(4), options).unwrap();
    let (node, api) = scene.run_recording().await.unwrap();
    wait_all_stored(&scene, &api).await;
    assert_code(&fengsui(&scene.config, &["volume", "drain", "v2"]), 0);
    wait_for("nothing is written on v2", STATE_WITHIN, || async {
        Ok((volume(&api, "v2").await["mode"] == "drain" && scene_open(&scene, "v2") == 0).then_some(()))
    })
    .await
    .unwrap();
    let refused = fengsui(&scene.config, &["volume", "replace", "bulk"]);
    assert_code(&refused, 1);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--plain-folder"), "{refused:?}");
    assert_code(&fengsui(&scene.config, &["volume", "evacuate", "v2"]), 0);
    wait_all_stored(&scene, &api).await;
    // Cameras start anew: what is staged is closed and moved.
    let kind = FaultKind::from_parts("close", &json!({})).unwrap();
    scene.sim.fault(FaultOrder { camera: CameraChoice::All, stream: None, kind, for_ms: None }).unwrap();
    wait_for("footage lies on the bulk volume", STATE_WITHIN, || async {
        let here = |v: &str| closed_files(&scene, v);
        Ok((here("bulk") >= 4 && here("v2") == 0 && here("nvme") == 0).then_some(()))
    })
    .await
    .unwrap();
    let now = SystemClock::new().utc().0;
    for n in 1..=4 {
        let gops = api.gops(n, StreamKind::Main, now - 600_000_000, now).await.unwrap();
        assert!(gops.len() >= 2, "camera {n}: {gops:?}");
        for gop in &gops {
            assert!(api.gop_file(n, StreamKind::Main, gop).await.unwrap().len() > 1000, "camera {n}");
        }
    }
    assert!(node.stop().await.unwrap().success());
    let list = fengsui(&scene.config, &["volume", "list"]);
    assert_code(&list, 0);
    let text = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(text.contains("evacuate") && text.contains("staged on nvme") && text.contains("stage"), "{text}");
    assert_code(&fengsui(&scene.config, &["volume", "use", "v2"]), 0);
    assert_code(&fengsui(&scene.config, &["fsck", "--full"]), 0);
    let journal = scene.directory().join("data/journal");
    let files = fs::read_dir(journal).unwrap().map(|e| fs::read(e.unwrap().path()).unwrap_or_default());
    let all: Vec<u8> = files.flatten().collect();
    for kind in ["volume.drained", "volume.evacuated", "volume.order_refused", "volume.used"] {
        assert!(String::from_utf8_lossy(&all).contains(kind), "{kind}");
    }
}

fn names(scene: &Scene, volume: &str) -> Vec<String> {
    let mut found = Vec::new();
    for n in 1..=scene.sim.cameras() {
        let days = fs::read_dir(scene.directory().join(volume).join(camera_code(n)).join("main"));
        for day in days.into_iter().flatten().flatten() {
            let files = fs::read_dir(day.path()).into_iter().flatten().flatten();
            found.extend(files.map(|f| f.file_name().to_string_lossy().into_owned()));
        }
    }
    found
}

fn scene_open(scene: &Scene, volume: &str) -> usize {
    names(scene, volume).iter().filter(|n| n.ends_with(".open.mp4")).count()
}

fn closed_files(scene: &Scene, volume: &str) -> usize {
    names(scene, volume).iter().filter(|n| !n.ends_with(".open.mp4")).count()
}
