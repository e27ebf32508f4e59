//! From RTP payloads to audio units: G.711 (RFC 3551 section 4.5.14), and AAC in the mode `AAC-hbr` (RFC 3640 section
//! 3.3.6).

use bytes::Bytes;
use fengsui_storage::frame::{AudioCodec, AudioParams};
use retina::codec::{Depacketizer, ParametersRef};

use super::media::AudioMedia;
use super::rtp::Meta;
use super::video::Sink;
use super::wire::Trouble;

/// Makes audio units of one track.
#[derive(Debug)]
pub(super) enum Audio {
    /// Every packet is a unit.
    Plain,
    /// AAC.
    Aac(Aac),
}

impl Audio {
    /// For the track of `media`, with its parameters.
    ///
    /// # Errors
    /// The coding is not known here, or its parameters cannot be used.
    pub fn new(media: &AudioMedia) -> Result<(Self, AudioParams), Trouble> {
        let codec = match media.encoding.as_str() {
            "pcma" => AudioCodec::Pcma,
            "pcmu" => AudioCodec::Pcmu,
            "mpeg4-generic" => AudioCodec::Aac,
            other => return Err(Trouble::Unknown(format!("The sound is coded as {other}."))),
        };
        let unusable = || Trouble::Unknown("The description of the sound cannot be used.".to_owned());
        let format = media.format.as_deref();
        let made = Depacketizer::new("audio", &media.encoding, media.clock_rate, media.channels, format)
            .map_err(|_| unusable())?;
        let Some(ParametersRef::Audio(found)) = made.parameters() else { return Err(unusable()) };
        let mut params = AudioParams {
            codec,
            sample_rate: found.clock_rate(),
            channels: found.channels().get(),
            extra: Bytes::new(),
        };
        if codec != AudioCodec::Aac {
            return Ok((Self::Plain, params));
        }
        params.extra = Bytes::copy_from_slice(found.extra_data());
        let samples = found.frame_length().ok_or_else(unusable)?.get();
        Ok((Self::Aac(Aac { samples, state: State::default() }), params))
    }

    /// Bytes of memory held for the unit under way.
    pub fn held_bytes(&self) -> usize {
        match self {
            Self::Aac(Aac { state: State::Within { data, .. }, .. }) => data.capacity(),
            _ => 0,
        }
    }

    /// Takes one packet.
    ///
    /// # Errors
    /// Why it is unusable.
    pub fn packet(&mut self, meta: Meta, payload: &[u8], sink: &mut Sink<'_>) -> Result<(), &'static str> {
        match self {
            Self::Plain if payload.is_empty() => Err("a packet without a payload"),
            Self::Plain => {
                sink.books.audio(meta.pts, meta.lost, Bytes::copy_from_slice(payload), sink.out);
                Ok(())
            }
            Self::Aac(aac) => aac.packet(meta, payload, sink),
        }
    }
}

/// Makes units of AAC: several of them in a packet, or one over several packets.
#[derive(Debug)]
pub(super) struct Aac {
    /// Samples in a unit.
    samples: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Between two units.
    Between(Loss),
    /// Within one of `size` bytes, of which those in `data` have come.
    Within { pts: i64, loss: Loss, size: usize, data: Vec<u8> },
}

impl Default for State {
    fn default() -> Self {
        Self::Between(Loss::default())
    }
}

/// Packets lost before the next unit.
#[derive(Debug, Clone, Copy, Default)]
struct Loss {
    packets: u32,
    /// Some since the last marker: a unit may be short for that reason.
    recent: bool,
}

impl Aac {
    fn packet(&mut self, meta: Meta, payload: &[u8], sink: &mut Sink<'_>) -> Result<(), &'static str> {
        if meta.lost > 0
            && let State::Within { loss, .. } = &self.state
        {
            self.state = State::Between(Loss { packets: loss.packets, recent: true });
        }
        let (bits, rest) = payload.split_first_chunk::<2>().ok_or("a short packet of sound")?;
        let bits = u16::from_be_bytes(*bits);
        if bits & 7 != 0 {
            return Err("headers of sound of an unknown length");
        }
        let (headers, data) =
            rest.split_at_checked(usize::from(bits >> 4) * 2).ok_or("a short packet of sound")?;
        let (headers, _) = headers.as_chunks::<2>();
        match &mut self.state {
            State::Within { .. } => self.fragment(meta, headers, data, sink),
            State::Between(_) if headers.is_empty() => Err("a packet of sound without a unit"),
            State::Between(loss) => {
                let packets = loss.packets.saturating_add(meta.lost);
                let loss = Loss { packets, recent: loss.recent || meta.lost > 0 };
                self.state = State::default();
                self.units(meta, headers, data, loss, sink)
            }
        }
    }

    /// The units of a packet, or the first part of one.
    fn units(
        &mut self,
        meta: Meta,
        headers: &[[u8; 2]],
        mut data: &[u8],
        mut loss: Loss,
        sink: &mut Sink<'_>,
    ) -> Result<(), &'static str> {
        let mut pts = meta.pts;
        for header in headers {
            let header = u16::from_be_bytes(*header);
            let size = usize::from(header >> 3);
            if header & 7 != 0 {
                return Err("interleaved sound");
            }
            let Some((unit, after)) = data.split_at_checked(size) else {
                return self.begin(meta, headers.len(), size, data, loss);
            };
            if !meta.mark {
                return Err("a whole unit of sound without a marker");
            }
            sink.books.audio(pts, loss.packets, Bytes::copy_from_slice(unit), sink.out);
            loss.packets = 0;
            pts = pts.saturating_add(i64::from(self.samples));
            data = after;
        }
        Ok(())
    }

    fn begin(
        &mut self,
        meta: Meta,
        headers: usize,
        size: usize,
        part: &[u8],
        loss: Loss,
    ) -> Result<(), &'static str> {
        if headers != 1 {
            return Err("a part of a unit of sound together with others");
        }
        if meta.mark {
            if loss.recent {
                self.state = State::Between(Loss { packets: loss.packets, recent: false });
                return Ok(());
            }
            return Err("a marker within a unit of sound");
        }
        let mut data = Vec::with_capacity(size);
        data.extend_from_slice(part);
        self.state = State::Within { pts: meta.pts, loss, size, data };
        Ok(())
    }

    /// A further part of a unit.
    fn fragment(
        &mut self,
        meta: Meta,
        headers: &[[u8; 2]],
        part: &[u8],
        sink: &mut Sink<'_>,
    ) -> Result<(), &'static str> {
        let State::Within { pts, loss, size, data } = &mut self.state else { return Ok(()) };
        let [header] = headers else { return Err("a part of a unit of sound together with others") };
        // Its low 16 bits are compared, as the other path does.
        if (meta.pts ^ *pts) & 0xFFFF != 0 || usize::from(u16::from_be_bytes(*header) >> 3) != *size {
            return Err("another unit of sound within one");
        }
        let so_far = data.len() + part.len();
        if so_far > *size || (so_far == *size && !meta.mark) {
            return Err("a unit of sound that is too long");
        }
        if so_far < *size && meta.mark {
            if !loss.recent {
                return Err("a marker within a unit of sound");
            }
            self.state = State::Between(Loss { packets: loss.packets, recent: false });
            return Ok(());
        }
        data.extend_from_slice(part);
        if so_far == *size {
            let (data, lost) = (Bytes::from(std::mem::take(data)), loss.packets);
            self.state = State::default();
            sink.books.audio(meta.pts, lost, data, sink.out);
        }
        Ok(())
    }
}
