//! RTP payloads, made once per clip: H.264 (RFC 6184, single NAL and FU-A), H.265 (RFC 7798, single NAL and FU),
//! JPEG (RFC 2435). Packets lie one behind the other as they go out on an interleaved connection (RFC 2326
//! section 10.12), with sequence number, timestamp and SSRC left zero for the session to fill in.

use super::clip::Codec;
use super::nal::{self, AccessUnit, NalClass};

/// Largest RTP packet (header included) that is made; fits an Ethernet frame with IP, UDP and some tunnel.
pub const RTP_BYTES_MAX: usize = 1400;
/// Bytes of an RTP header without extension.
pub const RTP_HEADER: usize = 12;
/// Bytes of the interleaved frame header.
pub const INTERLEAVED_HEADER: usize = 4;
/// Room for payload in one packet.
const PAYLOAD_MAX: usize = RTP_BYTES_MAX - RTP_HEADER;

/// One packet within [`Packed::data`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// Offset of its interleaved header.
    pub at: u32,
    /// Length of the RTP packet (without interleaved header).
    pub rtp_bytes: u16,
    /// Whether it carries parameter sets and nothing else.
    pub parameters: bool,
}

/// One access unit within [`Packed::packets`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Its first packet.
    pub first: u32,
    /// Number of packets.
    pub count: u32,
    /// Whether decoding can start here.
    pub key: bool,
    /// Presentation time minus decoding time in 90 kHz ticks; not 0 only in foreign clips with B-frames.
    pub composition: i32,
}

/// All packets of one clip.
#[derive(Debug, Default)]
pub struct Packed {
    /// Interleaved frames, back to back.
    pub data: Vec<u8>,
    /// Where each packet is.
    pub packets: Vec<Packet>,
    /// Which packets make which picture.
    pub frames: Vec<Frame>,
}

impl Packed {
    /// The packets of one picture.
    #[must_use]
    pub fn packets_of(&self, frame: &Frame) -> &[Packet] {
        let first = frame.first as usize;
        self.packets.get(first..first + frame.count as usize).unwrap_or_default()
    }

    /// The bytes of one picture, as on an interleaved connection.
    #[must_use]
    pub fn bytes_of(&self, frame: &Frame) -> &[u8] {
        let packets = self.packets_of(frame);
        match (packets.first(), packets.last()) {
            (Some(a), Some(b)) => {
                let end = b.at as usize + INTERLEAVED_HEADER + usize::from(b.rtp_bytes);
                self.data.get(a.at as usize..end).unwrap_or_default()
            }
            _ => &[],
        }
    }

    fn packet(&mut self, payload_type: u8, marker: bool, parameters: bool, parts: &[&[u8]]) {
        let payload: usize = parts.iter().map(|p| p.len()).sum();
        let rtp_bytes = (RTP_HEADER + payload) as u16;
        let at = self.data.len() as u32;
        let [hi, lo] = rtp_bytes.to_be_bytes();
        self.data.extend_from_slice(&[b'$', 0, hi, lo, 0x80, u8::from(marker) << 7 | payload_type]);
        self.data.extend_from_slice(&[0; RTP_HEADER - 2]);
        for part in parts {
            self.data.extend_from_slice(part);
        }
        self.packets.push(Packet { at, rtp_bytes, parameters });
    }

    fn frame(&mut self, first: usize, key: bool, composition: i32) {
        let count = (self.packets.len() - first) as u32;
        self.frames.push(Frame { first: first as u32, count, key, composition });
    }
}

