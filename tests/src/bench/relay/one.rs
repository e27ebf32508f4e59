//! One real node with a long journal: throughput, cost, and how soon alarms are seen.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fengsui_config::clock::{Clock, SystemClock, UtcMicros};
use fengsui_config::ids::NodeId;
use fengsui_relay::event::{Event, EventKind, Phase, Priority, Source};
use fengsui_storage::fs::RealFs;
use fengsui_storage::journal::{Journal, JournalOptions, kinds};
use fengsui_storage::segment::NodeKey;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{AGE_P95_MS, CATCH_UP_MIN, CITY_NODES, CITY_RATE, Options, Stand, percentile};
use crate::figure::{Figure, Target};
use crate::harness::config::{camera_code, camera_id};
use crate::harness::sse::EventStream;
use crate::harness::{Api, Doing as _, Fengsui, HarnessError, Outcome};
use crate::procstat;

const NODE: &str = "east";
/// Cameras of the node.
const CAMERAS: u16 = 78;
/// Events written at once.
const GROUP: u32 = 512;
/// Longest that anything may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// Time between two looks at the centre's count, whose page costs it something.
const LOOK: Duration = Duration::from_millis(100);
/// Time between two alarms: a device may send twenty a second.
const ALARM_EVERY: Duration = Duration::from_millis(100);

pub(super) async fn measure(options: &Options, program: &Path, show: &mut dyn FnMut(Figure)) -> Outcome<()> {
    let stand = Stand::start(program).await?;
    let cameras: Vec<u16> = (1..=CAMERAS).collect();
    let config = stand.city.admit_with(NODE, &cameras)?;
    fill(config.parent().unwrap_or(Path::new(".")), options.events).await?;
    let mut node = Fengsui::start(&config)?;
    let began = look_until(&stand, &node, 1).await?;
    let ended = look_until(&stand, &node, u64::from(options.events)).await?;
    let (frames, seconds) = ((ended.frames - began.frames) as f64, (ended.at - began.at).as_secs_f64());
    let rate = frames / seconds;
    show(Figure::new("relay_throughput", rate, "events/s", Target::Shown));
    let parts = [("node", began.node, ended.node), ("centre", began.centre, ended.centre)];
    for (name, before, after) in parts.into_iter().chain([("nats", began.nats, ended.nats)]) {
        let cost = (after - before) / frames * 1000.0;
        show(Figure::new(format!("relay_cpu_{name}"), cost, "cpu-s/1000-events", Target::Shown));
    }
    let live = CITY_RATE / CITY_NODES;
    show(Figure::new("relay_catch_up_one_node", rate / live, "x", Target::AtLeast(CATCH_UP_MIN)));
    let api = node.log_in().await?;
    let mut took = alarms(&stand, &node, &api, options.alarms).await?;
    for (percent, target) in [(50, Target::Shown), (95, Target::AtMost(AGE_P95_MS)), (99, Target::Shown)] {
        let value = percentile(&mut took, percent);
        show(Figure::new(format!("relay_alarm_p{percent}"), value, "ms", target));
    }
    node.stop().await?;
    stand.centre.stop().await.map(drop)
}

/// Writes a node's journal before its first start: changes of its cameras.
async fn fill(folder: &Path, events: u32) -> Outcome<()> {
    let data = folder.join("data");
    let key = NodeKey::load_or_create(&data.join("node.key")).doing("read the node's key")?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let node: NodeId = NODE.parse().doing("name the node")?;
    let journal = JournalOptions::new(
        Arc::new(RealFs),
        data.join("journal"),
        clock.clone(),
        node.clone(),
        Arc::new(key),
    );
    let journal = Journal::open(journal).doing("open the node's journal")?;
    for from in (0..events).step_by(GROUP as usize) {
        let many = (from..events.min(from + GROUP)).map(|n| {
            let number = u16::try_from(n % u32::from(CAMERAS)).unwrap_or(0) + 1;
            let is_back = !(n / u32::from(CAMERAS)).is_multiple_of(2);
            journal.append(kinds::EVENT_NOTED, change(n, is_back, number, &node, clock.utc()).body())
        });
        for written in futures::future::join_all(many).await {
            written.doing("write the node's journal")?;
        }
    }
    journal.close();
    Ok(())
}

/// Change `n`, of camera `number`: it went, or came back.
pub(super) fn change(n: u32, is_back: bool, number: u16, node: &NodeId, at: UtcMicros) -> Event {
    let camera = camera_id(number);
    let (kind, phase) = if is_back {
        (EventKind::CameraOnline, Phase::Closes)
    } else {
        (EventKind::CameraOffline, Phase::Opens)
    };
    let source = Source::node(node.clone());
    let event = Event::new(kind, Priority::Normal, format!("camera.state.{camera}"), phase, at, source);
    event.camera(camera).fact("number", n).fact("why", "the session ended: timed out after 10 s")
}

/// What was used when the centre had so many frames.
struct Look {
    at: Instant,
    frames: u64,
    node: f64,
    centre: f64,
    nats: f64,
}

/// Waits until the centre has taken in at least `frames`.
async fn look_until(stand: &Stand, node: &Fengsui, frames: u64) -> Outcome<Look> {
    let begun = Instant::now();
    loop {
        let found = stand.applied().await?;
        if found >= frames {
            let cpu = stand.cpu()?;
            let used = procstat::of(node.pid()).doing("read the use of the node")?;
            let (node, centre, nats) = (used.cpu_seconds, cpu.centre, cpu.nats);
            return Ok(Look { at: Instant::now(), frames: found, node, centre, nats });
        }
        if begun.elapsed() > PATIENCE {
            return Err(HarnessError(format!("only {found} of {frames} frames came")));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Microseconds from a device's request at the node until an operator of the centre is told.
async fn alarms(stand: &Stand, node: &Fengsui, api: &Api, many: u32) -> Outcome<Vec<i64>> {
    let cameras: Vec<String> = (1..=CAMERAS).map(camera_code).collect();
    let body = json!({"name": "doors", "cameras": cameras, "kinds": ["device.input"], "priority": "alarm"});
    let made: Value = api.post("/tokens", &body).await?.json().await.doing("make a token")?;
    let secret = made.get("secret").and_then(Value::as_str).unwrap_or_default().to_owned();
    let client = reqwest::Client::builder().no_proxy().build().doing("make a client")?;
    let mut seen = EventStream::open(&stand.above, None).await?;
    let mut took = Vec::new();
    for n in 0..many {
        let input = format!("door-{n}");
        let camera = cameras.get(n as usize % cameras.len()).cloned().unwrap_or_default();
        let event = json!({"kind": "device.input", "camera": camera, "input": input, "priority": "alarm"});
        let began = Instant::now();
        let post = client.post(format!("{}/api/v1/events", node.url())).bearer_auth(&secret);
        let post = post.json(&json!({"events": [event]}));
        let telling =
            async { post.send().await.doing("send an alarm")?.error_for_status().doing("send an alarm") };
        let seeing = async {
            loop {
                let told = seen.next().await?;
                if told.data.pointer("/record/data/input").and_then(Value::as_str) == Some(&input) {
                    return Ok(began.elapsed());
                }
            }
        };
        let both = async { tokio::try_join!(telling, seeing) };
        let (_, after) = tokio::time::timeout(PATIENCE, both)
            .await
            .map_err(|_| HarnessError(format!("alarm {n} was never seen")))??;
        took.push(i64::try_from(after.as_micros()).unwrap_or(i64::MAX));
        tokio::time::sleep(ALARM_EVERY).await;
    }
    Ok(took)
}
