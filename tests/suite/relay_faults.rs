//! Campaigns on real nodes and a real message server: networks that fail in every way, in an order of chance, and kills of
//! centre, server and node again and again. Each prints its seed; `FENGSUI_SEED=<seed>` with `FENGSUI_RUNS=1` or
//! `FENGSUI_KILLS=1` does the same faults again, though not the same scheduling of the machine.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fengsui_config::env::{Env as _, ProcessEnv};
use fengsui_tests::figure::{Figure, Target};
use fengsui_tests::harness::config::camera_code;
use fengsui_tests::harness::{Api, Fengsui, Outcome, wait_for};
use fengsui_tests::nats::NatsServer;
use fengsui_tests::proxy::Fault;
use fengsui_tests::scenario::city::City;
use fengsui_tests::scenario::{Scene, judge};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::relay::{CAMERAS, below, codes, device, tell};

/// Time within which everything must be there after the faults are over. A silent connection is given up after ten seconds.
const LONG: Duration = Duration::from_secs(60);
/// Longest of most faults, and of one in every second run: longer than a silent connection is believed.
const FAULT_MAX: Duration = Duration::from_millis(800);
const LONG_FAULT_MAX: Duration = Duration::from_secs(14);
/// Time between two events: a device may send twenty a second.
const EVERY: Duration = Duration::from_millis(100);
/// Seconds after which operators see again what happens.
const VIEW_BACK_MAX_S: f64 = 5.0;

fn number(name: &str, usual: u64) -> u64 {
    ProcessEnv.get(name).and_then(|n| n.parse().ok()).unwrap_or(usual)
}

fn show(name: &str, value: f64, unit: &'static str, target: Target) -> bool {
    let figure = Figure::new(name, value, unit, target);
    println!("{figure}");
    figure.holds()
}

/// A centre, its server, and a sub-centre that records one camera.
struct Stand {
    city: City,
    centre: Option<Fengsui>,
    above: Api,
    scene: Scene,
    node: Option<Fengsui>,
    east: Api,
    /// Of a device at the sub-centre.
    secret: String,
    judge: Judge,
}

impl Stand {
    async fn start(seed: u64) -> Option<Self> {
        let Some(program) = NatsServer::program() else {
            println!("SKIPPED: nats-server is missing; tests/scripts/setup.sh test installs it");
            return None;
        };
        let (city, centre, above) = City::start(&program, seed).await.unwrap();
        let scene = below(&city, "east");
        city.admit("east", &scene.config, &codes()).unwrap();
        let (node, east) = scene.run_recording().await.unwrap();
        let secret = device(&east).await;
        let (centre, node, judge) = (Some(centre), Some(node), Judge::default());
        let mut stand = Self { city, centre, above, scene, node, east, secret, judge };
        stand.compare("the beginning").await;
        Some(stand)
    }

    fn url(&self) -> String {
        self.node.as_ref().unwrap().url().to_owned()
    }

    /// Looks whether the centre has what the sub-centre noted since the last look.
    async fn compare(&mut self, what: &str) {
        self.judge.compare(what, &self.above, &self.east).await;
    }

    /// The centre is killed, and comes back.
    async fn kill_centre(&mut self) {
        let running = self.centre.take().unwrap();
        let back = tokio::task::spawn_blocking(move || running.kill_and_restart()).await;
        self.above = self.centre.insert(back.unwrap().unwrap()).log_in().await.unwrap();
    }

    /// Ends everything; says whether the camera was recorded all the time.
    async fn recorded_on(self) -> bool {
        self.scene.quiet(&self.east).await.unwrap();
        assert!(self.node.unwrap().stop().await.unwrap().success());
        assert!(self.centre.unwrap().stop().await.unwrap().success());
        let account = judge::account(&judge::sent(&self.scene.ledger(1)), &self.scene.stored(1).unwrap());
        println!("recorded: {account:?}");
        account.is_exact() && account.stored > 20
    }
}

/// Compares what the sub-centre noted with what the centre has.
#[derive(Default)]
struct Judge {
    /// Newest record that both are known to have.
    known: Option<String>,
    events: usize,
    violations: usize,
}

impl Judge {
    async fn compare(&mut self, what: &str, centre: &Api, east: &Api) {
        let last = Mutex::new((Vec::new(), Vec::new()));
        let known = self.known.as_deref();
        let waited = wait_for(what, LONG, || async {
            let both = (since(east, known).await?, since(centre, known).await?);
            let same = both.0 == both.1 && !both.0.is_empty();
            *last.lock() = both;
            Ok(same.then_some(()))
        })
        .await;
        let (noted, came) = last.into_inner();
        self.events += noted.len();
        if let Err(error) = waited {
            let found = violations(&noted, &came);
            self.violations += found;
            println!("{error}: {found} violations\nnoted {noted:?}\ncame {came:?}");
        }
        self.known = came.iter().find(|id| noted.contains(id)).cloned().or(self.known.take());
    }

