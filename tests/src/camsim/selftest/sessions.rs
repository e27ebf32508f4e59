//! Sessions without faults: continuity over TCP and UDP, log-in, slow peers, addresses, the control API.

use fengsui_config::clock::{Clock as _, SystemClock};
use futures::StreamExt as _;
use serde_json::{Value, json};

use super::super::auth::AuthScheme;
use super::super::clip::Codec;
use super::super::ledger::DropReason;
use super::*;

#[test]
fn over_tcp_nothing_is_missing_and_the_ledger_says_what_was_sent() {
    let sim = start(Options::small(2));
    let mut client = client(&sim, 2);
    let answer = client.play_tcp().unwrap();
    assert!(answer.header("RTP-Info").is_some_and(|i| i.contains("seq=") && i.contains("rtptime=")));
    let got = Got::take(&mut client, 60);
    got.assert_continuous();
    assert_eq!(got.nal_types()[..2], [7, 8], "a session begins with the parameter sets of a key frame");
    for pair in got.timestamps().windows(2) {
        assert_eq!(pair[1].wrapping_sub(pair[0]), 3600);
    }
    drop(client);
    let record = ended(&sim, 2);
    assert!(
        record.frames >= 60 && record.dropped_frames == record.drops.len() as u64 * record.dropped_frames
    );
    assert_eq!(record.sent_frames().count() as u64, record.frames);
    let facts = sim.facts(2, StreamKind::Main).unwrap();
    let first = record.first_frame.unwrap();
    assert_eq!((first + i64::from(facts.offset)).rem_euclid(i64::from(facts.gop_frames)), 0);
}

#[test]
fn sender_reports_map_timestamps_to_the_time_at_which_pictures_were_due() {
    let sim = start(Options::small(1));
    let mut client = client(&sim, 1);
    client.play_tcp().unwrap();
    let got = Got::take(&mut client, 2);
    let (ntp_us, timestamp) = report_times(&got.reports[0]);
    assert_eq!(timestamp, got.timestamps()[0]);
    let facts = sim.facts(1, StreamKind::Main).unwrap();
    let first = sim.ledger(1, StreamKind::Main).unwrap()[0].first_frame.unwrap();
    let due_us = facts.phase_us + first * 1_000_000 / 25;
    assert!((ntp_us - due_us).abs() <= 2, "{ntp_us} {due_us}");
    assert!((SystemClock::new().utc().0 - ntp_us).abs() < 10_000_000);
}

#[test]
fn over_udp_nothing_is_missing_and_reports_come_on_the_second_port() {
    let sim = start(Options::small(1));
    let mut client = client(&sim, 1);
    let (rtp, rtcp) = client.play_udp().unwrap();
    let mut got = Got::default();
    let mut buffer = [0u8; 2000];
    while got.pictures() < 30 {
        let n = rtp.recv(&mut buffer).unwrap();
        got.packets.push((RtpHead::parse(&buffer[..n]).unwrap(), buffer[..n].to_vec()));
    }
    got.assert_continuous();
    let n = rtcp.recv(&mut buffer).unwrap();
    assert_eq!(report_times(&buffer[..n]).1, got.timestamps()[0]);
    assert_eq!(client.request("TEARDOWN", "", "").unwrap().status, 200);
    assert_eq!(ended(&sim, 1).end_reason.as_deref(), Some("teardown"));
}

#[test]
fn a_peer_that_stops_reading_loses_whole_pictures_and_the_ledger_names_them() {
    let sim = start(Options { backlog_max: 1, ..Options::small(1) });
    let main = StreamKind::Main;
    let mut client = client(&sim, 1);
    client.play_tcp().unwrap();
    let first = Got::take(&mut client, 1);
    // The kernel's buffers take megabytes first; a flood of garbage fills them at once.
    let flood = FaultKind::Garbage { bytes: 1 << 20, seed: 7 };
    let mut waited = 0;
    while sim.ledger(1, main).unwrap()[0].dropped_frames < 10 {
        if waited < 12 {
            sim.break_stream(1, main, flood.clone()).unwrap();
        }
        waited += 1;
        assert!(waited < 1000, "nothing is ever dropped");
        std::thread::sleep(Duration::from_millis(10));
    }
    drop((client, first));
    let record = ended(&sim, 1);
    assert!(record.drops.iter().any(|d| d.reason == DropReason::Backpressure));
    let span = record.last_frame.unwrap() - record.first_frame.unwrap() + 1;
    let inside = record
        .drops
        .iter()
        .filter(|d| d.to < record.last_frame.unwrap())
        .map(|d| d.to - d.from + 1)
        .sum::<i64>();
    assert_eq!(record.sent_frames().count() as i64 + inside, span - unsent_at_end(&record));
}

/// Pictures that were counted as sent and then taken back, up to the last one.
fn unsent_at_end(record: &SessionRecord) -> i64 {
    let last = record.last_frame.unwrap();
    record.drops.iter().filter(|d| d.from <= last && last <= d.to).map(|d| last - d.from + 1).sum()
}

