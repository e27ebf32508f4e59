//! Centre and sub-centre of different versions, each a whole program on one side. There is one program here, so the next
//! version is played by the test: it logs in with the key of a node that was really enrolled, or of the centre itself, and says
//! over the real message server what this version does not know: higher versions, more fields everywhere, kinds, words, calls
//! and headers that nobody here has heard of.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fengsui_config::clock::{Clock as _, SystemClock};
use fengsui_config::ids::NodeId;
use fengsui_relay::call::{self, OnBehalf, Request};
use fengsui_relay::frame::{Frame, Key, Mark, Packet, Preview};
use fengsui_relay::link::subjects::Subjects;
use fengsui_relay::link::{
    ConsumerSettings, Incoming, Link as _, LinkError, LinkOptions, NatsLink, StreamSettings,
};
use fengsui_relay::talk::{Ask, Confirmation, OriginMark, Where};
use fengsui_storage::journal::kinds;
use fengsui_storage::segment::NodeKey;
use fengsui_tests::harness::config::{camera_code, camera_text};
use fengsui_tests::harness::{Api, Fengsui, Outcome, api, wait_for};
use fengsui_tests::nats::NatsServer;
use fengsui_tests::scenario::city::City;
use fengsui_tests::scenario::judge;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::relay::{below, codes, device, same, tell};
use super::relay_bad::{Sender, came, refused};

/// Time within which what has to come must have come: a walk of a node that nobody confirms takes its time.
const LONG: Duration = Duration::from_secs(90);
/// Seed of the network's chance.
const SEED: u64 = 11;
/// The camera of the node that the test plays.
const CAMERA: u16 = 2;

/// A message as the next version would say it: a higher version, and a field more in everything that has fields.
fn newer(bytes: &[u8]) -> Bytes {
    let mut value: Value = serde_json::from_slice(bytes).unwrap();
    more(&mut value);
    value["v"] = 2.into();
    value.to_string().into()
}

fn more(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(more);
            map.insert("a_new_field".to_owned(), json!({"of": ["the next version"]}));
        }
        Value::Array(items) => items.iter_mut().for_each(more),
        _ => {}
    }
}

/// A line of a call and its bytes, as the next version would say them.
fn newer_line(mut line: Value, bytes: &[u8]) -> Bytes {
    line.get_mut("by").into_iter().for_each(more);
    line["a_new_field"] = json!(["of", "the next version"]);
    line["v"] = 2.into();
    [line.to_string().as_bytes(), b"\n", bytes].concat().into()
}

async fn number(url: &str, name: &str) -> Outcome<u64> {
    let page = api::page(&format!("{url}/metrics")).await?;
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(line.and_then(|value| value.parse::<f64>().ok()).map_or(0, |value| value as u64))
}

/// Runs `scene` while the other side plays its part, which has no end.
async fn beside(part: impl Future<Output = ()>, scene: impl Future<Output = ()>) {
    tokio::select! {
        () = part => unreachable!("the other side stopped playing"),
        () = scene => {}
    }
}

// A centre of this version, a sub-centre of the next one.

/// Says that the node is there, and answers the centre's calls, without end.
async fn play_node(link: &NatsLink, node: &NodeId) {
    let subjects = Subjects::of(node);
    let mut calls = link.subscribe(&subjects.commands()).await.unwrap();
    let mut late = FuturesUnordered::new();
    let mut beat = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            _ = beat.tick() => link.tell(&subjects.presence(), word()).await.unwrap(),
            Some(asked) = calls.next() => {
                let verb = asked.subject.rsplit('.').next().unwrap_or_default().to_owned();
                match verb.as_str() {
                    call::CALL => link.answer(&asked, answer(&asked)).await.unwrap(),
                    // An answer without end in which nothing more happens.
                    call::MORE => late.push(async move {
                        tokio::time::sleep(Duration::from_secs(2)).await;
                        asked
                    }),
                    _ => {}
                }
            }
            Some(asked) = late.next(), if !late.is_empty() => {
                link.answer(&asked, newer_line(json!({"rest": "more"}), b"")).await.unwrap();
            }
        }
    }
}