    /// Prints the figures; says whether nothing was violated.
    fn holds(&self, name: &str, runs: u64) -> bool {
        show(&format!("{name}_runs"), runs as f64, "count", Target::Shown);
        show(&format!("{name}_events"), self.events as f64, "count", Target::Shown);
        show(&format!("{name}_violations"), self.violations as f64, "count", Target::Exactly(0.0))
    }
}

/// Events lost, doubled or out of order; one when it is none of these and yet not the same.
fn violations(noted: &[String], came: &[String]) -> usize {
    let (theirs, ours): (BTreeSet<_>, BTreeSet<_>) = (noted.iter().collect(), came.iter().collect());
    let lost = theirs.difference(&ours).count();
    let doubled = came.len() - ours.len() + ours.difference(&theirs).count();
    let both: Vec<_> = noted.iter().filter(|id| ours.contains(id)).collect();
    let order = came.iter().filter(|id| theirs.contains(id)).zip(both).filter(|(a, b)| a != b).count();
    (lost + doubled + order).max(1)
}

/// Records of the sub-centre's events behind one that is known, the newest first, as a node has them.
async fn since(api: &Api, known: Option<&str>) -> Outcome<Vec<String>> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page: Value = api.get(&format!("/events/records?limit=200&cursor={cursor}")).await?;
        for item in page["items"].as_array().unwrap() {
            let id = item["id"].as_str().unwrap();
            if known == Some(id) {
                return Ok(found);
            }
            if id.starts_with("east.") {
                found.push(id.to_owned());
            }
        }
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => return Ok(found),
        }
    }
}

