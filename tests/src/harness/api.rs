//! A client of the product's HTTP API, as a browser would be one.

use std::time::Duration;

use fengsui_config::ids::StreamKind;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::config::camera_code;
use super::{Doing as _, HarnessError, Outcome, wait_for};

/// Name and password of the administrator that tests make.
pub const ADMINISTRATOR: (&str, &str) = ("tester", "correct horse battery staple 42");

/// A client with its session cookie.
#[derive(Debug, Clone)]
pub struct Api {
    client: reqwest::Client,
    base: String,
}

/// A piece of a timeline.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Span {
    /// `footage` or `gap`.
    pub kind: String,
    /// Begin, UTC.
    pub from_us: i64,
    /// End, UTC.
    pub to_us: i64,
    /// Footage that still grows.
    #[serde(default)]
    pub open: bool,
    /// Reason of a gap.
    pub reason: Option<String>,
}

/// What is stored of a stream and what not.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Timeline {
    /// In order, without overlap.
    pub spans: Vec<Span>,
    /// First footage at all.
    pub first_us: Option<i64>,
    /// Last footage at all.
    pub last_us: Option<i64>,
}

impl Timeline {
    /// The gaps.
    pub fn gaps(&self) -> impl Iterator<Item = &Span> {
        self.spans.iter().filter(|s| s.kind == "gap")
    }
}

/// One unit of playback.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Gop {
    /// Name in the API.
    pub id: Value,
    /// Begin, UTC.
    pub from_us: i64,
    /// End, UTC.
    pub to_us: i64,
    /// Size.
    pub bytes: u64,
    /// Begins with a key frame.
    pub key: bool,
    /// Its initialisation segment.
    pub init: Value,
}

/// One segment file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Segment {
    /// File name.
    pub name: String,
    /// Begin, UTC.
    pub start_us: i64,
    /// Length.
    pub duration_us: i64,
    /// Size.
    pub bytes: u64,
    /// Closed with a footer.
    pub closed: bool,
}

#[derive(Deserialize)]
struct Items<T> {
    items: Vec<T>,
}

/// The text at an address, without logging in.
///
/// # Errors
/// When the answer is no success.
pub async fn page(url: &str) -> Outcome<String> {
    let client = reqwest::Client::builder().no_proxy().build().doing("make an HTTP client")?;
    let answer = client.get(url).send().await.doing(url)?.error_for_status().doing(url)?;
    answer.text().await.doing(url)
}

