//! Devices made at random, by a seed: what they send is packed, cut, joined, lost and broken in all the ways that the
//! formats allow, and in some that they do not.

use fengsui_storage::frame::VideoCodec;
use rand::prelude::*;
use rand::rngs::StdRng;

use super::super::media::AudioMedia;
use super::Device;

/// SPS and PPS of two sizes.
pub(super) const H264_SETS: [[&str; 2]; 3] = [
    ["6764001facd9405005bb016c80000003008000001e078c18cb", "68ebe3cb22c0"],
    ["67f4001f9196805005bb011000000300100000030320f1832a", "68ce0f1920"],
    ["67f4001e919680a02ff89c0440000003004000000c83c58ba8", "68ce0f1920"],
];
/// VPS, SPS and PPS of two sizes.
pub(super) const H265_SETS: [[&str; 3]; 2] = [
    [
        "40010c01ffff0408000003009e0800000300005d959409",
        "4201010408000003009e0800000300005d9000501005a2cb2b2a5261780b7020200040000003004000000642",
        "4401c07318301890",
    ],
    [
        "40010c01ffff0408000003009e0800000300003f959409",
        "4201010408000003009e0800000300003f9000a0402e3e272caca94985e02dc08080010000030001000003001908",
        "4401c07318301890",
    ],
];

pub(super) fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

/// The parts of an RTP packet.
#[derive(Debug, Clone)]
pub(super) struct Rtp {
    pub channel: u8,
    pub sequence: u16,
    pub time: u32,
    pub mark: bool,
    pub payload: Vec<u8>,
}

/// An interleaved RTP packet.
pub(super) fn framed(channel: u8, data: &[u8]) -> Vec<u8> {
    let mut out = vec![b'$', channel];
    out.extend_from_slice(&(data.len() as u16).to_be_bytes());
    out.extend_from_slice(data);
    out
}

impl Rtp {
    pub fn bytes(&self) -> Vec<u8> {
        self.with(0x80, 96, 0x1000 + u32::from(self.channel), &[], &[])
    }

    fn with(&self, first: u8, kind: u8, source: u32, before: &[u8], after: &[u8]) -> Vec<u8> {
        let mut p = vec![first, u8::from(self.mark) << 7 | kind];
        p.extend_from_slice(&self.sequence.to_be_bytes());
        p.extend_from_slice(&self.time.to_be_bytes());
        p.extend_from_slice(&source.to_be_bytes());
        p.extend_from_slice(before);
        p.extend_from_slice(&self.payload);
        p.extend_from_slice(after);
        framed(self.channel, &p)
    }
}

/// A device under construction.
pub(super) struct Maker {
    rng: StdRng,
    codec: VideoCodec,
    /// Breaks packets in ways after which the other client cannot go on.
    wild: bool,
    sequence: u16,
    time: u32,
    sets: usize,
    /// The unit before had no marker.
    unmarked: bool,
    packets: Vec<Rtp>,
}

impl Maker {
    /// The device of a seed.
    pub fn device(seed: u64) -> Device {
        let mut rng = StdRng::seed_from_u64(seed);
        let codec = if rng.random_bool(0.5) { VideoCodec::H264 } else { VideoCodec::H265 };
        let (wild, sets) = (rng.random_ratio(1, 6), rng.random_range(0..2));
        let time = if rng.random() { rng.random() } else { u32::MAX - 20_000 };
        let (sequence, units) = (rng.random(), rng.random_range(2..40));
        let mut maker = Self { rng, codec, wild, sequence, time, sets, unmarked: false, packets: Vec::new() };
        let format = maker.format();
        let (audio, mut sound) = maker.sound(units);
        for _ in 0..units {
            maker.unit();
        }
        let mut video = std::mem::take(&mut maker.packets).into_iter();
        let mut all = Vec::new();
        // The tracks lie in each other, each in its own order.
        while video.len() + sound.len() > 0 {
            let next = if maker.rng.random_range(0..video.len() + sound.len()) < video.len() {
                video.next()
            } else {
                Some(sound.remove(0))
            };
            all.extend(next);
        }
        maker.break_some(&mut all);
        let media = maker.wrap(&all);
        Device { codec, format, audio, media }
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_ratio(percent, 100)
    }

    fn parameter_sets(&self) -> Vec<Vec<u8>> {
        match self.codec {
            VideoCodec::H264 => H264_SETS[self.sets % 3].iter().map(|s| bytes(s)).collect(),
            _ => H265_SETS[self.sets % 2].iter().map(|s| bytes(s)).collect(),
        }
    }

