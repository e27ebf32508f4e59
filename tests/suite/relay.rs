//! Two nodes and a message server, each a real process, with a bad network between them: what happens at the sub-centre is
//! at the centre once and in order, whatever is cut or killed, and the sub-centre records on.

use std::collections::BTreeSet;
use std::process::Output;
use std::time::Duration;

use fengsui_tests::figure::{Figure, Target};
use fengsui_tests::harness::config::{self, ConfigOptions, camera_code};
use fengsui_tests::harness::{Api, Outcome, wait_for};
use fengsui_tests::nats::{NatsServer, free_port};
use fengsui_tests::proxy::Fault;
use fengsui_tests::scenario::city::{City, fengsui, words};
use fengsui_tests::scenario::{Scene, judge, small};
use serde_json::{Value, json};
use tokio::time::Instant;

/// Time within which what was cut must have caught up.
pub(super) const LONG: Duration = Duration::from_secs(30);
/// Cameras of which devices tell: many, so that no limit for one camera folds their events. The first is simulated.
pub const CAMERAS: [u16; 11] = [1, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110];
/// Seed of the network's chance.
const SEED: u64 = 5;

fn assert_code(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", words(output));
}

/// The cameras' codes.
pub fn codes() -> Vec<String> {
    CAMERAS.map(camera_code).into()
}

/// A sub-centre with one simulated camera, not enrolled yet.
pub fn below(city: &City, node: &'static str) -> Scene {
    let still = |n: u16| {
        let url = format!("rtsp://127.0.0.1:1/{n}");
        config::camera_text(n, &url, None, "tcp", None) + "enabled = false\n"
    };
    let more: String = CAMERAS[1..].iter().map(|n| still(*n)).collect();
    let extra = more + &city.uplink(true);
    // One that was killed comes back at the same address, as it does for the devices that send to it.
    let listen = vec![format!("127.0.0.1:{}", free_port().unwrap())];
    let options = ConfigOptions { node, sub: false, extra, listen, ..ConfigOptions::default() };
    Scene::new(small(1), options).unwrap()
}

/// A token of the sub-centre with which a device sends alarms.
pub async fn device(api: &Api) -> String {
    let cameras = CAMERAS.map(camera_code);
    let kinds = ["device.input"];
    let body = json!({"name": "doors", "cameras": cameras, "kinds": kinds, "priority": "alarm"});
    let made: Value = api.post("/tokens", &body).await.unwrap().json().await.unwrap();
    made["secret"].as_str().unwrap().to_owned()
}

/// Door `n` tells something: an event of its own cause.
pub async fn tell(node: &str, secret: &str, (name, n): (&str, usize), priority: &str) {
    let camera = camera_code(CAMERAS[1 + n % (CAMERAS.len() - 1)]);
    let door = format!("{name}-{n}");
    let event = json!({"kind": "device.input", "camera": camera, "input": door, "priority": priority});
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let post =
        client.post(format!("{node}/api/v1/events")).bearer_auth(secret).json(&json!({"events": [event]}));
    let answer = post.send().await.unwrap();
    assert!(answer.status().is_success(), "{} {}", answer.status(), answer.text().await.unwrap());
}

/// Records of events that node `east` noted, the newest first, as another node or itself has them.
async fn records(api: &Api) -> Outcome<Vec<String>> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page: Value = api.get(&format!("/events/records?limit=200&cursor={cursor}")).await?;
        let items = page["items"].as_array().unwrap().iter();
        let ids = items.map(|item| item["id"].as_str().unwrap().to_owned());
        found.extend(ids.filter(|id| id.starts_with("east.")));
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => return Ok(found),
        }
    }
}

/// Waits until the centre has exactly what the sub-centre noted, in its order.
pub async fn same(what: &str, centre: &Api, east: &Api, at_least: usize) -> Vec<String> {
    let result = wait_for(what, LONG, || async {
        let (theirs, ours) = (records(east).await?, records(centre).await?);
        Ok((ours == theirs && ours.len() >= at_least).then_some(ours))
    })
    .await;
    match result {
        Ok(found) => {
            assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), found.len(), "none is doubled");
            found
        }
        Err(error) => {
            let (theirs, ours) = (records(east).await.unwrap(), records(centre).await.unwrap());
            let nodes: Value = east.get("/nodes").await.unwrap();
            let above: Value = centre.get("/nodes").await.unwrap();
            panic!("{error}\nnoted {theirs:?}\ncame {ours:?}\n{nodes}\n{above}");
        }
    }
}

/// How long it takes from the request of a device at the sub-centre until the centre shows the alarm.
async fn latency(centre: &Api, url: &str, secret: &str, n: usize) -> Duration {
    let (began, door) = (Instant::now(), format!("alarm-{n}"));
    tell(url, secret, ("alarm", n), "alarm").await;
    wait_for("the alarm is shown", LONG, || async {
        let page: Value = centre.get("/events/rows?priority=alarm&limit=50").await?;
        let shown = page["items"].as_array().unwrap().iter().any(|row| row["data"]["input"] == door.as_str());
        Ok(shown.then_some(()))
    })
    .await
    .unwrap();
    began.elapsed()
}

async fn alarms_are_shown_at_once(centre: &Api, url: &str, secret: &str) {
    let mut took = Vec::new();
    for n in 0..20 {
        took.push(latency(centre, url, secret, n).await);
    }
    took.sort();
    let p95 = took[took.len() * 95 / 100 - 1].as_secs_f64() * 1000.0;
    let figure = Figure::new("relay_alarm_latency_p95", p95, "ms", Target::AtMost(500.0));
    println!("{figure}");
    assert!(figure.holds(), "{took:?}");
}

