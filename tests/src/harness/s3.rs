//! An S3 store of other people on loopback: `moto_server` from `.cache/venv`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::Method;

use super::{Doing as _, HarnessError, Outcome, wait_for};

const START_WITHIN: Duration = Duration::from_secs(30);

/// A running store; killed when dropped. It checks no signatures: those are the business of the store's own tests.
pub struct S3 {
    child: Child,
    url: String,
    client: reqwest::Client,
}

impl S3 {
    /// The program, if `tests/scripts/setup.sh test` has installed it.
    #[must_use]
    pub fn program() -> Option<PathBuf> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cache/venv/bin/moto_server");
        program.exists().then_some(program)
    }

    /// Starts `program` on a free port.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(program: &Path) -> Outcome<Self> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).doing("find a free port")?;
        let port = listener.local_addr().doing("ask for the port")?.port();
        drop(listener);
        let child = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .doing("start moto_server")?;
        let client = reqwest::Client::builder().no_proxy().build().doing("make an HTTP client")?;
        let me = Self { child, url: format!("http://127.0.0.1:{port}"), client };
        wait_for("the S3 store answers", START_WITHIN, || async {
            // Only this program has such an address: a stranger on the port would not pass.
            let answer = me.client.get(format!("{}/moto-api/data.json", me.url)).send().await;
            Ok(answer.ok().filter(|a| a.status().is_success()).map(drop))
        })
        .await?;
        Ok(me)
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    async fn send(&self, request: reqwest::RequestBuilder, what: &str) -> Outcome<Vec<u8>> {
        // The store tells requests for S3 from others by the form of this header.
        let signed = "AWS4-HMAC-SHA256 Credential=tester/20250101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
        let answer = request.header("Authorization", signed).send().await.doing(what)?;
        let status = answer.status();
        let body = answer.bytes().await.doing(what)?.to_vec();
        if status.is_success() {
            return Ok(body);
        }
        Err(HarnessError(format!("{what}: {status} {}", String::from_utf8_lossy(&body))))
    }

    /// Makes a bucket, with object lock if asked for.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn make_bucket(&self, name: &str, lock: bool) -> Outcome<()> {
        let request = self.client.request(Method::PUT, format!("{}/{name}", self.url));
        let request = request.header("x-amz-bucket-object-lock-enabled", lock.to_string());
        self.send(request, "make a bucket").await.map(drop)
    }

    /// The bytes of an object.
    ///
    /// # Errors
    /// When there is none.
    pub async fn get(&self, key: &str) -> Outcome<Vec<u8>> {
        self.send(self.client.get(format!("{}/{key}", self.url)), "get an object").await
    }

    /// Replaces an object behind the node's back.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn put(&self, key: &str, bytes: Vec<u8>) -> Outcome<()> {
        self.send(self.client.put(format!("{}/{key}", self.url)).body(bytes), "put an object").await.map(drop)
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
