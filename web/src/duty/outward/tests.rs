//! Webhooks against a receiver on loopback that fails, is slow, or sends elsewhere.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::handler::Handler as _;
use axum::response::IntoResponse as _;
use fengsui_config::clock::{Clock, ManualClock, UtcMicros};
use fengsui_config::{Config, WebhookConfig, limits};
use fengsui_duty::act::{By, MatterId, Verb};
use fengsui_duty::alarm::AlarmVerb;
use fengsui_duty::outward::hmac;
use fengsui_storage::fs::{Fs, RealFs};
use fengsui_storage::journal::{Journal, JournalOptions};
use fengsui_storage::segment::NodeKey;
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::hook::{Hook, Look};
use super::open;
use crate::testing::{NOW, Node, node};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// What the receiver is to answer next, and what came. With nothing said it answers 200.
#[derive(Default)]
struct Receiver {
    answers: Mutex<VecDeque<(u16, Option<String>)>>,
    came: Mutex<Vec<(HeaderMap, Vec<u8>)>>,
    elsewhere: Mutex<u32>,
}

impl Receiver {
    fn answer(&self, codes: &[u16]) {
        self.answers.lock().extend(codes.iter().map(|code| (*code, None)));
    }
    fn ids(&self) -> Vec<String> {
        let id = |body: &Vec<u8>| {
            let event: Value = serde_json::from_slice(body).unwrap();
            event["id"].as_str().unwrap().to_owned()
        };
        self.came.lock().iter().map(|(_, body)| id(body)).collect()
    }
}

async fn receive(
    State(receiver): State<Arc<Receiver>>,
    uri: http::Uri,
    headers: HeaderMap,
    body: Bytes,
) -> axum::response::Response {
    if uri.path() == "/elsewhere" {
        *receiver.elsewhere.lock() += 1;
    }
    receiver.came.lock().push((headers, body.to_vec()));
    let (code, location) = receiver.answers.lock().pop_front().unwrap_or((200, None));
    let status = StatusCode::from_u16(code).unwrap();
    match location {
        Some(location) => (status, [("location", location)]).into_response(),
        None => (status, "words of the receiver").into_response(),
    }
}

struct Bench {
    node: Node,
    clock: Arc<ManualClock>,
    journal: Arc<Journal>,
    receiver: Arc<Receiver>,
    config: WebhookConfig,
    dir: tempfile::TempDir,
}

fn open_journal(dir: &Path, clock: &Arc<ManualClock>) -> Arc<Journal> {
    let (fs, clock): (Arc<dyn Fs>, Arc<dyn Clock>) = (Arc::new(RealFs), clock.clone());
    let key = Arc::new(NodeKey::from_seed([3; 32]));
    let options = JournalOptions::new(fs, dir.join("journal"), clock, "centre".parse().unwrap(), key);
    Journal::open(JournalOptions { head_every: None, ..options }).unwrap()
}

fn webhook(url: &str, kinds: &str) -> WebhookConfig {
    let text = format!(
        "{}\n[[webhook]]\nname = \"desk\"\nurl = \"{url}\"\nsecret = \"env:HOOK\"\nkinds = {kinds}\n",
        r#"
        [node]
        id = "centre"
        data = "data"
        [web]
        listen = ["127.0.0.1:8080"]
        [[storage.volume]]
        id = "v1"
        path = "footage"
        [city]
        code = "33080000002000000001"
        name = "衢州市"
        "#
    );
    let env = BTreeMap::from([("HOOK".to_owned(), SECRET.to_owned())]);
    let (config, _) = Config::parse(&text, Path::new("/nowhere/fengsui.toml"), &env).unwrap();
    config.webhooks[0].clone()
}

