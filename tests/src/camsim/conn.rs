//! One RTSP connection: its buffers, and the way out to a peer that may read slowly.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use super::session::{Outlet, Session};

/// Bytes taken from a socket at a time.
const READ_BYTES: usize = 16 << 10;
/// Bytes of unparsed input that one connection may hold.
const INPUT_BYTES_MAX: usize = 256 << 10;

/// Bytes that a peer has not taken yet, and the pictures they belong to.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    gone: usize,
    queued_total: u64,
    sent_total: u64,
    /// Pictures not wholly gone: number, key, and the value of `sent_total` at which they are.
    pictures: VecDeque<(i64, bool, u64)>,
    /// Bytes given to the socket since the statistics were last collected.
    pub fresh: u64,
    /// Set when the socket failed.
    pub failed: bool,
}

impl Outbox {
    /// Bytes that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.bytes.len() - self.gone
    }

    /// The pictures that have not wholly left.
    pub fn unsent(&self) -> impl Iterator<Item = (i64, bool)> + '_ {
        self.pictures.iter().map(|&(n, key, _)| (n, key))
    }

    /// Sends what it can at once and keeps the rest.
    pub fn push(&mut self, socket: &TcpStream, bytes: &[u8]) {
        self.flush(socket);
        self.queued_total += bytes.len() as u64;
        let mut rest = bytes;
        while self.waiting() == 0 && !rest.is_empty() && !self.failed {
            match self.write(socket, rest) {
                0 => break,
                n => rest = rest.get(n..).unwrap_or_default(),
            }
        }
        if !rest.is_empty() {
            self.bytes.extend_from_slice(rest);
        }
    }

    /// Like [`Outbox::push`], remembering which picture the bytes are.
    pub fn push_picture(&mut self, socket: &TcpStream, n: i64, key: bool, bytes: &[u8]) {
        self.push(socket, bytes);
        if self.waiting() > 0 && !bytes.is_empty() {
            self.pictures.push_back((n, key, self.queued_total));
        }
    }

    /// Sends more of what waits.
    pub fn flush(&mut self, socket: &TcpStream) {
        while self.waiting() > 0 && !self.failed {
            let bytes = std::mem::take(&mut self.bytes);
            let n = self.write(socket, bytes.get(self.gone..).unwrap_or_default());
            self.bytes = bytes;
            self.gone += n;
            if n == 0 {
                break;
            }
        }
        if self.waiting() == 0 {
            self.bytes.clear();
            self.gone = 0;
        } else if self.gone > self.bytes.len() / 2 {
            self.bytes.drain(..self.gone);
            self.gone = 0;
        }
        while self.pictures.front().is_some_and(|p| p.2 <= self.sent_total) {
            self.pictures.pop_front();
        }
    }

    fn write(&mut self, mut socket: &TcpStream, bytes: &[u8]) -> usize {
        match socket.write(bytes) {
            Ok(n) => {
                self.sent_total += n as u64;
                self.fresh += n as u64;
                n
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => 0,
            Err(_) => {
                self.failed = true;
                0
            }
        }
    }
}

/// An outbox and its socket, as sessions see them.
pub struct Way<'a> {
    /// What waits.
    pub outbox: &'a mut Outbox,
    /// Where it goes.
    pub socket: &'a TcpStream,
    /// Pictures that went this way; over UDP without bytes.
    pub pictures: u64,
}

impl Outlet for Way<'_> {
    fn waiting(&mut self) -> usize {
        if self.outbox.waiting() > 0 {
            self.outbox.flush(self.socket);
        }
        self.outbox.waiting()
    }
    fn picture(&mut self, n: i64, key: bool, bytes: &[u8]) {
        self.pictures += 1;
        if !bytes.is_empty() {
            self.outbox.push_picture(self.socket, n, key, bytes);
        }
    }
}

/// How a connection ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// For the ledger.
    pub reason: String,
    /// By a TCP reset.
    pub reset: bool,
}

impl End {
    /// An orderly end.
    #[must_use]
    pub fn orderly(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), reset: false }
    }
    /// A reset.
    #[must_use]
    pub fn reset(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), reset: true }
    }
}

/// A connection.
#[derive(Debug)]
pub struct Conn {
    /// Its name in epoll.
    pub token: u64,
    /// The socket.
    pub socket: TcpStream,
    /// The client.
    pub peer: SocketAddr,
    /// Our side.
    pub local: SocketAddr,
    /// The camera whose address it was made to.
    pub camera: Option<u16>,
    /// Position of the address among all.
    pub device: usize,
    /// It has not come to PLAY yet.
    pub opening: bool,
    /// It has asked for a stream.
    pub named: bool,
    /// What has come in and is no whole message yet.
    pub input: Vec<u8>,
    /// What has not gone out yet.
    pub outbox: Outbox,
    /// Whether epoll watches for room to write.
    pub watches_write: bool,
    /// The nonce of the last challenge.
    pub nonce: String,
    /// Requests judged right with it.
    pub nonce_uses: u64,
    /// Requests with credentials so far.
    pub authorised: u64,
    /// Its session.
    pub session: Option<Session>,
    /// When the client was last heard.
    pub heard_us: i64,
    /// Answers that go out later.
    pub delayed: VecDeque<(i64, Vec<u8>)>,
}

impl Conn {
    /// Reads all there is; `Err` when the peer has closed or failed.
    ///
    /// # Errors
    /// How the connection ends.
    pub fn fill(&mut self) -> Result<(), End> {
        let mut chunk = [0u8; READ_BYTES];
        loop {
            match self.socket.read(&mut chunk) {
                Ok(0) => return Err(End::orderly("closed by peer")),
                Ok(n) => self.input.extend_from_slice(chunk.get(..n).unwrap_or_default()),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(End::orderly(format!("read failed: {}", e.kind()))),
            }
            if self.input.len() > INPUT_BYTES_MAX {
                return Err(End::reset("peer sends too much"));
            }
        }
    }

    /// Sends bytes now, or keeps them.
    pub fn send(&mut self, bytes: &[u8]) {
        self.outbox.push(&self.socket, bytes);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_peer_that_does_not_read_leaves_pictures_unsent_until_it_does() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        server.set_nonblocking(true).unwrap();
        let mut outbox = Outbox::default();
        let picture = vec![7u8; 1 << 20];
        let mut n = 0;
        while outbox.waiting() == 0 {
            outbox.push_picture(&server, n, n == 0, &picture);
            n += 1;
        }
        outbox.push_picture(&server, n, false, &picture);
        assert_eq!(outbox.unsent().map(|u| u.0).collect::<Vec<_>>(), [n - 1, n]);
        let total = (n as usize + 1) << 20;
        let reader = std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            let mut got = 0;
            while got < total {
                got += client.read(&mut buffer).unwrap();
            }
            got
        });
        while outbox.waiting() > 0 {
            outbox.flush(&server);
            std::thread::yield_now();
        }
        assert_eq!(outbox.unsent().count(), 0);
        assert_eq!(reader.join().unwrap(), total);
    }
}
