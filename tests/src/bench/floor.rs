//! The floor: what receiving and writing the same bytes costs when nothing else is done. One thread opens a plain
//! RTSP session per camera, sweeps all sockets in a fixed interval and appends what came to one file a camera, in
//! writes of 1 MiB. It parses, hashes, frames and syncs nothing: a recorder cannot be cheaper than this in kind.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::procstat;

/// Bytes gathered for one camera before they are written.
const WRITE_BYTES: usize = 1 << 20;

/// What the floor run moved and used.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
pub struct FloorResult {
    /// Bytes received and written.
    pub bytes: u64,
    /// CPU seconds of this process during the measured time.
    pub cpu_seconds: f64,
    /// Measured wall time in seconds.
    pub seconds: f64,
}

struct Session {
    socket: TcpStream,
    file: File,
    pending: Vec<u8>,
}

/// Runs the floor against `cameras` paths `/cam/<n>/main` of the simulator at `address` for `time`, sweeping every
/// `sweep`, into files under `out`.
///
/// # Errors
/// Any failure to connect, to be served, or to write.
#[expect(clippy::disallowed_methods, reason = "a benchmark driver measures real time")]
pub fn run(
    address: SocketAddr,
    cameras: u32,
    time: Duration,
    sweep: Duration,
    out: &Path,
) -> io::Result<FloorResult> {
    std::fs::create_dir_all(out)?;
    let mut sessions = Vec::new();
    for n in 1..=cameras {
        let socket = open_session(address, n)?;
        let file = File::create(out.join(format!("{n}.raw")))?;
        sessions.push(Session { socket, file, pending: Vec::with_capacity(WRITE_BYTES + (256 << 10)) });
    }
    let mut scratch = vec![0u8; 256 << 10];
    let cpu_before = procstat::own_cpu_seconds()?;
    let start = Instant::now();
    let mut bytes = 0u64;
    let mut next = start;
    while start.elapsed() < time {
        for session in &mut sessions {
            bytes += sweep_one(session, &mut scratch)?;
        }
        next += sweep;
        if let Some(rest) = next.checked_duration_since(Instant::now()) {
            std::thread::sleep(rest);
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    Ok(FloorResult { bytes, cpu_seconds: procstat::own_cpu_seconds()? - cpu_before, seconds })
}

fn sweep_one(session: &mut Session, scratch: &mut [u8]) -> io::Result<u64> {
    let mut got = 0u64;
    loop {
        match session.socket.read(scratch) {
            Ok(0) => {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the simulator closed a session"));
            }
            Ok(n) => {
                got += n as u64;
                session.pending.extend_from_slice(scratch.get(..n).unwrap_or_default());
                if session.pending.len() >= WRITE_BYTES {
                    session.file.write_all(&session.pending)?;
                    session.pending.clear();
                }
                if n < scratch.len() {
                    return Ok(got);
                }
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(got),
            Err(e) => return Err(e),
        }
    }
}

fn open_session(address: SocketAddr, camera: u32) -> io::Result<TcpStream> {
    let mut socket = TcpStream::connect(address)?;
    socket2::SockRef::from(&socket).set_recv_buffer_size(1 << 20)?;
    let url = format!("rtsp://{address}/cam/{camera}/main");
    let description =
        ask(&mut socket, &format!("DESCRIBE {url} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n"))?;
    let base = header(&description, "Content-Base").unwrap_or_else(|| url.clone());
    let control = description
        .lines()
        .skip_while(|l| !l.starts_with("m=video"))
        .find_map(|l| l.strip_prefix("a=control:"))
        .unwrap_or("*")
        .trim();
    let track = if control.starts_with("rtsp://") {
        control.to_owned()
    } else {
        format!("{}/{control}", base.trim_end_matches('/'))
    };
    let setup = ask(
        &mut socket,
        &format!(
            "SETUP {track} RTSP/1.0\r\nCSeq: 2\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n"
        ),
    )?;
    let session = header(&setup, "Session").unwrap_or_default();
    let session = session.split(';').next().unwrap_or_default();
    // The answer to PLAY may already be followed by pictures; they count like the rest.
    socket.write_all(format!("PLAY {base} RTSP/1.0\r\nCSeq: 3\r\nSession: {session}\r\n\r\n").as_bytes())?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn ask(socket: &mut TcpStream, request: &str) -> io::Result<String> {
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    socket.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut byte = [0u8; 1];
    while !answer.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte)?;
        answer.extend_from_slice(&byte);
    }
    let head = String::from_utf8_lossy(&answer).into_owned();
    if !head.starts_with("RTSP/1.0 200") {
        return Err(io::Error::other(format!(
            "the simulator answered: {}",
            head.lines().next().unwrap_or_default()
        )));
    }
    let length: usize = header(&head, "Content-Length").and_then(|v| v.parse().ok()).unwrap_or(0);
    let mut body = vec![0u8; length];
    socket.read_exact(&mut body)?;
    Ok(head + &String::from_utf8_lossy(&body))
}

fn header(answer: &str, name: &str) -> Option<String> {
    answer.lines().find_map(|l| {
        let (key, value) = l.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}
