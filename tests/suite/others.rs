//! Other people's servers as our cameras, and other people's players on what we stored.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fengsui_config::clock::{Clock as _, SystemClock};
use fengsui_config::ids::StreamKind;
use fengsui_tests::harness::config::{ConfigOptions, camera_code, camera_text};
use fengsui_tests::harness::{Api, Fengsui, media};
use fengsui_tests::scenario::{STATE_WITHIN, Scene, judge, small};
use serde_json::{Value, json};

/// Records strange cameras for some seconds; every file must decode, with about as many pictures as the time had.
async fn record_strangers(cameras: &[(String, &str)], fps: u32) {
    record_strangers_of(cameras, fps, None).await;
}

/// As [`record_strangers`], with user and password.
async fn record_strangers_of(cameras: &[(String, &str)], fps: u32, login: Option<(&str, &str)>) {
    let scene = Scene::new(small(1), ConfigOptions { sub: false, ..ConfigOptions::default() }).unwrap();
    let text: String =
        (1u16..).zip(cameras).map(|(n, (url, over))| camera_text(n, url, None, over, login)).collect();
    scene.write_cameras_of(&text, login).unwrap();
    let (node, api) = scene.run().await.unwrap();
    let count = cameras.len() as u16;
    for n in 1..=count {
        api.wait_recording(n, STATE_WITHIN).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(8)).await;
    let mut sessions = Vec::new();
    for n in 1..=count {
        sessions.push(api.camera(n).await.unwrap()["streams"]["main"]["sessions"].as_u64().unwrap());
    }
    assert!(node.stop().await.unwrap().success());
    for ((n, camera), sessions) in (1u16..).zip(cameras).zip(sessions) {
        let mut pictures = 0;
        for file in media::segment_files(&scene.volume(), n, StreamKind::Main).unwrap() {
            let decoded = media::decode(&file).unwrap();
            assert_eq!(decoded.complaints, "", "{camera:?}: {}", file.display());
            pictures += decoded.pictures.len();
        }
        assert!(pictures >= 6 * fps as usize, "{camera:?}: {pictures} pictures");
        assert_eq!(sessions, 1, "{camera:?}");
    }
}

#[cfg(feature = "gst")]
#[tokio::test]
async fn gst_rtsp_server_is_recorded_in_h264_and_h265_over_tcp_and_udp() {
    use fengsui_tests::camsim::clip::Codec;
    use fengsui_tests::gst_server::{FPS, GstServer};
    let server = GstServer::start().unwrap();
    let cameras: Vec<_> = [Codec::H264, Codec::H265]
        .into_iter()
        .flat_map(|codec| [(server.url(codec), "tcp"), (server.url(codec), "udp")])
        // Two streams of one node may not have one address: each asks in its own way for the same.
        .enumerate()
        .map(|(i, (url, over))| (format!("{url}?viewer={i}"), over))
        .collect();
    record_strangers(&cameras, FPS).await;
}

#[cfg(feature = "gst")]
#[tokio::test]
async fn a_camera_with_tls_and_a_password_is_recorded_through_gstreamer() {
    use fengsui_tests::camsim::clip::Codec;
    use fengsui_tests::gst_server::{FPS, GstServer};
    let (user, password) = ("viewer", "a-password-of-a-camera");
    let server = GstServer::start_tls(user, password).unwrap();
    let cameras: Vec<_> =
        [Codec::H264, Codec::H265].into_iter().map(|codec| (server.url(codec), "tcp")).collect();
    assert!(cameras.iter().all(|(url, _)| url.starts_with("rtsps://")));
    record_strangers_of(&cameras, FPS, Some((user, password))).await;
}

