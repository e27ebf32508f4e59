//! The centre's decisions: who is gone, who records in its place, and until when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fengsui_config::clock::MonoMicros;
use fengsui_config::ids::{CameraId, NodeId};
use fengsui_config::limits;

use super::{Lease, Order, VERSION};
use crate::pace::Now;

/// When a node was heard last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Heard {
    /// Never in its life.
    #[default]
    Never,
    /// In an earlier life of the centre.
    Before,
    /// In this one.
    At(MonoMicros),
}

/// A node as its centre sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NodeSeen {
    /// When it was heard last.
    pub heard: Heard,
    /// Its cameras that play, by its last word.
    pub online: usize,
    /// Its cameras that reach the disk, by its last word.
    pub recording: usize,
    /// It may get something new: it is not drained.
    pub takes: bool,
}

/// Which nodes stand by for which cameras of each owner.
pub type Duty = BTreeMap<NodeId, BTreeMap<NodeId, BTreeSet<CameraId>>>;

/// What a centre sees at one look.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Since when it can hear at all; none: it cannot.
    pub hearing_since: Option<MonoMicros>,
    /// Its nodes, without retired ones.
    pub nodes: BTreeMap<NodeId, NodeSeen>,
    /// Who stands by for whom.
    pub duty: Duty,
}

impl Seen {
    /// How long a node has been silent while the centre could hear; none when nothing can be said.
    fn silence(&self, now: MonoMicros, node: &NodeId) -> Option<Duration> {
        let since = self.hearing_since?;
        match self.nodes.get(node)?.heard {
            Heard::Never => None,
            Heard::Before => Some(now.since(since)),
            Heard::At(at) => Some(now.since(at.max(since))),
        }
    }

    fn is_gone(&self, now: MonoMicros, node: &NodeId) -> bool {
        let settled = self.hearing_since.is_some_and(|since| now.since(since) >= limits::STANDBY_SETTLE);
        // Who is no node any more is gone; its cameras are somebody else's then, or nobody's.
        !self.nodes.contains_key(node)
            || (settled && self.silence(now, node).is_some_and(|silent| silent >= limits::STANDBY_SILENCE))
    }

    fn is_here(&self, now: MonoMicros, node: &NodeId) -> bool {
        let heard = self.nodes.get(node).is_some_and(|seen| matches!(seen.heard, Heard::At(_)));
        heard && self.silence(now, node).is_some_and(|silent| silent < limits::RELAY_PRESENCE_SILENCE.0)
    }

    /// Whether a node is here and what plays reaches its disks.
    fn works(&self, now: MonoMicros, node: &NodeId) -> bool {
        let records = |seen: &NodeSeen| {
            seen.recording > 0 && seen.recording * 100 >= seen.online * limits::STANDBY_BACK_PERCENT
        };
        self.is_here(now, node) && self.nodes.get(node).is_some_and(records)
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The lease of an owner is to be read; then [`Core::read`].
    Read {
        /// The owner.
        owner: NodeId,
    },
    /// A lease is to be written over the entry of this revision of the bucket, or where there is none; then
    /// [`Core::wrote`].
    Write {
        /// The lease.
        lease: Lease,
        /// Revision of the entry.
        over: Option<u64>,
    },
    /// A node is to be told; then [`Core::told`].
    Tell {
        /// The node.
        node: NodeId,
        /// What.
        order: Order,
    },
}

/// A decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// It.
    pub lease: Lease,
    /// Who recorded before.
    pub before: Vec<NodeId>,
}

/// What came of reading a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// It is there, in an entry of this revision of the bucket.
    Entry(Lease, u64),
    /// There is none.
    Nothing,
    /// The servers did not answer, or what is there cannot be read.
    Failed,
}

/// What came of writing one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrote {
    /// It stands, as this revision of the bucket.
    Done(u64),
    /// Somebody else was first.
    Changed,
    /// It is not known whether it stands.
    Failed,
}

/// What came of telling a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It does so, durably.
    Done,
    /// It follows a newer order, of this revision.
    Newer(u64),
    /// It did not answer, or refused.
    Failed,
}

/// What is known of one owner.
#[derive(Debug, Default)]
struct Case {
    lease: Option<Lease>,
    /// Revision of the bucket's entry.
    entry: Option<u64>,
    read_at: Option<MonoMicros>,
    /// A reading or writing is under way.
    busy: bool,
    /// No reading or writing before.
    again_at: MonoMicros,
    /// Since when the owner has been back and recorded.
    back_since: Option<MonoMicros>,
    /// The newest revision that some node is known to follow.
    floor: u64,
    /// The newest lease of this centre that was told of.
    noted: u64,
}

impl Case {
    fn takers(&self) -> &[NodeId] {
        self.lease.as_ref().map_or(&[], |lease| &lease.takers)
    }