/// The word of presence.
fn word() -> Bytes {
    let now = SystemClock::new().utc().0;
    let cameras = json!({"total": 2, "online": 1, "recording": 1});
    let word = json!({"v": 1, "version": "99.0.0", "clock_us": now, "cameras": cameras, "backlog_records": 0,
        "config": {"in_force": null, "released": null}});
    newer(word.to_string().as_bytes())
}

/// What the node answers to a call.
fn answer(asked: &Incoming) -> Bytes {
    let (request, _) = call::decode::<Request>(&asked.payload).unwrap();
    let path = request.path.split('?').next().unwrap_or_default();
    let headers = json!({"content-type": "application/json", "x-of-the-next-version": "1"});
    if path == "/api/v1/cameras/states" {
        return newer_line(json!({"status": 200, "headers": headers, "call": 77}), states().as_bytes());
    }
    if path.ends_with("/timeline") {
        let told = json!({"spans": [], "first_us": null, "last_us": null, "weather": "fine"}).to_string();
        return newer_line(json!({"status": 200, "headers": headers, "call": null}), told.as_bytes());
    }
    newer_line(json!({"status": 404, "headers": headers, "call": null}), b"{}")
}

/// What it tells of its cameras: one with words that are known, one with words that are not.
fn states() -> String {
    let stream = |state: &str| {
        json!({"state": state, "since_us": 1, "failure": null, "detail": null, "retry_at_us": null, "codec": "H264",
            "size": null, "fps": 10.0, "bits_per_second": 200_000, "clock_offset_us": null, "units": 7, "bytes": 7000,
            "lost_packets": 0, "sessions": 1, "last_unit_us": null})
    };
    let row = |n: u16, state: &str| {
        let recording = json!({"state": "recording", "since_us": 1});
        let streams = json!({"main": stream(state), "sub": null});
        json!({"code": camera_code(n), "enabled": true, "streams": streams, "recording": recording})
    };
    let line = json!({"v": 1, "end": true, "cameras": [row(CAMERA, "playing"), row(3, "dreaming")]});
    String::from_utf8(newer(line.to_string().as_bytes()).to_vec()).unwrap() + "\n"
}

/// Sends what this version does not know, a good record behind each; gives the records that are to be taken in.
async fn say_new_things(east: &mut Sender) -> Vec<String> {
    let now = SystemClock::new().utc();
    let mut wanted = Vec::new();
    east.good().await;
    wanted.push(east.mark.key.seq);
    let mut body = east.event(now);
    body["v"] = 2.into();
    body["severity"] = 4.into();
    let mut kind = east.event(now);
    kind["kind"] = "camera.tampered".into();
    let told = json!({"v": 1, "sky": "clear"});
    for (kind, body) in [("weather.told", told), (kinds::EVENT_NOTED, body), (kinds::EVENT_NOTED, kind)] {
        let frame = east.next(now, kind, body);
        east.send(frame).await;
        east.good().await;
        wanted.push(east.mark.key.seq);
    }
    // A frame of the next version: what goes on behind it is the same in every version.
    let frame = east.next(now, kinds::EVENT_NOTED, east.event(now));
    let packet = Packet { base: Key::default(), walk: east.walk, frame };
    let mut next = serde_json::to_value(&packet).unwrap();
    next["frame"]["v"] = 2.into();
    next["frame"]["more"] = json!({"of": "it"});
    east.mark = packet.frame.mark();
    east.publish(next.to_string().into_bytes()).await;
    east.good().await;
    wanted.push(east.mark.key.seq);
    wanted.into_iter().map(|seq| format!("east.1.{seq}")).collect()
}

