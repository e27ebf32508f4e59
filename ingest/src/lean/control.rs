//! Opens a session: connect, describe, set up, play. What comes out is a socket that plays.
//!
//! Classes and sentences of failures are those of `source::rtsp`, by the same table.

use std::net::SocketAddr;
use std::sync::Arc;

use fengsui_config::limits;
use fengsui_storage::board::FailureClass;
use rtsp_types::headers::{self, HeaderName};
use rtsp_types::{Message, Method, Response, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use url::{Host, Url};

use super::describe::{Plan, plan};
use super::dialog::{Dialog, answer, cseq};
use super::framing::{Framed, frame};
use super::media::Media;
use super::sweep::Sweeps;
use super::wire::Wire;
use super::{Stop, unknown};
use crate::failure::Failure;
use crate::source::rtsp_error::{Phase, classify};
use crate::spec::Target;

/// A session that plays.
pub(super) struct Playing {
    /// Non-blocking, and known to no reactor.
    pub(super) socket: std::net::TcpStream,
    /// Bytes that the kernel lets it hold, as the kernel counts.
    pub(super) window: usize,
    /// What came behind the answer to PLAY.
    pub(super) rest: Vec<u8>,
    pub(super) dialog: Dialog,
    pub(super) wire: Wire,
}

/// Connects, authenticates, and asks the device to play.
pub(super) async fn open(target: &Target, sweeps: Arc<Sweeps>) -> Result<Playing, Stop> {
    let (stream, window) = connect(&target.url).await.map_err(Stop::Failed)?;
    let dialog = Dialog::new(target.url.clone(), target.credentials.clone());
    let mut control =
        Control { stream: Some(stream), bytes: Vec::new(), dialog, phase: Phase::Describing, sweeps };
    let opened = control.negotiate(&target.url).await;
    let wire = opened.map_err(|stop| match stop {
        Stop::Failed(failure) => Stop::Failed(control.dialog.discreet(failure)),
        Stop::Unknown(_) => stop,
    })?;
    control.hand_over(wire, window)
}

/// A connection on which a session is being opened. Dropped with a session set up, it says goodbye.
struct Control {
    stream: Option<TcpStream>,
    /// Received and not yet understood; at most one message and one packet.
    bytes: Vec<u8>,
    dialog: Dialog,
    phase: Phase,
    sweeps: Arc<Sweeps>,
}

/// One that failed on the way, in the words of the table of errors.
fn failed(status: Option<u16>, text: &str, phase: Phase) -> Stop {
    Stop::Failed(classify(status, text, phase))
}

async fn connect(url: &Url) -> Result<(TcpStream, usize), Failure> {
    let refused = |e: std::io::Error| {
        classify(None, &format!("Unable to connect to RTSP server: {e}"), Phase::Describing)
    };
    let port = url.port().unwrap_or(554);
    let addresses: Vec<SocketAddr> = match url.host() {
        Some(Host::Ipv4(ip)) => vec![(ip, port).into()],
        Some(Host::Ipv6(ip)) => vec![(ip, port).into()],
        Some(Host::Domain(name)) => tokio::net::lookup_host((name, port)).await.map_err(refused)?.collect(),
        None => Vec::new(),
    };
    let mut last = Failure::new(FailureClass::Unreachable, "The device's name could not be resolved.");
    for address in addresses {
        match connect_to(address).await {
            Ok(connected) => return Ok(connected),
            Err(e) => last = refused(e),
        }
    }
    Err(last)
}

async fn connect_to(address: SocketAddr) -> std::io::Result<(TcpStream, usize)> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Before connecting: the window is scaled by it. The kernel may give less; busy streams are read more often anyway.
    socket.set_recv_buffer_size(limits::LEAN_RECEIVE_BUFFER_BYTES)?;
    let window = usize::try_from(socket.recv_buffer_size()?).unwrap_or(0);
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok((stream, window))
}

impl Control {
    async fn negotiate(&mut self, url: &Url) -> Result<Wire, Stop> {
        let accept = (headers::ACCEPT, "application/sdp");
        let described = self.ask(Method::Describe, url, &[accept]).await?;
        let mut plan = understand(url, &described)?;
        self.phase = Phase::SettingUp;
        self.dialog.rebase(plan.base.clone());
        // Before the device sets anything up: what cannot be read here is retina's from the beginning.
        wire(&plan.media)?;
        plan.media.video.channel = self.set_up(&plan.video, 0).await?;
        let taken = plan.media.video.channel;
        if let (Some(audio), Some(address)) = (plan.media.audio.as_mut(), &plan.audio) {
            let wanted = if taken == 0 { 2 } else { taken.checked_add(2).unwrap_or(0) };
            match self.set_up(address, wanted).await {
                Ok(channel) if channel.abs_diff(taken) < 2 => return Err(unknown("channels that overlap")),
                Ok(channel) => audio.channel = channel,
                // Refused sound is no reason to do without the picture.
                Err(Setback::Refused(_)) => plan.media.audio = None,
                Err(Setback::Stop(stop)) => return Err(stop),
            }
        }
        let wire = wire(&plan.media)?;
        self.ask(Method::Play, &plan.whole, &[(headers::RANGE, "npt=0.000-")]).await?;
        Ok(wire)
    }

    /// Asks for one track; returns its channel.
    async fn set_up(&mut self, url: &Url, channel: u8) -> Result<u8, Setback> {
        let wish = format!("RTP/AVP/TCP;unicast;interleaved={channel}-{}", channel.saturating_add(1));
        let given = self.ask(Method::Setup, url, &[(headers::TRANSPORT, wish.as_str())]).await?;
        let Some(session) = given.header(&headers::SESSION) else {
            return Err(unknown("SETUP without a session").into());
        };
        self.dialog.set_up(session.as_str());
        let transport = given.header(&headers::TRANSPORT).and_then(|h| interleaved(h.as_str()));
        transport.ok_or_else(|| unknown("a transport that is not interleaved").into())
    }

