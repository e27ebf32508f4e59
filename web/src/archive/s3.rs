//! A bucket of an S3 store as an archive.
//!
//! Requests go through `object_store`; what it has not (object lock) through requests that are signed by its own signer.
//! Each upload carries its SHA-256, which the store checks before it takes the object.

use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use fengsui_config::archive::S3Place;
use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;
use fengsui_storage::archive::{ArchiveError, ArchiveStore, Listed, LockReport, LockState, Retention};
use fengsui_storage::fs::FsFile;
use futures::StreamExt as _;
use http::{Method, StatusCode};
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsAuthorizer, Checksum};
use object_store::client::{HttpClient, HttpConnector as _, HttpRequestBody};
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, MultipartUpload, ObjectStore as _, ObjectStoreExt as _, PutPayload,
    RetryConfig,
};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::runtime::Runtime;

use super::client::Http;

/// Time that one part of an upload may take: 8 MiB at half a megabit a second.
const PART_TIMEOUT: Duration = Duration::from_secs(130);
/// Time that a listing may take.
const LIST_TIMEOUT: Duration = Duration::from_secs(3600);
/// Bytes of an answer to a signed request that are read.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// For how long the probe of object lock locks its object.
const PROBE_LOCK: Duration = Duration::from_secs(60);
/// Name of the object that the probe of object lock makes; it is a few bytes long and stays.
const PROBE_KEY: &str = "fengsui-lock-probe";

/// A bucket.
pub struct S3Store {
    store: AmazonS3,
    http: HttpClient,
    place: S3Place,
    prefix: Path,
    /// Requests run here, so that a slow store takes no thread from the web server.
    runtime: Option<Runtime>,
}

impl std::fmt::Debug for S3Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Store").field("bucket", &self.place.bucket).finish_non_exhaustive()
    }
}

impl Drop for S3Store {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Answer to a signed request.
struct Answer {
    status: StatusCode,
    version: Option<String>,
    text: String,
}

impl S3Store {
    /// The way to a bucket; sends nothing.
    ///
    /// # Errors
    /// What is wrong with the place, for people.
    pub fn new(place: &S3Place) -> Result<Self, String> {
        let http = Http::new(place)?;
        let (first, largest) = (Duration::from_millis(100), Duration::from_secs(1));
        let retry = RetryConfig {
            backoff: BackoffConfig { init_backoff: first, max_backoff: largest, base: 2.0 },
            // Longer pauses are the archive's own business: it counts and shows them.
            max_retries: 1,
            retry_timeout: limits::ARCHIVE_TIMEOUT,
        };
        let store = AmazonS3Builder::new()
            .with_bucket_name(&place.bucket)
            .with_endpoint(place.endpoint.as_str().trim_end_matches('/'))
            .with_region(&place.region)
            .with_access_key_id(place.access_key.expose())
            .with_secret_access_key(place.secret_key.expose())
            .with_virtual_hosted_style_request(false)
            .with_allow_http(place.endpoint.scheme() == "http")
            .with_checksum_algorithm(Checksum::SHA256)
            .with_retry(retry)
            .with_http_connector(http.clone())
            .build()
            .map_err(|e| e.to_string())?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("archive-io")
            .enable_all()
            .build()
            .map_err(|e| format!("cannot start a runtime: {e}"))?;
        Ok(Self {
            store,
            http: http.connect(&ClientOptions::new()).map_err(|e| e.to_string())?,
            prefix: Path::from(place.prefix.as_str()),
            place: place.clone(),
            runtime: Some(runtime),
        })
    }

    /// Waits for `work` for at most `time`. Called from threads that may block.
    fn wait<T>(
        &self,
        time: Duration,
        work: impl Future<Output = Result<T, ArchiveError>>,
    ) -> Result<T, ArchiveError> {
        let gone = || ArchiveError::Unreachable("the node stops".into());
        let runtime = self.runtime.as_ref().ok_or_else(gone)?;
        runtime.block_on(async {
            let late = |_| ArchiveError::Unreachable(format!("no answer within {} s", time.as_secs()));
            tokio::time::timeout(time, work).await.map_err(late)?
        })
    }

    fn path(&self, key: &str) -> Path {
        let parts = self.prefix.parts();
        parts.chain(Path::from(key).parts()).collect()
    }

