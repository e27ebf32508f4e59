//! H.264 sequence parameter sets in copies for browsers: says that pictures come in the order in which they are shown,
//! where that is so and the camera left it unsaid (ITU-T H.264, E.2.1). A hardware decoder that is not told holds
//! back as many pictures as its buffer takes before it shows the first. Stored bytes are never changed.

/// Bits of a NAL unit without its emulation prevention bytes.
struct BitReader {
    bytes: Vec<u8>,
    at: usize,
}

impl BitReader {
    fn new(nal: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(nal.len());
        let mut zeros = 0;
        for &b in nal {
            if zeros >= 2 && b == 3 {
                zeros = 0;
                continue;
            }
            zeros = if b == 0 { zeros + 1 } else { 0 };
            bytes.push(b);
        }
        Self { bytes, at: 0 }
    }

    fn bit(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1 == 1;
        self.at += 1;
        Some(bit)
    }

    fn skip(&mut self, bits: usize) -> Option<()> {
        self.at += bits;
        (self.at <= self.bytes.len() * 8).then_some(())
    }

    fn bits(&mut self, n: u32) -> Option<u32> {
        (0..n).try_fold(0, |v, _| Some(v << 1 | u32::from(self.bit()?)))
    }

    /// Exp-Golomb code; signed ones are skipped in the same way.
    fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1u32 << zeros) - 1 + self.bits(zeros)?)
    }
}

#[derive(Default)]
struct BitWriter {
    bytes: Vec<u8>,
    bits: usize,
}

impl BitWriter {
    fn bit(&mut self, on: bool) {
        if self.bits.is_multiple_of(8) {
            self.bytes.push(0);
        }
        if let Some(last) = self.bytes.last_mut().filter(|_| on) {
            *last |= 0x80 >> (self.bits % 8);
        }
        self.bits += 1;
    }

    fn ue(&mut self, v: u32) {
        let v = v + 1;
        let len = 32 - v.leading_zeros();
        (1..len).for_each(|_| self.bit(false));
        (0..len).rev().for_each(|i| self.bit(v >> i & 1 == 1));
    }

    /// Ends the unit, and puts emulation prevention bytes where they are needed.
    fn finish(mut self) -> Vec<u8> {
        self.bit(true);
        let mut out = Vec::with_capacity(self.bytes.len() + 4);
        let mut zeros = 0;
        for b in self.bytes {
            if zeros >= 2 && b <= 3 {
                out.push(3);
                zeros = 0;
            }
            zeros = if b == 0 { zeros + 1 } else { 0 };
            out.push(b);
        }
        out
    }
}

/// What stands in a sequence parameter set before the place to change.
struct Found {
    /// Bits to keep.
    keep: usize,
    /// There is a VUI, and the next bit is its `bitstream_restriction_flag`.
    vui: bool,
    references: u32,
}

/// Where to change a parameter set; none when there is nothing to say or it is not certain.
fn find(r: &mut BitReader) -> Option<Found> {
    r.skip(8)?;
    let profile = r.bits(8)?;
    r.skip(16)?;
    r.ue()?;
    if matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 134 | 135 | 138 | 139) {
        high_profile(r)?;
    }
    r.ue()?; // log2_max_frame_num_minus4
    let order = r.ue()?;
    match order {
        0 => drop(r.ue()?),
        1 => {
            r.skip(1)?;
            r.ue()?;
            r.ue()?;
            let n = r.ue().filter(|n| *n <= 255)?;
            (0..n).try_for_each(|_| r.ue().map(drop))?;
        }
        _ => {}
    }
    let references = r.ue().filter(|n| *n <= 16)?;
    r.skip(1)?;
    r.ue()?;
    r.ue()?;
    let frames_only = r.bit()?;
    r.skip(if frames_only { 1 } else { 2 })?;
    if r.bit()? {
        (0..4).try_for_each(|_| r.ue().map(drop))?;
    }
    // Baseline has no B pictures, and order type 2 means that they are shown as they are decoded (8.2.1.3).
    if profile != 66 && order != 2 {
        return None;
    }
    let keep = r.at;
    if !r.bit()? {
        return Some(Found { keep, vui: false, references });
    }
    vui(r)?;
    let keep = r.at;
    (!r.bit()?).then_some(Found { keep, vui: true, references })
}