    fn revision(&self) -> u64 {
        self.lease.as_ref().map_or(0, |lease| lease.revision)
    }

    /// A node follows an order of which the servers know nothing: their store was lost.
    fn is_behind(&self) -> bool {
        self.floor > self.revision()
    }
}

/// What a node was told.
#[derive(Debug)]
struct Say {
    order: Order,
    under_way: bool,
    done: bool,
    again_at: MonoMicros,
}

/// A centre's part in who records for whom.
#[derive(Debug)]
pub struct Core {
    own: NodeId,
    cases: BTreeMap<NodeId, Case>,
    /// By node and owner.
    said: BTreeMap<(NodeId, NodeId), Say>,
}

impl Core {
    /// The part of the centre `own`; it knows nothing yet.
    #[must_use]
    pub fn new(own: NodeId) -> Self {
        Self { own, cases: BTreeMap::new(), said: BTreeMap::new() }
    }

    /// The leases as last read: which nodes record for which owner.
    pub fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.cases.values().filter_map(|case| case.lease.as_ref())
    }

    /// Looks at who is there; gives what is to be done. Every reading, writing and telling that it asks for must be
    /// answered, however it went.
    pub fn look(&mut self, now: Now, seen: &Seen) -> Vec<Action> {
        if seen.hearing_since.is_none() {
            self.cases.values_mut().for_each(|case| case.back_since = None);
            return Vec::new();
        }
        for owner in seen.duty.keys() {
            if !self.cases.contains_key(owner) {
                self.cases.insert(owner.clone(), Case::default());
            }
        }
        let mut actions = Vec::new();
        for (owner, case) in &mut self.cases {
            decide(&self.own, owner, case, (now, seen), &mut actions);
        }
        self.tell(now.mono, seen, &mut actions);
        actions
    }

    /// Tells every node that stands by, or records, what does not follow its lease yet.
    fn tell(&mut self, now: MonoMicros, seen: &Seen, actions: &mut Vec<Action>) {
        // Who was away may have missed an order, or be another life that knows less.
        self.said.retain(|(node, _), said| said.under_way || seen.is_here(now, node));
        for (owner, case) in self.cases.iter().filter(|(_, case)| case.read_at.is_some() && !case.busy) {
            for (node, cameras) in shares(owner, case, seen) {
                if !seen.is_here(now, &node) {
                    continue;
                }
                let order = Order { owner: owner.clone(), revision: case.revision(), cameras };
                let key = (node.clone(), owner.clone());
                let known = self.said.get(&key);
                let waits = known.is_some_and(|s| s.under_way || now < s.again_at);
                if waits || known.is_some_and(|s| s.done && s.order == order) {
                    continue;
                }
                let said = Say { order: order.clone(), under_way: true, done: false, again_at: now };
                self.said.insert(key, said);
                actions.push(Action::Tell { node, order });
            }
        }
    }

    /// The lease of `owner` was read.
    pub fn read(&mut self, now: Now, owner: &NodeId, read: Read) -> Option<Change> {
        let case = self.cases.get_mut(owner)?;
        case.busy = false;
        let before = case.takers().to_vec();
        match read {
            Read::Failed => {
                case.again_at = now.mono + limits::STANDBY_READ_AGAIN;
                return None;
            }
            Read::Nothing => (case.lease, case.entry) = (None, None),
            Read::Entry(lease, entry) => (case.lease, case.entry) = (Some(lease), Some(entry)),
        }
        case.read_at = Some(now.mono);
        note(&self.own, case, before)
    }

    /// A lease was written, or was not.
    pub fn wrote(&mut self, now: Now, lease: Lease, wrote: Wrote) -> Option<Change> {
        let case = self.cases.get_mut(&lease.owner)?;
        case.busy = false;
        match wrote {
            Wrote::Done(entry) => {
                let before = case.takers().to_vec();
                (case.lease, case.entry, case.read_at) = (Some(lease), Some(entry), Some(now.mono));
                note(&self.own, case, before)
            }
            Wrote::Changed => {
                case.read_at = None;
                None
            }
            Wrote::Failed => {
                case.read_at = None;
                case.again_at = now.mono + limits::STANDBY_READ_AGAIN;
                None
            }
        }
    }

    /// A node was told, or was not.
    pub fn told(&mut self, now: Now, node: &NodeId, order: &Order, told: Told) {
        let Some(said) = self.said.get_mut(&(node.clone(), order.owner.clone())) else { return };
        said.under_way = false;
        said.done = told == Told::Done;
        said.again_at = if said.done { now.mono } else { now.mono + limits::STANDBY_TELL_AGAIN };
        if let (Told::Newer(revision), Some(case)) = (told, self.cases.get_mut(&order.owner)) {
            case.floor = case.floor.max(revision);
            // Perhaps another centre decided.
            case.read_at = None;
        }
    }
}

