//! Lists of what is stored: groups of pictures for our own player, fragments for playlists. Of closed segments of a
//! volume the facet is asked first, and no file is opened.

use std::ops::ControlFlow;

use bytes::Bytes;
use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::StreamKey;
use fengsui_config::limits;

use super::{Footage, Gop, GopList, HlsSegment, InitInfo, content_id, gop_id, is_unreachable};
use crate::error::StoreError;
use crate::facets::Facet;
use crate::frame::{StreamInfo, VideoParams};
use crate::gaps::Interval;
use crate::segment::mux::{self, Audience};
use crate::segment::{FragmentEntry, SegmentRow, is_stand_in};

/// Lost footage, and the number of the segment that it is of.
type Lost = [(u64, Interval)];

/// What a listing needs of one segment.
struct Table<'a> {
    row: &'a SegmentRow,
    /// The time of it that is shown.
    shown: (UtcMicros, UtcMicros),
    info: &'a StreamInfo,
    fragments: &'a [FragmentEntry],
    /// Id of the stored init segment.
    init: &'a dyn Fn() -> Result<String, StoreError>,
}

/// An init segment for browsers, made for one segment and used again for the next with the same parameters.
struct Made {
    video: VideoParams,
    id: String,
    bytes: Bytes,
}

impl Footage {
    /// The facet of a closed segment of a volume. Of one that is known to be damaged, and of one whose file is not
    /// there in its length, the file is read: it alone says what can be shown. So is one of an archive, which must
    /// answer to be shown.
    pub(super) fn facet(&self, row: &SegmentRow, lost: &Lost) -> Option<Facet> {
        let facets = self.facets.as_ref().filter(|_| row.closed)?;
        if lost.iter().any(|(number, _)| *number == row.number) {
            return None;
        }
        let root = self.volumes.iter().find(|(id, _)| *id == row.volume).map(|(_, root)| root)?;
        let file = self.fs.metadata(&root.join(row.path())).ok()?;
        if file.is_dir || file.len != row.bytes {
            return None;
        }
        facets.get(row)
    }

