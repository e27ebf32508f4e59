//! HTTP to the receivers of webhooks: one POST, one answer, no redirect, TLS checked.

use std::sync::Arc;

use bytes::Bytes;
use fengsui_config::{WebhookConfig, limits};
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// Header with the signature.
pub const SIGNATURE: &str = "fengsui-signature";

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver took it: an answer 2xx.
    Taken,
    /// It refuses: an answer 4xx that does not ask to come again later.
    Refused(String),
    /// It failed, or nobody answered.
    Failed(String),
}

/// A client of one receiver.
#[derive(Debug, Clone)]
pub struct Client(HyperClient<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Client {
    /// A client that trusts the certificates of the webhook, or the machine's.
    pub fn new(hook: &WebhookConfig) -> Result<Self, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?;
        let tls = match &hook.ca {
            Some(path) => {
                let mut roots = RootCertStore::empty();
                let wrong = |e: &dyn std::fmt::Display| format!("certificates {}: {e}", path.display());
                for certificate in CertificateDer::pem_file_iter(path).map_err(|e| wrong(&e))? {
                    roots.add(certificate.map_err(|e| wrong(&e))?).map_err(|e| wrong(&e))?;
                }
                builder.with_root_certificates(roots).with_no_client_auth()
            }
            // Without TLS the machine's certificates are of no use; there may be none.
            None if hook.url.scheme() == "http" => {
                builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
            }
            None => builder
                .with_native_roots()
                .map_err(|e| format!("the machine's certificates: {e}; name a file with `ca`"))?
                .with_no_client_auth(),
        };
        let https = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls);
        // The configuration refused plain HTTP but to this machine.
        let connector = https.https_or_http().enable_http1().build();
        let client = HyperClient::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(1)
            .build(connector);
        Ok(Self(client))
    }

    /// Posts one event.
    pub async fn post(&self, url: &str, signature: &str, body: Vec<u8>) -> Outcome {
        let request = Request::builder()
            .method(Method::POST)
            .uri(url)
            .header(CONTENT_TYPE, "application/cloudevents+json; charset=utf-8")
            .header(USER_AGENT, concat!("fengsui/", env!("CARGO_PKG_VERSION")))
            .header(SIGNATURE, signature)
            .body(Full::new(Bytes::from(body)));
        let request = match request {
            Ok(request) => request,
            Err(error) => return Outcome::Failed(clipped(&error.to_string())),
        };
        match tokio::time::timeout(limits::WEBHOOK_TIMEOUT, self.answer(request)).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Failed(format!("no answer within {} s", limits::WEBHOOK_TIMEOUT.as_secs())),
        }
    }

    async fn answer(&self, request: Request<Full<Bytes>>) -> Outcome {
        let answer = match self.0.request(request).await {
            Ok(answer) => answer,
            Err(error) => return Outcome::Failed(clipped(&reasons(&error))),
        };
        let status = answer.status();
        // The answer is read as far as a connection that is used again wants it.
        let words = Limited::new(answer.into_body(), limits::WEBHOOK_ANSWER_BYTES_MAX).collect().await;
        if status.is_success() {
            return Outcome::Taken;
        }
        let words = words.map(|w| String::from_utf8_lossy(&w.to_bytes()).into_owned()).unwrap_or_default();
        let said = clipped(format!("answered {status} {words}").trim());
        let later = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
        if status.is_redirection() {
            return Outcome::Failed(format!(
                "answered {status}: a redirect is not followed; configure the address"
            ));
        }
        if status.is_client_error() && !later.contains(&status) {
            return Outcome::Refused(said);
        }
        Outcome::Failed(said)
    }
}

fn clipped(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(limits::WEBHOOK_DETAIL_CHARS_MAX).collect()
}

/// An error with all that it came from: the first alone is often only "client error".
fn reasons(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