impl Api {
    /// A client that is not logged in.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(base: &str) -> Outcome<Self> {
        let client = reqwest::Client::builder()
            .cookie_store(true)
            .timeout(Duration::from_secs(30))
            .no_proxy()
            .build()
            .doing("make an HTTP client")?;
        Ok(Self { client, base: base.to_owned() })
    }

    /// A request to a path under `/api/v1`, with the `Origin` that a browser would send.
    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}/api/v1{path}", self.base)).header("Origin", &self.base)
    }

    async fn send(&self, request: reqwest::RequestBuilder, what: &str) -> Outcome<reqwest::Response> {
        let answer = request.send().await.doing(what)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = answer.text().await.unwrap_or_default();
        Err(HarnessError(format!("{what}: {status} {body}")))
    }

    /// The JSON at a path.
    ///
    /// # Errors
    /// When the answer is no success or no such JSON.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Outcome<T> {
        let what = format!("GET {path}");
        self.send(self.request(reqwest::Method::GET, path), &what).await?.json().await.doing(what)
    }

    /// The bytes at a path.
    ///
    /// # Errors
    /// When the answer is no success.
    pub async fn bytes(&self, path: &str) -> Outcome<Vec<u8>> {
        let what = format!("GET {path}");
        let bytes =
            self.send(self.request(reqwest::Method::GET, path), &what).await?.bytes().await.doing(what)?;
        Ok(bytes.to_vec())
    }

    /// Posts JSON.
    ///
    /// # Errors
    /// When the answer is no success.
    pub async fn post(&self, path: &str, body: &Value) -> Outcome<reqwest::Response> {
        self.send(self.request(reqwest::Method::POST, path).json(body), &format!("POST {path}")).await
    }

    /// Puts JSON while version `base` is the newest. The answer may be a refusal.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn put_if(&self, path: &str, body: &Value, base: u64) -> Outcome<reqwest::Response> {
        let request = self.request(reqwest::Method::PUT, path).header("if-match", format!("\"{base}\""));
        request.json(body).send().await.doing(format!("PUT {path}"))
    }

    /// Whether the node has no administrator yet.
    ///
    /// # Errors
    /// When the server does not answer with JSON.
    pub async fn setup_required(&self) -> Outcome<bool> {
        let answer = self.request(reqwest::Method::GET, "/session").send().await.doing("GET /session")?;
        let body: Value = answer.json().await.doing("read the answer of GET /session")?;
        Ok(body.get("setup_required").and_then(Value::as_bool).unwrap_or(false))
    }

    /// Becomes the first administrator.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn set_up(&self, token: &str) -> Outcome<()> {
        let (name, password) = ADMINISTRATOR;
        self.post("/setup", &json!({ "token": token, "name": name, "password": password })).await.map(drop)
    }

    /// Logs in.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn log_in(&self) -> Outcome<()> {
        let (name, password) = ADMINISTRATOR;
        self.post("/session", &json!({ "name": name, "password": password })).await.map(drop)
    }

    /// The timeline of camera `n`'s stream.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub async fn timeline(&self, n: u16, stream: StreamKind, from_us: i64, to_us: i64) -> Outcome<Timeline> {
        let code = camera_code(n);
        self.get(&format!("/footage/{code}/{stream}/timeline?from_us={from_us}&to_us={to_us}")).await
    }

    /// The playback units of camera `n`'s stream; at most 15 minutes.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub async fn gops(&self, n: u16, stream: StreamKind, from_us: i64, to_us: i64) -> Outcome<Vec<Gop>> {
        let code = camera_code(n);
        let items: Items<Gop> =
            self.get(&format!("/footage/{code}/{stream}/gops?from_us={from_us}&to_us={to_us}")).await?;
        Ok(items.items)
    }

    /// One playback unit with its initialisation segment before it: a file that plays.
    ///
    /// # Errors
    /// As [`Api::bytes`].
    pub async fn gop_file(&self, n: u16, stream: StreamKind, gop: &Gop) -> Outcome<Vec<u8>> {
        let code = camera_code(n);
        let name = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
        let mut file = self.bytes(&format!("/footage/{code}/{stream}/init/{}", name(&gop.init))).await?;
        file.extend(self.bytes(&format!("/footage/{code}/{stream}/gop/{}", name(&gop.id))).await?);
        Ok(file)
    }

    /// The segment files of camera `n`'s stream.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub async fn segments(
        &self,
        n: u16,
        stream: StreamKind,
        from_us: i64,
        to_us: i64,
    ) -> Outcome<Vec<Segment>> {
        let code = camera_code(n);
        let items: Items<Segment> =
            self.get(&format!("/footage/{code}/{stream}/segments?from_us={from_us}&to_us={to_us}")).await?;
        Ok(items.items)
    }

    /// One segment file.
    ///
    /// # Errors
    /// As [`Api::bytes`].
    pub async fn segment(&self, n: u16, stream: StreamKind, name: &str) -> Outcome<Vec<u8>> {
        self.bytes(&format!("/footage/{}/{stream}/segments/{name}", camera_code(n))).await
    }

    /// What the node says of camera `n`.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub async fn camera(&self, n: u16) -> Outcome<Value> {
        self.get(&format!("/cameras/{}", camera_code(n))).await
    }

    /// Waits until camera `n` is being recorded.
    ///
    /// # Errors
    /// When it is not within the time, with what the node said last.
    pub async fn wait_recording(&self, n: u16, within: Duration) -> Outcome<()> {
        let last = parking_lot::Mutex::new(Value::Null);
        let waited = wait_for(&format!("camera {n} is recorded"), within, || async {
            let camera = self.camera(n).await?;
            let recording = camera.pointer("/recording/state").and_then(Value::as_str) == Some("recording");
            *last.lock() = camera;
            Ok(recording.then_some(()))
        })
        .await;
        waited.map_err(|e| HarnessError(format!("{e}; last: {}", last.lock())))
    }
}