    fn format(&mut self) -> Option<String> {
        use base64::Engine as _;
        let coded: Vec<String> = self
            .parameter_sets()
            .iter()
            .map(|s| base64::engine::general_purpose::STANDARD.encode(s))
            .collect();
        match (self.rng.random_range(0..8), &coded[..]) {
            (0, _) => None,
            (1, _) => Some("packetization-mode=1".to_owned()),
            (2, _) => Some("packetization-mode=1;sprop-parameter-sets=AAAA,BBBB;sprop-vps=AAAA".to_owned()),
            (_, [sps, pps]) => Some(format!("packetization-mode=1; sprop-parameter-sets={sps},{pps}")),
            (_, [vps, sps, pps]) => Some(format!("sprop-vps={vps}; sprop-sps={sps}; sprop-pps={pps}")),
            _ => None,
        }
    }

    /// Bytes as coded pictures are; some of them with start codes and zeros where none belong.
    fn body(&mut self) -> Vec<u8> {
        let length = match self.rng.random_range(0..100) {
            0..10 => self.rng.random_range(0..4),
            10..60 => self.rng.random_range(4..60),
            60..90 => self.rng.random_range(60..1500),
            _ => self.rng.random_range(1500..9000),
        };
        let mut body = vec![0; length];
        self.rng.fill(&mut body[..]);
        if self.chance(4) {
            for b in &mut body {
                *b = [0, 0, 0, 1, 2, 3, 9, *b][usize::from(*b) % 8];
            }
        } else {
            for at in 2..length {
                if body[at - 2..at] == [0, 0] && body[at] <= 2 {
                    body[at] = 3;
                }
            }
        }
        if self.chance(5) {
            let zeros = self.rng.random_range(1..4);
            body.extend_from_slice(&[0, 0, 0, 0][..zeros]);
        }
        body
    }

    fn nal(&mut self, kind: u8) -> Vec<u8> {
        let mut nal = match self.codec {
            VideoCodec::H264 => vec![0x60 | kind],
            _ => vec![kind << 1, 1],
        };
        nal.append(&mut self.body());
        nal
    }

    /// The NAL units of an access unit.
    fn nals(&mut self) -> Vec<Vec<u8>> {
        let h264 = self.codec == VideoCodec::H264;
        let key = self.chance(20);
        let mut nals = Vec::new();
        if self.unmarked || self.chance(10) {
            nals.push(self.nal(if h264 { 9 } else { 35 }));
        }
        if !self.unmarked && (key || self.chance(15)) {
            if self.chance(15) {
                self.sets += 1;
            }
            let mut sets = self.parameter_sets();
            if self.chance(10) {
                sets.remove(self.rng.random_range(0..sets.len()));
            }
            if self.chance(5) {
                sets.shuffle(&mut self.rng);
            }
            if self.chance(4) {
                // Broken; the next whole ones are new ones again.
                let which = self.rng.random_range(0..sets.len());
                let to = self.rng.random_range(2..=sets[which].len());
                sets[which].truncate(to);
            }
            nals.append(&mut sets);
        }
        if self.chance(15) {
            nals.push(self.nal(if h264 { 6 } else { 39 }));
        }
        for _ in 0..if self.chance(20) { self.rng.random_range(0..5) } else { 1 } {
            nals.push(self.nal(match (h264, key) {
                (true, true) => 5,
                (true, false) => 1,
                (false, true) => 19,
                (false, false) => 1,
            }));
        }
        if self.chance(4) {
            let kind = self.rng.random_range(if h264 { 1..24 } else { 0..64 });
            nals.push(self.nal(kind));
        }
        nals
    }

