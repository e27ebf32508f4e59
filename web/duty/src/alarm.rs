//! The life of an alarm: new, acknowledged, in progress, resolved or false, closed.

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::CameraId;
use serde::{Deserialize, Serialize};

use crate::act::{By, ByKind, MatterId, Noted, Verb};
use crate::ledger::{Illegal, Machine, who_when};

/// How much an alarm or incident matters: 1 before all others, 4 when there is time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Level(u8);

impl Level {
    /// Every level, the most urgent first.
    pub const ALL: [Self; 4] = [Self(1), Self(2), Self(3), Self(4)];
    /// What is usual.
    pub const USUAL: Self = Self(3);
    /// As a number, 1 to 4.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }
    /// The next more urgent one.
    #[must_use]
    pub fn up(self) -> Self {
        Self(self.0.saturating_sub(1).max(1))
    }
}

impl TryFrom<u8> for Level {
    type Error = String;
    fn try_from(level: u8) -> Result<Self, String> {
        if (1..=4).contains(&level) {
            Ok(Self(level))
        } else {
            Err(format!("{level} is no level; send 1 to 4"))
        }
    }
}

impl From<Level> for u8 {
    fn from(level: Level) -> Self {
        level.0
    }
}

/// What made an alarm, as its rule was at that moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raise {
    /// The rule, `rule/node/name`.
    pub rule: MatterId,
    /// Its name then.
    pub rule_name: String,
    /// What happened: the kind of the event (`device.input`), or `absence`.
    pub kind: String,
    /// How much it matters.
    pub level: Level,
    /// Where; none for what is about no camera.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camera: Option<CameraId>,
    /// National code of the site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// What all its events have in common; one cause of one rule is one alarm while that is open.
    pub cause: String,
    /// The row of events that it began with (`node.epoch.seq`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<String>,
    /// Words of the first event.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// When the first event happened.
    pub first_us: UtcMicros,
    /// Events so far.
    pub count: u64,
    /// Seconds within which somebody is to acknowledge it; 0: it is never overdue.
    pub due_s: u32,
    /// Days for which footage around it is held; 0: it is not.
    pub hold_days: u32,
}

/// What can be done to an alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum AlarmVerb {
    /// A rule raises it: the first act. By the system alone.
    Raise(Raise),
    /// More events of its cause: all so far. Decides nothing, is possible always, and only the highest counts. By the system
    /// alone.
    Counted {
        /// Events so far.
        count: u64,
        /// When the latest happened.
        last_us: UtcMicros,
    },
    /// Somebody takes it on: new to acknowledged; that person owns it.
    Acknowledge,
    /// Work begins: acknowledged to in progress.
    Begin,
    /// It was real and is dealt with: acknowledged or in progress to resolved.
    Resolve {
        /// What was done.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        result: String,
    },
    /// There was nothing: new, acknowledged or in progress to false.
    Dismiss {
        /// Why, a word of [`FALSE_REASONS`] or own words.
        reason: String,
    },
    /// Resolved or false to in progress; it may be escalated again.
    Reopen {
        /// Why.
        reason: String,
    },
    /// Resolved or false to closed; nothing follows but notes.
    Close,
    /// Another level; not when it is closed. A more urgent one ends a snooze.
    Prioritise {
        /// The level.
        level: Level,
        /// Why.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
    /// Somebody else owns it: taken over (one's own name), or forwarded. Not when it is closed. Ends a snooze: who owns it now
    /// has not seen it.
    Own {
        /// Who.
        owner: String,
        /// Words for them.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        note: String,
    },
    /// Not to be seen until then; acknowledged or in progress only, at most [`SNOOZE_MAX_S`]. Any change of state ends it.
    Snooze {
        /// When it comes back.
        until_us: UtcMicros,
        /// Why.
        reason: String,
    },
    /// It comes back now.
    Wake,
    /// It was overdue, and goes one level up and to the supervisor's list, out of any snooze. By the system alone, once for
    /// each state that it is in; never to a less urgent level.
    Escalate {
        /// The new level.
        level: Level,
    },
    /// Words; always possible.
    Note {
        /// The words.
        text: String,
    },
    /// An incident was made of it: new and acknowledged become in progress, owned by who did it when nobody owned it. A false
    /// one is reopened, since it was something after all; a resolved one stays resolved. Another incident takes the place of
    /// the one before. Not when it is closed. Ends a snooze.
    Link {
        /// The incident.
        incident: MatterId,
    },
    /// Somebody has looked at a conflict (the text of its act's id) and leaves things as they are; always possible.
    Settle {
        /// `node.epoch.seq` of the act that is in conflict.
        act: String,
        /// Words.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        note: String,
    },
}

