//! The driver of the rules: follows the journal record by record, hands each to the engine ([`fengsui_duty::rules`]), and
//! does what fires.
//!
//! It reads the journal and nothing else, so nothing is lost when much happens at once, and a start goes on where the state
//! that was kept last stands. An alarm that a crash kept from the journal fires again, under the same name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use fengsui_config::Topology;
use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::NodeId;
use fengsui_config::limits;
use fengsui_duty::act::{By, MatterId, MatterKind, Verb};
use fengsui_duty::alarm::{AlarmVerb, Level, Raise};
use fengsui_duty::book::Book;
use fengsui_duty::check::fitted;
use fengsui_duty::define::{Judged, RuleBody, RuleVerb, Trigger};
use fengsui_duty::rules::{Engine, Firing, Places, Stats};
use fengsui_relay::event::Priority;
use fengsui_storage::error::StoreError;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, Semaphore};

use super::ActError;
use super::records::Records;
use crate::app::App;

/// How long the driver sleeps at most.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// How often the alarms that the engine takes as open are compared with the book.
const COMPARE_INTERVAL: Duration = Duration::from_secs(60);

/// The rules of a node, for everybody else.
pub struct Rules {
    news: Notify,
    stats: Mutex<(Stats, u64)>,
    records: RwLock<Option<Arc<dyn Records>>>,
    /// Held while something is tried out.
    pub tries: Arc<Semaphore>,
}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rules").field("stats", &*self.stats.lock()).finish_non_exhaustive()
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            news: Notify::new(),
            stats: Mutex::default(),
            records: RwLock::new(None),
            tries: Arc::new(Semaphore::new(limits::RULES_TRIES_MAX)),
        }
    }
}

impl Rules {
    /// The journal has something to judge.
    pub fn news(&self) {
        self.news.notify_one();
    }

    /// What the engine holds and did, and how many records it is behind.
    #[must_use]
    pub fn stats(&self) -> (Stats, u64) {
        let (stats, seq) = *self.stats.lock();
        let last = self.records.read().as_ref().map_or(0, |records| records.last());
        (stats, last.saturating_sub(seq))
    }

    /// The records, once the driver runs.
    #[must_use]
    pub fn records(&self) -> Option<Arc<dyn Records>> {
        self.records.read().clone()
    }

    /// Says where the records are.
    pub fn attach(&self, records: Arc<dyn Records>) {
        *self.records.write() = Some(records);
    }
}

/// Judges events until the node stops. `has_centre`: the node has one, which may define rules.
pub async fn run(app: Arc<App>, records: Arc<dyn Records>, has_centre: bool) {
    app.rules.attach(records.clone());
    while !app.stop.is_cancelled() {
        match Driver::start(&app, records.clone(), has_centre).await {
            Ok(driver) => {
                if let Err(error) = driver.follow(has_centre).await {
                    tracing::error!(%error, "judging events by rules failed; it begins again from the journal");
                }
            }
            Err(error) => tracing::error!(%error, "cannot read the journal for the rules; trying again"),
        }
        tokio::select! {
            () = app.stop.cancelled() => {}
            () = tokio::time::sleep(limits::RULES_RETRY_INTERVAL) => {}
        }
    }
}

/// Why the driver begins anew.
#[derive(Debug, thiserror::Error)]
enum DriverError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the engine ended: {0}")]
    Engine(#[from] tokio::task::JoinError),
    #[error("an alarm could not be noted: {0}")]
    NotNoted(ActError),
}

/// What several firings of one rule do; each matter once.
#[derive(Default)]
struct Group {
    by: Option<By>,
    acts: Vec<(MatterId, Verb, Firing)>,
}

impl Group {
    fn has_room_for(&self, matter: &MatterId, by: &By) -> bool {
        self.by.as_ref().is_none_or(|own| own == by)
            && self.acts.len() < limits::RULES_RECORDS_AT_ONCE_MAX
            && self.acts.iter().all(|(own, _, _)| own != matter)
    }
}

