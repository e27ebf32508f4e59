//! Orders for volumes: into the journal first, then carried out. They come from the API, or from the command line on the
//! same machine through a folder below the node's data, which only the node's own user can write to.
//!
//! The folder: `<name>.json` is an order ([`Order`]), put there whole by a rename; the node answers with `<name>.answer`
//! ([`Answer`]) and removes the order. Answers that nobody fetched go at the next start.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::app::App;
use crate::auth::register::{RegisterError, kinds};
use crate::recordings::{OrderRefused, VolumeOrder};

/// How often the folder is looked at.
pub const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Orders taken at one look.
const ORDERS_MAX: usize = 64;
/// Longest order or answer, in bytes.
const BYTES_MAX: u64 = 4096;

/// An order in the folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The volume.
    pub volume: String,
    /// What to do.
    pub order: VolumeOrder,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// It was carried out.
    pub done: bool,
    /// Why not, and what to do instead.
    pub why: Option<String>,
}

/// Why an order was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// There is no such volume.
    #[error("{0} is no volume of this node")]
    Unknown(String),
    /// It does not fit what is there.
    #[error(transparent)]
    Refused(#[from] OrderRefused),
    /// It could not be noted.
    #[error(transparent)]
    Register(#[from] RegisterError),
}

/// The kind of journal record of an order.
#[must_use]
pub fn kind(order: VolumeOrder) -> &'static str {
    match order {
        VolumeOrder::Use => kinds::VOLUME_USED,
        VolumeOrder::Drain => kinds::VOLUME_DRAINED,
        VolumeOrder::Evacuate => kinds::VOLUME_EVACUATED,
        VolumeOrder::Adopt => kinds::VOLUME_ADOPTED,
        VolumeOrder::Replace | VolumeOrder::ReplaceFolder => kinds::VOLUME_REPLACED,
    }
}

/// Notes an order in the journal and carries it out. A refusal is noted too.
///
/// # Errors
/// When the volume is not known, the journal does not take the record (then nothing is done), or what is there does not
/// allow the order.
pub async fn carry_out(
    app: &Arc<App>,
    by: &str,
    address: Option<String>,
    volume: &str,
    order: VolumeOrder,
) -> Result<(), OrderError> {
    if !app.recordings.volumes().iter().any(|v| v.id == volume) {
        return Err(OrderError::Unknown(volume.to_owned()));
    }
    let body = json!({"by": by, "address": address, "volume": volume});
    app.auth.register.append(kind(order), body).await?;
    let (recordings, name) = (app.recordings.clone(), volume.to_owned());
    let done = tokio::task::spawn_blocking(move || recordings.order(&name, order)).await;
    let done =
        done.unwrap_or_else(|e| Err(OrderRefused(format!("the order ended by a defect of ours: {e}"))));
    if let Err(refused) = &done {
        let body = json!({"by": by, "volume": volume, "order": order, "why": refused.0});
        app.auth.register.append(kinds::VOLUME_ORDER_REFUSED, body).await?;
    }
    Ok(done?)
}

/// Carries out what the command line leaves in the folder, until the node stops.
pub(crate) async fn watch(app: Arc<App>, folder: PathBuf) {
    let old = list(&folder, "answer").await;
    let _ = blocking(move || old.iter().try_for_each(std::fs::remove_file)).await;
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        for path in list(&folder, "json").await.into_iter().take(ORDERS_MAX) {
            if let Err(error) = one(&app, path.clone()).await {
                tracing::error!(path = %path.display(), %error, "cannot answer an order");
            }
        }
    }
}

/// Files with this ending.
async fn list(folder: &Path, ending: &'static str) -> Vec<PathBuf> {
    let folder = folder.to_owned();
    let read = move || {
        let all = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
        Ok(all.filter(|p| p.extension().is_some_and(|e| e == ending)).collect())
    };
    blocking(read).await.unwrap_or_default()
}

async fn one(app: &Arc<App>, path: PathBuf) -> io::Result<()> {
    let from = path.clone();
    let order = blocking(move || {
        let order = read(&from);
        // Gone before it is carried out: an order is never carried out twice.
        std::fs::remove_file(&from)?;
        Ok(order)
    })
    .await?;
    let done = match order {
        Ok(order) => {
            carry_out(app, "console", None, &order.volume, order.order).await.map_err(|e| e.to_string())
        }
        Err(error) => Err(format!("the order cannot be read: {error}")),
    };
    let answer = Answer { done: done.is_ok(), why: done.err() };
    tracing::info!(?answer, "an order of the console");
    blocking(move || {
        let aside = path.with_extension("part");
        std::fs::write(&aside, serde_json::to_vec(&answer)?)?;
        std::fs::rename(aside, path.with_extension("answer"))
    })
    .await
}

fn read(path: &Path) -> io::Result<Order> {
    if std::fs::metadata(path)?.len() > BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

async fn blocking<T: Send + 'static>(f: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(f).await.unwrap_or_else(|e| Err(io::Error::other(e)))
}
