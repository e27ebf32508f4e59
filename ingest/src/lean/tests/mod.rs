//! The parser against retina: the same bytes to both, and every item the same.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

mod device;
mod differential;
mod rules;

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use fengsui_config::clock::SystemClock;
use fengsui_config::topology::Transport;
use fengsui_storage::board::FailureClass;
use fengsui_storage::frame::VideoCodec;

use super::media::{AudioMedia, Media, VideoMedia};
use super::wire::{Trouble, Wire, WireItem};
use crate::failure::Failure;
use crate::source::{Openers, SourceItem};
use crate::spec::Target;

/// What a device describes, and every byte that it sends once it plays.
#[derive(Debug, Clone)]
struct Device {
    codec: VideoCodec,
    format: Option<String>,
    audio: Option<AudioMedia>,
    media: Vec<u8>,
}

impl Device {
    fn media(&self) -> Media {
        let video = VideoMedia { codec: self.codec, channel: 0, format: self.format.clone() };
        Media { video, audio: self.audio.clone() }
    }

    fn sdp(&self) -> String {
        let fmtp = |kind: u8, format: &Option<String>| {
            format.as_ref().map_or(String::new(), |f| format!("a=fmtp:{kind} {f}\r\n"))
        };
        let name = if self.codec == VideoCodec::H264 { "H264" } else { "H265" };
        let mut sdp = "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=x\r\nt=0 0\r\na=control:*\r\n".to_owned();
        sdp += &format!("m=video 0 RTP/AVP 96\r\na=rtpmap:96 {name}/90000\r\n{}", fmtp(96, &self.format));
        sdp += "a=control:track0\r\n";
        if let Some(a) = &self.audio {
            let channels = a.channels.map_or(String::new(), |n| format!("/{n}"));
            sdp +=
                &format!("m=audio 0 RTP/AVP 97\r\na=rtpmap:97 {}/{}{channels}\r\n", a.encoding, a.clock_rate);
            sdp += &format!("{}a=control:track1\r\n", fmtp(97, &a.format));
        }
        sdp
    }
}

/// What came of a session, and how it ended.
#[derive(Debug)]
struct Heard {
    items: Vec<String>,
    /// `None`: the client panicked.
    end: Option<Failure>,
}

fn serve(device: Device) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (connection, _) = listener.accept().unwrap();
        drop(listener);
        let _client_gone = talk(connection, &device);
    });
    address
}

fn talk(mut connection: TcpStream, device: &Device) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection.try_clone()?);
    let mut tracks = 0;
    loop {
        let (mut head, mut line) = (String::new(), String::new());
        while reader.read_line(&mut line)? > 2 {
            head.push_str(&std::mem::take(&mut line));
        }
        let cseq = head.lines().find_map(|l| l.strip_prefix("CSeq: ")).unwrap_or("0");
        let mut body = String::new();
        let extra = match head.split(' ').next().unwrap_or_default() {
            "DESCRIBE" => {
                body = device.sdp();
                "Content-Type: application/sdp".to_owned()
            }
            "SETUP" => {
                tracks += 2;
                let channels = format!("{}-{}", tracks - 2, tracks - 1);
                format!("Session: 1;timeout=60\r\nTransport: RTP/AVP/TCP;unicast;interleaved={channels}")
            }
            "PLAY" => "Session: 1".to_owned(),
            _ => return Ok(()),
        };
        let length = body.len();
        let answer =
            format!("RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\n{extra}\r\nContent-Length: {length}\r\n\r\n{body}");
        connection.write_all(answer.as_bytes())?;
        if head.starts_with("PLAY") {
            return connection.write_all(&device.media);
        }
    }
}

/// What the client that all sessions are held against makes of a device.
fn retina_hears(device: &Device) -> Heard {
    let url = format!("rtsp://{}/cam", serve(device.clone())).parse().unwrap();
    let target = Target { url, transport: Transport::Tcp, credentials: None };
    let mut items = Vec::new();
    let play = AssertUnwindSafe(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let play = async {
            let mut source =
                Openers::shared(std::sync::Arc::new(SystemClock::new()), false).open(target).await.unwrap();
            loop {
                match std::future::poll_fn(|cx| source.poll_next(cx)).await {
                    Ok(item) => items.push(format!("{item:?}")),
                    Err(failure) => return failure,
                }
            }
        };
        runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(60), play).await.expect("60 s are enough")
        })
    });
    let end = std::panic::catch_unwind(play).ok();
    Heard { items, end }
}

/// What we make of it, with the bytes split where `cut` says: it is asked for the length of each part.
fn wire_hears(device: &Device, cut: &mut dyn FnMut() -> usize) -> (Heard, Option<Trouble>) {
    let mut wire = Wire::new(&device.media()).unwrap();
    let (mut rest, mut out, mut trouble) = (&device.media[..], VecDeque::new(), None);
    while !rest.is_empty() && trouble.is_none() {
        let (part, after) = rest.split_at(cut().clamp(1, rest.len()));
        trouble = wire.take(part, &mut out).err();
        rest = after;
    }
    let items = out
        .into_iter()
        .filter_map(|item| match item {
            WireItem::Source(item) => Some(item),
            WireItem::Message(_) => None,
        })
        .map(|item: SourceItem| format!("{item:?}"))
        .collect();
    let end = match &trouble {
        None => wire.closed(),
        Some(trouble) => Failure::new(FailureClass::BadData, trouble.to_string()),
    };
    (Heard { items, end: Some(end) }, trouble)
}
