//! The pure part of writing: access units in, the bytes of preamble, groups and footer out. No file, no clock.

use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;

use super::boxes::{Boxes, padding};
use super::mux::{self, AUDIO_TRACK, Audience, Run, Sample, VIDEO_TRACK};
use super::records::{self, ClockPoint, Commit, Final, GroupEntry, Header};
use super::timeline::Timeline;
use super::{EndReason, FragmentEntry, Hash, KeyId, SegmentHead};
use crate::error::StoreError;
use crate::frame::{AccessUnit, Track, VIDEO_TIMESCALE};
use crate::fs::{PAGE, PageBuf};

/// Everything the next group or the footer builds on.
#[derive(Debug)]
pub(super) struct Builder {
    head: SegmentHead,
    key_id: KeyId,
    timeline: Timeline,
    /// Bytes of preamble and groups built so far: where the next group starts.
    pub(super) length: u64,
    /// Bytes of those known to be durable.
    pub(super) synced: u64,
    pub(super) chain: Hash,
    pub(super) groups: Vec<GroupEntry>,
    pub(super) fragments: Vec<FragmentEntry>,
}

/// How many of the pending units make the next group, and whether others wait behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) units: usize,
    pub(super) more: bool,
}

/// Chooses the next group: at most `limits::FLUSH_BYTES_MAX` bytes (one unit at least); unless the segment ends,
/// the newest picture stays behind, because only its successor tells how long it lasts; and never between a
/// picture and one that is shown before it, where that can be helped.
pub(super) fn cut(pending: &[AccessUnit], ending: bool) -> Cut {
    let mut bytes = 0;
    let fits = pending
        .iter()
        .take_while(|u| {
            bytes += u.data.len();
            bytes <= limits::FLUSH_BYTES_MAX
        })
        .count()
        .max(1)
        .min(pending.len());
    let more = fits < pending.len();
    if more {
        return Cut { units: closed_prefix(pending, fits), more };
    }
    if ending {
        return Cut { units: fits, more };
    }
    let mut pictures = pending.iter().enumerate().filter(|(_, u)| u.track == Track::Video).map(|(i, _)| i);
    let first = pictures.next();
    let units = match (first, pictures.next_back()) {
        (Some(_), Some(last)) => closed_prefix(pending, last),
        _ => fits,
    };
    Cut { units, more }
}

/// The longest prefix of at most `at` units all of whose pictures are shown before all others; `at` if none is.
fn closed_prefix(pending: &[AccessUnit], at: usize) -> usize {
    let video = |u: &&AccessUnit| u.track == Track::Video;
    let (before, after) = pending.split_at_checked(at).unwrap_or((pending, &[]));
    let mut earliest_after = after.iter().filter(video).map(|u| u.pts).min().unwrap_or(i64::MAX);
    // Latest picture up to each place.
    let mut latest = Vec::with_capacity(before.len());
    let mut max = i64::MIN;
    for u in before {
        if u.track == Track::Video {
            max = max.max(u.pts);
        }
        latest.push(max);
    }
    for n in (1..=before.len()).rev() {
        let until_here = latest.get(n - 1).copied().unwrap_or(i64::MIN);
        if until_here < earliest_after {
            return n;
        }
        if let Some(u) = before.get(n - 1).filter(|u| u.track == Track::Video) {
            earliest_after = earliest_after.min(u.pts);
        }
    }
    at
}

/// Splits a group's units into fragments: at key frames (fragments of at least `limits::FRAGMENT_DURATION_MIN`)
/// and after `limits::FRAGMENT_DURATION_MAX`.
fn split(units: &[AccessUnit]) -> Vec<&[AccessUnit]> {
    let ticks = |d: std::time::Duration| i64::try_from(d.as_millis()).unwrap_or(0) * 90;
    let (min, max) = (ticks(limits::FRAGMENT_DURATION_MIN), ticks(limits::FRAGMENT_DURATION_MAX));
    let mut out = Vec::new();
    let (mut start, mut first) = (0, None);
    let mut latest = i64::MIN;
    for (i, u) in units.iter().enumerate() {
        if u.track != Track::Video {
            continue;
        }
        let Some(from) = first else {
            (first, latest) = (Some(u.pts), u.pts);
            continue;
        };
        let long = u.pts.saturating_sub(from);
        // A long GOP is split only where no later picture is shown before an earlier one.
        if (u.key && long >= min) || (long >= max && u.pts > latest && closed_at(units, i)) {
            out.extend(units.get(start..i));
            (start, first, latest) = (i, Some(u.pts), u.pts);
        } else {
            latest = latest.max(u.pts);
        }
    }
    out.extend(units.get(start..).filter(|u| !u.is_empty()));
    out
}

