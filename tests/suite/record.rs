//! Everything that is sent is stored.

use std::time::Duration;

use fengsui_tests::camsim::clip::Codec;
use fengsui_tests::camsim::options::Options;
use fengsui_tests::scenario::record::{self, RecordOptions, RecordReport};

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
