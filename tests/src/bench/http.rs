//! A small HTTP client for benchmark drivers, which wait for each answer.

use std::io;
use std::time::Duration;

use serde::de::DeserializeOwned;

/// Time that one answer may take: the ledger of a whole city is long.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A client that waits.
#[derive(Debug)]
pub struct Http {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
}

impl Http {
    /// A client without proxy.
    ///
    /// # Errors
    /// The system refuses what a client needs.
    pub fn new() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(TIMEOUT)
            // Minutes pass between questions, and a server may end what idles just as it is used again.
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|e| io::Error::other(format!("make an HTTP client: {e}")))?;
        Ok(Self { runtime, client })
    }

    /// The text at `url`.
    ///
    /// # Errors
    /// No answer, or one that is no success.
    pub fn get(&self, url: &str) -> io::Result<String> {
        self.text(self.client.get(url), url)
    }

    /// The JSON at `url`.
    ///
    /// # Errors
    /// As [`Self::get`], or the answer is something else.
    pub fn json<T: DeserializeOwned>(&self, url: &str) -> io::Result<T> {
        serde_json::from_str(&self.get(url)?).map_err(|e| io::Error::other(format!("{url}: {e}")))
    }

    /// Posts JSON.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn post(&self, url: &str, body: &serde_json::Value) -> io::Result<()> {
        self.text(self.client.post(url).json(body), url).map(drop)
    }

    /// Deletes what is at `url`.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn delete(&self, url: &str) -> io::Result<()> {
        self.text(self.client.delete(url), url).map(drop)
    }

    fn text(&self, request: reqwest::RequestBuilder, url: &str) -> io::Result<String> {
        self.runtime
            .block_on(async { request.send().await?.error_for_status()?.text().await })
            .map_err(|e| io::Error::other(format!("{url}: {e}")))
    }
}
