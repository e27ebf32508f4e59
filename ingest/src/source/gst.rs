//! `rtsps://` by GStreamer's `rtspsrc`, which has the TLS that retina lacks.
//!
//! Certificates of cameras are nearly always self-signed, for names that nobody resolves, and expired: they are not
//! checked. TLS here keeps pictures and passwords from being read on the way; it does not prove who the camera is.
//! A network in which that matters puts cameras behind VPN or MACsec, and that is the place to prove it.
//!
//! No text of a configuration ever becomes part of a pipeline description: elements are made one by one, and addresses
//! and credentials are set as properties.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Once};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use fengsui_config::limits;
use fengsui_config::topology::Transport;
use fengsui_storage::board::FailureClass;
use fengsui_storage::frame::{AudioCodec, AudioParams, Track, VIDEO_TIMESCALE, VideoCodec, VideoParams};
use futures::future::BoxFuture;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSinkCallbacks};
use tokio::sync::mpsc;

use super::{Source, SourceItem, SourceUnit, codec_string};
use crate::failure::Failure;
use crate::spec::Target;

/// What the pipeline's threads send to the worker.
enum Event {
    Video(VideoParams),
    Audio(AudioParams),
    Unit(SourceUnit),
    Report { track: Track, ntp: u64, raw_pts: i64 },
    Failed(Failure),
}

/// A running pipeline.
struct GstSource {
    pipeline: gst::Pipeline,
    events: mpsc::Receiver<Event>,
    video: Option<VideoParams>,
    audio: Option<AudioParams>,
    /// Tracks that will come; 0 until the device's description is read through.
    expected: Arc<AtomicUsize>,
    /// Events that came before every track was known.
    held: VecDeque<Event>,
}

/// How long the parameters of a second track are waited for after the first event.
const TRACKS_WAIT_MAX: Duration = Duration::from_millis(1500);

/// Opens an `rtsps://` session, or an `rtsp://` one that the RTSP client cannot open.
pub(super) fn open(target: Target) -> BoxFuture<'static, Result<Box<dyn Source>, Failure>> {
    Box::pin(async move {
        let credentials = target.credentials.clone();
        // Loading plugins and starting threads takes too long for a thread that reads cameras.
        let started = tokio::task::spawn_blocking(move || start(&target)).await;
        let mut source = match started {
            Ok(Ok(source)) => source,
            Ok(Err(e)) => {
                let text = format!("The media pipeline could not be made: {e}");
                return Err(Failure::new(FailureClass::Internal, text));
            }
            Err(_panic) => {
                return Err(Failure::new(FailureClass::Internal, "The media pipeline could not be made."));
            }
        };
        source.gather().await.map_err(|failure| failure.without(credentials.as_ref()))?;
        Ok(Box::new(source) as Box<dyn Source>)
    })
}

fn start(target: &Target) -> Result<GstSource, gst::glib::BoolError> {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        if let Err(e) = gst::init() {
            tracing::error!(error = %e, "GStreamer does not start");
        }
    });
    let pipeline = gst::Pipeline::new();
    let rtsp = gst::ElementFactory::make("rtspsrc")
        .property("location", target.url.as_str())
        .property("latency", 0_u32)
        .property("do-retransmission", false)
        .property("add-reference-timestamp-meta", true)
        .property("user-agent", "fengsui")
        .build()?;
    rtsp.set_property_from_str("buffer-mode", "none");
    rtsp.set_property_from_str("tls-validation-flags", "no-flags");
    rtsp.set_property_from_str(
        "protocols",
        match target.transport {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
        },
    );
    if let Some(c) = &target.credentials {
        rtsp.set_property("user-id", &c.user);
        rtsp.set_property("user-pw", c.password.expose());
    }
    let (send, events) = mpsc::channel(usize::try_from(limits::GST_SAMPLES_MAX).unwrap_or(64));
    pipeline.add(&rtsp)?;
    let (weak, to_pads) = (pipeline.downgrade(), send.clone());
    let (attached, expected) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, told) = (attached.clone(), expected.clone());
    rtsp.connect_pad_added(move |_, pad| {
        let Some(pipeline) = weak.upgrade() else { return };
        match attach(&pipeline, pad, &to_pads) {
            Ok(()) => drop(counted.fetch_add(1, Ordering::Relaxed)),
            Err(e) => tracing::warn!(error = %e, "a track of a session is left out"),
        }
    });
    rtsp.connect_no_more_pads(move |_| told.store(attached.load(Ordering::Relaxed), Ordering::Relaxed));
    let to_bus = send;
    if let Some(bus) = pipeline.bus() {
        bus.set_sync_handler(move |_, message| {
            if let Some(failure) = failure_of(message) {
                // Full: the worker is behind, and will see the end of the channel's units first; the watchdog follows.
                let _full_or_gone = to_bus.try_send(Event::Failed(failure));
            }
            gst::BusSyncReply::Drop
        });
    }
    let source = GstSource { pipeline, events, video: None, audio: None, expected, held: VecDeque::new() };
    if source.pipeline.set_state(gst::State::Playing).is_err() {
        return Err(gst::glib::bool_error!("the pipeline does not start"));
    }
    Ok(source)
}

