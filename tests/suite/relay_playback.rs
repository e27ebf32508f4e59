//! Footage that a sub-centre recorded, played at the centre through the centre's own address, with real nodes and a real
//! message server; and what the centre shows when the line is cut.

use std::process::Command;
use std::time::Duration;

use fengsui_config::ids::StreamKind;
use fengsui_tests::harness::config::{self, camera_code};
use fengsui_tests::harness::{Api, Outcome, wait_for};
use fengsui_tests::nats::NatsServer;
use fengsui_tests::proxy::Fault;
use fengsui_tests::scenario::city::City;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::relay::{LONG, below, codes};

/// Time within which it is said that a node does not answer; a call waits 10 s.
const REFUSED_WITHIN: Duration = Duration::from_secs(12);

/// Seed of the network's chance.
const SEED: u64 = 6;

fn footage() -> String {
    format!("/footage/{}/main", camera_code(1))
}

/// Waits until the centre shows the camera so.
async fn until(what: &str, above: &Api, fits: impl Fn(&Value) -> bool) -> Value {
    let look = || async {
        let shown = above.camera(1).await?;
        Ok(fits(&shown).then_some(shown))
    };
    wait_for(what, LONG, look).await.unwrap()
}

/// Waits until some seconds are stored.
async fn some_seconds(east: &Api) {
    let look = || async {
        let shown = east.camera(1).await?;
        let last = shown["recording"]["last_us"].as_i64().unwrap_or_default();
        let timeline = east.timeline(1, StreamKind::Main, last - 60_000_000, last).await?;
        let first = timeline.spans.iter().filter(|s| s.kind == "footage").map(|s| s.from_us).min();
        Ok(first.filter(|first| last - first >= 8_000_000))
    };
    wait_for("some seconds are stored", LONG, look).await.unwrap();
}

/// The range of a segment that is closed: its name changes no more.
async fn closed(east: &Api) -> (i64, i64) {
    let now = east.get::<Value>("/system").await.unwrap()["now_us"].as_i64().unwrap();
    let segments = east.segments(1, StreamKind::Main, now - 600_000_000, now).await.unwrap();
    let longest = segments.iter().filter(|s| s.closed).max_by_key(|s| s.duration_us).unwrap();
    (longest.start_us, longest.start_us + longest.duration_us)
}

async fn part(api: &Api, path: &str, range: &str) -> Outcome<(StatusCode, String, Vec<u8>)> {
    let answer = api.request(Method::GET, path).header("Range", range).send().await.unwrap();
    let described = answer.headers().get("content-range").map_or("", |v| v.to_str().unwrap()).to_owned();
    Ok((answer.status(), described, answer.bytes().await.unwrap().to_vec()))
}

/// Everything that can be had of a range is the same at both nodes, to the byte.
async fn the_same_at_both(above: &Api, east: &Api, (from, to): (i64, i64)) {
    let base = footage();
    let range = format!("from_us={from}&to_us={to}");
    let gops: Value = above.get(&format!("{base}/gops?{range}")).await.unwrap();
    assert_eq!(gops, east.get::<Value>(&format!("{base}/gops?{range}")).await.unwrap());
    let mut pictures = 0;
    for gop in gops["items"].as_array().unwrap() {
        let of = |what: &str, name: &str| format!("{base}/{what}/{}", gop[name].as_str().unwrap());
        for path in [of("init", "init"), of("gop", "id")] {
            let here = above.bytes(&path).await.unwrap();
            assert!(here == east.bytes(&path).await.unwrap(), "{path}");
            pictures += here.len();
        }
    }
    assert!(pictures > 10_000, "{pictures} bytes of pictures");

    let playlist = format!("{base}/hls.m3u8?{range}");
    let text = String::from_utf8(above.bytes(&playlist).await.unwrap()).unwrap();
    assert_eq!(text.as_bytes(), east.bytes(&playlist).await.unwrap());
    let parts: Vec<&str> = text.lines().filter(|line| line.starts_with("hls/")).collect();
    assert!(parts.len() >= 2, "{text}");
    for part in parts {
        let path = format!("{base}/{part}");
        assert!(above.bytes(&path).await.unwrap() == east.bytes(&path).await.unwrap(), "{path}");
    }

    let segments = above.segments(1, StreamKind::Main, from, to).await.unwrap();
    assert!(segments[0].closed, "{segments:?}");
    let name = &segments[0].name;
    let path = format!("{base}/segments/{name}");
    for range in ["bytes=0-4095", "bytes=1000-9999", "bytes=4096-4096"] {
        let (here, there) =
            (part(above, &path, range).await.unwrap(), part(east, &path, range).await.unwrap());
        assert_eq!((here.0, here.2.len()), (StatusCode::PARTIAL_CONTENT, there.2.len()), "{range}");
        assert!(here.2 == there.2 && here.1.starts_with(&range.replace('=', " ")), "{range} {}", here.1);
    }
    let outside = part(above, &path, "bytes=99999999999-").await.unwrap();
    assert_eq!(outside.0, StatusCode::RANGE_NOT_SATISFIABLE);
}

