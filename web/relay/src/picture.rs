//! Live pictures of one stream on their way from a node to its centre: the body of an answer without end.
//!
//! ```text
//! frame: u8 kind | u32 length | length bytes                      big endian
//! 1 hello    {"v":1}                                              the first frame
//! 2 begin    parameters of the pictures that follow, JSON
//! 3 unit     u8 flags | i64 pts | i64 utc_us | i64 arrived_us | coded bytes     flags: 1 key frame, 2 from the cache
//! 4 dropped  u64 pictures that the reader was too slow for; a key frame follows
//! 5 standing how the stream stands while no pictures come, JSON
//! 6 end      {"reason":…}                                         no pictures from here on
//! 7 here     nothing to say
//! ```
//! Times are on the node's clock. A frame of a kind that is not known is passed over: a newer node may say more.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;
use fengsui_storage::frame::{
    AccessUnit, GapReason, StartReason, StreamInfo, Track, VideoCodec, VideoParams,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// Version of the frames.
const VERSION: u64 = 1;
/// Kind and length.
const HEAD_BYTES: usize = 5;
/// What stands before the coded bytes of a unit.
const UNIT_HEAD_BYTES: usize = 25;
/// Largest frame.
const FRAME_BYTES_MAX: usize = UNIT_HEAD_BYTES + limits::ACCESS_UNIT_BYTES_MAX;

const KEY: u8 = 1;
const WARM: u8 = 2;

/// How a stream stands that does not play, in words of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    /// State of a tile that shows it.
    pub state: String,
    /// Class of the failure.
    pub reason: Option<String>,
    /// One sentence.
    pub detail: Option<String>,
    /// The node that has it, when that is one further below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

/// One thing that a node says.
#[derive(Debug, Clone)]
pub enum Item {
    /// The node speaks this language.
    Hello,
    /// Parameters of the pictures that follow; never with sound.
    Begin(StreamInfo),
    /// One picture.
    Unit {
        /// The picture.
        unit: AccessUnit,
        /// From the node's cached group of pictures.
        warm: bool,
    },
    /// The reader was too slow; a key frame follows.
    Dropped(u64),
    /// How the stream stands while no pictures come.
    Standing(Words),
    /// No pictures from here on.
    End(GapReason),
    /// The node is there.
    Here,
}

/// Why bytes are no pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// A frame larger than any that a node sends.
    #[error("a frame of {0} bytes")]
    TooLarge(usize),
    /// A frame that does not hold what its kind says.
    #[error("{0}")]
    Malformed(&'static str),
    /// The node speaks another language.
    #[error("version {0} of the frames; this program reads version {VERSION}")]
    Version(u64),
}

#[derive(Serialize, Deserialize)]
struct Hello {
    v: u64,
}

#[derive(Serialize, Deserialize)]
struct Begin {
    video: Option<Video>,
    #[serde(deserialize_with = "or_connected")]
    start: StartReason,
}

#[derive(Serialize, Deserialize)]
struct Video {
    codec: VideoCodec,
    width: u16,
    height: u16,
    /// Hexadecimal.
    extra: String,
    rfc6381: String,
}

#[derive(Serialize, Deserialize)]
struct End {
    #[serde(deserialize_with = "or_network")]
    reason: GapReason,
}

/// A reason that is not known here is one that a newer node has: pictures begin all the same.
fn or_connected<'de, D: Deserializer<'de>>(d: D) -> Result<StartReason, D::Error> {
    let word = Value::deserialize(d)?;
    Ok(StartReason::deserialize(word).unwrap_or(StartReason::Connected))
}

/// The same at their end: from here it is the way to the camera that does not bring them.
fn or_network<'de, D: Deserializer<'de>>(d: D) -> Result<GapReason, D::Error> {
    let word = Value::deserialize(d)?;
    Ok(GapReason::deserialize(word).unwrap_or(GapReason::Network))
}

impl Item {
    /// As bytes of the body.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Hello => words(1, &Hello { v: VERSION }),
            Self::Begin(info) => words(2, &Begin::of(info)),
            Self::Unit { unit, warm } => {
                let mut out = head(3, UNIT_HEAD_BYTES + unit.data.len());
                out.put_u8(if unit.key { KEY } else { 0 } | if *warm { WARM } else { 0 });
                out.put_i64(unit.pts);
                out.put_i64(unit.utc.0);
                out.put_i64(unit.arrived.0);
                out.put_slice(&unit.data);
                out.freeze()
            }
            Self::Dropped(units) => {
                let mut out = head(4, 8);
                out.put_u64(*units);
                out.freeze()
            }
            Self::Standing(standing) => words(5, standing),
            Self::End(reason) => words(6, &End { reason: *reason }),
            Self::Here => head(7, 0).freeze(),
        }
    }
}

