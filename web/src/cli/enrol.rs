//! `fengsui node enrol`: one request to the centre, which is believed by the certificate that the token names.

use std::sync::Arc;

use bytes::Bytes;
use fengsui_config::{Config, limits};
use fengsui_relay::identity::{EnrolAnswer, EnrolRequest, Token, pin};
use fengsui_storage::segment::NodeKey;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use super::check::say;
use super::node::{EnrolArgs, put, unreadable};
use super::secret::read_hidden;
use super::volume::Failed;
use crate::{paths, relay};

/// Where the centre takes tokens.
const PATH: &str = "/api/v1/nodes/enrolment";

/// Enrols this node.
pub(super) fn run(config: &Config, args: &EnrolArgs) -> Result<(), Failed> {
    let token = token(args)?;
    let role = config.relay.as_ref().and_then(|relay| relay.upward.as_ref());
    let own = role.map_or(&config.node.id, |role| &role.node);
    if role.is_some() && *own != token.node {
        let why = format!(
            "the token is for the node {}, and this one is {own} to its centre: see node under [relay]",
            token.node
        );
        return Err((1, why));
    }
    let data = &config.node.data;
    std::fs::create_dir_all(data).map_err(|e| unreadable(&format!("cannot make {}: {e}", data.display())))?;
    let key = NodeKey::load_or_create(&paths::node_key(data)).map_err(|e| unreadable(&e))?;
    let answer = ask(&args.centre, &token, &EnrolRequest::sign(&token, &key))?;
    let file = role.map_or_else(|| relay::folder(data).join("centre.crt"), |role| role.ca.clone());
    put(&file, answer.authority.as_bytes()).map_err(|e| {
        unreadable(&format!(
            "the node is enrolled, but cannot write {}: {e}; a new token is needed",
            file.display()
        ))
    })?;
    say(&format!("node {}: enrolled; the centre is believed by {}", answer.node, file.display()));
    if role.is_none() {
        let servers: Vec<String> = answer.servers.iter().map(|s| format!("{s:?}")).collect();
        let name = if *own == answer.node { String::new() } else { format!("node = \"{}\"\n", answer.node) };
        say(&format!(
            "Put this into the configuration and start the node again:\n\n[relay]\ncentre = [{}]\n{name}",
            servers.join(", ")
        ));
    }
    Ok(())
}

fn token(args: &EnrolArgs) -> Result<Token, Failed> {
    let text = match &args.token_file {
        Some(path) => Zeroizing::new(
            std::fs::read_to_string(path)
                .map_err(|e| unreadable(&format!("cannot read {}: {e}", path.display())))?,
        ),
        None => read_hidden("token (not shown):").map_err(|e| unreadable(&e))?,
    };
    text.parse().map_err(|e: fengsui_relay::identity::token::NoToken| (1, e.to_string()))
}

/// Sends the request and reads the answer.
fn ask(centre: &str, token: &Token, request: &EnrolRequest) -> Result<EnrolAnswer, Failed> {
    let wrong = || (1, format!("--centre {centre:?}: write https://HOST or https://HOST:PORT"));
    let uri: Uri = centre.trim_end_matches('/').parse().map_err(|_| wrong())?;
    let (Some("https"), Some(host)) = (uri.scheme_str(), uri.host()) else { return Err(wrong()) };
    if !matches!(uri.path(), "" | "/") {
        return Err(wrong());
    }
    let port = uri.port_u16().unwrap_or(443);
    let body = serde_json::to_vec(request).map_err(|e| unreadable(&e))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let asking = async {
        let within = limits::RELAY_ENROL_TIMEOUT;
        let asked = tokio::time::timeout(within, post(host, port, token, body)).await;
        asked.unwrap_or_else(|_| Err(format!("no answer within {} s", within.as_secs())))
    };
    let (status, answer) = runtime
        .map_err(|e| unreadable(&e))?
        .block_on(asking)
        .map_err(|why| unreadable(&format!("cannot reach the centre at {centre}: {why}")))?;
    if status == 200 {
        return serde_json::from_slice(&answer)
            .map_err(|e| unreadable(&format!("the centre's answer cannot be read: {e}")));
    }
    let problem: Value = serde_json::from_slice(&answer).unwrap_or_default();
    let word = |name: &str| problem.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    Err((1, format!("the centre refuses ({status}): {} {}", word("detail"), word("remedy"))))
}

async fn post(host: &str, port: u16, token: &Token, body: Vec<u8>) -> Result<(u16, Bytes), String> {
    let text = |e: &dyn std::fmt::Display| e.to_string();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let tls = pin::client_config(token.pin).map_err(|e| text(&e))?;
    let name = ServerName::try_from(bare.to_owned()).map_err(|e| text(&e))?;
    let stream = TcpStream::connect((bare, port)).await.map_err(|e| text(&e))?;
    let stream = tokio_rustls::TlsConnector::from(Arc::new(tls)).connect(name, stream).await;
    let stream =
        stream.map_err(|e| format!("{e} (the token names the certificate of the centre that made it)"))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| text(&e))?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(PATH)
        .header(HOST, format!("{host}:{port}"))
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|e| text(&e))?;
    let answering = async {
        let answer = sender.send_request(request).await.map_err(|e| text(&e))?;
        let status = answer.status().as_u16();
        let read = Limited::new(answer.into_body(), limits::RELAY_ENROL_BYTES_MAX).collect().await;
        Ok((status, read.map_err(|e| text(&e))?.to_bytes()))
    };
    tokio::pin!(answering);
    // The connection moves only while it is polled; it ends some time after its last answer.
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        done = &mut answering => done,
        ended = connection.as_mut() => match ended {
            Ok(()) => answering.await,
            Err(error) => Err(text(&error)),
        },
    }
}
