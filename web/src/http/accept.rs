//! The accept loop. `axum::serve` has no time-out for a slow request head, so connections are served here: at most
//! `limits::HTTP_CONNECTIONS_MAX` at once, each with a time-out for the TLS handshake, for its first bytes and for every
//! request head. The protocol is fixed by ALPN (TLS) or is HTTP/1.1 (plain), so that nothing waits in a version sniff.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use fengsui_config::limits;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service as _;

/// How a request reached us; every request carries it as an extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Address of the other side.
    pub address: SocketAddr,
    /// True when the connection is encrypted.
    pub tls: bool,
    /// Port of ours that it came to.
    pub port: u16,
}

impl Peer {
    /// What is believed of a request that does not say how it came: as little as there is.
    pub const UNKNOWN: Self =
        Self { address: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0), tls: false, port: 0 };
}

/// One address to listen on.
pub struct Door {
    /// The bound socket.
    pub listener: TcpListener,
    /// Encrypts when present; plain HTTP is for loopback only.
    pub tls: Option<TlsAcceptor>,
}

/// Bytes that must have come before the first time-out: the HTTP/2 preface is 24 bytes, and no HTTP/1 head is shorter
/// than 16.
const FIRST_BYTES_MIN: usize = 16;
/// Pause after a failed accept (no file descriptors, for example), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Streams of one HTTP/2 connection.
const STREAMS_MAX: u32 = 128;
/// Bytes of one request head.
const HEAD_BYTES_MAX: usize = 32 << 10;
/// Bytes that may wait unsent in the kernel for one connection: more would be latency for live pictures.
const UNSENT_BYTES_MAX: u32 = 128 << 10;
/// Interval of HTTP/2 pings, and the time to answer one.
const PING: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));

/// Serves one door until `stop`; connections then finish their running request.
pub async fn serve(
    door: Door,
    router: Router,
    tracker: TaskTracker,
    slots: Arc<Semaphore>,
    stop: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = door.listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(pair) => pair,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(slot) = slots.clone().try_acquire_owned() else {
            tracing::warn!(peer = %address, max = limits::HTTP_CONNECTIONS_MAX, "refuse a connection: too many are open");
            continue;
        };
        let (router, tls, stop) = (router.clone(), door.tls.clone(), stop.clone());
        tracker.spawn(async move {
            if let Err(error) = connection(stream, address, tls, router, stop).await {
                tracing::debug!(peer = %address, %error, "connection ended");
            }
            drop(slot);
        });
    }
}

async fn connection(
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    router: Router,
    stop: CancellationToken,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    stream.set_nodelay(true)?;
    socket2::SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT_BYTES_MAX)?;
    let port = stream.local_addr()?.port();
    let Some(acceptor) = tls else {
        return drive(stream, Peer { address, tls: false, port }, false, router, stop).await;
    };
    let encrypted = tokio::time::timeout(limits::TLS_HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await??;
    let http2 = encrypted.get_ref().1.alpn_protocol() == Some(b"h2".as_slice());
    drive(encrypted, Peer { address, tls: true, port }, http2, router, stop).await
}

async fn drive<S>(
    io: S,
    peer: Peer,
    http2: bool,
    router: Router,
    stop: CancellationToken,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        router.clone().call(request)
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder = if http2 { builder.http2_only() } else { builder.http1_only() };
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HTTP_HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .keep_alive_interval(PING.0)
        .keep_alive_timeout(PING.1);
    let io = TokioIo::new(FirstBytes::new(io, limits::HTTP_HEAD_TIMEOUT));
    let connection = builder.serve_connection_with_upgrades(io, service);
    tokio::pin!(connection);
    tokio::select! {
        done = connection.as_mut() => return done,
        () = stop.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    connection.await
}

/// A stream whose reads fail when its first bytes do not come in time.
struct FirstBytes<S> {
    inner: S,
    seen: usize,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> FirstBytes<S> {
    fn new(inner: S, within: Duration) -> Self {
        Self { inner, seen: 0, deadline: Some(Box::pin(tokio::time::sleep(within))) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FirstBytes<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        if polled.is_ready() {
            self.seen = self.seen.saturating_add(buf.filled().len().saturating_sub(before));
            if self.seen >= FIRST_BYTES_MIN {
                self.deadline = None;
            }
            return polled;
        }
        if let Some(deadline) = self.deadline.as_mut() {
            ready!(deadline.as_mut().poll(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FirstBytes<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }
    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn who_says_too_little_is_not_waited_for() {
        let (mut client, server) = duplex(64);
        client.write_all(b"PRI").await.unwrap();
        let mut server = FirstBytes::new(server, Duration::from_millis(20));
        let mut heard = Vec::new();
        let error = server.read_to_end(&mut heard).await.unwrap_err();
        assert_eq!((error.kind(), heard.as_slice()), (io::ErrorKind::TimedOut, b"PRI".as_slice()));
    }

    #[tokio::test]
    async fn who_has_said_enough_has_no_deadline_here_any_more() {
        let (mut client, server) = duplex(64);
        client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        let mut server = FirstBytes::new(server, Duration::from_secs(3600));
        assert!(server.deadline.is_some());
        server.read_exact(&mut [0; FIRST_BYTES_MIN]).await.unwrap();
        assert!(server.deadline.is_none());
    }

    #[tokio::test]
    async fn connections_over_the_bound_are_closed_and_places_come_free() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(|| async { "here" });
        let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
        let slots = Arc::new(Semaphore::new(1));
        let door = Door { listener, tls: None };
        tracker.spawn(serve(door, router, tracker.clone(), slots.clone(), stop.clone()));
        let ask = async |stream: &mut TcpStream| {
            let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
            let mut first = [0; 12];
            stream.read_exact(&mut first).await.map(|_| first)
        };
        let mut one = TcpStream::connect(address).await.unwrap();
        assert_eq!(&ask(&mut one).await.unwrap(), b"HTTP/1.1 200");
        let mut two = TcpStream::connect(address).await.unwrap();
        assert!(ask(&mut two).await.is_err(), "only one place");
        drop(one);
        let free = tokio::time::timeout(Duration::from_secs(10), slots.acquire()).await;
        drop(free.unwrap().unwrap());
        let mut three = TcpStream::connect(address).await.unwrap();
        assert_eq!(&ask(&mut three).await.unwrap(), b"HTTP/1.1 200");
        stop.cancel();
        tracker.close();
        let ended = tokio::time::timeout(Duration::from_secs(10), tracker.wait()).await;
        assert!(ended.is_ok(), "idle connections end with the loop");
    }
}
