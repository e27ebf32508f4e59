//! What is said to a device: requests with credentials, answers to its requests, signs of life. Pure: bytes in and out,
//! time is an argument.
//!
//! A device that answers a sign of life late or not at all, but goes on playing, is left in peace: the watchdog over
//! pictures knows better whether it is alive.

use std::time::Duration;

use fengsui_config::clock::MonoMicros;
use fengsui_config::{Credentials, limits};
use fengsui_storage::board::FailureClass;
use http_auth::{PasswordClient, PasswordParams};
use rtsp_types::headers::{self, HeaderName};
use rtsp_types::{Message, Method, Request, Response, StatusCode, Version};
use url::Url;

use crate::failure::Failure;

/// Session timeout of a device that names none (RFC 2326 section 12.37), and the most that is believed of one: boxes on
/// the way forget quiet connections, too.
const SESSION_TIMEOUT: Duration = Duration::from_secs(60);
/// Shortest pause between two signs of life.
const LIFE_INTERVAL_MIN: Duration = Duration::from_millis(400);

/// One side of a conversation with a device.
pub(super) struct Dialog {
    next: u32,
    credentials: Option<Credentials>,
    auth: Option<PasswordClient>,
    session: Option<Box<str>>,
    timeout: Duration,
    /// Address of signs of life and of the goodbye.
    base: Url,
}

impl Dialog {
    pub(super) fn new(url: Url, credentials: Option<Credentials>) -> Self {
        Self { next: 1, credentials, auth: None, session: None, timeout: SESSION_TIMEOUT, base: url }
    }

    /// The next request; returns its number and its bytes.
    pub(super) fn request(
        &mut self,
        method: Method,
        url: &Url,
        extra: &[(HeaderName, &str)],
    ) -> (u32, Vec<u8>) {
        let cseq = self.next;
        self.next = self.next.wrapping_add(1);
        let name = <&str>::from(&method).to_owned();
        let mut request = Request::builder(method, Version::V1_0)
            .request_uri(url.clone())
            .header(headers::CSEQ, cseq.to_string())
            .header(headers::USER_AGENT, "fengsui");
        for (header, value) in extra {
            request = request.header(header.clone(), *value);
        }
        if let Some(id) = &self.session {
            request = request.header(headers::SESSION, &**id);
        }
        if let Some(value) = self.authorization(&name, url) {
            request = request.header(headers::AUTHORIZATION, value);
        }
        (cseq, written(&Message::Request(request.empty())))
    }

    fn authorization(&mut self, method: &str, url: &Url) -> Option<String> {
        let (auth, credentials) = (self.auth.as_mut()?, self.credentials.as_ref()?);
        let params = PasswordParams {
            username: &credentials.user,
            password: credentials.password.expose(),
            uri: url.as_str(),
            method,
            body: Some(&[]),
        };
        // A challenge that cannot be answered is answered by nothing; the device then says 401 again.
        auth.respond(&params).ok()
    }

    /// Takes the challenge of a refusal; `None` when there is nothing to answer it with, else whether the device calls
    /// the answer before it out of date rather than wrong.
    pub(super) fn challenged<B>(&mut self, refusal: &Response<B>) -> Option<bool> {
        self.credentials.as_ref()?;
        let header = refusal.header(&headers::WWW_AUTHENTICATE)?;
        let auth = PasswordClient::try_from(header.as_str()).ok()?;
        let stale = matches!(&auth, PasswordClient::Digest(digest) if digest.stale());
        self.auth = Some(auth);
        Some(stale)
    }

    /// Takes the session that SETUP gave, `id[;timeout=seconds]`. The first one counts.
    pub(super) fn set_up(&mut self, header: &str) {
        if self.session.is_some() {
            return;
        }
        let mut parts = header.split(';').map(str::trim);
        self.session = parts.next().map(Into::into);
        let timeout = parts.filter_map(|p| p.strip_prefix("timeout=")).find_map(|v| v.trim().parse().ok());
        if let Some(seconds @ 1..) = timeout {
            self.timeout = Duration::from_secs(seconds).min(SESSION_TIMEOUT);
        }
    }

    /// The address that the device wants to be called by.
    pub(super) fn rebase(&mut self, base: Url) {
        self.base = base;
    }

    /// The goodbye, when there is a session to leave.
    pub(super) fn goodbye(&mut self) -> Option<(u32, Vec<u8>)> {
        self.session.as_ref()?;
        let base = self.base.clone();
        let request = self.request(Method::Teardown, &base, &[]);
        self.session = None;
        Some(request)
    }

    /// The conversation, to be gone on with elsewhere; nothing is left to say here.
    pub(super) fn take(&mut self) -> Self {
        let empty = Self::new(self.base.clone(), None);
        std::mem::replace(self, empty)
    }

    /// Takes out the password, should the device have sent it back to us.
    pub(super) fn discreet(&self, failure: Failure) -> Failure {
        failure.without(self.credentials.as_ref())
    }
}

