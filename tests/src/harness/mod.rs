//! What the integration suite stands on: the product as a real child process against a camera simulator, its HTTP API,
//! and the judgement of what it stored.

pub mod api;
pub mod config;
pub mod media;
mod process;
pub mod s3;
pub mod sse;

use std::time::Duration;

pub use api::Api;
pub use config::ConfigOptions;
pub use process::{Fengsui, binary};

/// Why a step of a test could not be done: a sentence for its report.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct HarnessError(pub String);

/// Outcome of a step.
pub type Outcome<T> = Result<T, HarnessError>;

/// Adds what was being done to a foreign error.
pub(crate) trait Doing<T> {
    /// `what` is verb and object in the present tense.
    fn doing(self, what: impl std::fmt::Display) -> Outcome<T>;
}

impl<T, E: std::fmt::Display> Doing<T> for Result<T, E> {
    fn doing(self, what: impl std::fmt::Display) -> Outcome<T> {
        self.map_err(|e| HarnessError(format!("{what}: {e}")))
    }
}

/// Time between two looks at a condition.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Waits until `look` gives something; at most `within`.
///
/// # Errors
/// When the time is over, naming `what`; or what `look` failed with.
pub async fn wait_for<T, F>(what: &str, within: Duration, mut look: impl FnMut() -> F) -> Outcome<T>
where
    F: Future<Output = Outcome<Option<T>>>,
{
    let waiting = async {
        loop {
            if let Some(found) = look().await? {
                return Ok(found);
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    };
    match tokio::time::timeout(within, waiting).await {
        Ok(found) => found,
        Err(_) => Err(HarnessError(format!("{what}: not within {} s", within.as_secs_f32()))),
    }
}
