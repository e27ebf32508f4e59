//! How acts come down from a centre to a node: both ends, pure. What goes up goes by the relay; this is for what others did.
//!
//! The centre says something ([`Say`], `PUT /api/v1/node/duty`), the node notes what it lacked in one record
//! (`duty.received`), takes it in, and answers ([`Answer`]) of which of the matters that were named it has other acts. There is
//! one kind of message: a comparison names matters and carries no acts, news carry acts and name their matters. So whatever is
//! lost, the next thing that is said about a matter shows it.
//!
//! Whoever drives [`Down`] asks it what to say, says it, and tells it the answer or that there was none; one at a time. After a
//! connection came back, and from time to time, it calls [`Down::restart`].
//!
//! - Both sides come to the same acts, whatever is lost, doubled or delayed: `all_sides_converge_when_a_cut_link_heals`.
//! - What a node cannot take is not said for ever: `what_a_node_cannot_take_is_not_said_for_ever`.
//! - Every message is within its bound: `a_large_matter_goes_down_in_bounded_parts`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use fengsui_config::ids::NodeId;
use fengsui_config::limits;
use serde::{Deserialize, Serialize};

use crate::act::{ActId, MatterId, MatterKind, Noted};
use crate::book::{Book, Carried};
use crate::ledger::{Digest, Ledger};

/// What a centre says to a node: the body of `PUT /api/v1/node/duty`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Say {
    /// Who says it.
    pub from: NodeId,
    /// Acts that the node may lack.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acts: Vec<Carried>,
    /// Of these matters, what the centre has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matters: Vec<(MatterId, Digest)>,
}

/// What the node answers, when what it lacked is in its journal.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Acts that were new to it.
    pub took: u64,
    /// Acts that it cannot read; a newer program made them.
    #[serde(default)]
    pub unreadable: u64,
    /// Matters of which it has other acts than the centre.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differ: Vec<Differ>,
    /// It looked only so far into what was said; what was behind is to be said again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked_to: Option<MatterId>,
}

/// A matter of which a node has other acts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Differ {
    /// The matter.
    pub matter: MatterId,
    /// What it has: the numbers of acts, by node and opening of its journal.
    pub has: Vec<(NodeId, u64, Vec<u64>)>,
}

impl Differ {
    fn of(book: &Book, matter: &MatterId) -> Self {
        let mut has: BTreeMap<(&NodeId, u64), Vec<u64>> = BTreeMap::new();
        for noted in book.acts_of(matter) {
            has.entry((&noted.id.node, noted.id.epoch)).or_default().push(noted.id.seq);
        }
        let has = has.into_iter().map(|((node, epoch), seqs)| (node.clone(), epoch, seqs)).collect();
        Self { matter: matter.clone(), has }
    }

    fn many(&self) -> usize {
        self.has.iter().map(|(_, _, seqs)| seqs.len()).sum()
    }

    fn ids(&self) -> BTreeSet<(&NodeId, u64, u64)> {
        self.has
            .iter()
            .flat_map(|(node, epoch, seqs)| seqs.iter().map(move |seq| (node, *epoch, *seq)))
            .collect()
    }
}

/// What of a message is new to the node: what it notes in `duty.received`, if it is anything.
#[must_use]
pub fn lacking(book: &Book, say: &Say) -> Vec<Carried> {
    let mut doubled = BTreeSet::new();
    let new = |carried: &&Carried| {
        carried.read().is_ok_and(|noted| book.lacks(&noted)) && doubled.insert(carried.id.clone())
    };
    say.acts.iter().filter(new).cloned().collect()
}

/// What the node answers when it has taken in what it lacked, which was `took` acts.
#[must_use]
pub fn answer(book: &Book, say: &Say, took: usize) -> Answer {
    let unreadable = say.acts.iter().filter(|carried| carried.read().is_err()).count() as u64;
    let mut answer = Answer { took: took as u64, unreadable, ..Answer::default() };
    let (mut named, mut last): (usize, Option<&MatterId>) = (0, None);
    for (matter, digest) in &say.matters {
        if named >= limits::DUTY_HAS_MAX {
            answer.looked_to = last.cloned();
            break;
        }
        if book.digest(matter) != *digest && !book.is_gone(matter) {
            let differ = Differ::of(book, matter);
            named += 1 + differ.many();
            answer.differ.push(differ);
        }
        last = Some(matter);
    }
    answer
}

/// Whom a node below stands for, and who else is below.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Concern {
    /// The node, and those below it.
    pub own: BTreeSet<NodeId>,
    /// All other nodes below this centre.
    pub others: BTreeSet<NodeId>,
}

