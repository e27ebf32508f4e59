//! The parser of interleaved sessions alone: cameras of 2 Mbit/s and 25 pictures a second, read in turns of 200 ms out of
//! one buffer, as the lean path does, without sockets. Each camera keeps its last two seconds, as the hub does, so that the
//! memory of pictures is that of a node. Three runs over the same number of bytes:
//!
//! - filling the buffer and nothing else, which is taken off the other two;
//! - `floor`: each picture copied into a buffer of its size whose length is known beforehand;
//! - the parser.

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;
use fengsui_ingest::lean::media::{Media, VideoMedia};
use fengsui_ingest::lean::wire::{Wire, WireItem};
use fengsui_ingest::source::SourceItem;
use fengsui_storage::frame::VideoCodec;

use crate::camsim::clip::Codec;
use crate::camsim::nal::AccessUnit;
use crate::camsim::packetise::{self, Packed};
use crate::figure::{Figure, Target};
use crate::procstat;

/// Pictures in a group: two seconds.
const GROUP: usize = 50;
/// Pictures in one turn of 200 ms.
const TURN: usize = 5;
/// Bytes of a key picture, and of the others: together 2 Mbit/s.
const PICTURES: (usize, usize) = (60_000, 8_980);

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Bytes in each run, in units of 10^9
    #[arg(long, default_value_t = 4.0)]
    pub gigabytes: f64,
    /// Cameras read in turn
    #[arg(long, default_value_t = 200)]
    pub cameras: usize,
}

/// Runs the benchmark; hands each figure to `show` as soon as it is known.
///
/// # Errors
/// `/proc` cannot be read, or the parser refuses what it is given.
pub fn run(options: &Options, show: &mut dyn FnMut(Figure)) -> io::Result<()> {
    for codec in [Codec::H264, Codec::H265] {
        let stream = Stream::new(codec);
        let fill = measured(options, &stream, &mut |_, _, bytes, _| {
            std::hint::black_box(bytes);
            Ok(())
        })?;
        let floor = measured(options, &stream, &mut |_, turn, bytes, kept| {
            let mut at = 0;
            for n in stream.turn(turn) {
                let picture = stream.packed.bytes_of(n).len();
                kept.push(Bytes::copy_from_slice(bytes.get(at..at + picture).unwrap_or_default()));
                at += picture;
            }
            Ok(())
        })?;
        let parsed = parsed(options, &stream)?;
        let name = |what: &str| format!("wire_{}_{what}", codec.as_str());
        show(Figure::new(name("floor"), floor - fill, "cpu-s/GB", Target::Shown));
        show(Figure::new(name("cost"), parsed - fill, "cpu-s/GB", Target::AtMost(0.15)));
    }
    Ok(())
}

/// Cost of the parser and of filling its buffer.
fn parsed(options: &Options, stream: &Stream) -> io::Result<f64> {
    let codec = if stream.codec == Codec::H264 { VideoCodec::H264 } else { VideoCodec::H265 };
    let media = Media { video: VideoMedia { codec, channel: 0, format: None }, audio: None };
    let new = || Wire::new(&media).map_err(io::Error::other);
    let mut wires = (0..options.cameras).map(|_| new()).collect::<io::Result<Vec<_>>>()?;
    let mut items = VecDeque::new();
    let mut units = 0_usize;
    let cost = measured(options, stream, &mut |camera, _, bytes, kept| {
        let wire = wires.get_mut(camera).ok_or_else(|| io::Error::other("no such camera"))?;
        wire.take(bytes, &mut items).map_err(io::Error::other)?;
        for item in items.drain(..) {
            if let WireItem::Source(SourceItem::Unit(unit)) = item {
                units += 1;
                kept.push(unit.data);
            }
        }
        Ok(())
    })?;
    let turns = options.turns(stream);
    if units != turns * TURN {
        return Err(io::Error::other(format!("{units} pictures of {}", turns * TURN)));
    }
    Ok(cost)
}

impl Options {
    fn turns(&self, stream: &Stream) -> usize {
        (self.gigabytes * 1e9 / stream.packed.data.len() as f64 * (GROUP / TURN) as f64) as usize
    }
}

