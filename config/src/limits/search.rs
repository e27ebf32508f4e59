//! Bounds of search over nodes.

use std::time::Duration;

/// How long the nodes below may take to answer a search; who does not is named as missing.
pub const SEARCH_DEADLINE: Duration = Duration::from_millis(800);
/// What a node keeps of that for itself, at each level: the way there and back, and putting the answers together.
pub const SEARCH_LEVEL_MARGIN: Duration = Duration::from_millis(150);
/// Below this nobody is asked any more: no answer could come in time.
pub const SEARCH_DEADLINE_MIN: Duration = Duration::from_millis(50);
/// Searches that a node does at once; what comes then is refused.
pub const SEARCHES_AT_ONCE_MAX: usize = 16;
/// Longest range of one search.
pub const SEARCH_RANGE_MAX: Duration = Duration::from_secs(32 * 24 * 3600);
/// Range of a search that names none: up to now.
pub const SEARCH_RANGE_DEFAULT: Duration = Duration::from_secs(24 * 3600);
/// Hits of one page, and when nothing is said.
pub const SEARCH_HITS_MAX: usize = 200;
/// Hits of one page when nothing is said.
pub const SEARCH_HITS_DEFAULT: usize = 50;
/// Bytes of one node's answer.
pub const SEARCH_PART_BYTES_MAX: usize = 1 << 20;
/// Rows of events, or cameras, whose footage a node looks up for one page; the next page goes on behind them.
pub const SEARCH_LOOKS_MAX: usize = 2_000;
/// Rows of events copied at once while their footage is looked up.
pub const SEARCH_CHUNK_ROWS: usize = 256;
/// Nodes that an answer, or a cursor, names.
pub const SEARCH_NODES_MAX: usize = 1_024;
/// Characters of a place that is looked for by name.
pub const SEARCH_PLACE_CHARS_MAX: usize = 128;
/// Metres around a point within which cameras are looked for.
pub const SEARCH_NEAR_METRES_MAX: f64 = 100_000.0;
/// Characters of an event's text that a hit shows.
pub const SEARCH_TEXT_CHARS_MAX: usize = 200;
/// Footage that is looked for before an event, and from where it is shown.
pub const SEARCH_BEFORE_EVENT: Duration = Duration::from_secs(10);
/// Footage that is looked for from an event on.
pub const SEARCH_AFTER_EVENT: Duration = Duration::from_secs(30);
