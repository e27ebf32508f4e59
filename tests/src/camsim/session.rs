//! One session: from SETUP to TEARDOWN, what goes to whom, and the sending of one picture.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use super::clip::Clip;
use super::faults::{FaultKind, Random};
use super::ledger::{DropReason, SharedRecord};
use super::packetise::{INTERLEAVED_HEADER, RTP_HEADER, patch};
use super::streams::Stream;

/// Time between sender reports of a track.
const REPORT_INTERVAL_US: i64 = 5_000_000;
/// Seconds from 1900 (NTP) to 1970 (Unix).
const NTP_UNIX_S: i64 = 2_208_988_800;
/// RTP clock of every video payload.
pub const VIDEO_HERTZ: u32 = 90_000;
/// A picture that is later than this is not sent any more.
const LATE_US_MAX: i64 = 1_000_000;

/// Interleaved channel of packets that nobody asked for, and KiB of them behind one picture at most.
const FLOOD_CHANNEL: u8 = 77;
const FLOOD_KIB_MAX: u32 = 1024;

/// Where a track goes.
#[derive(Debug, Clone)]
pub enum Path {
    /// Interleaved, on these channels.
    Tcp {
        /// RTP.
        rtp: u8,
        /// RTCP.
        rtcp: u8,
    },
    /// UDP.
    Udp {
        /// Sockets of the server: RTP, RTCP.
        sockets: Arc<(UdpSocket, UdpSocket)>,
        /// RTP address of the client.
        rtp: SocketAddr,
        /// RTCP address of the client.
        rtcp: SocketAddr,
    },
}

/// One media track of a session.
#[derive(Debug, Clone)]
pub struct Track {
    /// Where it goes.
    pub path: Path,
    /// SSRC.
    pub ssrc: u32,
    /// Next sequence number.
    pub sequence: u16,
    /// Timestamp of the first picture or sample.
    pub base: u32,
    packets: u32,
    octets: u32,
    next_report_us: i64,
}

impl Track {
    /// A track with random SSRC, sequence number and timestamp.
    #[must_use]
    pub fn new(path: Path, random: &mut Random) -> Self {
        let bits = random.bits();
        Self {
            path,
            ssrc: bits as u32,
            sequence: (bits >> 32) as u16,
            base: random.bits() as u32,
            packets: 0,
            octets: 0,
            next_report_us: 0,
        }
    }
}

/// What a running session sends.
#[derive(Debug)]
pub struct Playing {
    /// Next global picture.
    pub next: i64,
    /// First global picture.
    pub first: i64,
    /// Clip of the last picture.
    pub clip: Arc<Clip>,
    /// Camera clock's share in the timestamps at the start.
    pub media_us_at_start: f64,
    /// Waits for a key frame after a drop.
    pub await_key: bool,
    /// Its ledger entry.
    pub record: SharedRecord,
    loss: Option<(u64, Random)>,
}

impl Playing {
    /// A session that will begin with picture `first`.
    #[must_use]
    pub fn new(first: i64, stream: &Stream, record: SharedRecord) -> Self {
        Self {
            next: first,
            first,
            clip: Arc::clone(&stream.clip),
            media_us_at_start: stream.clock.media_us(stream.due_us(first)),
            await_key: false,
            record,
            loss: None,
        }
    }
}

/// A session.
#[derive(Debug)]
pub struct Session {
    /// Its number, in the `Session` header and the ledger.
    pub number: u64,
    /// Position of its stream in the list of all.
    pub stream: usize,
    /// Video.
    pub video: Option<Track>,
    /// Sound.
    pub audio: Option<Track>,
    /// Set while it plays.
    pub playing: Option<Playing>,
}

/// Takes what a session puts out.
pub trait Outlet {
    /// Bytes that wait for the peer.
    fn waiting(&mut self) -> usize;
    /// Interleaved bytes of global picture `n`.
    fn picture(&mut self, n: i64, key: bool, bytes: &[u8]);
}