fn closed_at(units: &[AccessUnit], at: usize) -> bool {
    let pts = |u: &AccessUnit| (u.track == Track::Video).then_some(u.pts);
    let (before, after) = units.split_at_checked(at).unwrap_or((units, &[]));
    before.iter().filter_map(pts).max() < after.iter().filter_map(pts).min()
}

/// The video and audio samples of one fragment, in file order.
struct Plan {
    entry: FragmentEntry,
    video: (u64, Vec<Sample>),
    audio: (u64, Vec<Sample>),
}

impl Builder {
    pub(super) fn new(head: SegmentHead, key_id: KeyId) -> Self {
        let timeline = Timeline::new(head.start, &head.info);
        Self {
            head,
            key_id,
            timeline,
            length: 0,
            synced: 0,
            chain: [0; 32],
            groups: Vec::new(),
            fragments: Vec::new(),
        }
    }

    /// Takes up the state of a file that recovery has walked, to write its footer.
    pub(super) fn resume(
        head: SegmentHead,
        key_id: KeyId,
        length: u64,
        chain: Hash,
        groups: Vec<GroupEntry>,
        fragments: Vec<FragmentEntry>,
    ) -> Self {
        Self { length, chain, groups, fragments, ..Self::new(head, key_id) }
    }

    pub(super) fn head(&self) -> &SegmentHead {
        &self.head
    }

    /// Appends the preamble: `ftyp moov uuid free`, whole pages.
    fn preamble(&mut self, units: &[AccessUnit], buf: &mut PageBuf) -> Result<(), StoreError> {
        let init = mux::init_segment(&self.head.info, Audience::Stored)?;
        let point = |track: Track| {
            let first = units.iter().filter(|u| u.track == track).min_by_key(|u| u.pts)?;
            let tick = self.timeline.tick(first);
            Some(ClockPoint { pts: first.pts, tick, utc: first.utc, camera_utc: first.camera_utc })
        };
        let (video, audio) = (point(Track::Video), point(Track::Audio));
        let mut header = Header { preamble: 0, key_id: self.key_id, video, audio };
        let unpadded = init.len() + records::encode_header(&self.head, &header).len();
        let total = unpadded + padding(unpadded, PAGE);
        header.preamble = u32::try_from(total).unwrap_or(u32::MAX);
        let start = buf.len();
        buf.extend(&init);
        buf.extend(&records::encode_header(&self.head, &header));
        let mut free = Boxes::default();
        free.free(total - unpadded);
        buf.extend(free.so_far());
        self.chain = *blake3::hash(buf.as_slice().get(start..).unwrap_or_default()).as_bytes();
        self.length = total as u64;
        Ok(())
    }