/// A live alarm of the next version, which this one does not show; its record would come all the same.
async fn say_a_new_alarm(east: &Sender) {
    let now = SystemClock::new().utc();
    let (origin, kind) = (east.node.clone(), kinds::EVENT_NOTED.to_owned());
    let mut body = east.event(now);
    body["priority"] = "alarm".into();
    let seq = east.mark.key.seq + 1;
    let preview = Preview { v: 2, origin, epoch: 1, seq, at_us: now.0, kind, body };
    east.link.tell(&Subjects::of(&east.node).now(), newer(&preview.encode())).await.unwrap();
}

/// What the centre shows of a node.
async fn shown(above: &Api, node: &str) -> Outcome<Value> {
    let nodes: Value = above.get("/nodes").await?;
    let items = nodes["items"].as_array().cloned().unwrap_or_default();
    Ok(items.into_iter().find(|item| item["id"] == node).unwrap_or_default())
}

/// What it says beside frames is taken as far as it is understood.
async fn its_words_are_heard(url: &str, above: &Api) {
    wait_for("the centre hears the node", LONG, || async {
        let east = shown(above, "east").await?;
        Ok((east["presence"]["link"] == "here" && east["presence"]["version"] == "99.0.0").then_some(()))
    })
    .await
    .unwrap();
    wait_for("the centre knows how its cameras are", LONG, || async {
        let camera: Value = above.get(&format!("/cameras/{}", camera_code(CAMERA))).await?;
        let known = camera["streams"]["main"]["state"] == "playing" && camera["node"]["known"] == true;
        Ok((known && number(url, "fengsui_relay_states_unread_total").await? >= 1).then_some(()))
    })
    .await
    .unwrap();
    let path = format!("/footage/{}/main/timeline?from_us=1&to_us=2", camera_code(CAMERA));
    let line: Value = above.get(&path).await.unwrap();
    assert_eq!(line["weather"], "fine", "what it answers is passed on");
}

/// What is new among its records is in quarantine, by reason; it goes on behind each, and is told how far it is.
async fn its_records_go_on(url: &str, above: &Api, east: &mut Sender) -> Vec<String> {
    let mut confirmations = east.link.subscribe(&Subjects::of(&east.node).confirm()).await.unwrap();
    let wanted = say_new_things(east).await;
    let found = wait_for("the good ones are there", LONG, || async {
        Ok((came(above, "east").await? == wanted).then_some(()))
    });
    found.await.unwrap();
    let confirmed = async {
        loop {
            let said = Confirmation::decode(&confirmations.next().await.unwrap().payload).unwrap();
            if said.marks.iter().any(|m| m.mark == east.mark) {
                return;
            }
        }
    };
    tokio::time::timeout(LONG, confirmed).await.expect("it is told that the centre has all of it");
    let mut counted = refused(url).await.unwrap();
    counted.sort();
    let words = |(reason, count): (&str, u64)| (reason.to_owned(), count);
    assert_eq!(counted, [("unknown_kind", 2), ("unknown_version", 2)].map(words));
    let journal: Value = above.get("/journal?kind=relay.quarantined&limit=50").await.unwrap();
    let text = journal.to_string();
    for said in ["kind weather.told", "camera.tampered", "a frame of version 2", "of a newer version"] {
        assert!(text.contains(said), "{said} is in the journal: {text}");
    }
    wanted
}