/// Plays a stream with retina until `pictures` have come; gives the number of losses it saw.
async fn play_with_retina(
    sim: &CamSim,
    login: Option<(&str, &str)>,
    udp: bool,
    pictures: u32,
) -> Result<u32, String> {
    use retina::client::{
        PlayOptions, Session, SessionOptions, SetupOptions, TcpTransportOptions, Transport,
        UdpTransportOptions,
    };
    let credentials =
        login.map(|(u, p)| retina::client::Credentials { username: u.into(), password: p.into() });
    let options = SessionOptions::default().creds(credentials);
    let url = sim.url(1, StreamKind::Main).parse().unwrap();
    let mut session = Session::describe(url, options).await.map_err(|e| e.to_string())?;
    let transport = if udp {
        Transport::Udp(UdpTransportOptions::default())
    } else {
        Transport::Tcp(TcpTransportOptions::default())
    };
    session.setup(0, SetupOptions::default().transport(transport)).await.map_err(|e| e.to_string())?;
    let playing = session.play(PlayOptions::default()).await.map_err(|e| e.to_string())?;
    let mut frames = playing.demuxed().map_err(|e| e.to_string())?;
    let (mut seen, mut lost) = (0, 0);
    while seen < pictures {
        match frames.next().await {
            Some(Ok(retina::codec::CodecItem::VideoFrame(f))) => {
                seen += 1;
                lost += u32::from(f.loss());
            }
            Some(Ok(_)) => {}
            Some(Err(e)) => return Err(e.to_string()),
            None => return Err("the stream ended".to_owned()),
        }
    }
    Ok(lost)
}

#[tokio::test]
async fn retina_logs_in_by_every_scheme_and_plays_both_codecs_over_both_transports() {
    for (scheme, codec, udp) in [
        (AuthScheme::None, Codec::H264, false),
        (AuthScheme::Basic, Codec::H264, true),
        (AuthScheme::Md5, Codec::H265, false),
        (AuthScheme::Sha256, Codec::H265, true),
        (AuthScheme::Any, Codec::H264, false),
    ] {
        let sim = start(Options { auth: scheme, codec, ..Options::small(1) });
        let login = (scheme != AuthScheme::None).then_some(("admin", "camsim"));
        assert_eq!(play_with_retina(&sim, login, udp, 30).await, Ok(0), "{scheme:?} {codec:?} udp: {udp}");
        if login.is_some() {
            let refused = play_with_retina(&sim, Some(("admin", "guess")), udp, 1).await.unwrap_err();
            assert!(refused.contains("401") || refused.contains("nauthorized"), "{refused}");
        }
    }
}

#[tokio::test]
async fn retina_plays_motion_jpeg() {
    let sim = start(Options { codec: Codec::Mjpeg, ..Options::small(1) });
    assert_eq!(play_with_retina(&sim, None, false, 10).await, Ok(0));
}

#[test]
fn each_camera_has_its_own_address_when_asked_for() {
    let sim = start(Options { per_address: true, ..Options::small(2) });
    let url = sim.url(2, StreamKind::Main);
    assert!(url.contains("//127.20.0.2:"), "{url}");
    let server = url.trim_start_matches("rtsp://").split('/').next().unwrap().parse().unwrap();
    // By its address the camera is also known without its number.
    let mut client = Client::connect(server, &format!("rtsp://{server}/main"), PATIENCE).unwrap();
    client.play_tcp().unwrap();
    Got::take(&mut client, 1);
    assert_eq!(sim.ledger(2, StreamKind::Main).unwrap().len(), 1);
}

#[tokio::test]
async fn the_control_api_tells_facts_switches_faults_and_shows_the_ledger() {
    let sim = start(Options::small(2));
    let base = format!("http://{}", sim.control_address());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = async |path: &str| -> Value {
        http.get(format!("{base}{path}")).send().await.unwrap().json().await.unwrap()
    };
    assert_eq!(get("/cameras").await["items"].as_array().unwrap().len(), 4);
    let facts = get("/cameras/2/main").await;
    assert_eq!((&facts["loop_frames"], &facts["codec"]), (&json!(100), &json!("h264")));
    let fault = json!({ "kind": "loss", "stream": "main", "args": { "percent": 5.0 }, "for_ms": 60000 });
    let post = http.post(format!("{base}/cameras/2/faults")).json(&fault).send().await.unwrap();
    assert_eq!(post.status(), 204);
    let faults = get("/cameras/2/faults").await;
    assert_eq!(faults["items"][0]["fault"]["kind"]["loss"]["percent"], json!(5.0));
    let cleared = http.delete(format!("{base}/cameras/all/faults")).send().await.unwrap();
    assert_eq!(cleared.status(), 204);
    assert_eq!(get("/cameras/all/faults").await["items"], json!([]));
    assert_eq!(get("/ledger/1/sub").await["sessions"], json!([]));
    assert!(get("/stats").await["cpu_s"].as_f64().unwrap() > 0.0);
    for (body, status) in [(json!({ "kind": "melt" }), 400), (json!({ "kind": "drift" }), 400)] {
        let answer = http.post(format!("{base}/cameras/1/faults")).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), status);
    }
    let answer =
        http.post(format!("{base}/cameras/9/faults")).json(&json!({ "kind": "stall" })).send().await.unwrap();
    assert_eq!(answer.status(), 400);
}

#[test]
fn a_stopped_simulator_has_closed_its_ledger() {
    let sim = start(Options::small(1));
    let mut client = client(&sim, 1);
    client.play_tcp().unwrap();
    let got = Got::take(&mut client, 3);
    let handle = sim.stop();
    let record = handle.ledger(1, StreamKind::Main).unwrap().pop().unwrap();
    assert_eq!(record.end_reason.as_deref(), Some("simulator stopped"));
    assert!(record.frames >= got.pictures() as u64);
}
