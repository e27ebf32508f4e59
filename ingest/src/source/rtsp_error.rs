//! Classes for the errors of the RTSP client. Its error type shows a status code and a text and nothing else, so the
//! rest is told from the fixed beginnings of its texts; the tests hold them against the version in use.

use fengsui_storage::board::FailureClass;

use crate::failure::{Failure, by_status, shorten};

/// How far a session had come when the error struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing understandable was received yet.
    Describing,
    /// The device spoke RTSP; the session is being set up.
    SettingUp,
    /// Media flows.
    Playing,
}

/// True when only one packet is unusable and the session can be read on.
pub(super) fn is_bad_packet(text: &str) -> bool {
    text.contains("\nssrc: ") && text.contains("\nseq: ")
        || text.contains("\nstream: ") && text.contains("\npkt: ")
}

/// Class and sentence of an error with its RTSP status (if it came from a response) and its text.
pub(crate) fn classify(status: Option<u16>, text: &str, phase: Phase) -> Failure {
    if let Some(failure) = status.and_then(by_status) {
        if failure.class == FailureClass::WrongPath && phase == Phase::SettingUp {
            let text =
                "The device does not know the track address that it named itself (a wrong Content-Base?).";
            return Failure::new(FailureClass::WrongPath, text);
        }
        return failure;
    }
    if status.is_some() {
        return in_good_response(text);
    }
    let opening = phase != Phase::Playing;
    let starts = |prefix: &str| text.strip_prefix(prefix);
    if let Some(why) = starts("Unable to connect to RTSP server: ") {
        return connect_error(why);
    }
    if starts("RTSP framing error: ").is_some() {
        return if phase == Phase::Describing {
            Failure::new(FailureClass::NotRtsp, "What answers at this address does not speak RTSP.")
        } else {
            Failure::new(
                FailureClass::BadData,
                "The device sent something that is not RTSP within the session.",
            )
        };
    }
    if let Some(why) = starts("Error reading from RTSP peer: ") {
        return read_error(why, opening);
    }
    if starts("Error writing to RTSP peer: ").is_some() {
        return Failure::new(FailureClass::Closed, "The device closed the connection.");
    }
    if starts("Error receiving UDP packet: ").is_some() {
        return Failure::new(FailureClass::Closed, "Receiving datagrams failed.");
    }
    if let Some(what) = starts("Unsupported: ").or_else(|| starts("Invalid argument: ")) {
        return Failure::new(FailureClass::Unsupported, format!("Not supported: {}", shorten(what)));
    }
    if text == "Timeout" {
        return Failure::new(FailureClass::Unreachable, "The device did not answer in time.");
    }
    if is_bad_packet(text) || starts("Received interleaved data on unassigned").is_some() {
        return Failure::new(
            FailureClass::BadData,
            format!("The device sent unusable packets: {}", shorten(text)),
        );
    }
    Failure::new(FailureClass::BadData, shorten(text))
}

/// The device answered 200, but with contents that cannot be used.
fn in_good_response(text: &str) -> Failure {
    if let Some((_, codec)) = text.split_once("no depacketizer for media/encoding_name ") {
        return Failure::new(
            FailureClass::Unsupported,
            format!("The coding {} is not supported.", shorten(codec)),
        );
    }
    let why = text.split_once(": ").map_or(text, |(_, why)| why);
    Failure::new(FailureClass::BadData, format!("The device's answer cannot be understood: {}", shorten(why)))
}

fn connect_error(why: &str) -> Failure {
    let text = if why.contains("refused") {
        "The device refused the connection (nothing listens on this port)."
    } else if why.contains("timed out") {
        "The device did not answer in time."
    } else if why.contains("lookup") || why.contains("resolve") || why.contains("not known") {
        "The device's name could not be resolved."
    } else if why.contains("unreachable") || why.contains("No route") {
        "There is no route to the device."
    } else {
        return Failure::new(FailureClass::Unreachable, format!("The connection failed: {}", shorten(why)));
    };
    Failure::new(FailureClass::Unreachable, text)
}

fn read_error(why: &str, opening: bool) -> Failure {
    let text = if why.contains("failed to respond to keepalive") {
        "The device no longer answers keep-alives."
    } else if opening {
        "The device closed the connection before it answered."
    } else {
        "The device closed the connection."
    };
    Failure::new(FailureClass::Closed, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(text: &str, phase: Phase) -> FailureClass {
        classify(None, text, phase).class
    }

    #[test]
    fn connection_errors_are_unreachable() {
        for why in [
            "Connection refused (os error 111)",
            "No route to host (os error 113)",
            "failed to lookup address information: Name or service not known",
            "Connection timed out (os error 110)",
            "Network is unreachable (os error 101)",
        ] {
            let f = classify(None, &format!("Unable to connect to RTSP server: {why}"), Phase::Describing);
            assert_eq!(f.class, FailureClass::Unreachable, "{why}");
            assert!(!f.detail.contains("os error"), "{f}");
        }
    }

    #[test]
    fn garbage_is_not_rtsp_at_first_and_bad_data_later() {
        let text = "RTSP framing error: Invalid RTSP message: x\n\nconn: 1";
        assert_eq!(class(text, Phase::Describing), FailureClass::NotRtsp);
        assert_eq!(class(text, Phase::Playing), FailureClass::BadData);
    }

    #[test]
    fn an_unknown_codec_is_named() {
        let text =
            "200 response to DESCRIBE CSeq=1: no depacketizer for media/encoding_name video/vp8\n\nconn: x";
        let f = classify(Some(200), text, Phase::Playing);
        assert_eq!(f.class, FailureClass::Unsupported);
        assert_eq!(f.detail, "The coding video/vp8 is not supported.");
    }

    #[test]
    fn a_closed_connection_is_closed() {
        let text = "Error reading from RTSP peer: EOF while expecting response to DESCRIBE CSeq 1\n\nconn: x";
        assert_eq!(class(text, Phase::Describing), FailureClass::Closed);
        assert_eq!(class("Error writing to RTSP peer: Broken pipe", Phase::Playing), FailureClass::Closed);
    }

    #[test]
    fn one_bad_packet_is_told_from_a_dead_session() {
        assert!(is_bad_packet("Empty NAL\n\nconn: a\nstream: b\nssrc: 00000001\nseq: 7\npkt: c"));
        assert!(is_bad_packet("corrupt RTP header\n\nconn: a\nstream: b\npkt: c"));
        assert!(!is_bad_packet("Error reading from RTSP peer: x\n\nconn: a\nmsg: b"));
    }
}
