//! `rtsp://` by the retina client: H.264, H.265, MJPEG; AAC and G.711; TCP or UDP.
//!
//! Parameter sets that come within the stream are kept by retina apart from the pictures; they stand in the parameters
//! (`avcC`, `hvcC`), as the sample entries of stored files demand. Everything else is passed on byte by byte.
//!
//! Bound: retina gathers an access unit without a size limit of its own. What one device can make us hold is therefore
//! what it can send within `limits::STALL_AFTER`, after which the watchdog, which counts whole units only, closes.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use fengsui_config::topology::Transport;
use fengsui_config::{Credentials, limits};
use fengsui_storage::board::FailureClass;
use fengsui_storage::frame::{AudioCodec, AudioParams, Track, VideoCodec, VideoParams};
use futures::Stream;
use futures::future::BoxFuture;
use retina::client::{
    Demuxed, Described, InitialSequenceNumberPolicy, InitialTimestampPolicy, PlayOptions, Session,
    SessionGroup, SessionIdPolicy, SessionOptions, SetupOptions, TcpTransportOptions, TeardownPolicy,
    UdpTransportOptions, UnknownRtcpSsrcPolicy,
};
use retina::codec::{CodecItem, FrameFormat, ParametersRef};

use super::rtsp_error::{Phase, classify, is_bad_packet};
use super::{Source, SourceItem, SourceUnit};
use crate::failure::Failure;
use crate::spec::Target;

/// Opens sessions, and knows those that are still saying goodbye.
#[derive(Default)]
pub(super) struct RtspOpener {
    goodbyes: Arc<SessionGroup>,
}

/// Why a session was not opened.
pub(super) struct Refusal {
    /// The failure, for people and machines.
    pub failure: Failure,
    /// Credentials that the device accepted were refused a request later.
    #[cfg_attr(not(feature = "gst"), expect(dead_code, reason = "GStreamer takes such devices over"))]
    pub fickle: bool,
}

impl RtspOpener {
    /// Opens a session.
    pub(super) fn open_or_explain(
        &self,
        target: Target,
    ) -> BoxFuture<'static, Result<Box<dyn Source>, Refusal>> {
        let goodbyes = self.goodbyes.clone();
        Box::pin(async move {
            let mut described = false;
            match open(&target, goodbyes, &mut described).await {
                Ok(source) => Ok(Box::new(source) as Box<dyn Source>),
                Err(failure) => {
                    let fickle =
                        described && target.credentials.is_some() && failure.class == FailureClass::Auth;
                    Err(Refusal { failure: failure.without(target.credentials.as_ref()), fickle })
                }
            }
        })
    }

    /// Waits until dropped sessions have said goodbye.
    pub(super) fn settle(&self) -> BoxFuture<'static, ()> {
        let goodbyes = self.goodbyes.clone();
        Box::pin(async move {
            // A device that does not answer the goodbye will close the session by its own time-out.
            let _unanswered = goodbyes.await_teardown().await;
        })
    }
}

/// A playing session.
struct RtspSource {
    demuxed: Demuxed,
    video: usize,
    video_codec: VideoCodec,
    audio: Option<(usize, AudioParams)>,
    /// Parameters last told to the reader.
    told: bool,
    /// A unit that waits until its parameters have been told.
    held: Option<SourceUnit>,
    bad_in_a_row: u32,
    /// Bad packets and units that could not be used count as lost before the next unit.
    lost: u32,
    credentials: Option<Credentials>,
}