fn head(kind: u8, length: usize) -> BytesMut {
    let mut out = BytesMut::with_capacity(HEAD_BYTES + length);
    out.put_u8(kind);
    out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    out
}

fn words(kind: u8, value: &impl Serialize) -> Bytes {
    let text = serde_json::to_vec(value).unwrap_or_default();
    let mut out = head(kind, text.len());
    out.put_slice(&text);
    out.freeze()
}

impl Begin {
    fn of(info: &StreamInfo) -> Self {
        let video = |v: &VideoParams| Video {
            codec: v.codec,
            width: v.width,
            height: v.height,
            extra: hex::encode(&v.extra),
            rfc6381: v.rfc6381.clone(),
        };
        Self { video: info.video.as_ref().map(video), start: info.start }
    }

    fn info(self) -> Result<StreamInfo, PictureError> {
        let video = |v: Video| {
            let extra = hex::decode(v.extra);
            let extra = extra.map_err(|_| PictureError::Malformed("parameters that are not hexadecimal"))?;
            let Video { codec, width, height, rfc6381, .. } = v;
            Ok(VideoParams { codec, width, height, extra: extra.into(), rfc6381 })
        };
        Ok(StreamInfo { video: self.video.map(video).transpose()?, audio: None, start: self.start })
    }
}

/// Reads the body as it comes. Holds at most one frame that is not whole, and what came behind it.
#[derive(Debug, Default)]
pub struct Reader {
    held: BytesMut,
    greeted: bool,
}