impl Concern {
    /// Whether the node gets the acts of a matter: what began at the nodes for which it stands, incidents that name them, and
    /// what was defined at this centre or above it.
    #[must_use]
    pub fn has(&self, book: &Book, matter: &MatterId) -> bool {
        if self.own.contains(&matter.home) {
            return true;
        }
        match matter.kind {
            MatterKind::Alarm | MatterKind::Shift => false,
            MatterKind::Incident => {
                let nodes = book.incidents.get(matter).and_then(Ledger::state).map(|i| &i.open.nodes);
                nodes.is_some_and(|nodes| !nodes.is_disjoint(&self.own))
            }
            MatterKind::Unit | MatterKind::Plan | MatterKind::Rule => !self.others.contains(&matter.home),
        }
    }
}

/// What was said and is not answered yet.
#[derive(Debug, Clone, PartialEq)]
enum UnderWay {
    /// This many of the news.
    News(usize),
    /// Acts of the matter at the front of those that differ.
    Differ,
    /// A part of the comparison, up to this matter; nothing behind it is left when there is none.
    Compare(Vec<MatterId>, Option<MatterId>),
}

/// How far a comparison is.
#[derive(Debug, Clone, PartialEq)]
enum Compare {
    /// Behind this matter; from the first when there is none.
    Behind(Option<MatterId>),
    /// Through.
    Done,
}

/// Counters since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DownCounters {
    /// Messages that were answered.
    pub said: u64,
    /// Acts in them.
    pub acts: u64,
    /// Acts that were new to the node.
    pub took: u64,
    /// Acts that the node cannot read.
    pub unreadable: u64,
    /// Matters that the node did not take as they are; they are compared again with all others.
    pub stuck: u64,
    /// Messages that were not answered.
    pub failed: u64,
    /// Comparisons of all matters.
    pub compared: u64,
}

/// The centre's end for one node.
#[derive(Debug)]
pub struct Down {
    here: NodeId,
    concern: Concern,
    compare: Compare,
    differ: VecDeque<Differ>,
    /// How many acts a node had when a matter was last said to it.
    tried: BTreeMap<MatterId, usize>,
    news: VecDeque<(MatterId, ActId)>,
    under_way: Option<(u64, UnderWay, usize)>,
    ticket: u64,
    /// Since the start.
    pub counters: DownCounters,
}

impl Down {
    /// The end of the centre `here` for a node. It begins with comparing everything.
    #[must_use]
    pub fn new(here: NodeId, concern: Concern) -> Self {
        Self {
            here,
            concern,
            compare: Compare::Behind(None),
            differ: VecDeque::new(),
            tried: BTreeMap::new(),
            news: VecDeque::new(),
            under_way: None,
            ticket: 0,
            counters: DownCounters::default(),
        }
    }

    /// Compares everything anew: the link came back, or it is time.
    pub fn restart(&mut self) {
        (self.compare, self.under_way) = (Compare::Behind(None), None);
        self.differ.clear();
        self.tried.clear();
        self.news.clear();
    }

    /// Other nodes stand below: everything is compared anew if that is so.
    pub fn concerns(&mut self, concern: Concern) {
        if self.concern != concern {
            self.concern = concern;
            self.restart();
        }
    }

    /// Whom the node stands for.
    #[must_use]
    pub fn concern(&self) -> &Concern {
        &self.concern
    }

    /// An act came into the book.
    pub fn news(&mut self, book: &Book, noted: &Noted) {
        // What they did themselves they have.
        if self.concern.own.contains(&noted.id.node) || !self.concern.has(book, &noted.act.matter) {
            return;
        }
        if self.news.len() >= limits::DUTY_NEWS_MAX {
            self.restart();
            return;
        }
        self.news.push_back((noted.act.matter.clone(), noted.id.clone()));
    }