fn high_profile(r: &mut BitReader) -> Option<()> {
    let chroma = r.ue()?;
    if chroma == 3 {
        r.skip(1)?;
    }
    r.ue()?;
    r.ue()?;
    r.skip(1)?;
    if !r.bit()? {
        return Some(());
    }
    // Scaling lists: their deltas are signed codes; a list ends early when the next scale comes to zero.
    for i in 0..if chroma == 3 { 12 } else { 8 } {
        if !r.bit()? {
            continue;
        }
        let mut next = 8i64;
        for _ in 0..if i < 6 { 16 } else { 64 } {
            let code = i64::from(r.ue()?);
            let delta = if code % 2 == 1 { (code + 1) / 2 } else { -code / 2 };
            next = (next + delta).rem_euclid(256);
            if next == 0 {
                break;
            }
        }
    }
    Some(())
}

/// Skips the VUI up to its `bitstream_restriction_flag`.
fn vui(r: &mut BitReader) -> Option<()> {
    if r.bit()? && r.bits(8)? == 255 {
        r.skip(32)?;
    }
    if r.bit()? {
        r.skip(1)?;
    }
    if r.bit()? {
        r.skip(4)?;
        if r.bit()? {
            r.skip(24)?;
        }
    }
    if r.bit()? {
        r.ue()?;
        r.ue()?;
    }
    if r.bit()? {
        r.skip(65)?;
    }
    let mut any = false;
    for _ in 0..2 {
        if r.bit()? {
            any = true;
            let n = r.ue().filter(|n| *n < 32)?;
            r.skip(8)?;
            for _ in 0..=n {
                r.ue()?;
                r.ue()?;
                r.skip(1)?;
            }
            r.skip(20)?;
        }
    }
    r.skip(if any { 2 } else { 1 })
}

/// The parameter set with `max_num_reorder_frames` 0; none when nothing needs to or may be said.
fn in_order(sps: &[u8]) -> Option<Vec<u8>> {
    let mut r = BitReader::new(sps);
    let found = find(&mut r)?;
    r.at = 0;
    let mut w = BitWriter::default();
    for _ in 0..found.keep {
        w.bit(r.bit()?);
    }
    if !found.vui {
        w.bit(true);
        (0..8).for_each(|_| w.bit(false));
    }
    w.bit(true);
    w.bit(true); // motion vectors over picture bounds: as when unsaid, and so the next four
    [2, 1, 15, 15, 0, found.references.max(1)].into_iter().for_each(|v| w.ue(v));
    Some(w.finish())
}

/// Whether a NAL unit is an H.264 sequence parameter set. In H.265 these values name layers that nobody sends.
fn is_sps(nal: &[u8]) -> bool {
    nal.first().is_some_and(|b| b & 0x9f == 7)
}

/// A part of an access unit or box to be replaced.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Patch {
    at: usize,
    old: usize,
    new: Vec<u8>,
}

impl Patch {
    /// Length of `bytes` after the change.
    pub(super) fn length(&self, bytes: &[u8]) -> usize {
        bytes.len() - self.old + self.new.len()
    }

    /// The changed bytes, in three parts.
    pub(super) fn parts<'a>(&'a self, bytes: &'a [u8]) -> [&'a [u8]; 3] {
        let after = bytes.get(self.at + self.old..).unwrap_or_default();
        [bytes.get(..self.at).unwrap_or_default(), &self.new, after]
    }
}

