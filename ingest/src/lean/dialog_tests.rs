#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use fengsui_config::Secret;

use super::*;

const URL: &str = "rtsp://10.0.0.1/cam";

fn dialog(timeout: &str) -> Dialog {
    let credentials = Credentials { user: "admin".to_owned(), password: Secret::new("s3cret".to_owned()) };
    let mut dialog = Dialog::new(URL.parse().unwrap(), Some(credentials));
    dialog.set_up(timeout);
    dialog
}

fn at(ms: u64) -> MonoMicros {
    MonoMicros(ms * 1000)
}

/// Takes what is to be sent.
fn said(life: &mut Life) -> String {
    String::from_utf8(std::mem::take(life.outgoing())).unwrap()
}

fn number(request: &str) -> &str {
    request.lines().find_map(|l| l.strip_prefix("CSeq: ")).unwrap()
}

fn reply(life: &mut Life, request: &str, status: u16, extra: &str) {
    let text = format!("RTSP/1.0 {status} x\r\nCSeq: {}\r\n{extra}\r\n", number(request));
    life.message(text.as_bytes()).unwrap();
}

#[test]
fn signs_of_life_come_at_under_half_of_the_timeout_by_what_the_device_offers() {
    let mut life = Life::new(dialog("7;timeout=30"), at(0));
    life.tick(at(11_999));
    assert_eq!(said(&mut life), "");
    life.tick(at(12_000));
    let first = said(&mut life);
    assert!(
        first.starts_with("OPTIONS rtsp://10.0.0.1/cam RTSP/1.0\r\n") && first.contains("Session: 7\r\n")
    );
    reply(&mut life, &first, 200, "Public: DESCRIBE, SET_PARAMETER, GET_PARAMETER\r\n");
    life.tick(at(23_999));
    assert_eq!(said(&mut life), "");
    life.tick(at(24_000));
    assert!(said(&mut life).starts_with("GET_PARAMETER "), "{first}");
}

#[test]
fn the_timeout_is_believed_within_reason() {
    for (header, seconds) in [
        ("7", 60),
        ("7; timeout=20", 20),
        ("7;timeout=0", 60),
        ("7;timeout=86400", 60),
        ("7;x=1;timeout=5", 5),
    ] {
        assert_eq!(dialog(header).timeout, Duration::from_secs(seconds), "{header}");
    }
}

#[test]
fn a_device_that_does_not_read_is_not_talked_at() {
    let mut life = Life::new(dialog("7;timeout=10"), at(0));
    life.tick(at(4_000));
    let waiting = life.outgoing().len();
    assert!(waiting > 0);
    for n in 2..1000 {
        life.tick(at(4_000 * n));
        assert_eq!(life.outgoing().len(), waiting);
    }
    for _ in 0..1000 {
        life.message(b"OPTIONS * RTSP/1.0\r\nCSeq: 5\r\n\r\n").unwrap();
    }
    assert!(life.outgoing().len() <= limits::LEAN_SEND_BYTES_MAX);
}

#[test]
fn a_nonce_that_ran_out_is_replaced_once() {
    let mut life = Life::new(dialog("7;timeout=10"), at(0));
    life.tick(at(4_000));
    let first = said(&mut life);
    let challenge = "WWW-Authenticate: Digest realm=\"x\", nonce=\"new\"\r\n";
    reply(&mut life, &first, 401, challenge);
    let second = said(&mut life);
    assert!(second.contains("nonce=\"new\"") && number(&second) != number(&first), "{second}");
    assert!(!second.contains("s3cret"));
    reply(&mut life, &second, 401, challenge);
    assert_eq!(said(&mut life), "", "no quarrel with a device that plays");
}

#[test]
fn requests_of_the_device_are_answered_and_two_of_them_end_the_session() {
    let mut life = Life::new(dialog("7"), at(0));
    for (method, status) in
        [("OPTIONS", 200), ("GET_PARAMETER", 200), ("SET_PARAMETER", 200), ("RECORD", 501)]
    {
        life.message(format!("{method} * RTSP/1.0\r\nCSeq: 31\r\n\r\n").as_bytes()).unwrap();
        let answer = said(&mut life);
        assert!(answer.starts_with(&format!("RTSP/1.0 {status} ")) && number(&answer) == "31", "{answer}");
    }
    for method in ["REDIRECT", "TEARDOWN"] {
        let request = format!("{method} {URL} RTSP/1.0\r\nCSeq: 32\r\n\r\n");
        let failure = life.message(request.as_bytes()).unwrap_err();
        assert_eq!(failure.class, FailureClass::Closed, "{method}");
    }
}

#[test]
fn answers_to_nothing_and_messages_nobody_understands_do_no_harm() {
    let mut life = Life::new(dialog("7"), at(0));
    for odd in [&b"RTSP/1.0 200 OK\r\nCSeq: 99\r\n\r\n"[..], b"RTSP/1.0 454 x\r\n\r\n", b"\xFF\xFF", b""] {
        life.message(odd).unwrap();
        assert_eq!(said(&mut life), "");
    }
}

#[test]
fn only_a_session_is_left() {
    let mut dialog = dialog("7");
    let (n, words) = dialog.goodbye().unwrap();
    let words = String::from_utf8(words).unwrap();
    assert!(words.starts_with("TEARDOWN ") && words.contains("Session: 7\r\n"), "{words}");
    assert_eq!(number(&words), n.to_string());
    assert!(dialog.goodbye().is_none(), "said once");
    assert!(Dialog::new(URL.parse().unwrap(), None).goodbye().is_none());
}
