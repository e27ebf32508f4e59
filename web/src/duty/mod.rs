//! Alarms, incidents and all that is done about them, at this node: the book ([`fengsui_duty::book`]) and the one way into it.
//!
//! An act is tried against the book, written to the journal, and only then in the book and on the screens. One after the
//! other: of two people who do the same at once, the second is refused and told what the first did.
//!
//! - [`tell`] says to browsers what changed, and no more often than they can bear.
//! - [`clock`] does what time does: an alarm that nobody acknowledged is escalated.
//! - [`holds`] holds the footage around alarms, for the days of their rules.
//! - [`down`] brings a node below what it lacks.
//! - [`incident`] opens incidents, and fills acts on them in.
//! - [`files`] keeps attachments under their hashes.
//! - [`view`] shows matters with the names of what they are about.

pub mod clock;
pub mod down;
pub mod files;
pub mod holds;
pub mod incident;
pub mod notices;
pub mod tell;
pub mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::sync::Arc;

pub mod records;
pub mod rules;
#[cfg(test)]
mod rules_tests;

pub mod links;
pub mod places;
pub mod units;
pub mod whereabouts;

pub mod outward;
pub mod reports;
pub mod shift;

use fengsui_config::ids::NodeId;
use fengsui_config::limits;
use fengsui_duty::act::{ActId, By, MatterId, MatterKind, Noted, Verb};
use fengsui_duty::book::{Book, record_kind};
use fengsui_duty::ledger::Illegal;
use fengsui_relay::inbox::AppliedPart;
use fengsui_storage::journal::JournalRecord;
use futures::future::join_all;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use crate::app::App;
use crate::auth::register::RegisterError;
use down::DownSide;
use files::Files;
use holds::HoldCounters;
use tell::Teller;

/// Why an act did not happen.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ActError {
    /// It is not possible in the state that the matter is in.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// It could not be noted.
    #[error(transparent)]
    Register(#[from] RegisterError),
}

impl ActError {
    /// A stable word for programs.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Illegal(illegal) => &illegal.code,
            Self::Register(_) => "internal",
        }
    }
}

/// Acts by what they were about and whether they were done.
pub type Outcomes = BTreeMap<(MatterKind, bool), u64>;

/// The book of this node.
#[derive(Debug)]
pub struct Duty {
    node: NodeId,
    epoch: u64,
    book: RwLock<Book>,
    /// Alarms that somebody has to do something about, and those with a conflict at which nobody has looked.
    standing: RwLock<BTreeSet<MatterId>>,
    /// Each is held from the trial of an act until that is in the journal and in the book; a matter has one of them.
    turns: Vec<tokio::sync::Mutex<()>>,
    /// Held while an incident is opened: numbers follow each other, and an alarm becomes one incident.
    opening: tokio::sync::Mutex<()>,
    outcomes: Mutex<Outcomes>,
    teller: Teller,
    files: RwLock<Option<Arc<Files>>>,
    /// What holds of footage came to.
    pub holds: HoldCounters,
    /// What goes to nodes below.
    pub down: DownSide,
    /// Something is in the book that was not.
    pub news: Notify,
}

impl Duty {
    /// Goes on from `book`, on a journal in its opening `epoch`.
    #[must_use]
    pub fn new(node: NodeId, epoch: u64, book: Book) -> Self {
        let duty = Self {
            node,
            epoch,
            standing: RwLock::default(),
            book: RwLock::default(),
            turns: std::iter::repeat_with(tokio::sync::Mutex::default).take(limits::DUTY_TURNS).collect(),
            opening: tokio::sync::Mutex::default(),
            outcomes: Mutex::default(),
            teller: Teller::default(),
            files: RwLock::new(None),
            holds: HoldCounters::default(),
            down: DownSide::default(),
            news: Notify::new(),
        };
        duty.go_on(book);
        duty
    }

    /// Goes on from another book: what the journal says, which is read when recording has begun.
    pub fn go_on(&self, book: Book) {
        let standing = book.alarms.iter().filter(|(_, ledger)| view::is_standing(ledger));
        let standing = standing.map(|(id, _)| id.clone()).collect();
        let mut now = self.book.write();
        *self.standing.write() = standing;
        *now = book;
    }

    /// This node.
    #[must_use]
    pub fn node(&self) -> &NodeId {
        &self.node
    }

    /// Looks at the book. Nothing else goes on meanwhile: take what is needed, and no more.
    pub fn read<T>(&self, look: impl FnOnce(&Book) -> T) -> T {
        look(&self.book.read())
    }

    /// As [`Self::read`], with the alarms that are open or have a conflict at which nobody has looked.
    pub fn read_standing<T>(&self, look: impl FnOnce(&Book, &BTreeSet<MatterId>) -> T) -> T {
        // The book first, as everywhere.
        let book = self.book.read();
        look(&book, &self.standing.read())
    }

    /// Acts since the start, by what they were about and whether they were done.
    #[must_use]
    pub fn outcomes(&self) -> Outcomes {
        self.outcomes.lock().clone()
    }

    /// Where attachments are kept; none in most tests.
    #[must_use]
    pub fn files(&self) -> Option<Arc<Files>> {
        self.files.read().clone()
    }

    /// Keeps attachments in a folder from now on.
    pub fn keep_files(&self, folder: &Path) {
        *self.files.write() = Some(Arc::new(Files::new(folder.to_owned())));
    }