    /// Appends one group with its commit record to `buf`, before it the preamble if it is the first. `after` is the
    /// next picture, if it is known. The units must not be empty.
    pub(super) fn group(
        &mut self,
        units: &[AccessUnit],
        after: Option<&AccessUnit>,
        buf: &mut PageBuf,
    ) -> Result<(), StoreError> {
        self.timeline.learn(units);
        if self.length == 0 {
            self.preamble(units, buf)?;
        }
        let start = buf.len();
        let offset = self.length;
        let first_fragment = u32::try_from(self.fragments.len()).unwrap_or(u32::MAX);
        let parts = split(units);
        for (i, part) in parts.iter().enumerate() {
            let next =
                parts.get(i + 1).map(|p| p.iter().filter(|u| u.track == Track::Video).map(|u| u.pts).min());
            let next = next.unwrap_or_else(|| after.map(|u| u.pts));
            let at = offset + (buf.len() - start) as u64;
            self.fragment(part, next, at, buf)?;
        }
        let media = buf.len() - start;
        let hash = *blake3::hash(buf.as_slice().get(start..).unwrap_or_default()).as_bytes();
        let fragments = self.fragments.get(first_fragment as usize..).unwrap_or_default().to_vec();
        let unpadded = media + records::commit_bytes(fragments.len());
        let length = unpadded + padding(unpadded, PAGE);
        let commit = Commit {
            number: u32::try_from(self.groups.len()).unwrap_or(u32::MAX),
            offset,
            length: length as u64,
            media: media as u64,
            synced: self.synced,
            fragments,
            hash,
            chain: [0; 32],
        };
        let (record, chain) = records::encode_commit(&commit, &self.chain);
        buf.extend(&record);
        let mut free = Boxes::default();
        free.free(length - unpadded);
        buf.extend(free.so_far());
        self.chain = chain;
        self.groups.push(GroupEntry { offset, media: media as u64, first_fragment, hash });
        self.length = offset + length as u64;
        Ok(())
    }

    fn fragment(
        &mut self,
        units: &[AccessUnit],
        next_pts: Option<i64>,
        at: u64,
        buf: &mut PageBuf,
    ) -> Result<(), StoreError> {
        let index = u32::try_from(self.fragments.len()).unwrap_or(u32::MAX);
        let mut plan = self.plan(units, next_pts, index);
        let mut runs = Vec::with_capacity(2);
        for (track, (tfdt, samples)) in [(VIDEO_TRACK, &plan.video), (AUDIO_TRACK, &plan.audio)] {
            if !samples.is_empty() {
                runs.push(Run { track, tfdt: *tfdt, samples });
            }
        }
        let Some(first) = runs.first() else { return Ok(()) };
        let mut clock = Boxes::with_capacity(32);
        mux::prft(&mut clock, first.track, plan.entry.utc, first.tfdt);
        let head = mux::fragment_head(index.saturating_add(1), &runs)
            .ok_or_else(|| StoreError::Invalid("a fragment of more than 2 GiB".into()))?;
        let start = buf.len();
        buf.extend(clock.so_far());
        buf.extend(&head);
        for track in [Track::Video, Track::Audio] {
            units.iter().filter(|u| u.track == track).for_each(|u| buf.extend(&u.data));
        }
        plan.entry.offset = at;
        plan.entry.length = u32::try_from(buf.len() - start).unwrap_or(u32::MAX);
        self.fragments.push(plan.entry);
        Ok(())
    }

    fn plan(&mut self, units: &[AccessUnit], next_pts: Option<i64>, index: u32) -> Plan {
        let of = |track| units.iter().filter(move |u| u.track == track);
        let video = self.timeline.video(&of(Track::Video).collect::<Vec<_>>(), next_pts);
        let audio = self.timeline.audio(&of(Track::Audio).collect::<Vec<_>>());
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let (lead, timescale) = if video.1.is_empty() {
            (Track::Audio, self.head.info.audio.as_ref().map_or(VIDEO_TIMESCALE, |a| a.sample_rate))
        } else {
            (Track::Video, VIDEO_TIMESCALE)
        };
        let (tfdt, samples) = if lead == Track::Video { &video } else { &audio };
        let duration = samples.iter().fold(0u32, |n, s| n.saturating_add(s.duration));
        let first = of(lead).min_by_key(|u| u.pts);
        let last = of(lead).max_by_key(|u| u.pts);
        let utc = first.map_or(self.head.start, |u| u.utc);
        // The last picture's own time and duration: over a fragment the two clocks may drift apart a little.
        let last_us =
            i64::from(samples.last().map_or(0, |s| s.duration)) * 1_000_000 / i64::from(timescale.max(1));
        let utc_end = UtcMicros(last.map_or(utc, |u| u.utc).max(utc).0.saturating_add(last_us));
        let entry = FragmentEntry {
            index,
            offset: 0,
            length: 0,
            tfdt: *tfdt,
            duration,
            utc,
            utc_end,
            camera_utc: first.and_then(|u| u.camera_utc),
            starts_with_key: of(Track::Video).next().is_some_and(|u| u.key),
            frames: count(of(Track::Video).count()),
            key_frames: count(of(Track::Video).filter(|u| u.key).count()),
            audio_units: count(of(Track::Audio).count()),
            lost: units.iter().fold(0, |n, u| n.saturating_add(u.lost_before)),
        };
        Plan { entry, video, audio }
    }