/// Usual reasons for a false alarm; the page offers these by number, in this order.
pub const FALSE_REASONS: [&str; 6] = ["nothing", "weather", "animal", "test", "device_fault", "authorised"];
/// Longest snooze in seconds: a shift.
pub const SNOOZE_MAX_S: u64 = 12 * 3600;

/// Where an alarm stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmState {
    /// Nobody has taken it on.
    New,
    /// Somebody has.
    Acknowledged,
    /// Somebody works on it.
    InProgress,
    /// It was real and is dealt with.
    Resolved,
    /// There was nothing.
    False,
    /// Done.
    Closed,
}

impl AlarmState {
    /// Whether somebody still has to do something: new, acknowledged, in progress.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::New | Self::Acknowledged | Self::InProgress)
    }

    /// The word for a sentence.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Acknowledged => "acknowledged",
            Self::InProgress => "in progress",
            Self::Resolved => "resolved",
            Self::False => "found false",
            Self::Closed => "closed",
        }
    }
}

/// An alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// What made it.
    pub raise: Raise,
    /// When it was raised.
    pub raised_us: UtcMicros,
    /// Where it stands.
    pub state: AlarmState,
    /// Since when.
    pub since_us: UtcMicros,
    /// How much it matters now.
    pub level: Level,
    /// Who owns it.
    pub owner: Option<String>,
    /// Events of all.
    pub count: u64,
    /// When the latest happened.
    pub last_us: UtcMicros,
    /// Until when it is snoozed; may lie in the past.
    pub snoozed_until_us: Option<UtcMicros>,
    /// When it was acknowledged first, and by whom (dismissing a new one is that as well).
    pub acknowledged: Option<(UtcMicros, By)>,
    /// When it was resolved or found false last, and by whom.
    pub settled: Option<(UtcMicros, By)>,
    /// When it was closed.
    pub closed: Option<(UtcMicros, By)>,
    /// Why it was found false, or what was done.
    pub outcome: Option<String>,
    /// It was found false: kept when it is closed.
    pub was_false: bool,
    /// How often it was escalated.
    pub escalations: u32,
    /// The state in which it was escalated last.
    pub escalated_in: Option<AlarmState>,
    /// Its incident.
    pub incident: Option<MatterId>,
}

impl Alarm {
    /// Whether it is hidden by a snooze at `now`.
    #[must_use]
    pub fn is_snoozed(&self, now: UtcMicros) -> bool {
        self.state.is_open() && self.snoozed_until_us.is_some_and(|until| now < until)
    }

    /// When it becomes overdue: nobody has acknowledged it within its time; nothing when it cannot any more.
    #[must_use]
    pub fn overdue_us(&self) -> Option<UtcMicros> {
        let due = i64::from(self.raise.due_s).saturating_mul(1_000_000);
        (self.state == AlarmState::New && due > 0).then(|| UtcMicros(self.raised_us.0.saturating_add(due)))
    }
}

fn illegal(alarm: &Alarm, want: &str) -> Illegal {
    let (code, who) = match (&alarm.closed, &alarm.settled, &alarm.acknowledged) {
        (Some(by), _, _) => ("already_closed", Some(by)),
        (_, Some(by), _) if !alarm.state.is_open() => ("already_settled", Some(by)),
        (_, _, Some(by)) if alarm.state != AlarmState::New => ("already_acknowledged", Some(by)),
        _ => ("not_yet", None),
    };
    let who = who.map(|(at, by)| who_when(*at, by)).unwrap_or_default();
    let detail = format!("The alarm is {}{who}; it cannot be {want}.", alarm.state.word());
    Illegal::new(code, detail, "Look at what was done, and go on from there.")
}

/// What only rules and time do.
fn system_only(noted: &Noted, word: &str) -> Result<(), Illegal> {
    if noted.act.by.kind == ByKind::System {
        return Ok(());
    }
    let detail = format!("{} cannot say that an alarm is {word}; the node does.", noted.act.by.name);
    Err(Illegal::new("system_only", detail, "Leave it to the rules."))
}

impl Alarm {
    /// To another state; whatever it is, the alarm is seen again.
    fn go(&mut self, to: AlarmState, at: UtcMicros) {
        (self.state, self.since_us, self.snoozed_until_us) = (to, at, None);
    }