#[tokio::test(flavor = "multi_thread")]
async fn a_centre_goes_on_with_a_sub_centre_of_the_next_version() {
    let Some(program) = NatsServer::program() else {
        println!("SKIPPED: nats-server is missing; tests/scripts/setup.sh test installs it");
        return;
    };
    let still = |n| camera_text(n, "rtsp://127.0.0.1:1/x", None, "tcp", None) + "enabled = false\n";
    let known = still(CAMERA) + &still(3);
    let (city, centre, mut above) = City::start_with(&program, SEED, &known).await.unwrap();
    // A sub-centre of this version beside it, which records.
    let scene = below(&city, "west");
    city.admit("west", &scene.config, &codes()).unwrap();
    let (node, west) = scene.run_recording().await.unwrap();
    let secret = device(&west).await;
    let mut east = Sender::start_of(&city, "east", &[CAMERA, 3]).await;
    let (link, name) = (east.link.clone(), east.node.clone());
    let mut centre = Some(centre);
    let scene_of_both = async {
        let url = centre.as_ref().unwrap().url().to_owned();
        its_words_are_heard(&url, &above).await;
        let mut wanted = its_records_go_on(&url, &above, &mut east).await;
        say_a_new_alarm(&east).await;
        wait_for("its live alarm is counted and not shown", LONG, || async {
            Ok((number(&url, "fengsui_relay_previews_refused_total").await? == 1).then_some(()))
        })
        .await
        .unwrap();
        tell(node.url(), &secret, ("door", 1), "normal").await;
        wait_for("the other sub-centre notices nothing", LONG, || async {
            let rows: Value = above.get("/events/rows?limit=200").await?;
            let rows = rows["items"].as_array().cloned().unwrap_or_default();
            Ok(rows.iter().any(|row| row["data"]["input"] == "door-1").then_some(()))
        })
        .await
        .unwrap();

        // A centre that starts again with all this in its journal goes on where it was.
        let running = centre.take().unwrap();
        let again = tokio::task::spawn_blocking(move || running.kill_and_restart()).await.unwrap().unwrap();
        above = centre.insert(again).log_in().await.unwrap();
        let stands = east.asks(8).await;
        assert_eq!(stands, Some(east.mark), "behind what is in quarantine, which does not come again");
        east.good().await;
        wanted.push(format!("east.1.{}", east.mark.key.seq));
        wait_for("it goes on", LONG, || async { Ok((came(&above, "east").await? == wanted).then_some(())) })
            .await
            .unwrap();
        let quarantined = shown(&above, "east").await.unwrap()["relay"]["quarantined"].clone();
        assert_eq!(quarantined, 4, "counted for good");
    };
    beside(play_node(&link, &name), scene_of_both).await;
    scene.quiet(&west).await.unwrap();
    assert!(node.stop().await.unwrap().success());
    assert!(centre.unwrap().stop().await.unwrap().success());
    let account = judge::account(&judge::sent(&scene.ledger(1)), &scene.stored(1).unwrap());
    assert!(account.is_exact() && account.stored > 20, "recording went on through all: {account:?}");
}

// A sub-centre of this version, a centre of the next one.

/// What the centre of the next version has.
#[derive(Default)]
struct Taken {
    mark: Mark,
    frames: Vec<Frame>,
    words: u64,
}

impl Taken {
    /// Takes a frame that comes behind what there is; whether it may be acknowledged.
    fn take(&mut self, frame: Frame) -> bool {
        if frame.key() <= self.mark.key {
            return true;
        }
        let follows = frame.prev == self.mark.key && frame.chain_behind(self.mark.chain) == frame.chain;
        if follows {
            self.mark = frame.mark();
            self.frames.push(frame);
        }
        follows
    }

    fn marks(&self, node: &NodeId) -> Vec<OriginMark> {
        let is_known = self.mark != Mark::default();
        is_known.then(|| OriginMark { origin: node.clone(), mark: self.mark }).into_iter().collect()
    }

    fn doors(&self) -> Vec<String> {
        let input = |f: &Frame| Some(f.body["data"]["input"].as_str()?.to_owned());
        self.frames.iter().filter_map(input).collect()
    }
}

/// A connection as the centre itself.
async fn centre_link(city: &City) -> NatsLink {
    let data: PathBuf = city.config.with_file_name("data");
    let key = Arc::new(NodeKey::load_or_create(&data.join("node.key")).unwrap());
    let servers = [format!("tls://{}", city.nats.address())];
    let options = LinkOptions::centre(&servers, data.join("relay/authority.crt"), key);
    let link = NatsLink::open(options).await.unwrap();
    link.up().await.unwrap();
    link
}

