//! Has running servers read their files again, over the system account: no signal, no shell, other machines too.

use std::collections::BTreeMap;

use async_nats::Client;
use fengsui_config::limits;
use futures::StreamExt as _;
use serde::Deserialize;

use super::{LinkError, LinkOptions, NatsLink};

/// A server that was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// Its name.
    pub server: String,
    /// What it refused, if it did.
    pub refusal: Option<String>,
}

/// Head of every answer of a server.
#[derive(Debug, Deserialize)]
struct Answer {
    server: ServerName,
    #[serde(default)]
    error: Option<Refusal>,
}

#[derive(Debug, Deserialize)]
struct ServerName {
    name: String,
    id: String,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    #[serde(default)]
    code: u32,
    #[serde(default)]
    description: String,
}

/// Tells all servers to read their files again, `expected` of them. A server that was not reached is missing in the
/// answer: it reads its file when it starts. Connections whose user is in the file no longer are cut by it.
///
/// # Errors
/// When no server is reached.
pub async fn reload(system: LinkOptions, expected: usize) -> Result<Vec<Reloaded>, LinkError> {
    let link = NatsLink::open(system).await?;
    let told = match tokio::time::timeout(limits::RELAY_RELOAD_TIMEOUT, link.up()).await {
        Ok(Some(_)) => tell_all(&link.client, expected).await,
        _ => Err(LinkError::Down),
    };
    link.close().await;
    told
}

async fn tell_all(client: &Client, expected: usize) -> Result<Vec<Reloaded>, LinkError> {
    let servers = servers(client, expected).await?;
    let mut told = Vec::new();
    for (id, name) in servers {
        let subject = format!("$SYS.REQ.SERVER.{id}.RELOAD");
        let asking = client.request(subject, "".into());
        let refusal = match tokio::time::timeout(limits::RELAY_RELOAD_TIMEOUT, asking).await {
            Ok(Ok(answer)) => match serde_json::from_slice::<Answer>(&answer.payload) {
                Ok(Answer { error: Some(e), .. }) => Some(format!("{} {}", e.code, e.description)),
                Ok(_) => None,
                Err(e) => Some(e.to_string()),
            },
            Ok(Err(e)) => Some(e.to_string()),
            Err(_) => Some("it did not answer".to_owned()),
        };
        if let Some(refusal) = &refusal {
            tracing::error!(server = %name, %refusal, "a server between nodes keeps its old list of users");
        }
        told.push(Reloaded { server: name, refusal });
    }
    Ok(told)
}

/// The servers that answer, by id.
async fn servers(client: &Client, expected: usize) -> Result<BTreeMap<String, String>, LinkError> {
    let refused = |e: &dyn std::fmt::Display| LinkError::Refused(e.to_string());
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.map_err(|e| refused(&e))?;
    client.publish_with_reply("$SYS.REQ.SERVER.PING", inbox, "".into()).await.map_err(|e| refused(&e))?;
    let mut found = BTreeMap::new();
    let _ = tokio::time::timeout(limits::RELAY_RELOAD_TIMEOUT, async {
        while found.len() < expected.clamp(1, limits::RELAY_SERVERS_MAX) {
            let Some(message) = answers.next().await else { break };
            if let Ok(answer) = serde_json::from_slice::<Answer>(&message.payload) {
                found.insert(answer.server.id, answer.server.name);
            }
        }
    })
    .await;
    if found.is_empty() { Err(LinkError::Down) } else { Ok(found) }
}
