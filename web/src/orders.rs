//! Orders for volumes, and those about tokens and accounts: into the journal first, then carried out. They come from the API, or from the
//! command line on the same machine through a folder below the node's data, which only the node's own user can write to.
//!
//! The folder: `<name>.json` is an order ([`Filed`]), put there whole by a rename; the node answers with `<name>.answer`
//! ([`Answer`]) and removes the order. Answers that nobody fetched go at the next start.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fengsui_config::ids::{CameraId, NodeId};
use fengsui_relay::identity::TokenHash;
use fengsui_relay::identity::registry::Share;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::api::accounts::{self, AccountError};
use crate::api::tokens;
use crate::app::App;
use crate::auth::accounts::AccountOrder;
use crate::auth::register::{RegisterError, kinds};
use crate::auth::tokens::TokenDraft;
use crate::recordings::{OrderRefused, VolumeOrder};
use crate::relay::centre::Centre;
use crate::relay::centre::register::NodeOrder;

/// How often the folder is looked at.
pub const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Orders taken at one look.
const ORDERS_MAX: usize = 64;
/// Longest order or answer, in bytes.
const BYTES_MAX: u64 = 128 << 10;

/// An order in the folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The volume.
    pub volume: String,
    /// What to do.
    pub order: VolumeOrder,
}

/// What lies in the folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Filed {
    /// An order for a volume.
    Volume(Order),
    /// A token is to be; its secret is not in it.
    CreateToken {
        /// The token.
        create_token: TokenDraft,
    },
    /// A token is to end.
    RevokeToken {
        /// Its id.
        revoke_token: String,
    },
    /// A node is to be; its token is not in it.
    InviteNode {
        /// The node and its token's hash.
        invite_node: NodeInvitation,
    },
    /// Something about a node.
    Node {
        /// The node.
        node: NodeId,
        /// What.
        node_order: NodeOrder,
    },
    /// Something about an account.
    Account {
        /// Its log-in name.
        account: String,
        /// What.
        account_order: AccountOrder,
    },
    /// The node's own places and cameras are to be in force again.
    ReleaseConfig {
        /// Why.
        release_config: String,
    },
}

/// A node that is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInvitation {
    /// Its name.
    pub node: NodeId,
    /// The hash of its token.
    pub token_hash: TokenHash,
    /// The cameras that it may speak of.
    pub cameras: BTreeSet<CameraId>,
    /// Cameras of other nodes that it records in their place.
    #[serde(default)]
    pub standby: BTreeSet<CameraId>,
    /// How long the token is good.
    pub hours: u64,
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
        Ok(Filed::Volume(order)) => {
            carry_out(app, "console", None, &order.volume, order.order).await.map_err(|e| e.to_string())
        }
        Ok(Filed::CreateToken { create_token }) => {
            tokens::create(app, create_token, "console", None).await.map(drop).map_err(|e| e.to_string())
        }
        Ok(Filed::RevokeToken { revoke_token }) => {
            tokens::end(app, &revoke_token, "console", None).await.map(drop).map_err(|e| e.to_string())
        }
        Ok(Filed::InviteNode { invite_node }) => invite(app, invite_node).await,
        Ok(Filed::Node { node, node_order }) => match centre(app) {
            Some(centre) => centre.order(app, &node, &node_order, "console").await.map_err(|e| e.to_string()),
            None => Err(NO_CENTRE.to_owned()),
        },
        Ok(Filed::Account { account, account_order }) => account_changed(app, &account, &account_order).await,
        Ok(Filed::ReleaseConfig { release_config }) => release(app, release_config).await,
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

/// What a node that is none says to orders for a centre.
const NO_CENTRE: &str = "this node is no centre: write listen under [relay] and start it again";

fn centre(app: &App) -> Option<Arc<Centre>> {
    app.relay.read().as_ref().and_then(|relay| relay.centre.clone())
}

async fn invite(app: &App, wanted: NodeInvitation) -> Result<(), String> {
    let NodeInvitation { node, token_hash, cameras, standby, hours } = wanted;
    let share = Share { cameras, standby };
    let centre = centre(app).ok_or(NO_CENTRE)?;
    let lifetime = Duration::from_secs(hours.saturating_mul(3600));
    let made = centre.invite_hash(app, (&node, token_hash), share, lifetime, "console").await;
    made.map(drop).map_err(|e| e.to_string())
}

async fn account_changed(app: &App, name: &str, order: &AccountOrder) -> Result<(), String> {
    let done = accounts::carry_out(app, name, order, ("console", None), None).await;
    done.map_err(|error| match error {
        AccountError::Refused(refused) => format!("{refused} {}", refused.remedy()),
        other => other.to_string(),
    })
}

async fn release(app: &App, reason: String) -> Result<(), String> {
    let reload = app.reload.read().clone().ok_or("this node has no configuration file")?;
    reload.release("console".to_owned(), reason).await.map(drop).map_err(|e| e.to_string())
}

fn read(path: &Path) -> io::Result<Filed> {
    if std::fs::metadata(path)?.len() > BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

async fn blocking<T: Send + 'static>(f: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(f).await.unwrap_or_else(|e| Err(io::Error::other(e)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use serde_json::Value;

    use super::*;
    use crate::testing::{NAME, node};

    #[tokio::test]
    async fn an_order_about_an_account_is_carried_out_once_and_answered() {
        let node = node();
        node.set_up().await;
        let folder = tempfile::tempdir().unwrap();
        let order = async |name: &str, account_order: AccountOrder| -> Value {
            let (path, filed) =
                (folder.path().join("1.json"), Filed::Account { account: name.into(), account_order });
            std::fs::write(&path, serde_json::to_vec(&filed).unwrap()).unwrap();
            one(&node.app, path.clone()).await.unwrap();
            assert!(!path.exists());
            serde_json::from_slice(&std::fs::read(path.with_extension("answer")).unwrap()).unwrap()
        };
        let roles = vec![crate::auth::accounts::Role::Operator];
        let made = order("wang", AccountOrder::Create { roles, password: "hash".into() }).await;
        assert_eq!(made["done"], true);
        assert_eq!(node.register.of("account.created").last().unwrap()["by"], "console");
        let refused = order(NAME, AccountOrder::Disable).await;
        assert!(refused["why"].as_str().unwrap().contains("Make another person an administrator first."));
        assert_eq!(order("wang", AccountOrder::Disable).await["done"], true);
        assert!(node.app.auth.accounts.read().get("wang").unwrap().disabled);
    }
}
