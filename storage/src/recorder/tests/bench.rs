//! Cameras, hub, recorder and disk under simulated time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fengsui_config::VolumeConfig;
use fengsui_config::clock::{Clock, ManualClock, UtcMicros};
use fengsui_config::ids::{StreamKey, StreamKind};

use super::super::{Recorder, RecorderOptions};
use crate::catalogue::{Catalogue, SpanKind};
use crate::error::StoreError;
use crate::frame::{AccessUnit, GapReason, StartReason, StreamInfo, Track};
use crate::fs::SimFs;
use crate::hub::Hub;
use crate::segment::tests::kit;
use crate::segment::{NodeKey, SegmentReader};

/// Time between two pictures and two looks of the recorder.
const TICK: Duration = Duration::from_millis(100);

pub(super) fn key(n: u32) -> StreamKey {
    StreamKey { camera: format!("330800000013200{n:05}").parse().unwrap(), stream: StreamKind::Main }
}

/// Bytes of a picture unless said otherwise.
const PICTURE_BYTES: usize = 2000;

/// The number of a picture of `bytes` bytes, which are its number again and again, so that every part can be recognised.
fn number_of(data: &[u8], bytes: usize) -> u64 {
    let number = *data.first_chunk().unwrap();
    assert_eq!(data.len(), bytes, "a picture of another length");
    assert!(data.chunks(8).all(|c| c == number), "a picture with other bytes than were sent");
    u64::from_be_bytes(number)
}

/// One simulated camera.
#[derive(Debug, Clone)]
pub(super) struct Camera {
    pub playing: bool,
    pub gop: u64,
    since_begin: u64,
    pushed: Vec<(u64, UtcMicros)>,
}

impl Camera {
    /// Numbers and times of the pictures sent.
    pub(super) fn sent(&self) -> impl Iterator<Item = (u64, UtcMicros)> + '_ {
        self.pushed.iter().copied()
    }
}

/// How a run of the node ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outage {
    /// In order.
    Clean,
    /// `kill -9`, and this long until the next start.
    Kill(Duration),
    /// The power goes; what was not synced may be gone.
    Power(Duration),
}

pub(super) struct Bench {
    pub fs: SimFs,
    pub clock: Arc<ManualClock>,
    pub start: UtcMicros,
    pub hub: Arc<Hub>,
    pub catalogue: Arc<Catalogue>,
    pub recorder: Recorder,
    pub cameras: BTreeMap<StreamKey, Camera>,
    volumes: Vec<VolumeConfig>,
    budget: usize,
    number: u64,
    /// A multiple of 8.
    pub picture_bytes: usize,
    /// The names on the volumes were compared with the catalogue since the last start.
    checked: bool,
}

impl Bench {
    pub(super) fn new(fs: SimFs, volumes: &[&str]) -> Self {
        let volumes = volumes
            .iter()
            .map(|v| VolumeConfig::direct(v.parse().unwrap(), PathBuf::from(format!("/{v}")), 4096))
            .collect();
        Self::with(fs, volumes)
    }

    pub(super) fn with(fs: SimFs, volumes: Vec<VolumeConfig>) -> Self {
        let clock = Arc::new(ManualClock::at(kit::START));
        let budget = 1 << 30;
        let (hub, catalogue, recorder) = Self::node(&fs, &clock, &volumes, budget).unwrap();
        Self {
            fs,
            start: clock.utc(),
            clock,
            hub,
            catalogue,
            recorder,
            cameras: BTreeMap::new(),
            volumes,
            budget,
            number: 0,
            picture_bytes: PICTURE_BYTES,
            checked: true,
        }
    }

    fn node(
        fs: &SimFs,
        clock: &Arc<ManualClock>,
        volumes: &[VolumeConfig],
        budget: usize,
    ) -> Result<(Arc<Hub>, Arc<Catalogue>, Recorder), StoreError> {
        let hub = Hub::new(clock.clone(), budget);
        let catalogue = Catalogue::open(Arc::new(fs.clone()), Path::new("/data/catalogue"), clock.clone())?;
        let recorder = Recorder::manual(RecorderOptions {
            fs: Arc::new(fs.clone()),
            clock: clock.clone(),
            hub: hub.clone(),
            catalogue: catalogue.clone(),
            volumes: volumes.to_vec(),
            node: "centre".parse().unwrap(),
            node_key: Arc::new(NodeKey::from_seed([7; 32])),
            data: "/data".into(),
        });
        Ok((hub, catalogue, recorder))
    }

