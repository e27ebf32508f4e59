//! HLS of stored footage for other players (RFC 8216): a VOD playlist over the stored fragments, as the camera sent
//! them, with sound.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use fengsui_config::clock::UtcMicros;
use fengsui_storage::playback::HlsSegment;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::footage::{self, RangeQuery, StreamPath};
use crate::app::App;
use crate::auth::access::CameraAccess;
use crate::auth::tickets::TICKET_RANGE_MAX;
use crate::http::policy::ticket;
use crate::http::problem::{ApiError, ApiResult, PathOf, Problem, QueryOf};

/// Times that join within this count as joined: rounding of segment ends to milliseconds.
const SEAM_US: i64 = 150_000;

/// A playlist of stored footage.
#[utoipa::path(get, path = "/api/v1/footage/{camera}/{stream}/hls.m3u8", tag = "footage",
    params(StreamPath, RangeQuery, ("ticket" = Option<String>, Query, description = "Media ticket")), responses(
    (status = 200, content_type = "application/vnd.apple.mpegurl", body = String), (status = 400, body = Problem),
    (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn playlist(
    State(app): State<Arc<App>>,
    access: CameraAccess,
    QueryOf(asked): QueryOf<RangeQuery>,
    RawQuery(query): RawQuery,
) -> ApiResult<Response> {
    let (from, to) = asked.checked(TICKET_RANGE_MAX)?;
    let viewed = app.auth.viewing.footage(&access, from, to, "hls").await?;
    let segments = app.media.hls(&viewed).await?;
    if segments.iter().all(|s| s.fragments.is_empty()) {
        return Err(ApiError::not_found("Nothing is stored in this range."));
    }
    let text = write(&segments, ticket(query.as_deref()));
    Ok(([(CONTENT_TYPE, "application/vnd.apple.mpegurl")], text).into_response())
}

/// The init segment of one stored segment.
#[utoipa::path(get, path = "/api/v1/footage/{camera}/{stream}/hls/{segment}/init.mp4", tag = "footage",
    params(StreamPath, ("segment" = String, Path, description = "Name of the segment"),
        ("ticket" = Option<String>, Query, description = "Media ticket")), responses(
    (status = 200, content_type = "video/mp4", body = Vec<u8>), (status = 401, body = Problem),
    (status = 404, body = Problem)))]
pub async fn init(
    State(app): State<Arc<App>>,
    access: CameraAccess,
    path: PathOf<(String, String, String)>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let PathOf((_, _, name)) = path;
    let viewed = footage::part(&app, &access, &name, "hls").await?;
    let id = format!("{name}/init");
    if let Some(fresh) = footage::not_modified(&headers, &id) {
        return Ok(fresh);
    }
    let bytes = app.media.raw_init(&viewed, name).await?;
    Ok(footage::immutable(bytes, &id))
}

/// One stored fragment.
#[utoipa::path(get, path = "/api/v1/footage/{camera}/{stream}/hls/{segment}/{part}", tag = "footage",
    params(StreamPath, ("segment" = String, Path, description = "Name of the segment"),
        ("part" = String, Path, description = "Number of the fragment and `.m4s`"),
        ("ticket" = Option<String>, Query, description = "Media ticket")), responses(
    (status = 200, content_type = "video/mp4", body = Vec<u8>), (status = 401, body = Problem),
    (status = 404, body = Problem)))]
pub async fn part(
    State(app): State<Arc<App>>,
    access: CameraAccess,
    path: PathOf<(String, String, String, String)>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let PathOf((_, _, name, part)) = path;
    let index: u32 = part
        .strip_suffix(".m4s")
        .and_then(|n| n.parse().ok())
        .ok_or_else(|| ApiError::not_found(format!("{part} is no fragment.")))?;
    let viewed = footage::part(&app, &access, &name, "hls").await?;
    let id = format!("{name}/{index}");
    if let Some(fresh) = footage::not_modified(&headers, &id) {
        return Ok(fresh);
    }
    let bytes = app.media.raw_fragment(&viewed, name, index).await?;
    Ok(footage::immutable(bytes, &id))
}

