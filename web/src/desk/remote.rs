//! What other nodes tell, on the desk of their centre: frames as they are taken in, and live alarms ahead of them.
//!
//! A live alarm is shown in the row that its frame will be in, marked so, and leaves when the frame comes. It is in no journal
//! and in no count.

use std::collections::BTreeMap;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::NodeId;
use fengsui_relay::event::Event;
use fengsui_relay::event::rows::{EventRows, RecordId, Row, told_by, told_in};
use fengsui_relay::frame::{Frame, Preview};
use parking_lot::RwLock;

use super::Desk;
use crate::api::event_rows::{told, told_ahead};
use crate::app::App;

/// Live alarms shown ahead of their frames; bounded by the receiver, which says what to show and what no longer.
#[derive(Debug, Default)]
pub struct Ahead(RwLock<BTreeMap<RecordId, (UtcMicros, Event)>>);

impl Desk {
    /// The rows as they would be with the live alarms shown ahead, by the id of the row.
    #[must_use]
    pub fn rows_ahead(&self, rows: &EventRows) -> BTreeMap<RecordId, Row> {
        let ahead = self.ahead.0.read();
        let rows = ahead.iter().filter_map(|(id, (at, event))| rows.row_with(id.clone(), *at, event));
        rows.map(|row| (row.id.clone(), row)).collect()
    }

    /// Shows no live alarm any more.
    pub fn hide_all_previews(&self) {
        self.ahead.0.write().clear();
    }

    /// Frames of other nodes that were taken in, and of these events.
    fn count_applied(&self) {
        self.counters.applied.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

/// Takes frames of one origin into the rows, in their order.
pub fn applied(app: &App, at: UtcMicros, frames: &[Frame]) {
    for (id, event) in frames.iter().filter_map(told_by) {
        app.desk.count_applied();
        app.desk.ahead.0.write().remove(&id);
        let row = app.desk.rows().write().note(id.clone(), at, &event).cloned();
        if let Some(row) = row {
            app.events.push("event", told(&id, at, &event, &row));
        }
    }
}

/// Shows a live alarm ahead of its frame.
pub fn show(app: &App, preview: &Preview) {
    let key = (preview.epoch, preview.seq);
    let Some((id, event)) = told_in(&preview.origin, key, &preview.body) else { return };
    let at = app.clock.utc();
    let row = app.desk.rows().read().row_with(id.clone(), at, &event);
    if let Some(row) = row {
        app.events.push("event", told_ahead(&id, at, &event, &row));
    }
    app.desk.ahead.0.write().insert(id, (at, event));
}

/// Shows a live alarm no longer. When its frame did not come, browsers load their lists anew.
pub fn hide(app: &App, origin: &NodeId, (epoch, seq): (u64, u64), applied: bool) {
    let id = RecordId { node: origin.to_string(), epoch, seq };
    let was_shown = app.desk.ahead.0.write().remove(&id).is_some();
    if was_shown && !applied {
        app.events.resync();
    }
}
