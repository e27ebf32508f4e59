//! What a node finds in its own: rows of events, places, and the index of its footage. No picture is read.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use fengsui_config::Topology;
use fengsui_config::clock::{MonoMicros, UtcMicros};
use fengsui_config::ids::{CameraId, NodeId, StreamKey, StreamKind};
use fengsui_config::limits;
use fengsui_config::topology::Camera;
use fengsui_relay::event::rows::Row;
use fengsui_relay::search::{Key, Part};

use super::ask::{Asked, FootageWanted};
use super::hit::{CameraHit, EventHit, FootageView, Hit};
use crate::app::App;
use crate::auth::access::{CameraAccess, Principal};
use crate::media::Stretch;

/// Says of which nodes' events hits are wanted.
pub type Origins = Box<dyn Fn(&NodeId) -> bool + Send>;

/// Where to look.
pub struct Look {
    /// Events of these nodes.
    pub origins: Origins,
    /// Also the cameras of this one.
    pub cameras: bool,
    /// Cameras of nodes below, which answer for them: a centre knows their names and places alone.
    pub of_others: BTreeSet<CameraId>,
    /// The events are those that nodes told before: nothing is known of their footage.
    pub copies: bool,
    /// When to stop; the next page goes on there.
    pub until: MonoMicros,
}

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// Hits, and how far they go.
    pub part: Part<Hit>,
    /// From when on events are searched, when the range begins earlier.
    pub events_from: Option<UtcMicros>,
}

/// Looks through this node's own; takes a while, so not on a thread that serves.
#[must_use]
pub fn look(app: &App, who: &Principal, asked: &Asked, look: Look) -> Found {
    let topology = app.topology();
    let after = asked.cursor.as_ref().map(|c| c.after.clone());
    let mut looker = Looker {
        app,
        who,
        asked,
        topology,
        look,
        after,
        looks: 0,
        items: Vec::new(),
        origins: HashMap::new(),
    };
    let mut end = if asked.wants_events() { looker.events() } else { End::Whole };
    if end == End::Whole && looker.look.cameras {
        end = looker.cameras();
    }
    let reach = match end {
        End::Whole => None,
        End::Stopped => looker.after.take(),
    };
    let events_from = asked.wants_events().then(|| app.desk.rows().read().whole_since()).flatten();
    let part = Part { items: looker.items, reach };
    Found { part, events_from: events_from.filter(|from| *from > asked.from && !looker.look.copies) }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// All was looked at.
    Whole,
    /// The page is full, or time is over.
    Stopped,
}

struct Looker<'a> {
    app: &'a App,
    who: &'a Principal,
    asked: &'a Asked,
    topology: Arc<Topology>,
    look: Look,
    /// The last that was looked at.
    after: Option<Key>,
    looks: usize,
    items: Vec<(Key, Hit)>,
    origins: HashMap<String, bool>,
}

