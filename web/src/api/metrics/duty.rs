//! Alarms and incidents, and what goes down to other nodes about them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use fengsui_duty::alarm::AlarmState;
use fengsui_duty::ledger::Ledger;
use serde::Serialize;

use super::Page;
use crate::app::App;

/// The word of a state or kind.
fn word(value: impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

pub(super) fn write(page: &mut Page, app: &App) {
    alarms(page, app);
    incidents(page, app);
    page.family(
        "duty_acts_total",
        "counter",
        "Acts of this node, by what they were about and what became of them.",
    );
    for ((kind, done), count) in app.duty.outcomes() {
        let outcome = if done { "done" } else { "refused" };
        let labels = format!("{{kind=\"{}\",outcome=\"{outcome}\"}}", kind.as_str());
        page.sample("duty_acts_total", &labels, count);
    }
    let load = |n: &AtomicU64| n.load(Ordering::Relaxed);
    let holds = &app.duty.holds;
    page.family("duty_holds_total", "counter", "Holds of footage around alarms, by what was done.");
    for (what, count) in [
        ("placed", load(&holds.placed)),
        ("extended", load(&holds.extended)),
        ("released", load(&holds.released)),
        ("refused", load(&holds.refused)),
    ] {
        page.sample("duty_holds_total", &format!("{{what=\"{what}\"}}"), count);
    }
    down(page, app);
}

fn alarms(page: &mut Page, app: &App) {
    let (open, conflicts, unwelcome, bytes) = app.duty.read_standing(|book, standing| {
        let mut open: BTreeMap<(u8, AlarmState), u64> = BTreeMap::new();
        let mut conflicts = 0;
        for ledger in standing.iter().filter_map(|id| book.alarms.get(id)) {
            conflicts += ledger.open_conflicts() as u64;
            if let Some(alarm) = ledger.state().filter(|alarm| alarm.state.is_open()) {
                *open.entry((alarm.level.get(), alarm.state)).or_default() += 1;
            }
        }
        conflicts += book.incidents.values().map(|ledger| ledger.open_conflicts() as u64).sum::<u64>();
        (open, conflicts, book.unwelcome().clone(), book.bytes())
    });
    page.family("alarms_open", "gauge", "Alarms that are open, by level and state.");
    for ((level, state), count) in open {
        page.sample("alarms_open", &format!("{{level=\"{level}\",state=\"{}\"}}", word(state)), count);
    }
    page.single("duty_conflicts_open", "gauge", "Conflicts at which nobody has looked.", conflicts);
    page.single("duty_book_bytes", "gauge", "Bytes of all acts in memory.", bytes);
    page.family(
        "duty_unwelcome_total",
        "counter",
        "Acts of nodes below that were not theirs to do, by reason.",
    );
    for (why, count) in unwelcome {
        page.sample("duty_unwelcome_total", &format!("{{why=\"{}\"}}", why.as_str()), count);
    }
}

fn incidents(page: &mut Page, app: &App) {
    let states = app.duty.read(|book| {
        let mut states: BTreeMap<_, u64> = BTreeMap::new();
        for incident in book.incidents.values().filter_map(Ledger::state) {
            *states.entry(incident.state).or_default() += 1;
        }
        states
    });
    page.family("incidents", "gauge", "Incidents in memory, by state.");
    for (state, count) in states {
        page.sample("incidents", &format!("{{state=\"{}\"}}", word(state)), count);
    }
}

fn down(page: &mut Page, app: &App) {
    type Value = fn(&crate::duty::down::DownNow) -> u64;
    let nodes = app.duty.down.now();
    if nodes.is_empty() {
        return;
    }
    let families: [(&str, &str, &str, Value); 6] = [
        ("duty_down_in_step", "gauge", "1 while a node has all acts that it is to have.", |n| {
            u64::from(n.in_step)
        }),
        ("duty_down_waiting", "gauge", "Acts that wait to go down to a node.", |n| n.waiting as u64),
        ("duty_down_acts_total", "counter", "Acts that went down to a node.", |n| n.counters.acts),
        ("duty_down_failed_total", "counter", "Messages that a node did not answer.", |n| n.counters.failed),
        ("duty_down_unreadable_total", "counter", "Acts that a node could not read.", |n| {
            n.counters.unreadable
        }),
        ("duty_down_stuck_total", "counter", "Matters that a node did not take as they are.", |n| {
            n.counters.stuck
        }),
    ];
    for (name, kind, help, value) in families {
        page.family(name, kind, help);
        for (node, now) in &nodes {
            page.sample(name, &format!("{{node=\"{node}\"}}"), value(now));
        }
    }
}