    fn prioritise(&mut self, level: Level) {
        if level < self.level {
            self.snoozed_until_us = None;
        }
        self.level = level;
    }

    fn snooze(&mut self, at: UtcMicros, until: UtcMicros) -> Result<(), Illegal> {
        let most = i64::try_from(SNOOZE_MAX_S).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        match until.since(at) {
            ..=0 => {
                let detail = "A snooze cannot end before it begins.";
                Err(Illegal::new("in_the_past", detail, "Choose a time that is to come."))
            }
            long if long > most => {
                let detail = format!("A snooze ends within {} hours.", SNOOZE_MAX_S / 3600);
                Err(Illegal::new("too_long", detail, "Choose an earlier time, and snooze again then."))
            }
            _ => {
                self.snoozed_until_us = Some(until);
                Ok(())
            }
        }
    }

    fn link(&mut self, noted: &Noted, incident: &MatterId) -> Result<(), Illegal> {
        if self.incident.as_ref() == Some(incident) {
            let detail = format!("The alarm is part of {incident} already.");
            return Err(Illegal::new("already_linked", detail, "Go on in the incident."));
        }
        let (at, by) = (noted.act.at_us, &noted.act.by);
        self.acknowledged.get_or_insert_with(|| (at, by.clone()));
        self.owner.get_or_insert_with(|| by.name.clone());
        match self.state {
            AlarmState::New | AlarmState::Acknowledged => self.go(AlarmState::InProgress, at),
            AlarmState::False => self.reopen(at),
            _ => self.snoozed_until_us = None,
        }
        self.incident = Some(incident.clone());
        Ok(())
    }

    fn reopen(&mut self, at: UtcMicros) {
        self.go(AlarmState::InProgress, at);
        (self.settled, self.outcome, self.was_false, self.escalated_in) = (None, None, false, None);
    }

    fn settle(&mut self, noted: &Noted, to: AlarmState, outcome: &str) {
        let done = (noted.act.at_us, noted.act.by.clone());
        self.acknowledged.get_or_insert_with(|| done.clone());
        self.owner.get_or_insert_with(|| noted.act.by.name.clone());
        self.go(to, noted.act.at_us);
        self.settled = Some(done);
        (self.outcome, self.was_false) = (Some(outcome.to_owned()), to == AlarmState::False);
    }
}

impl Machine for Alarm {
    fn begin(first: &Noted) -> Result<Self, Illegal> {
        let Verb::Alarm(AlarmVerb::Raise(raise)) = &first.act.verb else {
            return Err(Illegal::new(
                "unknown",
                "No such alarm is known here.",
                "Wait until it has come over the link.",
            ));
        };
        system_only(first, "raised")?;
        Ok(Self {
            raised_us: first.act.at_us,
            state: AlarmState::New,
            since_us: first.act.at_us,
            level: raise.level,
            owner: None,
            count: raise.count,
            last_us: raise.first_us,
            snoozed_until_us: None,
            acknowledged: None,
            settled: None,
            closed: None,
            outcome: None,
            was_false: false,
            escalations: 0,
            escalated_in: None,
            incident: None,
            raise: raise.clone(),
        })
    }

