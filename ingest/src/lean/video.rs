//! From RTP payloads to access units: H.264 (RFC 6184) and H.265 (RFC 7798).
//!
//! An access unit ends with the marker, or where the time stamp changes. Cameras set both wrongly behind parameter sets
//! and the like, which cannot end a unit; there it goes on.

use std::collections::VecDeque;

use fengsui_storage::frame::VideoCodec;

use super::books::Books;
use super::params::{Parameters, Set};
use super::rtp::Meta;
use super::unit::Unit;
use super::wire::{Fault, Trouble, WireItem};

/// Where the depacketiser stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between two units.
    Between {
        /// Packets that were lost with the marker of the unit before.
        lost: u32,
    },
    /// Within one.
    Within,
    /// A part of a unit was lost: the rest of it is passed over.
    Passing { pts: i64, lost: u32 },
}

/// What a payload came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Came {
    /// Something of the unit under way.
    Added,
    /// The rest of a fragmented NAL unit whose beginning was lost.
    Headless,
}

/// Makes access units of one video track.
#[derive(Debug)]
pub(super) struct Video {
    codec: VideoCodec,
    channel: u8,
    pub parameters: Parameters,
    unit: Unit,
    state: State,
    pts: i64,
    lost: u32,
    /// Within a fragmented NAL unit.
    fragment: bool,
    /// The packet in hand cut a fragmented NAL unit off, and counts as bad for that.
    cut: bool,
}

/// Where things go that are found.
pub(super) struct Sink<'a> {
    pub books: &'a mut Books,
    pub out: &'a mut VecDeque<WireItem>,
}

impl Video {
    /// For a track whose parameters are known so far.
    pub fn new(codec: VideoCodec, channel: u8, parameters: Parameters) -> Self {
        Self {
            codec,
            channel,
            parameters,
            unit: Unit::new(),
            state: State::Between { lost: 0 },
            pts: 0,
            lost: 0,
            fragment: false,
            cut: false,
        }
    }

    /// Bytes of memory held for the unit under way.
    pub fn held_bytes(&self) -> usize {
        self.unit.held_bytes() + self.parameters.held_bytes()
    }

    /// Other bytes lie ahead than before.
    pub fn look_again(&mut self) {
        self.unit.look_again();
    }

    /// Takes one packet; `ahead` is what follows it.
    ///
    /// # Errors
    /// It is unusable, and the unit under way with it; or the session is over.
    pub fn packet(
        &mut self,
        meta: Meta,
        payload: &[u8],
        ahead: &[u8],
        sink: &mut Sink<'_>,
    ) -> Result<(), Fault> {
        self.cut = false;
        let result = self.try_packet(meta, payload, ahead, sink);
        if result.is_err() {
            self.state = State::Between { lost: 0 };
        }
        if self.state != State::Within {
            self.discard();
        }
        match result {
            // It was told already that this packet cut a NAL unit off.
            Err(Fault::Bad(_)) if self.cut => Ok(()),
            result => result,
        }
    }

    fn try_packet(
        &mut self,
        meta: Meta,
        payload: &[u8],
        ahead: &[u8],
        sink: &mut Sink<'_>,
    ) -> Result<(), Fault> {
        if !self.begin(meta, sink)? {
            return Ok(());
        }
        self.unit.room(payload.len(), self.channel, &meta, ahead);
        let came = match self.codec {
            VideoCodec::H264 => self.h264(meta, payload),
            _ => self.h265(meta, payload),
        }?;
        if came == Came::Headless {
            if meta.lost == 0 {
                return Err(Fault::Bad("a fragment without a beginning"));
            }
            self.state = State::Passing { pts: meta.pts, lost: meta.lost };
            return Ok(());
        }
        self.state = State::Within;
        if meta.mark && self.may_end() {
            self.finish(sink)?;
            self.state = State::Between { lost: 0 };
        }
        Ok(())
    }