/// A device tells events until what happens meanwhile is over.
async fn telling<T>(url: &str, secret: &str, name: &str, happens: impl Future<Output = T>) -> T {
    let is_over = AtomicBool::new(false);
    let tells = async {
        let mut n = 0;
        while !is_over.load(Ordering::Relaxed) {
            tell(url, secret, (name, n), if n % 5 == 0 { "alarm" } else { "normal" }).await;
            n += 1;
            tokio::time::sleep(EVERY).await;
        }
    };
    let happens = async {
        let done = happens.await;
        is_over.store(true, Ordering::Relaxed);
        done
    };
    tokio::join!(tells, happens).1
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_once_and_in_order_through_bad_networks() {
    let (seed, runs) = (number("FENGSUI_SEED", 1), number("FENGSUI_RUNS", 3));
    let Some(mut stand) = Stand::start(seed).await else { return };
    for run in seed..seed + runs {
        let plan = Fault::shuffled(run, FAULT_MAX, (run % 2 == 0).then_some(LONG_FAULT_MAX));
        println!("relay_faults: FENGSUI_SEED={run} FENGSUI_RUNS=1: {plan:?}");
        telling(&stand.url(), &stand.secret, &format!("run-{run}"), stand.city.proxy.play(plan)).await;
        stand.compare(&format!("the network of seed {run} is good again")).await;
    }
    let held = stand.judge.holds("relay_faults", runs);
    let recorded = stand.recorded_on().await;
    assert!(held, "see the runs above");
    assert!(recorded, "the sub-centre records on");
}

#[tokio::test(flavor = "multi_thread")]
async fn centre_and_message_server_may_be_killed_again_and_again() {
    let (seed, kills) = (number("FENGSUI_SEED", 1), number("FENGSUI_KILLS", 3));
    let Some(mut stand) = Stand::start(seed).await else { return };
    let mut back = Vec::new();
    for kill in seed..seed + kills {
        let mut dice = StdRng::seed_from_u64(kill);
        let before = Duration::from_millis(dice.random_range(0..800));
        let down = Duration::from_millis(dice.random_range(0..1500));
        // Both of them, whatever the chance.
        let of_centre = kill % 2 == 0;
        println!(
            "relay_kills: FENGSUI_SEED={kill} FENGSUI_KILLS=1: centre {of_centre}, {before:?}, {down:?}"
        );
        let (url, secret) = (stand.url(), stand.secret.clone());
        let took = telling(&url, &secret, &format!("kill-{kill}"), async {
            tokio::time::sleep(before).await;
            if of_centre {
                stand.kill_centre().await;
            } else {
                stand.city.nats.kill().unwrap();
                tokio::time::sleep(down).await;
                stand.city.nats.start_again().unwrap();
            }
            view_is_back(&stand, kill).await
        })
        .await;
        back.push(took.as_secs_f64());
        stand.compare(&format!("what was killed by seed {kill} is back")).await;
    }
    let held = stand.judge.holds("relay_kills", kills);
    let most = back.iter().copied().fold(0.0, f64::max);
    // How quick it is is a figure of the campaign: beside other tests the machine has no time for it.
    show("relay_kills_view_back_max", most, "s", Target::AtMost(VIEW_BACK_MAX_S));
    let recorded = stand.recorded_on().await;
    assert!(held, "see the kills above: {back:?}");
    assert!(recorded, "the sub-centre records on");
}

/// How long it takes until the centre shows something that happened after what was killed is up again.
async fn view_is_back(stand: &Stand, kill: u64) -> Duration {
    let began = Instant::now();
    tell(&stand.url(), &stand.secret, (&format!("back-{kill}"), 0), "normal").await;
    let wanted = format!("back-{kill}-0");
    wait_for("the view is back", LONG, || async {
        let page: Value = stand.above.get("/events/records?limit=50").await?;
        let items = page["items"].as_array().unwrap();
        Ok(items.iter().any(|item| item["data"]["input"] == wanted.as_str()).then_some(()))
    })
    .await
    .unwrap();
    began.elapsed()
}

/// Sends batches until the node is gone; gives the records of those that it acknowledged.
async fn batches((url, secret): (&str, &str), name: &str, is_gone: &AtomicBool) -> Vec<String> {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut acknowledged = Vec::new();
    for batch in 0.. {
        if is_gone.load(Ordering::Relaxed) {
            break;
        }
        let event = |n: usize| {
            let camera = camera_code(CAMERAS[1 + (batch + n) % (CAMERAS.len() - 1)]);
            json!({"kind": "device.input", "camera": camera, "input": format!("{name}-{batch}-{n}")})
        };
        let events: Vec<Value> = (0..20).map(event).collect();
        let post = client.post(format!("{url}/api/v1/events")).bearer_auth(secret);
        let Ok(answer) = post.json(&json!({"events": events})).send().await else { break };
        if !answer.status().is_success() {
            // Too many at once: the device goes on a little later.
            tokio::time::sleep(EVERY).await;
            continue;
        }
        let Ok(answer) = answer.json::<Value>().await else { break };
        let records = answer["items"].as_array().unwrap().iter();
        acknowledged.extend(records.map(|item| item["record"].as_str().unwrap().to_owned()));
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_killed_in_mid_batch_loses_nothing_acknowledged() {
    let (seed, kills) = (number("FENGSUI_SEED", 1), number("FENGSUI_KILLS", 3));
    let Some(mut stand) = Stand::start(seed).await else { return };
    let (mut acknowledged, mut lost) = (0, 0);
    for kill in seed..seed + kills {
        let mut dice = StdRng::seed_from_u64(kill);
        let after = Duration::from_millis(dice.random_range(20..700));
        println!("relay_node_kills: FENGSUI_SEED={kill} FENGSUI_KILLS=1: after {after:?}");
        let (url, node, is_gone) = (stand.url(), stand.node.take().unwrap(), AtomicBool::new(false));
        let names = ["a", "b"].map(|name| format!("{name}{kill}"));
        let killed = async {
            tokio::time::sleep(after).await;
            node.kill().unwrap();
            is_gone.store(true, Ordering::Relaxed);
        };
        let to = (url.as_str(), stand.secret.as_str());
        let (first, second, ()) =
            tokio::join!(batches(to, &names[0], &is_gone), batches(to, &names[1], &is_gone), killed);
        stand.node = Some(Fengsui::start(&stand.scene.config).unwrap());
        stand.east = stand.node.as_mut().unwrap().log_in().await.unwrap();
        stand.compare(&format!("the node killed by seed {kill} is back")).await;
        let came: BTreeSet<String> = since(&stand.above, None).await.unwrap().into_iter().collect();
        let told: BTreeSet<String> = first.into_iter().chain(second).collect();
        acknowledged += told.len();
        lost += told.difference(&came).count();
    }
    let held = stand.judge.holds("relay_node_kills", kills);
    assert!(show("relay_node_kills_acknowledged", acknowledged as f64, "count", Target::AtLeast(1.0)));
    let kept = show("relay_node_kills_acknowledged_lost", lost as f64, "count", Target::Exactly(0.0));
    assert!(held && kept, "see the kills above");
}
