//! From the bytes of a playing session to what it delivers. Pure: no sockets, no time.

use std::collections::VecDeque;

use bytes::Bytes;
use fengsui_storage::board::FailureClass;
use fengsui_storage::frame::{Track, VideoCodec};

use super::audio::Audio;
use super::books::Books;
use super::frame::{self, Front};
use super::media::{Media, VideoMedia};
use super::params::Parameters;
use super::rtp::{Meta, Packet, Receiver};
use super::video::{Sink, Video};
use crate::failure::Failure;
use crate::source::SourceItem;

/// One thing found in the bytes of a session.
#[derive(Debug, Clone)]
pub enum WireItem {
    /// What the session delivers.
    Source(SourceItem),
    /// A whole RTSP message of the device between the packets: an answer to a sign of life, or a request of its own.
    Message(Bytes),
}

/// Why the bytes cannot be gone on with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Legal, but not known here; retina may know it.
    #[error("{0}")]
    Unknown(String),
    /// Not a session at all any more.
    #[error("{0}")]
    Broken(String),
}

/// What is wrong with a packet.
#[derive(Debug)]
pub(super) enum Fault {
    /// It is unusable; the session goes on.
    Bad(&'static str),
    /// The session is over.
    End(Trouble),
}

impl From<&'static str> for Fault {
    fn from(why: &'static str) -> Self {
        Self::Bad(why)
    }
}

/// Parser and depacketiser of one session.
#[derive(Debug)]
pub struct Wire {
    /// The beginning of a packet or message whose rest has not come.
    carry: Vec<u8>,
    channel: u8,
    video: Video,
    video_order: Receiver,
    audio: Option<(u8, Audio)>,
    audio_order: Receiver,
    books: Books,
    over: Option<Trouble>,
}

/// Room for a packet of the usual length that is kept for good.
const CARRY_BYTES_KEPT: usize = 2048;
/// Bytes in which the rest of a message's head is looked for at first.
const HEAD_STEP: usize = 256;

impl Wire {
    /// A parser for a session that begins to play.
    ///
    /// # Errors
    /// [`Trouble::Unknown`] when `media` needs something that is not known here.
    pub fn new(media: &Media) -> Result<Self, Trouble> {
        let VideoMedia { codec, channel, format } = &media.video;
        let format = format.as_deref();
        known(*codec, format.unwrap_or_default())?;
        let mut books = Books::default();
        let audio = match &media.audio {
            None => None,
            Some(media) => {
                let (audio, params) = Audio::new(media)?;
                books.audio = Some(params);
                Some((media.channel, audio))
            }
        };
        Ok(Self {
            carry: Vec::new(),
            channel: *channel,
            video: Video::new(*codec, *channel, Parameters::new(*codec, format)),
            video_order: Receiver::default(),
            audio,
            audio_order: Receiver::default(),
            books,
            over: None,
        })
    }

    /// Takes the next bytes of the connection, split anywhere.
    ///
    /// # Errors
    /// The session is over; [`Trouble`] tells whether retina is to be asked. What was found before stands in `out`.
    pub fn take(&mut self, bytes: &[u8], out: &mut VecDeque<WireItem>) -> Result<(), Trouble> {
        if let Some(over) = &self.over {
            return Err(over.clone());
        }
        let result = self.try_take(bytes, out);
        if let Err(over) = &result {
            self.over = Some(over.clone());
            self.carry = Vec::new();
        }
        result
    }

    /// What it means that the device closes the connection here.
    #[must_use]
    pub fn closed(&self) -> Failure {
        if !self.carry.is_empty() {
            let text = "The device sent something that is not RTSP within the session.";
            return Failure::new(FailureClass::BadData, text);
        }
        if self.books.is_bad() {
            return Failure::new(FailureClass::BadData, "The device sent unusable packets.");
        }
        Failure::new(FailureClass::Closed, "The device closed the connection.")
    }

