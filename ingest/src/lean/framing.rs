//! Cuts the bytes of a session that is being opened into messages and packets. Pure.

use fengsui_config::limits;
use rtsp_types::{Message, ParseError};

/// What stands at the beginning of the bytes.
#[derive(Debug)]
pub(super) enum Framed {
    /// An interleaved packet that ends at this byte.
    Packet(usize),
    /// A message that ends at this byte.
    Message(Box<Message<Vec<u8>>>, usize),
    /// The beginning of something, of at least so many bytes in all.
    More(usize),
    /// Something else than RTSP.
    NotRtsp,
    /// More than a message may have.
    TooLong,
    /// Looks like RTSP, but cannot be read here.
    Unknown,
}

/// What stands at the beginning of `bytes`.
pub(super) fn frame(bytes: &[u8]) -> Framed {
    // Devices send empty lines behind bodies whose length they get wrong.
    let blank = bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    let rest = bytes.get(blank..).unwrap_or_default();
    match rest {
        [] => Framed::More(bytes.len() + 1),
        [b'$', _, high, low, ..] => {
            let end = blank + 4 + usize::from(u16::from_be_bytes([*high, *low]));
            if bytes.len() < end { Framed::More(end) } else { Framed::Packet(end) }
        }
        [b'$', ..] => Framed::More(blank + 4),
        [b'A'..=b'Z', ..] => message(rest, blank),
        _ => Framed::NotRtsp,
    }
}

fn message(rest: &[u8], blank: usize) -> Framed {
    let too_long = rest.len() >= limits::LEAN_MESSAGE_BYTES_MAX;
    let Some(line) = rest.iter().position(|b| *b == b'\n').and_then(|end| rest.get(..end)) else {
        return if too_long { Framed::NotRtsp } else { Framed::More(blank + rest.len() + 1) };
    };
    let line = line.trim_ascii_end();
    if !line.starts_with(b"RTSP/") && !line.ends_with(b"RTSP/1.0") {
        return Framed::NotRtsp;
    }
    if !rest.windows(4).any(|four| four == b"\r\n\r\n") {
        return if too_long { Framed::TooLong } else { Framed::More(blank + rest.len() + 1) };
    }
    match Message::parse(rest) {
        Ok((message, used)) => Framed::Message(Box::new(message), blank + used),
        Err(ParseError::Incomplete(needed)) => {
            let all = rest.len().saturating_add(needed.map_or(1, usize::from));
            if all > limits::LEAN_MESSAGE_BYTES_MAX { Framed::TooLong } else { Framed::More(blank + all) }
        }
        Err(ParseError::Error) => Framed::Unknown,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, clippy::indexing_slicing, reason = "tests")]

    use super::*;

    #[test]
    fn messages_and_packets_are_cut_apart_wherever_the_bytes_are_split() {
        let all = b"\r\nRTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 3\r\n\r\nabc$\x02\x00\x02xyREDIRECT * RTSP/1.0\r\n\r\n";
        let mut got = Vec::new();
        let (mut from, mut to) = (0, 0);
        while from < all.len() {
            match frame(&all[from..to]) {
                Framed::Packet(n) => {
                    got.push(format!("packet {n}"));
                    from += n;
                }
                Framed::Message(m, n) => {
                    got.push(format!("{} {n}", matches!(*m, Message::Response(_))));
                    from += n;
                }
                Framed::More(n) => {
                    assert!(n > to - from, "asks for more than there is");
                    to += 1;
                }
                other => panic!("{other:?} at {from}..{to}"),
            }
        }
        assert_eq!(got, ["true 52", "packet 6", "false 23"]);
    }

    #[test]
    fn other_protocols_long_messages_and_odd_ones_are_told_apart() {
        for other in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"SSH-2.0-x\r\n", &[0xFF; 8], b"\x16\x03"] {
            assert!(matches!(frame(other), Framed::NotRtsp), "{other:?}");
        }
        let long = b"RTSP/1.0 200 OK\r\nContent-Length: 99999999999\r\n\r\n";
        assert!(matches!(frame(long), Framed::TooLong));
        let endless = [&b"RTSP/1.0 200 OK\r\nx: "[..], &[b'a'; limits::LEAN_MESSAGE_BYTES_MAX]].concat();
        assert!(matches!(frame(&endless), Framed::TooLong));
        assert!(matches!(frame(b"RTSP/1.0 200 OK\r\nno header\r\n\r\n"), Framed::Unknown));
        assert!(matches!(frame(b"RTSP/1.0 200 OK\r\nContent-Length: x\r\n\r\n"), Framed::Unknown));
    }
}
