//! What a centre does not take in, at a real one: each bad frame is refused with its reason and counted where people look,
//! its origin goes on behind it, and nobody else notices.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fengsui_config::clock::{Clock as _, SystemClock, UtcMicros};
use fengsui_config::ids::NodeId;
use fengsui_relay::event::{Event, EventKind, Phase, Priority, Source};
use fengsui_relay::frame::{Frame, Key, Mark, Packet};
use fengsui_relay::link::subjects::Subjects;
use fengsui_relay::link::{Link as _, NatsLink, Publication};
use fengsui_relay::talk::{Ask, Where};
use fengsui_storage::journal::kinds;
use fengsui_tests::harness::config::camera_id;
use fengsui_tests::harness::{Api, Outcome, api, wait_for};
use fengsui_tests::nats::NatsServer;
use fengsui_tests::scenario::city::City;
use serde_json::{Value, json};

const LONG: Duration = Duration::from_secs(30);

/// A sender of frames, good and bad ones.
pub struct Sender {
    pub node: NodeId,
    camera: u16,
    pub link: Arc<NatsLink>,
    pub mark: Mark,
    pub walk: u64,
    sent: u64,
}

impl Sender {
    /// Connects, and asks the centre until it answers.
    pub async fn start(city: &City, name: &'static str, camera: u16) -> Self {
        Self::start_of(city, name, &[camera]).await
    }

    /// The same for a node with several cameras; the first is the one that its records are about.
    pub async fn start_of(city: &City, name: &'static str, cameras: &[u16]) -> Self {
        let config = city.admit_with(name, cameras).unwrap();
        let link = Arc::new(city.link(name, &config).await.unwrap());
        link.up().await.unwrap();
        let (node, camera) = (name.parse().unwrap(), cameras[0]);
        let mut sender = Self { node, camera, link, mark: Mark::default(), walk: 0, sent: 0 };
        sender.asks(7).await;
        sender
    }

    /// Asks where to go on until the centre answers: what it has of this node.
    pub async fn asks(&mut self, number: u64) -> Option<Mark> {
        let subject = Subjects::of(&self.node).position();
        let answer = wait_for("the centre answers", LONG, || async {
            let answer =
                self.link.ask(&subject, Ask::new(number).encode().into(), Duration::from_secs(1)).await;
            Ok(answer.ok())
        });
        let answer = Where::decode(&answer.await.unwrap()).unwrap();
        self.walk = answer.ask;
        answer.marks.iter().find(|mark| mark.origin == self.node).map(|mark| mark.mark)
    }

    pub fn event(&self, at: UtcMicros) -> Value {
        let source = Source::node(self.node.clone());
        let cause = format!("door {}", self.sent);
        let event = Event::new(EventKind::DeviceInput, Priority::Normal, cause, Phase::Point, at, source);
        event.camera(camera_id(self.camera)).body()
    }

    pub fn next(&self, at: UtcMicros, kind: &str, body: Value) -> Frame {
        let key = Key::new(1, self.mark.key.seq + 1);
        Frame::behind(self.mark, &self.node, key, at, kind, body)
    }

    pub async fn publish(&mut self, bytes: Vec<u8>) {
        self.sent += 1;
        let id = format!("{}-{}", self.node, self.sent);
        let publication =
            Publication { subject: Subjects::of(&self.node).up(), id, payload: Bytes::from(bytes) };
        self.link.publish(publication).await.unwrap().await.unwrap();
    }

    /// Sends a frame in its place.
    pub async fn send(&mut self, frame: Frame) {
        self.mark = frame.mark();
        self.publish(self.wrap(frame)).await;
    }

    pub fn wrap(&self, frame: Frame) -> Vec<u8> {
        Packet { base: Key::default(), walk: self.walk, frame }.encode()
    }

    pub async fn good(&mut self) {
        let now = SystemClock::new().utc();
        let frame = self.next(now, kinds::EVENT_NOTED, self.event(now));
        self.send(frame).await;
    }
}

/// Records of a node's events that the centre has, the oldest first.
pub async fn came(api: &Api, node: &str) -> Outcome<Vec<String>> {
    let page: Value = api.get("/events/records?limit=200").await?;
    let ids = page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned());
    let mut ids: Vec<String> = ids.filter(|id| id.starts_with(node)).collect();
    ids.reverse();
    Ok(ids)
}

/// What the metrics say of frames that were not taken in, by reason, without those of which there were none.
pub async fn refused(url: &str) -> Outcome<Vec<(String, u64)>> {
    let page = api::page(&format!("{url}/metrics")).await?;
    let lines =
        page.lines().filter_map(|line| line.strip_prefix("fengsui_relay_quarantined_total{reason=\""));
    let counts = lines.map(|line| line.split_once("\"} ").unwrap());
    let counts = counts.map(|(reason, count)| (reason.to_owned(), count.trim().parse().unwrap()));
    Ok(counts.filter(|(_, count)| *count > 0).collect())
}