/// Takes frames in, confirms them, and says where to go on, without end.
async fn play_centre(link: &NatsLink, node: &NodeId, taken: &Mutex<Taken>) {
    let subjects = Subjects::of(node);
    let settings = StreamSettings { bytes_max: 64 << 20, replicas: 1 };
    link.ensure_stream(settings, ConsumerSettings::default(), std::slice::from_ref(node)).await.unwrap();
    link.ensure_consumer(node, ConsumerSettings::default()).await.unwrap();
    let mut frames = link.frames(node).await.unwrap();
    let mut position = link.subscribe(&subjects.position()).await.unwrap();
    let mut presence = link.subscribe(&subjects.presence()).await.unwrap();
    let taking = async {
        loop {
            for delivery in frames.batch(Duration::from_secs(1)).await.unwrap() {
                let frame = Packet::decode(&delivery.payload).unwrap().frame;
                let (took, marks) = {
                    let mut taken = taken.lock();
                    (taken.take(frame), taken.marks(node))
                };
                if !took {
                    delivery.later(Duration::from_millis(200)).await.unwrap();
                    continue;
                }
                let said = newer(&Confirmation::new(false, marks).encode());
                link.tell(&subjects.confirm(), said).await.unwrap();
                delivery.acknowledge().await.unwrap();
            }
        }
    };
    let hearing = async {
        loop {
            tokio::select! {
                Some(asked) = position.next() => {
                    let ask = Ask::decode(&asked.payload).unwrap();
                    let answer = Where::new(ask.ask, None, taken.lock().marks(node));
                    link.answer(&asked, newer(&answer.encode())).await.unwrap();
                }
                Some(word) = presence.next() => {
                    let word: Value = serde_json::from_slice(&word.payload).unwrap();
                    assert_eq!(word["cameras"]["recording"], 1, "{word}");
                    taken.lock().words += 1;
                }
            }
        }
    };
    let ((), ()) = tokio::join!(taking, hearing);
}

/// Calls the node's API as the next version would: status, and what it said.
async fn call(link: &NatsLink, node: &NodeId, line: &Request, body: &[u8]) -> (u16, Value) {
    let mut line = serde_json::to_value(line).unwrap();
    line["headers"]["x-of-the-next-version"] = "1".into();
    let subject = Subjects::of(node).command(call::CALL);
    let answer = link.ask(&subject, newer_line(line, body), Duration::from_secs(10)).await.unwrap();
    let (answer, first) = call::decode::<call::Answer>(&answer).unwrap();
    (answer.status, serde_json::from_slice(&first).unwrap_or_default())
}

fn request(method: &str, path: &str) -> Request {
    let by = OnBehalf { user: "li".into(), roles: vec!["administrator".into(), "oracle".into()] };
    let headers = BTreeMap::from([("content-type".to_owned(), "application/json".to_owned())]);
    Request::new(method, path, headers, by)
}

/// Calls that are known and say more, and ones of which nobody here has heard.
async fn calls_are_answered(link: &NatsLink, node: &NodeId) {
    let (status, camera) =
        call(link, node, &request("GET", &format!("/api/v1/cameras/{}", camera_code(1))), b"").await;
    assert_eq!((status, &camera["code"]), (200, &json!(camera_code(1))), "{camera}");
    let (status, told) = call(link, node, &request("GET", "/api/v1/of/the/next/version"), b"").await;
    assert_eq!((status, &told["code"]), (404, &json!("not_found")), "{told}");
    let order =
        json!({"owner": "north", "revision": 5, "cameras": [], "until_us": 1, "because": {"of": "rain"}});
    let line = request("PUT", "/api/v1/node/standby");
    let (status, told) = call(link, node, &line, order.to_string().as_bytes()).await;
    assert_eq!(
        (status, &told["followed"]),
        (200, &json!(true)),
        "an order that says more is followed: {told}"
    );
    let (status, told) = call(link, node, &request("TRACE", "/api/v1/cameras"), b"").await;
    assert!((400..500).contains(&status), "{status} {told}");
    // A command of which nobody here knows: no answer, and nothing else.
    let verb = Subjects::of(node).command("dance");
    let unknown = link.ask(&verb, newer_line(json!({"to": "music"}), b""), Duration::from_millis(500)).await;
    assert!(matches!(unknown, Err(LinkError::Timeout(_))), "{unknown:?}");
    // Bytes that are no message.
    let nothing =
        link.ask(&Subjects::of(node).command(call::CALL), Bytes::from_static(b"{}"), LONG).await.unwrap();
    assert_eq!(call::decode::<call::Answer>(&nothing).unwrap().0.status, 400);
}

