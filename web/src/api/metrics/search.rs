//! What searches cost, and whom they miss.

use super::Page;
use crate::app::App;

pub(super) fn write(page: &mut Page, app: &App) {
    let stats = app.search.stats();
    let counters = [
        ("searches", "Searches done.", stats.searches),
        ("searches_refused", "Searches refused because too many were under way.", stats.refused),
        ("search_nodes_asked", "Nodes asked by searches, this one included.", stats.asked),
        ("search_hits_foreign", "Hits of nodes below that were not believed.", stats.foreign),
    ];
    for (name, help, value) in counters {
        page.single(&format!("{name}_total"), "counter", help, value);
    }
    let seconds = stats.took_us as f64 / 1e6;
    page.single(
        "search_seconds_total",
        "counter",
        "Time that searches took, from question to answer.",
        seconds,
    );
    page.family("search_nodes_missing_total", "counter", "Nodes that gave a search no whole answer, by why.");
    for (why, count) in &stats.missing {
        page.sample("search_nodes_missing_total", &format!("{{why=\"{why}\"}}"), count);
    }
}
