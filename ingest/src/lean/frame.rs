//! What lies one behind the other in the connection of a playing session: packets, interleaved as RFC 2326 section 10.12
//! has it, and RTSP messages between them.

use std::sync::LazyLock;

use fengsui_config::limits;
use memchr::memmem::Finder;

use super::wire::Trouble;

/// What stands at the front of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Front {
    /// Nothing whole yet: at least so many bytes are needed, counted from the front.
    Part(usize),
    /// The head of a message whose end has not come.
    Open,
    /// A line end between messages, which is skipped.
    Blank,
    /// A packet with this many bytes behind its header.
    Packet { channel: u8, length: usize },
    /// A message of this many bytes.
    Message(usize),
}

impl Front {
    /// Bytes of what is whole.
    #[inline]
    pub fn length(self) -> Option<usize> {
        match self {
            Self::Part(_) | Self::Open => None,
            Self::Blank => Some(2),
            Self::Packet { length, .. } => Some(HEADER + length),
            Self::Message(length) => Some(length),
        }
    }
}

/// Bytes before a packet: `$`, channel, length.
pub(super) const HEADER: usize = 4;

static HEAD_END: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\r\n\r\n"));

/// The sentence for bytes that are neither packet nor message.
pub(super) fn garbage() -> Trouble {
    Trouble::Broken("The device sent something that is not RTSP within the session.".to_owned())
}

/// Tells what stands at the front of `bytes`.
#[inline]
pub(super) fn front(bytes: &[u8]) -> Result<Front, Trouble> {
    match bytes {
        [b'$', channel, high, low, rest @ ..] => {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            if rest.len() < length {
                return Ok(Front::Part(HEADER + length));
            }
            Ok(Front::Packet { channel: *channel, length })
        }
        [b'$', ..] => Ok(Front::Part(HEADER)),
        [b'\r', b'\n', ..] => Ok(Front::Blank),
        [] => Ok(Front::Part(1)),
        [b'\r'] => Ok(Front::Part(2)),
        _ => message(bytes),
    }
}

/// The message at the front of `bytes`. What cannot become one any more is refused as soon as that shows, since garbage
/// may never have an end.
fn message(bytes: &[u8]) -> Result<Front, Trouble> {
    let most = bytes.get(..limits::RTSP_MESSAGE_BYTES_MAX).unwrap_or(bytes);
    let end = HEAD_END.find(most).map(|at| at + 4);
    let head = end.and_then(|end| bytes.get(..end)).unwrap_or(most);
    if !is_text(head) {
        return Err(garbage());
    }
    let mut lines = head.split(|b| *b == b'\n').filter_map(|line| line.strip_suffix(b"\r"));
    if let Some(first) = lines.next()
        && !is_first_line(first)
    {
        return Err(garbage());
    }
    let Some(end) = end else {
        if most.len() < bytes.len() || most.len() == limits::RTSP_MESSAGE_BYTES_MAX {
            return Err(too_long());
        }
        return Ok(Front::Open);
    };
    let whole = end.saturating_add(body_length(lines)?);
    if whole > limits::RTSP_MESSAGE_BYTES_MAX {
        return Err(too_long());
    }
    Ok(if whole > bytes.len() { Front::Part(whole) } else { Front::Message(whole) })
}

fn too_long() -> Trouble {
    Trouble::Broken("The device sent an RTSP message that is too long.".to_owned())
}

/// No control characters but line ends, which are whole; the last one may be half there.
fn is_text(head: &[u8]) -> bool {
    let mut after_return = false;
    let starts = head.first().is_some_and(|b| b.is_ascii_alphanumeric());
    starts
        && head.iter().all(|b| {
            let fits = match b {
                b'\n' => after_return,
                b'\r' | b'\t' | b' '..=0x7E | 0x80.. => !after_return,
                _ => false,
            };
            after_return = *b == b'\r';
            fits
        })
}

/// A status line, or a request line.
fn is_first_line(line: &[u8]) -> bool {
    match line.strip_prefix(b"RTSP/1.0 ") {
        Some([a, b, c, rest @ ..]) => {
            [a, b, c].into_iter().all(u8::is_ascii_digit) && rest.first().is_none_or(|b| *b == b' ')
        }
        Some(_) => false,
        None => {
            let mut words = line.split(|b| *b == b' ');
            let method = words.next().is_some_and(|m| m.iter().all(u8::is_ascii_graphic));
            let address = words.next().is_some_and(|a| !a.is_empty());
            method && address && words.next() == Some(b"RTSP/1.0") && words.next().is_none()
        }
    }
}