/// How a session behaves towards a slow peer.
#[derive(Debug, Clone, Copy)]
pub struct SlowPolicy {
    /// Bytes that may wait.
    pub backlog_max: usize,
    /// Close instead of dropping.
    pub close: bool,
    /// Pictures whose times of sending are remembered.
    pub sent_times: u16,
}

/// What became of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swept {
    /// Next picture due at this time.
    Next(i64),
    /// The peer is too slow and the policy is to close.
    TooSlow,
}

impl Session {
    /// Sends all pictures that are due. `scratch` is working room.
    pub fn sweep(
        &mut self,
        stream: &Stream,
        outlet: &mut dyn Outlet,
        policy: SlowPolicy,
        now_us: i64,
        scratch: &mut Vec<u8>,
    ) -> Swept {
        let Some(playing) = &mut self.playing else { return Swept::Next(i64::MAX) };
        let current = stream.frame_at(now_us);
        if now_us - stream.due_us(playing.next) > LATE_US_MAX && current > playing.next {
            let mut record = playing.record.lock();
            for n in playing.next..current {
                record.dropped(n, DropReason::Late);
            }
            drop(record);
            playing.next = current;
            playing.await_key = true;
        }
        while let Some(n) = self.playing.as_ref().map(|p| p.next).filter(|&n| n <= current) {
            if !self.picture(stream, outlet, policy, n, now_us, scratch) {
                return Swept::TooSlow;
            }
            if let Some(p) = &mut self.playing {
                p.next = n + 1;
            }
        }
        Swept::Next(self.playing.as_ref().map_or(i64::MAX, |p| stream.due_us(p.next)))
    }

    /// Sends picture `n` with its sound, or writes down why not; `false` when the session must end.
    fn picture(
        &mut self,
        stream: &Stream,
        outlet: &mut dyn Outlet,
        policy: SlowPolicy,
        n: i64,
        now_us: i64,
        scratch: &mut Vec<u8>,
    ) -> bool {
        let Some(playing) = &mut self.playing else { return true };
        if !Arc::ptr_eq(&playing.clip, &stream.clip) {
            let at = stream.clip.position(n, stream.offset) as usize;
            if stream.clip.packed.frames.get(at).is_some_and(|f| f.key) {
                playing.clip = Arc::clone(&stream.clip);
                let (w, h) = playing.clip.size;
                playing.record.lock().note(now_us, format!("clip {} {w}x{h}", playing.clip.codec.as_str()));
            }
        }
        let clip = Arc::clone(&playing.clip);
        let Some(frame) = clip.packed.frames.get(clip.position(n, stream.offset) as usize) else {
            return true;
        };
        let size = clip.packed.bytes_of(frame).len();
        let reason = if stream.faults.any(|f| matches!(f, FaultKind::Stall { .. })) {
            Some(DropReason::Stall)
        } else if frame.key && stream.faults.any(|f| matches!(f, FaultKind::NoKeys {})) {
            Some(DropReason::NoKeys)
        } else if playing.await_key && !frame.key {
            Some(DropReason::AwaitKey)
        } else if outlet.waiting() > 0 && outlet.waiting() + size > policy.backlog_max {
            Some(DropReason::Backpressure)
        } else {
            None
        };
        if let Some(reason) = reason {
            playing.record.lock().dropped(n, reason);
            playing.await_key |= matches!(reason, DropReason::Stall | DropReason::Backpressure);
            if reason == DropReason::Backpressure
                && let Some(video) = &mut self.video
            {
                // The camera made these packets: the client can see the hole.
                video.sequence = video.sequence.wrapping_add(frame.count as u16);
            }
            return !(policy.close && reason == DropReason::Backpressure);
        }
        playing.await_key = false;
        scratch.clear();
        let packets = self.video_packets(stream, n, scratch);
        self.audio_packets(stream, n, scratch);
        self.flood(stream, scratch);
        outlet.picture(n, frame.key, scratch);
        if let Some(playing) = &self.playing {
            playing.record.lock().sent(n, frame.key, packets, size as u64, now_us);
        }
        if policy.sent_times > 0 {
            stream.ledger.sent_at(n, now_us, policy.sent_times);
        }
        true
    }

