//! What can be done to an incident in which state, and what it makes of it.

use std::collections::{BTreeMap, BTreeSet};

use fengsui_config::clock::UtcMicros;

use super::{Dispatch, Incident, IncidentState, IncidentVerb, Progress, SentUnit, StepTaken};
use crate::act::{MatterId, Noted, Verb};
use crate::define::{PlanBody, PlanStep};
use crate::ledger::{Illegal, Machine, who_when};

impl Machine for Incident {
    fn begin(first: &Noted) -> Result<Self, Illegal> {
        let Verb::Incident(IncidentVerb::Open(open)) = &first.act.verb else {
            let detail = "No such incident is known here.";
            return Err(Illegal::new("unknown", detail, "Wait until it has come over the link."));
        };
        Ok(Self {
            open: open.clone(),
            opened_us: first.act.at_us,
            opened_by: first.act.by.clone(),
            state: IncidentState::Open,
            since_us: first.act.at_us,
            since_by: first.act.by.clone(),
            people: BTreeSet::new(),
            plan: None,
            steps: Vec::new(),
            dispatches: BTreeMap::new(),
            result: None,
            resolved_us: None,
            over: None,
        })
    }

    fn apply(&mut self, noted: &Noted) -> Result<(), Illegal> {
        let Verb::Incident(verb) = &noted.act.verb else {
            return Err(Illegal::new(
                "unknown",
                "This is nothing that can be done to an incident.",
                "Look at its page.",
            ));
        };
        match verb {
            IncidentVerb::Open(_) => {
                let detail = format!("It was opened{}.", who_when(self.opened_us, &self.opened_by));
                return Err(Illegal::new("already_open", detail, "Open another one."));
            }
            IncidentVerb::Assign { .. } | IncidentVerb::Edit { .. } | IncidentVerb::AddAlarm { .. } => {
                self.not_over("be changed")?;
                self.change(noted, verb);
            }
            IncidentVerb::AddCamera { camera } => drop(self.open.cameras.insert(*camera)),
            IncidentVerb::Share { node } => drop(self.open.nodes.insert(node.clone())),
            IncidentVerb::AddClip { .. }
            | IncidentVerb::Note { .. }
            | IncidentVerb::Attach { .. }
            | IncidentVerb::Settle { .. } => {}
            IncidentVerb::UsePlan { plan, body } => self.use_plan(plan, body)?,
            IncidentVerb::StepDone { step, answer, note } => {
                self.step(noted, step, false, answer.as_ref(), note)?;
            }
            IncidentVerb::StepSkipped { step, reason } => self.step(noted, step, true, None, reason)?,
            IncidentVerb::Dispatch { id, unit, order } => self.dispatch(noted, id, unit, order)?,
            IncidentVerb::Progressed { id, to, result } => self.progress(noted.act.at_us, id, *to, result)?,
            IncidentVerb::Resolve { result } => {
                self.active("be resolved")?;
                self.nobody_under_way("resolved")?;
                if let Some(step) = self.next_step() {
                    let detail = format!("The step `{}` of the plan is not taken.", step.id);
                    return Err(Illegal::new("steps_left", detail, "Take it, or skip it and say why."));
                }
                self.go(noted, IncidentState::Resolved);
                (self.result, self.resolved_us) = (Some(result.clone()), Some(noted.act.at_us));
            }
            IncidentVerb::Cancel { reason } => {
                self.active("be cancelled")?;
                self.nobody_under_way("cancelled")?;
                self.go(noted, IncidentState::Cancelled);
                self.result = Some(reason.clone());
                self.over = Some((noted.act.at_us, noted.act.by.clone()));
            }
            IncidentVerb::Reopen { .. } => {
                self.resolved("be reopened")?;
                self.go(noted, IncidentState::Handling);
                (self.result, self.resolved_us) = (None, None);
            }
            IncidentVerb::Close => {
                self.resolved("be closed")?;
                self.go(noted, IncidentState::Closed);
                self.over = Some((noted.act.at_us, noted.act.by.clone()));
            }
        }
        Ok(())
    }