/// The bytes of a message.
fn written<B: AsRef<[u8]>>(message: &Message<B>) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Writing into memory does not fail.
    let _whole = message.write(&mut bytes);
    bytes
}

/// Number of a message.
pub(super) fn cseq(value: Option<&headers::HeaderValue>) -> Option<u32> {
    value?.as_str().trim().parse().ok()
}

/// The answer to a request of the device.
pub(super) fn answer<B>(request: &Request<B>) -> Vec<u8> {
    let status = match request.method() {
        Method::Options | Method::GetParameter | Method::SetParameter | Method::Announce => StatusCode::Ok,
        Method::Teardown | Method::Redirect => StatusCode::Ok,
        _ => StatusCode::NotImplemented,
    };
    let mut response = Response::builder(Version::V1_0, status);
    if let Some(cseq) = request.header(&headers::CSEQ) {
        response = response.header(headers::CSEQ, cseq.as_str());
    }
    if request.method() == Method::Options {
        response = response.header(headers::PUBLIC, "OPTIONS, GET_PARAMETER, SET_PARAMETER");
    }
    written(&Message::Response(response.empty()))
}

/// The conversation beside the pictures.
pub(super) struct Life {
    pub(super) dialog: Dialog,
    method: Method,
    due: MonoMicros,
    /// Number of the last sign of life, until it is answered, and whether it was the answer to a challenge.
    asked: Option<(u32, bool)>,
    /// What is still to be sent.
    out: Vec<u8>,
}

impl Life {
    pub(super) fn new(dialog: Dialog, now: MonoMicros) -> Self {
        let due = now + interval(dialog.timeout);
        Self { dialog, method: Method::Options, due, asked: None, out: Vec::new() }
    }

    /// Bytes to be sent; the caller takes off what it sent.
    pub(super) fn outgoing(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Time passed. A sign of life is due at under half of the session's timeout; while an earlier one has not left, the
    /// device does not read, and another would only wait behind it.
    pub(super) fn tick(&mut self, now: MonoMicros) {
        if now < self.due {
            return;
        }
        self.due = now + interval(self.dialog.timeout);
        if self.out.is_empty() {
            self.sign(false);
        }
    }

    fn sign(&mut self, again: bool) {
        let base = self.dialog.base.clone();
        let (cseq, bytes) = self.dialog.request(self.method.clone(), &base, &[]);
        self.asked = Some((cseq, again));
        self.say(&bytes);
    }

    fn say(&mut self, bytes: &[u8]) {
        if self.out.len() + bytes.len() <= limits::LEAN_SEND_BYTES_MAX {
            self.out.extend_from_slice(bytes);
        }
    }

    /// Takes a message that came between the packets.
    ///
    /// # Errors
    /// When the device ends the session by it.
    pub(super) fn message(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match Message::<Vec<u8>>::parse(bytes) {
            Ok((Message::Response(response), _)) => self.response(&response),
            Ok((Message::Request(request), _)) => {
                self.say(&answer(&request));
                match request.method() {
                    Method::Redirect => {
                        return Err(closed("The device sends us to another address."));
                    }
                    Method::Teardown => return Err(closed("The device ended the session.")),
                    _ => {}
                }
            }
            // Pictures are worth more than a message that nobody understands.
            Ok((Message::Data(_), _)) | Err(_) => {}
        }
        Ok(())
    }

    fn response(&mut self, response: &Response<Vec<u8>>) {
        let Some((_, again)) = self.asked.take_if(|(n, _)| cseq(response.header(&headers::CSEQ)) == Some(*n))
        else {
            return;
        };
        if response.status() == StatusCode::Unauthorized {
            // The nonce of the opening is out of date; a second refusal would be one of the credentials themselves.
            if !again && self.dialog.challenged(response).is_some() {
                self.sign(true);
            }
            return;
        }
        if self.method == Method::Options
            && response.status().is_success()
            && let Some(public) = response.header(&headers::PUBLIC)
        {
            self.method = preferred(public.as_str());
        }
    }
}

/// Under half of the timeout.
fn interval(timeout: Duration) -> Duration {
    (timeout * 2 / 5).max(LIFE_INTERVAL_MIN)
}

/// How a device that offers these methods is kept alive. `SET_PARAMETER` comes last: there are devices that offer it and
/// stumble over it.
fn preferred(public: &str) -> Method {
    let offers = |name: &str| public.split(',').any(|m| m.trim().eq_ignore_ascii_case(name));
    if offers("GET_PARAMETER") {
        Method::GetParameter
    } else if offers("OPTIONS") || !offers("SET_PARAMETER") {
        Method::Options
    } else {
        Method::SetParameter
    }
}

fn closed(text: &str) -> Failure {
    Failure::new(FailureClass::Closed, text)
}

#[cfg(test)]
#[path = "dialog_tests.rs"]
mod tests;
