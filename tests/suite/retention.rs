//! A real node on a disk that fills above its water mark deletes footage by itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use fengsui_config::clock::{Clock as _, SystemClock};
use fengsui_config::ids::StreamKind;
use fengsui_tests::camsim::faults::{CameraChoice, FaultKind, FaultOrder};
use fengsui_tests::harness::config::{ConfigOptions, camera_code};
use fengsui_tests::harness::{Api, binary, wait_for};
use fengsui_tests::scenario::{STATE_WITHIN, Scene, small};
use serde_json::{Value, json};

use crate::volumes::{may_mount, tmpfs, wait_all_stored};

const CAMERAS: u16 = 2;

fn fengsui(scene: &Scene, arguments: &[&str]) -> Output {
    Command::new(binary().unwrap()).arg("--config").arg(&scene.config).args(arguments).output().unwrap()
}

/// What `fengsui retention ...` says of a node that rests.
fn at_rest(scene: &Scene, command: &str) -> Value {
    let output = fengsui(scene, &["retention", command]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A closed segment on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Closed {
    camera: u16,
    path: PathBuf,
    start_us: i64,
    end_us: i64,
    bytes: u64,
}

fn closed(scene: &Scene) -> Vec<Closed> {
    let mut found = Vec::new();
    for camera in 1..=CAMERAS {
        let days = fs::read_dir(scene.volume().join(camera_code(camera)).join("main"));
        for file in days.into_iter().flatten().flatten().flat_map(|day| fs::read_dir(day.path()).unwrap()) {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let Ok(name) = name.parse::<fengsui_storage::segment::SegmentName>() else { continue };
            let Some((duration_ms, _)) = name.closed else { continue };
            let (start_us, bytes) = (name.start_ms * 1000, fs::metadata(&path).unwrap().len());
            found.push(Closed {
                camera,
                path,
                start_us,
                end_us: start_us + i64::from(duration_ms) * 1000,
                bytes,
            });
        }
    }
    found.sort_by_key(|c| (c.end_us, c.camera));
    found
}

/// Every camera begins a new segment; how many closed ones there are afterwards.
async fn rotate(scene: &Scene, api: &Api) {
    wait_all_stored(scene, api).await;
    let before = closed(scene).len();
    let kind = FaultKind::from_parts("close", &json!({})).unwrap();
    scene.sim.fault(FaultOrder { camera: CameraChoice::All, stream: None, kind, for_ms: None }).unwrap();
    wait_for("segments are closed", STATE_WITHIN, || async {
        Ok((closed(scene).len() >= before + usize::from(CAMERAS)).then_some(()))
    })
    .await
    .unwrap();
}

#[test]
fn a_node_above_its_water_mark_deletes_the_oldest_says_so_and_keeps_what_is_held() {
    if may_mount("retention::a_node_above_its_water_mark_deletes_the_oldest_says_so_and_keeps_what_is_held") {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(deletes_by_itself());
    }
}

fn scene() -> Scene {
    let extra =
        "\n[[storage.volume]]\nid = \"v1\"\npath = \"v1\"\nreserve_mib = 4\nhigh_water_percent = 50\n\
        low_water_percent = 49.9\n\n[retention]\nlab = true\n\n[[retention.class]]\nname = \"normal\"\n\
        min_days = 0.00001\nmax_days = 30\n"
            .to_owned();
    let options = ConfigOptions { sub: false, volumes: Vec::new(), extra, ..ConfigOptions::default() };
    let scene = Scene::new(small(CAMERAS), options).unwrap();
    tmpfs(&scene.volume(), "size=64m");
    scene
}

async fn deletes_by_itself() {
    let scene = scene();
    let (node, api) = scene.run_recording().await.unwrap();
    for _ in 0..4 {
        rotate(&scene, &api).await;
    }
    // The oldest of camera 1 is held: whoever goes by age alone takes it first.
    let first = closed(&scene).into_iter().find(|c| c.camera == 1).unwrap();
    let hold = json!({"cameras": [camera_code(1)], "from_us": first.start_us, "to_us": first.end_us,
        "reason": "theft at the crossroad"});
    let placed: Value = api.post("/holds", &hold).await.unwrap().json().await.unwrap();
    assert_eq!(placed["kept_segments"], 1, "{placed}");
    let held_bytes = fs::read(&first.path).unwrap();
    assert!(node.stop().await.unwrap().success());

    let (planned, unheld, deletable) = fill_and_plan(&scene, &first);

    let (mut node, api) = scene.run_recording().await.unwrap();
    wait_for("what was planned is gone", STATE_WITHIN, || async {
        Ok(planned.iter().all(|c| !c.path.exists()).then_some(()))
    })
    .await
    .unwrap();
    wait_all_stored(&scene, &api).await;
    let recording_since = SystemClock::new().utc().0;
    assert_eq!(fs::read(&first.path).unwrap(), held_bytes, "no byte of held footage changed");
    registered(&api, &planned, deletable).await;
    // On the timeline the deleted time says what became of it, and the held time plays.
    let gone = planned.iter().find(|c| c.camera == 2).expect("one of camera 2");
    let timeline = api.timeline(2, StreamKind::Main, gone.start_us, gone.end_us).await.unwrap();
    assert!(timeline.spans.iter().all(|s| s.reason.as_deref() == Some("expired")), "{:?}", timeline.spans);
    let kept = api.gops(1, StreamKind::Main, first.start_us, first.end_us).await.unwrap();
    for gop in &kept {
        assert!(api.gop_file(1, StreamKind::Main, gop).await.unwrap().len() > 1000);
    }
    assert!(!kept.is_empty());
    // Oldest first: whatever is there still is younger than all that was planned to go.
    let last = planned.iter().map(|c| c.end_us).max().unwrap();
    let here: Vec<&Closed> = unheld.iter().filter(|c| c.path.exists()).collect();
    assert!(here.iter().all(|c| c.end_us >= last), "{here:?}");
    wait_all_stored(&scene, &api).await;
    scene.quiet(&api).await.unwrap();
    assert!(node.is_running());
    for n in 1..=CAMERAS {
        let last = scene.ledger(n).last().unwrap().last_utc_us.unwrap() - 500_000;
        let timeline = api.timeline(n, StreamKind::Main, recording_since, last).await.unwrap();
        assert!(timeline.gaps().next().is_none(), "camera {n}: {:?}", timeline.spans);
    }
    assert!(node.stop().await.unwrap().success());
    let list = fengsui(&scene, &["hold", "list"]);
    assert!(String::from_utf8_lossy(&list.stdout).contains("theft at the crossroad"), "{list:?}");
}

/// Another program fills the resting node's disk so far that half of what is not held has to go. The dry run names
/// the oldest and nothing held. Returns what it names, all that is not held, and the bytes it names.
fn fill_and_plan(scene: &Scene, held: &Closed) -> (Vec<Closed>, Vec<Closed>, u64) {
    assert_eq!(at_rest(scene, "plan")["rows"], json!([]), "there is room");
    let unheld: Vec<Closed> = closed(scene).into_iter().filter(|c| c.path != held.path).collect();
    let standing = at_rest(scene, "show");
    let of = |field: &str| standing["volumes"][0][field].as_u64().unwrap();
    let half = unheld.iter().map(|c| c.bytes).sum::<u64>() / 2;
    let (free, low, high) = (of("free_bytes"), of("low_free_bytes"), of("high_free_bytes"));
    assert!(half > low - high, "footage enough to cross the mark: {half} bytes");
    fill(&scene.volume().join("rival"), free - low + half);
    let plan = at_rest(scene, "plan");
    assert_eq!(plan["more"], false);
    let rows = plan["rows"].as_array().unwrap();
    let of = |c: &Closed, r: &Value| {
        let (from, to) = (r["from_us"].as_i64().unwrap(), r["to_us"].as_i64().unwrap());
        r["camera"] == camera_code(c.camera) && from <= c.start_us && c.end_us <= to
    };
    let planned: Vec<Closed> = unheld.iter().filter(|c| rows.iter().any(|r| of(c, r))).cloned().collect();
    let count: u64 = rows.iter().map(|r| r["segments"].as_u64().unwrap()).sum();
    let bytes: u64 = rows.iter().map(|r| r["bytes"].as_u64().unwrap()).sum();
    assert!(rows.iter().all(|r| r["why"] == "water"), "{plan}");
    assert_eq!(count, planned.len() as u64, "the held one is not among them: {plan}");
    assert_eq!(planned, unheld[..planned.len()], "the oldest: {plan}");
    assert!(bytes >= half && planned.len() < unheld.len(), "not more than is needed: {plan}");
    (planned, unheld, bytes)
}

fn fill(path: &Path, bytes: u64) {
    fs::write(path, vec![7; usize::try_from(bytes).unwrap()]).unwrap();
}

/// The register has what the dry run said, and says why.
async fn registered(api: &Api, planned: &[Closed], bytes: u64) {
    let register: Value = wait_for("the register has it", STATE_WITHIN, || async {
        let register: Value = api.get("/retention/register").await?;
        let all = register["items"].as_array().unwrap();
        let segments: u64 = all.iter().map(|e| e["segments"].as_u64().unwrap()).sum();
        Ok((segments >= planned.len() as u64).then_some(register))
    })
    .await
    .unwrap();
    let all = register["items"].as_array().unwrap();
    assert!(all.iter().all(|e| e["volume"] == "v1" && e["why"] == "water" && e["left"] == 0), "{register}");
    assert!(all.iter().map(|e| e["bytes"].as_u64().unwrap()).sum::<u64>() >= bytes, "{register}");
    let mut ranges: BTreeMap<String, Vec<(i64, i64)>> = BTreeMap::new();
    for range in all.iter().flat_map(|e| e["ranges"].as_array().unwrap()) {
        let span = (range["from_us"].as_i64().unwrap(), range["to_us"].as_i64().unwrap());
        ranges.entry(range["camera"].as_str().unwrap().to_owned()).or_default().push(span);
    }
    for c in planned {
        let named = ranges[&camera_code(c.camera)].iter().any(|(a, b)| *a <= c.start_us && c.end_us <= *b);
        assert!(named, "{c:?}: {register}");
    }
}
