//! The same for what people define: units, plans and rules.

use fengsui_config::limits;

use super::{Checked, LINE, NAME, Refusal, Text, code, each, many, point, slug, text, unique};
use crate::define::{Hours, PlanBody, PlanStep, PlanVerb, RuleBody, RuleVerb, Trigger, UnitBody, UnitVerb};

pub(super) fn unit(verb: &UnitVerb) -> Checked {
    match verb {
        UnitVerb::Define(body) => unit_body(body),
        UnitVerb::Remove => Ok(()),
    }
}

fn unit_body(body: &UnitBody) -> Checked {
    text("name", &body.name, NAME)?;
    if body.members.is_empty() {
        let what = "is a unit without members";
        return Err(Refusal::new("members", "empty", what, "Name at least one person."));
    }
    many("members", body.members.len(), limits::DUTY_LIST_MAX)?;
    each("members", &body.members, NAME)?;
    unique("members", &body.members)?;
    text("contact", &body.contact, Text { empty: true, ..NAME })?;
    area(&body.area)?;
    hours("duty", &body.duty)?;
    body.post.iter().try_for_each(|post| point("post", *post))
}

fn area(area: &[String]) -> Checked {
    many("area", area.len(), limits::DUTY_PLACES_MAX)?;
    area.iter().enumerate().try_for_each(|(n, place)| code(&format!("area[{n}]"), place))?;
    unique("area", area)
}

fn hours(field: &str, hours: &[Hours]) -> Checked {
    many(field, hours.len(), limits::DUTY_LIST_MAX)?;
    for (n, one) in hours.iter().enumerate() {
        let field = |name: &str| format!("{field}[{n}].{name}");
        if let Some(day) = one.days.iter().find(|day| !(1..=7).contains(*day)) {
            let remedy = "Send 1 for Monday to 7 for Sunday.";
            return Err(Refusal::new(field("days"), day, "is no day of the week", remedy));
        }
        many(&field("days"), one.days.len(), 7)?;
        if one.from_min > 1439 {
            let what = "is no minute of the day";
            return Err(Refusal::new(field("from_min"), one.from_min, what, "Send 0 to 1439."));
        }
        if one.to_min > 1440 {
            let what = "is no minute of the day";
            return Err(Refusal::new(field("to_min"), one.to_min, what, "Send 0 to 1440."));
        }
    }
    Ok(())
}

pub(super) fn plan(verb: &PlanVerb) -> Checked {
    match verb {
        PlanVerb::Define(body) => plan_body(body),
        PlanVerb::Remove => Ok(()),
    }
}

pub(super) fn plan_body(body: &PlanBody) -> Checked {
    text("name", &body.name, NAME)?;
    many("kinds", body.kinds.len(), limits::DUTY_LIST_MAX)?;
    each("kinds", &body.kinds, NAME)?;
    unique("kinds", &body.kinds)?;
    if body.steps.is_empty() {
        return Err(Refusal::new("steps", "empty", "is a plan without steps", "Write at least one step."));
    }
    many("steps", body.steps.len(), limits::DUTY_STEPS_MAX)?;
    let mut ids = body.steps.iter().enumerate();
    ids.try_for_each(|(n, step)| slug(&format!("steps[{n}].id"), &step.id, 24, true))?;
    unique("steps", body.steps.iter().map(|step| &step.id))?;
    body.steps.iter().enumerate().try_for_each(|(n, step)| plan_step(n, step, &body.steps))
}

fn plan_step(n: usize, step: &PlanStep, steps: &[PlanStep]) -> Checked {
    let field = |name: &str| format!("steps[{n}].{name}");
    text(&field("text"), &step.text, LINE)?;
    many(&field("answers"), step.answers.len(), limits::DUTY_ANSWERS_MAX)?;
    for (answer, target) in &step.answers {
        text(&field("answers"), answer, NAME)?;
        // Only what is below may follow: so a plan ends, whatever is answered.
        let below = steps.iter().skip(n + 1).any(|later| later.id == *target);
        if !target.is_empty() && !below {
            let known = steps.iter().any(|other| other.id == *target);
            let what = if known { "does not stand below this step" } else { "is the id of no step" };
            let remedy = "Name a step further down, or nothing for the next one.";
            return Err(Refusal::new(format!("{}.{answer}", field("answers")), target, what, remedy));
        }
    }
    Ok(())
}

pub(super) fn hold_days(days: u32) -> Checked {
    let most = limits::DUTY_HOLD_DAYS_MAX;
    if days <= most {
        return Ok(());
    }
    let remedy = "Send fewer days; make a case of what is kept for longer.";
    Err(Refusal::new("hold_days", days, format!("is more than {most}"), remedy))
}

fn span(field: &str, seconds: u32, least: u32) -> Checked {
    let most = limits::DUTY_RULE_SPAN_S_MAX;
    if (least..=most).contains(&seconds) {
        return Ok(());
    }
    let what = format!("is not within {least} and {most}");
    Err(Refusal::new(field, seconds, what, "Send seconds, a week at most."))
}

pub(super) fn rule(verb: &RuleVerb) -> Checked {
    match verb {
        RuleVerb::Define(body) => rule_body(body),
        RuleVerb::Remove => Ok(()),
    }
}

fn rule_body(body: &RuleBody) -> Checked {
    text("name", &body.name, NAME)?;
    many("kinds", body.kinds.len(), limits::DUTY_LIST_MAX)?;
    each("kinds", &body.kinds, NAME)?;
    many("cameras", body.cameras.len(), limits::DUTY_PLACES_MAX)?;
    area(&body.area)?;
    hours("hours", &body.hours)?;
    span("hold_off_s", body.hold_off_s, 0)?;
    span("due_s", body.due_s, 0)?;
    hold_days(body.hold_days)?;
    match &body.trigger {
        Trigger::Each => Ok(()),
        Trigger::Threshold { fact, min, max } => threshold(fact, *min, *max),
        Trigger::Repetition { times, within_s, .. } => {
            if *times < 2 {
                let remedy = "Send 2 or more, or let the rule fire at each event.";
                return Err(Refusal::new("trigger.times", times, "is no repetition", remedy));
            }
            span("trigger.within_s", *within_s, 1)
        }
        Trigger::Absence { for_s, .. } | Trigger::Lasting { for_s } => span("trigger.for_s", *for_s, 1),
    }
}

fn threshold(fact: &str, min: Option<f64>, max: Option<f64>) -> Checked {
    text("trigger.fact", fact, NAME)?;
    if let Some(bound) = min.into_iter().chain(max).find(|bound| !bound.is_finite()) {
        return Err(Refusal::new("trigger.min", bound, "is no number", "Send a number."));
    }
    match (min, max) {
        (None, None) => {
            let remedy = "Send at least one of min and max.";
            Err(Refusal::new("trigger.min", "nothing", "is no threshold", remedy))
        }
        (Some(min), Some(max)) if min > max => {
            let what = format!("is above `trigger.max`, {max}");
            Err(Refusal::new("trigger.min", min, what, "Send the two the other way round."))
        }
        _ => Ok(()),
    }
}
