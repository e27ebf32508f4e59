//! Everything that is sent is stored.

use std::collections::BTreeSet;
use std::time::Duration;

use fengsui_config::ids::StreamKind;
use fengsui_tests::camsim::audio::AudioCodec;
use fengsui_tests::camsim::clip::Codec;
use fengsui_tests::camsim::options::Options;
use fengsui_tests::harness::config::ConfigOptions;
use fengsui_tests::harness::{media, wait_for};
use fengsui_tests::scenario::record::{self, RecordOptions, RecordReport};
use fengsui_tests::scenario::{Scene, small};

fn assert_whole(report: &RecordReport) {
    for figure in report.figures() {
        println!("{figure}");
        assert!(figure.holds(), "{figure}\n{}", report.details.join("\n"));
    }
}

#[tokio::test]
async fn every_frame_of_four_cameras_is_stored_and_decodes() {
    let report = record::run(&RecordOptions::short(4, Duration::from_secs(20))).await.unwrap();
    assert_whole(&report);
}

#[tokio::test]
async fn every_frame_is_stored_over_udp_in_h265() {
    let mut options = RecordOptions::short(2, Duration::from_secs(8));
    options.transport = "udp";
    options.sim = Options { codec: Codec::H265, ..options.sim };
    assert_whole(&record::run(&options).await.unwrap());
}

/// Seconds after which the simulated cameras show the same pictures again.
const LOOP_S: u32 = 4;

/// What is stored of the main streams of two cameras, H.264 and H.265 with sound, over more than one loop.
async fn stored_by(reader: &str) -> Vec<BTreeSet<(u32, String)>> {
    let sim =
        Options { h265_every: 2, audio: Some(AudioCodec::Pcma), loop_s: LOOP_S, clips: Some(2), ..small(2) };
    let lean = reader == "lean";
    let extra = format!("\n[ingest]\nlean = {lean}\n");
    let scene = Scene::new(sim, ConfigOptions { sub: false, extra, ..ConfigOptions::default() }).unwrap();
    let (node, api) = scene.run_recording().await.unwrap();
    let wanted = u64::from(2 * LOOP_S * scene.sim.options().main.fps);
    wait_for("both loops are sent twice", Duration::from_secs(40), || async {
        let sent = |n| scene.ledger(n).iter().map(|s| s.frames).sum::<u64>();
        Ok((1..=2).all(|n| sent(n) > wanted).then_some(()))
    })
    .await
    .unwrap();
    let metrics = format!("{}/metrics", node.url());
    let metrics = reqwest::get(metrics).await.unwrap().text().await.unwrap();
    let sessions = format!("fengsui_sessions{{source=\"{reader}\"}} 2");
    assert!(metrics.contains(&sessions), "{sessions} is not among the metrics");
    scene.quiet(&api).await.unwrap();
    assert!(node.stop().await.unwrap().success());
    let files = |n| media::segment_files(&scene.volume(), n, StreamKind::Main).unwrap();
    (1..=2).map(|n| files(n).iter().flat_map(|file| media::coded(file).unwrap()).collect()).collect()
}

/// The bytes of every picture and every piece of sound, whichever reader took them from the camera.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_readers_store_the_same_bytes_of_the_same_camera() {
    let (lean, retina) = (stored_by("lean").await, stored_by("retina").await);
    for (n, (lean, retina)) in lean.iter().zip(&retina).enumerate() {
        let pictures = |set: &BTreeSet<(u32, String)>| set.iter().filter(|(track, _)| *track == 0).count();
        assert_eq!(pictures(lean), (LOOP_S * 10) as usize, "camera {}: a whole loop", n + 1);
        let differ: Vec<_> = lean.symmetric_difference(retina).collect();
        assert!(differ.is_empty(), "camera {}: {} units differ: {differ:?}", n + 1, differ.len());
    }
}
