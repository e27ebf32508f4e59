//! Two sub-centres that can both reach one camera, and their centre, each a real process: the one that owns it is killed, the
//! other records meanwhile, and what it recorded is at the owner afterwards.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use fengsui_config::ids::StreamKind;
use fengsui_tests::figure::{Figure, Target};
use fengsui_tests::harness::api::page;
use fengsui_tests::harness::config::{self, ConfigOptions, camera_code};
use fengsui_tests::harness::media::segment_files;
use fengsui_tests::harness::{Api, Fengsui, Outcome, binary, wait_for};
use fengsui_tests::nats::{NatsServer, free_port};
use fengsui_tests::scenario::{Scene, small};
use serde_json::{Value, json};
use tokio::time::Instant;

/// Time within which what has to come must have come.
const LONG: Duration = Duration::from_secs(90);

fn fengsui(config: &Path, arguments: &[&str]) -> Output {
    let output =
        Command::new(binary().unwrap()).arg("--config").arg(config).args(arguments).output().unwrap();
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    assert!(output.status.success(), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
    output
}

/// A centre with its message server.
struct Above {
    folder: tempfile::TempDir,
    config: PathBuf,
    https: String,
    uplink: String,
    _nats: NatsServer,
}

impl Above {
    async fn start(program: &Path) -> (Self, Fengsui, Api) {
        let folder = tempfile::Builder::new().prefix("fengsui-").tempdir().unwrap();
        let (server, https) = (free_port().unwrap(), free_port().unwrap());
        let options =
            ConfigOptions { tls_listen: vec![format!("127.0.0.1:{https}")], ..ConfigOptions::default() };
        let relay = format!("\n[relay]\nlisten = \"127.0.0.1:{server}\"\nstream_mib = 64\n");
        let text = config::node_text(&options) + &relay;
        let config = config::write_text(folder.path(), &text, &options, None).unwrap();
        let mut node = Fengsui::start(&config).unwrap();
        let api = node.log_in().await.unwrap();
        let file = folder.path().join("data/relay/server.conf");
        wait_for("the server's files", LONG, || async { Ok(file.exists().then_some(())) }).await.unwrap();
        let address: SocketAddr = format!("127.0.0.1:{server}").parse().unwrap();
        let nats = NatsServer::start(program, &file, "centre", address).unwrap();
        let (https, uplink) =
            (format!("https://127.0.0.1:{https}"), format!("\n[relay]\ncentre = \"tls://{address}\"\n"));
        (Self { folder, config, https, uplink, _nats: nats }, node, api)
    }

    /// Invites and enrols the node of this configuration, with these cameras.
    fn admit(&self, node: &str, config: &Path, cameras: &[&str]) {
        let output = fengsui(&self.config, &[&["node", "invite", node], cameras].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        let token = text.lines().find(|line| line.starts_with("fengsui1.")).unwrap();
        let file = self.folder.path().join(format!("{node}.token"));
        std::fs::write(&file, token).unwrap();
        let token = file.to_str().unwrap();
        fengsui(config, &["node", "enrol", "--centre", &self.https, "--token-file", token]);
    }

    /// A node that stands by for `east` with its camera; gives its configuration.
    fn sibling(&self, east: &Scene) -> PathBuf {
        let folder = self.folder.path().join("west");
        std::fs::create_dir_all(&folder).unwrap();
        let options = ConfigOptions { node: "west", ..ConfigOptions::default() };
        let camera = config::camera_text(1, &east.sim.url(1, StreamKind::Main), None, "tcp", None);
        let text = config::node_text(&options) + &camera + "standby_for = \"east\"\n" + &self.uplink;
        config::write_text(&folder, &text, &options, None).unwrap()
    }
}

/// What the centre shows of a node.
async fn node(centre: &Api, id: &str) -> Outcome<Value> {
    let nodes: Value = centre.get("/nodes").await?;
    let items = nodes["items"].as_array().cloned().unwrap_or_default();
    Ok(items.into_iter().find(|item| item["id"] == id).unwrap_or_default())
}

/// Waits until the centre says that these nodes record for `east`.
async fn recorded_by(centre: &Api, nodes: &[&str]) {
    wait_for(&format!("east is recorded by {nodes:?}"), LONG, || async {
        Ok((node(centre, "east").await?["recorded_by"] == json!(nodes)).then_some(()))
    })
    .await
    .unwrap();
}

fn now_us() -> i64 {
    use fengsui_config::clock::{Clock as _, SystemClock};
    SystemClock::new().utc().0
}

/// Kinds of the events that the centre noted about standing by, and whether that row is open.
async fn noted(centre: &Api) -> Outcome<(Vec<String>, bool)> {
    let rows: Value = centre.get("/events/rows?limit=200").await?;
    let rows = rows["items"].as_array().cloned().unwrap_or_default();
    let open = rows.iter().any(|row| row["cause"] == "standby/east" && row["open"] == true);
    let records: Value = centre.get("/events/records?limit=200").await?;
    let records = records["items"].as_array().cloned().unwrap_or_default();
    let kinds = records.iter().rev().filter(|r| r["cause"] == "standby/east");
    Ok((kinds.map(|r| r["kind"].as_str().unwrap_or_default().to_owned()).collect(), open))
}

/// Files of a node's journal of this kind.
async fn journal(api: &Api, kind: &str) -> Outcome<Vec<Value>> {
    let page: Value = api.get(&format!("/journal?limit=200&kind={kind}")).await?;
    Ok(page["items"].as_array().cloned().unwrap_or_default())
}

/// Spans of east's camera between two times.
async fn spans(api: &Api, from: i64, to: i64) -> Outcome<Vec<Value>> {
    let code = camera_code(1);
    let line: Value = api.get(&format!("/footage/{code}/main/timeline?from_us={from}&to_us={to}")).await?;
    Ok(line["spans"].as_array().cloned().unwrap_or_default())
}

fn seconds(spans: &[Value], kind: &str) -> f64 {
    let us = |span: &Value| span["to_us"].as_i64().unwrap() - span["from_us"].as_i64().unwrap();
    spans.iter().filter(|span| span["kind"] == kind).map(|span| us(span) as f64 / 1e6).sum()
}

/// The stand-in segments on a volume: name and bytes.
fn stood_in(volume: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = segment_files(volume, 1, StreamKind::Main).unwrap().into_iter();
    let named = files.filter_map(|f| Some((f.file_name()?.to_str()?.to_owned(), f)));
    let is_stand_in =
        |name: &str| name.split('_').nth(1).is_some_and(|n| n.parse::<u64>().is_ok_and(|n| n >= 1 << 31));
    named.filter(|(name, _)| is_stand_in(name)).map(|(name, f)| (name, std::fs::read(f).unwrap())).collect()
}

/// When a segment begins, in milliseconds.
fn begins_ms(name: &str) -> i64 {
    name.split('_').next().and_then(|ms| ms.parse().ok()).unwrap()
}

/// When a node's own first segment begins that is not from before `since_ms`.
fn own_from_ms(volume: &Path, since_ms: i64) -> Option<i64> {
    let stood_in = stood_in(volume);
    let files = segment_files(volume, 1, StreamKind::Main).unwrap().into_iter();
    let names = files.filter_map(|f| Some(f.file_name()?.to_str()?.to_owned()));
    let own = names.filter(|name| !stood_in.contains_key(name)).map(|name| begins_ms(&name));
    own.filter(|ms| *ms >= since_ms).min()
}

/// A centre and two sub-centres that can both reach one camera; east owns it.
struct Town {
    above: Above,
    scene: Scene,
    sibling: PathBuf,
    centre: Fengsui,
    city: Api,
    west: Fengsui,
    west_api: Api,
}

impl Town {
    /// All is well, and the centre has heard for long enough. Gives east as well.
    async fn start(program: &Path) -> (Self, Fengsui) {
        let (above, centre, city) = Above::start(program).await;
        let extra = above.uplink.clone();
        let options = ConfigOptions { node: "east", sub: false, extra, ..ConfigOptions::default() };
        let scene = Scene::new(small(1), options).unwrap();
        let (sibling, code) = (above.sibling(&scene), camera_code(1));
        above.admit("east", &scene.config, &[&format!("--camera={code}")]);
        above.admit("west", &sibling, &[&format!("--standby={code}")]);
        let (east, _) = scene.run_recording().await.unwrap();
        let mut west = Fengsui::start(&sibling).unwrap();
        let west_api = west.log_in().await.unwrap();
        let standby = west_api.camera(1).await.unwrap();
        assert_eq!((&standby["enabled"], &standby["standby_for"]), (&Value::Bool(false), &"east".into()));
        wait_for("the centre knows who is there, and decides", LONG, || async {
            let nodes: Value = city.get("/nodes").await?;
            let link = |n: &Value| n["presence"]["link"] == "here";
            let here = nodes["items"].as_array().is_some_and(|all| all.iter().all(link));
            Ok((here && nodes["centre"]["decides"] == true).then_some(()))
        })
        .await
        .unwrap();
        let town = Self { above, scene, sibling, centre, city, west, west_api };
        assert!(town.west_has().is_empty(), "nothing is recorded while all is well");
        (town, east)
    }

    fn west_has(&self) -> BTreeMap<String, Vec<u8>> {
        stood_in(&self.sibling.with_file_name("v1"))
    }

    /// East is killed: west records its camera in time. Gives the moment.
    async fn is_taken_over(&self, east: Fengsui) -> i64 {
        let (killed, killed_us) = (Instant::now(), now_us());
        east.kill().unwrap();
        self.west_api.wait_recording(1, LONG).await.unwrap();
        let took = killed.elapsed().as_secs_f64();
        let took = Figure::new("failover_recorded_elsewhere", took, "s", Target::AtMost(15.0));
        println!("{took}");
        assert!(took.holds());
        recorded_by(&self.city, &["west"]).await;
        wait_for("some of it is on west's disk", LONG, || async {
            let spans = spans(&self.west_api, killed_us, now_us()).await?;
            Ok((seconds(&spans, "footage") > 4.0).then_some(()))
        })
        .await
        .unwrap();
        wait_for("the centre plays what west records", LONG, || async {
            let spans = spans(&self.city, killed_us, now_us()).await?;
            Ok((seconds(&spans, "footage") > 2.0).then_some(()))
        })
        .await
        .unwrap();
        let (kinds, open) = noted(&self.city).await.unwrap();
        assert_eq!((kinds, open), (vec!["standby.taken".to_owned()], true));
        killed_us
    }

    /// A sibling that restarts while the centre is gone goes on by its own journal.
    async fn goes_on_without_a_centre(self) -> Self {
        let Self { above, scene, sibling, centre, west, .. } = self;
        centre.kill().unwrap();
        let mut west = west.kill_and_restart().unwrap();
        let west_api = west.log_in().await.unwrap();
        west_api.wait_recording(1, LONG).await.unwrap();
        let mut centre = Fengsui::start(&above.config).unwrap();
        let city = centre.log_in().await.unwrap();
        recorded_by(&city, &["west"]).await;
        // So much that it is worth bringing back.
        let recording_us = now_us();
        wait_for("some of it is on west's disk", LONG, || async {
            let spans = spans(&west_api, recording_us, now_us()).await?;
            Ok((seconds(&spans, "footage") > 4.0).then_some(()))
        })
        .await
        .unwrap();
        Self { above, scene, sibling, centre, city, west, west_api }
    }

    /// East starts again: it gets its camera back, and what it lacks.
    async fn comes_back(&self) -> (Fengsui, Api, i64) {
        let again_ms = now_us() / 1000;
        let (mut east, back) = (Fengsui::start(&self.scene.config).unwrap(), Instant::now());
        let api = east.log_in().await.unwrap();
        api.wait_recording(1, LONG).await.unwrap();
        let back_us = now_us();
        recorded_by(&self.city, &[]).await;
        wait_for("west stands by again", LONG, || async {
            Ok((self.west_api.camera(1).await?["enabled"] == false).then_some(()))
        })
        .await
        .unwrap();
        let came = wait_for("something is brought back", LONG, || async {
            let (taken, refused) =
                (journal(&api, "backfill.taken").await?, journal(&api, "backfill.refused").await?);
            Ok((!taken.is_empty() || !refused.is_empty()).then_some((back.elapsed(), refused)))
        })
        .await;
        let Ok((first, refused)) = came else {
            panic!("nothing is brought back:\n{}", self.centre.log().join("\n"));
        };
        assert!(refused.is_empty(), "{refused:?}");
        let began = first.as_secs_f64();
        let began = Figure::new("failover_backfill_began", began, "s", Target::AtMost(60.0));
        println!("{began}");
        assert!(began.holds());
        let all = wait_for("all of it is brought back, byte for byte", LONG, || async {
            let (had, has) = (self.west_has(), stood_in(&self.scene.volume()));
            // A segment that west began when east recorded already has nothing that east lacks.
            let own_ms = own_from_ms(&self.scene.volume(), again_ms).unwrap_or(i64::MAX);
            let mut wanted = had.keys().filter(|name| begins_ms(name) < own_ms);
            let whole = has.iter().all(|(name, bytes)| had.get(name) == Some(bytes));
            Ok((!has.is_empty() && whole && wanted.all(|name| has.contains_key(name))).then_some(()))
        })
        .await;
        if let Err(error) = all {
            let names = |files: BTreeMap<String, Vec<u8>>| -> Vec<(String, usize)> {
                files.into_iter().map(|(name, bytes)| (name, bytes.len())).collect()
            };
            let (had, has) = (names(self.west_has()), names(stood_in(&self.scene.volume())));
            panic!("{error}: {had:?} {has:?}\n{}", self.centre.log().join("\n"));
        }
        assert!(journal(&api, "backfill.refused").await.unwrap().is_empty());
        self.is_counted().await;
        (east, api, back_us)
    }

    /// The centre's metrics say what it brought back, and that nothing is under way any more.
    async fn is_counted(&self) {
        let brought = stood_in(&self.scene.volume());
        let bytes: usize = brought.values().map(Vec::len).sum();
        wait_for("the metrics say what was brought back", LONG, || async {
            let page = page(&format!("{}/metrics", self.centre.url())).await?;
            let number = |name: &str| {
                let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
                line.and_then(|value| value.parse::<usize>().ok())
            };
            let of = |name: &str| number(&format!("fengsui_relay_backfill_{name}"));
            let under_way = (of("owners"), of("waiting_segments"));
            let came = (of("segments_total"), of("refused_total")) == (Some(brought.len()), Some(0));
            // A piece whose answer was lost is sent again.
            let sent = of("bytes_total").is_some_and(|sent| sent >= bytes);
            Ok((came && sent && under_way == (Some(0), Some(0))).then_some(()))
        })
        .await
        .unwrap();
    }

    /// Every second of the outage is footage, or a gap that says why; and the centre has told what happened, once.
    async fn is_told_as_one(&self, east: &Api, from_us: i64, to_us: i64) {
        let line = spans(east, from_us - 2_000_000, to_us).await.unwrap();
        for pair in line.windows(2) {
            assert_eq!(pair[0]["to_us"], pair[1]["from_us"], "{line:?}");
        }
        let (footage, gap) = (seconds(&line, "footage"), seconds(&line, "gap"));
        println!("{}", Figure::new("failover_gap", gap, "s", Target::AtMost(25.0)));
        assert!(footage > gap && gap < 25.0, "{line:?}");
        let (kinds, open) = wait_for("the centre tells that footage came back", LONG, || async {
            let (kinds, open) = noted(&self.city).await?;
            Ok(kinds.contains(&"standby.returned".to_owned()).then_some((kinds, open)))
        })
        .await
        .unwrap();
        assert!(kinds.contains(&"standby.released".to_owned()) && !open, "{kinds:?}");
        assert_eq!(kinds.iter().filter(|kind| *kind == "standby.taken").count(), 1, "told once: {kinds:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cameras_of_a_dead_node_are_recorded_elsewhere_and_come_back() {
    let Some(program) = NatsServer::program() else {
        println!("SKIPPED: nats-server is missing; tests/scripts/setup.sh test installs it");
        return;
    };
    let (town, east) = Town::start(&program).await;
    let killed_us = town.is_taken_over(east).await;
    let town = town.goes_on_without_a_centre().await;
    let (east, api, back_us) = town.comes_back().await;
    town.is_told_as_one(&api, killed_us, back_us).await;
    for node in [east, town.west, town.centre] {
        assert!(node.stop().await.unwrap().success());
    }
}
