//! What the first bytes of NAL units tell (ITU-T H.264 table 7-1, ITU-T H.265 table 7-1).

use fengsui_storage::frame::VideoCodec;

/// What an access unit is made of, as far as cutting and starting decoders goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Contents {
    /// It holds at least one slice of a picture.
    pub picture: bool,
    /// A decoder can start here.
    pub key: bool,
    /// The length prefixes fit the data exactly.
    pub whole: bool,
    /// It is coded in the other of the two: some cameras declare H.264 and send H.265, or change in mid-session.
    pub foreign: bool,
}

/// Looks through an access unit of NAL units with 4-byte big-endian lengths; JPEG images are always whole key pictures.
///
/// Key pictures are H.264 IDR (type 5) and all H.265 IRAP types 16 to 21: IDR, but also CRA and BLA, because cameras
/// with open GOPs send an IDR only once, at the start of the session.
#[must_use]
pub fn look(codec: VideoCodec, data: &[u8]) -> Contents {
    if codec == VideoCodec::Mjpeg {
        let whole = data.starts_with(&[0xFF, 0xD8]);
        return Contents { picture: whole, key: whole, whole, foreign: false };
    }
    let mut found = Contents { whole: true, ..Contents::default() };
    let mut rest = data;
    while !rest.is_empty() {
        let Some((prefix, after)) = rest.split_first_chunk::<4>() else {
            found.whole = false;
            return found;
        };
        let length = usize::try_from(u32::from_be_bytes(*prefix)).unwrap_or(usize::MAX);
        let Some((nal, next)) = after.split_at_checked(length) else {
            found.whole = false;
            return found;
        };
        let Some(first) = nal.first() else {
            found.whole = false;
            return found;
        };
        match codec {
            VideoCodec::H264 => {
                found.picture |= matches!(first & 0x1F, 1..=5);
                found.key |= first & 0x1F == 5;
                // Headers of H.265 parameter sets. As H.264 they would be of an unused type or data partitions, which
                // no camera's profile has.
                found.foreign |= matches!(nal, [0x40 | 0x42 | 0x44, 0x01, ..]);
            }
            VideoCodec::H265 => {
                found.picture |= matches!(first >> 1 & 0x3F, 0..=31);
                found.key |= matches!(first >> 1 & 0x3F, 16..=21);
                // Cameras have one layer, number 0; the headers of H.264 read as others.
                found.foreign |= first & 1 == 1 || nal.get(1).is_some_and(|second| second >> 3 != 0);
            }
            VideoCodec::Mjpeg => {}
        }
        rest = next;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(nals: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        for n in nals {
            out.extend_from_slice(&u32::try_from(n.len()).unwrap_or(0).to_be_bytes());
            out.extend_from_slice(n);
        }
        out
    }

    #[test]
    fn h264_key_is_idr_only() {
        let key = |t: u8| look(VideoCodec::H264, &unit(&[&[0x06, 1], &[0x60 | t, 0x88]])).key;
        assert_eq!((0..=31).filter(|t| key(*t)).collect::<Vec<_>>(), [5]);
    }

    #[test]
    fn h265_key_is_idr_bla_and_cra() {
        let key = |t: u8| look(VideoCodec::H265, &unit(&[&[39 << 1, 1], &[t << 1, 1, 0x80]])).key;
        assert_eq!((0..=47).filter(|t| key(*t)).collect::<Vec<_>>(), [16, 17, 18, 19, 20, 21]);
    }

    #[test]
    fn a_unit_of_headers_alone_is_no_picture() {
        assert_eq!(
            look(VideoCodec::H264, &unit(&[&[0x09, 0x10], &[0x06, 5]])),
            Contents { picture: false, key: false, whole: true, foreign: false }
        );
    }

    #[test]
    fn torn_lengths_are_noticed() {
        let mut data = unit(&[&[0x65, 1, 2, 3]]);
        data.pop();
        assert!(!look(VideoCodec::H264, &data).whole);
        assert!(!look(VideoCodec::H264, &[0, 0]).whole);
        assert!(!look(VideoCodec::H265, &[0, 0, 0, 0]).whole);
    }

    #[test]
    fn the_other_coding_is_noticed() {
        let h265 = unit(&[&[0x40, 1, 0x0C], &[0x42, 1, 1], &[0x44, 1, 0xC1], &[0x26, 1, 0xAF]]);
        assert!(look(VideoCodec::H264, &h265).foreign && !look(VideoCodec::H265, &h265).foreign);
        let h264 = unit(&[&[0x67, 0x42, 0xC0], &[0x68, 0xCE], &[0x65, 0x88]]);
        assert!(look(VideoCodec::H265, &h264).foreign && !look(VideoCodec::H264, &h264).foreign);
        assert!(look(VideoCodec::H265, &unit(&[&[0x41, 0x9A, 0x21]])).foreign);
        assert!(
            look(VideoCodec::H265, &unit(&[&[0x5C, 0x81, 0x9A]])).foreign,
            "a fragment taken for a whole NAL unit"
        );
    }

    #[test]
    fn any_jpeg_is_a_key() {
        assert!(look(VideoCodec::Mjpeg, &[0xFF, 0xD8, 0xFF]).key);
        assert!(!look(VideoCodec::Mjpeg, b"GIF").key);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(data in proptest::collection::vec(proptest::arbitrary::any::<u8>(), 0..200)) {
            for codec in [VideoCodec::H264, VideoCodec::H265, VideoCodec::Mjpeg] {
                let _ = look(codec, &data);
            }
        }
    }
}
