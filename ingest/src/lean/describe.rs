//! From a device's description to what is set up. Pure.
//!
//! The tracks are picked as `source::rtsp` picks them. What is unusual in a description is not puzzled out here: it goes
//! to retina, whose errors and exceptions then hold.

use std::num::NonZeroU16;

use fengsui_storage::board::FailureClass;
use fengsui_storage::frame::{VIDEO_TIMESCALE, VideoCodec};
use sdp_types::{Media as Section, Session};
use url::Url;

use super::media::{AudioMedia, Media, VideoMedia};
use super::{Stop, unknown};
use crate::failure::Failure;

/// What to set up, and under which addresses. Channels are those that will be proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) media: Media,
    pub(super) video: Url,
    pub(super) audio: Option<Url>,
    /// All tracks at once.
    pub(super) whole: Url,
    /// What relative addresses begin with.
    pub(super) base: Url,
}

/// Reads a description. `base` is the Content-Base or Content-Location of the answer.
pub(super) fn plan(url: &Url, base: Option<&str>, body: &[u8]) -> Result<Plan, Stop> {
    let base = match base {
        None => url.clone(),
        Some(text) => absolute(url, text).ok_or_else(|| unknown("an odd Content-Base"))?,
    };
    let session = Session::parse(body).map_err(|_| unknown("an odd description"))?;
    let whole = match attribute(&session.attributes, "control") {
        None => url.clone(),
        Some(control) => join(&base, control)?,
    };
    let (video, codec) = pick_video(&session.medias)?;
    let address = |section: &Section| match attribute(&section.attributes, "control") {
        None => Ok(whole.clone()),
        Some(control) => join(&base, control),
    };
    let audio = session.medias.iter().find_map(audio);
    let plan = Plan {
        video: address(video.section)?,
        audio: audio.as_ref().map(|(section, _)| address(section)).transpose()?,
        media: Media {
            video: VideoMedia { codec, channel: 0, format: video.format.map(ToOwned::to_owned) },
            audio: audio.map(|(_, audio)| audio),
        },
        whole,
        base,
    };
    Ok(plan)
}

/// `text` as an address; some devices leave out the scheme.
fn absolute(url: &Url, text: &str) -> Option<Url> {
    let text = text.trim();
    Url::parse(text).or_else(|_| Url::parse(&format!("{}://{text}", url.scheme()))).ok()
}

/// Appended rather than resolved: that is what devices expect, whatever the standard says.
fn join(base: &Url, control: &str) -> Result<Url, Stop> {
    if control == "*" {
        return Ok(base.clone());
    }
    if let Ok(whole) = Url::parse(control) {
        return Ok(whole);
    }
    let slash = if base.as_str().ends_with('/') { "" } else { "/" };
    Url::parse(&format!("{base}{slash}{control}")).map_err(|_| unknown("an odd track address"))
}

fn attribute<'a>(attributes: &'a [sdp_types::Attribute], name: &str) -> Option<&'a str> {
    attributes.iter().filter(|a| a.attribute == name).find_map(|a| a.value.as_deref())
}

/// The first format of a track, which is the one that counts.
struct Format<'a> {
    section: &'a Section,
    /// In lower case.
    encoding: String,
    clock_rate: u32,
    channels: Option<NonZeroU16>,
    format: Option<&'a str>,
}

/// `None` when the section is none of ours or odd.
fn format(section: &Section) -> Option<Format<'_>> {
    if !section.proto.starts_with("RTP/") && !section.proto.contains("/RTP/") {
        return None;
    }
    let number = section.fmt.split_ascii_whitespace().next()?;
    let of_number = |name: &str| {
        let values = section.attributes.iter().filter(move |a| a.attribute == name);
        values.filter_map(|a| a.value.as_deref()?.split_once(' ')).find(|(n, _)| *n == number).map(|(_, v)| v)
    };
    let fixed = match number {
        "0" => Some("PCMU/8000/1"),
        "8" => Some("PCMA/8000/1"),
        _ => None,
    };
    let mut map = of_number("rtpmap").or(fixed)?.trim_end_matches(' ').split('/');
    let encoding = map.next()?.to_ascii_lowercase();
    let clock_rate = map.next()?.parse().ok().filter(|rate| *rate > 0)?;
    let channels = map.next().map(|n| n.parse().ok().and_then(NonZeroU16::new));
    // Named, but not a number.
    let channels = if channels == Some(None) { return None } else { channels.flatten() };
    Some(Format { section, encoding, clock_rate, channels, format: of_number("fmtp") })
}

fn pick_video(sections: &[Section]) -> Result<(Format<'_>, VideoCodec), Stop> {
    let mut others = Vec::new();
    for section in sections.iter().filter(|s| matches!(s.media.as_str(), "video" | "image")) {
        let found = format(section).ok_or_else(|| unknown("an odd video track"))?;
        let codec = match found.encoding.as_str() {
            "h264" => VideoCodec::H264,
            "h265" => VideoCodec::H265,
            "jpeg" => return Err(unknown("JPEG")),
            _ => {
                others.push(found.encoding);
                continue;
            }
        };
        if found.clock_rate != VIDEO_TIMESCALE || section.media != "video" {
            return Err(unknown("an odd video track"));
        }
        return Ok((found, codec));
    }
    let detail = if others.is_empty() {
        "The device offers no video.".to_owned()
    } else {
        format!("The device offers video as {} only, which is not supported.", others.join(", "))
    };
    Err(Stop::Failed(Failure::new(FailureClass::Unsupported, detail)))
}

/// The first supported audio track. Sound that is odd is left out.
fn audio(section: &Section) -> Option<(&Section, AudioMedia)> {
    if section.media != "audio" {
        return None;
    }
    let Format { encoding, clock_rate, channels, format, .. } = format(section)?;
    let usable = match encoding.as_str() {
        "pcma" | "pcmu" => true,
        // Without its configuration nothing can be made of it.
        "mpeg4-generic" => format.is_some_and(|f| f.to_ascii_lowercase().contains("config=")),
        _ => false,
    };
    let format = format.map(ToOwned::to_owned);
    usable.then_some((section, AudioMedia { encoding, channel: 2, clock_rate, channels, format }))
}

#[cfg(test)]
#[path = "describe_tests.rs"]
mod tests;