    /// Begins a unit with this packet, or goes on with the one under way. `false`: the packet is to be passed over.
    fn begin(&mut self, meta: Meta, sink: &mut Sink<'_>) -> Result<bool, Fault> {
        match self.state {
            State::Between { lost } => self.start(meta, lost),
            State::Within if meta.lost > 0 => {
                self.discard();
                if self.pts == meta.pts {
                    self.state = if meta.mark {
                        State::Between { lost: meta.lost }
                    } else {
                        State::Passing { pts: meta.pts, lost: meta.lost }
                    };
                    return Ok(false);
                }
                self.start(meta, 0);
            }
            State::Within if self.pts != meta.pts => {
                if self.fragment {
                    self.cut = true;
                    sink.books
                        .bad("the time stamp changed within a NAL unit", sink.out)
                        .map_err(Fault::End)?;
                    self.discard();
                    self.start(meta, 0);
                } else if self.may_end() {
                    self.finish(sink)?;
                    self.start(meta, 0);
                } else {
                    self.pts = meta.pts;
                }
            }
            State::Within => {}
            State::Passing { pts, lost } if pts == meta.pts => {
                self.state = State::Passing { pts, lost: lost.saturating_add(meta.lost) };
                return Ok(false);
            }
            State::Passing { lost, .. } => self.start(meta, lost),
        }
        Ok(true)
    }

    fn start(&mut self, meta: Meta, lost: u32) {
        self.pts = meta.pts;
        self.lost = meta.lost.saturating_add(lost);
    }

    fn discard(&mut self) {
        self.unit.discard();
        self.parameters.discard();
        self.fragment = false;
    }

    fn finish(&mut self, sink: &mut Sink<'_>) -> Result<(), Fault> {
        let changed = self.parameters.adopt().map_err(Fault::Bad)?;
        let unit = (self.pts, self.lost, self.unit.take());
        sink.books.video(unit, (changed, self.parameters.known()), sink.out);
        Ok(())
    }

    /// Whether the last NAL unit may be the last of an access unit: not those that come before pictures.
    fn may_end(&self) -> bool {
        match (self.codec, self.unit.last()) {
            (_, None) => false,
            (VideoCodec::H264, Some(kind)) => !matches!(kind, 6..=8),
            (_, Some(kind)) => !matches!(kind, 32..=34 | 41..=44 | 48..=55),
        }
    }

    fn h264(&mut self, meta: Meta, payload: &[u8]) -> Result<Came, Fault> {
        let [first, rest @ ..] = payload else { return Err(Fault::Bad("a packet without a payload")) };
        if first & 0x80 != 0 {
            return Err(Fault::Bad("a NAL unit with its forbidden bit"));
        }
        let kind = first & 0x1F;
        if self.fragment && kind != 28 {
            return Err(Fault::Bad("a NAL unit within a fragmented one"));
        }
        match (kind, rest) {
            (1..=23, _) => self.h264_unit(payload)?,
            (24, mut rest) => {
                // STAP-A
                while !rest.is_empty() {
                    let (nal, after) = aggregated(rest, 1)?;
                    self.h264_unit(nal)?;
                    rest = after;
                }
            }
            (28, [fragment, part @ ..]) => {
                let header = first & 0xE0 | fragment & 0x1F;
                let came = self.fragment_begins(*fragment, meta.mark)?;
                if came == Came::Headless {
                    return Ok(came);
                }
                if fragment & 0x80 != 0 {
                    self.unit.open_scan(Some(header))?;
                }
                self.unit.scan(part, &mut self.parameters)?;
                self.fragment = fragment & 0x40 == 0;
                if !self.fragment {
                    self.unit.close_scan(&mut self.parameters);
                }
            }
            (25..=27 | 29, _) => {
                let text = format!("The device sends H.264 in the interleaved mode (type {kind}).");
                return Err(Fault::End(Trouble::Unknown(text)));
            }
            _ => return Err(Fault::Bad("a NAL unit of no known type")),
        }
        Ok(Came::Added)
    }

