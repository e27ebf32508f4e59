//! A power cut costs at most four seconds, no stored byte is wrong, and the journal keeps what it acknowledged.

use fengsui_tests::scenario::power::{self, PowerOptions};

#[tokio::test]
async fn a_power_cut_under_a_running_node_costs_at_most_four_seconds() {
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let report = match power::run(&PowerOptions::small(2, 2, seed)).await.unwrap() {
        Ok(report) => report,
        Err(reason) => {
            println!("SKIPPED: no power was cut: {reason}");
            eprintln!("SKIPPED: no power was cut: {reason}");
            return;
        }
    };
    for figure in report.figures() {
        println!("{figure}");
    }
    for figure in report.figures() {
        assert!(figure.holds(), "seed {seed}: {figure}\n{}", report.footage.details.join("\n"));
    }
}
