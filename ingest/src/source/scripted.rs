//! A scripted device on loopback for tests: what it answers, byte by byte.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use fengsui_config::topology::Transport;
use fengsui_config::{Credentials, Secret};
use parking_lot::Mutex;

use crate::spec::Target;

/// 1280x720, High, level 3.1.
pub(crate) const SPS: &str = "6764001facd9405005bb016c80000003008000001e078c18cb";
pub(crate) const PPS: &str = "68ebe3cb22c0";
pub(crate) const IDR: &[u8] = &[0x65, 0x88, 0x84, 0x00, 0x11];
pub(crate) const SLICE: &[u8] = &[0x41, 0x9A, 0x21, 0x6C];
pub(crate) const H264: &str = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track0\r\n";
pub(crate) const ALAW: &str = "m=audio 0 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=control:track1\r\n";

pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

pub(crate) fn framed(channel: u8, data: &[u8]) -> Vec<u8> {
    let mut out = vec![b'$', channel];
    out.extend_from_slice(&(data.len() as u16).to_be_bytes());
    out.extend_from_slice(data);
    out
}

/// An interleaved RTP packet (RFC 3550 section 5.1).
pub(crate) fn rtp(channel: u8, seq: u16, time: u32, mark: bool, payload: &[u8]) -> Vec<u8> {
    let mut p = vec![0x80, if mark { 0xE0 } else { 0x60 }];
    p.extend_from_slice(&seq.to_be_bytes());
    p.extend_from_slice(&time.to_be_bytes());
    p.extend_from_slice(&(0x1000 + u32::from(channel)).to_be_bytes());
    p.extend_from_slice(payload);
    framed(channel, &p)
}

/// SPS, PPS and an IDR picture in packets `seq` to `seq + 2`.
pub(crate) fn key_picture(seq: u16, time: u32) -> Vec<u8> {
    [
        rtp(0, seq, time, false, &bytes(SPS)),
        rtp(0, seq + 1, time, false, &bytes(PPS)),
        rtp(0, seq + 2, time, true, IDR),
    ]
    .concat()
}

/// What the scripted device does.
#[derive(Clone)]
pub(crate) struct Script {
    /// Media part of the description.
    pub(crate) sdp: String,
    /// Status of DESCRIBE, SETUP and PLAY.
    pub(crate) status: [u16; 3],
    /// DESCRIBE first asks for credentials.
    pub(crate) challenge: bool,
    /// Every request is challenged anew, with a nonce that holds for it alone.
    pub(crate) fresh_nonces: bool,
    /// Answer of the second SETUP.
    pub(crate) second_track: u16,
    /// Sent instead of any answer.
    pub(crate) instead: Option<Vec<u8>>,
    /// Header lines of the description's answer.
    pub(crate) described: String,
    /// Transport that SETUP agrees to, for what is proposed.
    pub(crate) transport: Option<String>,
    /// Seconds of the session's timeout.
    pub(crate) timeout: u32,
    /// Sent after PLAY.
    pub(crate) media: Vec<u8>,
    /// Closes the connection after the media.
    pub(crate) close: bool,
    /// Connections it takes; further ones find the port closed.
    pub(crate) connections: usize,
    /// Heads of all requests, as they came.
    pub(crate) heard: Arc<Mutex<Vec<String>>>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            sdp: H264.to_owned(),
            status: [200; 3],
            challenge: false,
            fresh_nonces: false,
            second_track: 200,
            instead: None,
            described: "Content-Type: application/sdp\r\n".to_owned(),
            transport: None,
            timeout: 60,
            media: Vec::new(),
            close: false,
            connections: 1,
            heard: Arc::default(),
        }
    }
}

impl Script {
    /// First words of all requests so far.
    pub(crate) fn methods(&self) -> Vec<String> {
        let heard = self.heard.lock();
        heard.iter().map(|head| head.split(' ').next().unwrap_or_default().to_owned()).collect()
    }
}

pub(crate) fn listen(script: &Script) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let script = script.clone();
    std::thread::spawn(move || {
        let mut left = script.connections;
        let mut listener = Some(listener);
        while let Some(open) = &listener {
            let (connection, _) = open.accept().unwrap();
            left -= 1;
            if left == 0 {
                listener = None;
            }
            let script = script.clone();
            std::thread::spawn(move || {
                let _client_gone = talk(connection, &script);
            });
        }
    });
    address
}

fn talk(mut connection: TcpStream, script: &Script) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection.try_clone()?);
    let (mut tracks, mut nonce) = (0_u8, 0_u32);
    loop {
        let (mut head, mut line) = (String::new(), String::new());
        while reader.read_line(&mut line)? > 2 {
            head.push_str(&line);
            line.clear();
        }
        if head.is_empty() {
            return Ok(());
        }
        script.heard.lock().push(head.clone());
        if let Some(instead) = &script.instead {
            connection.write_all(instead)?;
            return Ok(());
        }
        let step = ["DESCRIBE", "SETUP", "PLAY"].iter().position(|m| head.starts_with(m));
        let mut status = step.map_or(200, |s| script.status[s]);
        if step == Some(1) && tracks > 0 {
            status = script.second_track;
        }
        if script.challenge && step == Some(0) && !head.contains("Authorization") {
            status = 401;
        }
        if script.fresh_nonces && !head.contains(&format!("nonce=\"n{nonce}\"")) {
            status = 401;
        }
        nonce += 1;
        let answer = answer(script, &head, step, (status, nonce), &mut tracks);
        connection.write_all(answer.as_bytes())?;
        if step == Some(2) && status == 200 {
            connection.write_all(&script.media)?;
            if script.close {
                return Ok(());
            }
        }
    }
}

fn answer(
    script: &Script,
    head: &str,
    step: Option<usize>,
    (status, nonce): (u16, u32),
    tracks: &mut u8,
) -> String {
    let cseq = head.lines().find_map(|l| l.strip_prefix("CSeq: ")).unwrap_or("0");
    let mut answer = format!("RTSP/1.0 {status} Reason\r\nCSeq: {cseq}\r\n");
    if status == 401 {
        let nonce = if script.fresh_nonces { nonce.to_string() } else { String::new() };
        answer.push_str(&format!("WWW-Authenticate: Digest realm=\"x\", nonce=\"n{nonce}\"\r\n"));
    }
    let mut body = String::new();
    match step {
        Some(0) if status == 200 => {
            body = format!("v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=x\r\nt=0 0\r\na=control:*\r\n{}", script.sdp);
            answer.push_str(&script.described);
        }
        Some(1) if status == 200 => {
            let proposed = format!("RTP/AVP/TCP;unicast;interleaved={}-{}", *tracks * 2, *tracks * 2 + 1);
            let transport = script.transport.as_ref().unwrap_or(&proposed);
            answer.push_str(&format!("Session: 1;timeout={}\r\nTransport: {transport}\r\n", script.timeout));
            *tracks += 1;
        }
        Some(2) => answer.push_str("Session: 1\r\n"),
        None if head.starts_with("OPTIONS") => {
            answer.push_str("Public: OPTIONS, DESCRIBE, GET_PARAMETER\r\n")
        }
        _ => {}
    }
    format!("{answer}Content-Length: {}\r\n\r\n{body}", body.len())
}

pub(crate) fn target(address: SocketAddr) -> Target {
    Target {
        url: format!("rtsp://{address}/cam").parse().unwrap(),
        transport: Transport::Tcp,
        credentials: Some(Credentials {
            user: "admin".to_owned(),
            password: Secret::new("s3cret".to_owned()),
        }),
    }
}

pub(crate) fn within<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(20), future).await.expect("20 s are enough")
    })
}