/// The last two seconds of a camera.
#[derive(Default)]
struct Kept(VecDeque<Bytes>);

impl Kept {
    fn push(&mut self, data: Bytes) {
        if self.0.len() == GROUP {
            self.0.pop_front();
        }
        self.0.push_back(data);
    }
}

type Work<'a> = dyn FnMut(usize, usize, &[u8], &mut Kept) -> io::Result<()> + 'a;

/// CPU seconds for each GB: fills the buffer for one camera after the other and gives it to `work`, with the number of the
/// camera and of its turn.
fn measured(options: &Options, stream: &Stream, work: &mut Work<'_>) -> io::Result<f64> {
    let mut kept: Vec<Kept> = (0..options.cameras).map(|_| Kept::default()).collect();
    let mut scratch = vec![0; 256 << 10];
    let mut sent = vec![(0_usize, 0_u16); options.cameras];
    let mut bytes = 0;
    let before = procstat::own_cpu_seconds()?;
    for n in 0..options.turns(stream) {
        let camera = n % options.cameras;
        let (Some((turn, sequence)), Some(kept)) = (sent.get_mut(camera), kept.get_mut(camera)) else {
            break;
        };
        let filled = stream.fill(*turn, sequence, &mut scratch);
        work(camera, *turn, filled, kept)?;
        *turn += 1;
        bytes += filled.len();
    }
    Ok((procstat::own_cpu_seconds()? - before) / (bytes as f64 / 1e9))
}

/// What every camera sends.
struct Stream {
    codec: Codec,
    packed: Packed,
}

impl Stream {
    fn new(codec: Codec) -> Self {
        let mut x = 88_172_645_463_325_252_u64;
        let mut noise = |header: &[u8], bytes: usize| {
            let mut nal = header.to_vec();
            while nal.len() < bytes {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                // Coded pictures have no start codes.
                nal.extend_from_slice(&(x | 0x0100_0100_0100_0100).to_be_bytes());
            }
            nal
        };
        let (key, other): (&[u8], &[u8]) =
            if codec == Codec::H264 { (&[0x65], &[0x41]) } else { (&[38, 1], &[2, 1]) };
        let nals: Vec<_> = (0..GROUP)
            .map(|n| if n == 0 { noise(key, PICTURES.0) } else { noise(other, PICTURES.1) })
            .collect();
        let units: Vec<_> =
            nals.iter().enumerate().map(|(n, nal)| AccessUnit { nals: vec![nal], key: n == 0 }).collect();
        Self { codec, packed: packetise::pack_video(codec, 96, &units, &[]) }
    }

    /// The pictures of a turn.
    fn turn(&self, turn: usize) -> &[packetise::Frame] {
        let first = turn * TURN % GROUP;
        self.packed.frames.get(first..first + TURN).unwrap_or_default()
    }

    /// Puts a turn into the buffer, with numbers and time stamps that go on.
    fn fill<'a>(&self, turn: usize, sequence: &mut u16, scratch: &'a mut [u8]) -> &'a [u8] {
        let mut at = 0;
        for (n, frame) in self.turn(turn).iter().enumerate() {
            let time = ((turn * TURN + n) * 3600) as u32;
            let bytes = self.packed.bytes_of(frame);
            if let Some(to) = scratch.get_mut(at..at + bytes.len()) {
                to.copy_from_slice(bytes);
            }
            for packet in self.packed.packets_of(frame) {
                let length = packetise::INTERLEAVED_HEADER + usize::from(packet.rtp_bytes);
                if let Some(packet) = scratch.get_mut(at..at + length) {
                    packetise::patch(packet, 0, *sequence, time, 7);
                }
                *sequence = sequence.wrapping_add(1);
                at += length;
            }
        }
        scratch.get(..at).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn every_picture_comes_out_of_the_parser_and_the_figures_are_numbers() {
        let mut figures = Vec::new();
        run(&Options { gigabytes: 0.01, cameras: 3 }, &mut |figure| figures.push(figure)).unwrap();
        assert_eq!(figures.len(), 4);
        assert!(figures.iter().all(|f| f.value.is_finite()), "{figures:?}");
    }
}
