//! Reports as text for people and as CSV for spreadsheets.

use std::fmt::Write as _;

use super::{Measures, Report, Row, Share, Spread};

/// Columns of the CSV, in order. Times are in seconds.
pub const COLUMNS: [&str; 33] = [
    "key",
    "name",
    "alarms",
    "acknowledge_n",
    "acknowledge_median_s",
    "acknowledge_p95_s",
    "settle_n",
    "settle_median_s",
    "settle_p95_s",
    "close_n",
    "close_median_s",
    "close_p95_s",
    "disposed",
    "disposed_of",
    "overdue",
    "overdue_of",
    "false",
    "false_of",
    "escalations",
    "incidents",
    "arrive_n",
    "arrive_median_s",
    "arrive_p95_s",
    "incident_close_n",
    "incident_close_median_s",
    "incident_close_p95_s",
    "incidents_disposed",
    "incidents_disposed_of",
    "cancelled",
    "dispatches",
    "skipped_steps",
    "from",
    "to",
];

/// The mark by which spreadsheets know UTF-8: without it they show Chinese names as nonsense.
const BOM: &str = "\u{feff}";
/// Key of the row of the totals.
const TOTAL: &str = "total";

/// Quotes where needed (RFC 4180) and keeps spreadsheets from taking a name for a formula.
#[must_use]
pub fn cell(text: &str) -> String {
    let risky = text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err();
    let guarded = if risky { format!("'{text}") } else { text.to_owned() };
    if guarded.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", guarded.replace('"', "\"\""));
    }
    guarded
}

fn seconds(us: Option<i64>) -> String {
    us.map(|us| format!("{}.{:03}", us / 1_000_000, us / 1000 % 1000)).unwrap_or_default()
}

/// A moment as `2026-11-29T08:00:00+08:00`, at an offset to UTC in minutes.
#[must_use]
pub fn moment(us: i64, utc_offset_min: i32) -> String {
    let offset = time::UtcOffset::from_whole_seconds(utc_offset_min.saturating_mul(60));
    let time = time::OffsetDateTime::from_unix_timestamp(us.div_euclid(1_000_000));
    let (Ok(offset), Ok(time)) = (offset, time) else { return us.to_string() };
    let local = time.to_offset(offset);
    local.format(&time::format_description::well_known::Rfc3339).unwrap_or_else(|_| us.to_string())
}

/// The report as CSV with a head, a row for each group and one, `total`, for all.
#[must_use]
pub fn csv(report: &Report) -> String {
    let mut out = format!("{BOM}{}\r\n", COLUMNS.join(","));
    let total = Row { key: TOTAL.to_owned(), name: String::new(), measures: report.total.clone() };
    for row in report.rows.iter().chain([&total]) {
        let mut cells = vec![row.key.clone(), row.name.clone()];
        cells.extend(numbers(&row.measures));
        cells.push(moment(report.from_us, report.utc_offset_min));
        cells.push(moment(report.to_us, report.utc_offset_min));
        let cells: Vec<String> = cells.iter().map(|text| cell(text)).collect();
        let _ = write!(out, "{}\r\n", cells.join(","));
    }
    out
}

fn numbers(m: &Measures) -> Vec<String> {
    let mut cells = vec![m.alarms.to_string()];
    let spread = |cells: &mut Vec<String>, s: &Spread| {
        cells.extend([s.n.to_string(), seconds(s.median_us), seconds(s.p95_us)]);
    };
    let share = |cells: &mut Vec<String>, s: &Share| cells.extend([s.part.to_string(), s.of.to_string()]);
    for one in [&m.acknowledge, &m.settle, &m.close] {
        spread(&mut cells, one);
    }
    for one in [&m.disposed, &m.overdue, &m.found_false] {
        share(&mut cells, one);
    }
    cells.extend([m.escalations.to_string(), m.incidents.to_string()]);
    for one in [&m.arrive, &m.incident_close] {
        spread(&mut cells, one);
    }
    share(&mut cells, &m.incidents_disposed);
    cells.extend([m.cancelled, m.dispatches, m.skipped].map(|n| n.to_string()));
    cells
}

/// The report for a terminal.
#[must_use]
pub fn plain(report: &Report) -> String {
    let at = |us| moment(us, report.utc_offset_min);
    let mut out = format!("{} to {}, made {}\n", at(report.from_us), at(report.to_us), at(report.made_us));
    for row in &report.rows {
        let key = if row.key.is_empty() { "(none)" } else { &row.key };
        let _ = write!(out, "\n{key} {}\n{}", row.name, lines(&row.measures));
    }
    let _ = write!(out, "\n{TOTAL}\n{}", lines(&report.total));
    out
}

fn lines(m: &Measures) -> String {
    let spread = |s: &Spread| match s.n {
        0 => "none".to_owned(),
        n => format!("median {} s, p95 {} s (n = {n})", seconds(s.median_us), seconds(s.p95_us)),
    };
    let share = |s: &Share| match s.percent() {
        None => "none".to_owned(),
        Some(percent) => format!("{percent:.1} % ({} of {})", s.part, s.of),
    };
    let rows = [
        ("alarms", m.alarms.to_string()),
        ("to acknowledge", spread(&m.acknowledge)),
        ("to settle", spread(&m.settle)),
        ("to close", spread(&m.close)),
        ("disposed", share(&m.disposed)),
        ("overdue", share(&m.overdue)),
        ("false", share(&m.found_false)),
        ("escalations", m.escalations.to_string()),
        ("incidents", m.incidents.to_string()),
        ("to arrive", spread(&m.arrive)),
        ("to close incident", spread(&m.incident_close)),
        ("incidents disposed", share(&m.incidents_disposed)),
        ("cancelled", m.cancelled.to_string()),
        ("units sent", m.dispatches.to_string()),
        ("steps skipped", m.skipped.to_string()),
    ];
    rows.iter().map(|(name, value)| format!("  {name:<20} {value}\n")).collect()
}