/// Packetises access units; `composition` gives each unit's presentation offset (missing ones count as 0).
#[must_use]
pub fn pack_video(codec: Codec, payload_type: u8, units: &[AccessUnit<'_>], composition: &[i32]) -> Packed {
    let mut packed = Packed::default();
    for (i, unit) in units.iter().enumerate() {
        let first = packed.packets.len();
        let last = unit.nals.len().saturating_sub(1);
        for (j, nal) in unit.nals.iter().enumerate() {
            let parameters = nal::class(codec, nal) == NalClass::Parameter;
            pack_nal(&mut packed, codec, payload_type, nal, j == last, parameters);
        }
        packed.frame(first, unit.key, composition.get(i).copied().unwrap_or(0));
    }
    packed
}

fn pack_nal(packed: &mut Packed, codec: Codec, payload_type: u8, nal: &[u8], last: bool, parameters: bool) {
    if nal.len() <= PAYLOAD_MAX {
        packed.packet(payload_type, last, parameters, &[nal]);
        return;
    }
    let header_bytes = if codec == Codec::H264 { 1 } else { 2 };
    let (header, body) = nal.split_at(header_bytes);
    let chunk = PAYLOAD_MAX - header_bytes - 1;
    let chunks = body.len().div_ceil(chunk);
    for (i, part) in body.chunks(chunk).enumerate() {
        let edge = u8::from(i == 0) << 7 | u8::from(i + 1 == chunks) << 6;
        let marker = last && i + 1 == chunks;
        match *header {
            // RFC 6184 section 5.8: FU indicator with type 28, FU header with the NAL's own type.
            [h] => {
                packed.packet(payload_type, marker, parameters, &[&[h & 0xe0 | 28, edge | h & 0x1f], part])
            }
            // RFC 7798 section 4.4.3: payload header with type 49, FU header with the NAL's own type.
            [h0, h1] => {
                let fu = [h0 & 0x81 | 49 << 1, h1, edge | h0 >> 1 & 0x3f];
                packed.packet(payload_type, marker, parameters, &[&fu, part]);
            }
            _ => {}
        }
    }
}

/// The parts of a baseline JPEG that RFC 2435 sends.
struct Jpeg<'a> {
    width: u16,
    height: u16,
    /// 0 for 4:2:2, 1 for 4:2:0 (RFC 2435 section 4.1).
    kind: u8,
    tables: Vec<u8>,
    scan: &'a [u8],
}

fn parse_jpeg(file: &[u8]) -> Option<Jpeg<'_>> {
    let (mut at, mut size, mut tables) = (2, None, Vec::new());
    loop {
        let marker = *file.get(at + 1)?;
        let length = usize::from(u16::from_be_bytes([*file.get(at + 2)?, *file.get(at + 3)?]));
        let body = file.get(at + 4..at + 2 + length)?;
        match marker {
            0xdb => {
                for table in body.chunks(65) {
                    tables.extend_from_slice(table.get(1..)?);
                }
            }
            0xc0 => {
                let height = u16::from_be_bytes([*body.get(1)?, *body.get(2)?]);
                let width = u16::from_be_bytes([*body.get(3)?, *body.get(4)?]);
                size = Some((width, height, u8::from(*body.get(7)? == 0x22)));
            }
            0xda => {
                let scan = file.get(at + 2 + length..)?;
                let end = scan.windows(2).rposition(|w| w == [0xff, 0xd9]).unwrap_or(scan.len());
                let (width, height, kind) = size?;
                return Some(Jpeg { width, height, kind, tables, scan: scan.get(..end)? });
            }
            _ => {}
        }
        at += 2 + length;
    }
}

/// Packetises baseline JPEG pictures with standard Huffman tables (RFC 2435, quantisation tables in band).
/// Pictures that are not such JPEGs are left out.
#[must_use]
pub fn pack_jpeg(pictures: &[&[u8]]) -> Packed {
    let mut packed = Packed::default();
    for picture in pictures {
        let Some(jpeg) = parse_jpeg(picture) else { continue };
        let first = packed.packets.len();
        let mut offset = 0usize;
        while offset < jpeg.scan.len() {
            let [_, o2, o1, o0] = (offset as u32).to_be_bytes();
            let mut head =
                vec![0, o2, o1, o0, jpeg.kind, 255, (jpeg.width / 8) as u8, (jpeg.height / 8) as u8];
            if offset == 0 {
                let [hi, lo] = (jpeg.tables.len() as u16).to_be_bytes();
                head.extend_from_slice(&[0, 0, hi, lo]);
                head.extend_from_slice(&jpeg.tables);
            }
            let part = jpeg.scan.len().min(offset + PAYLOAD_MAX - head.len());
            let body = jpeg.scan.get(offset..part).unwrap_or_default();
            packed.packet(26, part == jpeg.scan.len(), false, &[&head, body]);
            offset = part;
        }
        packed.frame(first, true, 0);
    }
    packed
}