    /// Appends the footer: `uuid table | free | uuid final | mfra`, whole pages. Returns the segment's hash.
    pub(super) fn footer(
        &mut self,
        reason: EndReason,
        sign: impl FnOnce(&[u8]) -> [u8; 64],
        buf: &mut PageBuf,
    ) -> Hash {
        let table = records::encode_table(&self.groups, &self.fragments);
        let mfra = mfra(&self.fragments);
        let unpadded = table.len() + records::FINAL_BYTES + mfra.len();
        let sum = |f: fn(&FragmentEntry) -> u32| self.fragments.iter().map(|e| u64::from(f(e))).sum::<u64>();
        let narrow = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        let (start, end) = self.extent().unwrap_or((self.head.start, self.head.start));
        let f = Final {
            reason,
            groups: narrow(self.groups.len() as u64),
            fragments: narrow(self.fragments.len() as u64),
            frames: narrow(sum(|e| e.frames)),
            key_frames: narrow(sum(|e| e.key_frames)),
            audio_units: sum(|e| e.audio_units),
            lost: sum(|e| e.lost),
            media: self.groups.iter().map(|g| g.media).sum(),
            start,
            end,
            footer: self.length,
            table: table.len() as u64,
            table_hash: *blake3::hash(&table).as_bytes(),
            key_id: self.key_id,
            chain: [0; 32],
            signature: [0; 64],
        };
        let (last, hash) = records::encode_final(&f, &self.chain, sign);
        let mut free = Boxes::default();
        free.free(padding(unpadded, PAGE));
        for part in [&table, free.so_far(), &last, &mfra] {
            buf.extend(part);
        }
        self.chain = hash;
        hash
    }

    /// Start of the first and end of the last picture or sound built so far.
    pub(super) fn extent(&self) -> Option<(UtcMicros, UtcMicros)> {
        let start = self.fragments.iter().map(|f| f.utc).min()?;
        let end = self.fragments.iter().map(|f| f.utc_end).max()?;
        Some((start, end))
    }
}

/// Movie fragment random access: where players can start.
pub(super) fn mfra(fragments: &[FragmentEntry]) -> Vec<u8> {
    let keys: Vec<_> = fragments.iter().filter(|f| f.starts_with_key || f.frames == 0).collect();
    let track = if fragments.iter().any(|f| f.frames > 0) { VIDEO_TRACK } else { AUDIO_TRACK };
    let keys = keys.into_iter().filter(|f| track == AUDIO_TRACK || f.frames > 0).collect::<Vec<_>>();
    let mut w = Boxes::with_capacity(64 + keys.len() * 19);
    w.boxed(*b"mfra", |w| {
        w.full(*b"tfra", 1, 0, |w| {
            w.u32(track);
            w.u32(0); // one byte each for traf, trun and sample number
            w.u32(u32::try_from(keys.len()).unwrap_or(u32::MAX));
            for f in &keys {
                w.u64(f.tfdt);
                w.u64(f.offset.saturating_add(PRFT_BYTES));
                w.bytes(&[1, 1, 1]);
            }
        });
        w.full(*b"mfro", 0, 0, |w| w.u32(0));
    });
    let size = u32::try_from(w.len()).unwrap_or(u32::MAX);
    w.patch_u32(w.len() - 4, size);
    w.into_vec()
}

/// Bytes of `prft` before each `moof`.
pub(super) const PRFT_BYTES: u64 = 32;