    /// One NAL unit, or a byte stream where one belongs.
    fn h264_unit(&mut self, nal: &[u8]) -> Result<(), Fault> {
        self.unit.open_scan(None)?;
        self.unit.scan(nal, &mut self.parameters)?;
        self.unit.close_scan(&mut self.parameters);
        Ok(())
    }

    /// Checks the bits for start and end of a fragment.
    fn fragment_begins(&self, bits: u8, mark: bool) -> Result<Came, Fault> {
        let (start, end) = (bits & 0x80 != 0, bits & 0x40 != 0);
        if mark && !end {
            return Err(Fault::Bad("a marker within a NAL unit"));
        }
        match (start, self.fragment) {
            (true, true) => Err(Fault::Bad("a fragmented NAL unit within another one")),
            (false, false) => Ok(Came::Headless),
            _ => Ok(Came::Added),
        }
    }

    fn h265(&mut self, meta: Meta, payload: &[u8]) -> Result<Came, Fault> {
        let ([h0, h1], rest) = h265_header(payload)?;
        let kind = h0 >> 1;
        match (kind, rest) {
            (0..=48, _) if self.fragment => {
                return Err(Fault::Bad("a NAL unit within a fragmented one"));
            }
            (0..=47, _) => self.h265_unit(payload, kind)?,
            (48, mut rest) => {
                // AP
                loop {
                    let (nal, after) = aggregated(rest, 2)?;
                    let ([first, _], _) = h265_header(nal)?;
                    self.h265_unit(nal, first >> 1)?;
                    rest = after;
                    if rest.is_empty() {
                        break;
                    }
                }
            }
            (49, [fragment, part @ ..]) => {
                let came = self.fragment_begins(*fragment, meta.mark)?;
                if came == Came::Headless {
                    return Ok(came);
                }
                if fragment & 0x80 != 0 {
                    let kind = fragment & 0x3F;
                    self.unit.begin(&[h0 & 0x81 | kind << 1, h1], kind)?;
                }
                self.unit.add(part)?;
                self.fragment = fragment & 0x40 == 0;
                if !self.fragment {
                    self.h265_end();
                }
            }
            (50, _) => {
                return Err(Fault::End(Trouble::Unknown("The device sends H.265 with PACI.".to_owned())));
            }
            _ => return Err(Fault::Bad("a NAL unit of no known type")),
        }
        Ok(Came::Added)
    }

    fn h265_unit(&mut self, nal: &[u8], kind: u8) -> Result<(), Fault> {
        self.unit.begin(nal, kind)?;
        self.h265_end();
        Ok(())
    }

    fn h265_end(&mut self) {
        let set = match self.unit.last() {
            Some(32) => Some(Set::Video),
            Some(33) => Some(Set::Sequence),
            Some(34) => Some(Set::Picture),
            _ => None,
        };
        self.unit.end(set, &mut self.parameters);
    }
}

/// The header of an H.265 NAL unit or payload, and what is behind it.
fn h265_header(bytes: &[u8]) -> Result<([u8; 2], &[u8]), Fault> {
    let (header, rest) = bytes.split_first_chunk::<2>().ok_or(Fault::Bad("a NAL unit without a header"))?;
    if header[0] & 0x80 != 0 || header[1] & 7 == 0 {
        return Err(Fault::Bad("a NAL unit with an impossible header"));
    }
    Ok((*header, rest))
}

/// The first NAL unit of an aggregation, of `least` bytes at least, and what is behind it.
fn aggregated(bytes: &[u8], least: usize) -> Result<(&[u8], &[u8]), Fault> {
    let wrong = Fault::Bad("a wrong length within an aggregation");
    let Some((length, rest)) = bytes.split_first_chunk::<2>() else { return Err(wrong) };
    let length = usize::from(u16::from_be_bytes(*length));
    match rest.split_at_checked(length) {
        Some(found) if length >= least => Ok(found),
        _ => Err(wrong),
    }
}
