//! A small RTSP client: checks the simulator in tests, and drains it for measurements. It does what it is told and
//! nothing by itself; it has no authentication.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

/// Bytes taken at a time.
const READ_BYTES: usize = 64 << 10;

/// An answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Header lines as sent.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: String,
}

impl Answer {
    /// The first header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}

/// An RTP packet's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpHead {
    /// Payload type.
    pub payload_type: u8,
    /// Last packet of a picture.
    pub marker: bool,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp.
    pub timestamp: u32,
    /// SSRC.
    pub ssrc: u32,
}

impl RtpHead {
    /// Reads the first 12 bytes of a packet.
    #[must_use]
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let head = packet.get(..12)?;
        let [first, second, s1, s0, t3, t2, t1, t0, r3, r2, r1, r0] = *head else { return None };
        (first >> 6 == 2).then_some(Self {
            payload_type: second & 0x7f,
            marker: second & 0x80 != 0,
            sequence: u16::from_be_bytes([s1, s0]),
            timestamp: u32::from_be_bytes([t3, t2, t1, t0]),
            ssrc: u32::from_be_bytes([r3, r2, r1, r0]),
        })
    }
}

/// What came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// An answer to a request.
    Answer(Answer),
    /// An interleaved packet: channel and bytes.
    Packet(u8, Vec<u8>),
}

fn broken(text: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, text)
}

/// A connection to a server.
#[derive(Debug)]
pub struct Client {
    socket: TcpStream,
    url: String,
    input: Vec<u8>,
    cseq: u32,
    session: Option<String>,
}

impl Client {
    /// Connects; every later read ends after `patience` without a byte.
    ///
    /// # Errors
    /// When the connection is refused.
    pub fn connect(server: SocketAddr, url: &str, patience: Duration) -> std::io::Result<Self> {
        let socket = TcpStream::connect(server)?;
        socket.set_read_timeout(Some(patience))?;
        Ok(Self { socket, url: url.to_owned(), input: Vec::new(), cseq: 0, session: None })
    }

    /// The socket, for those who read it themselves.
    #[must_use]
    pub fn into_socket(self) -> TcpStream {
        self.socket
    }

    /// Sends a request for the client's address (plus `suffix`) and waits for the answer; packets before it are lost.
    ///
    /// # Errors
    /// When the connection ends or what comes is no RTSP.
    pub fn request(&mut self, method: &str, suffix: &str, headers: &str) -> std::io::Result<Answer> {
        self.cseq += 1;
        let session = self.session.as_ref().map(|s| format!("Session: {s}\r\n")).unwrap_or_default();
        let text = format!(
            "{method} {}{suffix} RTSP/1.0\r\nCSeq: {}\r\n{session}{headers}\r\n",
            self.url, self.cseq
        );
        self.socket.write_all(text.as_bytes())?;
        loop {
            if let Received::Answer(answer) = self.receive()? {
                if let Some(session) = answer.header("Session") {
                    self.session = session.split(';').next().map(str::to_owned);
                }
                return Ok(answer);
            }
        }
    }

    /// OPTIONS, DESCRIBE, SETUP of the video over TCP, PLAY.
    ///
    /// # Errors
    /// When the connection ends or an answer is not 200.
    pub fn play_tcp(&mut self) -> std::io::Result<Answer> {
        self.expect("DESCRIBE", "", "Accept: application/sdp\r\n")?;
        self.expect("SETUP", "/trackID=0", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n")?;
        self.expect("PLAY", "", "Range: npt=0-\r\n")
    }

    /// As [`Client::play_tcp`] over UDP; gives the RTP and RTCP sockets.
    ///
    /// # Errors
    /// When the connection ends, an answer is not 200, or no ports can be had.
    pub fn play_udp(&mut self) -> std::io::Result<(UdpSocket, UdpSocket)> {
        let local = self.socket.local_addr()?.ip();
        let (rtp, rtcp) = (UdpSocket::bind((local, 0))?, UdpSocket::bind((local, 0))?);
        for socket in [&rtp, &rtcp] {
            socket.set_read_timeout(self.socket.read_timeout()?)?;
        }
        let ports = format!("{}-{}", rtp.local_addr()?.port(), rtcp.local_addr()?.port());
        self.expect("DESCRIBE", "", "Accept: application/sdp\r\n")?;
        self.expect("SETUP", "/trackID=0", &format!("Transport: RTP/AVP;unicast;client_port={ports}\r\n"))?;
        self.expect("PLAY", "", "Range: npt=0-\r\n")?;
        Ok((rtp, rtcp))
    }

    fn expect(&mut self, method: &str, suffix: &str, headers: &str) -> std::io::Result<Answer> {
        let answer = self.request(method, suffix, headers)?;
        if answer.status == 200 {
            Ok(answer)
        } else {
            Err(broken(&format!("{method}: status {}", answer.status)))
        }
    }

    /// The next answer or packet.
    ///
    /// # Errors
    /// When the connection ends, nothing comes in time, or what comes is no RTSP.
    pub fn receive(&mut self) -> std::io::Result<Received> {
        loop {
            if let Some((received, length)) = take(&self.input)? {
                self.input.drain(..length);
                return Ok(received);
            }
            let mut chunk = vec![0; READ_BYTES];
            let n = self.socket.read(&mut chunk)?;
            if n == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            self.input.extend_from_slice(chunk.get(..n).unwrap_or_default());
        }
    }
}

fn take(input: &[u8]) -> std::io::Result<Option<(Received, usize)>> {
    if let [b'$', rest @ ..] = input {
        let [channel, hi, lo, rest @ ..] = rest else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes([*hi, *lo]));
        return Ok(rest.get(..length).map(|p| (Received::Packet(*channel, p.to_vec()), length + 4)));
    }
    let start = input.get(..input.len().min(5)).unwrap_or_default();
    if !b"RTSP/".starts_with(start) {
        return Err(broken("neither packet nor answer"));
    }
    let Some(end) = input.windows(4).position(|w| w == b"\r\n\r\n") else { return Ok(None) };
    let head = input
        .get(..end)
        .and_then(|h| std::str::from_utf8(h).ok())
        .ok_or_else(|| broken("head is no text"))?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|l| l.split(' ').nth(1)).and_then(|s| s.parse().ok());
    let status = status.ok_or_else(|| broken("no status"))?;
    let headers: Vec<(String, String)> =
        lines.filter_map(|l| l.split_once(": ")).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    let mut answer = Answer { status, headers, body: String::new() };
    let length: usize = answer.header("Content-Length").and_then(|l| l.parse().ok()).unwrap_or(0);
    let Some(body) = input.get(end + 4..end + 4 + length) else { return Ok(None) };
    answer.body = String::from_utf8_lossy(body).into_owned();
    Ok(Some((Received::Answer(answer), end + 4 + length)))
}