/// Tells events for a while, one after another; the disturbance comes in their midst.
async fn events_while(url: &str, secret: &str, name: &str, disturb: impl AsyncFnOnce()) {
    let telling = async {
        for n in 0..30 {
            tell(url, secret, (name, n), "normal").await;
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    };
    let disturbing = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        disturb().await;
    };
    tokio::join!(telling, disturbing);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_once_and_in_order_through_everything() {
    let Some(program) = NatsServer::program() else {
        println!("SKIPPED: nats-server is missing; tests/scripts/setup.sh test installs it");
        return;
    };
    let (mut city, centre, mut above) = City::start(&program, SEED).await.unwrap();
    let mut centre = Some(centre);
    let scene = below(&city, "east");
    city.admit("east", &scene.config, &codes()).unwrap();
    let (node, east) = scene.run_recording().await.unwrap();
    let (url, secret) = (node.url().to_owned(), device(&east).await);
    wait_for("the link is up", LONG, || async {
        let nodes: Value = east.get("/nodes").await?;
        Ok((nodes["own"]["uplink"]["standing"] == "walking").then_some(()))
    })
    .await
    .unwrap();
    same("the beginning", &above, &east, 1).await;
    alarms_are_shown_at_once(&above, &url, &secret).await;
    let mut had = same("alarms", &above, &east, 20).await.len();

    events_while(&url, &secret, "cut", async || {
        city.proxy.set(Fault::Cut);
        tokio::time::sleep(Duration::from_secs(2)).await;
        city.proxy.set(Fault::None);
    })
    .await;
    had = same("a cut link was healed", &above, &east, had + 30).await.len();

    events_while(&url, &secret, "centre", async || {
        let running = centre.take().unwrap();
        let killed = tokio::task::spawn_blocking(move || running.kill_and_restart()).await;
        above = centre.insert(killed.unwrap().unwrap()).log_in().await.unwrap();
    })
    .await;
    had = same("the centre was killed", &above, &east, had + 30).await.len();

    events_while(&url, &secret, "server", async || {
        city.nats.kill().unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        city.nats.start_again().unwrap();
    })
    .await;
    same("the message server was killed", &above, &east, had + 30).await;

    let nodes = wait_for("the node says that it is there", LONG, || async {
        let nodes: Value = above.get("/nodes").await?;
        Ok((nodes["items"][0]["presence"]["link"] == "here").then_some(nodes))
    })
    .await
    .unwrap();
    let quarantined = nodes["centre"]["quarantined"].as_object().unwrap().len();
    assert_eq!((nodes["role"].as_str(), quarantined), (Some("centre"), 0), "{nodes}");
    scene.quiet(&east).await.unwrap();
    assert!(node.stop().await.unwrap().success());
    assert!(centre.unwrap().stop().await.unwrap().success());
    let account = judge::account(&judge::sent(&scene.ledger(1)), &scene.stored(1).unwrap());
    // Ten pictures a second; the three disturbances alone take more than three seconds.
    assert!(account.is_exact() && account.stored > 30, "recording went on through all: {account:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_enrols_one_node_once() {
    let Some(program) = NatsServer::program() else {
        println!("SKIPPED: nats-server is missing; tests/scripts/setup.sh test installs it");
        return;
    };
    let (city, centre, api) = City::start(&program, SEED).await.unwrap();
    let token = city.invite("east", &codes()).unwrap();
    let (first, second) = (below(&city, "east"), below(&city, "east"));
    // A token that somebody else's certificate answers goes to nobody.
    let foreign = std::fs::read_to_string(&token).unwrap();
    let (head, _) = foreign.rsplit_once('.').unwrap();
    let other = city.folder().join("other.token");
    std::fs::write(&other, format!("{head}.{}", "A".repeat(43))).unwrap();
    assert_code(&city.enrol(&first.config, &other).unwrap(), 3);
    assert_code(&city.enrol(&first.config, &token).unwrap(), 0);
    assert!(first.directory().join("data/relay/centre.crt").is_file());
    let again = city.enrol(&second.config, &token).unwrap();
    assert_code(&again, 1);
    assert!(
        words(&again).contains("token_refused") || words(&again).contains("does not enrol"),
        "{}",
        words(&again)
    );
    let nodes: Value = api.get("/nodes").await.unwrap();
    assert_eq!(
        (nodes["items"][0]["id"].as_str(), nodes["items"][0]["state"].as_str()),
        (Some("east"), Some("active"))
    );
    let journal: Value = api.get("/journal?limit=50").await.unwrap();
    let text = journal.to_string();
    let secret = foreign.split('.').nth(2).unwrap();
    assert!(!text.contains(secret), "no token stands in the journal");
    for (order, state) in [("drain", "drained"), ("retire", "retired")] {
        let done = fengsui(&city.config, &["node", order, "east", "--reason", "a test"]).unwrap();
        assert_code(&done, 0);
        let nodes: Value = api.get("/nodes").await.unwrap();
        assert_eq!(nodes["items"][0]["state"], state);
    }
    let done = fengsui(&city.config, &["node", "drain", "east", "--reason", "a test"]).unwrap();
    assert_code(&done, 1);
    assert!(centre.stop().await.unwrap().success());
}
