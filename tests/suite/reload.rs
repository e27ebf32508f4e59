//! Cameras are added, changed and taken away while the others go on undisturbed.

use fengsui_config::ids::StreamKind;
use fengsui_tests::harness::config::{ConfigOptions, camera_code, camera_text};
use fengsui_tests::harness::wait_for;
use fengsui_tests::scenario::{STATE_WITHIN, Scene, judge, small};
use serde_json::{Value, json};

/// Camera 1 stays; camera 2 goes; camera 3 comes; camera 4 gets another address.
#[tokio::test]
async fn a_changed_configuration_touches_the_changed_cameras_alone() {
    let scene = Scene::new(small(5), ConfigOptions { sub: false, ..ConfigOptions::default() }).unwrap();
    let entry = |n: u16, of: u16| camera_text(n, &scene.sim.url(of, StreamKind::Main), None, "tcp", None);
    scene.write_cameras(&(entry(1, 1) + &entry(2, 2) + &entry(4, 4))).unwrap();
    let (node, api) = scene.run().await.unwrap();
    for n in [1, 2, 4] {
        api.wait_recording(n, STATE_WITHIN).await.unwrap();
    }
    scene.write_cameras(&(entry(1, 1) + &entry(3, 3) + &entry(4, 5))).unwrap();
    api.post("/reload", &json!({})).await.unwrap();
    for n in [1, 3, 4] {
        api.wait_recording(n, STATE_WITHIN).await.unwrap();
    }
    wait_for("camera 4 is read from its new address", STATE_WITHIN, || async {
        let old_ended = scene.ledger(4).iter().all(|s| s.ended_us.is_some());
        let new_plays = scene.ledger(5).iter().any(|s| s.frames > 20);
        Ok((old_ended && new_plays).then_some(()))
    })
    .await
    .unwrap();
    let listed: Value = api.get("/cameras").await.unwrap();
    let codes: Vec<_> =
        listed["items"].as_array().unwrap().iter().map(|c| c["code"].as_str().unwrap().to_owned()).collect();
    assert_eq!(codes, [1, 3, 4].map(camera_code));
    assert!(scene.ledger(2).iter().all(|s| s.ended_us.is_some()), "{:?}", scene.ledger(2));

    scene.quiet_of(&api, &[1, 3, 4]).await.unwrap();
    assert!(node.stop().await.unwrap().success());
    assert_eq!(scene.ledger(1).len(), 1, "{:?}", scene.ledger(1));
    assert_eq!(scene.ledger(3).len(), 1, "{:?}", scene.ledger(3));
    let account = judge::account(&judge::sent(&scene.ledger(1)), &scene.stored(1).unwrap());
    assert!(account.is_exact(), "{account:?}");
    assert!(!scene.stored(2).unwrap().is_empty(), "footage of a camera taken away stays");
}

/// A configuration with a fault is refused as a whole and changes nothing.
#[tokio::test]
async fn a_faulty_configuration_is_refused_and_changes_nothing() {
    let scene = Scene::new(small(1), ConfigOptions { sub: false, ..ConfigOptions::default() }).unwrap();
    let (node, api) = scene.run_recording().await.unwrap();
    let entry = camera_text(1, &scene.sim.url(1, StreamKind::Main), None, "tcp", None);
    scene.write_cameras(&(entry.clone() + &entry)).unwrap();
    let refused = api.post("/reload", &json!({})).await.unwrap_err();
    assert!(refused.0.contains("400") && refused.0.contains(&camera_code(1)), "{refused}");
    scene.quiet(&api).await.unwrap();
    assert!(node.stop().await.unwrap().success());
    assert_eq!(scene.ledger(1).len(), 1);
    // The same fault at the start: the node does not run, and says why.
    let refused = scene.run().await.err().unwrap();
    assert!(refused.0.contains(&camera_code(1)), "{refused}");
}