/// Of the node: nothing waits for the centre, and it stands well.
async fn caught_up(east: &Api) {
    wait_for("nothing waits for the centre", LONG, || async {
        let nodes: Value = east.get("/nodes").await?;
        let uplink = &nodes["own"]["uplink"];
        let waits = ["alarm", "normal", "low"].map(|p| uplink["backlog"][p]["records"].as_u64());
        Ok((uplink["standing"] == "walking" && waits.iter().flatten().sum::<u64>() == 0).then_some(()))
    })
    .await
    .unwrap();
}

/// The centre of the next version takes over, and has everything.
async fn below_the_next(city: &City, node: &Fengsui, east: &Api, secret: &str) {
    let (link, name, taken) =
        (centre_link(city).await, "east".parse::<NodeId>().unwrap(), Mutex::<Taken>::default());
    let scene = async {
        for n in 0..20 {
            tell(node.url(), secret, ("next", n), if n % 5 == 0 { "alarm" } else { "normal" }).await;
        }
        let wanted: Vec<String> = (0..20).map(|n| format!("next-{n}")).collect();
        wait_for("the centre of the next version has all", LONG, || async {
            Ok((taken.lock().doors() == wanted && taken.lock().words > 1).then_some(()))
        })
        .await
        .unwrap();
        caught_up(east).await;
        calls_are_answered(&link, &name).await;
        tell(node.url(), secret, ("after", 0), "normal").await;
        wait_for("the calls disturbed nothing", LONG, || async {
            Ok(taken.lock().doors().contains(&"after-0".to_owned()).then_some(()))
        })
        .await
        .unwrap();
    };
    beside(play_centre(&link, &name, &taken), scene).await;
    link.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sub_centre_goes_on_below_a_centre_of_the_next_version_and_below_this_one_again() {
    let Some(program) = NatsServer::program() else {
        println!("SKIPPED: nats-server is missing; tests/scripts/setup.sh test installs it");
        return;
    };
    let (mut city, centre, _) = City::start(&program, SEED).await.unwrap();
    let scene = below(&city, "east");
    city.admit("east", &scene.config, &codes()).unwrap();
    // The server lets it in: nothing more is needed of this centre for now.
    city.link("east", &scene.config).await.unwrap().up().await.unwrap();
    assert!(centre.stop().await.unwrap().success());
    let (node, east) = scene.run_recording().await.unwrap();
    let secret = device(&east).await;
    below_the_next(&city, &node, &east, &secret).await;

    // Back to this version: its centre's journal has nothing of what the other one took in, and gets it. The message server is
    // started again as well: it would take what it had from the node two minutes ago for a repetition.
    city.nats.kill().unwrap();
    city.nats.start_again().unwrap();
    let mut centre = Fengsui::start(&city.config).unwrap();
    let above = centre.log_in().await.unwrap();
    for n in 0..5 {
        tell(node.url(), &secret, ("back", n), "normal").await;
    }
    same("the centre of this version has all", &above, &east, 26).await;
    caught_up(&east).await;
    scene.quiet(&east).await.unwrap();
    let log = node.log();
    let bad: Vec<&String> =
        log.iter().filter(|line| line.contains("panicked") || line.contains(" ERROR ")).collect();
    assert!(bad.is_empty(), "{bad:?}");
    assert!(node.stop().await.unwrap().success());
    assert!(centre.stop().await.unwrap().success());
    let account = judge::account(&judge::sent(&scene.ledger(1)), &scene.stored(1).unwrap());
    assert!(account.is_exact() && account.stored > 20, "recording went on through all: {account:?}");
}