    /// One question and its answer; challenges are met on the way.
    async fn ask(
        &mut self,
        method: Method,
        url: &Url,
        extra: &[(HeaderName, &str)],
    ) -> Result<Response<Vec<u8>>, Setback> {
        // Once in a request, and once more where the device says that only the nonce is out of date.
        let (mut met, mut stale_met) = (false, false);
        loop {
            let (number, bytes) = self.dialog.request(method.clone(), url, extra);
            self.send(&bytes).await?;
            let response = self.answer(number).await?;
            let status = response.status();
            if status == StatusCode::Unauthorized
                && let Some(stale) = self.dialog.challenged(&response)
                && (!std::mem::replace(&mut met, true) || (stale && !std::mem::replace(&mut stale_met, true)))
            {
                continue;
            }
            if !status.is_success() {
                let text = "Unexpected RTSP response status";
                return Err(Setback::Refused(classify(Some(u16::from(status)), text, self.phase)));
            }
            return Ok(response);
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        let phase = self.phase;
        let lost = |e: std::io::Error| failed(None, &format!("Error writing to RTSP peer: {e}"), phase);
        match &mut self.stream {
            Some(stream) => stream.write_all(bytes).await.map_err(lost),
            None => Ok(()),
        }
    }

    /// The answer with this number. Packets, which some devices send too early, are passed over.
    async fn answer(&mut self, number: u32) -> Result<Response<Vec<u8>>, Stop> {
        loop {
            let message = match frame(&self.bytes) {
                Framed::More(all) => {
                    self.receive(all).await?;
                    continue;
                }
                Framed::Packet(end) => {
                    self.bytes.drain(..end);
                    continue;
                }
                Framed::Message(message, end) => {
                    self.bytes.drain(..end);
                    *message
                }
                Framed::NotRtsp | Framed::TooLong => {
                    return Err(failed(None, "RTSP framing error: ", self.phase));
                }
                Framed::Unknown => return Err(unknown("a message that cannot be read")),
            };
            match message {
                Message::Response(response) if response.status().is_informational() => {}
                Message::Response(response) => match cseq(response.header(&headers::CSEQ)) {
                    Some(n) if n == number => return Ok(response),
                    // An answer that came too late.
                    Some(n) if n < number => {}
                    _ => return Err(unknown("an answer without its number")),
                },
                Message::Request(request) => self.send(&answer(&request)).await?,
                Message::Data(_) => {}
            }
        }
    }

    /// Reads until there are `all` bytes.
    async fn receive(&mut self, all: usize) -> Result<(), Stop> {
        let phase = self.phase;
        let lost = |e: std::io::Error| failed(None, &format!("Error reading from RTSP peer: {e}"), phase);
        let Some(stream) = &mut self.stream else { return Ok(()) };
        while self.bytes.len() < all {
            if stream.read_buf(&mut self.bytes).await.map_err(lost)? == 0 {
                let text = if self.bytes.is_empty() {
                    "Error reading from RTSP peer: EOF"
                } else {
                    "RTSP framing error: "
                };
                return Err(failed(None, text, phase));
            }
        }
        Ok(())
    }

    fn hand_over(mut self, wire: Wire, window: usize) -> Result<Playing, Stop> {
        let gone =
            |e: std::io::Error| failed(None, &format!("Error reading from RTSP peer: {e}"), Phase::SettingUp);
        let Some(stream) = self.stream.take() else {
            return Err(failed(None, "Error reading from RTSP peer: EOF", Phase::SettingUp));
        };
        let socket = stream.into_std().map_err(gone)?;
        Ok(Playing {
            socket,
            window,
            rest: std::mem::take(&mut self.bytes),
            dialog: self.dialog.take(),
            wire,
        })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take()
            && let Some(goodbye) = self.dialog.goodbye()
            && let Ok(socket) = stream.into_std()
        {
            self.sweeps.goodbye(socket, goodbye);
        }
    }
}

/// Why a question was not answered as hoped.
enum Setback {
    /// By a status.
    Refused(Failure),
    /// Otherwise.
    Stop(Stop),
}

impl From<Stop> for Setback {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl From<Setback> for Stop {
    fn from(setback: Setback) -> Self {
        match setback {
            Setback::Refused(failure) => Self::Failed(failure),
            Setback::Stop(stop) => stop,
        }
    }
}

fn wire(media: &Media) -> Result<Wire, Stop> {
    Wire::new(media).map_err(|trouble| Stop::Unknown(trouble.to_string()))
}

fn understand(url: &Url, described: &Response<Vec<u8>>) -> Result<Plan, Stop> {
    let text = |name: &HeaderName| described.header(name).map(|h| h.as_str());
    if text(&headers::CONTENT_TYPE).is_some_and(|t| t != "application/sdp") {
        return Err(unknown("a description of another kind"));
    }
    let base = text(&headers::CONTENT_BASE).or_else(|| text(&headers::CONTENT_LOCATION));
    plan(url, base, described.body())
}

/// Channel of RTP by a Transport header; RTCP must have the next one.
fn interleaved(transport: &str) -> Option<u8> {
    let pair = transport.split(';').find_map(|part| part.trim().strip_prefix("interleaved="))?;
    let (first, second) = pair.split_once('-').map_or((pair, None), |(a, b)| (a, Some(b)));
    let first: u8 = first.trim().parse().ok()?;
    let next = first.checked_add(1)?;
    second.is_none_or(|s| s.trim().parse() == Ok(next)).then_some(first)
}

#[cfg(test)]
#[path = "control_tests.rs"]
mod tests;