    /// Shows every segment that overlaps a range, in order of recording, until `each` breaks. Those that cannot be read
    /// are left out and logged. Fails when an archive does not answer: what is there must not look as if it were not.
    fn tables(
        &self,
        key: StreamKey,
        (from, to): (UtcMicros, UtcMicros),
        lost: &Lost,
        each: &mut dyn FnMut(Table<'_>) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let rows = recording_order(self.index.segments(key, from, to));
        for row in &rows {
            // An open segment without a group has nothing to show; nor has one of another node where there is our own.
            let Some(shown) = shown(&rows, row).filter(|_| row.closed || row.bytes > 0) else { continue };
            let row = row.clone();
            let flow = if let Some(Facet { info, init, fragments }) = self.facet(&row, lost) {
                each(Table {
                    row: &row,
                    shown,
                    info: &info,
                    fragments: &fragments,
                    init: &|| Ok(init.clone()),
                })?
            } else {
                match self.reader_at(key, row.start_ms, row.number) {
                    Ok((row, reader)) => {
                        let reader = reader.read();
                        let (info, fragments) = (reader.info(), reader.fragments());
                        let init = || reader.init().map(|init| content_id(&init));
                        each(Table { row: &row, shown, info, fragments, init: &init })?
                    }
                    Err(error) if is_unreachable(&error) => return Err(error),
                    Err(error) => {
                        tracing::warn!(%key, segment = row.number, %error, "leave out a segment");
                        continue;
                    }
                }
            };
            if flow.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Groups of pictures that overlap `[from, to)`, and before them those back to a picture a decoder can start
    /// at. At most `limits::GOPS_PER_LISTING_MAX`; ask again from the end of the last. Segments that cannot be
    /// read are left out and logged.
    pub fn gops(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> Result<GopList, StoreError> {
        let mut list = GopList::default();
        let lost = self.index.lost(key, from, to);
        let mut made: Option<Made> = None;
        self.tables(key, (from, to), &lost, &mut |t| {
            if list.items.len() >= limits::GOPS_PER_LISTING_MAX {
                return Ok(ControlFlow::Break(()));
            }
            let Some(video) = &t.info.video else { return Ok(ControlFlow::Continue(())) };
            if made.as_ref().is_none_or(|m| m.video != *video) {
                match mux::init_segment(t.info, Audience::Browser) {
                    Ok(bytes) => {
                        made = Some(Made { video: video.clone(), id: content_id(&bytes), bytes });
                    }
                    Err(error) => {
                        tracing::warn!(%key, segment = t.row.number, %error, "leave out a segment");
                        return Ok(ControlFlow::Continue(()));
                    }
                }
            }
            let Some(made) = &made else { return Ok(ControlFlow::Continue(())) };
            let before = list.items.len();
            let listed =
                within(t.fragments, from.max(t.shown.0), to.min(t.shown.1)).iter().filter(|f| f.frames > 0);
            let listed = listed.filter(|f| !is_lost(&lost, t.row, f)).map(|f| Gop {
                id: gop_id(t.row, f.index),
                from: f.utc,
                to: f.utc_end,
                bytes: u64::from(f.length),
                key: f.starts_with_key,
                init: made.id.clone(),
            });
            list.items.extend(listed.take(limits::GOPS_PER_LISTING_MAX - before));
            if list.items.len() > before && !list.inits.contains_key(&made.id) {
                let info =
                    InitInfo { codec: video.rfc6381.clone(), width: video.width, height: video.height };
                list.inits.insert(made.id.clone(), info);
                self.remember(made.id.clone(), made.bytes.clone());
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(list)
    }

    /// Segments and fragments for an HLS playlist, from a picture a decoder can start at. Segments that cannot be
    /// read are left out and logged.
    pub fn hls(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> Result<Vec<HlsSegment>, StoreError> {
        let mut out = Vec::new();
        let lost = self.index.lost(key, from, to);
        self.tables(key, (from, to), &lost, &mut |t| {
            let fragments = within(t.fragments, from.max(t.shown.0), to.min(t.shown.1)).iter();
            let fragments: Vec<_> = fragments.filter(|f| !is_lost(&lost, t.row, f)).copied().collect();
            if fragments.is_empty() {
                return Ok(ControlFlow::Continue(()));
            }
            let video = t.info.video.as_ref().map(|v| v.rfc6381.clone());
            let audio = t.info.audio.as_ref().map(mux::audio_rfc6381);
            let codecs = video.into_iter().chain(audio).collect::<Vec<_>>().join(",");
            let init = (t.init)()?;
            out.push(HlsSegment { name: t.row.name().to_string(), fragments, init, codecs });
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(out)
    }
}

/// Brings segments into the order in which they are played; `rows` stand in order of start. What other nodes recorded in this
/// one's place has numbers of its own and comes where it begins.
pub(super) fn recording_order(rows: Vec<SegmentRow>) -> Vec<SegmentRow> {
    let (others, own): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| is_stand_in(row.number));
    let (mut others, mut out) = (in_order(others).into_iter().peekable(), Vec::new());
    for row in in_order(own) {
        out.extend(std::iter::from_fn(|| others.next_if(|other| other.start() < row.start())));
        out.push(row);
    }
    out.extend(others);
    out
}

/// The time of a segment that is shown: all of one that this node recorded for itself; of another's what no own one covers,
/// from the last own one before it to the first one that begins within it. None when nothing is left.
fn shown(rows: &[SegmentRow], row: &SegmentRow) -> Option<(UtcMicros, UtcMicros)> {
    let (start, end) = (row.start(), if row.closed { row.end() } else { UtcMicros(i64::MAX) });
    if !is_stand_in(row.number) {
        return Some((UtcMicros(i64::MIN), UtcMicros(i64::MAX)));
    }
    let own = || rows.iter().filter(|own| !is_stand_in(own.number));
    let before = own().filter(|own| own.start() <= start).map(SegmentRow::end).max().unwrap_or(start);
    let after = own().map(SegmentRow::start).filter(|own| *own > start).min().unwrap_or(end);
    Some((before.max(start), after.min(end))).filter(|(from, to)| from < to)
}

/// Brings segments that overlap in time, because the clock was set back between them, into the order of recording: so
/// whoever plays across sees one seam, not one at every segment. `rows` stand in order of start.
fn in_order(mut rows: Vec<SegmentRow>) -> Vec<SegmentRow> {
    let mut at = 0;
    while at < rows.len() {
        let mut end = at + 1;
        let mut reached = rows.get(at).map_or(UtcMicros(0), SegmentRow::end);
        // Files end on the same wall-clock moments each time: those that touch belong together too.
        let seam = crate::catalogue::seam_us();
        while let Some(row) = rows.get(end).filter(|r| r.start().0 <= reached.0.saturating_add(seam)) {
            reached = reached.max(row.end());
            end += 1;
        }
        if let Some(overlapping) = rows.get_mut(at..end) {
            overlapping.sort_by_key(|r| r.number);
        }
        at = end;
    }
    rows
}

/// Whether a fragment is part of what is lost of its segment.
fn is_lost(lost: &[(u64, Interval)], row: &SegmentRow, f: &FragmentEntry) -> bool {
    lost.iter().any(|(number, i)| *number == row.number && i.from <= f.utc && f.utc_end <= i.to)
}

/// The fragments that overlap `[from, to)`, and before them those back to one that starts with a key frame.
fn within(fragments: &[FragmentEntry], from: UtcMicros, to: UtcMicros) -> &[FragmentEntry] {
    let first = fragments.partition_point(|f| f.utc_end <= from);
    let end = fragments.partition_point(|f| f.utc < to);
    if first >= end {
        return &[];
    }
    let back = fragments.get(..=first).unwrap_or_default().iter().rposition(|f| f.starts_with_key);
    fragments.get(back.unwrap_or(first)..end).unwrap_or_default()
}
