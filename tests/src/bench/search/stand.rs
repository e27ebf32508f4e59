//! A centre with its message server, and ends that answer as nodes do.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fengsui_config::UpwardRole;
use fengsui_config::clock::{Clock as _, SystemClock, UtcMicros};
use fengsui_config::ids::NodeId;
use fengsui_relay::call::{self, Answer, Request};
use fengsui_relay::event::rows::RecordId;
use fengsui_relay::identity::{EnrolRequest, Token};
use fengsui_relay::link::subjects::Subjects;
use fengsui_relay::link::{Incoming, Link, LinkOptions, NatsLink};
use fengsui_relay::search::{Cursor, Key};
use fengsui_storage::segment::NodeKey;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::config::{self, ConfigOptions, camera_code};
use crate::harness::{Api, Doing as _, Fengsui, HarnessError, Outcome, wait_for};
use crate::nats::{NatsServer, free_port};
use crate::scenario::city::{fengsui, words};

/// Longest that a part may take to come up.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a node says that it is there.
const WORD_EVERY: Duration = Duration::from_secs(2);
/// Cameras of each node.
const CAMERAS: u16 = 78;
/// Events that each node has.
pub(super) const HITS: usize = 400;

/// A centre and its message server, each a real process.
pub struct Stand {
    /// Where the centre's files are.
    pub folder: tempfile::TempDir,
    /// The centre.
    pub node: Fengsui,
    /// An operator there.
    pub api: Api,
    /// Its message server.
    pub nats: NatsServer,
    /// Where nodes connect.
    pub server: SocketAddr,
    /// Where nodes bring their tokens.
    pub https: String,
    /// The centre's configuration.
    pub config: PathBuf,
}

impl Stand {
    /// Starts both.
    ///
    /// # Errors
    /// When one does not come up.
    pub async fn start(program: &Path) -> Outcome<Self> {
        let folder = tempfile::Builder::new().prefix("fengsui-").tempdir().doing("make a folder")?;
        let (server, https) = (free_port().doing("find a port")?, free_port().doing("find a port")?);
        let options =
            ConfigOptions { tls_listen: vec![format!("127.0.0.1:{https}")], ..ConfigOptions::default() };
        let relay = format!("\n[relay]\nlisten = \"127.0.0.1:{server}\"\nstream_mib = 64\n");
        let text = config::node_text(&options) + &relay;
        let config = config::write_text(folder.path(), &text, &options, None)?;
        let mut node = Fengsui::start(&config)?;
        let api = node.log_in().await?;
        let file = folder.path().join("data/relay/server.conf");
        wait_for("the server's files", PATIENCE, || async { Ok(file.exists().then_some(())) }).await?;
        let server = SocketAddr::from(([127, 0, 0, 1], server));
        let nats = NatsServer::start(program, &file, "centre", server).doing("start the message server")?;
        Ok(Self { folder, node, api, nats, server, https: format!("https://127.0.0.1:{https}"), config })
    }

    /// Makes a token for a node with these cameras.
    ///
    /// # Errors
    /// When the centre refuses.
    pub async fn invite(&self, node: &str, cameras: &[String]) -> Outcome<String> {
        // At the command line: the API takes ten a minute.
        let list = self.folder.path().join(format!("{node}.cameras"));
        std::fs::write(&list, cameras.join("\n")).doing("write the list of cameras")?;
        let from = list.to_string_lossy();
        let output = fengsui(&self.config, &["node", "invite", node, "--cameras-from", &from])?;
        let text = words(&output);
        let token = text.lines().find(|line| line.starts_with("fengsui1.")).map(str::to_owned);
        token.ok_or_else(|| HarnessError(format!("the centre made no token: {text}")))
    }

    /// Stops the centre; the server ends with this.
    ///
    /// # Errors
    /// When it does not stop.
    pub async fn stop(self) -> Outcome<()> {
        self.node.stop().await.map(drop)
    }
}

/// A node as far as searches go.
pub(super) struct End {
    node: Arc<Answering>,
    _tasks: JoinSet<()>,
}

struct Answering {
    name: NodeId,
    link: NatsLink,
    /// It says that it is there.
    speaks: AtomicBool,
    /// It answers.
    answers: AtomicBool,
    hits: Vec<Value>,
}

impl End {
    /// Enrols node `n`, connects it, and lets it answer.
    pub(super) async fn start(stand: &Stand, n: u16) -> Outcome<Self> {
        let name = format!("n{n:02}");
        let cameras: Vec<String> = (1..=CAMERAS).map(|c| camera_code(n * CAMERAS + c)).collect();
        let text = stand.invite(&name, &cameras).await?;
        let token: Token = text.parse().doing("read a token")?;
        let key = Arc::new(NodeKey::from_seed(*blake3::hash(name.as_bytes()).as_bytes()));
        let request = serde_json::to_value(EnrolRequest::sign(&token, &key)).doing("write a request")?;
        let answer = enrol(stand, n, &request).await?;
        let ca = stand.folder.path().join(format!("{name}.crt"));
        std::fs::write(&ca, answer.get("authority").and_then(Value::as_str).unwrap_or_default())
            .doing("keep the certificate")?;
        let name: NodeId = name.parse().doing("name a node")?;
        let servers = vec![format!("tls://{}", stand.server)];
        let role =
            UpwardRole { servers, ca, node: name.clone(), backlog_records: 1000, backlog_bytes: 1 << 20 };
        let link = NatsLink::open(LinkOptions::upward(&role, key)).await.doing("open a link")?;
        let hits = hits(&name, &cameras);
        let (speaks, answers) = (AtomicBool::new(true), AtomicBool::new(true));
        let node = Arc::new(Answering { name, link, speaks, answers, hits });
        let mut tasks = JoinSet::new();
        tasks.spawn(speak(node.clone()));
        tasks.spawn(answer_all(node.clone()));
        Ok(Self { node, _tasks: tasks })
    }

