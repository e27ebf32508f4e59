//! RTP and RTCP of one track (RFC 3550): headers, the order of packets, time stamps without wrap.
//!
//! On one connection packets cannot overtake each other. So a number from the past, a foreign SSRC and a broken header
//! are the device's own faults, and each is a bad packet.

/// The parts of an RTP packet that are of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    pub mark: bool,
    pub kind: u8,
    pub sequence: u16,
    pub time: u32,
    pub source: u32,
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads an RTP packet; `None`: it is none.
    #[inline]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let [first, second, s1, s0, t3, t2, t1, t0, c3, c2, c1, c0, rest @ ..] = bytes else { return None };
        if first >> 6 != 2 {
            return None;
        }
        let mut payload = rest;
        if first & 0x3F != 0 {
            payload = payload.get(usize::from(first & 0x0F) * 4..)?;
            if first & 0x10 != 0 {
                let [_, _, high, low, after @ ..] = payload else { return None };
                payload = after.get(usize::from(u16::from_be_bytes([*high, *low])) * 4..)?;
            }
            if first & 0x20 != 0 {
                let padding = usize::from(*payload.last()?);
                if padding == 0 {
                    return None;
                }
                payload = payload.get(..payload.len().checked_sub(padding)?)?;
            }
        }
        Some(Self {
            mark: second & 0x80 != 0,
            kind: second & 0x7F,
            sequence: u16::from_be_bytes([*s1, *s0]),
            time: u32::from_be_bytes([*t3, *t2, *t1, *t0]),
            source: u32::from_be_bytes([*c3, *c2, *c1, *c0]),
            payload,
        })
    }
}

/// What a depacketiser has to know of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meta {
    /// Time stamp, unwrapped.
    pub pts: i64,
    /// The time stamp as it stands in the packet.
    pub time: u32,
    /// Packets lost directly before this one.
    pub lost: u32,
    pub mark: bool,
}

/// The order of packets and time stamps of one track.
#[derive(Debug, Default)]
pub(super) struct Receiver {
    source: Option<u32>,
    next: Option<u16>,
    /// Time stamp of the last packet, unwrapped; the first of all begins it.
    now: Option<i64>,
}

/// Payload type of packets that some cameras send between the others and that mean nothing.
const STRAY_KIND: u8 = 50;

impl Receiver {
    /// Puts a packet into its place; `Ok(None)`: it is to be passed over.
    ///
    /// # Errors
    /// Why it cannot be used.
    #[inline]
    pub fn packet(&mut self, packet: &Packet<'_>) -> Result<Option<Meta>, &'static str> {
        if packet.kind == STRAY_KIND {
            return Ok(None);
        }
        if *self.source.get_or_insert(packet.source) != packet.source {
            return Err("the source of a track changed");
        }
        let lost = packet.sequence.wrapping_sub(self.next.unwrap_or(packet.sequence));
        if lost > 0x8000 {
            return Err("a packet came out of order");
        }
        let pts = self.place(packet.time);
        self.now = Some(pts);
        self.next = Some(packet.sequence.wrapping_add(1));
        Ok(Some(Meta { pts, time: packet.time, lost: u32::from(lost), mark: packet.mark }))
    }

    /// A time stamp without wrap: the one nearest to the last packet's.
    #[inline]
    fn place(&mut self, time: u32) -> i64 {
        let now = *self.now.get_or_insert(i64::from(time));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "time stamps wrap at 32 bits"
        )]
        let step = time.wrapping_sub(now as u32).cast_signed();
        now.saturating_add(i64::from(step))
    }

    /// Reads a compound RTCP packet: the NTP time and the time stamp of the sender report that it begins with, if it does.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn report(&mut self, bytes: &[u8]) -> Result<Option<(u64, i64)>, &'static str> {
        let (first, mut rest) = rtcp(bytes)?;
        let mut padded = first.padded;
        while !rest.is_empty() {
            if padded {
                return Err("padding within an RTCP packet");
            }
            let (next, after) = rtcp(rest)?;
            (padded, rest) = (next.padded, after);
        }
        // Sender's report: 28 bytes, and 24 for each block that it counts.
        let [count, 200, _, _, _, _, _, _, n7, n6, n5, n4, n3, n2, n1, n0, t3, t2, t1, t0, ..] = first.bytes
        else {
            return Ok(None);
        };
        if first.filled < 28 + usize::from(count & 0x1F) * 24 {
            return Ok(None);
        }
        let ntp = u64::from_be_bytes([*n7, *n6, *n5, *n4, *n3, *n2, *n1, *n0]);
        Ok(Some((ntp, self.place(u32::from_be_bytes([*t3, *t2, *t1, *t0])))))
    }
}