    /// Does something: tries it, writes it down, takes it in, and tells.
    ///
    /// # Errors
    /// Why it did not happen; then nothing changed.
    pub async fn act(&self, app: &App, matter: &MatterId, verb: Verb, by: By) -> Result<ActId, ActError> {
        let mut done = self.act_each(app, vec![(matter.clone(), verb)], &by).await;
        done.pop().unwrap_or_else(|| Err(RegisterError("nothing was done".to_owned()).into()))
    }

    /// Does something to each of several matters, every one by itself; the outcomes are in their order. A matter that is named
    /// again is tried as if it were the first time, so name each once.
    ///
    /// What is begun is brought to its end, whether the caller waits for it or not: a browser that went away must not leave an
    /// act in the journal that is not in the book.
    pub async fn act_each(
        &self,
        app: &App,
        wanted: Vec<(MatterId, Verb)>,
        by: &By,
    ) -> Vec<Result<ActId, ActError>> {
        let (count, by) = (wanted.len(), by.clone());
        let Some(whole) = app.whole() else { return Vec::new() };
        let doing = app.tasks.spawn(async move { whole.duty.do_each(&whole, wanted, &by).await });
        doing.await.unwrap_or_else(|error| {
            let failed = || Err(RegisterError(error.to_string()).into());
            std::iter::repeat_with(failed).take(count).collect()
        })
    }

    async fn do_each(
        &self,
        app: &App,
        wanted: Vec<(MatterId, Verb)>,
        by: &By,
    ) -> Vec<Result<ActId, ActError>> {
        let turns: BTreeSet<usize> = wanted.iter().map(|(matter, _)| self.turn(matter)).collect();
        // In one order everywhere, so that nobody waits for somebody who waits for them.
        let mut held = Vec::with_capacity(turns.len());
        for turn in turns {
            if let Some(turn) = self.turns.get(turn) {
                held.push(turn.lock().await);
            }
        }
        let at = app.clock.utc();
        let tried: Vec<_> = self.read(|book| {
            let try_one = |(matter, verb): (MatterId, Verb)| {
                let may = book.may_act(&matter, &self.node);
                (matter.kind, may.and_then(|()| book.propose(&matter, verb, by.clone(), at)))
            };
            wanted.into_iter().map(try_one).collect()
        });
        let written = tried.into_iter().map(|(kind, tried)| async move {
            let act = match tried {
                Ok(act) => act,
                Err(illegal) => return (kind, Err(ActError::Illegal(illegal))),
            };
            let seq = app.auth.register.append(record_kind(&act.verb), act.body()).await;
            let noted =
                seq.map(|seq| Noted { id: ActId { node: self.node.clone(), epoch: self.epoch, seq }, act });
            (kind, noted.map_err(ActError::Register))
        });
        let written = join_all(written).await;
        let (mut ids, mut new) = (Vec::with_capacity(written.len()), Vec::new());
        {
            let mut outcomes = self.outcomes.lock();
            for (kind, noted) in written {
                *outcomes.entry((kind, noted.is_ok())).or_default() += 1;
                ids.push(noted.map(|noted| {
                    let id = noted.id.clone();
                    new.push(noted);
                    id
                }));
            }
        }
        self.taken(app, new);
        drop(held);
        if let Some(relay) = &*app.relay.read() {
            relay.news();
        }
        ids
    }

    /// The lock of a matter.
    fn turn(&self, matter: &MatterId) -> usize {
        let mut hasher = DefaultHasher::new();
        matter.hash(&mut hasher);
        usize::try_from(hasher.finish() % limits::DUTY_TURNS as u64).unwrap_or(0)
    }

    /// Takes in a record that is in the journal already: what came from other nodes.
    pub fn take_record(&self, app: &App, record: &JournalRecord) {
        let taken = {
            let mut book = self.book.write();
            let taken = book.take_record(record);
            self.look_at(&book, taken.as_deref().unwrap_or_default());
            taken
        };
        match taken {
            Ok(acts) => self.told(app, &acts),
            Err(error) => tracing::error!(%error, "cannot take a record into the book"),
        }
    }

    /// Takes in acts that are in the journal.
    pub fn taken(&self, app: &App, acts: Vec<Noted>) {
        let new: Vec<Noted> = {
            let mut book = self.book.write();
            let new: Vec<Noted> = acts.into_iter().filter(|noted| book.take(noted.clone())).collect();
            self.look_at(&book, &new);
            new
        };
        self.told(app, &new);
    }

    /// Takes in what a node below sent and what is in the journal, as far as it was that node's to do.
    pub fn take_part(&self, app: &App, part: &AppliedPart) {
        let new = {
            let mut book = self.book.write();
            let new = book.take_part(part, &self.node);
            self.look_at(&book, &new);
            new
        };
        self.told(app, &new);
    }

    /// Keeps what is standing by what is new.
    fn look_at(&self, book: &Book, new: &[Noted]) {
        let mut standing = self.standing.write();
        for matter in new.iter().map(|noted| &noted.act.matter).filter(|m| m.kind == MatterKind::Alarm) {
            if book.alarms.get(matter).is_some_and(view::is_standing) {
                standing.insert(matter.clone());
            } else {
                standing.remove(matter);
            }
        }
    }

    fn told(&self, app: &App, new: &[Noted]) {
        if !new.is_empty() {
            tell::told(app, new);
            self.down.told(new);
            app.outward.told(app, new);
            self.news.notify_waiters();
            app.rules.news();
        }
    }
}

/// Starts what the node does by itself about alarms and incidents.
pub fn start(app: &Arc<App>) {
    app.tasks.spawn(tell::run(app.clone()));
    app.tasks.spawn(clock::run(app.clone()));
    app.tasks.spawn(holds::run(app.clone()));
}
