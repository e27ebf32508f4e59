//! Each fault as a client sees it.

use std::io::ErrorKind;

use super::super::auth::AuthScheme;
use super::super::clip::Codec;
use super::super::faults::{CameraChoice, ContentBaseFault, FaultOrder};
use super::super::ledger::DropReason;
use super::*;

const MAIN: StreamKind = StreamKind::Main;

fn describe(sim: &CamSim) -> super::super::client::Answer {
    client(sim, 1).request("DESCRIBE", "", "Accept: application/sdp\r\n").unwrap()
}

#[test]
fn a_stall_keeps_the_socket_and_sends_nothing_until_cleared() {
    let sim = start(Options::small(1));
    let mut client = client(&sim, 1);
    client.play_tcp().unwrap();
    Got::take(&mut client, 1);
    sim.break_stream(1, MAIN, FaultKind::Stall { deaf: false }).unwrap();
    while sim.ledger(1, MAIN).unwrap()[0].dropped_frames < 5 {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(client.request("GET_PARAMETER", "", "").unwrap().status, 200);
    sim.clear(CameraChoice::One(1), None, Some("stall")).unwrap();
    let got = Got::take(&mut client, 1);
    assert_eq!(got.nal_types()[0], 7, "goes on with a key frame");
    assert!(sim.ledger(1, MAIN).unwrap()[0].drops.iter().any(|d| d.reason == DropReason::Stall));
}

#[test]
fn close_ends_the_session_orderly_or_by_reset() {
    for reset in [false, true] {
        let sim = start(Options::small(1));
        let mut client = client(&sim, 1);
        client.play_tcp().unwrap();
        sim.break_stream(1, MAIN, FaultKind::Close { reset }).unwrap();
        let kind = loop {
            if let Err(e) = client.receive() {
                break e.kind();
            }
        };
        assert_eq!(kind == ErrorKind::ConnectionReset, reset);
        assert_eq!(ended(&sim, 1).end_reason.as_deref(), Some("fault close"));
    }
}

#[test]
fn a_refusing_camera_closes_its_port_and_opens_it_again_when_the_fault_ends() {
    let sim = broken(Options::small(1), FaultKind::Refuse {});
    let url = sim.url(1, MAIN);
    let refused = Client::connect(sim.rtsp_address(), &url, PATIENCE).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    sim.clear(CameraChoice::All, None, None).unwrap();
    client(&sim, 1).play_tcp().unwrap();
}

#[test]
fn a_refusing_camera_among_others_resets_and_leaves_them_alone() {
    let sim = broken(Options::small(2), FaultKind::Refuse {});
    assert!(client(&sim, 1).play_tcp().is_err());
    client(&sim, 2).play_tcp().unwrap();
}

#[test]
fn a_reboot_resets_sessions_and_ends_by_itself() {
    let sim = start(Options::small(1));
    let mut playing = client(&sim, 1);
    playing.play_tcp().unwrap();
    let order = FaultOrder {
        camera: CameraChoice::One(1),
        stream: None,
        kind: FaultKind::Reboot {},
        for_ms: Some(300),
    };
    sim.fault(order).unwrap();
    while playing.receive().is_ok() {}
    let url = sim.url(1, MAIN);
    let mut tries = 0;
    while Client::connect(sim.rtsp_address(), &url, PATIENCE).is_err() {
        tries += 1;
        assert!(tries < 500, "the camera does not come back");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(tries > 0, "the camera was never gone");
}

#[test]
fn a_changed_password_refuses_the_old_one() {
    use base64::Engine as _;
    let options = Options { auth: AuthScheme::Basic, ..Options::small(1) };
    let sim = start(options);
    let login = base64::engine::general_purpose::STANDARD.encode("admin:camsim");
    let header = format!("Authorization: Basic {login}\r\n");
    assert_eq!(client(&sim, 1).request("DESCRIBE", "", &header).unwrap().status, 200);
    sim.break_stream(1, MAIN, FaultKind::Password { password: "new".to_owned() }).unwrap();
    assert_eq!(client(&sim, 1).request("DESCRIBE", "", &header).unwrap().status, 401);
    sim.clear(CameraChoice::All, None, None).unwrap();
    sim.break_stream(1, MAIN, FaultKind::AuthEverySecond {}).unwrap();
    let mut client = client(&sim, 1);
    let statuses: Vec<u16> =
        (0..4).map(|_| client.request("DESCRIBE", "", &header).unwrap().status).collect();
    assert_eq!(statuses, [200, 401, 200, 401]);
}

#[test]
fn a_stale_nonce_is_said_to_be_stale() {
    let sim =
        broken(Options { auth: AuthScheme::Md5, ..Options::small(1) }, FaultKind::StaleNonce { requests: 0 });
    let mut client = client(&sim, 1);
    let answer = client.request("DESCRIBE", "", "").unwrap();
    let challenge = answer.header("WWW-Authenticate").unwrap().to_owned();
    assert!(challenge.contains(r#"stale="FALSE""#));
    let nonce = challenge.split("nonce=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let uri = sim.url(1, MAIN);
    let md5 = |t: String| {
        use md5::Digest as _;
        hex::encode(md5::Md5::digest(t))
    };
    let response =
        md5(format!("{}:{nonce}:{}", md5("admin:camsim:camsim".to_owned()), md5(format!("DESCRIBE:{uri}"))));
    let header = format!(
        "Authorization: Digest username=\"admin\", realm=\"camsim\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{response}\"\r\n"
    );
    let answer = client.request("DESCRIBE", "", &header).unwrap();
    assert_eq!(answer.status, 401);
    assert!(answer.header("WWW-Authenticate").unwrap().contains(r#"stale="TRUE""#));
}

#[test]
fn answers_can_be_wrong_in_every_way_seen_in_the_field() {
    let sim = broken(Options::small(1), FaultKind::NotFound {});
    assert_eq!(describe(&sim).status, 404);
    sim.clear(CameraChoice::All, None, None).unwrap();
    sim.break_stream(1, MAIN, FaultKind::Status { status: 503 }).unwrap();
    assert_eq!(describe(&sim).status, 503);
    sim.clear(CameraChoice::All, None, None).unwrap();
    sim.break_stream(1, MAIN, FaultKind::NotRtsp {}).unwrap();
    assert_eq!(client(&sim, 1).request("DESCRIBE", "", "").unwrap_err().kind(), ErrorKind::InvalidData);
    sim.clear(CameraChoice::All, None, None).unwrap();
    for (how, wanted) in [
        (ContentBaseFault::Missing, None),
        (ContentBaseFault::Wrong, Some("rtsp://192.0.2.1:554/Streaming/Channels/101/".to_owned())),
        (ContentBaseFault::NoSlash, Some(sim.url(1, MAIN))),
    ] {
        sim.break_stream(1, MAIN, FaultKind::ContentBase { how }).unwrap();
        assert_eq!(describe(&sim).header("Content-Base"), wanted.as_deref());
    }
    sim.break_stream(1, MAIN, FaultKind::SsrcSpace {}).unwrap();
    let setup = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n";
    let answer = client(&sim, 1).request("SETUP", "/trackID=0", setup).unwrap();
    assert!(answer.header("Transport").unwrap().contains(";ssrc= "));
}

#[test]
fn a_second_session_is_refused_where_only_one_is_allowed() {
    let sim = broken(Options::small(1), FaultKind::OneSession {});
    let mut first = client(&sim, 1);
    first.play_tcp().unwrap();
    assert!(client(&sim, 1).play_tcp().unwrap_err().to_string().contains("453"));
    drop(first);
    ended(&sim, 1);
    client(&sim, 1).play_tcp().unwrap();
}

#[test]
fn parameter_sets_can_be_missing_from_the_description_and_the_stream_and_can_change() {
    let sim = start(Options::small(1));
    assert!(describe(&sim).body.contains("sprop-parameter-sets="));
    sim.break_stream(1, MAIN, FaultKind::SpropChange {}).unwrap();
    assert_ne!(describe(&sim).body, describe(&sim).body);
    sim.clear(CameraChoice::All, None, None).unwrap();
    sim.break_stream(1, MAIN, FaultKind::NoSprop {}).unwrap();
    assert!(!describe(&sim).body.contains("sprop"));
    let mut playing = client(&sim, 1);
    playing.play_tcp().unwrap();
    assert!(Got::take(&mut playing, 1).nal_types().contains(&7));
    sim.break_stream(1, MAIN, FaultKind::NoParameters {}).unwrap();
    let mut playing = client(&sim, 1);
    playing.play_tcp().unwrap();
    let got = Got::take(&mut playing, 30);
    assert!(!got.nal_types().iter().any(|t| matches!(t, 7 | 8)));
    got.assert_continuous();
}

#[test]
fn an_h265_camera_can_call_itself_h264() {
    let sim = broken(Options { codec: Codec::H265, ..Options::small(1) }, FaultKind::H265AsH264 {});
    assert!(describe(&sim).body.contains("H264/90000"));
}

#[test]
fn key_frames_can_be_left_out_or_become_rare() {
    let sim = broken(Options::small(1), FaultKind::NoKeys {});
    let mut playing = client(&sim, 1);
    playing.play_tcp().unwrap();
    assert!(!Got::take(&mut playing, 60).nal_types().contains(&5));
    sim.clear(CameraChoice::All, None, None).unwrap();
    sim.break_stream(1, MAIN, FaultKind::LongGop { seconds: 4 }).unwrap();
    assert_eq!(sim.facts(1, MAIN).unwrap().gop_frames, 100);
}

#[test]
fn the_picture_size_changes_within_the_session_at_a_key_frame() {
    let sim = start(Options::small(1));
    let mut playing = client(&sim, 1);
    playing.play_tcp().unwrap();
    let before = Got::take(&mut playing, 1);
    sim.break_stream(1, MAIN, FaultKind::Resolution { width: 352, height: 288 }).unwrap();
    let after = Got::take(&mut playing, 60);
    let sps = |got: &Got| {
        got.packets.iter().rfind(|(_, p)| p[12] & 0x1f == 7).map(|(_, p)| p[12..].to_vec()).unwrap()
    };
    assert_ne!(sps(&before), sps(&after));
    after.assert_continuous();
    let notes = sim.ledger(1, MAIN).unwrap()[0].notes.clone();
    assert!(notes.iter().any(|n| n.what == "clip h264 352x288"), "{notes:?}");
}

#[test]
fn a_change_of_codec_closes_and_the_next_session_has_the_new_one() {
    let sim = start(Options::small(1));
    let mut playing = client(&sim, 1);
    playing.play_tcp().unwrap();
    sim.break_stream(1, MAIN, FaultKind::Codec { codec: Codec::H265, keep: false }).unwrap();
    while playing.receive().is_ok() {}
    assert!(describe(&sim).body.contains("H265/90000"));
}

#[test]
fn timestamps_jump_wrap_and_drift() {
    let sim = start(Options::small(1));
    let mut playing = client(&sim, 1);
    playing.play_tcp().unwrap();
    let first = *Got::take(&mut playing, 1).timestamps().last().unwrap();
    sim.break_stream(1, MAIN, FaultKind::TimestampJump { ms: -60_000 }).unwrap();
    let jumped = loop {
        let next = Got::take(&mut playing, 1).timestamps()[0];
        let back = first.wrapping_sub(next) as i32;
        if back > 0 {
            break back;
        }
    };
    assert!((5_000_000..5_400_000).contains(&jumped), "{jumped}");
    sim.break_stream(1, MAIN, FaultKind::TimestampWrap { after_ms: 400 }).unwrap();
    let stamps = Got::take(&mut playing, 30).timestamps();
    assert!(stamps.windows(2).any(|p| p[1] < p[0] && p[1].wrapping_sub(p[0]) == 3600), "{stamps:?}");
    sim.break_stream(1, MAIN, FaultKind::Drift { ppm: 100_000.0 }).unwrap();
    Got::take(&mut playing, 5);
    let stamps = Got::take(&mut playing, 2).timestamps();
    assert!((3955..=3965).contains(&stamps[1].wrapping_sub(stamps[0])), "{stamps:?}");
}

#[test]
fn sender_reports_can_lie_and_be_absent() {
    let sim = broken(Options::small(1), FaultKind::Sr1970 {});
    let mut playing = client(&sim, 1);
    playing.play_tcp().unwrap();
    let got = Got::take(&mut playing, 1);
    assert!((0..86_400_000_000).contains(&report_times(&got.reports[0]).0));
    sim.clear(CameraChoice::All, None, None).unwrap();
    sim.break_stream(1, MAIN, FaultKind::Step { ms: -3_600_000 }).unwrap();
    let mut playing = client(&sim, 1);
    playing.play_tcp().unwrap();
    let hour_ago = report_times(&Got::take(&mut playing, 1).reports[0]).0;
    let opened = sim.ledger(1, MAIN).unwrap()[1].opened_us;
    assert!((opened - hour_ago - 3_600_000_000).abs() < 5_000_000);
    sim.break_stream(1, MAIN, FaultKind::NoSr {}).unwrap();
    let mut playing = client(&sim, 1);
    playing.play_tcp().unwrap();
    assert!(Got::take(&mut playing, 3).reports.is_empty());
}

#[test]
fn garbage_breaks_the_framing_once() {
    let sim = start(Options::small(1));
    let mut playing = client(&sim, 1);
    playing.play_tcp().unwrap();
    Got::take(&mut playing, 2);
    sim.break_stream(1, MAIN, FaultKind::Garbage { bytes: 50, seed: 1 }).unwrap();
    let error = loop {
        if let Err(e) = playing.receive() {
            break e;
        }
    };
    assert_eq!(error.kind(), ErrorKind::InvalidData);
}

#[test]
fn lost_packets_are_those_that_the_ledger_counts() {
    let loss = FaultKind::Loss { percent: 10.0, seed: 42, tcp: true };
    let sim = broken(Options::small(1), loss);
    let mut playing = client(&sim, 1);
    playing.play_tcp().unwrap();
    let mut got = Got::default();
    while got.packets.len() < 100 {
        got.receive(&mut playing).unwrap();
    }
    let holes: u64 =
        got.packets.windows(2).map(|p| u64::from(p[1].0.sequence.wrapping_sub(p[0].0.sequence)) - 1).sum();
    assert!((3..30).contains(&holes), "{holes}");
    drop(playing);
    let record = ended(&sim, 1);
    assert!(record.packets_lost >= holes && !record.damaged.is_empty());
}

#[test]
fn a_slow_start_delays_answers_and_pictures() {
    let sim = broken(Options::small(1), FaultKind::SlowStart { answer_ms: 100, media_ms: 1500 });
    let mut playing = client(&sim, 1);
    playing.play_tcp().unwrap();
    Got::take(&mut playing, 1);
    // A picture is noted once it is sent, which the client may see first.
    drop(playing);
    let record = ended(&sim, 1);
    assert!(record.first_utc_us.unwrap() - record.opened_us >= 1_500_000);
}

#[test]
fn a_script_plays_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("faults.toml");
    std::fs::write(&file, "[[fault]]\nat_ms = 0\ncamera = \"all\"\nkind = \"not_found\"\n").unwrap();
    let sim = start(Options { faults: Some(file.clone()), ..Options::small(1) });
    let mut tries = 0;
    while describe(&sim).status != 404 {
        tries += 1;
        assert!(tries < 500, "the script does nothing");
        std::thread::sleep(Duration::from_millis(10));
    }
    std::fs::write(&file, "[[fault]]\nat_ms = 0\n").unwrap();
    assert!(CamSim::start(Options { faults: Some(file), ..Options::small(1) }).is_err());
}
