#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;
use crate::source::scripted::{ALAW, H264};

fn url() -> Url {
    "rtsp://10.0.0.1:8554/cam?channel=1".parse().unwrap()
}

fn read(base: Option<&str>, head: &str, tracks: &str) -> Result<Plan, Stop> {
    let text = format!("v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=x\r\nt=0 0\r\n{head}{tracks}");
    plan(&url(), base, text.as_bytes())
}

fn odd(tracks: &str) -> bool {
    matches!(read(None, "", tracks), Err(Stop::Unknown(_)))
}

#[test]
fn addresses_of_tracks_are_joined_as_devices_mean_it() {
    let video = |base: Option<&str>, head: &str, control: &str| {
        let track = H264.replace("a=control:track0", control);
        let plan = read(base, head, &track).unwrap();
        (plan.video.to_string(), plan.whole.to_string())
    };
    let (whole, base) = (url().to_string(), Some("rtsp://10.0.0.1/cam/"));
    assert_eq!(video(None, "", "a=control:track0"), (format!("{whole}/track0"), whole.clone()));
    assert_eq!(video(base, "a=control:*\r\n", "a=control:track0").0, "rtsp://10.0.0.1/cam/track0");
    assert_eq!(video(base, "a=control:*\r\n", "a=control:track0").1, "rtsp://10.0.0.1/cam/");
    assert_eq!(video(base, "", "a=control:rtsp://10.0.0.9/t").0, "rtsp://10.0.0.9/t");
    assert_eq!(video(Some("10.0.0.1/cam"), "", "a=control:t").0, "rtsp://10.0.0.1/cam/t", "no scheme");
    assert_eq!(
        video(base, "a=control:all\r\n", "a=x:y").0,
        "rtsp://10.0.0.1/cam/all",
        "no address of its own"
    );
}

#[test]
fn the_first_supported_tracks_are_picked() {
    let h265 =
        "m=video 0 RTP/AVP 97\r\na=rtpmap:97 H265/90000\r\na=fmtp:97 sprop-vps=QAE=\r\na=control:v\r\n";
    let g726 = "m=audio 0 RTP/AVP 98\r\na=rtpmap:98 G726-32/8000\r\na=control:a\r\n";
    let meta = "m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\na=control:m\r\n";
    let plan = read(None, "", &format!("{meta}{g726}{ALAW}{h265}{H264}")).unwrap();
    assert_eq!(plan.media.video.codec, VideoCodec::H265);
    assert_eq!(plan.media.video.format.as_deref(), Some("sprop-vps=QAE="));
    let audio = plan.media.audio.unwrap();
    assert_eq!((audio.encoding.as_str(), audio.clock_rate, audio.channel), ("pcma", 8000, 2));
    assert!(plan.audio.unwrap().as_str().ends_with("/track1"));
}

#[test]
fn sound_of_fixed_numbers_needs_no_map_and_odd_sound_is_left_out() {
    let audio =
        |tracks: &str| read(None, "", &format!("{H264}{tracks}")).unwrap().media.audio.map(|a| a.encoding);
    assert_eq!(audio("m=audio 0 RTP/AVP 0\r\na=control:a\r\n").as_deref(), Some("pcmu"));
    assert_eq!(audio("m=audio 0 RTP/AVP 99\r\na=rtpmap:99 PCMA/x\r\n"), None);
    assert_eq!(audio("m=audio 0 RTP/AVP 99\r\na=rtpmap:99 PCMA/8000/none\r\n"), None);
    let aac = "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/16000/1\r\na=fmtp:97 mode=AAC-hbr";
    assert_eq!(audio(&format!("{aac};config=1408\r\n")).as_deref(), Some("mpeg4-generic"));
    assert_eq!(audio(&format!("{aac}\r\n")), None, "nothing can be made of it");
}

#[test]
fn what_is_unusual_is_left_to_retina() {
    for tracks in [
        "m=video 0 RTP/AVP 26\r\na=control:v\r\n",
        "m=video 0 RTP/AVP 96\r\na=rtpmap:96 JPEG/90000\r\n",
        "m=video 0 RTP/AVP 96\r\na=control:v\r\n",
        "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/8000\r\n",
        "m=video 0 udp 96\r\na=rtpmap:96 H264/90000\r\n",
        "m=video 0 RTP/AVP\r\na=rtpmap:96 H264/90000\r\n",
    ] {
        assert!(odd(tracks), "{tracks}");
    }
    assert!(matches!(plan(&url(), None, b"no description"), Err(Stop::Unknown(_))));
    assert!(matches!(read(Some("::"), "", H264), Err(Stop::Unknown(_))));
}
