//! Alarms and incidents between a sub-centre and its centre, with real processes, a real server and a cut network.

use std::time::Duration;

use fengsui_tests::harness::config::camera_code;
use fengsui_tests::harness::{Api, wait_for};
use fengsui_tests::nats::NatsServer;
use fengsui_tests::proxy::Fault;
use fengsui_tests::scenario::city::City;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::relay::{below, codes};

/// Time within which what is to come must have come, a new attempt to connect included.
const LONG: Duration = Duration::from_secs(40);
/// Seed of the network's chance.
const SEED: u64 = 11;

/// Does something to an incident; gives the answer.
async fn act(api: &Api, id: &str, body: Value) -> (StatusCode, Value) {
    let path = format!("/{}/acts", id.replacen("incident/", "incidents/", 1));
    let answer = api.post(&path, &body).await.unwrap();
    (answer.status(), answer.json().await.unwrap_or_default())
}

/// The same, which has to go well.
async fn done(api: &Api, id: &str, body: Value) {
    let (status, told) = act(api, id, body).await;
    assert_eq!(status, StatusCode::OK, "{told}");
}

/// What somebody sees of an incident.
async fn page(api: &Api, id: &str) -> Result<Value, fengsui_tests::harness::HarnessError> {
    api.get(&format!("/{}", id.replacen("incident/", "incidents/", 1))).await
}

/// Ids of its acts, in order.
fn acts(page: &Value) -> Vec<String> {
    let all = page["acts"].as_array().into_iter().flatten();
    all.map(|act| act["id"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Waits until both have the same acts of an incident, at least so many.
async fn same(what: &str, (above, below): (&Api, &Api), id: &str, at_least: usize) -> (Value, Value) {
    wait_for(what, LONG, || async {
        let (Ok(up), Ok(down)) = (page(above, id).await, page(below, id).await) else { return Ok(None) };
        let (here, there) = (acts(&up), acts(&down));
        Ok((here == there && here.len() >= at_least).then_some((up, down)))
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_at_a_sub_centre_and_at_the_centre_is_the_same_at_both_whatever_is_cut() {
    let Some(program) = NatsServer::program() else {
        println!("SKIPPED: nats-server is missing; tests/scripts/setup.sh test installs it");
        return;
    };
    let (city, centre, above) = City::start(&program, SEED).await.unwrap();
    let scene = below(&city, "east");
    city.admit("east", &scene.config, &codes()).unwrap();
    let (node, east) = scene.run_recording().await.unwrap();

    // Opened at the sub-centre, it is at the centre, is handled there, and that is at the sub-centre.
    let body = json!({"kind": "theft", "title": "Bicycle stolen", "place": {"address": "East gate"},
        "cameras": [camera_code(1)]});
    let opened = east.post("/incidents", &body).await.unwrap();
    assert_eq!(opened.status(), StatusCode::CREATED);
    let opened: Value = opened.json().await.unwrap();
    let id = opened["incident"]["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("incident/east/"), "{id}");
    same("the incident is at the centre", (&above, &east), &id, 1).await;
    done(&above, &id, json!({"do": "assign", "people": ["wang"]})).await;
    let (_, there) = same("what the centre did is at the sub-centre", (&above, &east), &id, 2).await;
    assert_eq!(
        (&there["incident"]["state"], &there["incident"]["people"]),
        (&json!("handling"), &json!(["wang"]))
    );

    // Apart, both go on.
    city.proxy.set(Fault::Cut);
    done(&above, &id, json!({"do": "assign", "people": ["zhao"]})).await;
    done(&above, &id, json!({"do": "note", "text": "called the owner"})).await;
    done(&east, &id, json!({"do": "assign", "people": ["li"]})).await;
    done(&east, &id, json!({"do": "resolve", "result": "found"})).await;
    done(&east, &id, json!({"do": "close"})).await;
    assert_eq!(page(&above, &id).await.unwrap()["incident"]["state"], "handling", "nothing comes through");
    city.proxy.set(Fault::None);
    let (up, down) = same("the link is healed", (&above, &east), &id, 7).await;
    assert_eq!((&up["acts"], &up["conflicts"]), (&down["acts"], &down["conflicts"]));
    assert_eq!(up["incident"]["state"], down["incident"]["state"]);
    assert_eq!(up["incident"]["people"], down["incident"]["people"]);
    let conflicts = up["conflicts"].as_array().unwrap();
    assert!(conflicts.iter().any(|c| c["what"] == "people"), "people see who was overruled: {up}");
    assert!(up["acts"].as_array().unwrap().iter().any(|a| a["detail"]["text"] == "called the owner"));

    // A conflict that somebody has looked at at one side is settled at the other.
    for conflict in conflicts {
        done(&above, &id, json!({"do": "settle", "act": conflict["act"], "note": "agreed by telephone"}))
            .await;
    }
    let (_, down) = same("the conflict is settled", (&above, &east), &id, 7 + conflicts.len()).await;
    assert_eq!(down["incident"]["conflicts"], 0, "{down}");
    assert!(node.stop().await.unwrap().success());
    assert!(centre.stop().await.unwrap().success());
}