/// One of each kind of bad frame, a good one behind each; gives the records that are to be taken in.
async fn bad_ones(east: &mut Sender, foreign: u16) -> Vec<String> {
    let now = SystemClock::new().utc();
    let hour = Duration::from_secs(3600);
    let mut wanted = Vec::new();
    east.good().await;
    wanted.push(east.mark.key.seq);
    let first = east.next(now, kinds::EVENT_NOTED, east.event(now));
    east.send(first.clone()).await;
    wanted.push(east.mark.key.seq);
    // The same again.
    east.publish(east.wrap(first)).await;
    let mut stranger = east.event(now);
    stranger["camera"] = camera_id(foreign).to_string().into();
    let mut newer = east.event(now);
    newer["v"] = 2.into();
    let bad = [
        (now + hour, kinds::EVENT_NOTED, east.event(now)),
        (UtcMicros(1), kinds::EVENT_NOTED, east.event(now)),
        (now, "weather.told", json!({"v": 1})),
        (now, kinds::EVENT_NOTED, newer),
        (now, kinds::EVENT_NOTED, stranger),
        (now, kinds::EVENT_NOTED, json!({"v": 1, "text": "x".repeat(70 << 10)})),
    ];
    for (at, kind, body) in bad {
        let frame = east.next(at, kind, body);
        east.send(frame).await;
        east.good().await;
        wanted.push(east.mark.key.seq);
    }
    // A chain that is not that of the frame.
    let mut broken = east.next(now, kinds::EVENT_NOTED, east.event(now));
    broken.chain.0[0] ^= 1;
    east.send(broken).await;
    east.good().await;
    wanted.push(east.mark.key.seq);
    // A frame of the next version with a field that nobody knows.
    let mut next = serde_json::to_value(Packet {
        base: Key::default(),
        walk: east.walk,
        frame: east.next(now, kinds::EVENT_NOTED, east.event(now)),
    })
    .unwrap();
    next["frame"]["v"] = 2.into();
    next["frame"]["more"] = json!({"of": "it"});
    east.mark = serde_json::from_value::<Frame>(next["frame"].clone()).unwrap().mark();
    east.publish(next.to_string().into_bytes()).await;
    east.good().await;
    wanted.push(east.mark.key.seq);
    // No frame at all: it has no place, and moves nobody.
    east.publish(b"{}".to_vec()).await;
    // In the name of another node.
    let west: NodeId = "west".parse().unwrap();
    let other = Frame::behind(Mark::default(), &west, Key::new(9, 1), now, kinds::EVENT_NOTED, json!({}));
    east.publish(east.wrap(other)).await;
    east.good().await;
    wanted.push(east.mark.key.seq);
    wanted.into_iter().map(|seq| format!("east.1.{seq}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_frames_are_refused_with_their_reason_and_counted() {
    let Some(program) = NatsServer::program() else {
        println!("SKIPPED: nats-server is missing; tests/scripts/setup.sh test installs it");
        return;
    };
    let (city, centre, above) = City::start(&program, 1).await.unwrap();
    let (mut east, mut west) = (Sender::start(&city, "east", 1).await, Sender::start(&city, "west", 2).await);
    let wanted = bad_ones(&mut east, 2).await;
    west.good().await;
    for (node, wanted) in [("east", wanted), ("west", vec!["west.1.1".to_owned()])] {
        let result = wait_for("the good ones are there", LONG, || async {
            Ok((came(&above, node).await? == wanted).then_some(()))
        })
        .await;
        result.unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(came(&above, node).await.unwrap(), wanted);
    }
    let expected = [
        ("future", 1),
        ("before_time", 1),
        ("unknown_kind", 1),
        // A body, and a frame.
        ("unknown_version", 2),
        ("oversized", 1),
        ("foreign_camera", 1),
        ("broken_chain", 1),
        ("wrong_origin", 1),
        ("malformed", 1),
    ];
    let mut counted = refused(centre.url()).await.unwrap();
    let mut wanted: Vec<_> = expected.map(|(reason, count)| (reason.to_owned(), count)).into();
    counted.sort();
    wanted.sort();
    assert_eq!(counted, wanted);
    let nodes: Value = above.get("/nodes").await.unwrap();
    let told = nodes["centre"]["quarantined"].as_object().unwrap();
    assert_eq!(told.iter().map(|(r, n)| (r.clone(), n.as_u64().unwrap())).collect::<Vec<_>>(), wanted);
    assert!(nodes["centre"]["duplicates"].as_u64().unwrap() >= 1, "{nodes}");
    let of = |node: &str| {
        let item = nodes["items"].as_array().unwrap().iter().find(|item| item["id"] == node).unwrap();
        item["relay"]["quarantined"].as_u64()
    };
    // Those that have a place are counted with their origin.
    assert_eq!((of("east"), of("west")), (Some(8), Some(0)), "{nodes}");
    let journal: Value = above.get("/journal?kind=relay.quarantined&limit=50").await.unwrap();
    for (reason, _) in expected {
        assert!(
            journal.to_string().contains(&format!("\"{reason}\"")),
            "{reason} is in the journal: {journal}"
        );
    }
    assert!(centre.stop().await.unwrap().success());
}