/// Chain of elements for a coding: depayloader, parser, and what the parser has to deliver.
fn chain(encoding: &str) -> Option<(Track, &'static [&'static str], &'static str)> {
    Some(match encoding {
        "H264" => {
            (Track::Video, &["rtph264depay", "h264parse"], "video/x-h264,stream-format=avc,alignment=au")
        }
        "H265" => {
            (Track::Video, &["rtph265depay", "h265parse"], "video/x-h265,stream-format=hvc1,alignment=au")
        }
        "JPEG" => (Track::Video, &["rtpjpegdepay", "jpegparse"], "image/jpeg"),
        "PCMA" => (Track::Audio, &["rtppcmadepay"], "audio/x-alaw"),
        "PCMU" => (Track::Audio, &["rtppcmudepay"], "audio/x-mulaw"),
        "MPEG4-GENERIC" => (Track::Audio, &["rtpmp4gdepay", "aacparse"], "audio/mpeg,stream-format=raw"),
        _ => return None,
    })
}

fn attach(
    pipeline: &gst::Pipeline,
    pad: &gst::Pad,
    send: &mpsc::Sender<Event>,
) -> Result<(), gst::glib::BoolError> {
    let encoding = pad
        .current_caps()
        .and_then(|caps| caps.structure(0).and_then(|s| s.get::<String>("encoding-name").ok()))
        .unwrap_or_default();
    let Some((track, names, caps)) = chain(&encoding.to_ascii_uppercase()) else {
        return Err(gst::glib::bool_error!("coding {encoding} is not supported"));
    };
    let caps: gst::Caps = caps.parse()?;
    let sink =
        AppSink::builder().caps(&caps).sync(false).max_buffers(limits::GST_SAMPLES_MAX).drop(false).build();
    sink.set_callbacks(callbacks(track, send.clone()));
    let mut elements = Vec::new();
    for name in names {
        elements.push(gst::ElementFactory::make(name).build()?);
    }
    elements.push(sink.upcast());
    let refs: Vec<&gst::Element> = elements.iter().collect();
    pipeline.add_many(&refs)?;
    gst::Element::link_many(&refs)?;
    for element in &elements {
        element.sync_state_with_parent()?;
    }
    let entry = elements.first().and_then(|e| e.static_pad("sink"));
    let entry = entry.ok_or_else(|| gst::glib::bool_error!("a depayloader without a pad"))?;
    pad.link(&entry).map_err(|e| gst::glib::bool_error!("pads do not link: {e}"))?;
    Ok(())
}

fn callbacks(track: Track, send: mpsc::Sender<Event>) -> AppSinkCallbacks {
    let mut caps_told: Option<gst::Caps> = None;
    let mut rate = VIDEO_TIMESCALE;
    let mut reported: Option<gst::ClockTime> = None;
    let lost = AtomicU32::new(0);
    let to_end = send.clone();
    AppSinkCallbacks::builder()
        .new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            if let Some(caps) = sample.caps_owned()
                && caps_told.as_ref() != Some(&caps)
            {
                let event = match track {
                    Track::Video => video_params(&caps).map(Event::Video),
                    Track::Audio => audio_params(&caps).map(|a| {
                        rate = a.sample_rate;
                        Event::Audio(a)
                    }),
                };
                if let Some(event) = event {
                    send.try_send(event).map_err(|_| gst::FlowError::Error)?;
                }
                caps_told = Some(caps);
            }
            if let Some(buffer) = sample.buffer_owned() {
                deliver(&send, track, rate, buffer, &lost, &mut reported);
            }
            Ok(gst::FlowSuccess::Ok)
        })
        .eos(move |_| {
            let failure = Failure::new(FailureClass::Closed, "The device closed the connection.");
            let _full_or_gone = to_end.try_send(Event::Failed(failure));
        })
        .build()
}