impl Bench {
    async fn new() -> Self {
        let receiver = Arc::new(Receiver::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks", listener.local_addr().unwrap());
        let router: Router = Router::new().fallback_service(receive.with_state(receiver.clone()));
        let node = node();
        node.app.tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        let dir = tempfile::tempdir().unwrap();
        let clock = node.clock.clone();
        let journal = open_journal(dir.path(), &clock);
        Self { node, clock, journal, receiver, config: webhook(&url, "[]"), dir }
    }

    fn hook(&self) -> Arc<Hook> {
        open(std::slice::from_ref(&self.config), &self.journal).unwrap().remove(0)
    }

    /// Writes an act into the journal and the book; its id.
    async fn act(&self, name: &str, body: Value) -> String {
        let verb: AlarmVerb = serde_json::from_value(body).unwrap();
        let by = match verb {
            AlarmVerb::Raise(_) => By::system("gate"),
            _ => By::person("li"),
        };
        let matter: MatterId = format!("alarm/centre/{name}").parse().unwrap();
        let act = self
            .node
            .app
            .duty
            .read(|book| book.propose(&matter, Verb::Alarm(verb), by, self.clock.utc()))
            .unwrap();
        let seq = self.journal.append("duty.acted", act.body()).await.unwrap();
        let record = self.journal.record(seq).unwrap().unwrap();
        self.node.app.duty.take_record(&self.node.app, &record);
        format!("centre.{}.{seq}", record.epoch)
    }

    async fn raise(&self, name: &str) -> String {
        let raise = json!({"do": "raise", "rule": "rule/centre/gate", "rule_name": "gate", "kind": "device.input", "level": 2,
            "cause": name, "first_us": NOW.0, "count": 1, "due_s": 60, "hold_days": 0});
        self.act(name, raise).await
    }

    /// Looks until there is nothing to do at once.
    async fn settle(&self, hook: &Hook) -> Look {
        loop {
            match hook.look(&self.node.app).await.unwrap() {
                Look::Now => {}
                other => return other,
            }
        }
    }

    /// Moves the clock to the moment of the next attempt.
    fn forward(&self, look: Look) -> Duration {
        let Look::At(at) = look else { panic!("nothing waits: {look:?}") };
        let pause = Duration::from_micros(u64::try_from(at.since(self.clock.utc())).unwrap());
        self.clock.advance(pause);
        pause
    }
}

#[tokio::test]
async fn events_come_in_order_and_signed() {
    let bench = Bench::new().await;
    bench.raise("before").await;
    let hook = bench.hook();
    let mut ids = vec![bench.raise("a1").await];
    ids.push(bench.act("a1", json!({"do": "acknowledge"})).await);
    ids.push(bench.act("a1", json!({"do": "dismiss", "reason": "animal"})).await);
    assert_eq!(bench.settle(&hook).await, Look::Idle);
    assert_eq!(bench.receiver.ids(), ids, "a new webhook begins with what comes from now on");
    let unix_s = bench.clock.utc().0 / 1_000_000;
    for (headers, body) in bench.receiver.came.lock().iter() {
        let signature = headers["fengsui-signature"].to_str().unwrap();
        hmac::check(SECRET.as_bytes(), signature, body, unix_s, 60).unwrap();
        assert_eq!(openssl(body, signature), signature, "as others reckon it");
        assert_eq!(headers["content-type"], "application/cloudevents+json; charset=utf-8");
        assert!(body.len() <= limits::WEBHOOK_BODY_BYTES_MAX);
    }
    assert_eq!((hook.state().delivered, hook.backlog()), (3, 0));
}

/// The signature by another program.
fn openssl(body: &[u8], signature: &str) -> String {
    use std::io::Write as _;
    let t = signature.split(',').next().unwrap().trim_start_matches("t=");
    let mut child = std::process::Command::new("openssl")
        .args(["dgst", "-sha256", "-hmac", SECRET, "-r"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(t.as_bytes()).unwrap();
    stdin.write_all(b".").unwrap();
    stdin.write_all(body).unwrap();
    drop(stdin);
    let out = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    format!("t={t},v1={}", out.split_whitespace().next().unwrap())
}

#[tokio::test]
async fn what_fails_is_tried_again_with_growing_pauses_and_nothing_overtakes_it() {
    let bench = Bench::new().await;
    let hook = bench.hook();
    let ids = [bench.raise("a1").await, bench.raise("a2").await];
    bench.receiver.answer(&[500, 503, 429, 500]);
    let mut pauses = Vec::new();
    for _ in 0..4 {
        let look = bench.settle(&hook).await;
        assert!(hook.state().failing.is_some());
        assert_eq!(bench.settle(&hook).await, look, "before its time nothing is sent");
        pauses.push(bench.forward(look));
    }
    assert!(pauses.windows(2).all(|two| two[0] < two[1]), "{pauses:?}");
    assert_eq!(bench.settle(&hook).await, Look::Idle);
    let first = &ids[0];
    let came = [first, first, first, first, first, &ids[1]].map(String::clone);
    assert_eq!(bench.receiver.ids(), came);
    assert!(hook.state().failing.is_none());
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let bench = Bench::new().await;
    let hook = bench.hook();
    bench.raise("a1").await;
    bench.receiver.answers.lock().push_back((307, Some("/elsewhere".into())));
    let look = bench.settle(&hook).await;
    assert!(matches!(look, Look::At(_)));
    assert!(hook.state().failing.unwrap().detail.contains("redirect"));
    assert_eq!(*bench.receiver.elsewhere.lock(), 0);
}

#[tokio::test]
async fn what_is_refused_again_and_again_is_a_dead_letter_and_can_be_sent_again() {
    let bench = Bench::new().await;
    let hook = bench.hook();
    let ids = [bench.raise("a1").await, bench.raise("a2").await];
    bench.receiver.answer(&[400; limits::WEBHOOK_REFUSALS_MAX as usize]);
    while let look @ Look::At(_) = bench.settle(&hook).await {
        bench.forward(look);
    }
    let state = hook.state();
    assert_eq!((state.dead.count, state.delivered), (1, 1), "the next one goes its way");
    let letter = &state.dead.listed[0];
    assert_eq!((&letter.act, letter.attempts), (&ids[0], limits::WEBHOOK_REFUSALS_MAX));
    assert!(letter.detail.contains("400") && letter.detail.contains("words of the receiver"));
    // It stays one over a restart, and comes with a retry.
    drop(hook);
    let hook = bench.hook();
    assert_eq!(hook.state().dead.count, 1);
    bench.receiver.came.lock().clear();
    assert_eq!(hook.retry("li"), 1);
    assert_eq!(bench.settle(&hook).await, Look::Idle);
    assert_eq!(bench.receiver.ids(), [ids[0].clone()]);
    assert_eq!(hook.state().dead.count, 0);
    assert_eq!(bench.hook().state().dead.count, 0, "and is none any more after another restart");
}

#[tokio::test]
async fn nothing_is_lost_over_a_restart_of_the_node() {
    let mut bench = Bench::new().await;
    let hook = bench.hook();
    let mut ids = vec![bench.raise("a1").await];
    assert_eq!(bench.settle(&hook).await, Look::Idle);
    bench.receiver.answer(&[500]);
    ids.push(bench.raise("a2").await);
    ids.push(bench.raise("a3").await);
    assert!(matches!(bench.settle(&hook).await, Look::At(_)));
    drop(hook);
    bench.journal.close();
    bench.journal = open_journal(bench.dir.path(), &bench.clock);
    let hook = bench.hook();
    assert_eq!(bench.settle(&hook).await, Look::Idle);
    let mut came = bench.receiver.ids();
    came.dedup();
    assert_eq!(came, ids, "each at least once, in order");
}

#[tokio::test]
async fn a_receiver_that_is_not_there_costs_nothing_but_time() {
    let mut bench = Bench::new().await;
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    bench.config = webhook(&format!("http://{}/x", gone.local_addr().unwrap()), "[\"alarm.raise\"]");
    drop(gone);
    let hook = bench.hook();
    bench.raise("a1").await;
    assert!(matches!(bench.settle(&hook).await, Look::At(_)));
    let state = hook.state();
    let failing = state.failing.unwrap();
    assert_eq!(failing.attempts.made, 1);
    assert!(!failing.detail.is_empty() && hook.backlog() > 0);
}

#[tokio::test]
async fn a_filter_passes_over_what_is_not_wanted_and_a_webhook_that_is_gone_holds_nothing_back() {
    let mut bench = Bench::new().await;
    bench.config.kinds = vec!["alarm.acknowledge".into()];
    let hook = bench.hook();
    bench.raise("a1").await;
    let wanted = bench.act("a1", json!({"do": "acknowledge"})).await;
    assert_eq!(bench.settle(&hook).await, Look::Idle);
    assert_eq!(bench.receiver.ids(), [wanted]);
    assert_eq!(bench.journal.cursors().unwrap().len(), 1);
    drop(hook);
    assert!(open(&[], &bench.journal).unwrap().is_empty());
    assert!(bench.journal.cursors().unwrap().is_empty());
    assert_eq!(bench.clock.utc(), UtcMicros(NOW.0), "no test waits for a clock");
}
