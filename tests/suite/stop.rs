//! The node stops in good order, its index can be made anew, and damage is found.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use fengsui_config::clock::{Clock as _, SystemClock};
use fengsui_config::ids::StreamKind;
use fengsui_tests::harness::config::ConfigOptions;
use fengsui_tests::harness::{Api, binary, media, wait_for};
use fengsui_tests::scenario::{STATE_WITHIN, Scene, judge, small};

const CAMERAS: u16 = 2;

fn fengsui(config: &Path, arguments: &[&str]) -> Output {
    Command::new(binary().unwrap()).arg("--config").arg(config).args(arguments).output().unwrap()
}

fn assert_code(output: &Output, code: i32) {
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    assert_eq!(output.status.code(), Some(code), "{}{}", text(&output.stdout), text(&output.stderr));
}

async fn recorded(time: Duration) -> (Scene, Vec<Vec<(i64, i64)>>) {
    let scene = Scene::new(small(CAMERAS), ConfigOptions { sub: false, ..ConfigOptions::default() }).unwrap();
    let (node, api) = scene.run_recording().await.unwrap();
    tokio::time::sleep(time).await;
    scene.quiet(&api).await.unwrap();
    let mut spans = Vec::new();
    for n in 1..=CAMERAS {
        spans.push(footage(&api, n).await);
    }
    assert!(node.stop().await.unwrap().success());
    (scene, spans)
}

/// The stretches of footage of a camera within the last hour, once none of them grows.
async fn footage(api: &Api, n: u16) -> Vec<(i64, i64)> {
    let now = SystemClock::new().utc().0;
    wait_for(&format!("the footage of camera {n} is closed"), STATE_WITHIN, || async {
        let timeline = api.timeline(n, StreamKind::Main, now - 3_600_000_000, now).await?;
        let footage: Vec<_> = timeline.spans.iter().filter(|s| s.kind == "footage").collect();
        let closed = !footage.is_empty() && footage.iter().all(|s| !s.open);
        Ok(closed.then(|| footage.iter().map(|s| (s.from_us, s.to_us)).collect()))
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_stop_closes_every_file_and_loses_nothing() {
    let scene = Scene::new(small(CAMERAS), ConfigOptions { sub: false, ..ConfigOptions::default() }).unwrap();
    let (node, _) = scene.run_recording().await.unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(node.stop().await.unwrap().success());
    for n in 1..=CAMERAS {
        assert_eq!(scene.open_files(n).unwrap(), 0, "camera {n}");
        let files = scene.stored(n).unwrap();
        let ledger = scene.ledger(n);
        let account = judge::account(&judge::sent(&ledger), &files);
        assert!(account.is_true(), "camera {n}: {account:?}");
        assert!(files.iter().all(|f| f.complaints.is_empty()), "{files:?}");
        // Nothing is missing but what was on its way while the session was being ended.
        let facts = scene.sim.facts(n, StreamKind::Main).unwrap();
        let ended = ledger.last().and_then(|s| s.ended_us).unwrap();
        let lost: Vec<_> =
            account.missing.iter().filter(|&&f| judge::due_us(&facts, f) < ended - 1_000_000).collect();
        assert!(lost.is_empty(), "camera {n}: {lost:?} of {account:?}");
    }
}

#[tokio::test]
async fn the_index_comes_back_from_the_files_alone() {
    let (scene, before) = recorded(Duration::from_secs(5)).await;
    let catalogue = std::fs::read_dir(scene.directory().join("data"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.file_name().is_some_and(|n| n.to_string_lossy().contains("catalogue")))
        .expect("the catalogue's folder");
    std::fs::remove_dir_all(&catalogue).unwrap();
    assert_code(&fengsui(&scene.config, &["index", "rebuild"]), 0);
    let (node, api) = scene.run().await.unwrap();
    for (n, before) in (1..=CAMERAS).zip(before) {
        let after = footage(&api, n).await;
        assert_eq!(before.len(), after.len(), "camera {n}: {before:?} {after:?}");
        for (b, a) in before.iter().zip(&after) {
            // Names keep milliseconds.
            assert!((b.0 - a.0).abs() <= 1000 && (b.1 - a.1).abs() <= 2000, "camera {n}: {b:?} {a:?}");
        }
    }
    assert!(node.stop().await.unwrap().success());
}

#[tokio::test]
async fn a_check_is_clean_and_finds_a_single_flipped_bit() {
    let (scene, _) = recorded(Duration::from_secs(4)).await;
    let sound = fengsui(&scene.config, &["fsck", "--full", "--json"]);
    assert_code(&sound, 0);
    let sound: serde_json::Value = serde_json::from_slice(&sound.stdout).unwrap();
    assert_eq!(
        (&sound["outcome"], sound["sections"].as_array().unwrap().len()),
        (&"clean".into(), 8),
        "{sound}"
    );
    assert_code(&fengsui(&scene.config, &["journal", "verify"]), 0);
    let file = media::segment_files(&scene.volume(), 1, StreamKind::Main).unwrap().remove(0);
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(&file, bytes).unwrap();
    let found = fengsui(&scene.config, &["fsck", "--full"]);
    assert_code(&found, 1);
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    let told = String::from_utf8_lossy(&found.stdout).into_owned();
    assert!(told.contains(&name) && told.contains("what to do: "), "{told}");
    assert_code(&fengsui(&scene.config, &["fsck", "--section", "journal,key,catalogue"]), 0);
    // Each other part finds its own.
    let data = scene.directory().join("data");
    let flip = |path: &Path, at: usize| {
        let mut bytes = std::fs::read(path).unwrap();
        bytes[at] ^= 1;
        std::fs::write(path, bytes).unwrap();
    };
    flip(&data.join("journal/0000000001.journal"), 200);
    flip(&data.join("catalogue/catalogue.log"), 40);
    flip(&scene.volume().join("fengsui-volume.json"), 0);
    let found = fengsui(&scene.config, &["fsck", "--json", "--section", "volumes,catalogue,journal"]);
    assert_code(&found, 1);
    let found: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap();
    for section in found["sections"].as_array().unwrap() {
        assert_eq!(section["problems"][0]["kind"], "damaged", "{found}");
    }
}
