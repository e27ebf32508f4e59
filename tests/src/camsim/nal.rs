//! Annex B byte streams: NAL units, access units, and the parameter sets an SDP must carry.

use super::clip::Codec;

/// Splits an Annex B byte stream at its start codes; trailing zero bytes of a NAL unit are dropped.
#[must_use]
pub fn split_annex_b(stream: &[u8]) -> Vec<&[u8]> {
    let mut starts = Vec::new();
    let mut at = 0;
    while let Some(found) = stream.get(at..).and_then(find_start_code) {
        starts.push(at + found);
        at += found + 3;
    }
    let ends = starts.iter().skip(1).copied().chain(std::iter::once(stream.len()));
    starts
        .iter()
        .zip(ends)
        .filter_map(|(&from, to)| stream.get(from + 3..to))
        .map(|nal| {
            let zeros = nal.iter().rev().take_while(|&&b| b == 0).count();
            nal.get(..nal.len() - zeros).unwrap_or_default()
        })
        .filter(|nal| !nal.is_empty())
        .collect()
}

fn find_start_code(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        // Jump from one candidate for the final 1 to the next: far quicker than looking at every window.
        let one = at + bytes.get(at..)?.iter().position(|&b| b == 1)?;
        if one >= 2 && bytes.get(one - 2..one) == Some(&[0, 0]) {
            return Some(one - 2);
        }
        at = one + 1;
    }
}

/// What a NAL unit is for a packetiser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NalClass {
    /// VPS, SPS or PPS.
    Parameter,
    /// A slice of a picture that can be decoded alone.
    KeySlice,
    /// Any other slice.
    Slice,
    /// Access unit delimiter, SEI, filler and the like.
    Other,
}

/// Sorts a NAL unit by its type (H.264 table 7-1, H.265 table 7-1).
#[must_use]
pub fn class(codec: Codec, nal: &[u8]) -> NalClass {
    let first = nal.first().copied().unwrap_or(0);
    match codec {
        Codec::H264 => match first & 0x1f {
            7 | 8 => NalClass::Parameter,
            5 => NalClass::KeySlice,
            1..=4 => NalClass::Slice,
            _ => NalClass::Other,
        },
        _ => match first >> 1 & 0x3f {
            32..=34 => NalClass::Parameter,
            16..=23 => NalClass::KeySlice,
            0..=15 => NalClass::Slice,
            _ => NalClass::Other,
        },
    }
}

/// Whether a slice is the first of its picture (`first_mb_in_slice` 0, `first_slice_segment_in_pic_flag` 1:
/// in both standards the first bit after the NAL header).
fn begins_picture(codec: Codec, nal: &[u8]) -> bool {
    let header = if codec == Codec::H264 { 1 } else { 2 };
    nal.get(header).is_some_and(|b| b & 0x80 != 0)
}

/// One picture with everything that belongs to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessUnit<'a> {
    /// NAL units without start codes.
    pub nals: Vec<&'a [u8]>,
    /// Whether decoding can start here.
    pub key: bool,
}

/// Groups the NAL units of a stream into access units.
#[must_use]
pub fn access_units<'a>(codec: Codec, nals: &[&'a [u8]]) -> Vec<AccessUnit<'a>> {
    let mut units: Vec<AccessUnit<'a>> = Vec::new();
    let mut current = AccessUnit::default();
    let mut has_slice = false;
    for &nal in nals {
        let class = class(codec, nal);
        let slice = matches!(class, NalClass::KeySlice | NalClass::Slice);
        // Suffix SEI, filler and end-of-sequence stay with the picture before them.
        let suffix = match codec {
            Codec::H264 => matches!(nal.first().map(|b| b & 0x1f), Some(10..=12)),
            _ => matches!(nal.first().map(|b| b >> 1 & 0x3f), Some(36..=38 | 40)),
        };
        let new_picture = has_slice && !suffix && (!slice || begins_picture(codec, nal));
        if new_picture {
            units.push(std::mem::take(&mut current));
            has_slice = false;
        }
        current.key |= class == NalClass::KeySlice;
        has_slice |= slice;
        current.nals.push(nal);
    }
    if has_slice {
        units.push(current);
    }
    units
}

/// The first parameter sets of a stream, in the order VPS, SPS, PPS.
#[must_use]
pub fn parameter_sets(codec: Codec, nals: &[&[u8]]) -> Vec<Vec<u8>> {
    let kinds: &[u8] = if codec == Codec::H264 { &[7, 8] } else { &[32, 33, 34] };
    let kind_of = |nal: &[u8]| {
        let first = nal.first().copied().unwrap_or(0);
        if codec == Codec::H264 { first & 0x1f } else { first >> 1 & 0x3f }
    };
    kinds.iter().filter_map(|k| nals.iter().find(|n| kind_of(n) == *k).map(|n| n.to_vec())).collect()
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn start_codes_of_three_and_four_bytes_split_and_trailing_zeros_go() {
        let stream = [0, 0, 0, 1, 0x67, 1, 1, 0, 0, 1, 0x68, 9, 0, 0, 0, 1, 0x65, 0x80, 0, 1, 0, 0];
        let nals = split_annex_b(&stream);
        assert_eq!(nals, [&[0x67, 1, 1][..], &[0x68, 9], &[0x65, 0x80, 0, 1]]);
        assert!(split_annex_b(&[1, 2, 3]).is_empty());
        assert!(split_annex_b(&[]).is_empty());
    }

    #[test]
    fn parameter_sets_and_sei_open_a_unit_and_slices_share_one() {
        let nals: [&[u8]; 7] =
            [&[0x67], &[0x68], &[0x06], &[0x65, 0x80], &[0x65, 0x40], &[0x41, 0x80], &[0x0c, 0xff]];
        let units = access_units(Codec::H264, &nals);
        assert_eq!(units.len(), 2);
        assert_eq!((units[0].nals.len(), units[0].key), (5, true));
        assert_eq!((units[1].nals.len(), units[1].key), (2, false));
    }

    #[test]
    fn h265_units_split_at_the_first_slice_segment() {
        let nals: [&[u8]; 6] =
            [&[0x40, 1], &[0x42, 1], &[0x44, 1], &[0x26, 1, 0x80], &[0x02, 1, 0x80], &[0x02, 1, 0x00]];
        let units = access_units(Codec::H265, &nals);
        assert_eq!(units.iter().map(|u| (u.nals.len(), u.key)).collect::<Vec<_>>(), [(4, true), (2, false)]);
        assert_eq!(parameter_sets(Codec::H265, &nals).len(), 3);
    }
}
