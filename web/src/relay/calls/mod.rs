//! How a centre uses the API of the nodes below it, over the link that each node made itself.
//!
//! [`answer`] is the node's end: a task that runs each request through the node's own router, as the centre on behalf of the
//! person there. [`ask`] is the centre's: [`Calls::call`]. The node trusts its centre in who asks, and in nothing that would
//! let somebody at the centre become somebody at the node: such calls reach what may be looked at, and the routes that are
//! the centre's alone. Both use a connection of their own, so that pictures never hold up an alarm.
//!
//! - A body of any length comes whole, at the reader's pace, and one that breaks off is an error: `a_long_answer_comes_whole`.
//! - A reader that is gone costs the node nothing: `an_answer_that_nobody_reads_ends`.

pub mod answer;
pub mod ask;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

pub use ask::{Call, CallError, Calls};
use http::HeaderMap;
use http::header::{
    ACCEPT, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, HeaderName, IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE, RETRY_AFTER,
};

/// Headers of a request that go along; no cookie and nothing else that says who somebody is.
const OF_REQUEST: [HeaderName; 6] = [ACCEPT, RANGE, IF_RANGE, IF_MATCH, IF_NONE_MATCH, CONTENT_TYPE];
/// The time of a still picture.
const UTC_HEADER: HeaderName = HeaderName::from_static("x-fengsui-utc-us");
/// Headers of an answer that come along.
const OF_ANSWER: [HeaderName; 9] = [
    CONTENT_TYPE,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_DISPOSITION,
    ACCEPT_RANGES,
    CACHE_CONTROL,
    ETAG,
    RETRY_AFTER,
    UTC_HEADER,
];

/// What was counted since the start, at either end.
#[derive(Debug, Default)]
pub struct CallCounters {
    calls: AtomicU64,
    refused: AtomicU64,
    broken: AtomicU64,
    bytes: AtomicU64,
    open: AtomicUsize,
}

impl CallCounters {
    /// Calls begun.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
    /// Calls refused, or that got no answer.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
    /// Answers that broke off, or that nobody read to their end.
    #[must_use]
    pub fn broken(&self) -> u64 {
        self.broken.load(Ordering::Relaxed)
    }
    /// Bytes of bodies of answers.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
    /// Answers under way now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
    fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Of these headers, those that are there and are text.
fn pick(headers: &HeaderMap, names: &[HeaderName]) -> std::collections::BTreeMap<String, String> {
    let one =
        |name: &HeaderName| Some((name.as_str().to_owned(), headers.get(name)?.to_str().ok()?.to_owned()));
    names.iter().filter_map(one).collect()
}