async fn open(
    target: &Target,
    goodbyes: Arc<SessionGroup>,
    described: &mut bool,
) -> Result<RtspSource, Failure> {
    let creds = target.credentials.as_ref().map(|c| retina::client::Credentials {
        username: c.user.clone(),
        password: c.password.expose().to_owned(),
    });
    let options = SessionOptions::default()
        .creds(creds)
        .user_agent("fengsui".to_owned())
        .session_group(goodbyes)
        .teardown(TeardownPolicy::Auto)
        .session_id(SessionIdPolicy::UseFirst);
    let failed = |phase| move |e: retina::Error| classify(e.status_code(), &e.to_string(), phase);
    let mut session =
        Session::describe(target.url.clone(), options).await.map_err(failed(Phase::Describing))?;
    *described = true;
    let (video, video_codec) = pick_video(&session)?;
    session.setup(video, setup_options(target.transport)).await.map_err(failed(Phase::SettingUp))?;
    let audio = match pick_audio(&session) {
        None => None,
        Some((index, params)) => match session.setup(index, setup_options(target.transport)).await {
            Ok(()) => Some((index, params)),
            // Refused sound is no reason to do without the picture.
            Err(e) if e.status_code().is_some() => None,
            Err(e) => return Err(failed(Phase::SettingUp)(e)),
        },
    };
    // Cameras often tell a wrong start of sequence numbers and time stamps; the first packet knows better.
    let play = PlayOptions::default()
        .initial_timestamp(InitialTimestampPolicy::Ignore)
        .initial_seq(InitialSequenceNumberPolicy::Ignore)
        .unknown_rtcp_ssrc(UnknownRtcpSsrcPolicy::ProcessPackets);
    let playing = session.play(play).await.map_err(failed(Phase::SettingUp))?;
    let demuxed = playing.demuxed().map_err(failed(Phase::SettingUp))?;
    Ok(RtspSource {
        demuxed,
        video,
        video_codec,
        audio,
        told: false,
        held: None,
        bad_in_a_row: 0,
        lost: 0,
        credentials: target.credentials.clone(),
    })
}

fn setup_options(transport: Transport) -> SetupOptions {
    let transport = match transport {
        Transport::Tcp => retina::client::Transport::Tcp(TcpTransportOptions::default()),
        Transport::Udp => retina::client::Transport::Udp(UdpTransportOptions::default()),
    };
    SetupOptions::default().transport(transport).frame_format(FrameFormat::MP4)
}

fn pick_video(session: &Session<Described>) -> Result<(usize, VideoCodec), Failure> {
    let mut others = Vec::new();
    for (i, s) in session.streams().iter().enumerate() {
        match (s.media(), s.encoding_name()) {
            ("video", "h264") => return Ok((i, VideoCodec::H264)),
            ("video", "h265") => return Ok((i, VideoCodec::H265)),
            ("video" | "image", "jpeg") => return Ok((i, VideoCodec::Mjpeg)),
            ("video", other) => others.push(other.to_owned()),
            _ => {}
        }
    }
    let detail = if others.is_empty() {
        "The device offers no video.".to_owned()
    } else {
        format!("The device offers video as {} only, which is not supported.", others.join(", "))
    };
    Err(Failure::new(FailureClass::Unsupported, detail))
}

fn pick_audio(session: &Session<Described>) -> Option<(usize, AudioParams)> {
    session.streams().iter().enumerate().find_map(|(i, s)| {
        let codec = match (s.media(), s.encoding_name()) {
            ("audio", "mpeg4-generic") => AudioCodec::Aac,
            ("audio", "pcma") => AudioCodec::Pcma,
            ("audio", "pcmu") => AudioCodec::Pcmu,
            _ => return None,
        };
        let Some(ParametersRef::Audio(p)) = s.parameters() else { return None };
        Some((
            i,
            AudioParams {
                codec,
                sample_rate: p.clock_rate(),
                channels: p.channels().get(),
                extra: if codec == AudioCodec::Aac {
                    Bytes::copy_from_slice(p.extra_data())
                } else {
                    Bytes::new()
                },
            },
        ))
    })
}