    fn decides(noted: &Noted) -> Vec<String> {
        let Verb::Incident(verb) = &noted.act.verb else { return Vec::new() };
        match verb {
            IncidentVerb::Open(_)
            | IncidentVerb::AddAlarm { .. }
            | IncidentVerb::AddCamera { .. }
            | IncidentVerb::AddClip { .. }
            | IncidentVerb::Note { .. }
            | IncidentVerb::Attach { .. }
            | IncidentVerb::Share { .. }
            | IncidentVerb::Settle { .. } => Vec::new(),
            IncidentVerb::Assign { .. } => vec!["people".to_owned()],
            IncidentVerb::Edit { title, kind, level, place } => {
                let fields = [
                    (title.is_some(), "title"),
                    (kind.is_some(), "kind"),
                    (level.is_some(), "level"),
                    (place.is_some(), "place"),
                ];
                fields.into_iter().filter(|f| f.0).map(|f| f.1.to_owned()).collect()
            }
            IncidentVerb::UsePlan { .. } => vec!["plan".to_owned()],
            IncidentVerb::StepDone { step, .. } | IncidentVerb::StepSkipped { step, .. } => {
                vec![format!("step/{step}")]
            }
            IncidentVerb::Dispatch { unit, .. } => vec![format!("unit/{}", unit.id)],
            // That it knows of the order changes nothing for the desk; that it is there does.
            IncidentVerb::Progressed { to: Progress::Sent | Progress::Received, .. } => Vec::new(),
            IncidentVerb::Progressed { id, .. } => vec![format!("dispatch/{id}")],
            IncidentVerb::Resolve { .. }
            | IncidentVerb::Reopen { .. }
            | IncidentVerb::Close
            | IncidentVerb::Cancel { .. } => vec!["state".to_owned()],
        }
    }

    fn settles(noted: &Noted) -> Option<&str> {
        match &noted.act.verb {
            Verb::Incident(IncidentVerb::Settle { act, .. }) => Some(act),
            _ => None,
        }
    }

    fn is_paper(noted: &Noted) -> bool {
        noted.act.verb.is_paper()
    }

    fn is_end(noted: &Noted) -> bool {
        let Verb::Incident(verb) = &noted.act.verb else { return false };
        matches!(
            verb,
            IncidentVerb::StepSkipped { .. }
                | IncidentVerb::Progressed { .. }
                | IncidentVerb::Resolve { .. }
                | IncidentVerb::Close
                | IncidentVerb::Cancel { .. }
        )
    }

    fn over(&self) -> Option<UtcMicros> {
        self.over.as_ref().map(|(at, _)| *at)
    }
}

impl Incident {
    fn go(&mut self, noted: &Noted, to: IncidentState) {
        (self.state, self.since_us, self.since_by) = (to, noted.act.at_us, noted.act.by.clone());
    }

    /// Somebody does something: open becomes handling.
    fn handle(&mut self, noted: &Noted) {
        if self.state == IncidentState::Open {
            self.go(noted, IncidentState::Handling);
        }
    }

    /// Refuses what the state does not allow, and says who brought it there.
    fn refused(&self, what: &str) -> Illegal {
        let (code, is, remedy) = match self.state {
            IncidentState::Open => ("not_resolved", "open", "Resolve it first."),
            IncidentState::Handling => ("not_resolved", "being handled", "Resolve it first."),
            IncidentState::Resolved => ("already_resolved", "resolved", "Reopen it first."),
            IncidentState::Closed => {
                ("already_closed", "closed", "Open a new one; notes and papers can be added.")
            }
            IncidentState::Cancelled => {
                ("already_cancelled", "cancelled", "Open a new one; notes and papers can be added.")
            }
        };
        let who = who_when(self.since_us, &self.since_by);
        Illegal::new(code, format!("The incident is {is}{who}; it cannot {what}."), remedy)
    }

    fn not_over(&self, what: &str) -> Result<(), Illegal> {
        if self.is_over() { Err(self.refused(what)) } else { Ok(()) }
    }

    fn active(&self, what: &str) -> Result<(), Illegal> {
        let active = matches!(self.state, IncidentState::Open | IncidentState::Handling);
        if active { Ok(()) } else { Err(self.refused(what)) }
    }

    fn resolved(&self, what: &str) -> Result<(), Illegal> {
        if self.state == IncidentState::Resolved { Ok(()) } else { Err(self.refused(what)) }
    }

    fn nobody_under_way(&self, what: &str) -> Result<(), Illegal> {
        let Some(sent) = self.dispatches.values().find(|d| d.progress.is_open()) else { return Ok(()) };
        let detail = format!("{} is under way; the incident cannot be {what}.", sent.unit.name);
        Err(Illegal::new("unit_under_way", detail, "Wait until it is done, or recall it."))
    }

    fn change(&mut self, noted: &Noted, verb: &IncidentVerb) {
        match verb {
            IncidentVerb::Assign { people } => {
                self.people.clone_from(people);
                self.handle(noted);
            }
            IncidentVerb::Edit { title, kind, level, place } => {
                let open = &mut self.open;
                title.iter().for_each(|title| open.title.clone_from(title));
                kind.iter().for_each(|kind| open.kind.clone_from(kind));
                level.iter().for_each(|level| open.level = *level);
                place.iter().for_each(|place| open.place.clone_from(place));
            }
            IncidentVerb::AddAlarm { alarm } => drop(self.open.alarms.insert(alarm.clone())),
            _ => {}
        }
    }

    fn use_plan(&mut self, plan: &MatterId, body: &PlanBody) -> Result<(), Illegal> {
        self.active("be given a plan")?;
        if let Some(first) = self.steps.first() {
            let who = who_when(first.at_us, &first.by);
            let detail = format!("The step `{}` of the plan was taken{who}.", first.step);
            return Err(Illegal::new("plan_begun", detail, "Go on with this plan; skip what does not fit."));
        }
        self.plan = Some((plan.clone(), body.clone()));
        Ok(())
    }

