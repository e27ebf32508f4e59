//! Bounds of the command view: footage and states of cameras that other nodes have.

use std::time::Duration;

/// Answers with footage of one node that a centre passes on at once; a third of what the node serves.
pub const FAR_PER_NODE_MAX: usize = 32;
/// Answers with footage of all nodes together that a centre passes on at once.
pub const FAR_MAX: usize = 128;
/// When to come back to a centre that passes on as many answers as it may.
pub const FAR_RETRY: Duration = Duration::from_secs(2);
/// Bytes of a list of segments or of an HLS playlist of another node: a day in groups of a second.
pub const FAR_LIST_BYTES_MAX: usize = 16 << 20;
/// What of many nodes is asked at once is answered within this; who has not answered by then is named.
pub const GATHER_TIMEOUT: Duration = Duration::from_secs(4);
/// Cameras in one question to a node: the address fits into the line of a call.
pub const GATHER_CAMERAS_MAX: usize = 500;
/// How often a node looks whether there is something new to tell its centre of its cameras.
pub const STATES_LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// When a camera's rates are told anew after its state changed, and how often after that.
pub const STATES_REFRESH: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));
/// Cameras in one line of what a node tells of its cameras.
pub const STATES_ROWS_MAX: usize = 128;
/// Bytes of such a line.
pub const STATES_LINE_BYTES_MAX: usize = 1 << 20;
/// Characters of a text in such a line.
pub const STATES_TEXT_CHARS_MAX: usize = 512;
