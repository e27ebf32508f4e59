//! What went wrong, in a class for machines and one plain sentence for people.

use std::fmt;

use fengsui_config::{Credentials, limits};
use fengsui_storage::board::FailureClass;
use fengsui_storage::frame::GapReason;

/// Why an attempt or a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Class, for the session machine, the board and the gap.
    pub class: FailureClass,
    /// One sentence; never holds a password.
    pub detail: String,
}

impl Failure {
    /// A failure whose text is known to hold nothing secret.
    #[must_use]
    pub fn new(class: FailureClass, detail: impl Into<String>) -> Self {
        Self { class, detail: shorten(&detail.into()) }
    }

    /// Takes out the password, should a device have sent it back to us.
    #[must_use]
    pub fn without(mut self, credentials: Option<&Credentials>) -> Self {
        if let Some(c) = credentials
            && !c.password.expose().is_empty()
        {
            self.detail = self.detail.replace(c.password.expose(), "***");
        }
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

/// The reason of the gap that a failure leaves in the footage.
#[must_use]
pub fn gap_reason(class: FailureClass) -> GapReason {
    match class {
        FailureClass::Unreachable
        | FailureClass::WrongPath
        | FailureClass::NotRtsp
        | FailureClass::Busy
        | FailureClass::Closed => GapReason::CameraOffline,
        FailureClass::Auth => GapReason::Auth,
        FailureClass::Unsupported | FailureClass::BadData => GapReason::BadStream,
        FailureClass::NoKeyFrame => GapReason::NoKeyFrame,
        FailureClass::Stalled => GapReason::Network,
        FailureClass::Internal => GapReason::NodeDown,
    }
}

/// The sentence for a class that the session machine found by time alone.
#[must_use]
pub fn timed(class: FailureClass) -> Failure {
    let detail = match class {
        FailureClass::Unreachable => "The device did not answer in time.",
        FailureClass::Stalled => "The connection is open, but no pictures come.",
        FailureClass::NoKeyFrame => "Pictures come, but no key frame that a decoder could start at.",
        _ => "The session ended.",
    };
    Failure::new(class, detail)
}

/// The class of an RTSP status code (RFC 2326 section 7.1.1), with its sentence; `None` for a success.
#[must_use]
pub fn by_status(status: u16) -> Option<Failure> {
    let (class, text) = match status {
        0..=299 => return None,
        401 | 403 | 407 => (FailureClass::Auth, "The device refused the user name or password"),
        404 | 410 | 454 => (FailureClass::WrongPath, "The device does not know this path"),
        406 | 415 => (FailureClass::Unsupported, "The device offers no description that we understand"),
        461 => (FailureClass::Unsupported, "The device does not offer this transport (TCP or UDP)"),
        429 | 453 | 500 | 503 | 504 => (FailureClass::Busy, "The device refuses for now"),
        300..=399 => (FailureClass::Unsupported, "The device sends us to another address"),
        501 | 505 | 551 => (FailureClass::Unsupported, "The device does not support a request that we need"),
        400..=499 => (FailureClass::WrongPath, "The device refuses this address"),
        _ => (FailureClass::Busy, "The device reports a fault of its own"),
    };
    Some(Failure::new(class, format!("{text} (RTSP {status}).")))
}

/// First line, without control characters, at most `limits::FAILURE_DETAIL_CHARS_MAX` characters.
pub(crate) fn shorten(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(limits::FAILURE_DETAIL_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use fengsui_config::Secret;

    use super::*;

    #[test]
    fn a_password_sent_back_is_taken_out() {
        let c = Credentials { user: "admin".into(), password: Secret::new("s3cret".into()) };
        let f = Failure::new(FailureClass::Auth, "bad login admin:s3cret").without(Some(&c));
        assert_eq!(f.detail, "bad login admin:***");
        let empty = Credentials { user: "admin".into(), password: Secret::new(String::new()) };
        assert_eq!(Failure::new(FailureClass::Auth, "bad").without(Some(&empty)).detail, "bad");
    }

    #[test]
    fn texts_are_one_short_line() {
        let f =
            Failure::new(FailureClass::BadData, format!("one\u{7}{}\nsecret second line", "x".repeat(1000)));
        assert_eq!(f.detail.chars().count(), limits::FAILURE_DETAIL_CHARS_MAX);
        assert!(!f.detail.contains('\n') && !f.detail.contains('\u{7}'));
    }

    #[test]
    fn status_codes_have_their_classes() {
        let class = |s| by_status(s).map(|f| f.class);
        assert_eq!(class(200), None);
        for (status, want) in [
            (401, FailureClass::Auth),
            (403, FailureClass::Auth),
            (404, FailureClass::WrongPath),
            (454, FailureClass::WrongPath),
            (400, FailureClass::WrongPath),
            (453, FailureClass::Busy),
            (503, FailureClass::Busy),
            (461, FailureClass::Unsupported),
            (501, FailureClass::Unsupported),
        ] {
            assert_eq!(class(status), Some(want), "{status}");
        }
    }
}
