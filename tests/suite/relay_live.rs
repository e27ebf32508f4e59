//! Live pictures of a sub-centre's camera at its centre: two nodes and a message server, each a real process, the line between
//! them a proxy. One upstream however many look, none when nobody does, and the sub-centre records on.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::Ordering;
use std::time::Duration;

use fengsui_config::ids::StreamKind;
use fengsui_tests::bench::latency::{Latencies, percentile};
use fengsui_tests::bench::viewers::{self, Door, Reads, Sample, Socket, Stream, Viewers};
use fengsui_tests::camsim::options::Options;
use fengsui_tests::figure::{Figure, Target};
use fengsui_tests::harness::config::{self, ConfigOptions, camera_code, camera_text};
use fengsui_tests::harness::{Api, Fengsui, binary, wait_for};
use fengsui_tests::nats::{NatsServer, free_port};
use fengsui_tests::proxy::{Fault, Proxy};
use fengsui_tests::scenario::{Scene, judge, small};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

const LONG: Duration = Duration::from_secs(30);
/// Viewers at the centre, each with a socket of their own.
const VIEWERS: u64 = 10;
/// For how long pictures are timed.
const TIMED: Duration = Duration::from_secs(10);
/// Milliseconds from the camera's socket to the viewer's that 95 of 100 pictures may take. A browser adds its own share.
const P95_MS: f64 = 600.0;
/// Seed of the network's chance.
const SEED: u64 = 7;