    /// One access unit in packets.
    fn unit(&mut self) {
        let nals = self.nals();
        let mut payloads = Vec::new();
        let mut rest = &nals[..];
        while let [first, after @ ..] = rest {
            rest = after;
            // Types that stand for packets cannot be packets of their own.
            let whole = self.codec == VideoCodec::H264 || first[0] >> 1 < 48;
            match self.rng.random_range(0..100) {
                0..30 if !after.is_empty() => {
                    let take = self.rng.random_range(0..=after.len());
                    payloads.push(self.aggregation(&nals[nals.len() - after.len() - 1..][..=take]));
                    rest = &after[take..];
                }
                30..34 if whole && !after.is_empty() => {
                    let code = if self.chance(50) { &[0, 0, 1][..] } else { &[0, 0, 0, 1][..] };
                    payloads.push([first, code, &after[0]].concat());
                    rest = &after[1..];
                }
                0..60 if whole && first.len() <= 1400 => payloads.push(first.clone()),
                _ => payloads.append(&mut self.fragments(first)),
            }
        }
        let last = payloads.len().saturating_sub(1);
        for (n, payload) in payloads.into_iter().enumerate() {
            let whole = payload[0] & 0x1F != 28 && payload[0] >> 1 != 49;
            let mark = if n == last { !self.chance(8) } else { whole && self.chance(2) };
            self.unmarked = n == last && !mark;
            let packet = Rtp { channel: 0, sequence: self.sequence, time: self.time, mark, payload };
            self.sequence = self.sequence.wrapping_add(1);
            self.packets.push(packet);
            if whole && self.chance(2) {
                self.time = self.time.wrapping_add(self.rng.random_range(0..100));
            }
        }
        let step = match self.rng.random_range(0..100) {
            0..3 => self.rng.random(),
            3..6 => 0,
            6..9 => 3600_u32.wrapping_neg(),
            _ => 3600,
        };
        self.time = self.time.wrapping_add(step);
    }

    fn aggregation(&mut self, nals: &[Vec<u8>]) -> Vec<u8> {
        let mut payload = if self.codec == VideoCodec::H264 { vec![0x78] } else { vec![48 << 1, 1] };
        for nal in nals.iter().filter(|n| n.len() < 20_000) {
            payload.extend_from_slice(&(nal.len() as u16).to_be_bytes());
            payload.extend_from_slice(nal);
        }
        payload
    }

    fn fragments(&mut self, nal: &[u8]) -> Vec<Vec<u8>> {
        let header = if self.codec == VideoCodec::H264 { 1 } else { 2 };
        let (head, mut body) = nal.split_at(header);
        let most = if self.chance(10) { 9 } else { 1400 };
        let (mut out, mut start) = (Vec::new(), true);
        loop {
            let length = self.rng.random_range(0..=most.min(body.len()));
            let length =
                if out.len() > 30 || self.chance(60) { body.len().min(1400.max(most)) } else { length };
            let (part, rest) = body.split_at(length);
            body = rest;
            let bits = u8::from(start) << 7 | u8::from(body.is_empty()) << 6;
            let odd = self.chance(1);
            let mut payload = match *head {
                [h] => vec![h & 0xE0 | 28, bits | h & 0x1F],
                [h0, h1] => vec![h0 & 0x81 | 49 << 1, h1, bits | h0 >> 1 & 0x3F],
                _ => unreachable!("a header of one or two bytes"),
            };
            if odd && !start {
                *payload.last_mut().unwrap() ^= 1;
            }
            payload.extend_from_slice(part);
            out.push(payload);
            start = false;
            if body.is_empty() {
                return out;
            }
        }
    }

    /// A track of sound, sometimes, and its packets.
    fn sound(&mut self, units: usize) -> (Option<AudioMedia>, Vec<Rtp>) {
        let aac = match self.rng.random_range(0..5) {
            0 => true,
            1 => false,
            _ => return (None, Vec::new()),
        };
        let format = "streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;\
                      indexdeltalength=3;config=1408";
        let media = AudioMedia {
            encoding: if aac { "mpeg4-generic" } else { "pcma" }.to_owned(),
            channel: 2,
            clock_rate: if aac { 16_000 } else { 8000 },
            channels: std::num::NonZeroU16::new(1).filter(|_| aac),
            format: aac.then(|| format.to_owned()),
        };
        let (mut packets, mut time, mut sequence) = (Vec::new(), self.rng.random::<u32>(), self.rng.random());
        for _ in 0..units * 2 {
            let mut payloads = vec![(self.body(), true)];
            if aac {
                payloads = self.aac();
            }
            for (payload, mark) in payloads {
                packets.push(Rtp { channel: 2, sequence, time, mark, payload });
                sequence = sequence.wrapping_add(1);
            }
            time = time.wrapping_add(1024);
        }
        (Some(media), packets)
    }