    /// A request that `object_store` has not, signed by its signer.
    async fn signed(
        &self,
        method: Method,
        key: Option<&str>,
        query: &str,
        headers: &[(&'static str, String)],
        body: Bytes,
    ) -> Result<Answer, ArchiveError> {
        let mut url = format!("{}/{}", self.place.endpoint.as_str().trim_end_matches('/'), self.place.bucket);
        if let Some(key) = key {
            let _ = write!(url, "/{}", self.path(key));
        }
        let _ = write!(url, "?{query}");
        let mut request = http::Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let unusable =
            |e: &dyn std::fmt::Display| ArchiveError::Refused(format!("cannot make a request: {e}"));
        let mut request = request.body(HttpRequestBody::from(body)).map_err(|e| unusable(&e))?;
        let credential = self.store.credentials().get_credential().await.map_err(|e| refuse(&e))?;
        AwsAuthorizer::new(&credential, "s3", &self.place.region)
            .try_authorize(&mut request, None)
            .map_err(|e| unusable(&e))?;
        let answer = self.http.execute(request).await;
        let answer = answer.map_err(|e| ArchiveError::Unreachable(e.to_string()))?;
        let status = answer.status();
        let version = answer.headers().get("x-amz-version-id").and_then(|v| v.to_str().ok());
        let version = version.map(str::to_owned);
        let mut text = BytesMut::new();
        let mut stream = answer.into_body().bytes_stream();
        while let Some(part) = stream.next().await {
            let part = part.map_err(|e| ArchiveError::Unreachable(e.to_string()))?;
            if text.len() + part.len() > ANSWER_BYTES_MAX {
                break;
            }
            text.extend_from_slice(&part);
        }
        Ok(Answer { status, version, text: String::from_utf8_lossy(&text).into_owned() })
    }

    async fn find_lock(&self) -> Result<LockReport, ArchiveError> {
        let none = Bytes::new;
        let report = |state, reason: String| Ok(LockReport { state, reason });
        let config = self.signed(Method::GET, None, "object-lock=", &[], none()).await?;
        match config.status {
            StatusCode::OK if config.text.contains("Enabled") => {}
            StatusCode::OK | StatusCode::NOT_FOUND => {
                return report(LockState::NotLocked, "the bucket has no object lock".into());
            }
            status => {
                let why = error_code(&config.text).unwrap_or_default();
                let reason = format!("the store does not say whether it has object lock: {status} {why}");
                return report(LockState::Unknown, reason);
            }
        }
        // The bucket says so; whether it holds is seen by trying.
        let body = Bytes::from_static(b"fengsui tries object lock with this object\n");
        let until = rfc3339(UtcMicros(now_us()) + PROBE_LOCK);
        let headers = [
            ("x-amz-object-lock-mode", "GOVERNANCE".to_owned()),
            ("x-amz-object-lock-retain-until-date", until),
            ("x-amz-checksum-sha256", STANDARD.encode(Sha256::digest(&body))),
            ("x-amz-sdk-checksum-algorithm", "SHA256".to_owned()),
        ];
        let put = self.signed(Method::PUT, Some(PROBE_KEY), "x-id=PutObject", &headers, body).await?;
        let Some(version) = put.version.filter(|_| put.status.is_success()) else {
            let why = error_code(&put.text).unwrap_or_default();
            let reason = format!("the store takes no locked object: {} {why}", put.status);
            return report(LockState::Unknown, reason);
        };
        let query = format!("versionId={version}");
        let delete = self.signed(Method::DELETE, Some(PROBE_KEY), &query, &[], none()).await?;
        if delete.status == StatusCode::FORBIDDEN {
            let reason = "tried: a locked object could not be deleted with the node's own key".into();
            return report(LockState::Locked, reason);
        }
        if delete.status.is_success() {
            let reason =
                "the bucket says that it has object lock, but a locked object could be deleted".into();
            return report(LockState::NotLocked, reason);
        }
        let why = error_code(&delete.text).unwrap_or_default();
        report(LockState::Unknown, format!("the trial ended with {} {why}", delete.status))
    }

    /// Deletes every version of an object: in a bucket with versions, deleting it by its name alone would only hide it.
    async fn delete(&self, key: &str) -> Result<(), ArchiveError> {
        let name = self.path(key).to_string();
        let query = format!("max-keys=1000&prefix={}&versions=", name.replace('/', "%2F"));
        let listed = self.signed(Method::GET, None, &query, &[], Bytes::new()).await?;
        let versions = match listed.status {
            status if status.is_success() => versions(&listed.text, &name),
            // The store knows no versions.
            StatusCode::NOT_IMPLEMENTED | StatusCode::METHOD_NOT_ALLOWED | StatusCode::BAD_REQUEST => {
                vec![String::new()]
            }
            _ => return Err(refused(key, &listed)),
        };
        for version in versions {
            let query = if version.is_empty() {
                "x-id=DeleteObject".to_owned()
            } else {
                format!("versionId={version}")
            };
            let answer = self.signed(Method::DELETE, Some(key), &query, &[], Bytes::new()).await?;
            if answer.status.is_success() || answer.status == StatusCode::NOT_FOUND {
                continue;
            }
            if answer.status == StatusCode::FORBIDDEN && self.is_locked(key, &version).await? {
                return Err(ArchiveError::Locked(key.to_owned()));
            }
            return Err(refused(key, &answer));
        }
        Ok(())
    }

    /// Whether a lock, not a missing right, kept a version from being deleted.
    async fn is_locked(&self, key: &str, version: &str) -> Result<bool, ArchiveError> {
        let of = |what: &str| match version {
            "" => format!("{what}="),
            version => format!("{what}=&versionId={version}"),
        };
        let retained = self.signed(Method::GET, Some(key), &of("retention"), &[], Bytes::new()).await?;
        if retained.status.is_success() && retained.text.contains("<RetainUntilDate>") {
            return Ok(true);
        }
        let held = self.signed(Method::GET, Some(key), &of("legal-hold"), &[], Bytes::new()).await?;
        Ok(held.status.is_success() && held.text.contains("<Status>ON</Status>"))
    }

    async fn parts(&self, path: &Path, source: &dyn FsFile, len: u64) -> Result<(), ArchiveError> {
        let begun = tokio::time::timeout(limits::ARCHIVE_TIMEOUT, self.store.put_multipart(path)).await;
        let late = |_| ArchiveError::Unreachable("the store is too slow for an upload".into());
        let mut upload = begun.map_err(late)?.map_err(|e| refuse(&e))?;
        let done = async {
            let mut at = 0;
            while at < len {
                let part = read_part(source, at, len)?;
                at += part.len() as u64;
                let put = upload.put_part(PutPayload::from_bytes(part));
                tokio::time::timeout(PART_TIMEOUT, put).await.map_err(late)?.map_err(|e| refuse(&e))?;
            }
            let done = tokio::time::timeout(PART_TIMEOUT, upload.complete()).await;
            done.map_err(late)?.map_err(|e| refuse(&e)).map(drop)
        }
        .await;
        if done.is_err() {
            // The parts cost room until the store's own rule for unfinished uploads takes them.
            let _ = tokio::time::timeout(limits::ARCHIVE_TIMEOUT, upload.abort()).await;
        }
        done
    }
}

fn read_part(source: &dyn FsFile, at: u64, len: u64) -> Result<Bytes, ArchiveError> {
    let want = usize::try_from(len - at).unwrap_or(usize::MAX).min(limits::ARCHIVE_PART_BYTES);
    let mut room = vec![0; want];
    let cannot = |e: std::io::Error| ArchiveError::Local(format!("read segment: {e}"));
    source.read_exact_at(at, &mut room).map_err(cannot)?;
    Ok(Bytes::from(room))
}

/// Kind of an error of `object_store` -> what it means for an archive.
fn refuse(error: &object_store::Error) -> ArchiveError {
    use object_store::Error as E;
    // Keys and signatures are in headers, never in these texts.
    let text = error.to_string();
    match error {
        E::NotFound { path, .. } => ArchiveError::NotFound(path.clone()),
        E::PermissionDenied { .. }
        | E::Unauthenticated { .. }
        | E::NotSupported { .. }
        | E::NotImplemented { .. }
        | E::InvalidPath { .. }
        | E::UnknownConfigurationKey { .. } => ArchiveError::Refused(text),
        _ => ArchiveError::Unreachable(text),
    }
}

/// The `<Code>` of an S3 error.
fn error_code(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("<Code>")?;
    rest.split_once("</Code>").map(|(code, _)| code)
}

/// Versions and delete markers of exactly this object in a listing.
fn versions(listing: &str, name: &str) -> Vec<String> {
    let between = |text: &str, tag: &str| {
        let (_, rest) = text.split_once(&format!("<{tag}>"))?;
        rest.split_once(&format!("</{tag}>")).map(|(value, _)| value.to_owned())
    };
    let entries = ["Version", "DeleteMarker"].into_iter().flat_map(|tag| {
        let (begin, end) = (format!("<{tag}>"), format!("</{tag}>"));
        let parts: Vec<String> = listing
            .split(&begin)
            .skip(1)
            .filter_map(|part| part.split_once(&end).map(|(entry, _)| entry.to_owned()))
            .collect();
        parts
    });
    entries
        .filter(|entry| between(entry, "Key").as_deref() == Some(name))
        .filter_map(|entry| between(&entry, "VersionId"))
        .collect()
}

/// What a refusal to delete means.
fn refused(key: &str, answer: &Answer) -> ArchiveError {
    let why = error_code(&answer.text).unwrap_or_default();
    let text = format!("cannot delete {key}: {} {why}", answer.status);
    if answer.status.is_server_error() {
        ArchiveError::Unreachable(text)
    } else {
        ArchiveError::Refused(text)
    }
}

fn now_us() -> i64 {
    use fengsui_config::clock::{Clock as _, SystemClock};
    SystemClock::new().utc().0
}

fn rfc3339(at: UtcMicros) -> String {
    let at = OffsetDateTime::from_unix_timestamp(at.0.div_euclid(1_000_000));
    at.ok().and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
}

impl ArchiveStore for S3Store {
    fn put(&self, key: &str, source: &dyn FsFile, len: u64) -> Result<(), ArchiveError> {
        let path = self.path(key);
        // A bucket that is not there is nothing that time heals.
        let missing = |e| match e {
            ArchiveError::NotFound(what) => ArchiveError::Refused(format!("{what}: there is no such bucket")),
            other => other,
        };
        if len <= limits::ARCHIVE_PART_BYTES as u64 {
            let part = read_part(source, 0, len)?;
            let put = self.store.put(&path, PutPayload::from_bytes(part));
            return self
                .wait(PART_TIMEOUT, async { put.await.map(drop).map_err(|e| refuse(&e)) })
                .map_err(missing);
        }
        // Each part has its own time; the whole may take as long as its rate wants.
        self.wait(Duration::from_secs(86_400), self.parts(&path, source, len)).map_err(missing)
    }

    fn size(&self, key: &str) -> Result<Option<u64>, ArchiveError> {
        let path = self.path(key);
        let found = self
            .wait(limits::ARCHIVE_TIMEOUT, async { self.store.head(&path).await.map_err(|e| refuse(&e)) });
        match found {
            Ok(meta) => Ok(Some(meta.size)),
            Err(ArchiveError::NotFound(_)) => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn get(&self, key: &str, offset: u64, len: usize) -> Result<Bytes, ArchiveError> {
        let path = self.path(key);
        let range = offset..offset.saturating_add(len as u64);
        // A large part takes longer than a block: 256 KiB a second at least.
        let time = limits::ARCHIVE_TIMEOUT + Duration::from_secs(len as u64 >> 18);
        let bytes =
            self.wait(time, async { self.store.get_range(&path, range).await.map_err(|e| refuse(&e)) })?;
        if bytes.len() == len {
            Ok(bytes)
        } else {
            Err(ArchiveError::Wrong(format!("{key}: {} bytes instead of {len}", bytes.len())))
        }
    }

    fn list(&self, folder: &str, each: &mut dyn FnMut(Listed)) -> Result<(), ArchiveError> {
        let from = self.path(folder);
        let cut = self.prefix.as_ref().len() + usize::from(!self.prefix.as_ref().is_empty());
        self.wait(LIST_TIMEOUT, async {
            let mut objects = self.store.list(Some(&from));
            while let Some(object) = objects.next().await {
                let object = object.map_err(|e| refuse(&e))?;
                let key = object.location.as_ref().get(cut..).unwrap_or_default().to_owned();
                each(Listed { key, bytes: object.size });
            }
            Ok(())
        })
    }

    fn retain(&self, key: &str, retention: Retention) -> Result<(), ArchiveError> {
        let mode = if retention.compliance { "COMPLIANCE" } else { "GOVERNANCE" };
        let until = rfc3339(retention.until);
        let body = Bytes::from(format!(
            "<Retention xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Mode>{mode}</Mode>\
             <RetainUntilDate>{until}</RetainUntilDate></Retention>"
        ));
        let headers = [
            ("x-amz-checksum-sha256", STANDARD.encode(Sha256::digest(&body))),
            ("x-amz-sdk-checksum-algorithm", "SHA256".to_owned()),
        ];
        self.wait(limits::ARCHIVE_TIMEOUT, async {
            let answer = self.signed(Method::PUT, Some(key), "retention=", &headers, body).await?;
            if answer.status.is_success() {
                return Ok(());
            }
            let why = error_code(&answer.text).unwrap_or_default();
            let text = format!("no retention for {key}: {} {why}", answer.status);
            if answer.status.is_server_error() {
                Err(ArchiveError::Unreachable(text))
            } else {
                Err(ArchiveError::Refused(text))
            }
        })
    }

    fn remove(&self, key: &str) -> Result<(), ArchiveError> {
        self.wait(limits::ARCHIVE_TIMEOUT, self.delete(key))
    }

    fn probe_lock(&self) -> LockReport {
        self.wait(limits::ARCHIVE_TIMEOUT, self.find_lock())
            .unwrap_or_else(|e| LockReport { state: LockState::Unknown, reason: e.to_string() })
    }

    fn upload_check(&self) -> &'static str {
        "SHA-256 of every request checked by the store"
    }
}