impl RtspSource {
    fn tracks(&self) -> SourceItem {
        let parameters = self.demuxed.streams().get(self.video).and_then(retina::client::Stream::parameters);
        let video = match parameters {
            Some(ParametersRef::Video(p)) => {
                // The size without padding to whole blocks: what players show and what sample entries hold.
                let (width, height) = p.pixel_dimensions();
                Some(VideoParams {
                    codec: self.video_codec,
                    width: u16::try_from(width).unwrap_or(0),
                    height: u16::try_from(height).unwrap_or(0),
                    extra: match self.video_codec {
                        VideoCodec::Mjpeg => Bytes::new(),
                        VideoCodec::H264 | VideoCodec::H265 => Bytes::copy_from_slice(p.extra_data()),
                    },
                    rfc6381: match self.video_codec {
                        VideoCodec::Mjpeg => "mp4v.6C".to_owned(),
                        VideoCodec::H264 | VideoCodec::H265 => p.rfc6381_codec().to_owned(),
                    },
                })
            }
            _ => None,
        };
        SourceItem::Tracks { video, audio: self.audio.as_ref().map(|(_, p)| p.clone()) }
    }

    fn bad(&mut self, failure: Failure) -> Result<SourceItem, Failure> {
        self.lost = self.lost.saturating_add(1);
        self.bad_in_a_row += 1;
        if self.bad_in_a_row > limits::BAD_PACKETS_MAX {
            return Err(failure.without(self.credentials.as_ref()));
        }
        Ok(SourceItem::BadPacket)
    }

    fn unit(&mut self, track: Track, raw_pts: i64, lost: u16, data: Bytes) -> SourceUnit {
        self.bad_in_a_row = 0;
        let lost_before = u32::from(lost).saturating_add(std::mem::take(&mut self.lost));
        SourceUnit { track, raw_pts, lost_before, data }
    }

    /// `None`: nothing that concerns us.
    fn item(&mut self, item: CodecItem) -> Option<SourceItem> {
        match item {
            CodecItem::VideoFrame(frame) => {
                let changed = frame.has_new_parameters() || !self.told;
                let (raw, lost) = (frame.timestamp().timestamp(), frame.loss());
                let unit = self.unit(Track::Video, raw, lost, Bytes::from(frame.into_data()));
                if !changed {
                    return Some(SourceItem::Unit(unit));
                }
                let tracks = self.tracks();
                self.told = matches!(tracks, SourceItem::Tracks { video: Some(_), .. });
                self.held = Some(unit);
                Some(tracks)
            }
            CodecItem::AudioFrame(frame) => {
                let raw = frame.timestamp().timestamp();
                let data = Bytes::copy_from_slice(frame.data());
                Some(SourceItem::Unit(self.unit(Track::Audio, raw, frame.loss(), data)))
            }
            CodecItem::Rtcp(compound) => {
                let raw_pts = compound.rtp_timestamp()?.timestamp();
                let report = compound.pkts().next()?.as_sender_report().ok()??;
                let track = if compound.stream_id() == self.video { Track::Video } else { Track::Audio };
                Some(SourceItem::SenderReport { track, ntp: report.ntp_timestamp().0, raw_pts })
            }
            _ => None,
        }
    }
}

impl Source for RtspSource {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<SourceItem, Failure>> {
        if let Some(unit) = self.held.take() {
            return Poll::Ready(Ok(SourceItem::Unit(unit)));
        }
        loop {
            match std::task::ready!(Pin::new(&mut self.demuxed).poll_next(cx)) {
                Some(Ok(item)) => {
                    if let Some(item) = self.item(item) {
                        return Poll::Ready(Ok(item));
                    }
                }
                Some(Err(e)) => {
                    let text = e.to_string();
                    let failure = classify(e.status_code(), &text, Phase::Playing);
                    return Poll::Ready(if is_bad_packet(&text) {
                        self.bad(failure)
                    } else {
                        Err(failure.without(self.credentials.as_ref()))
                    });
                }
                None if self.bad_in_a_row > 0 => {
                    return Poll::Ready(Err(Failure::new(
                        FailureClass::BadData,
                        "The device sent unusable packets.",
                    )));
                }
                None => {
                    return Poll::Ready(Err(Failure::new(
                        FailureClass::Closed,
                        "The device closed the connection.",
                    )));
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "rtsp_tests.rs"]
mod tests;