    fn apply(&mut self, noted: &Noted) -> Result<(), Illegal> {
        use AlarmState::{Acknowledged, Closed, False, InProgress, New, Resolved};
        let Verb::Alarm(verb) = &noted.act.verb else { return Err(illegal(self, "this")) };
        let (at, by) = (noted.act.at_us, &noted.act.by);
        match verb {
            AlarmVerb::Raise(_) => return Err(illegal(self, verb.word())),
            // What it counts is taken in apart from the order.
            AlarmVerb::Counted { .. } => system_only(noted, verb.word())?,
            AlarmVerb::Acknowledge if self.state == New => {
                self.go(Acknowledged, at);
                self.owner = Some(by.name.clone());
                self.acknowledged = Some((at, by.clone()));
            }
            AlarmVerb::Begin if self.state == Acknowledged => self.go(InProgress, at),
            AlarmVerb::Resolve { result } if matches!(self.state, Acknowledged | InProgress) => {
                self.settle(noted, Resolved, result);
            }
            AlarmVerb::Dismiss { reason } if self.state.is_open() => self.settle(noted, False, reason),
            AlarmVerb::Reopen { .. } if matches!(self.state, Resolved | False) => self.reopen(at),
            AlarmVerb::Close if matches!(self.state, Resolved | False) => {
                self.go(Closed, at);
                self.closed = Some((at, by.clone()));
            }
            AlarmVerb::Prioritise { level, .. } if self.state != Closed => self.prioritise(*level),
            AlarmVerb::Own { owner, .. } if self.state != Closed => {
                (self.owner, self.snoozed_until_us) = (Some(owner.clone()), None);
            }
            AlarmVerb::Snooze { until_us, .. } if matches!(self.state, Acknowledged | InProgress) => {
                self.snooze(at, *until_us)?;
            }
            AlarmVerb::Wake if self.snoozed_until_us.is_some() => self.snoozed_until_us = None,
            AlarmVerb::Escalate { level } if self.state.is_open() => {
                system_only(noted, verb.word())?;
                if self.escalated_in == Some(self.state) {
                    return Err(illegal(self, "escalated twice in one state"));
                }
                (self.level, self.snoozed_until_us) = (self.level.min(*level), None);
                (self.escalations, self.escalated_in) = (self.escalations + 1, Some(self.state));
            }
            AlarmVerb::Link { incident } if self.state != Closed => self.link(noted, incident)?,
            AlarmVerb::Note { .. } | AlarmVerb::Settle { .. } => {}
            other => return Err(illegal(self, other.word())),
        }
        Ok(())
    }

    fn decides(noted: &Noted) -> Vec<String> {
        let Verb::Alarm(verb) = &noted.act.verb else { return Vec::new() };
        let words: &[&str] = match verb {
            AlarmVerb::Raise(_)
            | AlarmVerb::Counted { .. }
            | AlarmVerb::Note { .. }
            | AlarmVerb::Settle { .. } => &[],
            AlarmVerb::Acknowledge | AlarmVerb::Begin => &["state"],
            AlarmVerb::Resolve { .. }
            | AlarmVerb::Dismiss { .. }
            | AlarmVerb::Reopen { .. }
            | AlarmVerb::Close => &["state", "outcome"],
            AlarmVerb::Prioritise { .. } | AlarmVerb::Escalate { .. } => &["level"],
            AlarmVerb::Own { .. } => &["owner"],
            AlarmVerb::Snooze { .. } | AlarmVerb::Wake => &["snooze"],
            AlarmVerb::Link { .. } => &["incident", "state"],
        };
        words.iter().map(|w| (*w).to_owned()).collect()
    }

    fn tally(noted: &Noted) -> Option<(u64, UtcMicros)> {
        match &noted.act.verb {
            Verb::Alarm(AlarmVerb::Counted { count, last_us }) => Some((*count, *last_us)),
            _ => None,
        }
    }

    fn tallied(&mut self, (count, last_us): (u64, UtcMicros)) {
        self.count = self.raise.count.max(count);
        self.last_us = self.raise.first_us.max(last_us);
    }

    fn settles(noted: &Noted) -> Option<&str> {
        match &noted.act.verb {
            Verb::Alarm(AlarmVerb::Settle { act, .. }) => Some(act),
            _ => None,
        }
    }

    fn is_paper(noted: &Noted) -> bool {
        noted.act.verb.is_paper()
    }

    fn is_end(noted: &Noted) -> bool {
        let Verb::Alarm(verb) = &noted.act.verb else { return false };
        matches!(verb, AlarmVerb::Resolve { .. } | AlarmVerb::Dismiss { .. } | AlarmVerb::Close)
    }

    fn over(&self) -> Option<UtcMicros> {
        self.closed.as_ref().map(|(at, _)| *at)
    }
}

impl AlarmVerb {
    /// What it makes of an alarm, for a sentence.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Raise(_) => "raised again",
            Self::Counted { .. } => "counted",
            Self::Acknowledge => "acknowledged",
            Self::Begin => "begun",
            Self::Resolve { .. } => "resolved",
            Self::Dismiss { .. } => "found false",
            Self::Reopen { .. } => "reopened",
            Self::Close => "closed",
            Self::Prioritise { .. } => "given another priority",
            Self::Own { .. } => "given to somebody",
            Self::Snooze { .. } => "snoozed",
            Self::Wake => "woken",
            Self::Escalate { .. } => "escalated",
            Self::Note { .. } => "noted upon",
            Self::Link { .. } => "made an incident",
            Self::Settle { .. } => "settled",
        }
    }
}
