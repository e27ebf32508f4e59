//! Bounds of reports.

/// Days that one report may be about: a year and a month, so that a year can be laid beside the same days of the year before.
pub const REPORT_DAYS_MAX: u64 = 400;
/// Rows of one report; what has more groups in its range wants a shorter one or another grouping.
pub const REPORT_ROWS_MAX: usize = 20_000;
/// Minutes by which local time may differ from UTC, either way (UTC-12 to UTC+14).
pub const UTC_OFFSET_MINUTES: (i32, i32) = (-720, 840);