struct Driver {
    app: Arc<App>,
    records: Arc<dyn Records>,
    engine: Engine,
    topology: Arc<Topology>,
    /// The newest record that the engine has.
    seq: u64,
    /// The same with its hash, once it has one of this run.
    newest: Option<(u64, [u8; 32])>,
    kept: u64,
    compared: UtcMicros,
    crowded: u64,
    /// Alarms for which there was no room, and how many events of each the alarm of their rule that stands for them has. As
    /// many as the engine takes for open.
    beyond: BTreeMap<MatterId, (MatterId, u64)>,
}

/// The engine of a node that has none kept: by what its book says and the records of the last while.
fn anew(app: &App, records: &dyn Records, has_centre: bool) -> Result<(Engine, u64), StoreError> {
    let own = app.duty.node().clone();
    let mut engine = Engine::new(own.clone(), Arc::new(Places::of(&app.topology())));
    if app.duty.read(|book| book.rules.is_empty()) {
        return Ok((engine, records.last()));
    }
    let begin = app.clock.utc() - limits::RULES_LOOK_BACK;
    let first = records.since(begin)?;
    let works_below = |home: &NodeId| {
        let relay = app.relay.read().clone();
        relay.and_then(|relay| relay.centre.clone()).is_some_and(|centre| centre.roll.works(home))
    };
    app.duty.read(|book| {
        for noted in book.rules.values().flat_map(fengsui_duty::ledger::Ledger::acts) {
            let home = &noted.act.matter.home;
            let below = *home != own && (!has_centre || works_below(home));
            if noted.act.at_us <= begin {
                engine.act(noted, below, begin);
            }
        }
        for (matter, ledger) in &book.alarms {
            let before = ledger.state().filter(|alarm| matter.home == own && alarm.raised_us <= begin);
            if let Some(alarm) = before {
                engine.known(matter, alarm, begin);
            }
        }
    });
    Ok((engine, first.saturating_sub(1)))
}

impl Driver {
    async fn start(app: &Arc<App>, records: Arc<dyn Records>, has_centre: bool) -> Result<Self, DriverError> {
        let (topology, now) = (app.topology(), app.clock.utc());
        let (read, shared, places) = (records.clone(), app.clone(), topology.clone());
        let started = tokio::task::spawn_blocking(move || match read.kept() {
            Some((mut engine, seq)) => {
                engine.at(shared.duty.node().clone(), Arc::new(Places::of(&places)), now);
                Ok((engine, seq))
            }
            None => anew(&shared, &*read, has_centre),
        });
        let (engine, seq) = started.await??;
        let app = app.clone();
        Ok(Self {
            app,
            records,
            engine,
            topology,
            seq,
            newest: None,
            kept: seq,
            compared: now,
            crowded: 0,
            beyond: BTreeMap::new(),
        })
    }

    async fn follow(mut self, has_centre: bool) -> Result<(), DriverError> {
        let mut began = false;
        loop {
            let app = self.app.clone();
            let news = app.rules.news.notified();
            // Before the records are read: what is noted up to then is judged before a time-out.
            let now = app.clock.utc();
            let topology = app.topology();
            if !Arc::ptr_eq(&topology, &self.topology) {
                self.engine.at(app.duty.node().clone(), Arc::new(Places::of(&topology)), now);
                self.topology = topology;
            }
            let more = self.step().await?;
            if app.stop.is_cancelled() {
                return self.end(now).await;
            }
            if more {
                continue;
            }
            if !std::mem::replace(&mut began, true) {
                built_in(&app, has_centre).await;
                continue;
            }
            self.engine.tick(now - limits::RULES_TICK_BEHIND);
            self.compare(now);
            self.carry_out().await?;
            self.keep(limits::RULES_SNAPSHOT_EVERY).await?;
            tokio::select! {
                () = app.stop.cancelled() => {}
                () = news => {}
                () = tokio::time::sleep(SLEEP_MAX) => {}
            }
        }
    }