impl Reader {
    /// Takes more of the body.
    pub fn take(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// The next thing that the node said, when it is there whole.
    ///
    /// # Errors
    /// What came is no stream of pictures; nothing after that can be read.
    pub fn next_item(&mut self) -> Result<Option<Item>, PictureError> {
        loop {
            let Some((kind, body)) = self.frame()? else { return Ok(None) };
            let item = item(kind, &body)?;
            match item {
                Some(Item::Hello) => self.greeted = true,
                _ if !self.greeted => return Err(PictureError::Malformed("pictures before a greeting")),
                _ => {}
            }
            if item.is_some() {
                return Ok(item);
            }
        }
    }

    fn frame(&mut self) -> Result<Option<(u8, BytesMut)>, PictureError> {
        let mut head = self.held.get(..HEAD_BYTES).unwrap_or_default();
        if head.len() < HEAD_BYTES {
            return Ok(None);
        }
        let (kind, length) = (head.get_u8(), usize::try_from(head.get_u32()).unwrap_or(usize::MAX));
        let max = if kind == 3 { FRAME_BYTES_MAX } else { limits::RELAY_LIVE_WORDS_BYTES_MAX };
        if length > max {
            return Err(PictureError::TooLarge(length));
        }
        if self.held.len() < HEAD_BYTES + length {
            return Ok(None);
        }
        self.held.advance(HEAD_BYTES);
        Ok(Some((kind, self.held.split_to(length))))
    }
}

/// What a frame says; nothing when its kind is not known.
fn item(kind: u8, body: &[u8]) -> Result<Option<Item>, PictureError> {
    Ok(Some(match kind {
        1 => match read::<Hello>(body)?.v {
            VERSION => Item::Hello,
            other => return Err(PictureError::Version(other)),
        },
        2 => Item::Begin(read::<Begin>(body)?.info()?),
        3 => unit(body)?,
        4 => match <[u8; 8]>::try_from(body) {
            Ok(units) => Item::Dropped(u64::from_be_bytes(units)),
            Err(_) => return Err(PictureError::Malformed("a drop that is no number")),
        },
        5 => Item::Standing(read(body)?),
        6 => Item::End(read::<End>(body)?.reason),
        7 => Item::Here,
        _ => return Ok(None),
    }))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, PictureError> {
    serde_json::from_slice(body).map_err(|_| PictureError::Malformed("words that cannot be read"))
}

fn unit(mut body: &[u8]) -> Result<Item, PictureError> {
    if body.len() <= UNIT_HEAD_BYTES {
        return Err(PictureError::Malformed("a picture without bytes"));
    }
    let flags = body.get_u8();
    let (pts, utc, arrived) = (body.get_i64(), body.get_i64(), body.get_i64());
    // The bytes are copied: a picture that is kept should keep no more than itself.
    let data = Bytes::copy_from_slice(body);
    let unit = AccessUnit {
        track: Track::Video,
        key: flags & KEY != 0,
        pts,
        utc: UtcMicros(utc),
        camera_utc: None,
        arrived: UtcMicros(arrived),
        lost_before: 0,
        data,
    };
    Ok(Item::Unit { unit, warm: flags & WARM != 0 })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    fn info() -> StreamInfo {
        let video = VideoParams {
            codec: VideoCodec::H265,
            width: 2560,
            height: 1440,
            extra: Bytes::from_static(&[1, 2, 0xff]),
            rfc6381: "hvc1.1.6.L150.B0".into(),
        };
        StreamInfo { video: Some(video), audio: None, start: StartReason::ParametersChanged }
    }

    fn picture(key: bool, pts: i64, utc: i64, data: Vec<u8>) -> AccessUnit {
        AccessUnit {
            track: Track::Video,
            key,
            pts,
            utc: UtcMicros(utc),
            camera_utc: None,
            arrived: UtcMicros(utc + 3),
            lost_before: 0,
            data: data.into(),
        }
    }

    fn items() -> impl Strategy<Value = Item> {
        let word = || prop::option::of("[a-z_]{1,12}");
        let unit = (any::<bool>(), any::<bool>(), any::<i64>(), 0..1_i64 << 52, 1..40_000_usize);
        prop_oneof![
            Just(Item::Begin(info())),
            unit.prop_map(|(key, warm, pts, utc, n)| {
                let data = (0..n).map(|i| u8::try_from(i % 251).unwrap()).collect();
                Item::Unit { unit: picture(key, pts, utc, data), warm }
            }),
            any::<u64>().prop_map(Item::Dropped),
            ("[a-z]{1,9}", word(), word(), word()).prop_map(|(state, reason, detail, node)| Item::Standing(
                Words { state, reason, detail, node }
            )),
            Just(Item::End(GapReason::CameraOffline)),
            Just(Item::Here),
        ]
    }

    fn read_all(bytes: &[u8], cuts: &[usize]) -> Result<Vec<Item>, PictureError> {
        let (mut reader, mut found, mut rest) = (Reader::default(), Vec::new(), bytes);
        let mut cuts = cuts.iter().cycle();
        while !rest.is_empty() {
            let (now, later) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            reader.take(now);
            rest = later;
            while let Some(item) = reader.next_item()? {
                found.push(item);
            }
        }
        Ok(found)
    }

    proptest! {
        #[test]
        fn pictures_come_as_they_were_sent_however_the_bytes_are_cut(
            sent in prop::collection::vec(items(), 0..12),
            cuts in prop::collection::vec(1..5_000_usize, 1..8),
        ) {
            let mut bytes = Item::Hello.encode().to_vec();
            bytes.extend(sent.iter().flat_map(|item| item.encode()));
            let mut came = read_all(&bytes, &cuts).unwrap();
            prop_assert!(matches!(came.remove(0), Item::Hello));
            prop_assert_eq!(format!("{came:?}"), format!("{sent:?}"));
        }

        #[test]
        fn no_bytes_make_a_stream_of_pictures_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_all(&bytes, &[7]);
            let mut greeted = Item::Hello.encode().to_vec();
            greeted.extend([1 + bytes.first().copied().unwrap_or(0) % 8, 0, 0, 0, 25]);
            greeted.extend(&bytes);
            let _ = read_all(&greeted, &[64]);
        }
    }

    #[test]
    fn a_newer_node_is_read_as_far_as_it_is_understood() {
        let mut bytes = words(1, &serde_json::json!({"v": 1, "more": true})).to_vec();
        bytes.extend(words(200, &serde_json::json!({"weather": "fine"})));
        bytes.extend(Item::Dropped(3).encode());
        let came = read_all(&bytes, &[1]).unwrap();
        assert!(matches!(came[..], [Item::Hello, Item::Dropped(3)]), "{came:?}");
        let mut bytes = Item::Hello.encode().to_vec();
        bytes.extend(words(2, &serde_json::json!({"video": null, "start": "by_moonlight", "hdr": true})));
        bytes.extend(words(6, &serde_json::json!({"reason": "eclipse", "until_us": 1})));
        let came = read_all(&bytes, &[3]).unwrap();
        let began = matches!(&came[1], Item::Begin(info) if info.start == StartReason::Connected);
        assert!(began && matches!(came[2], Item::End(GapReason::Network)), "{came:?}");
        let other = words(1, &Hello { v: 2 });
        assert_eq!(read_all(&other, &[9]).unwrap_err(), PictureError::Version(2));
        assert!(read_all(&Item::Here.encode(), &[9]).is_err(), "no greeting");
    }

    #[test]
    fn a_length_beyond_the_bound_is_refused_before_its_bytes_come() {
        let mut bytes = Item::Hello.encode().to_vec();
        bytes.extend([3, 0xff, 0, 0, 0]);
        assert_eq!(read_all(&bytes, &[99]).unwrap_err(), PictureError::TooLarge(0xff00_0000));
        let mut bytes = Item::Hello.encode().to_vec();
        bytes.extend([5, 0, 2, 0, 0]);
        assert_eq!(read_all(&bytes, &[99]).unwrap_err(), PictureError::TooLarge(0x0002_0000));
    }
}