/// What to change in an access unit (NAL units with lengths of 4 bytes) that brings its parameter set along.
pub(super) fn unit_patch(unit: &[u8]) -> Option<Patch> {
    let mut at = 0;
    while let Some((len, rest)) = unit.get(at..)?.split_first_chunk::<4>() {
        let len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
        let nal = rest.get(..len)?;
        if is_sps(nal) {
            let sps = in_order(nal)?;
            let mut new = u32::try_from(sps.len()).ok()?.to_be_bytes().to_vec();
            new.extend(sps);
            return Some(Patch { at, old: 4 + len, new });
        }
        // Parameter sets come before the first slice.
        if nal.first().is_some_and(|b| (1..=5).contains(&(b & 0x1f))) {
            return None;
        }
        at += 4 + len;
    }
    None
}

/// What to change in an `avcC` box's contents with one parameter set.
pub(super) fn avcc_patch(avcc: &[u8]) -> Option<Patch> {
    let [_, _, _, _, _, count, high, low] = *avcc.first_chunk::<8>()?;
    let len = usize::from(u16::from_be_bytes([high, low]));
    let sps = avcc.get(8..8 + len).filter(|s| count & 0x1f == 1 && is_sps(s))?;
    let sps = in_order(sps)?;
    let mut new = u16::try_from(sps.len()).ok()?.to_be_bytes().to_vec();
    new.extend(sps);
    Some(Patch { at: 6, old: 2 + len, new })
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    /// The parameter set without its VUI, as many cameras send it.
    pub(in crate::segment) fn without_vui(sps: &[u8]) -> Vec<u8> {
        let mut r = BitReader::new(sps);
        // A set that says something already stops the search behind the VUI flag; one that does not, at it.
        let mut flag = None;
        for keep in 0..sps.len() * 8 {
            let mut w = BitWriter::default();
            r.at = 0;
            (0..keep).for_each(|_| w.bit(r.bit().unwrap_or(false)));
            w.bit(false);
            let candidate = w.finish();
            let found = find(&mut BitReader::new(&candidate));
            if found.is_some_and(|f| !f.vui && f.keep == keep) {
                flag = Some(candidate);
                break;
            }
        }
        flag.unwrap()
    }

    // Of x264, 320x240: Baseline, High without and High with pictures out of order; all say what they do.
    const BASELINE: &str = "6742c00dd90141fb011000000300100000030320f142a480";
    const HIGH: &str = "6764000dacb20283f60220000003002000000641e28549";
    const HIGH_REORDERED: &str = "6764000dacd94141fb011000000300100000030320f1429960";

    #[test]
    fn what_is_said_already_is_left_alone_and_what_is_not_is_added_once() {
        for said in [BASELINE, HIGH] {
            let said = hex::decode(said).unwrap();
            assert_eq!(in_order(&said), None);
            let bare = without_vui(&said);
            assert!(bare.len() < said.len() - 8, "{bare:02x?}");
            let told = in_order(&bare).unwrap();
            assert!(told.len() > bare.len());
            assert_eq!(in_order(&told), None, "now it is said");
            let length = u8::try_from(bare.len()).unwrap();
            let unit = [&[0, 0, 0, 2, 9, 0x10, 0, 0, 0, length], &bare[..], &[0, 0, 0, 1, 0x65]].concat();
            let patch = unit_patch(&unit).unwrap();
            let changed = patch.parts(&unit).concat();
            assert_eq!(changed.len(), patch.length(&unit));
            assert_eq!(unit_patch(&changed), None);
            assert_eq!(changed[changed.len() - 5..], [0, 0, 0, 1, 0x65]);
        }
    }

    #[test]
    fn a_stream_with_pictures_out_of_order_is_left_alone() {
        let mut r = BitReader::new(&hex::decode(HIGH_REORDERED).unwrap());
        assert!(find(&mut r).is_none());
        assert!(r.at > 60, "the parameter set was read up to the decision");
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_or_changed_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = in_order(&bytes);
            let _ = unit_patch(&bytes);
            let _ = avcc_patch(&bytes);
            let mut sps = vec![0x67, 66, 0, 30];
            sps.extend(&bytes);
            if let Some(told) = in_order(&sps) {
                prop_assert_eq!(in_order(&told), None);
            }
        }
    }
}