    /// Judges the next records; whether there may be more.
    async fn step(&mut self) -> Result<bool, DriverError> {
        if self.records.last() <= self.seq {
            return Ok(false);
        }
        let (records, from) = (self.records.clone(), self.seq + 1);
        let mut engine = std::mem::take(&mut self.engine);
        let judged = tokio::task::spawn_blocking(move || {
            let read = records.after(from, limits::RULES_RECORDS_AT_ONCE_MAX);
            let read = read.inspect(|found| found.iter().for_each(|record| engine.record(record)));
            (engine, read)
        });
        let (engine, read) = judged.await?;
        self.engine = engine;
        let read = read?;
        let found = read.len();
        if let Some(newest) = read.last() {
            self.seq = newest.seq;
            self.newest = Some((newest.seq, newest.hash));
        }
        self.carry_out().await?;
        self.keep(limits::RULES_SNAPSHOT_EVERY).await?;
        Ok(found > 0)
    }

    /// Does what fired: alarms first, the most urgent before the others, then counts.
    async fn carry_out(&mut self) -> Result<(), DriverError> {
        let mut firings = self.engine.take();
        firings.sort_by_key(|firing| match firing {
            Firing::Raise { raise, .. } => raise.level.get(),
            Firing::Counted { .. } => u8::MAX,
        });
        let mut group = Group::default();
        for firing in firings {
            let Some((matter, verb, by)) = self.what(&firing) else { continue };
            if !group.has_room_for(&matter, &by) {
                self.note(std::mem::take(&mut group)).await?;
            }
            group.by.get_or_insert(by);
            group.acts.push((matter, Verb::Alarm(verb), firing));
        }
        self.note(group).await?;
        let stats = self.engine.stats();
        if stats.crowded > self.crowded {
            tracing::warn!(
                events = stats.crowded - self.crowded,
                "rules find more causes than they tell apart; these share alarms"
            );
            self.crowded = stats.crowded;
        }
        *self.app.rules.stats.lock() = (stats, self.seq);
        Ok(())
    }

    /// What a firing does; nothing when that is done.
    fn what(&self, firing: &Firing) -> Option<(MatterId, AlarmVerb, By)> {
        let (app, duty) = (&self.app, &self.app.duty);
        match firing {
            Firing::Raise { matter, raise, origin } => {
                let is_done = |book: &Book| {
                    book.is_gone(matter)
                        || book.alarms.get(matter).is_some_and(|alarm| alarm.state().is_some())
                };
                if duty.read(is_done) {
                    return None;
                }
                let mut raise = fitted(raise.clone());
                let row = origin.as_ref().and_then(|(node, cause)| {
                    app.desk.rows().read().current(node, cause).map(|row| row.id.to_string())
                });
                raise.row = row.or(raise.row);
                let by = By::system(raise.rule_name.clone());
                Some((matter.clone(), AlarmVerb::Raise(raise), by))
            }
            Firing::Counted { matter, rule_name, count, last_us } => {
                let known = duty.read(|book| book.alarms.get(matter).and_then(|a| Some(a.state()?.count)));
                if known.is_some_and(|known| known >= *count)
                    || known.is_none() && !self.beyond.contains_key(matter)
                {
                    return None;
                }
                let counted = AlarmVerb::Counted { count: *count, last_us: *last_us };
                Some((matter.clone(), counted, By::system(rule_name.clone())))
            }
        }
    }

