//! Many viewers in one process: wall sockets as a browser opens them, by HTTP or TLS, which read everything, read
//! slowly, or read nothing.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use fengsui_config::clock::{Clock as _, SystemClock};
use fengsui_config::ids::StreamKind;
use futures::{SinkExt as _, StreamExt as _};
use parking_lot::Mutex;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpSocket;
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use super::node::Node;
use crate::harness::config::camera_code;
use crate::harness::{Api, Doing as _, HarnessError, Outcome};

/// Length of what stands before a picture on the wire; see `web/src/live/protocol.rs`.
const HEADER_BYTES: usize = 24;
/// Flag of a picture that a decoder can start at.
pub const FLAG_KEY: u8 = 1;
/// Flag of a picture from the cached group of pictures.
pub const FLAG_WARM: u8 = 4;
/// Pictures whose times are kept.
const SAMPLES_MAX: usize = 1 << 20;
/// Receive buffer of a viewer that reads little: what the kernel would keep for it is not what is measured.
const SMALL_BUFFER: u32 = 16 << 10;
/// Pause of a slow viewer after each message.
const SLOW_PAUSE: Duration = Duration::from_millis(300);

/// How a viewer reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// As fast as it comes.
    All,
    /// About three messages a second.
    Slowly,
    /// Nothing after it subscribed.
    Nothing,
}

/// One socket: the streams it shows, and how it reads.
#[derive(Debug, Clone)]
pub struct Socket {
    /// Camera numbers.
    pub cameras: Vec<u16>,
    /// Which of their streams.
    pub stream: StreamKind,
    /// How it reads.
    pub reads: Reads,
}

/// A picture as a viewer got it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Camera number.
    pub camera: u16,
    /// `FLAG_*`.
    pub flags: u8,
    /// The picture's moment on the node's clock.
    pub utc_us: i64,
    /// Its number in the stream.
    pub seq: u32,
    /// From the arrival of its last packet to its hand-over, by the node.
    pub server_us: u32,
    /// When it was here.
    pub got_us: i64,
}

impl Sample {
    /// The tile that it is for, and what stands before it.
    fn read(bytes: &[u8], cameras: &[u16], got_us: i64) -> Option<(usize, Self)> {
        let word = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let tile = word(4)? as usize;
        let sample = Self {
            camera: *cameras.get(tile)?,
            flags: *bytes.get(1)?,
            utc_us: i64::from_be_bytes(bytes.get(8..16)?.try_into().ok()?),
            seq: word(16)?,
            server_us: word(20)?,
            got_us,
        };
        Some((tile, sample))
    }
}

/// What all viewers together saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// Pictures.
    pub pictures: AtomicU64,
    /// Bytes of them.
    pub bytes: AtomicU64,
    /// Tiles that have had a picture.
    pub playing: AtomicU64,
    /// Sockets that ended before they were told to.
    pub ended: AtomicU64,
    /// Notices that something was refused.
    pub refused: AtomicU64,
    /// Whether times are kept.
    pub keep: AtomicBool,
    /// The times, in order for each camera.
    pub samples: Mutex<Vec<Sample>>,
}

/// Where and as whom viewers connect.
#[derive(Clone)]
pub struct Door {
    address: SocketAddr,
    url: String,
    cookie: String,
    tls: Option<tokio_rustls::TlsConnector>,
}

impl Door {
    /// Becomes the node's administrator; `tls` connects by TLS and trusts the certificate that the node made below
    /// `home`. The client is a program and sends no `Origin`.
    ///
    /// # Errors
    /// The node refuses, or there is no certificate.
    pub async fn open(node: &Node, home: &Path, tls: bool) -> Outcome<Self> {
        let api = Api::new(&node.url)?;
        api.set_up(&node.setup_token).await?;
        let url = if tls { node.tls_url.as_deref() } else { Some(node.url.as_str()) };
        let url = url.ok_or_else(|| HarnessError("the node does not serve by TLS".to_owned()))?;
        let connector =
            tls.then(|| connector(&home.join("data").join("tls").join("cert.pem"))).transpose()?;
        Self::log_in(&api, url, connector).await
    }

    /// The door of a node that serves at `url` without TLS and has its administrator.
    ///
    /// # Errors
    /// The node refuses.
    pub async fn of(url: &str) -> Outcome<Self> {
        Self::log_in(&Api::new(url)?, url, None).await
    }

    async fn log_in(api: &Api, url: &str, tls: Option<tokio_rustls::TlsConnector>) -> Outcome<Self> {
        let (name, password) = crate::harness::api::ADMINISTRATOR;
        let answer = api.post("/session", &json!({ "name": name, "password": password })).await?;
        let id = answer.cookies().find(|c| c.name().starts_with("fengsui-")).map(|c| c.value().to_owned());
        let id = id.ok_or_else(|| HarnessError("no cookie came with the log-in".to_owned()))?;
        let host = url.split("://").nth(1).unwrap_or_default();
        let address: std::net::SocketAddr = host.parse().doing(format!("read the address {host}"))?;
        // Cookies are named by the port they are for.
        let (scheme, prefix) = if tls.is_some() { ("wss", "__Host-") } else { ("ws", "") };
        Ok(Self {
            address,
            url: format!("{scheme}://{host}/api/v1/live/ws"),
            cookie: format!("{prefix}fengsui-{}={id}", address.port()),
            tls,
        })
    }
}

fn connector(certificate: &Path) -> Outcome<tokio_rustls::TlsConnector> {
    let der = CertificateDer::from_pem_file(certificate).doing(format!("read {}", certificate.display()))?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(der).doing("trust the node's certificate")?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .doing("make a TLS client")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(tokio_rustls::TlsConnector::from(Arc::new(config)))
}