fn deliver(
    send: &mpsc::Sender<Event>,
    track: Track,
    rate: u32,
    buffer: gst::Buffer,
    lost: &AtomicU32,
    reported: &mut Option<gst::ClockTime>,
) {
    let Some(pts) = buffer.pts() else { return };
    let ticks = u128::from(pts.nseconds()) * u128::from(rate) / 1_000_000_000;
    let raw_pts = i64::try_from(ticks).unwrap_or(i64::MAX);
    if let Some((at, ntp)) = reference(&buffer)
        && reported.is_none_or(|last| at.nseconds().abs_diff(last.nseconds()) >= 5_000_000_000)
    {
        *reported = Some(at);
        let _full_or_gone = send.try_send(Event::Report { track, ntp, raw_pts });
    }
    let Ok(map) = buffer.into_mapped_buffer_readable() else { return };
    // The buffer's memory is handed on as it is, and given back to GStreamer when its last reader is done.
    let data = Bytes::from_owner(Readable(map));
    let unit = SourceUnit { track, raw_pts, lost_before: lost.swap(0, Ordering::Relaxed), data };
    if send.try_send(Event::Unit(unit)).is_err() {
        lost.fetch_add(1, Ordering::Relaxed);
    }
}

/// NTP time that sender reports give to this buffer (32.32 fixed point), with the same in nanoseconds.
fn reference(buffer: &gst::Buffer) -> Option<(gst::ClockTime, u64)> {
    let meta = buffer
        .iter_meta::<gst::ReferenceTimestampMeta>()
        .find(|m| m.reference().structure(0).is_some_and(|s| s.name() == "timestamp/x-ntp"))?;
    let at = meta.timestamp();
    let fraction = (u128::from(at.nseconds() % 1_000_000_000) << 32) / 1_000_000_000;
    Some((at, at.seconds() << 32 | u64::try_from(fraction).unwrap_or(0)))
}

struct Readable(gst::MappedBuffer<gst::buffer::Readable>);

impl AsRef<[u8]> for Readable {
    fn as_ref(&self) -> &[u8] {
        self.0.as_slice()
    }
}

fn codec_data(s: &gst::StructureRef) -> Option<Bytes> {
    let buffer = s.get::<gst::Buffer>("codec_data").ok()?;
    let map = buffer.map_readable().ok()?;
    Some(Bytes::copy_from_slice(map.as_slice()))
}

fn video_params(caps: &gst::Caps) -> Option<VideoParams> {
    let s = caps.structure(0)?;
    let size = |name| s.get::<i32>(name).ok().and_then(|v| u16::try_from(v).ok()).unwrap_or(0);
    let (codec, extra, rfc6381) = match s.name().as_str() {
        "video/x-h264" => {
            let extra = codec_data(s)?;
            let text = codec_string::of_avcc(&extra)?;
            (VideoCodec::H264, extra, text)
        }
        "video/x-h265" => {
            let extra = codec_data(s)?;
            let text = codec_string::of_hvcc(&extra)?;
            (VideoCodec::H265, extra, text)
        }
        "image/jpeg" => (VideoCodec::Mjpeg, Bytes::new(), "mp4v.6C".to_owned()),
        _ => return None,
    };
    Some(VideoParams { codec, width: size("width"), height: size("height"), extra, rfc6381 })
}

fn audio_params(caps: &gst::Caps) -> Option<AudioParams> {
    let s = caps.structure(0)?;
    let (codec, extra) = match s.name().as_str() {
        "audio/x-alaw" => (AudioCodec::Pcma, Bytes::new()),
        "audio/x-mulaw" => (AudioCodec::Pcmu, Bytes::new()),
        "audio/mpeg" => (AudioCodec::Aac, codec_data(s)?),
        _ => return None,
    };
    Some(AudioParams {
        codec,
        sample_rate: u32::try_from(s.get::<i32>("rate").ok()?).ok().filter(|r| *r > 0)?,
        channels: s.get::<i32>("channels").ok().and_then(|c| u16::try_from(c).ok()).unwrap_or(1),
        extra,
    })
}

fn failure_of(message: &gst::Message) -> Option<Failure> {
    let error = match message.view() {
        gst::MessageView::Eos(_) => {
            return Some(Failure::new(FailureClass::Closed, "The device closed the connection."));
        }
        gst::MessageView::Error(e) => e,
        _ => return None,
    };
    let (text, debug) = (error.error().to_string(), error.debug().map(|d| d.to_string()).unwrap_or_default());
    Some(classify(error.error().kind::<gst::ResourceError>(), &text, &debug))
}