    fn step(
        &mut self,
        noted: &Noted,
        step: &str,
        skipped: bool,
        answer: Option<&String>,
        note: &str,
    ) -> Result<(), Illegal> {
        self.active("take steps")?;
        if self.plan.is_none() {
            return Err(Illegal::new("no_plan", "The incident has no plan.", "Choose one first."));
        }
        if let Some(taken) = self.steps.iter().find(|taken| taken.step == step) {
            let how = if taken.skipped { "skipped" } else { "done" };
            let detail = format!("The step `{step}` was {how}{}.", who_when(taken.at_us, &taken.by));
            return Err(Illegal::new("already_taken", detail, "Go on with the next step."));
        }
        match self.next_step() {
            None => {
                return Err(Illegal::new(
                    "plan_through",
                    "No step of the plan is left.",
                    "Resolve the incident.",
                ));
            }
            Some(next) if next.id != step => {
                let detail = format!("The step `{step}` is not the next one; `{}` is.", next.id);
                return Err(Illegal::new("not_next", detail, "Take that one, or skip it and say why."));
            }
            Some(next) if !skipped => right_answer(next, answer)?,
            Some(_) => {}
        }
        self.steps.push(StepTaken {
            step: step.to_owned(),
            skipped,
            answer: answer.cloned(),
            note: note.to_owned(),
            at_us: noted.act.at_us,
            by: noted.act.by.clone(),
        });
        self.handle(noted);
        Ok(())
    }

    fn dispatch(&mut self, noted: &Noted, id: &str, unit: &SentUnit, order: &str) -> Result<(), Illegal> {
        self.active("be given a unit")?;
        let (at, by) = (noted.act.at_us, &noted.act.by);
        if let Some(sent) = self.dispatches.get(id) {
            let detail = format!("The dispatch `{id}` is that of {}.", sent.unit.name);
            return Err(Illegal::new("dispatch_taken", detail, "Send it under another id."));
        }
        let busy = |sent: &&Dispatch| sent.unit.id == unit.id && sent.progress.is_open();
        if let Some(sent) = self.dispatches.values().find(busy) {
            let sent_us = sent.times.get(&Progress::Sent).copied().unwrap_or_default();
            let detail = format!("{} was sent here{}.", unit.name, who_when(sent_us, &sent.by));
            return Err(Illegal::new("already_sent", detail, "Wait for it, or recall it and send it anew."));
        }
        let times = BTreeMap::from([(Progress::Sent, at)]);
        let (unit, order, by, progress) = (unit.clone(), order.to_owned(), by.clone(), Progress::Sent);
        let dispatch = Dispatch { unit, order, by, progress, times, result: String::new() };
        self.dispatches.insert(id.to_owned(), dispatch);
        self.handle(noted);
        Ok(())
    }

    fn progress(&mut self, at: UtcMicros, id: &str, to: Progress, result: &str) -> Result<(), Illegal> {
        let Some(sent) = self.dispatches.get_mut(id) else {
            let detail = format!("No unit was sent as `{id}`.");
            return Err(Illegal::new("no_such_dispatch", detail, "Look at the units that were sent."));
        };
        let is = sent.progress;
        if !is.is_open() {
            let detail = format!("{} is {} already.", sent.unit.name, is.word());
            return Err(Illegal::new("dispatch_over", detail, "Send it anew if it is needed."));
        }
        // Arrived is behind what can be declined; everything else that is open goes to what stands behind it.
        if to <= is || (to == Progress::Declined && is == Progress::Arrived) {
            let detail = format!("{} is {}; it cannot be {}.", sent.unit.name, is.word(), to.word());
            return Err(Illegal::new("not_forward", detail, "Report what comes next."));
        }
        sent.progress = to;
        sent.times.insert(to, at);
        if !result.is_empty() {
            sent.result = result.to_owned();
        }
        Ok(())
    }
}

fn right_answer(step: &PlanStep, answer: Option<&String>) -> Result<(), Illegal> {
    let answers = || step.answers.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    match answer {
        None if step.answers.is_empty() => Ok(()),
        Some(given) if step.answers.contains_key(given) => Ok(()),
        None => {
            let detail = format!("The step `{}` asks for an answer.", step.id);
            Err(Illegal::new("answer_wanted", detail, format!("Give one of: {}.", answers())))
        }
        Some(given) if step.answers.is_empty() => {
            let detail = format!("The step `{}` asks nothing; `{given}` was answered.", step.id);
            Err(Illegal::new("no_answer_wanted", detail, "Take it without an answer."))
        }
        Some(given) => {
            let detail = format!("`{given}` is no answer of the step `{}`.", step.id);
            Err(Illegal::new("no_such_answer", detail, format!("Give one of: {}.", answers())))
        }
    }
}
