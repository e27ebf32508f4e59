//! Files and certificate of the message servers: written when they differ, and read again by the servers that run.

use std::sync::Arc;

use fengsui_config::limits;
use fengsui_relay::link::reload;

use super::{Centre, files};
use crate::app::App;

/// Keeps the files until the node stops: looks once a day, and whenever the register of nodes changed.
pub(super) async fn run(app: Arc<App>, centre: Arc<Centre>) {
    let mut reload_due = true;
    loop {
        let mut pause = limits::RELAY_CERTIFICATE_LOOK;
        match write(&app, &centre).await {
            Ok(changed) => reload_due |= changed,
            Err(error) => {
                tracing::error!(%error, "cannot write the files of the server between nodes");
                pause = limits::RELAY_AGAIN_PAUSE;
            }
        }
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = centre.files_changed.notified() => {}
            // A server that does not run reads them when it starts.
            told = tell(&centre), if reload_due => {
                reload_due = !told;
                if !told {
                    tokio::select! {
                        () = app.stop.cancelled() => return,
                        () = tokio::time::sleep(limits::RELAY_AGAIN_PAUSE) => {}
                    }
                }
            }
            () = tokio::time::sleep(pause), if !reload_due => {}
        }
    }
}

/// Makes certificate and files what they should be; whether something was not.
async fn write(app: &App, centre: &Arc<Centre>) -> Result<bool, String> {
    let (centre, now) = (centre.clone(), app.clock.utc());
    let writing = tokio::task::spawn_blocking(move || {
        let identity = centre.authority.server(files(), &centre.role.certificate_names, now);
        let identity = identity.map_err(|e| e.to_string())?;
        let written = centre.files.write(files(), &centre.roll.nodes()).map_err(|e| e.to_string())?;
        Ok(written || identity.made)
    });
    writing.await.unwrap_or_else(|error| Err(error.to_string()))
}

/// Has the running servers read their files, once one is there; whether none refused.
async fn tell(centre: &Centre) -> bool {
    if centre.link.up().await.is_none() {
        return false;
    }
    match reload(centre.system.clone(), centre.files.servers()).await {
        Ok(servers) => {
            let refused = servers.iter().filter(|s| s.refusal.is_some()).count();
            tracing::info!(servers = servers.len(), refused, "the servers between nodes read their files");
            refused == 0
        }
        Err(error) => {
            tracing::warn!(%error, "no server between nodes was reached to read its files");
            false
        }
    }
}