/// Running viewers; dropped, they are gone.
pub struct Viewers {
    /// What they saw.
    pub seen: Arc<Seen>,
    // Its tasks end with it, before the runtime they run on.
    _tasks: JoinSet<()>,
    _runtime: Arc<tokio::runtime::Runtime>,
}

impl Viewers {
    /// Opens all sockets, a few at a time.
    ///
    /// # Errors
    /// One is refused.
    pub fn open(runtime: &Arc<tokio::runtime::Runtime>, door: &Door, sockets: Vec<Socket>) -> Outcome<Self> {
        let seen = Arc::new(Seen::default());
        let mut tasks = JoinSet::new();
        for socket in sockets {
            let stream = runtime.block_on(connect(door, socket.reads))?;
            let seen = seen.clone();
            tasks.spawn_on(
                async move {
                    let ended = view(stream, &socket, &seen).await;
                    seen.ended.fetch_add(1, Ordering::Relaxed);
                    if let Err(e) = ended {
                        tracing::debug!("a viewer ended: {e}");
                    }
                },
                runtime.handle(),
            );
        }
        Ok(Self { seen, _tasks: tasks, _runtime: runtime.clone() })
    }

    /// Waits until `tiles` have had a picture.
    ///
    /// # Errors
    /// They have not within `patience`.
    pub fn wait_playing(&self, tiles: u64, patience: Duration) -> io::Result<()> {
        let seen = &self.seen;
        super::node::wait_until(&format!("{tiles} tiles play"), patience, || {
            Ok(seen.playing.load(Ordering::Relaxed) >= tiles)
        })
        .map_err(|e| {
            let load = |n: &AtomicU64| n.load(Ordering::Relaxed);
            let (playing, ended, refused) = (load(&seen.playing), load(&seen.ended), load(&seen.refused));
            io::Error::new(
                e.kind(),
                format!("{e}: {playing} play, {ended} sockets ended, {refused} were refused"),
            )
        })
    }
}

/// Anything that a WebSocket runs on.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// A wall socket.
pub type Stream = WebSocketStream<Box<dyn Wire>>;

/// Opens a wall socket that shows nothing yet.
///
/// # Errors
/// The node refuses.
pub async fn connect(door: &Door, reads: Reads) -> Outcome<Stream> {
    let socket = TcpSocket::new_v4().doing("make a socket")?;
    if reads != Reads::All {
        socket.set_recv_buffer_size(SMALL_BUFFER).doing("shrink a receive buffer")?;
    }
    let tcp = socket.connect(door.address).await.doing("connect a viewer")?;
    tcp.set_nodelay(true).doing("set up a viewer's socket")?;
    let wire: Box<dyn Wire> = match &door.tls {
        Some(tls) => {
            let name = ServerName::from(door.address.ip());
            Box::new(tls.connect(name, tcp).await.doing("shake hands by TLS")?)
        }
        None => Box::new(tcp),
    };
    let mut request = door.url.as_str().into_client_request().doing("make a request")?;
    let cookie = door.cookie.parse().doing("write the cookie")?;
    request.headers_mut().insert(http::header::COOKIE, cookie);
    let (stream, _) = tokio_tungstenite::client_async(request, wire).await.doing("open a wall socket")?;
    Ok(stream)
}

async fn view(mut stream: Stream, socket: &Socket, seen: &Seen) -> Outcome<()> {
    let clock = SystemClock::new();
    for (tile, camera) in socket.cameras.iter().enumerate() {
        let ask = json!({ "op": "subscribe", "sub": tile, "camera": camera_code(*camera), "stream": socket.stream });
        stream.send(Message::text(ask.to_string())).await.doing("subscribe")?;
    }
    if socket.reads == Reads::Nothing {
        return std::future::pending().await;
    }
    let mut had = vec![false; socket.cameras.len()];
    while let Some(message) = stream.next().await {
        match message.doing("read")? {
            Message::Binary(bytes) if bytes.len() > HEADER_BYTES => {
                let got_us = clock.utc().0;
                // Two tiles of a socket may show one camera.
                let Some((tile, sample)) = Sample::read(&bytes, &socket.cameras, got_us) else { continue };
                seen.pictures.fetch_add(1, Ordering::Relaxed);
                seen.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                if let Some(had) = had.get_mut(tile)
                    && !std::mem::replace(had, true)
                {
                    seen.playing.fetch_add(1, Ordering::Relaxed);
                }
                if seen.keep.load(Ordering::Relaxed) {
                    let mut samples = seen.samples.lock();
                    if samples.len() < SAMPLES_MAX {
                        samples.push(sample);
                    }
                }
            }
            Message::Text(text) if text.contains("\"op\":\"error\"") => {
                seen.refused.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
        if socket.reads == Reads::Slowly {
            tokio::time::sleep(SLOW_PAUSE).await;
        }
    }
    Ok(())
}

/// A runtime for viewers: one thread, as they share two cores with all else.
///
/// # Errors
/// The machine refuses a thread.
pub fn runtime() -> io::Result<Arc<tokio::runtime::Runtime>> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().map(Arc::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_a_picture_is_read() {
        let mut bytes = vec![1, FLAG_KEY | FLAG_WARM, 0, 0];
        bytes.extend(1u32.to_be_bytes());
        bytes.extend((-5i64).to_be_bytes());
        bytes.extend(7u32.to_be_bytes());
        bytes.extend(9u32.to_be_bytes());
        let sample = Sample::read(&bytes, &[3, 4], 11);
        let wanted = Sample { camera: 4, flags: 5, utc_us: -5, seq: 7, server_us: 9, got_us: 11 };
        assert_eq!(sample, Some((1, wanted)));
        assert_eq!(Sample::read(&bytes, &[3], 11), None);
    }
}
