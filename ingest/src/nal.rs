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
}

/// Looks through an access unit of NAL units with 4-byte big-endian lengths; JPEG images are always whole key pictures.
///
/// Key pictures are H.264 IDR (type 5) and all H.265 IRAP types 16 to 21: IDR, but also CRA and BLA, because cameras
/// with open GOPs send an IDR only once, at the start of the session.
#[must_use]
pub fn look(codec: VideoCodec, data: &[u8]) -> Contents {
    if codec == VideoCodec::Mjpeg {
        let whole = data.starts_with(&[0xFF, 0xD8]);
        return Contents { picture: whole, key: whole, whole };
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
        let (picture, key) = match codec {
            VideoCodec::H264 => (matches!(first & 0x1F, 1..=5), first & 0x1F == 5),
            VideoCodec::H265 => (matches!(first >> 1 & 0x3F, 0..=31), matches!(first >> 1 & 0x3F, 16..=21)),
            VideoCodec::Mjpeg => (false, false),
        };
        found.picture |= picture;
        found.key |= key;
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
            Contents { picture: false, key: false, whole: true }
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
