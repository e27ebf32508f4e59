//! HTTP to an S3 store: hyper and rustls with the one provider that the rest of the program has.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use fengsui_config::archive::S3Place;
use http_body_util::BodyExt as _;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector as Connector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
    HttpResponse, HttpResponseBody, HttpService,
};
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// Connections to one store kept open.
const IDLE_CONNECTIONS_MAX: usize = 16;

/// A client of one store.
#[derive(Debug, Clone)]
pub(super) struct Http(Client<HttpsConnector<HttpConnector>, HttpRequestBody>);

impl Http {
    /// A client that trusts the certificates of `place`, or the machine's.
    pub(super) fn new(place: &S3Place) -> Result<Self, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?;
        let tls = match &place.ca {
            Some(path) => {
                let mut roots = RootCertStore::empty();
                let wrong = |e: &dyn std::fmt::Display| format!("certificates {}: {e}", path.display());
                for certificate in CertificateDer::pem_file_iter(path).map_err(|e| wrong(&e))? {
                    let certificate = certificate.map_err(|e| wrong(&e))?;
                    roots.add(certificate).map_err(|e| wrong(&e))?;
                }
                if roots.is_empty() {
                    return Err(wrong(&"no certificate in it"));
                }
                builder.with_root_certificates(roots).with_no_client_auth()
            }
            // Without TLS the machine's certificates are of no use; there may be none.
            None if place.endpoint.scheme() == "http" => {
                builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
            }
            None => builder
                .with_native_roots()
                .map_err(|e| format!("the machine's certificates: {e}; name a file with `ca`"))?
                .with_no_client_auth(),
        };
        let https = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls);
        // The configuration refused plain HTTP where it is not wanted.
        let connector = https.https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .build(connector);
        Ok(Self(client))
    }
}

fn http_error(e: &hyper_util::client::legacy::Error) -> HttpError {
    let kind = if e.is_connect() { HttpErrorKind::Connect } else { HttpErrorKind::Request };
    HttpError::new_boxed(kind, reasons(e).into())
}

/// An error with all that it came from: the first alone is often only "client error".
fn reasons(e: &dyn std::error::Error) -> String {
    let mut text = e.to_string();
    let mut next = e.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

impl HttpService for Http {
    fn call<'life, 'done>(
        &'life self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'done>>
    where
        'life: 'done,
        Self: 'done,
    {
        Box::pin(async move {
            let answer = self.0.request(request).await.map_err(|e| http_error(&e))?;
            let body = |e: hyper::Error| HttpError::new_boxed(HttpErrorKind::Interrupted, reasons(&e).into());
            Ok(answer.map(|b| HttpResponseBody::new(b.map_err(body))))
        })
    }
}

impl Connector for Http {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}