/// The playlist. Each segment has its own time line, so each has its own map and begins with a discontinuity, unless it
/// is the first; within a segment a discontinuity stands where times do not join.
fn write(segments: &[HlsSegment], ticket: Option<&str>) -> String {
    let query = ticket.map(|t| format!("?ticket={t}")).unwrap_or_default();
    let longest =
        segments.iter().flat_map(|s| &s.fragments).map(|f| f.utc_end.since(f.utc)).max().unwrap_or(0).max(1);
    let target = longest.saturating_add(999_999) / 1_000_000;
    let mut out = format!(
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-TARGETDURATION:{target}\n#EXT-X-MEDIA-SEQUENCE:0\n"
    );
    let mut first = true;
    for segment in segments.iter().filter(|s| !s.fragments.is_empty()) {
        if !std::mem::take(&mut first) {
            out.push_str("#EXT-X-DISCONTINUITY\n");
        }
        let _ = writeln!(out, "#EXT-X-MAP:URI=\"hls/{}/init.mp4{query}\"", segment.name);
        let mut end: Option<UtcMicros> = None;
        for fragment in &segment.fragments {
            if end.is_none_or(|e| fragment.utc.since(e).abs() > SEAM_US) {
                if end.is_some() {
                    out.push_str("#EXT-X-DISCONTINUITY\n");
                }
                let _ = writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", date_time(fragment.utc));
            }
            end = Some(fragment.utc_end);
            let micros = fragment.utc_end.since(fragment.utc).max(1);
            let _ = writeln!(out, "#EXTINF:{}.{:06},", micros / 1_000_000, micros % 1_000_000);
            let _ = writeln!(out, "hls/{}/{}.m4s{query}", segment.name, fragment.index);
        }
    }
    out.push_str("#EXT-X-ENDLIST\n");
    out
}

/// The playlist of another node, with the ticket in each address; none when an address is not below the playlist's own, as
/// those of a node are.
pub(super) fn passed_on(playlist: &str, ticket: Option<&str>) -> Option<String> {
    let query = ticket.map(|t| format!("?ticket={t}")).unwrap_or_default();
    let own = |address: &str| address.starts_with("hls/") && !address.contains([':', '?', '#', '\\']);
    let mut out = String::with_capacity(playlist.len());
    for line in playlist.lines() {
        if let Some((tag, rest)) = line.split_once("URI=\"") {
            let (address, rest) = rest.split_once('"').filter(|(a, r)| own(a) && !r.contains("URI="))?;
            let _ = writeln!(out, "{tag}URI=\"{address}{query}\"{rest}");
        } else if line.is_empty() || line.starts_with('#') {
            let _ = writeln!(out, "{line}");
        } else {
            let _ = own(line).then(|| writeln!(out, "{line}{query}"))?;
        }
    }
    Some(out)
}

fn date_time(at: UtcMicros) -> String {
    let millis = i128::from(at.millis()) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(millis)
        .ok()
        .and_then(|t| t.format(&Rfc3339).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use fengsui_storage::segment::FragmentEntry;

    use super::*;

    fn fragment(index: u32, from: i64, to: i64) -> FragmentEntry {
        FragmentEntry {
            index,
            offset: 0,
            length: 1,
            tfdt: 0,
            duration: 0,
            utc: UtcMicros(from),
            utc_end: UtcMicros(to),
            camera_utc: None,
            starts_with_key: true,
            frames: 1,
            key_frames: 1,
            audio_units: 0,
            lost: 0,
        }
    }

    fn segment(name: &str, fragments: Vec<FragmentEntry>) -> HlsSegment {
        HlsSegment { name: name.into(), fragments, init: "a".into(), codecs: "avc1.64001F".into() }
    }

    #[test]
    fn a_playlist_has_a_map_a_segment_and_times_where_they_do_not_join() {
        let t = 1_790_000_000_000_000;
        let segments = [
            segment(
                "1_1_1_v.mp4",
                vec![fragment(0, t, t + 2_000_000), fragment(1, t + 2_000_000, t + 3_960_000)],
            ),
            segment("2_2_2_v.mp4", vec![fragment(0, t + 9_000_000, t + 11_000_000)]),
        ];
        expect![[r##"
            #EXTM3U
            #EXT-X-VERSION:7
            #EXT-X-PLAYLIST-TYPE:VOD
            #EXT-X-TARGETDURATION:2
            #EXT-X-MEDIA-SEQUENCE:0
            #EXT-X-MAP:URI="hls/1_1_1_v.mp4/init.mp4?ticket=T.M"
            #EXT-X-PROGRAM-DATE-TIME:2026-09-21T14:13:20Z
            #EXTINF:2.000000,
            hls/1_1_1_v.mp4/0.m4s?ticket=T.M
            #EXTINF:1.960000,
            hls/1_1_1_v.mp4/1.m4s?ticket=T.M
            #EXT-X-DISCONTINUITY
            #EXT-X-MAP:URI="hls/2_2_2_v.mp4/init.mp4?ticket=T.M"
            #EXT-X-PROGRAM-DATE-TIME:2026-09-21T14:13:29Z
            #EXTINF:2.000000,
            hls/2_2_2_v.mp4/0.m4s?ticket=T.M
            #EXT-X-ENDLIST
        "##]]
        .assert_eq(&write(&segments, Some("T.M")));
    }
}