fn fengsui(config: &Path, arguments: &[&str]) -> Output {
    let output =
        Command::new(binary().unwrap()).arg("--config").arg(config).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// A centre that knows the camera and does not read it, its message server, and the line to it.
struct Centre {
    folder: tempfile::TempDir,
    config: PathBuf,
    https: String,
    proxy: Proxy,
    _nats: NatsServer,
}

impl Centre {
    async fn start(program: &Path) -> (Self, Fengsui) {
        let folder = tempfile::Builder::new().prefix("fengsui-").tempdir().unwrap();
        let (server, https) = (free_port().unwrap(), free_port().unwrap());
        let options =
            ConfigOptions { tls_listen: vec![format!("127.0.0.1:{https}")], ..ConfigOptions::default() };
        let known = camera_text(1, "rtsp://127.0.0.1:1/1", None, "tcp", None) + "enabled = false\n";
        let relay = format!("\n[relay]\nlisten = \"127.0.0.1:{server}\"\nstream_mib = 64\nlink_mbit = 8\n");
        let text = config::node_text(&options) + &known + &relay;
        let config = config::write_text(folder.path(), &text, &options, None).unwrap();
        let mut node = Fengsui::start(&config).unwrap();
        node.log_in().await.unwrap();
        let file = folder.path().join("data/relay/server.conf");
        wait_for("the server's files", LONG, || async { Ok(file.exists().then_some(())) }).await.unwrap();
        let address: SocketAddr = format!("127.0.0.1:{server}").parse().unwrap();
        let nats = NatsServer::start(program, &file, "centre", address).unwrap();
        let proxy = Proxy::start(address, SEED).await.unwrap();
        (Self { folder, config, https: format!("https://127.0.0.1:{https}"), proxy, _nats: nats }, node)
    }

    /// A sub-centre with the camera, enrolled.
    fn east(&self) -> Scene {
        let extra = format!("\n[relay]\ncentre = \"tls://{}\"\n", self.proxy.address());
        let options = ConfigOptions { node: "east", sub: false, extra, ..ConfigOptions::default() };
        let scene = Scene::new(Options { sent_times: 4096, ..small(1) }, options).unwrap();
        let invited =
            fengsui(&self.config, &["node", "invite", "east", &format!("--camera={}", camera_code(1))]);
        let text = String::from_utf8(invited.stdout).unwrap();
        let file = self.folder.path().join("east.token");
        std::fs::write(&file, text.lines().find(|line| line.starts_with("fengsui1.")).unwrap()).unwrap();
        let token = file.to_str().unwrap();
        fengsui(&scene.config, &["node", "enrol", "--centre", &self.https, "--token-file", token]);
        scene
    }
}

/// A number of the metrics.
async fn metric(node: &str, name: &str) -> Option<u64> {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let text = client.get(format!("{node}/metrics")).send().await.unwrap().text().await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
    line.and_then(|value| value.parse::<f64>().ok()).map(|value| value as u64)
}

async fn wait_metric(node: &str, name: &str, wanted: u64) {
    let what = format!("{name} is {wanted}");
    let so = wait_for(&what, LONG, || async { Ok((metric(node, name).await == Some(wanted)).then_some(())) });
    if let Err(error) = so.await {
        panic!("{error}: {:?}", metric(node, name).await);
    }
}

/// All viewers at once, on a thread of their own; gives what they saw, and the number of upstreams meanwhile.
fn watch(url: String) -> (Vec<Sample>, u64) {
    let runtime = viewers::runtime().unwrap();
    let door = runtime.block_on(Door::of(&url)).unwrap();
    let socket = || Socket { cameras: vec![1], stream: StreamKind::Main, reads: Reads::All };
    let viewers = Viewers::open(&runtime, &door, (0..VIEWERS).map(|_| socket()).collect()).unwrap();
    viewers.wait_playing(VIEWERS, LONG).unwrap();
    viewers.seen.keep.store(true, Ordering::Relaxed);
    std::thread::sleep(TIMED);
    viewers.seen.keep.store(false, Ordering::Relaxed);
    let upstreams = runtime.block_on(metric(&url, "fengsui_relay_live_open")).unwrap();
    assert_eq!(viewers.seen.ended.load(Ordering::Relaxed) + viewers.seen.refused.load(Ordering::Relaxed), 0);
    let samples = std::mem::take(&mut *viewers.seen.samples.lock());
    (samples, upstreams)
}

/// Times the pictures from the camera's socket to the viewers'.
fn timed(scene: &Scene, mut samples: Vec<Sample>) -> Latencies {
    // The number of a picture is the stream's, whoever sees it.
    samples.sort_by_key(|sample| sample.seq);
    let sent = scene.sim.sent_times(1, StreamKind::Main).into_iter().collect();
    let mut all = Latencies::default();
    all.add(&scene.sim.facts(1, StreamKind::Main).unwrap(), &sent, &samples);
    all.sent_to_viewer.sort_unstable();
    all
}

/// One viewer who reads what is told.
struct Viewer(Stream);

impl Viewer {
    async fn open(url: &str) -> Self {
        let door = Door::of(url).await.unwrap();
        let mut stream = viewers::connect(&door, Reads::All).await.unwrap();
        let ask = json!({"op": "subscribe", "sub": 0, "camera": camera_code(1), "stream": "main"});
        stream.send(Message::text(ask.to_string())).await.unwrap();
        Self(stream)
    }

    /// Reads until a message is as wanted.
    async fn until(&mut self, what: &str, mut wanted: impl FnMut(&Message) -> bool) {
        let mut last = String::new();
        let found = async {
            loop {
                let message = self.0.next().await.unwrap().unwrap();
                if let Message::Text(text) = &message {
                    last = text.to_string();
                }
                if wanted(&message) {
                    return;
                }
            }
        };
        if tokio::time::timeout(LONG, found).await.is_err() {
            panic!("waited in vain for {what}; told last: {last}");
        }
    }

    async fn until_pictures(&mut self, count: usize) {
        let mut seen = 0;
        self.until("pictures", |message| {
            seen += usize::from(matches!(message, Message::Binary(_)));
            seen >= count
        })
        .await;
    }

    /// Reads until the tile was told that it is offline, why, and where.
    async fn until_offline(&mut self, reason: Option<&str>) {
        self.until(&format!("offline: {reason:?}"), |message| {
            let Message::Text(text) = message else { return false };
            let told: Value = serde_json::from_str(text).unwrap();
            told["state"] == "offline"
                && told["node"] == "east"
                && reason.is_none_or(|reason| told["reason"] == reason)
        })
        .await;
    }
}

async fn here(centre: &Api) {
    wait_for("the sub-centre is here", LONG, || async {
        let nodes: Value = centre.get("/nodes").await?;
        Ok((nodes["items"][0]["presence"]["link"] == "here").then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_viewers_at_the_centre_watch_one_camera_of_a_sub_centre_by_one_upstream() {
    let Some(program) = NatsServer::program() else {
        println!("SKIPPED: nats-server is missing; tests/scripts/setup.sh test installs it");
        return;
    };
    let (city, mut centre) = Centre::start(&program).await;
    let above = centre.log_in().await.unwrap();
    let scene = city.east();
    let (node, east) = scene.run_recording().await.unwrap();
    here(&above).await;
    let url = centre.url().to_owned();
    // What the node tells of its cameras is an answer without end.
    wait_metric(node.url(), "fengsui_relay_up_calls_open", 1).await;

    let watched = url.clone();
    let (samples, upstreams) = tokio::task::spawn_blocking(move || watch(watched)).await.unwrap();
    assert_eq!(upstreams, 1);
    assert_eq!(metric(&url, "fengsui_relay_live_opened_total").await, Some(1), "and it was one throughout");
    let all = timed(&scene, samples);
    let p95 = percentile(&all.sent_to_viewer, 95);
    let figure = Figure::new("relay_live_latency_p95", p95, "ms", Target::AtMost(P95_MS));
    println!("{figure}");
    assert!(figure.holds() && all.sent_to_viewer[0] >= 0, "{:?}", all.sent_to_viewer.first());
    // Ten viewers, ten pictures a second, ten seconds.
    assert!(all.sent_to_viewer.len() > 700, "{} pictures, {} unknown", all.sent_to_viewer.len(), all.unknown);
    wait_metric(&url, "fengsui_relay_live_open", 0).await;
    wait_metric(node.url(), "fengsui_relay_up_calls_open", 1).await;

    let mut viewer = Viewer::open(&url).await;
    viewer.until_pictures(20).await;
    city.proxy.set(Fault::Cut);
    viewer.until_offline(Some("node_unreachable")).await;
    city.proxy.set(Fault::None);
    viewer.until_pictures(20).await;
    scene.quiet(&east).await.unwrap();
    viewer.until_offline(None).await;
    node.kill().unwrap();
    viewer.until_offline(Some("node_unreachable")).await;
    drop(viewer);
    assert!(centre.stop().await.unwrap().success());
    let account = judge::account(&judge::sent(&scene.ledger(1)), &scene.stored(1).unwrap());
    assert!(account.is_exact() && account.stored > 100, "recording went on through all: {account:?}");
}
