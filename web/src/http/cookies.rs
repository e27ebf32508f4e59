//! Cookies carry the port in their names: browsers keep them by host alone, so two nodes behind one host name would log each
//! other's users out.

use http::HeaderMap;
use http::header::COOKIE;

use super::accept::Peer;

/// Of a session. With TLS the `__Host-` prefix binds it to this host and to encryption.
#[must_use]
pub fn of_session(peer: &Peer) -> String {
    format!("{}fengsui-{}", if peer.tls { "__Host-" } else { "" }, peer.port)
}

/// Of a device that keeps a unit's link. It is for one path, so it cannot have the prefix `__Host-`.
#[must_use]
pub fn of_unit(peer: &Peer) -> String {
    format!("{}fengsui-unit-{}", if peer.tls { "__Secure-" } else { "" }, peer.port)
}

/// The value of one cookie of a request.
#[must_use]
pub fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let texts = headers.get_all(COOKIE).iter().filter_map(|h| h.to_str().ok()).flat_map(|h| h.split(';'));
    texts.filter_map(|pair| pair.trim().split_once('=')).find(|(own, _)| *own == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn nodes_on_one_host_have_cookies_of_their_own() {
        let peer = |port, tls| Peer { address: "10.1.2.3:5555".parse().unwrap(), tls, port };
        let names = [peer(8080, false), peer(8081, false), peer(8081, true)].map(|p| of_session(&p));
        assert_eq!(names, ["fengsui-8080", "fengsui-8081", "__Host-fengsui-8081"]);
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, "fengsui-8080=a; fengsui-8081=b".parse().unwrap());
        headers.append(COOKIE, "fengsui-unit-8080=c=d".parse().unwrap());
        assert_eq!(value(&headers, &of_session(&peer(8081, false))), Some("b"));
        assert_eq!(value(&headers, &of_unit(&peer(8080, false))), Some("c=d"));
        assert_eq!(value(&headers, &of_unit(&peer(8081, false))), None);
    }
}
