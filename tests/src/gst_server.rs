//! Other people's RTSP server as a camera: gst-rtsp-server with live test pictures, so that not only our own
//! simulator says that cameras can be read.

use std::thread::JoinHandle;

use gstreamer::glib;
use gstreamer_rtsp_server::prelude::*;
use gstreamer_rtsp_server::{
    RTSP_PERM_MEDIA_FACTORY_ACCESS, RTSP_PERM_MEDIA_FACTORY_CONSTRUCT, RTSP_TOKEN_MEDIA_FACTORY_ROLE,
    RTSPAuth, RTSPMediaFactory, RTSPServer, RTSPToken, gio,
};

use crate::camsim::clip::Codec;

/// Size of its pictures.
pub const SIZE: (u32, u32) = (640, 360);
/// Pictures a second.
pub const FPS: u32 = 25;

/// Whoever has logged in.
const ROLE: &str = "viewer";

/// Why the server does not start: a sentence.
#[derive(Debug, thiserror::Error)]
#[error("{context}: {message}")]
pub struct GstServerError {
    context: &'static str,
    message: String,
}

fn failed<E: std::fmt::Display>(context: &'static str) -> impl FnOnce(E) -> GstServerError {
    move |e| GstServerError { context, message: e.to_string() }
}

/// A running gst-rtsp-server on a free loopback port; stops when dropped.
pub struct GstServer {
    port: u16,
    scheme: &'static str,
    main_loop: glib::MainLoop,
    thread: Option<JoinHandle<()>>,
}

impl GstServer {
    /// Starts a server with `/h264` and `/h265`, each over TCP and UDP as the client asks.
    ///
    /// # Errors
    /// When GStreamer is not usable or no port is free.
    pub fn start() -> Result<Self, GstServerError> {
        Self::start_with(None)
    }

    /// Starts a server as [`GstServer::start`] does, but over TLS (`rtsps://`) with a certificate of its own making,
    /// as cameras have, and for this user and password alone.
    ///
    /// # Errors
    /// As [`GstServer::start`]; or when no certificate can be made.
    pub fn start_tls(user: &str, password: &str) -> Result<Self, GstServerError> {
        gstreamer::init().map_err(failed("initialise GStreamer"))?;
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])
            .map_err(failed("make a certificate"))?;
        let pem = format!("{}{}", made.signing_key.serialize_pem(), made.cert.pem());
        let certificate =
            gio::TlsCertificate::from_pem(&pem).map_err(failed("take the certificate for TLS"))?;
        let auth = RTSPAuth::new();
        auth.set_tls_certificate(Some(&certificate));
        let token = RTSPToken::builder().field(RTSP_TOKEN_MEDIA_FACTORY_ROLE, ROLE).build();
        auth.add_basic(&RTSPAuth::make_basic(user, password), &token);
        Self::start_with(Some(auth))
    }

    fn start_with(auth: Option<RTSPAuth>) -> Result<Self, GstServerError> {
        gstreamer::init().map_err(failed("initialise GStreamer"))?;
        let context = glib::MainContext::new();
        let main_loop = glib::MainLoop::new(Some(&context), false);
        let server = RTSPServer::new();
        server.set_address("127.0.0.1");
        server.set_service("0");
        let scheme = if auth.is_some() { "rtsps" } else { "rtsp" };
        server.set_auth(auth.as_ref());
        let mounts = server
            .mount_points()
            .ok_or("it has none")
            .map_err(failed("take the mount points of the server"))?;
        for codec in [Codec::H264, Codec::H265] {
            let factory = RTSPMediaFactory::new();
            factory.set_launch(&launch_line(codec));
            factory.set_shared(true);
            if auth.is_some() {
                factory.add_role_from_structure(
                    &gstreamer::Structure::builder(ROLE)
                        .field(RTSP_PERM_MEDIA_FACTORY_ACCESS, true)
                        .field(RTSP_PERM_MEDIA_FACTORY_CONSTRUCT, true)
                        .build(),
                );
            }
            mounts.add_factory(&format!("/{}", codec.as_str()), factory);
        }
        let source = server.attach(Some(&context)).map_err(failed("attach the server"))?;
        let port = u16::try_from(server.bound_port()).map_err(failed("learn the port"))?;
        let running = main_loop.clone();
        let thread = std::thread::Builder::new()
            .name("gst-rtsp-server".to_owned())
            .spawn(move || {
                // Fails only when another thread owns this new context: nobody else has it.
                let _ = context.with_thread_default(|| running.run());
                source.remove();
                drop(server);
            })
            .map_err(failed("start the server's thread"))?;
        Ok(Self { port, scheme, main_loop, thread: Some(thread) })
    }

    /// Address of a stream.
    #[must_use]
    pub fn url(&self, codec: Codec) -> String {
        format!("{}://127.0.0.1:{}/{}", self.scheme, self.port, codec.as_str())
    }
}

impl Drop for GstServer {
    fn drop(&mut self) {
        self.main_loop.quit();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A fixed pipeline; nothing in it comes from outside.
fn launch_line(codec: Codec) -> String {
    let (w, h) = SIZE;
    let encode = match codec {
        Codec::H265 => {
            "x265enc tune=zerolatency speed-preset=ultrafast key-int-max=50 bitrate=500 ! rtph265pay name=pay0 pt=96 config-interval=-1"
        }
        _ => {
            "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=50 bitrate=500 ! rtph264pay name=pay0 pt=96 config-interval=-1"
        }
    };
    format!(
        "( videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width={w},height={h},framerate={FPS}/1 ! {encode} )"
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn ffprobe_sees_both_codecs_over_both_transports() {
        let server = GstServer::start().unwrap();
        for (codec, name) in [(Codec::H264, "h264"), (Codec::H265, "hevc")] {
            for transport in ["tcp", "udp"] {
                let output = Command::new("ffprobe")
                    .args(["-loglevel", "error", "-rtsp_transport", transport, "-of", "csv=p=0"])
                    .args(["-show_entries", "stream=codec_name,width,height", &server.url(codec)])
                    .stdin(Stdio::null())
                    .output()
                    .unwrap();
                let text = String::from_utf8_lossy(&output.stdout);
                assert_eq!(
                    text.trim(),
                    format!("{name},640,360"),
                    "{}",
                    String::from_utf8_lossy(&output.stderr)
                );
            }
        }
    }
}