/// Another player plays it at the centre's address with a ticket of the centre alone.
async fn a_player_plays_it(above: &Api, url: &str, (from, to): (i64, i64)) {
    let body = json!({"camera": camera_code(1), "stream": "main", "from_us": from, "to_us": to});
    let ticket: Value = above.post("/tickets", &body).await.unwrap().json().await.unwrap();
    let hls = format!("{url}{}", ticket["hls_url"].as_str().unwrap());
    let probe = ["-v", "error", "-count_packets", "-select_streams", "v", "-of", "csv=p=0"];
    let entries = ["-show_entries", "stream=codec_name,nb_read_packets"];
    let mut command = Command::new("ffprobe");
    command.args(probe).args(entries).arg(&hls);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    // A playlist is a programme to it: the stream is told once more for that.
    let (codec, packets) = text.lines().next().and_then(|line| line.split_once(',')).unwrap_or_default();
    let packets: i64 = packets.trim_end_matches(',').parse().unwrap_or_default();
    // Ten a second, and a little less: the list begins and ends at groups of pictures.
    let wanted = (to - from) / 1_000_000 * 8;
    assert!(codec == "h264" && packets >= wanted, "{text} {}", String::from_utf8_lossy(&output.stderr));
}

/// Who saw what, in the register of one node.
async fn viewers(api: &Api) -> Vec<String> {
    let page: Value = api.get("/journal?kind=viewing.&limit=200").await.unwrap();
    let rows = page["items"].as_array().unwrap().iter();
    rows.map(|row| {
        format!("{} {}", row["body"]["by"].as_str().unwrap(), row["body"]["how"].as_str().unwrap())
    })
    .collect()
}

/// While the line is a black hole: what is there is shown, what is not is said, nobody waits for long.
async fn nothing_else_suffers(city: &City, above: &Api, (from, to): (i64, i64)) {
    city.proxy.set(Fault::BlackHole);
    let range = format!("from_us={from}&to_us={to}");
    let asked = async {
        let began = Instant::now();
        let path = format!("{}/gops?{range}", footage());
        let answer = above.request(Method::GET, &path).send().await.unwrap();
        let status = answer.status();
        let body: Value = answer.json().await.unwrap();
        assert_eq!((status, body["code"].as_str()), (StatusCode::GATEWAY_TIMEOUT, Some("node_unreachable")));
        assert!(began.elapsed() <= REFUSED_WITHIN, "{:?}", began.elapsed());
    };
    let beside = async {
        for path in ["/system", "/cameras", "/events/rows", "/nodes"] {
            let began = Instant::now();
            let _: Value = above.get(path).await.unwrap();
            assert!(began.elapsed() < Duration::from_secs(2), "{path} {:?}", began.elapsed());
        }
    };
    tokio::join!(asked, beside);
    let shown = until("the node is lost", above, |c| c["node"]["known"] == false).await;
    // What it said last, some seconds ago.
    assert!(shown["node"]["at_us"].as_i64().unwrap() >= from, "{shown}");
    let system: Value = above.get("/system").await.unwrap();
    assert_eq!(
        (system["counts"]["unknown"].as_u64(), system["counts"]["online"].as_u64()),
        (Some(1), Some(0))
    );
    let days: Value = above.get(&format!("/footage/days?{range}")).await.unwrap();
    assert_eq!((days["items"].clone(), days["missing"][0]["node"].as_str()), (json!([]), Some("east")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_sub_centre_recorded_is_played_at_the_centre() {
    let Some(program) = NatsServer::program() else {
        println!("SKIPPED: nats-server is missing; tests/scripts/setup.sh test installs it");
        return;
    };
    let camera = config::camera_text(1, "rtsp://127.0.0.1:1/1", None, "tcp", None) + "enabled = false\n";
    let (city, centre, above) = City::start_with(&program, SEED, &camera).await.unwrap();
    let scene = below(&city, "east");
    city.admit("east", &scene.config, &codes()).unwrap();
    let (node, east) = scene.run_recording().await.unwrap();
    let playing = |c: &Value| c["node"]["known"] == true && c["streams"]["main"]["state"] == "playing";
    let shown = until("the camera's state is at the centre", &above, playing).await;
    assert_eq!((shown["node"]["id"].as_str(), shown["enabled"].as_bool()), (Some("east"), Some(true)));

    some_seconds(&east).await;
    assert!(node.stop().await.unwrap().success());
    let (node, east) = scene.run_recording().await.unwrap();
    until("the node is back with its states", &above, playing).await;
    let range = closed(&east).await;
    let before = viewers(&east).await;
    the_same_at_both(&above, &east, range).await;
    a_player_plays_it(&above, centre.url(), range).await;
    let (here, there) = (viewers(&above).await, viewers(&east).await);
    for how in ["playback", "hls"] {
        assert!(here.contains(&format!("tester {how}")), "{here:?}");
    }
    // There it is one person and one range: one row stands for both.
    assert!(there.contains(&"centre:tester playback".to_owned()) && before.is_empty(), "{there:?}");

    nothing_else_suffers(&city, &above, range).await;
    city.proxy.set(Fault::None);
    until("the node is back", &above, playing).await;
    let gops = above.gops(1, StreamKind::Main, range.0, range.1).await.unwrap();
    assert!(!gops.is_empty());
    scene.quiet(&east).await.unwrap();
    assert!(node.stop().await.unwrap().success());
    assert!(centre.stop().await.unwrap().success());
}