    /// Bytes that the hub of the next node may hold.
    pub(super) fn budget(&mut self, bytes: usize) {
        self.budget = bytes;
    }

    /// Ends the node and starts another. Cameras have to begin anew.
    pub(super) fn restart(&mut self, outage: Outage) {
        self.end_node(outage);
        self.start_node().unwrap();
        self.checked = true;
        self.recorder.check_volumes();
    }

    /// Ends the node; the machine may have died before ([`SimFs::is_dead`]).
    pub(super) fn end_node(&mut self, outage: Outage) {
        for camera in self.cameras.values_mut() {
            camera.playing = false;
        }
        if !matches!(outage, Outage::Clean) {
            // Whatever the old node still tries while it is put away reaches nothing.
            self.fs.halt();
        }
        self.recorder.stop();
        match outage {
            Outage::Clean => {}
            Outage::Kill(off) => {
                self.fs.kill();
                self.clock.advance(off);
            }
            Outage::Power(off) => {
                self.fs.crash();
                self.clock.advance(off);
            }
        }
    }

    /// Starts a node. Fails when the machine dies meanwhile.
    pub(super) fn start_node(&mut self) -> Result<(), StoreError> {
        let (hub, catalogue, recorder) = Self::node(&self.fs, &self.clock, &self.volumes, self.budget)?;
        self.recorder = recorder;
        self.hub = hub;
        self.catalogue = catalogue;
        self.checked = false;
        Ok(())
    }

    pub(super) fn now(&self) -> UtcMicros {
        self.clock.utc()
    }

    pub(super) fn due(&mut self, keys: &[StreamKey]) {
        self.recorder.set_plan(&keys.iter().copied().collect::<BTreeSet<_>>());
        if !std::mem::replace(&mut self.checked, true) {
            // In the order of a real start: the time before it is explained, then names are compared.
            self.recorder.step();
            self.recorder.check_volumes();
        }
    }

    pub(super) fn begin(&mut self, key: StreamKey) {
        self.begin_with(key, StartReason::Connected);
    }

    pub(super) fn begin_with(&mut self, key: StreamKey, start: StartReason) {
        let info = StreamInfo { start, ..(*kit::info(false)).clone() };
        self.begin_info(key, info);
    }

    /// A run whose tracks say nothing.
    pub(super) fn begin_undescribable(&mut self, key: StreamKey) {
        let mut info = (*kit::info(false)).clone();
        if let Some(video) = &mut info.video {
            video.extra = Bytes::new();
        }
        self.begin_info(key, info);
    }

    fn begin_info(&mut self, key: StreamKey, info: StreamInfo) {
        self.hub.stream(key).begin(info);
        let new = Camera { playing: true, gop: 20, since_begin: 0, pushed: Vec::new() };
        let camera = self.cameras.entry(key).or_insert(new);
        camera.playing = true;
        camera.since_begin = 0;
    }

    pub(super) fn end(&mut self, key: StreamKey, reason: GapReason) {
        self.hub.stream(key).end(reason);
        if let Some(camera) = self.cameras.get_mut(&key) {
            camera.playing = false;
        }
    }

    /// Time passes: every camera sends a picture each tick, the recorder looks.
    pub(super) fn run(&mut self, seconds: f64) {
        for _ in 0..(seconds * 10.0).round() as u64 {
            self.tick();
            self.recorder.step();
        }
    }

    /// Time passes, but the recorder does not come to look.
    pub(super) fn stall(&mut self, seconds: f64) {
        for _ in 0..(seconds * 10.0).round() as u64 {
            self.tick();
        }
    }

    fn tick(&mut self) {
        self.clock.advance(TICK);
        let now = self.clock.utc();
        for (key, camera) in self.cameras.iter_mut().filter(|(_, c)| c.playing) {
            self.number += 1;
            let data = self.number.to_be_bytes().repeat(self.picture_bytes / 8);
            let first = camera.gop != u64::MAX && camera.since_begin.is_multiple_of(camera.gop);
            self.hub.stream(*key).push(AccessUnit {
                track: Track::Video,
                key: first,
                pts: camera.since_begin as i64 * 9000,
                utc: now,
                camera_utc: None,
                arrived: now,
                lost_before: 0,
                data: Bytes::from(data),
            });
            camera.since_begin += 1;
            camera.pushed.push((self.number, now));
        }
    }

