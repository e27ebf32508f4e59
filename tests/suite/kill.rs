//! A node that is killed loses at most two seconds, and nothing that it had committed.

use fengsui_tests::scenario::kill::{self, KillOptions};

#[tokio::test]
async fn fifty_kills_lose_at_most_two_seconds_each_and_no_committed_byte() {
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let report = kill::run(&KillOptions::small(2, 50, seed)).await.unwrap();
    for figure in report.figures() {
        println!("{figure}");
    }
    for figure in report.figures() {
        assert!(figure.holds(), "seed {seed}: {figure}\n{}", report.details.join("\n"));
    }
}