    fn aac(&mut self) -> Vec<(Vec<u8>, bool)> {
        let count: u16 = if self.chance(30) { self.rng.random_range(1..5) } else { 1 };
        let mut frames: Vec<Vec<u8>> = (0..count).map(|_| self.body()).collect();
        frames.iter_mut().for_each(|f| f.truncate(1000));
        let header = |n: usize| ((n as u16) << 3).to_be_bytes();
        if count == 1 && frames[0].len() > 3 && self.chance(30) {
            let cut = self.rng.random_range(1..frames[0].len());
            let (a, b) = frames[0].split_at(cut);
            let size = header(frames[0].len());
            return vec![
                ([&[0, 16], &size[..], a].concat(), false),
                ([&[0, 16], &size[..], b].concat(), true),
            ];
        }
        let mut payload = (count * 16).to_be_bytes().to_vec();
        frames.iter().for_each(|f| payload.extend_from_slice(&header(f.len())));
        frames.iter().for_each(|f| payload.extend_from_slice(f));
        vec![(payload, true)]
    }

    /// Loses, repeats, swaps and breaks packets.
    fn break_some(&mut self, packets: &mut Vec<Rtp>) {
        let often = [0, 0, 1, 2, 5][self.rng.random_range(0..5)];
        let mut at = 0;
        while at < packets.len() {
            if !self.chance(often) {
                at += 1;
                continue;
            }
            match self.rng.random_range(0..8) {
                0..4 => {
                    let to = (at + self.rng.random_range(1..4)).min(packets.len());
                    packets.drain(at..to);
                }
                4 => packets.insert(at, packets[at].clone()),
                5 if at > 0 => packets.swap(at - 1, at),
                6 => packets[at].payload.clear(),
                _ if self.wild => {
                    let payload = &mut packets[at].payload;
                    let most = payload.len().min(4);
                    if most > 0 {
                        payload[self.rng.random_range(0..most)] ^= 1 << self.rng.random_range(0..8);
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }

    /// The packets as they go over the connection, with other things between them.
    fn wrap(&mut self, packets: &[Rtp]) -> Vec<u8> {
        let mut media = Vec::new();
        // Numbers may jump once: the sum of what is lost stays within what both count.
        let by = [0x7FFF, 0x8000, 0x8001, self.rng.random_range(1..30_000)][self.rng.random_range(0..4)];
        let jump = self.chance(5).then(|| (self.rng.random_range(0..packets.len()), by));
        let foreign = self.chance(5).then(|| self.rng.random_range(0..packets.len()));
        let burst = self.rng.random_range(1..70);
        for (n, packet) in packets.iter().enumerate() {
            let mut packet = packet.clone();
            if let Some((from, by)) = jump
                && n >= from
                && packet.channel == 0
            {
                packet.sequence = packet.sequence.wrapping_add(by);
            }
            media.append(&mut self.between());
            let mut source = 0x1000 + u32::from(packet.channel);
            if foreign.is_some_and(|from| (from..from + burst).contains(&n)) {
                source = 7;
            }
            let mut out = match self.rng.random_range(0..60) {
                0 => packet.with(0xA0, 96, source, &[], &[9, 9, 3]),
                1 => packet.with(0x90, 96, source, &[0xBE, 0xDE, 0, 1, 1, 2, 3, 4], &[]),
                2 => packet.with(0x82, 96, source, &[7; 8], &[]),
                3 => packet.with(0xB1, 96, source, &[7, 7, 7, 7, 0xBE, 0xDE, 0, 0], &[1]),
                _ => packet.with(0x80, 96, source, &[], &[]),
            };
            media.append(&mut out);
        }
        media
    }

    /// Reports, empty lines, and packets of no concern.
    fn between(&mut self) -> Vec<u8> {
        match self.rng.random_range(0..200) {
            0..6 => {
                let mut report = vec![0x80, 200, 0, 6];
                report.extend_from_slice(&self.rng.random::<u32>().to_be_bytes());
                report.extend_from_slice(&self.rng.random::<u64>().to_be_bytes());
                report.extend_from_slice(&self.time.wrapping_add(self.rng.random_range(0..9)).to_be_bytes());
                report.extend_from_slice(&[0; 8]);
                match self.rng.random_range(0..8) {
                    0 => report[0] = 0x81,
                    1 => report[3] = 9,
                    2 => report.extend_from_slice(&[0x81, 202, 0, 1, 0, 0, 0, 1]),
                    3 => report[1] = 201,
                    4 => report[0] = 0xA0,
                    _ => {}
                }
                framed(if self.chance(50) { 1 } else { 3 }, &report)
            }
            6..8 => b"\r\n".to_vec(),
            8..10 => framed(9, &[1, 2, 3]),
            10 => Rtp { channel: 0, sequence: 0, time: 0, mark: true, payload: vec![1] }.with(
                0x80,
                50,
                9,
                &[],
                &[],
            ),
            11 => framed(0, &[0x80, 96, 1]),
            _ => Vec::new(),
        }
    }
}