    /// Numbers of the pictures sent.
    pub(super) fn pushed(&self, key: StreamKey) -> Vec<u64> {
        self.cameras[&key].pushed.iter().map(|(n, _)| *n).collect()
    }

    /// Numbers of the pictures that can be read back, each once.
    pub(super) fn stored(&self, key: StreamKey) -> Vec<u64> {
        let mut out = BTreeSet::new();
        for row in self.catalogue.segments(key, UtcMicros(0), UtcMicros(i64::MAX / 2)) {
            let path = Path::new("/").join(row.volume.as_str()).join(row.path());
            let known = (!row.closed).then_some(row.bytes);
            let reader = SegmentReader::open(&self.fs, &path, known).unwrap();
            for i in 0..reader.fragments().len() {
                for unit in reader.samples(u32::try_from(i).unwrap()).unwrap() {
                    out.insert(number_of(&unit.data, self.picture_bytes));
                }
            }
        }
        out.into_iter().collect()
    }

    /// Times of the pictures that were sent and are not stored.
    pub(super) fn lost(&self, key: StreamKey) -> Vec<UtcMicros> {
        let stored: BTreeSet<u64> = self.stored(key).into_iter().collect();
        self.cameras[&key].pushed.iter().filter(|(n, _)| !stored.contains(n)).map(|(_, t)| *t).collect()
    }

    /// Time of the first stored picture after `t`.
    pub(super) fn first_stored_after(&self, key: StreamKey, t: UtcMicros) -> UtcMicros {
        let stored: BTreeSet<u64> = self.stored(key).into_iter().collect();
        self.cameras[&key].pushed.iter().find(|(n, at)| *at >= t && stored.contains(n)).unwrap().1
    }

    /// The timeline: from and to in seconds since the start, and what it is.
    pub(super) fn spans(&self, key: StreamKey) -> Vec<(f64, f64, String)> {
        let of = |t: UtcMicros| t.since(self.start) as f64 / 1e6;
        self.catalogue
            .spans(key, self.start, self.now())
            .iter()
            .map(|s| {
                let kind = match s.kind {
                    SpanKind::Footage { .. } => "footage".to_owned(),
                    SpanKind::Gap(reason) => format!("{reason:?}"),
                };
                (of(s.from), of(s.to), kind)
            })
            .collect()
    }

    /// From the first thing known to now no second is unaccounted for.
    pub(super) fn assert_covered(&self, key: StreamKey) {
        let spans = self.spans(key);
        for pair in spans.windows(2) {
            assert!(
                pair[1].0 - pair[0].1 < 0.51,
                "nothing between {:?} and {:?} in {spans:?}",
                pair[0],
                pair[1]
            );
        }
        let last = spans.last().unwrap().1;
        let now = self.now().since(self.start) as f64 / 1e6;
        assert!(now - last <= 3.1, "{last} of {now} in {spans:?}");
    }

    /// Every picture that is not stored lies in a gap, or in the seam between two files (half a second at most).
    pub(super) fn assert_lost_only_in_gaps(&self, key: StreamKey) {
        let spans = self.spans(key);
        let of = |t: UtcMicros| t.since(self.start) as f64 / 1e6;
        let rows = self.catalogue.segments(key, UtcMicros(0), self.now());
        for t in self.lost(key) {
            let t = of(t);
            let in_gap = spans
                .iter()
                .any(|(from, to, kind)| kind != "footage" && *from - 0.51 <= t && t <= *to + 0.51);
            let before = rows.iter().map(|r| of(r.end())).filter(|end| *end <= t + 0.01).fold(0.0, f64::max);
            let after =
                rows.iter().map(|r| of(r.start())).filter(|start| *start > t).fold(f64::MAX, f64::min);
            // Of a stream that the node had not noted yet when it died nothing can be said.
            let unknown = spans.first().is_none_or(|(from, _, _)| t < *from);
            assert!(
                unknown || in_gap || after - before <= 0.51 || of(self.now()) - t < 2.5,
                "the picture at {t} is neither stored nor in a gap: {spans:?}"
            );
        }
    }
}