    /// The timestamp of picture `n` on a clock of `hertz` whose first picture has `base`.
    #[must_use]
    pub fn timestamp(&self, stream: &Stream, n: i64, hertz: u32, base: u32) -> u32 {
        let Some(playing) = &self.playing else { return base };
        let rate = stream.base.rate;
        let ticks = rate.samples(n, hertz) - rate.samples(playing.first, hertz);
        let bent_us = stream.clock.media_us(stream.due_us(n)) - playing.media_us_at_start;
        base.wrapping_add((ticks + (bent_us * f64::from(hertz) / 1e6) as i64) as u32)
    }

    /// Makes video timestamps wrap `after_ms` after picture `n`.
    pub fn wrap_after(&mut self, stream: &Stream, n: i64, after_ms: u64) {
        let Some(base) = self.video.as_ref().map(|v| v.base) else { return };
        let now = self.timestamp(stream, n, VIDEO_HERTZ, base);
        let wanted = 0u32.wrapping_sub((after_ms * u64::from(VIDEO_HERTZ) / 1000) as u32);
        if let Some(video) = &mut self.video {
            video.base = base.wrapping_add(wanted.wrapping_sub(now));
        }
    }

    fn video_packets(&mut self, stream: &Stream, n: i64, out: &mut Vec<u8>) -> u64 {
        let Some(base) = self.video.as_ref().map(|v| v.base) else { return 0 };
        let timestamp = self.timestamp(stream, n, VIDEO_HERTZ, base);
        let (Some(video), Some(playing)) = (&mut self.video, &mut self.playing) else { return 0 };
        report(video, stream, n, timestamp, out);
        let clip = Arc::clone(&playing.clip);
        let Some(frame) = clip.packed.frames.get(clip.position(n, stream.offset) as usize) else { return 0 };
        let timestamp = timestamp.wrapping_add(frame.composition as u32);
        let no_parameters = stream.faults.any(|f| matches!(f, FaultKind::NoParameters {}));
        let udp = matches!(video.path, Path::Udp { .. });
        let loss = stream.faults.find(|f| match f {
            FaultKind::Loss { percent, seed, tcp } if udp || *tcp => Some((*percent, *seed)),
            _ => None,
        });
        let mut sent = 0;
        for packet in clip.packed.packets_of(frame) {
            if no_parameters && packet.parameters {
                continue;
            }
            let sequence = video.sequence;
            video.sequence = sequence.wrapping_add(1);
            if let Some((percent, seed)) = loss {
                let random = match &mut playing.loss {
                    Some((s, random)) if *s == seed => random,
                    other => &mut other.insert((seed, Random::new(seed))).1,
                };
                if random.chance(percent) {
                    playing.record.lock().lost_packet(n);
                    continue;
                }
            }
            let at = packet.at as usize;
            let whole = at..at + INTERLEAVED_HEADER + usize::from(packet.rtp_bytes);
            let Some(bytes) = clip.packed.data.get(whole) else { continue };
            let start = out.len();
            out.extend_from_slice(bytes);
            let octets = usize::from(packet.rtp_bytes) - RTP_HEADER;
            finish(video, out, start, sequence, timestamp, octets);
            sent += 1;
        }
        sent
    }

    /// Packets that belong to no track.
    fn flood(&self, stream: &Stream, out: &mut Vec<u8>) {
        let kib = stream.faults.find(|f| match f {
            FaultKind::Flood { kib } => Some((*kib).min(FLOOD_KIB_MAX)),
            _ => None,
        });
        let tcp = self.video.as_ref().is_some_and(|v| matches!(v.path, Path::Tcp { .. }));
        for _ in 0..kib.filter(|_| tcp).unwrap_or(0) {
            out.extend_from_slice(&[b'$', FLOOD_CHANNEL, 3, 252]);
            out.resize(out.len() + 1020, 0x80);
        }
    }