    pub(super) fn name(&self) -> &str {
        self.node.name.as_str()
    }

    /// It says nothing any more and answers nothing.
    pub(super) fn fall_silent(&self) {
        self.node.speaks.store(false, Ordering::Relaxed);
        self.swallow();
    }

    /// It answers nothing any more.
    pub(super) fn swallow(&self) {
        self.node.answers.store(false, Ordering::Relaxed);
    }
}

/// Each node comes from an address of its own: one address may not try often.
async fn enrol(stand: &Stand, n: u16, request: &Value) -> Outcome<Value> {
    let address = [127, 0, 1, u8::try_from(n).unwrap_or(u8::MAX)];
    let client = reqwest::Client::builder().local_address(IpAddr::from(address)).no_proxy().build();
    let base = stand.node.url();
    let post = client.doing("make an HTTP client")?.post(format!("{base}/api/v1/nodes/enrolment"));
    let answer = post.header("Origin", base).json(request).send().await.doing("bring a token")?;
    let status = answer.status();
    let body: Value = answer.json().await.doing("read the enrolment")?;
    if status.is_success() { Ok(body) } else { Err(HarnessError(format!("enrolment: {status} {body}"))) }
}

async fn speak(node: Arc<Answering>) {
    let subject = Subjects::of(&node.name).presence();
    let clock = SystemClock::new();
    while node.speaks.load(Ordering::Relaxed) {
        let cameras = json!({"total": CAMERAS, "online": CAMERAS, "recording": CAMERAS});
        let word = json!({"v": 1, "version": "0.1.0", "clock_us": clock.utc().0, "cameras": cameras,
            "backlog_records": 0});
        if node.link.state().borrow().session().is_some() {
            // The next word says the same.
            let _ = node.link.tell(&subject, word.to_string().into()).await;
        }
        tokio::time::sleep(WORD_EVERY).await;
    }
}

async fn answer_all(node: Arc<Answering>) {
    let subject = Subjects::of(&node.name).commands();
    loop {
        if let Ok(mut commands) = node.link.subscribe(&subject).await {
            while let Some(message) = commands.next().await {
                if node.answers.load(Ordering::Relaxed) && message.subject.ends_with(".call") {
                    // The centre notices by itself what does not come.
                    let _ = answer(&node, &message).await;
                }
            }
        }
        tokio::time::sleep(WORD_EVERY).await;
    }
}

/// The first page of what the node has; its pages go on only in name.
async fn answer(node: &Answering, message: &Incoming) -> Outcome<()> {
    let (line, _) = call::decode::<Request>(&message.payload).doing("read a call")?;
    let (_, query) = line.path.split_once('?').unwrap_or_default();
    let of = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let limit = of("limit").and_then(|n| n.parse().ok()).unwrap_or(1);
    let items: Vec<&Value> = node.hits.iter().take(limit).collect();
    let last = items.last().filter(|_| items.len() < node.hits.len());
    let next = last.map(|hit| next_of(hit)).transpose()?;
    let page = json!({"items": items, "next": next, "asked": [node.name], "missing": [], "limited": [],
        "from_us": 0, "to_us": 0, "took_ms": 1});
    let headers = [("content-type".to_owned(), "application/json".to_owned())].into();
    let payload = call::encode(&Answer::new(200, headers, None), page.to_string().as_bytes());
    node.link.answer(message, payload).await.doing("answer")
}

fn next_of(hit: &Value) -> Outcome<String> {
    let id: RecordId = hit["id"]
        .as_str()
        .and_then(|id| id.parse().ok())
        .ok_or_else(|| HarnessError("a hit without a row".into()))?;
    let began = UtcMicros(hit["began_us"].as_i64().unwrap_or_default());
    let cursor = Cursor { after: Key::event(began, id), missed: [].into() };
    Ok(URL_SAFE_NO_PAD.encode(cursor.to_string()))
}

/// Events of the last hours, one a minute, the newest first.
fn hits(node: &NodeId, cameras: &[String]) -> Vec<Value> {
    let now = SystemClock::new().utc().0;
    let hit = |(n, camera): (usize, &String)| {
        let began = now - i64::try_from(n).unwrap_or(0) * 60_000_000;
        let footage = json!({"from_us": began - 10_000_000, "to_us": began + 30_000_000, "footage_us": 40_000_000,
            "gap_us": 0, "gaps": 0, "first_us": began - 10_000_000, "last_us": began + 30_000_000});
        json!({"type": "event", "id": format!("{node}.1.{}", HITS - n), "node": node, "kind": "camera.stalled",
            "priority": "normal", "open": false, "camera": camera, "camera_name": "人民路口", "site_name": "人民路口",
            "at_us": began, "began_us": began, "last_us": began, "over_us": began, "count": 1, "times": 1,
            "text": "", "footage": footage, "copied": false})
    };
    (0..HITS).zip(cameras.iter().cycle()).map(hit).collect()
}