    /// Notes what several firings of one rule do, until the journal has it.
    async fn note(&mut self, mut group: Group) -> Result<(), DriverError> {
        let Some(by) = group.by.take() else { return Ok(()) };
        while !group.acts.is_empty() {
            let acts = group.acts.iter().map(|(matter, verb, _)| (matter.clone(), verb.clone())).collect();
            let outcomes = self.app.duty.act_each(&self.app, acts, &by).await;
            let mut again = Vec::new();
            for (act, outcome) in std::mem::take(&mut group.acts).into_iter().zip(outcomes) {
                match outcome {
                    Ok(_) => {}
                    Err(ActError::Illegal(why)) => {
                        let no_room = matches!(why.code.as_str(), "too_many_open" | "unknown");
                        let beyond = if no_room { self.beyond(&act.2) } else { None };
                        match beyond {
                            Some((matter, verb, by)) => self.note_alone(matter, verb, by).await?,
                            None => {
                                tracing::warn!(alarm = %act.0, code = why.code, "what a rule found is not possible any more");
                            }
                        }
                    }
                    Err(error @ ActError::Register(_)) => {
                        self.wait(error).await?;
                        again.push(act);
                    }
                }
            }
            group.acts = again;
        }
        Ok(())
    }

    async fn note_alone(&self, matter: MatterId, verb: AlarmVerb, by: By) -> Result<(), DriverError> {
        loop {
            match self.app.duty.act(&self.app, &matter, Verb::Alarm(verb.clone()), by.clone()).await {
                Ok(_) => return Ok(()),
                Err(ActError::Illegal(why)) => {
                    tracing::error!(alarm = %matter, code = why.code, "there is no room for what a rule found");
                    return Ok(());
                }
                Err(error) => self.wait(error).await?,
            }
        }
    }

    /// Waits a moment, unless the node stops.
    async fn wait(&self, error: ActError) -> Result<(), DriverError> {
        if self.app.stop.is_cancelled() {
            return Err(DriverError::NotNoted(error));
        }
        tracing::error!(%error, "cannot note an alarm; trying again");
        tokio::select! {
            () = self.app.stop.cancelled() => {}
            () = tokio::time::sleep(limits::RULES_RETRY_INTERVAL) => {}
        }
        Ok(())
    }

    /// What is done instead of a firing for which this node has no room: one alarm of its rule stands for all of these.
    fn beyond(&mut self, firing: &Firing) -> Option<(MatterId, AlarmVerb, By)> {
        let duty = &self.app.duty;
        match firing {
            Firing::Raise { matter, raise, .. } => {
                let (id, known) = duty.read(|book| {
                    let id = book.overflow_alarm(duty.node(), &raise.rule);
                    let count = book.alarms.get(&id).and_then(|l| Some(l.state()?.count));
                    (id, count)
                });
                let (raise, by) = (fitted(raise.clone()), By::system(raise.rule_name.clone()));
                self.beyond.insert(matter.clone(), (id.clone(), raise.count));
                let verb = match known {
                    Some(count) => AlarmVerb::Counted { count: count + raise.count, last_us: raise.first_us },
                    None => {
                        let (cause, row) = ("no room for more alarms".to_owned(), None);
                        AlarmVerb::Raise(Raise { cause, row, camera: None, site: None, ..raise })
                    }
                };
                Some((id, verb, by))
            }
            Firing::Counted { matter, rule_name, count, last_us } => {
                let (id, had) = self.beyond.get_mut(matter)?;
                let more = count.saturating_sub(std::mem::replace(had, (*count).max(*had)));
                let known = duty.read(|book| book.alarms.get(id).and_then(|l| Some(l.state()?.count)))?;
                let verb = AlarmVerb::Counted { count: known + more, last_us: *last_us };
                Some((id.clone(), verb, By::system(rule_name.clone())))
            }
        }
    }