    fn audio_packets(&mut self, stream: &Stream, n: i64, out: &mut Vec<u8>) {
        let (Some(sound), Some(base)) = (&stream.audio, self.audio.as_ref().map(|a| a.base)) else { return };
        let of_picture = self.timestamp(stream, n, sound.hertz, base);
        let first_sample = stream.base.rate.samples(n, sound.hertz);
        let Some(track) = &mut self.audio else { return };
        report(track, stream, n, of_picture, out);
        sound.packets(stream.base.rate, n, |sample, payload| {
            let start = out.len();
            let [hi, lo] = ((RTP_HEADER + payload.len()) as u16).to_be_bytes();
            let marker = if sound.payload_type() == 97 { 0x80 } else { 0 };
            out.extend_from_slice(&[b'$', 0, hi, lo, 0x80, marker | sound.payload_type()]);
            out.extend_from_slice(&[0; RTP_HEADER - 2]);
            out.extend_from_slice(payload);
            let sequence = track.sequence;
            track.sequence = sequence.wrapping_add(1);
            let timestamp = of_picture.wrapping_add((sample - first_sample) as u32);
            finish(track, out, start, sequence, timestamp, payload.len());
        });
    }
}

/// Fills in the header of the packet at `start`; over UDP, sends it and takes it out again.
fn finish(track: &mut Track, out: &mut Vec<u8>, start: usize, sequence: u16, timestamp: u32, octets: usize) {
    track.packets = track.packets.wrapping_add(1);
    track.octets = track.octets.wrapping_add(octets as u32);
    let channel = if let Path::Tcp { rtp, .. } = track.path { rtp } else { 0 };
    if let Some(packet) = out.get_mut(start..) {
        patch(packet, channel, sequence, timestamp, track.ssrc);
    }
    if let Path::Udp { sockets, rtp, .. } = &track.path {
        // A full socket buffer or a client that has gone loses the packet, as on any network.
        let _ = sockets.0.send_to(out.get(start + INTERLEAVED_HEADER..).unwrap_or_default(), rtp);
        out.truncate(start);
    }
}

/// Puts a sender report (RFC 3550 section 6.4.1, with a CNAME) before picture `n` when one is due.
fn report(track: &mut Track, stream: &Stream, n: i64, timestamp: u32, out: &mut Vec<u8>) {
    let now_us = stream.due_us(n);
    if now_us < track.next_report_us || stream.faults.any(|f| matches!(f, FaultKind::NoSr {})) {
        return;
    }
    track.next_report_us = now_us + REPORT_INTERVAL_US;
    let wall_us = if stream.faults.any(|f| matches!(f, FaultKind::Sr1970 {})) {
        // The camera has been up for less than a day and never learned the date.
        now_us.rem_euclid(86_400_000_000)
    } else {
        stream.clock.wall_us(now_us)
    };
    let seconds = (wall_us.div_euclid(1_000_000) + NTP_UNIX_S) as u32;
    let fraction = ((wall_us.rem_euclid(1_000_000) as u64) << 32).div_euclid(1_000_000) as u32;
    let mut packet = vec![0x80, 200, 0, 6];
    for word in [track.ssrc, seconds, fraction, timestamp, track.packets, track.octets] {
        packet.extend_from_slice(&word.to_be_bytes());
    }
    // SDES: one chunk, CNAME "camsim" and padding to a 32-bit border.
    packet.extend_from_slice(&[0x81, 202, 0, 4]);
    packet.extend_from_slice(&track.ssrc.to_be_bytes());
    packet.extend_from_slice(b"\x01\x06camsim\0\0\0\0");
    match &track.path {
        Path::Tcp { rtcp, .. } => {
            let [hi, lo] = (packet.len() as u16).to_be_bytes();
            out.extend_from_slice(&[b'$', *rtcp, hi, lo]);
            out.extend_from_slice(&packet);
        }
        Path::Udp { sockets, rtcp, .. } => {
            let _ = sockets.1.send_to(&packet, rtcp);
        }
    }
}