/// Fills a packet's channel, sequence number, timestamp and SSRC; `packet` starts at the interleaved header.
pub fn patch(packet: &mut [u8], channel: u8, sequence: u16, timestamp: u32, ssrc: u32) {
    if let Some(c) = packet.get_mut(1) {
        *c = channel;
    }
    if let Some(s) = packet.get_mut(6..8) {
        s.copy_from_slice(&sequence.to_be_bytes());
    }
    if let Some(t) = packet.get_mut(8..12) {
        t.copy_from_slice(&timestamp.to_be_bytes());
    }
    if let Some(s) = packet.get_mut(12..16) {
        s.copy_from_slice(&ssrc.to_be_bytes());
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    fn unit(nals: &[Vec<u8>]) -> AccessUnit<'_> {
        AccessUnit { nals: nals.iter().map(Vec::as_slice).collect(), key: true }
    }

    #[test]
    fn a_large_nal_becomes_fu_a_whose_parts_join_to_the_nal_again() {
        let mut slice = vec![0x65];
        slice.extend((0..5000u32).map(|i| i as u8));
        let nals = vec![vec![0x67, 1, 2], slice.clone()];
        let packed = pack_video(Codec::H264, 96, &[unit(&nals)], &[]);
        assert_eq!(packed.frames.len(), 1);
        let packets = packed.packets_of(&packed.frames[0]);
        assert!(packets[0].parameters && !packets[1].parameters);
        let mut joined = Vec::new();
        for (i, p) in packets[1..].iter().enumerate() {
            let rtp = &packed.data[p.at as usize + 4..][..usize::from(p.rtp_bytes)];
            assert!(rtp.len() <= RTP_BYTES_MAX);
            assert_eq!(rtp[1] & 0x80 != 0, i + 2 == packets.len(), "marker on the last packet alone");
            assert_eq!(rtp[12] & 0x1f, 28);
            if rtp[13] & 0x80 != 0 {
                joined.push(rtp[12] & 0xe0 | rtp[13] & 0x1f);
            }
            joined.extend_from_slice(&rtp[14..]);
        }
        assert_eq!(joined, slice);
    }

    #[test]
    fn h265_fragments_carry_type_49_and_the_nal_type() {
        let nals = vec![[vec![19 << 1, 1], vec![7; 4000]].concat()];
        let packed = pack_video(Codec::H265, 96, &[unit(&nals)], &[]);
        let rtp = &packed.data[4..][..usize::from(packed.packets[0].rtp_bytes)];
        assert_eq!((rtp[12] >> 1 & 0x3f, rtp[13], rtp[14]), (49, 1, 0x80 | 19));
    }

    #[test]
    fn patching_touches_only_the_session_fields() {
        let nals = vec![vec![0x65, 1, 2, 3]];
        let packed = pack_video(Codec::H264, 96, &[unit(&nals)], &[]);
        let mut bytes = packed.bytes_of(&packed.frames[0]).to_vec();
        patch(&mut bytes, 2, 0x1234, 0x89ab_cdef, 0x0bad_cafe);
        assert_eq!(hex::encode(&bytes), "24020010 80e01234 89abcdef 0badcafe 65010203".replace(' ', ""));
    }

    #[test]
    fn what_is_no_jpeg_makes_no_frame() {
        assert!(pack_jpeg(&[&[], &[0xff, 0xd8], &[1; 40]]).frames.is_empty());
    }
}