impl Looker<'_> {
    /// Whether there is room and time for one more. The first look has always time, so that every page goes on.
    fn may_look(&mut self) -> bool {
        if self.items.len() >= self.asked.limit || self.looks >= limits::SEARCH_LOOKS_MAX {
            return false;
        }
        self.looks += 1;
        self.looks == 1 || self.app.clock.mono() < self.look.until
    }

    fn access(&self, camera: CameraId) -> Option<CameraAccess> {
        self.who.camera(StreamKey { camera, stream: StreamKind::Main }).ok()
    }

    fn events(&mut self) -> End {
        loop {
            let rows = self.chunk();
            let all = rows.len() < limits::SEARCH_CHUNK_ROWS;
            for row in rows {
                if !self.may_look() {
                    return End::Stopped;
                }
                let key = Key::event(row.first_us, row.id.clone());
                if let Some(hit) = self.event(&row) {
                    self.items.push((key.clone(), Hit::Event(hit)));
                }
                self.after = Some(key);
            }
            if all {
                return End::Whole;
            }
        }
    }

    /// The next rows behind the last that was looked at.
    fn chunk(&mut self) -> Vec<Row> {
        let (app, after) = (self.app, self.after.clone());
        let rows = app.desk.rows().read();
        let behind = |row: &Row| match &after {
            None => true,
            Some(Key::Event { began, id }) => (Reverse(row.first_us), &row.id) > (*began, id),
            Some(Key::Camera { .. }) => false,
        };
        let mut found: Vec<&Row> = rows.iter().filter(|row| behind(row) && self.wants(row)).collect();
        let order = |a: &&Row, b: &&Row| (Reverse(a.first_us), &a.id).cmp(&(Reverse(b.first_us), &b.id));
        if found.len() > limits::SEARCH_CHUNK_ROWS {
            found.select_nth_unstable_by(limits::SEARCH_CHUNK_ROWS, order);
            found.truncate(limits::SEARCH_CHUNK_ROWS);
        }
        found.sort_unstable_by(order);
        found.into_iter().cloned().collect()
    }

    fn wants(&mut self, row: &Row) -> bool {
        let asked = self.asked;
        let ends = row.over_us.map_or(row.last_us, |over| over.max(row.last_us));
        let of_time = row.first_us < asked.to && (row.is_open() || ends >= asked.from);
        if !of_time || !asked.filter.wants(row.kind, row.camera, row.priority) {
            return false;
        }
        let origins = &self.look.origins;
        let known = self.origins.entry(row.id.node.clone());
        if !*known.or_insert_with_key(|node| node.parse::<NodeId>().is_ok_and(|node| origins(&node))) {
            return false;
        }
        let camera = row.camera.and_then(|id| self.topology.cameras.get(&id));
        !asked.is_of_place() || camera.is_some_and(|c| asked.fits_place(&self.topology, c).is_some())
    }

    fn event(&self, row: &Row) -> Option<EventHit> {
        let asked = self.asked;
        let within = |t: UtcMicros| (asked.from <= t && t < asked.to).then_some(t);
        let at = within(row.first_us).or_else(|| within(row.last_us)).unwrap_or(asked.from);
        let mut footage = None;
        if let Some(camera) = row.camera {
            let access = self.access(camera)?;
            let (from, to) = (at - limits::SEARCH_BEFORE_EVENT, at + limits::SEARCH_AFTER_EVENT);
            footage = (!self.look.copies).then(|| self.footage(&access, from, to));
        }
        if asked.footage.is_some() && !footage.is_some_and(|f| self.fits_footage(&f)) {
            return None;
        }
        let camera = row.camera.and_then(|id| self.topology.cameras.get(&id));
        let site = camera.and_then(|c| self.topology.sites.get(&c.site));
        Some(EventHit {
            id: row.id.to_string(),
            node: row.id.node.clone(),
            kind: row.kind.as_str().to_owned(),
            priority: row.priority.as_str().to_owned(),
            open: row.is_open(),
            camera: row.camera.map(|c| c.to_string()),
            camera_name: camera.map(|c| c.name.clone()),
            site_name: site.map(|s| s.name.clone()),
            at_us: at.0,
            began_us: row.first_us.0,
            last_us: row.last_us.0,
            over_us: row.over_us.map(|t| t.0),
            count: row.count,
            times: row.times,
            text: row.text.chars().take(limits::SEARCH_TEXT_CHARS_MAX).collect(),
            footage,
            copied: self.look.copies,
        })
    }

    fn cameras(&mut self) -> End {
        let (topology, node) = (self.topology.clone(), self.app.desk.node().clone());
        for camera in topology.cameras.values() {
            let key = Key::Camera { camera: camera.id, node: node.clone() };
            if self.after.as_ref().is_some_and(|after| key <= *after) {
                continue;
            }
            let Some(metres) = self.asked.fits_place(&topology, camera) else { continue };
            let Some(access) = self.access(camera.id) else { continue };
            if !self.may_look() {
                return End::Stopped;
            }
            let footage = self.footage(&access, self.asked.from, self.asked.to);
            // What this node recorded of it itself, for a node that was dead, is its own.
            let is_own = !self.look.of_others.contains(&camera.id) || footage.footage_us > 0;
            if is_own && self.fits_footage(&footage) {
                let hit = self.camera(camera, metres, footage);
                self.items.push((key.clone(), Hit::Camera(hit)));
            }
            self.after = Some(key);
        }
        End::Whole
    }

    fn camera(&self, camera: &Camera, metres: Option<f64>, footage: FootageView) -> CameraHit {
        let topology = &self.topology;
        let site = topology.sites.get(&camera.site);
        let station = site.and_then(|s| topology.stations.get(&s.station));
        let sub_centre = station.and_then(|s| topology.sub_centres.get(&s.sub_centre));
        CameraHit {
            camera: camera.id.to_string(),
            node: self.app.node.id.clone(),
            name: camera.name.clone(),
            site_name: site.map_or_else(String::new, |s| s.name.clone()),
            station_name: station.map_or_else(String::new, |s| s.name.clone()),
            sub_centre_name: sub_centre.map_or_else(String::new, |s| s.name.clone()),
            metres: metres.map(whole),
            footage,
        }
    }

    fn fits_footage(&self, footage: &FootageView) -> bool {
        match self.asked.footage {
            None => true,
            Some(FootageWanted::Any) => footage.footage_us > 0,
            Some(FootageWanted::Gaps) => footage.gaps > 0,
            Some(FootageWanted::None) => footage.footage_us == 0,
        }
    }

    fn footage(&self, access: &CameraAccess, from: UtcMicros, to: UtcMicros) -> FootageView {
        let mut sum = FootageView {
            from_us: from.0,
            to_us: to.0,
            footage_us: 0,
            gap_us: 0,
            gaps: 0,
            first_us: None,
            last_us: None,
        };
        for (begins, ends, what) in self.app.media.spans(access, from, to) {
            let (begins, ends) = (begins.max(from).0, ends.min(to).0);
            if ends <= begins {
                continue;
            }
            match what {
                Stretch::Footage { .. } => {
                    sum.footage_us += ends - begins;
                    sum.first_us = Some(sum.first_us.map_or(begins, |first| first.min(begins)));
                    sum.last_us = Some(sum.last_us.map_or(ends, |last| last.max(ends)));
                }
                Stretch::Gap(_) => {
                    sum.gap_us += ends - begins;
                    sum.gaps += 1;
                }
            }
        }
        sum
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "metres, at most a hundred thousand"
)]
fn whole(metres: f64) -> u64 {
    metres.round() as u64
}