/// Bytes behind the head by its `Content-Length`.
fn body_length<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Result<usize, Trouble> {
    let mut length = None;
    for line in lines.filter(|l| !l.is_empty()) {
        let colon = line.iter().position(|b| *b == b':').filter(|at| *at > 0).ok_or_else(garbage)?;
        let (name, value) = line.split_at(colon);
        if name.eq_ignore_ascii_case(b"content-length") {
            let value = value.get(1..).and_then(|v| std::str::from_utf8(v).ok()).map(str::trim);
            let value = value.and_then(|v| v.parse::<usize>().ok()).ok_or_else(garbage)?;
            if length.replace(value).is_some_and(|before| before != value) {
                return Err(garbage());
            }
        }
    }
    Ok(length.unwrap_or(0))
}

/// What can be seen of an access unit in packets to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Ahead {
    /// Bytes it takes at most once it is put together.
    pub bytes: usize,
    /// Its last packet was seen.
    pub whole: bool,
    /// Bytes behind what was looked at.
    pub left: usize,
}

/// Looks through the packets in `bytes` for more of the access unit on `channel` with RTP time stamp `time`.
pub(super) fn look_ahead(mut bytes: &[u8], channel: u8, time: u32) -> Ahead {
    let mut ahead = Ahead::default();
    while let [b'$', to, high, low, _, mark, _, _, t3, t2, t1, t0, ..] = bytes {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (mark, this) = (mark & 0x80 != 0, u32::from_be_bytes([*t3, *t2, *t1, *t0]));
        if *to == channel && this != time {
            break;
        }
        bytes = bytes.get(HEADER + length..).unwrap_or_default();
        if *to == channel {
            // Less the RTP header, and the length of a NAL unit instead.
            ahead.bytes += length.saturating_sub(8);
            if mark {
                ahead.whole = true;
                break;
            }
        }
    }
    ahead.left = bytes.len();
    ahead
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn packets_are_told_by_their_length() {
        assert_eq!(front(b"$"), Ok(Front::Part(4)));
        assert_eq!(front(&[b'$', 3, 0, 2, 9]), Ok(Front::Part(6)));
        assert_eq!(front(&[b'$', 3, 0, 2, 9, 9, 7]), Ok(Front::Packet { channel: 3, length: 2 }));
        assert_eq!(front(&[b'$', 3, 0, 0]), Ok(Front::Packet { channel: 3, length: 0 }));
    }

    #[test]
    fn messages_are_told_by_head_and_content_length() {
        let answer = b"RTSP/1.0 200 OK\r\nCSeq: 4\r\ncontent-length: 3\r\n\r\nabc$";
        for n in 1..answer.len() - 1 {
            let part = front(&answer[..n]).unwrap();
            assert!(matches!(part, Front::Open) || matches!(part, Front::Part(need) if need > n), "{n}");
        }
        assert_eq!(front(answer), Ok(Front::Message(answer.len() - 1)));
        let request = b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n";
        assert_eq!(front(request), Ok(Front::Message(request.len())));
        assert_eq!(front(b"RTSP/1.0 454 Session Not Found\r\n\r\n"), Ok(Front::Message(34)));
    }

    #[test]
    fn garbage_is_refused_as_soon_as_it_shows() {
        for bytes in [
            &b"\xFF\xFF"[..],
            b"\n",
            b"\rX",
            b"GET\x01",
            b"HTTP/1.1 200 OK\r\n",
            b"RTSP/2.0 200 OK\r\n",
            b"RTSP/1.0 2x0 OK\r\n",
            b"RTSP/1.0 200 OK\r\nno colon\r\n\r\n",
            b"RTSP/1.0 200 OK\r\nContent-Length: x\r\n\r\n",
            b"RTSP/1.0 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            b"RTSP/1.0 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            b"RTSP/1.0 200 OK\nCSeq: 1\r\n\r\n",
        ] {
            assert!(front(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn messages_have_a_largest_length() {
        let head = format!("RTSP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", limits::RTSP_MESSAGE_BYTES_MAX);
        assert!(front(head.as_bytes()).is_err());
        let endless =
            [b"RTSP/1.0 200 OK\r\nX: ".to_vec(), vec![b'y'; limits::RTSP_MESSAGE_BYTES_MAX]].concat();
        assert!(front(&endless).is_err());
        assert!(front(&endless[..limits::RTSP_MESSAGE_BYTES_MAX - 1]).is_ok());
    }

    #[test]
    fn looking_ahead_ends_with_the_unit() {
        let packet = |channel: u8, mark: u8, time: u8| {
            let mut p = vec![b'$', channel, 0, 20, 0x80, mark, 0, 0, 0, 0, 0, time];
            p.extend_from_slice(&[0; 12]);
            p
        };
        let all = [packet(0, 0, 1), packet(2, 0x80, 9), packet(0, 0x80, 1), packet(0, 0, 2)].concat();
        assert_eq!(look_ahead(&all, 0, 1), Ahead { bytes: 24, whole: true, left: 24 });
        assert_eq!(look_ahead(&all, 0, 7), Ahead { bytes: 0, whole: false, left: 96 });
        assert_eq!(look_ahead(&all[..20], 0, 1), Ahead { bytes: 12, whole: false, left: 0 });
    }
}
