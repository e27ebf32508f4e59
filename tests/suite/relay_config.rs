//! Places and cameras of a sub-centre, edited at its centre: they arrive and are in force, a bad version is refused and told,
//! and the node works by its last good one when it is alone.

use std::time::Duration;

use fengsui_tests::harness::config::camera_code;
use fengsui_tests::harness::{Api, Fengsui, wait_for};
use fengsui_tests::nats::NatsServer;
use fengsui_tests::proxy::Fault;
use fengsui_tests::scenario::city::{City, fengsui, words};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::relay::{below, codes};

/// Time within which what is to come must have come, a new attempt to connect included.
const LONG: Duration = Duration::from_secs(30);
/// Seed of the network's chance.
const SEED: u64 = 7;

/// Places and cameras of a node in all versions, as its centre shows them.
async fn shown(centre: &Api) -> Value {
    centre.get("/nodes/east/config").await.unwrap()
}

/// Saves a version that was begun from the newest.
async fn save(centre: &Api, base: u64, text: &str) -> (StatusCode, Value) {
    let body = json!({"text": text, "reason": "the street was renamed"});
    let answer = centre.put_if("/nodes/east/config", &body, base).await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

/// Waits until the newest version stands as it should.
async fn settles(centre: &Api, version: u64, state: &str) -> Value {
    wait_for(&format!("version {version} is {state}"), LONG, || async {
        let now = shown(centre).await;
        let newest = &now["versions"][0];
        Ok((newest["version"] == version && newest["state"] == state).then_some(now))
    })
    .await
    .unwrap()
}

/// Name of the first camera at the node.
async fn name(east: &Api) -> String {
    let camera: Value = east.get(&format!("/cameras/{}", camera_code(1))).await.unwrap();
    camera["name"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_works_by_the_centres_last_good_configuration_also_alone() {
    let Some(program) = NatsServer::program() else {
        println!("SKIPPED: nats-server is missing; tests/scripts/setup.sh test installs it");
        return;
    };
    let (city, centre, above) = City::start(&program, SEED).await.unwrap();
    let scene = below(&city, "east");
    city.admit("east", &scene.config, &codes()).unwrap();
    let (node, east) = scene.run_recording().await.unwrap();

    // Before the first version, the text is what the node has.
    let first = wait_for("the node is asked", LONG, || async {
        let now = shown(&above).await;
        Ok(now["text"].is_string().then_some(now))
    })
    .await
    .unwrap();
    let text = first["text"].as_str().unwrap().to_owned();
    assert!(first["newest"] == 0 && text.contains(&camera_code(1)) && !text.contains("password"), "{first}");
    assert_eq!(name(&east).await, "人民路口 1");

    // A version arrives and is in force, while the camera is recorded on.
    let renamed = text.replace("\"人民路口 1\"", "\"解放路口 1\"");
    let (status, made) = save(&above, 0, &renamed).await;
    assert_eq!((status, &made["version"]), (StatusCode::OK, &json!(1)), "{made}");
    settles(&above, 1, "in_force").await;
    assert_eq!(name(&east).await, "解放路口 1");
    let nodes: Value = east.get("/nodes").await.unwrap();
    assert_eq!(
        (&nodes["own"]["config"]["version"], &nodes["own"]["config"]["by"]),
        (&json!(1), &json!("tester"))
    );
    let checked = fengsui(&scene.config, &["check"]).unwrap();
    assert!(
        checked.status.success() && words(&checked).contains("version 1 of the centre"),
        "{}",
        words(&checked)
    );

    refused(&above, &east, &renamed).await;

    // Alone: what is saved meanwhile waits, and the node starts with what it had.
    city.proxy.set(Fault::Cut);
    let third = renamed.replace("解放路口 1", "五一路口 1");
    assert_eq!(save(&above, 2, &third).await.0, StatusCode::OK);
    let (node, east) = again(node).await;
    assert_eq!(name(&east).await, "解放路口 1", "it goes on with its last one");
    east.wait_recording(1, LONG).await.unwrap();
    assert_eq!(shown(&above).await["versions"][0]["state"], "pending");
    city.proxy.set(Fault::None);
    settles(&above, 3, "in_force").await;
    assert_eq!(name(&east).await, "五一路口 1");

    // The node's people go back to their own file, and the centre is told.
    let released =
        fengsui(&scene.config, &["node", "config", "release", "--reason", "wrong street"]).unwrap();
    assert!(released.status.success(), "{}", words(&released));
    assert_eq!(name(&east).await, "人民路口 1");
    settles(&above, 3, "released").await;
    assert!(node.stop().await.unwrap().success());
    assert!(centre.stop().await.unwrap().success());
}

/// What the centre sees to be wrong is refused there; what only the node sees, by the node. Nothing changes.
async fn refused(above: &Api, east: &Api, good: &str) {
    let (status, told) = save(above, 1, &good.replace("kind = \"crossroad\"", "kind = \"moon\"")).await;
    assert_eq!(
        (status, &told["lines"][0]["field"]),
        (StatusCode::BAD_REQUEST, &json!("site.kind")),
        "{told}"
    );
    let city_code = good.replace("33080200002000000001", "33080000002000000001");
    assert_eq!(
        save(above, 1, &city_code).await.0,
        StatusCode::OK,
        "the centre does not know the node's city"
    );
    let now = settles(above, 2, "refused").await;
    let fault = &now["versions"][0]["lines"][0];
    assert!(fault["detail"].as_str().unwrap().contains("is the code of a city already"), "{now}");
    assert_eq!((&now["versions"][1]["state"], &now["in_force"]), (&json!("in_force"), &json!(1)));
    assert_eq!(name(east).await, "解放路口 1");
}

/// The node after a kill.
async fn again(node: Fengsui) -> (Fengsui, Api) {
    let killed = tokio::task::spawn_blocking(move || node.kill_and_restart()).await;
    let mut node = killed.unwrap().unwrap();
    let api = node.log_in().await.unwrap();
    (node, api)
}
