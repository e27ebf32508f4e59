//! A node is backed up while it records, lost, and restored elsewhere: the same people log in and see the same footage.

use std::path::Path;
use std::process::{Command, Output};

use fengsui_config::clock::{Clock as _, SystemClock};
use fengsui_config::ids::StreamKind;
use fengsui_tests::harness::config::ConfigOptions;
use fengsui_tests::harness::{Fengsui, binary, wait_for};
use fengsui_tests::scenario::{STATE_WITHIN, Scene, small};
use serde_json::Value;

fn fengsui(arguments: &[&str], config: &Path) -> Output {
    Command::new(binary().unwrap()).args(arguments).arg("--config").arg(config).output().unwrap()
}

fn said(output: &Output) -> String {
    format!(
        "{:?}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[tokio::test]
async fn a_node_lost_after_its_backup_is_restored_elsewhere() {
    let scene = Scene::new(small(1), ConfigOptions { sub: false, ..ConfigOptions::default() }).unwrap();
    let (node, api) = scene.run_recording().await.unwrap();
    let now = SystemClock::new().utc().0;
    let before = wait_for("footage can be played", STATE_WITHIN, || async {
        let timeline = api.timeline(1, StreamKind::Main, now - 60_000_000, now + 60_000_000).await?;
        let Some(first) = timeline.first_us else { return Ok(None) };
        let gops = api.gops(1, StreamKind::Main, first, first + 5_000_000).await?;
        Ok((!gops.is_empty()).then_some((first, gops)))
    })
    .await
    .unwrap();
    let words = scene.directory().join("words");
    std::fs::write(&words, "correct horse battery staple\n").unwrap();
    let tar = scene.directory().join("node.tar");
    let (words, tar) = (words.to_str().unwrap(), tar.to_str().unwrap());
    let made = fengsui(&["backup", "--to", tar, "--passphrase-file", words], &scene.config);
    assert!(made.status.success(), "{}", said(&made));
    let verified = fengsui(&["journal", "verify"], &scene.config);
    assert!(verified.status.success() && said(&verified).contains("sound"), "{}", said(&verified));
    assert!(node.stop().await.unwrap().success());

    // The machine is gone; its disk with footage is attached to another one.
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::remove_dir_all(scene.directory().join("data")).unwrap();
    std::fs::rename(scene.volume(), elsewhere.path().join("v1")).unwrap();
    let config = elsewhere.path().join("fengsui.toml");
    let restored = fengsui(&["restore", "--from", tar, "--passphrase-file", words], &config);
    assert!(restored.status.success(), "{}", said(&restored));
    let again = fengsui(&["restore", "--from", tar, "--passphrase-file", words], &config);
    assert_eq!(again.status.code(), Some(1), "{}", said(&again));
    assert!(said(&again).contains("move it away"), "{}", said(&again));

    let mut node = Fengsui::start(&config).unwrap();
    let api = fengsui_tests::harness::Api::new(node.url()).unwrap();
    assert!(!api.setup_required().await.unwrap(), "the accounts came with it");
    let api = {
        drop(api);
        node.log_in().await.unwrap()
    };
    let (first, gops) = before;
    let found = wait_for("the footage is known", STATE_WITHIN, || async {
        let found = api.gops(1, StreamKind::Main, first, first + 5_000_000).await?;
        Ok((found.len() >= gops.len()).then_some(found))
    })
    .await
    .unwrap();
    assert_eq!((found[0].from_us, found[0].bytes), (gops[0].from_us, gops[0].bytes));
    assert!(!api.gop_file(1, StreamKind::Main, &found[0]).await.unwrap().is_empty());
    let page: Value = api.get("/journal?kind=journal.,account.,node.&limit=100").await.unwrap();
    let kinds: Vec<&str> =
        page["items"].as_array().unwrap().iter().filter_map(|r| r["kind"].as_str()).collect();
    assert!(kinds.contains(&"journal.restored") && kinds.contains(&"account.created"), "{kinds:?}");
    assert!(!page.to_string().contains("argon2"), "no hash of a password is shown");
    assert!(node.stop().await.unwrap().success());
    let verified = fengsui(&["journal", "verify", "--json"], &config);
    assert!(verified.status.success(), "{}", said(&verified));
    let export = fengsui(&["journal", "export", "--kind", "session."], &config);
    let lines: Vec<Value> =
        String::from_utf8_lossy(&export.stdout).lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert!(lines.len() >= 2 && lines.iter().all(|l| l["kind"].as_str().unwrap().starts_with("session.")));
    a_cut_end_is_seen(&config, &elsewhere.path().join("data/journal"));
}

/// The last record cut away: the node's own check says so.
fn a_cut_end_is_seen(config: &Path, journal: &Path) {
    let newest = std::fs::read_dir(journal).unwrap().map(|e| e.unwrap().path());
    let newest = newest.filter(|p| p.extension().is_some_and(|e| e == "journal")).max().unwrap();
    let bytes = std::fs::read(&newest).unwrap();
    std::fs::write(&newest, &bytes[..bytes.len() - 60]).unwrap();
    let verified = fengsui(&["journal", "verify"], config);
    assert_eq!(verified.status.code(), Some(1), "{}", said(&verified));
    assert!(said(&verified).contains("its end was cut"), "{}", said(&verified));
}