/// One packet of a compound.
struct Rtcp<'a> {
    bytes: &'a [u8],
    padded: bool,
    /// Bytes before its padding.
    filled: usize,
}

fn rtcp(bytes: &[u8]) -> Result<(Rtcp<'_>, &[u8]), &'static str> {
    let [first, _, high, low, ..] = bytes else { return Err("a short RTCP packet") };
    if first >> 6 != 2 {
        return Err("an RTCP packet of another version");
    }
    let length = (usize::from(u16::from_be_bytes([*high, *low])) + 1) * 4;
    let (this, rest) = bytes.split_at_checked(length).ok_or("a short RTCP packet")?;
    let padded = first & 0x20 != 0;
    let padding = if padded { this.last().copied().map_or(0, usize::from) } else { 0 };
    if padded && (padding == 0 || padding > length - 4) {
        return Err("an RTCP packet with impossible padding");
    }
    Ok((Rtcp { bytes: this, padded, filled: length - padding }, rest))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn packet(sequence: u16, time: u32) -> Packet<'static> {
        Packet { mark: false, kind: 96, sequence, time, source: 7, payload: &[] }
    }

    #[test]
    fn headers_are_read_with_sources_extension_and_padding() {
        let plain = [0x80, 0xE0, 1, 2, 0, 0, 0, 3, 0, 0, 0, 4, 9, 8];
        let read = Packet::read(&plain).unwrap();
        assert_eq!((read.mark, read.kind, read.sequence, read.time, read.source), (true, 96, 0x102, 3, 4));
        assert_eq!(read.payload, [9, 8]);
        let mut full = vec![0xB1, 0x60, 1, 2, 0, 0, 0, 3, 0, 0, 0, 4];
        full.extend_from_slice(&[0xCC; 4]);
        full.extend_from_slice(&[0xBE, 0xDE, 0, 1, 1, 2, 3, 4]);
        full.extend_from_slice(&[9, 8, 0, 2]);
        assert_eq!(Packet::read(&full).unwrap().payload, [9, 8]);
        for end in 0..full.len() {
            let _ = Packet::read(full.get(..end).unwrap());
        }
        assert!(Packet::read(&[0x40; 20]).is_none(), "version 1");
        assert!(Packet::read(&[0xA0; 12]).is_none(), "padding without a byte");
        let mut none = [0; 13];
        none[0] = 0xA0;
        assert!(Packet::read(&none).is_none(), "padding of no length");
    }

    #[test]
    fn numbers_wrap_and_what_is_missing_is_counted() {
        let mut receiver = Receiver::default();
        let mut lost = |n| receiver.packet(&packet(n, 0)).map(|m| m.unwrap().lost);
        assert_eq!(lost(0xFFFE), Ok(0));
        assert_eq!(lost(0xFFFF), Ok(0));
        assert_eq!(lost(2), Ok(2));
        assert!(lost(2).is_err() && lost(1).is_err(), "from the past");
        assert_eq!(lost(3), Ok(0));
    }

    #[test]
    fn time_stamps_go_on_over_their_wrap_and_back() {
        let mut receiver = Receiver::default();
        let mut n = 0;
        let mut pts = |time| {
            n += 1;
            receiver.packet(&packet(n, time)).unwrap().unwrap().pts
        };
        assert_eq!(pts(0xFFFF_FF00), 0xFFFF_FF00);
        assert_eq!(pts(0x100), 0x1_0000_0100);
        assert_eq!(pts(0xFFFF_FFF0), 0xFFFF_FFF0);
        assert_eq!(pts(0), 0x1_0000_0000);
    }

    #[test]
    fn reports_need_their_blocks() {
        let mut report = vec![0x80, 200, 0, 6, 0, 0, 0, 9];
        report.extend_from_slice(&0xEB00_0000_8000_0000_u64.to_be_bytes());
        report.extend_from_slice(&9000_u32.to_be_bytes());
        report.extend_from_slice(&[0; 8]);
        let mut receiver = Receiver::default();
        assert_eq!(receiver.report(&report), Ok(Some((0xEB00_0000_8000_0000, 9000))));
        for end in 0..report.len() {
            assert!(receiver.report(report.get(..end).unwrap()).is_err(), "{end}");
        }
        let more = [&report[..], &[0x81, 202, 0, 1, 0, 0, 0, 9]].concat();
        assert!(receiver.report(&more).unwrap().is_some());
        report[0] = 0x81;
        assert_eq!(receiver.report(&report), Ok(None), "a block that is not there");
        assert_eq!(receiver.report(&[0x80, 202, 0, 0]), Ok(None));
    }
}