    /// Acts that are to be said; what a comparison will find is not among them.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.news.len()
    }

    /// Whether the node has everything, as far as anybody knows.
    #[must_use]
    pub fn is_in_step(&self) -> bool {
        let nothing = self.news.is_empty() && self.differ.is_empty() && self.under_way.is_none();
        nothing && self.compare == Compare::Done
    }

    /// What is to be said now, with a ticket for its answer; nothing while an answer is waited for, or when all is said.
    pub fn next(&mut self, book: &Book) -> Option<(u64, Say)> {
        if self.under_way.is_some() {
            return None;
        }
        let (under_way, say) =
            self.say_differ(book).or_else(|| self.say_news(book)).or_else(|| self.say_compare(book))?;
        self.ticket += 1;
        self.under_way = Some((self.ticket, under_way, say.acts.len()));
        Some((self.ticket, say))
    }

    fn say(&self, acts: Vec<Carried>, matters: Vec<(MatterId, Digest)>) -> Say {
        Say { from: self.here.clone(), acts, matters }
    }

    fn say_differ(&mut self, book: &Book) -> Option<(UnderWay, Say)> {
        while let Some(differ) = self.differ.front() {
            let has = differ.ids();
            let mut batch = Batch::default();
            for noted in book.acts_of(&differ.matter) {
                if !has.contains(&(&noted.id.node, noted.id.epoch, noted.id.seq)) && !batch.add(noted) {
                    break;
                }
            }
            let (matter, many) = (differ.matter.clone(), differ.many());
            if batch.acts.is_empty() {
                // The node has more: that is on its way up.
                self.differ.pop_front();
                continue;
            }
            self.tried.insert(matter.clone(), many);
            let digest = book.digest(&matter);
            return Some((UnderWay::Differ, self.say(batch.acts, vec![(matter, digest)])));
        }
        None
    }

    fn say_news(&mut self, book: &Book) -> Option<(UnderWay, Say)> {
        let (mut batch, mut said, mut matters) = (Batch::default(), 0, BTreeSet::new());
        for (matter, id) in &self.news {
            // A count that was overtaken by a higher one is not there any more.
            let act = book.acts_of(matter).find(|noted| noted.id == *id);
            if act.is_some_and(|noted| !batch.add(noted)) || matters.len() >= limits::DUTY_COMPARE_MAX {
                break;
            }
            matters.insert(matter.clone());
            said += 1;
        }
        if said == 0 {
            return None;
        }
        let matters = matters.into_iter().map(|matter| (matter.clone(), book.digest(&matter))).collect();
        Some((UnderWay::News(said), self.say(batch.acts, matters)))
    }

    fn say_compare(&mut self, book: &Book) -> Option<(UnderWay, Say)> {
        let Compare::Behind(after) = &self.compare else { return None };
        let concerned = book.digests(after.as_ref()).filter(|(matter, _)| self.concern.has(book, matter));
        let page: Vec<(MatterId, Digest)> = concerned
            .take(limits::DUTY_COMPARE_MAX)
            .map(|(matter, digest)| (matter.clone(), digest))
            .collect();
        if page.is_empty() {
            self.compare = Compare::Done;
            self.counters.compared += 1;
            return None;
        }
        let names: Vec<MatterId> = page.iter().map(|(matter, _)| matter.clone()).collect();
        let last = names.last().cloned();
        Some((UnderWay::Compare(names, last), self.say(Vec::new(), page)))
    }

    /// The node answered. An answer to something else than what was said last changes nothing.
    pub fn answered(&mut self, ticket: u64, answer: Answer) {
        let Some((_, under_way, acts)) = self.under_way.take_if(|(of, _, _)| *of == ticket) else { return };
        self.counters.said += 1;
        self.counters.acts += acts as u64;
        self.counters.took += answer.took;
        self.counters.unreadable += answer.unreadable;
        if answer.looked_to.is_some() && !matches!(under_way, UnderWay::Compare(..)) {
            // It is not worth knowing which were left out: so many at once are rare.
            self.compare = Compare::Behind(None);
        }
        match under_way {
            UnderWay::News(said) => drop(self.news.drain(..said.min(self.news.len()))),
            UnderWay::Differ => drop(self.differ.pop_front()),
            UnderWay::Compare(names, last) => {
                // A name that was not said would lead astray.
                let looked_to = answer.looked_to.filter(|to| names.contains(to));
                self.compare = Compare::Behind(looked_to.or(last));
            }
        }
        for differ in answer.differ {
            match self.tried.get(&differ.matter) {
                Some(tried) if differ.many() <= *tried => self.counters.stuck += 1,
                _ => self.differ.push_back(differ),
            }
        }
    }

    /// There was no answer: the same is said again when it is asked what to say.
    pub fn failed(&mut self, ticket: u64) {
        if self.under_way.take_if(|(of, _, _)| *of == ticket).is_some() {
            self.counters.failed += 1;
        }
    }
}

/// Acts of one message.
#[derive(Default)]
struct Batch {
    acts: Vec<Carried>,
    bytes: usize,
}

impl Batch {
    /// Puts an act in; false when there is no room for it.
    fn add(&mut self, noted: &Noted) -> bool {
        // Name, numbers and braces beside the body.
        let bytes = usize::try_from(noted.act.bytes()).unwrap_or(usize::MAX).saturating_add(160);
        if !self.acts.is_empty() && self.bytes.saturating_add(bytes) > limits::DUTY_SAY_BYTES_MAX {
            return false;
        }
        self.bytes += bytes;
        self.acts.push(Carried::of(noted));
        true
    }
}

#[cfg(test)]
mod tests;