/// A child that ends with the test.
struct Kept(Child);

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// A moving picture for servers that take a file.
fn clip(directory: &Path) -> PathBuf {
    let file = directory.join("source.mp4");
    let done = Command::new("ffmpeg")
        .args(["-v", "error", "-y", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=10:duration=20"])
        .args(["-c:v", "libx264", "-pix_fmt", "yuv420p"])
        .arg(&file)
        .status()
        .unwrap();
    assert!(done.success());
    file
}

/// Over TCP alone: what its own FFmpeg sends over UDP does not reach ffprobe on the same machine either. UDP is held by
/// gst-rtsp-server above.
#[tokio::test]
async fn ipycam_is_recorded_over_tcp() {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cache/venv/bin/ipycam");
    if !program.exists() {
        println!("SKIPPED: {} is missing; tests/scripts/setup.sh test installs it", program.display());
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let rtsp = free_port();
    let config = json!({
        "local_ip": "127.0.0.1", "onvif_port": free_port(), "rtsp_port": rtsp, "rtmp_port": free_port(),
        "web_port": free_port(), "go2rtc_api_port": free_port(), "hw_accel": "cpu",
        "main_width": 320, "main_height": 240, "main_fps": 10, "main_bitrate": "300K",
        "sub_width": 160, "sub_height": 120, "sub_fps": 10, "sub_bitrate": "100K",
    });
    let config_file = directory.path().join("camera.json");
    std::fs::write(&config_file, config.to_string()).unwrap();
    let log = std::fs::File::create(directory.path().join("log")).unwrap();
    let _camera = Kept(
        Command::new(program)
            .arg("--config")
            .arg(&config_file)
            .arg("--source")
            .arg(clip(directory.path()))
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap(),
    );
    let url = |name: &str| format!("rtsp://127.0.0.1:{rtsp}/{name}");
    record_strangers(&[(url("video_main"), "tcp"), (url("video_sub"), "tcp")], 10).await;
}

/// Footage of one camera that stands still, a ticket for it, and the numbers of its pictures.
struct Stored {
    scene: Scene,
    node: Fengsui,
    api: Api,
    ticket: String,
    hls: String,
    range: String,
    pictures: Vec<i64>,
}

async fn stored() -> Stored {
    let scene = Scene::new(small(1), ConfigOptions { sub: false, ..ConfigOptions::default() }).unwrap();
    let (node, api) = scene.run_recording().await.unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    scene.quiet(&api).await.unwrap();
    let now = SystemClock::new().utc().0;
    let (from, to) = (now - 600_000_000, now);
    let body = json!({"camera": camera_code(1), "stream": "main", "from_us": from, "to_us": to});
    let made: Value = api.post("/tickets", &body).await.unwrap().json().await.unwrap();
    let files = scene.stored(1).unwrap();
    let pictures: Vec<i64> = files.iter().flat_map(|f| &f.pictures).filter_map(|p| p.number).collect();
    assert!(pictures.len() > 40, "{} pictures", pictures.len());
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    let hls = format!("{}{}", node.url(), text("hls_url"));
    let range = format!("from_us={from}&to_us={to}");
    Stored { scene, node, api, ticket: text("ticket"), hls, range, pictures }
}

impl Stored {
    /// Addresses of the segment files, with the ticket.
    async fn files(&self) -> Vec<String> {
        let path = format!("/footage/{}/main/segments", camera_code(1));
        let listed: Value = self.api.get(&format!("{path}?{}", self.range)).await.unwrap();
        let items = listed["items"].as_array().unwrap();
        items
            .iter()
            .map(|i| {
                let name = i["name"].as_str().unwrap();
                format!("{}/api/v1{path}/{name}?ticket={}", self.node.url(), self.ticket)
            })
            .collect()
    }

    /// Positions in the loop of the stored pictures.
    fn positions(&self) -> Vec<u32> {
        let facts = self.scene.sim.facts(1, StreamKind::Main).unwrap();
        let position = |n: i64| (n + i64::from(facts.offset)).rem_euclid(i64::from(facts.loop_frames)) as u32;
        self.pictures.iter().map(|&n| position(n)).collect()
    }

    /// Positions in the loop of raw grey pictures.
    fn read(&self, grey: &[u8]) -> Vec<u32> {
        let facts = self.scene.sim.facts(1, StreamKind::Main).unwrap();
        let (w, h) = (facts.width as usize, facts.height as usize);
        let read = |p: &[u8]| fengsui_tests::barcode::read(p, w, h, w).expect("a bar code").frame;
        grey.chunks_exact(w * h).map(read).collect()
    }
}

fn by_ffmpeg(url: &str) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-i",
            url,
            "-fps_mode",
            "passthrough",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "gray",
            "-",
        ])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "ffmpeg on {url}");
    output.stdout
}

fn by_gstreamer(url: &str, directory: &Path) -> Vec<u8> {
    let file = directory.join("grey");
    let output = Command::new("gst-launch-1.0")
        .args(["-q", "uridecodebin", &format!("uri={url}"), "!", "videoconvert", "!"])
        .args(["video/x-raw,format=GRAY8", "!", "filesink", &format!("location={}", file.display())])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(file).unwrap()
}

/// Every stored picture comes out of ffmpeg and GStreamer, by playlist and by file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ffmpeg_and_gstreamer_play_our_playlist_and_our_files() {
    let stored = stored().await;
    let wanted = stored.positions();
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(stored.read(&by_ffmpeg(&stored.hls)), wanted, "ffmpeg, playlist");
    assert_eq!(stored.read(&by_gstreamer(&stored.hls, directory.path())), wanted, "GStreamer, playlist");
    let files = stored.files().await;
    let of_files = |play: &dyn Fn(&str) -> Vec<u8>| -> Vec<u32> {
        files.iter().flat_map(|url| stored.read(&play(url))).collect()
    };
    assert_eq!(of_files(&by_ffmpeg), wanted, "ffmpeg, files");
    assert_eq!(of_files(&|url| by_gstreamer(url, directory.path())), wanted, "GStreamer, files");
    assert_eq!(judge::sent(&stored.scene.ledger(1)).len(), wanted.len());
    assert!(stored.node.stop().await.unwrap().success());
}
