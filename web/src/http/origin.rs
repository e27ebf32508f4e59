//! Requests that change something, and the wall socket, must come from our own page: the `Origin` header has to name
//! the host the request was sent to. Programs that are no browser send no `Origin` and carry no ambient cookie; for
//! them `Sec-Fetch-Site` is absent too.

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Uri};

/// True when the request is from our own origin, or from a program that is no browser.
///
/// `uri` gives the authority of HTTP/2 requests, which need no `Host` header.
#[must_use]
pub fn same(headers: &HeaderMap, uri: &Uri) -> bool {
    let Some(origin) = headers.get(ORIGIN) else {
        return match headers.get("sec-fetch-site").map(|v| v.as_bytes()) {
            None | Some(b"same-origin" | b"none") => true,
            Some(_) => false,
        };
    };
    let Ok(origin) = origin.to_str() else { return false };
    let Some(authority) = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")) else {
        return false;
    };
    let host =
        headers.get(HOST).and_then(|h| h.to_str().ok()).or_else(|| uri.authority().map(|a| a.as_str()));
    host.is_some_and(|host| host.eq_ignore_ascii_case(authority))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn asked(pairs: &[(&'static str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        same(&headers, &Uri::from_static("/x"))
    }

    #[test]
    fn our_own_page_and_programs_pass() {
        assert!(asked(&[("origin", "https://wall.example:8443"), ("host", "wall.example:8443")]));
        assert!(asked(&[("origin", "http://127.0.0.1:8080"), ("host", "127.0.0.1:8080")]));
        assert!(asked(&[("host", "127.0.0.1:8080")]));
        assert!(asked(&[("host", "a"), ("sec-fetch-site", "same-origin")]));
    }

    #[test]
    fn other_pages_are_refused() {
        assert!(!asked(&[("origin", "https://evil.example"), ("host", "wall.example")]));
        assert!(!asked(&[("origin", "https://wall.example:1"), ("host", "wall.example:2")]));
        assert!(!asked(&[("origin", "null"), ("host", "wall.example")]));
        assert!(!asked(&[("origin", "https://wall.example")]));
        assert!(!asked(&[("host", "wall.example"), ("sec-fetch-site", "cross-site")]));
        assert!(!asked(&[("host", "wall.example"), ("sec-fetch-site", "same-site")]));
    }
}
