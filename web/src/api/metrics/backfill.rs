//! What others recorded in the place of nodes, and a centre brings back to them.

use super::Page;
use crate::relay::centre::backfill::BackfillCounters;

pub(super) fn write(page: &mut Page, counters: &BackfillCounters) {
    page.single(
        "relay_backfill_owners",
        "gauge",
        "Nodes to which footage is brought back now.",
        counters.owners(),
    );
    let help = "Segments found missing at these nodes and not tried yet.";
    page.single("relay_backfill_waiting_segments", "gauge", help, counters.waiting());
    for (name, help, value) in counters.all() {
        page.single(&format!("relay_backfill_{name}_total"), "counter", help, value);
    }
}