    /// Where the engine and the book do not agree on what is open, the book is right: of acts that several nodes made at once
    /// it knows which stand.
    fn compare(&mut self, now: UtcMicros) {
        if now.since(self.compared) < i64::try_from(COMPARE_INTERVAL.as_micros()).unwrap_or(i64::MAX) {
            return;
        }
        self.compared = now;
        let standing: Vec<(MatterId, bool)> =
            self.engine.standing().map(|(matter, over)| (matter.clone(), over.is_some())).collect();
        if !self.beyond.is_empty() {
            let stands: BTreeSet<&MatterId> = standing.iter().map(|(matter, _)| matter).collect();
            self.beyond.retain(|matter, _| stands.contains(matter));
        }
        let book: BTreeMap<MatterId, Option<UtcMicros>> = self.app.duty.read(|book| {
            let state = |matter: &MatterId| book.alarms.get(matter).and_then(|ledger| ledger.state());
            let alarms = standing.iter().filter_map(|(matter, _)| Some((matter.clone(), state(matter)?)));
            let over = |alarm: &fengsui_duty::alarm::Alarm| {
                (!alarm.state.is_open()).then(|| alarm.settled.as_ref().map_or(alarm.since_us, |(at, _)| *at))
            };
            alarms.map(|(matter, alarm)| (matter, over(alarm))).collect()
        });
        for (matter, was_over) in standing {
            match book.get(&matter) {
                Some(Some(at)) if !was_over => self.engine.alarm_over(&matter, *at),
                Some(None) if was_over => self.engine.alarm_open(&matter),
                _ => {}
            }
        }
    }

    /// Keeps the engine for the next start, when it was fed `every` records since it was kept last.
    async fn keep(&mut self, every: u64) -> Result<(), DriverError> {
        let Some(newest) = self.newest.filter(|(seq, _)| *seq >= self.kept + every) else {
            return Ok(());
        };
        let (records, engine) = (self.records.clone(), self.engine.clone());
        if let Err(error) = tokio::task::spawn_blocking(move || records.keep(engine, newest)).await? {
            tracing::warn!(%error, "cannot keep the state of the rules; the next start takes longer");
        }
        self.kept = self.seq;
        Ok(())
    }

    /// Tells every count to the end, and keeps the engine.
    async fn end(mut self, now: UtcMicros) -> Result<(), DriverError> {
        self.engine.flush(now);
        self.carry_out().await?;
        self.keep(1).await
    }
}

/// Rules that every node has from its first start: nobody has to know of rules to be told of an alarm. A node with a centre
/// gets its rules from there.
#[must_use]
pub fn built_in_rules() -> Vec<(&'static str, RuleBody)> {
    let rule = |name: &str, kinds: &[&str], trigger, level: u8| RuleBody {
        name: name.to_owned(),
        enabled: true,
        judged: Judged::Origin,
        kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
        min_priority: None,
        cameras: Vec::new(),
        area: Vec::new(),
        hours: Vec::new(),
        trigger,
        level: Level::try_from(level).unwrap_or(Level::USUAL),
        hold_off_s: 60,
        due_s: 60,
        hold_days: 30,
    };
    let alarm = Some(Priority::Alarm);
    let storage = ["storage.volume", "storage.slow", "node.journal", "node.key"];
    vec![
        (
            "devices",
            RuleBody { min_priority: alarm, ..rule("设备报警", &["device.input"], Trigger::Each, 2) },
        ),
        (
            "storage",
            RuleBody {
                min_priority: alarm,
                due_s: 600,
                hold_days: 0,
                ..rule("存储与日志", &storage, Trigger::Each, 2)
            },
        ),
        (
            "silent",
            RuleBody {
                due_s: 600,
                hold_days: 0,
                ..rule("摄像机离线", &["camera.offline"], Trigger::Lasting { for_s: 300 }, 3)
            },
        ),
    ]
}

/// Makes the built-in rules where there has never been any, and nobody above who would.
async fn built_in(app: &App, has_centre: bool) {
    if has_centre || app.duty.read(|book| !book.rules.is_empty()) {
        return;
    }
    for (name, body) in built_in_rules() {
        let matter =
            MatterId { kind: MatterKind::Rule, home: app.duty.node().clone(), name: name.to_owned() };
        let verb = Verb::Rule(RuleVerb::Define(body));
        if let Err(error) = app.duty.act(app, &matter, verb, By::system("first start")).await {
            tracing::error!(%error, rule = name, "cannot make a built-in rule");
        }
    }
}
