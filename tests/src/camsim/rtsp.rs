//! RTSP 1.0 messages (RFC 2326): an incremental parser of what clients send, and answers.

use std::fmt::Write as _;

/// Bytes of one request head that are accepted.
pub const HEAD_BYTES_MAX: usize = 16 << 10;
/// Bytes of one request body that are accepted.
pub const BODY_BYTES_MAX: usize = 64 << 10;

/// One request; its body is skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `OPTIONS`, `DESCRIBE` and so on, as sent.
    pub method: String,
    /// The address, as sent.
    pub url: String,
    headers: Vec<(String, String)>,
}

impl Request {
    /// The first header of this name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The path of the address, without scheme, host and query.
    #[must_use]
    pub fn path(&self) -> &str {
        let after_scheme = self
            .url
            .split_once("://")
            .map_or(self.url.as_str(), |(_, rest)| rest.find('/').and_then(|i| rest.get(i..)).unwrap_or("/"));
        after_scheme.split('?').next().unwrap_or("/")
    }
}

/// What a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A request.
    Request(Request),
    /// A binary frame (RTCP of the client) on this channel.
    Interleaved(u8),
}

/// The bytes are no RTSP.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not RTSP: {0}")]
pub struct NotRtsp(pub &'static str);

/// Takes the first message off `bytes`: the message and its length, or `None` while it is incomplete.
///
/// # Errors
/// When the bytes can never become a message.
pub fn parse(bytes: &[u8]) -> Result<Option<(Incoming, usize)>, NotRtsp> {
    if let [b'$', rest @ ..] = bytes {
        let [channel, hi, lo, body @ ..] = rest else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes([*hi, *lo]));
        return Ok((body.len() >= length).then_some((Incoming::Interleaved(*channel), length + 4)));
    }
    let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else {
        return if bytes.len() > HEAD_BYTES_MAX { Err(NotRtsp("request head too long")) } else { Ok(None) };
    };
    let head =
        bytes.get(..end).and_then(|h| std::str::from_utf8(h).ok()).ok_or(NotRtsp("head is no text"))?;
    // Some clients put empty lines between requests.
    let mut lines = head.trim_start_matches(['\r', '\n']).split("\r\n");
    let mut first = lines.next().unwrap_or("").split(' ');
    let (Some(method), Some(url), Some(version)) = (first.next(), first.next(), first.next()) else {
        return Err(NotRtsp("no request line"));
    };
    if !version.starts_with("RTSP/1.") {
        return Err(NotRtsp("version is not RTSP/1.x"));
    }
    let headers: Vec<(String, String)> = lines
        .filter_map(|l| l.split_once(':'))
        .map(|(n, v)| (n.trim().to_owned(), v.trim().to_owned()))
        .collect();
    let request = Request { method: method.to_owned(), url: url.to_owned(), headers };
    let body = match request.header("Content-Length").map(str::parse::<usize>) {
        None => 0,
        Some(Ok(n)) if n <= BODY_BYTES_MAX => n,
        Some(_) => return Err(NotRtsp("bad Content-Length")),
    };
    let whole = end + 4 + body;
    Ok((bytes.len() >= whole).then_some((Incoming::Request(request), whole)))
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Response {
    /// An answer without headers and body.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new() }
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sets the body and its type; the length follows from it.
    #[must_use]
    pub fn body(mut self, kind: &str, body: String) -> Self {
        self.headers.push(("Content-Type", kind.to_owned()));
        self.headers.push(("Content-Length", body.len().to_string()));
        self.body = body;
        self
    }

    /// The bytes to send in answer to the request with this `CSeq`.
    #[must_use]
    pub fn to_bytes(&self, cseq: Option<&str>) -> Vec<u8> {
        let reason = match self.status {
            200 => "OK",
            400 => "Bad Request",
            401 => "Unauthorized",
            404 => "Not Found",
            405 => "Method Not Allowed",
            453 => "Not Enough Bandwidth",
            454 => "Session Not Found",
            455 => "Method Not Valid in This State",
            461 => "Unsupported Transport",
            503 => "Service Unavailable",
            _ => "Error",
        };
        let mut text = format!("RTSP/1.0 {} {reason}\r\n", self.status);
        if let Some(cseq) = cseq {
            let _ = write!(text, "CSeq: {cseq}\r\n");
        }
        text.push_str("Server: camsim\r\n");
        for (name, value) in &self.headers {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        text.push_str("\r\n");
        text.push_str(&self.body);
        text.into_bytes()
    }
}

/// How a client wants its packets, from one `Transport` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedTransport {
    /// Interleaved, on these channels when the client names any.
    Tcp(Option<(u8, u8)>),
    /// UDP to these ports of the client.
    Udp(u16, u16),
}

/// The first of the offered transports that the simulator has (unicast UDP or interleaved TCP).
#[must_use]
pub fn choose_transport(header: &str) -> Option<WantedTransport> {
    header.split(',').find_map(|offer| {
        let mut parts = offer.split(';').map(str::trim);
        let protocol = parts.next()?.to_ascii_uppercase();
        let parts: Vec<&str> = parts.collect();
        if parts.contains(&"multicast") {
            return None;
        }
        let pair = |key: &str| {
            let value = parts.iter().find_map(|p| p.strip_prefix(key)?.strip_prefix('='))?;
            let (a, b) = value.split_once('-').unwrap_or((value, ""));
            let a: u16 = a.trim().parse().ok()?;
            Some((a, b.trim().parse().unwrap_or(a.wrapping_add(1))))
        };
        match protocol.as_str() {
            "RTP/AVP/TCP" => Some(WantedTransport::Tcp(
                pair("interleaved").and_then(|(a, b)| Some((a.try_into().ok()?, b.try_into().ok()?))),
            )),
            "RTP/AVP" | "RTP/AVP/UDP" => pair("client_port").map(|(a, b)| WantedTransport::Udp(a, b)),
            _ => None,
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_taken_only_when_whole_with_its_body() {
        let bytes = b"GET_PARAMETER rtsp://h:554/cam/1/main?x=1 RTSP/1.0\r\nCSeq: 4\r\ncontent-length: 3\r\n\r\nabcOPT";
        for cut in 0..bytes.len() - 3 {
            assert_eq!(parse(&bytes[..cut]), Ok(None), "{cut}");
        }
        let (Incoming::Request(r), n) = parse(bytes).unwrap().unwrap() else { panic!() };
        assert_eq!(
            (r.method.as_str(), r.path(), r.header("CSEQ"), n),
            ("GET_PARAMETER", "/cam/1/main", Some("4"), bytes.len() - 3)
        );
    }

    #[test]
    fn interleaved_frames_are_told_from_requests() {
        assert_eq!(parse(&[b'$', 1, 0, 2, 9]), Ok(None));
        assert_eq!(parse(&[b'$', 1, 0, 2, 9, 9, 7]), Ok(Some((Incoming::Interleaved(1), 6))));
    }

    #[test]
    fn foreign_talk_is_refused() {
        assert!(parse(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").is_err());
        assert!(parse(b"\xff\xfe\r\n\r\n").is_err());
        assert!(parse(&[b'a'; HEAD_BYTES_MAX + 1]).is_err());
        assert!(parse(b"OPTIONS * RTSP/1.0\r\nContent-Length: 99999999\r\n\r\n").is_err());
    }

    #[test]
    fn the_first_usable_transport_wins() {
        assert_eq!(
            choose_transport("RTP/AVP/TCP;unicast;interleaved=2-3"),
            Some(WantedTransport::Tcp(Some((2, 3))))
        );
        assert_eq!(
            choose_transport("RTP/AVP;multicast,RTP/AVP;unicast;client_port=5000-5001;mode=play"),
            Some(WantedTransport::Udp(5000, 5001))
        );
        assert_eq!(choose_transport("RAW/RAW/UDP"), None);
        assert_eq!(
            choose_transport("RTP/AVP/TCP;unicast;interleaved=900-901"),
            Some(WantedTransport::Tcp(None))
        );
    }
}
