//! Basic (RFC 7617) and Digest (RFC 7616; MD5 and SHA-256, with and without `qop`) from the camera's side.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use sha2::Sha256;

/// The realm that cameras name.
pub const REALM: &str = "camsim";

/// What a camera asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum AuthScheme {
    /// Nothing.
    None,
    /// Basic.
    Basic,
    /// Digest with MD5, as most cameras.
    Md5,
    /// Digest with SHA-256.
    Sha256,
    /// Digest SHA-256, Digest MD5 and Basic, strongest first; the client chooses.
    Any,
}

/// What became of a request's credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Right.
    Right,
    /// None given.
    Missing,
    /// Wrong name, password or scheme.
    Wrong,
    /// Right, but computed with a nonce that is no longer good.
    Stale,
}

/// Name and password that a camera expects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected<'a> {
    /// Scheme.
    pub scheme: AuthScheme,
    /// User name.
    pub user: &'a str,
    /// Password.
    pub password: &'a str,
}

/// The `WWW-Authenticate` values of a challenge.
#[must_use]
pub fn challenges(scheme: AuthScheme, nonce: &str, stale: bool) -> Vec<String> {
    let stale = if stale { "TRUE" } else { "FALSE" };
    // RFC 7616 wants qop beside SHA-256; plain MD5 challenges of cameras name neither qop nor algorithm.
    let sha256 =
        format!(r#"Digest realm="{REALM}", nonce="{nonce}", algorithm=SHA-256, qop="auth", stale="{stale}""#);
    let md5 = format!(r#"Digest realm="{REALM}", nonce="{nonce}", stale="{stale}""#);
    let basic = format!(r#"Basic realm="{REALM}""#);
    match scheme {
        AuthScheme::None => Vec::new(),
        AuthScheme::Basic => vec![basic],
        AuthScheme::Md5 => vec![md5],
        AuthScheme::Sha256 => vec![sha256],
        AuthScheme::Any => vec![sha256, md5, basic],
    }
}

/// Judges the `Authorization` header of a request.
#[must_use]
pub fn check(header: Option<&str>, method: &str, nonce: &str, expected: &Expected<'_>) -> Verdict {
    if expected.scheme == AuthScheme::None {
        return Verdict::Right;
    }
    let Some(header) = header else { return Verdict::Missing };
    let (kind, rest) = header.split_once(' ').unwrap_or((header, ""));
    let right = if kind.eq_ignore_ascii_case("basic") {
        matches!(expected.scheme, AuthScheme::Basic | AuthScheme::Any)
            && STANDARD
                .decode(rest.trim())
                .is_ok_and(|t| t == format!("{}:{}", expected.user, expected.password).as_bytes())
    } else if kind.eq_ignore_ascii_case("digest") {
        return check_digest(rest, method, nonce, expected);
    } else {
        false
    };
    if right { Verdict::Right } else { Verdict::Wrong }
}

fn check_digest(parameters: &str, method: &str, nonce: &str, expected: &Expected<'_>) -> Verdict {
    let get = |name: &str| parameter(parameters, name);
    let (Some(uri), Some(response), Some(used)) = (get("uri"), get("response"), get("nonce")) else {
        return Verdict::Wrong;
    };
    // Clients that drop the algorithm from a challenge without qop still show it by the length of their answer.
    let sha256 = get("algorithm").map_or(response.len() == 64, |a| a.eq_ignore_ascii_case("SHA-256"));
    let allowed = match expected.scheme {
        AuthScheme::Md5 => !sha256,
        AuthScheme::Sha256 => sha256,
        AuthScheme::Any => true,
        AuthScheme::None | AuthScheme::Basic => false,
    };
    let hash = |text: String| {
        if sha256 { hex::encode(Sha256::digest(text)) } else { hex::encode(Md5::digest(text)) }
    };
    let secret = hash(format!("{}:{REALM}:{}", expected.user, expected.password));
    let request = hash(format!("{method}:{uri}"));
    let wanted = match (get("qop"), get("nc"), get("cnonce")) {
        (Some(qop), Some(nc), Some(cnonce)) => hash(format!("{secret}:{used}:{nc}:{cnonce}:{qop}:{request}")),
        _ => hash(format!("{secret}:{used}:{request}")),
    };
    let right = allowed && get("username") == Some(expected.user) && response.eq_ignore_ascii_case(&wanted);
    match (right, used == nonce) {
        (true, true) => Verdict::Right,
        (true, false) => Verdict::Stale,
        (false, _) => Verdict::Wrong,
    }
}

/// A parameter of a challenge or credentials, without its quotes. Values here hold no commas but `uri`, which
/// is quoted, so quotes are honoured when splitting.
fn parameter<'a>(list: &'a str, name: &str) -> Option<&'a str> {
    let mut quoted = false;
    list.split(|c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    })
    .find_map(|p| {
        let (n, v) = p.split_once('=')?;
        n.trim().eq_ignore_ascii_case(name).then(|| v.trim().trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(scheme: AuthScheme) -> Expected<'static> {
        Expected { scheme, user: "admin", password: "secret" }
    }

    #[test]
    fn basic_is_right_only_with_the_password_and_where_asked_for() {
        let good = format!("Basic {}", STANDARD.encode("admin:secret"));
        let bad = format!("Basic {}", STANDARD.encode("admin:guess"));
        assert_eq!(check(Some(&good), "PLAY", "n", &expected(AuthScheme::Basic)), Verdict::Right);
        assert_eq!(check(Some(&bad), "PLAY", "n", &expected(AuthScheme::Basic)), Verdict::Wrong);
        assert_eq!(check(Some(&good), "PLAY", "n", &expected(AuthScheme::Md5)), Verdict::Wrong);
        assert_eq!(check(None, "PLAY", "n", &expected(AuthScheme::Md5)), Verdict::Missing);
    }

    #[test]
    fn digest_agrees_with_values_computed_elsewhere() {
        // printf %s … | md5sum (sha256sum), by hand along RFC 7616 section 3.4.1 without qop.
        let uri = "rtsp://127.0.0.1/cam/1/main";
        for (algorithm, scheme, response) in [
            ("MD5", AuthScheme::Md5, "6c2bd030b79744cd039f5a4c1c8d1204"),
            (
                "SHA-256",
                AuthScheme::Sha256,
                "e09f11d7a5b379d99c77cc44b75f1aba2719f7ad455a973613f16234c17499af",
            ),
        ] {
            let header = |nonce: &str| {
                format!(
                    r#"Digest username="admin", realm="camsim", nonce="{nonce}", uri="{uri}", algorithm={algorithm}, response="{response}""#
                )
            };
            assert_eq!(check(Some(&header("abc")), "DESCRIBE", "abc", &expected(scheme)), Verdict::Right);
            assert_eq!(check(Some(&header("abc")), "DESCRIBE", "new", &expected(scheme)), Verdict::Stale);
            assert_eq!(check(Some(&header("abc")), "SETUP", "abc", &expected(scheme)), Verdict::Wrong);
        }
    }
}
