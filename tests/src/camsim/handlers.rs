//! What a camera answers to each request, right or wrong.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fengsui_config::ids::StreamKind;

use super::auth::{self, Expected, Verdict};
use super::clip::{Clip, Codec};
use super::conn::{Conn, End};
use super::faults::{ContentBaseFault, FaultKind};
use super::ledger::SessionRecord;
use super::rtsp::{Request, Response, WantedTransport, choose_transport};
use super::session::{Path, Playing, Session, Track, VIDEO_HERTZ};
use super::streams::{Stream, index};
use super::world::World;

/// What to do with the answer.
pub enum Flow {
    /// Send it.
    Answer(Response),
    /// Send these bytes and end.
    Raw(&'static [u8], End),
    /// Say nothing.
    Silence,
    /// End without a word.
    End(End),
}

/// Which stream and track an address means: by path, or (`camera`) by the address that was connected to.
#[must_use]
pub fn resolve(path: &str, camera: Option<u16>) -> Option<(u16, StreamKind, Option<u8>)> {
    let mut parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    let track = parts.last().and_then(|p| p.strip_prefix("trackID=")).and_then(|t| t.parse().ok());
    if track.is_some() {
        parts.pop();
    }
    match (parts.as_slice(), camera) {
        (["cam", n, kind], _) => Some((n.parse().ok()?, kind.parse().ok()?, track)),
        ([kind], Some(n)) => Some((n, kind.parse().ok()?, track)),
        _ => None,
    }
}

/// Answers a request.
pub fn handle(conn: &mut Conn, world: &mut World, request: &Request, now_us: i64) -> Flow {
    if request.method == "OPTIONS" && request.url == "*" {
        return Flow::Answer(options());
    }
    let Some((at, track)) = resolve(request.path(), conn.camera)
        .map(|(n, kind, track)| (index(n, kind), track))
        .filter(|(at, _)| world.streams.get(*at).is_some())
    else {
        return Flow::Answer(Response::new(404));
    };
    let Some(stream) = world.streams.get(at) else { return Flow::Answer(Response::new(404)) };
    if let Some(flow) = early_faults(stream) {
        return flow;
    }
    if request.method == "OPTIONS" {
        return Flow::Answer(options());
    }
    if let Some(challenge) = authorise(conn, world, at, request) {
        return Flow::Answer(challenge);
    }
    let answer = match request.method.as_str() {
        "DESCRIBE" => describe(conn, world, at, request),
        "SETUP" => setup(conn, world, at, track, request),
        "PLAY" => play(conn, world, at, request, now_us),
        "PAUSE" => pause(conn, now_us),
        "TEARDOWN" => {
            let session = session_header(conn);
            conn.send(&session.to_bytes(request.header("CSeq")));
            return Flow::End(End::orderly("teardown"));
        }
        "GET_PARAMETER" | "SET_PARAMETER" => session_header(conn),
        _ => Response::new(405).with("Allow", METHODS),
    };
    Flow::Answer(answer)
}

/// Writes down the first request of a connection that names a stream.
pub fn count_attempt(world: &World, conn: &mut Conn, request: &Request, now: i64) {
    let at = resolve(request.path(), conn.camera).map(|(n, kind, _)| index(n, kind));
    if let Some(stream) = at.filter(|_| !conn.named).and_then(|at| world.streams.get(at)) {
        conn.named = true;
        stream.ledger.attempted(now);
    }
}

/// A connection plays, or ends before it did.
pub fn has_opened(world: &World, conn: &mut Conn) {
    if std::mem::take(&mut conn.opening)
        && let Some(device) = world.shared.devices.lock().get_mut(conn.device)
    {
        device.opened();
    }
}

const METHODS: &str = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, GET_PARAMETER, SET_PARAMETER, TEARDOWN";

fn options() -> Response {
    Response::new(200).with("Public", METHODS)
}

fn early_faults(stream: &Stream) -> Option<Flow> {
    stream.faults.find(|f| match f {
        FaultKind::Refuse {} => Some(Flow::End(End::reset("fault refuse"))),
        FaultKind::Reboot {} => Some(Flow::End(End::reset("fault reboot"))),
        FaultKind::Cut {} => Some(Flow::End(End::reset("fault cut"))),
        FaultKind::Stall { deaf: true } => Some(Flow::Silence),
        FaultKind::NotRtsp {} => Some(Flow::Raw(
            b"SSH-2.0-dropbear_2019.78\r\n\x00\x01\x02\xff\r\n\r\n",
            End::orderly("fault not_rtsp"),
        )),
        FaultKind::NotFound {} => Some(Flow::Answer(Response::new(404))),
        FaultKind::Status { status } => Some(Flow::Answer(Response::new(*status))),
        _ => None,
    })
}

/// The challenge that a request earns, if any.
fn authorise(conn: &mut Conn, world: &mut World, at: usize, request: &Request) -> Option<Response> {
    let stream = world.streams.get(at)?;
    let options = &world.options;
    let changed =
        stream.faults.find(|f| if let FaultKind::Password { password } = f { Some(password) } else { None });
    let expected = Expected {
        scheme: options.auth,
        user: &options.user,
        password: changed.map_or(options.password.as_str(), String::as_str),
    };
    let header = request.header("Authorization");
    let mut verdict = auth::check(header, &request.method, &conn.nonce, &expected);
    if verdict == Verdict::Right && header.is_some() {
        conn.authorised += 1;
        conn.nonce_uses += 1;
        let limit = stream
            .faults
            .find(|f| if let FaultKind::StaleNonce { requests } = f { Some(*requests) } else { None });
        if limit.is_some_and(|l| conn.nonce_uses > l) {
            verdict = Verdict::Stale;
        }
        if stream.faults.any(|f| matches!(f, FaultKind::AuthEverySecond {}))
            && conn.authorised.is_multiple_of(2)
        {
            verdict = Verdict::Wrong;
        }
    }
    if verdict == Verdict::Right {
        return None;
    }
    let mut answer = Response::new(401);
    conn.nonce = format!("{:016x}{:016x}", world.random.bits(), world.random.bits());
    conn.nonce_uses = 0;
    for challenge in auth::challenges(options.auth, &conn.nonce, verdict == Verdict::Stale) {
        answer = answer.with("WWW-Authenticate", challenge);
    }
    Some(answer)
}

fn describe(conn: &Conn, world: &mut World, at: usize, request: &Request) -> Response {
    let Some(stream) = world.streams.get_mut(at) else { return Response::new(404) };
    stream.describes += 1;
    let base = request.url.trim_end_matches('/');
    let answer = match stream
        .faults
        .find(|f| if let FaultKind::ContentBase { how } = f { Some(*how) } else { None })
    {
        None => Response::new(200).with("Content-Base", format!("{base}/")),
        Some(ContentBaseFault::Missing) => Response::new(200),
        Some(ContentBaseFault::NoSlash) => Response::new(200).with("Content-Base", base),
        Some(ContentBaseFault::Wrong) => {
            Response::new(200).with("Content-Base", "rtsp://192.0.2.1:554/Streaming/Channels/101/")
        }
    };
    answer.body("application/sdp", sdp(stream, conn.local.ip()))
}

/// The session description (RFC 4566) of a stream.
#[must_use]
pub fn sdp(stream: &Stream, local: IpAddr) -> String {
    let clip = &stream.clip;
    let family = if local.is_ipv4() { "IP4" } else { "IP6" };
    let kbits = (clip.bits_per_second() / 1000.0) as u64;
    let payload_type = clip.codec.payload_type();
    let mut text = format!(
        "v=0\r\no=- {} 1 IN {family} {local}\r\ns=camsim camera {} {}\r\nc=IN {family} 0.0.0.0\r\nt=0 0\r\n\
         a=control:*\r\na=range:npt=now-\r\nm=video 0 RTP/AVP {payload_type}\r\nb=AS:{kbits}\r\n",
        stream.camera, stream.camera, stream.kind
    );
    let mislabelled = stream.faults.any(|f| matches!(f, FaultKind::H265AsH264 {}));
    let name = match clip.codec {
        Codec::Mjpeg => "JPEG",
        Codec::H265 if !mislabelled => "H265",
        _ => "H264",
    };
    let _ = write!(text, "a=rtpmap:{payload_type} {name}/{VIDEO_HERTZ}\r\n");
    if clip.codec != Codec::Mjpeg {
        let _ = write!(text, "a=fmtp:{payload_type} {}\r\n", format_parameters(stream, clip));
    }
    let (w, h) = clip.size;
    let _ = write!(
        text,
        "a=framerate:{}\r\na=x-dimensions:{w},{h}\r\na=control:trackID=0\r\n",
        clip.rate.per_second()
    );
    if let Some(audio) = &stream.audio {
        let _ = write!(
            text,
            "m=audio 0 RTP/AVP {}\r\n{}a=control:trackID=1\r\n",
            audio.payload_type(),
            audio.sdp()
        );
    }
    text
}

fn format_parameters(stream: &Stream, clip: &Clip) -> String {
    let absent = stream.faults.any(|f| matches!(f, FaultKind::NoSprop {} | FaultKind::NoParameters {}));
    let mut sets = clip.parameters.clone();
    if stream.faults.any(|f| matches!(f, FaultKind::SpropChange {}))
        && let Some(byte) = sets.last_mut().and_then(|pps| pps.last_mut())
    {
        // A PPS whose last byte differs from DESCRIBE to DESCRIBE, as cameras do that count restarts in it.
        *byte ^= (stream.describes % 7) as u8 + 1;
    }
    let sets: Vec<String> = sets.iter().map(|s| STANDARD.encode(s)).collect();
    match (clip.codec, sets.as_slice()) {
        (Codec::H265, [vps, sps, pps]) if !absent => {
            format!("sprop-vps={vps};sprop-sps={sps};sprop-pps={pps}")
        }
        (Codec::H265, _) => "tx-mode=SRST".to_owned(),
        (_, [sps, pps]) if !absent => {
            let profile =
                clip.parameters.first().and_then(|s| s.get(1..4)).map(hex::encode_upper).unwrap_or_default();
            format!("packetization-mode=1;profile-level-id={profile};sprop-parameter-sets={sps},{pps}")
        }
        _ => "packetization-mode=1".to_owned(),
    }
}

fn setup(conn: &mut Conn, world: &mut World, at: usize, track: Option<u8>, request: &Request) -> Response {
    let track = track.unwrap_or(0);
    let Some(stream) = world.streams.get(at) else { return Response::new(404) };
    if track > u8::from(stream.audio.is_some()) {
        return Response::new(404);
    }
    let Some(wanted) = request.header("Transport").and_then(choose_transport) else {
        return Response::new(461);
    };
    if conn.session.as_ref().is_some_and(|s| s.stream != at || s.playing.is_some()) {
        return Response::new(455);
    }
    if conn.session.is_none()
        && stream.sessions > 0
        && stream.faults.any(|f| matches!(f, FaultKind::OneSession {}))
    {
        return Response::new(453);
    }
    let stray_space = if stream.faults.any(|f| matches!(f, FaultKind::SsrcSpace {})) { " " } else { "" };
    let Some((path, transport)) = path(conn, world, track, wanted) else { return Response::new(461) };
    let new = Track::new(path, &mut world.random);
    let transport = format!("{transport};ssrc={stray_space}{:08X};mode=\"PLAY\"", new.ssrc);
    if conn.session.is_none() {
        world.session_count += 1;
        let number = world.session_count;
        if let Some(stream) = world.streams.get_mut(at) {
            stream.sessions += 1;
        }
        conn.session = Some(Session { number, stream: at, video: None, audio: None, playing: None });
    }
    if let Some(session) = &mut conn.session {
        *(if track == 0 { &mut session.video } else { &mut session.audio }) = Some(new);
    }
    let timeout = world.options.session_timeout;
    let session = conn.session.as_ref().map(|s| session_name(s.number)).unwrap_or_default();
    let suffix = if timeout > 0 { format!(";timeout={timeout}") } else { String::new() };
    Response::new(200).with("Transport", transport).with("Session", session + &suffix)
}

fn path(conn: &Conn, world: &mut World, track: u8, wanted: WantedTransport) -> Option<(Path, String)> {
    match wanted {
        WantedTransport::Tcp(channels) => {
            let (rtp, rtcp) = channels.unwrap_or((track * 2, track * 2 + 1));
            Some((Path::Tcp { rtp, rtcp }, format!("RTP/AVP/TCP;unicast;interleaved={rtp}-{rtcp}")))
        }
        WantedTransport::Udp(rtp, rtcp) => {
            let sockets: Arc<(UdpSocket, UdpSocket)> = world.udp(conn.local.ip())?;
            let ports = (sockets.0.local_addr().ok()?.port(), sockets.1.local_addr().ok()?.port());
            let text = format!(
                "RTP/AVP;unicast;source={};client_port={rtp}-{rtcp};server_port={}-{}",
                conn.local.ip(),
                ports.0,
                ports.1
            );
            let to = |port| SocketAddr::new(conn.peer.ip(), port);
            Some((Path::Udp { sockets, rtp: to(rtp), rtcp: to(rtcp) }, text))
        }
    }
}

fn session_name(number: u64) -> String {
    format!("{:08}", 10_000_000 + number)
}

fn session_header(conn: &Conn) -> Response {
    match &conn.session {
        Some(s) => Response::new(200).with("Session", session_name(s.number)),
        None => Response::new(200),
    }
}

fn play(conn: &mut Conn, world: &mut World, at: usize, request: &Request, now_us: i64) -> Response {
    let (Some(session), Some(stream)) = (&mut conn.session, world.streams.get(at)) else {
        return Response::new(454);
    };
    if session.stream != at || (session.video.is_none() && session.audio.is_none()) {
        return Response::new(455);
    }
    if session.playing.is_none() {
        let delay_ms = stream
            .faults
            .find(|f| if let FaultKind::SlowStart { media_ms, .. } = f { Some(*media_ms) } else { None })
            .unwrap_or(0);
        let keyless = stream.faults.any(|f| matches!(f, FaultKind::NoKeys {}));
        let earliest = stream.frame_at(now_us + delay_ms as i64 * 1000) + 1;
        let first = if world.options.start_anywhere || keyless {
            earliest
        } else {
            stream.clip.next_key(earliest, stream.offset)
        };
        let over = match session.video.as_ref().or(session.audio.as_ref()).map(|t| &t.path) {
            Some(Path::Udp { .. }) => "udp",
            _ => "tcp",
        };
        let record = SessionRecord::new(
            session.number,
            stream.camera,
            stream.kind,
            over,
            conn.peer.to_string(),
            now_us,
        );
        let record = stream.ledger.open(record);
        let (w, h) = stream.clip.size;
        record.lock().note(now_us, format!("clip {} {w}x{h}", stream.clip.codec.as_str()));
        for fault in stream.faults.all() {
            record.lock().note(now_us, format!("fault {}", fault.kind.name()));
        }
        session.playing = Some(Playing::new(first, stream, record));
        if let Some(ms) = stream
            .faults
            .find(|f| if let FaultKind::TimestampWrap { after_ms } = f { Some(*after_ms) } else { None })
        {
            session.wrap_after(stream, first, ms);
        }
    }
    let base = request.url.trim_end_matches('/');
    let info: Vec<String> = [(0, &session.video), (1, &session.audio)]
        .into_iter()
        .filter_map(|(i, track)| track.as_ref().map(|t| (i, t)))
        .map(|(i, t)| format!("url={base}/trackID={i};seq={};rtptime={}", t.sequence, t.base))
        .collect();
    let name = session_name(session.number);
    Response::new(200).with("Session", name).with("Range", "npt=now-").with("RTP-Info", info.join(","))
}

fn pause(conn: &mut Conn, now_us: i64) -> Response {
    let Some(session) = &mut conn.session else { return Response::new(454) };
    if let Some(playing) = session.playing.take() {
        let mut record = playing.record.lock();
        record.ended_us = Some(now_us);
        record.end_reason = Some("pause".to_owned());
    }
    session_header(conn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_stream_and_track_by_path_or_by_host() {
        use StreamKind::{Main, Sub};
        assert_eq!(resolve("/cam/7/main", None), Some((7, Main, None)));
        assert_eq!(resolve("/cam/7/sub/trackID=1", None), Some((7, Sub, Some(1))));
        assert_eq!(resolve("/cam/7/sub/", Some(3)), Some((7, Sub, None)));
        assert_eq!(resolve("/main/trackID=0", Some(3)), Some((3, Main, Some(0))));
        assert_eq!(resolve("/main", None), None);
        assert_eq!(resolve("/cam/x/main", None), None);
        assert_eq!(resolve("/cam/70000/main", None), None);
    }
}