fn classify(kind: Option<gst::ResourceError>, text: &str, debug: &str) -> Failure {
    use gst::ResourceError as E;
    let (class, sentence) = match kind {
        Some(E::NotAuthorized) => (FailureClass::Auth, "The device refused the user name or password."),
        Some(E::NotFound) => (FailureClass::WrongPath, "The device does not know this path."),
        Some(E::Busy) => (FailureClass::Busy, "The device refuses for now."),
        _ if debug.contains("(401)") || debug.contains("Unauthorized") => {
            (FailureClass::Auth, "The device refused the user name or password.")
        }
        _ if debug.contains("(404)") || debug.contains("Not Found") => {
            (FailureClass::WrongPath, "The device does not know this path.")
        }
        _ if debug.contains("(453)") || debug.contains("(503)") => {
            (FailureClass::Busy, "The device refuses for now.")
        }
        Some(E::OpenRead | E::OpenReadWrite | E::OpenWrite | E::Failed) => {
            (FailureClass::Unreachable, "The device did not let us connect, or speaks no TLS.")
        }
        Some(E::Read | E::Write) => (FailureClass::Closed, "The device closed the connection."),
        Some(E::Settings) => {
            (FailureClass::Unsupported, "The device does not offer this transport (TCP or UDP).")
        }
        _ => return Failure::new(FailureClass::BadData, format!("The session failed: {text}")),
    };
    Failure::new(class, sentence)
}

impl GstSource {
    /// Waits until the parameters of all tracks are known, so that no run begins with half of them.
    async fn gather(&mut self) -> Result<(), Failure> {
        let mut known = 0;
        let mut wait = None;
        loop {
            let next = match wait {
                None => Ok(self.events.recv().await),
                Some(until) => tokio::time::timeout_at(until, self.events.recv()).await,
            };
            let Ok(event) = next else { return Ok(()) };
            match event {
                None => {
                    return Err(Failure::new(
                        FailureClass::Closed,
                        "The session ended before a picture came.",
                    ));
                }
                Some(Event::Failed(failure)) => return Err(failure),
                Some(event) => {
                    known += usize::from(matches!(event, Event::Video(_) | Event::Audio(_)));
                    self.held.push_back(event);
                }
            }
            wait.get_or_insert_with(|| tokio::time::Instant::now() + TRACKS_WAIT_MAX);
            let expected = self.expected.load(Ordering::Relaxed);
            if expected > 0 && known >= expected {
                // Parameters before pictures, whichever came first.
                let units = |e: &Event| matches!(e, Event::Unit(_) | Event::Report { .. });
                self.held.make_contiguous().sort_by_key(units);
                return Ok(());
            }
        }
    }

    fn item(&mut self, event: Event) -> Result<SourceItem, Failure> {
        match event {
            Event::Video(params) => self.video = Some(params),
            Event::Audio(params) => self.audio = Some(params),
            Event::Unit(unit) => return Ok(SourceItem::Unit(unit)),
            Event::Report { track, ntp, raw_pts } => {
                return Ok(SourceItem::SenderReport { track, ntp, raw_pts });
            }
            Event::Failed(failure) => return Err(failure),
        }
        Ok(SourceItem::Tracks { video: self.video.clone(), audio: self.audio.clone() })
    }
}

impl Source for GstSource {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<SourceItem, Failure>> {
        if let Some(event) = self.held.pop_front() {
            return Poll::Ready(self.item(event));
        }
        match std::task::ready!(self.events.poll_recv(cx)) {
            Some(event) => Poll::Ready(self.item(event)),
            None => Poll::Ready(Err(Failure::new(FailureClass::Closed, "The device closed the connection."))),
        }
    }
}

impl Drop for GstSource {
    fn drop(&mut self) {
        // Going to Null joins the pipeline's threads and says goodbye to the device: not on a thread that reads cameras.
        let pipeline = self.pipeline.clone();
        let stopped = std::thread::Builder::new().name("gst-stop".to_owned()).spawn(move || {
            if pipeline.set_state(gst::State::Null).is_err() {
                tracing::warn!("a pipeline did not stop");
            }
        });
        if let Err(e) = stopped {
            tracing::error!(error = %e, "no thread to stop a pipeline; it is stopped here");
            let _stopped = self.pipeline.set_state(gst::State::Null);
        }
    }
}