/// Whether a lease that stands now is a decision of this centre that was not told of.
fn note(own: &NodeId, case: &mut Case, before: Vec<NodeId>) -> Option<Change> {
    let lease = case.lease.clone().filter(|lease| lease.by == *own && lease.revision > case.noted)?;
    case.noted = lease.revision;
    Some(Change { lease, before })
}

/// One owner: reads its lease when that is due, and decides anew when something else should stand in it.
fn decide(
    own: &NodeId,
    owner: &NodeId,
    case: &mut Case,
    (now, seen): (Now, &Seen),
    actions: &mut Vec<Action>,
) {
    match (seen.works(now.mono, owner), case.back_since) {
        (true, None) => case.back_since = Some(now.mono),
        (false, Some(_)) => case.back_since = None,
        _ => {}
    }
    if case.busy || now.mono < case.again_at {
        return;
    }
    let wanted = wanted(now.mono, owner, case, seen);
    let differs = wanted.as_ref().is_some_and(|takers| *takers != case.takers() || case.is_behind());
    let most = if differs { limits::STANDBY_FRESH } else { limits::STANDBY_READ_INTERVAL };
    if case.read_at.is_none_or(|at| now.mono.since(at) >= most) {
        case.busy = true;
        actions.push(Action::Read { owner: owner.clone() });
        return;
    }
    let Some(takers) = wanted.filter(|_| differs) else { return };
    let moment = u64::try_from(now.utc.millis()).unwrap_or(0);
    let revision = moment.max(case.revision().saturating_add(1)).max(case.floor.saturating_add(1));
    let (owner, by) = (owner.clone(), own.clone());
    let lease = Lease { v: VERSION, owner, revision, takers, since_us: now.utc.0, by };
    case.busy = true;
    actions.push(Action::Write { lease, over: case.entry });
}

/// Who should record for an owner; none: as it is.
fn wanted(now: MonoMicros, owner: &NodeId, case: &Case, seen: &Seen) -> Option<Vec<NodeId>> {
    let takers = case.takers();
    let back = case.back_since.is_some_and(|since| now.since(since) >= limits::STANDBY_BACK);
    if back && (!takers.is_empty() || case.is_behind()) {
        return Some(Vec::new());
    }
    let lost_a_taker = takers.iter().any(|taker| seen.is_gone(now, taker));
    if seen.is_gone(now, owner) || (lost_a_taker && case.back_since.is_none()) {
        // With nobody there, whoever was told stays told: it may come back before anybody else.
        return Some(choose(now, owner, takers, seen)).filter(|chosen| !chosen.is_empty());
    }
    None
}

/// The nodes that record for an owner: those that do and are not gone, then others that are here, the least busy first, each
/// only if it can do a camera that those before it cannot.
fn choose(now: MonoMicros, owner: &NodeId, takers: &[NodeId], seen: &Seen) -> Vec<NodeId> {
    let Some(duty) = seen.duty.get(owner) else { return Vec::new() };
    let stay = takers.iter().filter(|node| duty.contains_key(*node) && !seen.is_gone(now, node));
    let is_free = |node: &&NodeId| seen.is_here(now, node) && seen.nodes.get(*node).is_some_and(|n| n.takes);
    let mut others: Vec<&NodeId> = duty.keys().filter(|n| !takers.contains(n)).filter(is_free).collect();
    others.sort_by_key(|node| (seen.nodes.get(*node).map_or(0, |n| n.recording), *node));
    let mut covered: BTreeSet<CameraId> = BTreeSet::new();
    let mut chosen = Vec::new();
    for node in stay.chain(others) {
        let cameras = duty.get(node).into_iter().flatten();
        let before = covered.len();
        covered.extend(cameras);
        if covered.len() > before {
            chosen.push(node.clone());
        }
    }
    chosen
}

/// What every node that stands by for an owner, or was told to record for it, is to record.
fn shares(owner: &NodeId, case: &Case, seen: &Seen) -> BTreeMap<NodeId, BTreeSet<CameraId>> {
    let none = BTreeMap::new();
    let duty = seen.duty.get(owner).unwrap_or(&none);
    let mut shares: BTreeMap<NodeId, BTreeSet<CameraId>> =
        duty.keys().chain(case.takers()).map(|node| (node.clone(), BTreeSet::new())).collect();
    let mut covered = BTreeSet::new();
    for taker in case.takers() {
        let Some(cameras) = duty.get(taker) else { continue };
        let share: BTreeSet<CameraId> = cameras.difference(&covered).copied().collect();
        covered.extend(&share);
        shares.insert(taker.clone(), share);
    }
    shares
}