    /// Bytes of memory that it holds for what is not whole yet.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let audio = self.audio.as_ref().map_or(0, |(_, audio)| audio.held_bytes());
        self.carry.capacity() + self.video.held_bytes() + audio
    }

    fn try_take(&mut self, bytes: &[u8], out: &mut VecDeque<WireItem>) -> Result<(), Trouble> {
        self.video.look_again();
        let mut bytes = self.finish_carried(bytes, out)?;
        while !bytes.is_empty() {
            let front = frame::front(bytes)?;
            let Some((whole, rest)) = front.length().and_then(|n| bytes.split_at_checked(n)) else {
                self.carry.extend_from_slice(bytes);
                break;
            };
            self.one(front, whole, rest, out)?;
            bytes = rest;
        }
        Ok(())
    }

    /// Completes what was left over, if that can be done with these bytes, and gives back what lies behind it.
    fn finish_carried<'a>(
        &mut self,
        bytes: &'a [u8],
        out: &mut VecDeque<WireItem>,
    ) -> Result<&'a [u8], Trouble> {
        let mut rest = bytes;
        while !self.carry.is_empty() {
            let had = self.carry.len();
            let front = frame::front(&self.carry)?;
            let wanted = match front {
                Front::Part(need) => need.saturating_sub(had),
                // The end of a message's head shows only when it is there; what was taken too much is given back.
                Front::Open => had.max(HEAD_STEP),
                whole => {
                    let carried = std::mem::take(&mut self.carry);
                    let length = whole.length().unwrap_or(had);
                    let taken = bytes.len() - rest.len();
                    rest = bytes.get(taken.saturating_sub(had - length)..).unwrap_or_default();
                    self.one(whole, carried.get(..length).unwrap_or_default(), rest, out)?;
                    self.carry = carried;
                    self.carry.clear();
                    self.carry.shrink_to(CARRY_BYTES_KEPT);
                    break;
                }
            };
            if rest.is_empty() {
                break;
            }
            let (part, after) = rest.split_at_checked(wanted).unwrap_or((rest, &[]));
            self.carry.extend_from_slice(part);
            rest = after;
        }
        Ok(rest)
    }

    /// Takes one whole thing of the connection; `ahead` are the bytes behind it.
    fn one(
        &mut self,
        front: Front,
        whole: &[u8],
        ahead: &[u8],
        out: &mut VecDeque<WireItem>,
    ) -> Result<(), Trouble> {
        match front {
            Front::Packet { channel, .. } => {
                let body = whole.get(frame::HEADER..).unwrap_or_default();
                match self.packet(channel, body, ahead, out) {
                    Ok(()) => Ok(()),
                    Err(Fault::Bad(why)) => self.books.bad(why, out),
                    Err(Fault::End(trouble)) => Err(trouble),
                }
            }
            Front::Message(_) => {
                out.push_back(WireItem::Message(Bytes::copy_from_slice(whole)));
                Ok(())
            }
            Front::Blank | Front::Part(_) | Front::Open => Ok(()),
        }
    }

    fn packet(
        &mut self,
        channel: u8,
        body: &[u8],
        ahead: &[u8],
        out: &mut VecDeque<WireItem>,
    ) -> Result<(), Fault> {
        if channel == self.channel {
            let Some((meta, payload)) = rtp(&mut self.video_order, body)? else { return Ok(()) };
            let mut sink = Sink { books: &mut self.books, out };
            return self.video.packet(meta, payload, ahead, &mut sink);
        }
        if Some(channel) == self.channel.checked_add(1) {
            return rtcp(&mut self.video_order, Track::Video, body, out);
        }
        let Some((own, audio)) = &mut self.audio else { return Ok(()) };
        if channel == *own {
            let Some((meta, payload)) = rtp(&mut self.audio_order, body)? else { return Ok(()) };
            return Ok(audio.packet(meta, payload, &mut Sink { books: &mut self.books, out })?);
        }
        if Some(channel) == own.checked_add(1) {
            return rtcp(&mut self.audio_order, Track::Audio, body, out);
        }
        // Channels that were not set up are passed over.
        Ok(())
    }
}

fn rtp<'a>(order: &mut Receiver, body: &'a [u8]) -> Result<Option<(Meta, &'a [u8])>, Fault> {
    let packet = Packet::read(body).ok_or("a broken RTP header")?;
    Ok(order.packet(&packet)?.map(|meta| (meta, packet.payload)))
}

fn rtcp(order: &mut Receiver, track: Track, body: &[u8], out: &mut VecDeque<WireItem>) -> Result<(), Fault> {
    if let Some((ntp, raw_pts)) = order.report(body)? {
        out.push_back(WireItem::Source(SourceItem::SenderReport { track, ntp, raw_pts }));
    }
    Ok(())
}

/// Refuses what is legal and not known here.
fn known(codec: VideoCodec, format: &str) -> Result<(), Trouble> {
    let unknown = |what: &str| Err(Trouble::Unknown(format!("The device sends {what}.")));
    let is = |key: &str, text: &str| key.trim().eq_ignore_ascii_case(text);
    for (key, value) in format.split(';').filter_map(|p| p.split_once('=')) {
        let value = value.trim();
        match codec {
            VideoCodec::H264 if is(key, "packetization-mode") && value != "0" && value != "1" => {
                return unknown("H.264 in the interleaved mode");
            }
            VideoCodec::H265 if is(key, "tx-mode") && value != "SRST" => {
                return unknown("H.265 in several streams");
            }
            VideoCodec::H265 if is(key, "sprop-max-don-diff") && value.parse() != Ok(0_u16) => {
                return unknown("H.265 in another order than that of decoding");
            }
            _ => {}
        }
    }
    if codec == VideoCodec::Mjpeg { unknown("JPEG") } else { Ok(()) }
}
