//! What is asked of every act before it is tried: texts within their bounds and fit for a screen, places that are on the map,
//! times the right way round, plans that end. A refusal names the field, its value, and what to do; nothing is changed then.
//!
//! Texts are texts: `<b>` is five characters, and whoever shows it shows five characters. Refused is what no screen can show
//! truly: control characters, and marks that turn the direction of writing.
//!
//! - Every field of every act has its bound: `every_field_of_every_act_is_within_its_bounds`.

mod define;

use std::collections::BTreeSet;
use std::fmt::Display;

use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;
use serde_json::Value;

use crate::act::{Act, Verb};
use crate::alarm::{AlarmVerb, Raise};
use crate::define::ShiftVerb;
use crate::incident::{IncidentVerb, Open, Progress, SentUnit, Where};

/// What is wrong with an act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` is `{value}`, which {what}")]
pub struct Refusal {
    /// The field, as in the JSON: `place.point`, `steps[2].text`.
    pub field: String,
    /// Its value, shortened.
    pub value: String,
    /// What is wrong with it: `is longer than 120 characters`.
    pub what: String,
    /// What to do, as a sentence.
    pub remedy: String,
}

impl Refusal {
    fn new(
        field: impl Into<String>,
        value: impl Display,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let visible = |c: char| if is_unfit(c) { '\u{fffd}' } else { c };
        let value = value.to_string().chars().take(80).map(visible).collect();
        Self { field: field.into(), value, what: what.into(), remedy: remedy.into() }
    }
}

type Checked = Result<(), Refusal>;

/// Control characters, and what turns or hides the writing around it.
fn is_unfit(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// How a text is bounded.
#[derive(Clone, Copy)]
struct Text {
    chars: usize,
    /// It may have several lines.
    lines: bool,
    /// It may be empty.
    empty: bool,
}

const NAME: Text = Text { chars: limits::DUTY_NAME_CHARS_MAX, lines: false, empty: false };
const MAYBE_NAME: Text = Text { empty: true, ..NAME };
const LINE: Text = Text { chars: limits::DUTY_LINE_CHARS_MAX, lines: true, empty: false };
const MAYBE_LINE: Text = Text { empty: true, ..LINE };
const TEXT: Text = Text { chars: limits::DUTY_TEXT_CHARS_MAX, lines: true, empty: false };
const MAYBE_TEXT: Text = Text { empty: true, ..TEXT };

fn text(field: &str, value: &str, is: Text) -> Checked {
    if value.trim().is_empty() && (!is.empty || !value.is_empty()) {
        return Err(Refusal::new(field, value, "says nothing", format!("Write something in `{field}`.")));
    }
    if value.chars().nth(is.chars).is_some() {
        let what = format!("is longer than {} characters", is.chars);
        return Err(Refusal::new(field, value, what, "Shorten it."));
    }
    let fits = |c: char| !is_unfit(c) || (is.lines && matches!(c, '\n' | '\t'));
    if value.chars().all(fits) {
        return Ok(());
    }
    let what = "has characters that cannot be seen";
    Err(Refusal::new(field, value, what, "Write it without control characters and marks of direction."))
}

fn many(field: &str, many: usize, most: usize) -> Checked {
    if many <= most {
        return Ok(());
    }
    Err(Refusal::new(field, format!("{many} of them"), format!("is more than {most}"), "Send fewer."))
}

fn each<'a>(field: &str, texts: impl IntoIterator<Item = &'a String>, is: Text) -> Checked {
    texts.into_iter().enumerate().try_for_each(|(n, one)| text(&format!("{field}[{n}]"), one, is))
}

fn slug(field: &str, value: &str, chars: usize, dash: bool) -> Checked {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || (dash && c == '-');
    if (1..=chars).contains(&value.chars().count()) && value.chars().all(fits) {
        return Ok(());
    }
    let also = if dash { " and -" } else { "" };
    let remedy = format!("Write 1 to {chars} of a-z, 0-9{also}.");
    Err(Refusal::new(field, value, "is no name of this kind", remedy))
}

fn hex(field: &str, value: &str, digits: usize) -> Checked {
    let lower = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    if value.len() == digits && value.bytes().all(lower) {
        return Ok(());
    }
    Err(Refusal::new(field, value, "is no hash of this kind", format!("Send {digits} of 0-9 and a-f.")))
}

fn point(field: &str, (lat, lon): (f64, f64)) -> Checked {
    // What is no number is within nothing.
    if (-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&lon) && (lat, lon) != (0.0, 0.0) {
        return Ok(());
    }
    let what = "is no place on the map";
    let remedy = "Send WGS-84 degrees, first the latitude, then the longitude.";
    Err(Refusal::new(field, format!("{lat}, {lon}"), what, remedy))
}

fn code(field: &str, value: &str) -> Checked {
    if (1..=20).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(());
    }
    Err(Refusal::new(field, value, "is no national code", "Send up to 20 digits."))
}

fn time(field: &str, at: UtcMicros) -> Checked {
    // The year 2000 to the year 2200: a clock that was never set, and seconds for microseconds.
    if (946_684_800_000_000..7_258_118_400_000_000).contains(&at.0) {
        return Ok(());
    }
    let remedy = "Send microseconds since 1970, after the year 2000.";
    Err(Refusal::new(field, at.0, "is no time of our days", remedy))
}

/// What a rule raises, with the words of its event made fit: devices say anything, and nothing that a rule finds may be lost
/// for that.
#[must_use]
pub fn fitted(mut raise: Raise) -> Raise {
    let fit = |text: &mut String, is: Text| {
        let seen = |c: char| if is_unfit(c) && !(is.lines && c == '\n') { ' ' } else { c };
        let fitted: String = text.chars().take(is.chars).map(seen).collect();
        *text = match fitted.trim() {
            "" if is.empty => String::new(),
            "" => "-".to_owned(),
            _ => fitted,
        };
    };
    fit(&mut raise.rule_name, NAME);
    fit(&mut raise.kind, NAME);
    fit(&mut raise.cause, LINE);
    fit(&mut raise.text, MAYBE_TEXT);
    raise
}

/// Looks at an act before it is tried.
///
/// # Errors
/// The first field that cannot be so.
pub fn check(verb: &Verb) -> Checked {
    match verb {
        Verb::Alarm(verb) => alarm(verb)?,
        Verb::Incident(verb) => incident(verb)?,
        Verb::Unit(verb) => define::unit(verb)?,
        Verb::Plan(verb) => define::plan(verb)?,
        Verb::Rule(verb) => define::rule(verb)?,
        Verb::Shift(verb) => shift(verb)?,
    }
    // Room for what stands beside the verb in an act.
    let (bytes, most) =
        (serde_json::to_vec(verb).map_or(usize::MAX, |json| json.len()), limits::DUTY_ACT_BYTES_MAX);
    if bytes <= most {
        return Ok(());
    }
    let what = format!("is more than {most} bytes as JSON");
    Err(Refusal::new("act", format!("{bytes} bytes"), what, "Say less in one act."))
}

/// What is wrong with the body of an act of another node, if anything: for quarantine.
#[must_use]
pub fn fault(body: &Value) -> Option<String> {
    match Act::read(body) {
        Err(error) => Some(error.to_string()),
        Ok(act) => {
            let by = text("by.name", &act.by.name, NAME);
            by.and_then(|()| check(&act.verb)).err().map(|refusal| refusal.to_string())
        }
    }
}

fn raise(raise: &Raise) -> Checked {
    text("rule_name", &raise.rule_name, NAME)?;
    text("kind", &raise.kind, NAME)?;
    text("cause", &raise.cause, LINE)?;
    text("text", &raise.text, MAYBE_TEXT)?;
    raise.site.iter().try_for_each(|site| code("site", site))?;
    raise.row.iter().try_for_each(|row| text("row", row, NAME))?;
    time("first_us", raise.first_us)?;
    define::hold_days(raise.hold_days)
}

fn alarm(verb: &AlarmVerb) -> Checked {
    match verb {
        AlarmVerb::Raise(of) => raise(of),
        AlarmVerb::Counted { last_us, .. } => time("last_us", *last_us),
        AlarmVerb::Acknowledge
        | AlarmVerb::Begin
        | AlarmVerb::Close
        | AlarmVerb::Wake
        | AlarmVerb::Escalate { .. } => Ok(()),
        AlarmVerb::Link { incident } => matter_of("incident", incident, crate::act::MatterKind::Incident),
        AlarmVerb::Resolve { result } => text("result", result, MAYBE_LINE),
        AlarmVerb::Dismiss { reason } | AlarmVerb::Reopen { reason } => text("reason", reason, LINE),
        AlarmVerb::Prioritise { reason, .. } => text("reason", reason, MAYBE_LINE),
        AlarmVerb::Own { owner, note } => {
            text("owner", owner, NAME)?;
            text("note", note, MAYBE_LINE)
        }
        AlarmVerb::Snooze { until_us, reason } => {
            time("until_us", *until_us)?;
            text("reason", reason, LINE)
        }
        AlarmVerb::Note { text: words } => text("text", words, TEXT),
        AlarmVerb::Settle { act, note } => settle(act, note),
    }
}

fn settle(act: &str, note: &str) -> Checked {
    text("act", act, NAME)?;
    text("note", note, MAYBE_LINE)
}

fn matter_of(field: &str, matter: &crate::act::MatterId, kind: crate::act::MatterKind) -> Checked {
    if matter.kind == kind {
        return Ok(());
    }
    let word = kind.as_str();
    Err(Refusal::new(field, matter, format!("is no {word}"), format!("Send an id that begins with {word}/.")))
}

/// Where an incident is: at least one of site, address and point.
///
/// # Errors
/// What is wrong with it.
pub fn place(place: &Where) -> Checked {
    if place.site.is_none() && place.address.trim().is_empty() && place.point.is_none() {
        let remedy = "Send at least one of site, address and point.";
        return Err(Refusal::new("place", "nothing", "is no place", remedy));
    }
    place.site.iter().try_for_each(|site| code("place.site", site))?;
    text("place.address", &place.address, MAYBE_LINE)?;
    place.point.iter().try_for_each(|at| point("place.point", *at))
}

fn open(open: &Open) -> Checked {
    use crate::act::MatterKind::Alarm;
    text("number", &open.number, NAME)?;
    text("kind", &open.kind, NAME)?;
    text("title", &open.title, NAME)?;
    text("text", &open.text, MAYBE_TEXT)?;
    text("reference", &open.reference, MAYBE_NAME)?;
    place(&open.place)?;
    many("alarms", open.alarms.len(), limits::DUTY_LIST_MAX)?;
    many("cameras", open.cameras.len(), limits::DUTY_PLACES_MAX)?;
    many("nodes", open.nodes.len(), limits::DUTY_SEEN_MAX)?;
    open.alarms.iter().try_for_each(|alarm| matter_of("alarms", alarm, Alarm))
}

fn incident(verb: &IncidentVerb) -> Checked {
    use crate::act::MatterKind::{Alarm, Plan};
    match verb {
        IncidentVerb::Open(of) => open(of),
        IncidentVerb::Assign { people } => {
            many("people", people.len(), limits::DUTY_LIST_MAX)?;
            each("people", people, NAME)
        }
        IncidentVerb::Edit { title, kind, level, place: at } => {
            if (title.as_ref(), kind.as_ref(), level, at.as_ref()) == (None, None, &None, None) {
                let remedy = "Send at least one of title, kind, level and place.";
                return Err(Refusal::new("act", "nothing", "changes nothing", remedy));
            }
            title.iter().try_for_each(|title| text("title", title, NAME))?;
            kind.iter().try_for_each(|kind| text("kind", kind, NAME))?;
            at.iter().try_for_each(place)
        }
        IncidentVerb::AddAlarm { alarm } => matter_of("alarm", alarm, Alarm),
        IncidentVerb::AddCamera { .. } | IncidentVerb::Share { .. } | IncidentVerb::Close => Ok(()),
        IncidentVerb::AddClip { from_us, to_us, note, .. } => {
            time("from_us", *from_us)?;
            time("to_us", *to_us)?;
            if to_us <= from_us {
                let what = "is not later than `from_us`";
                return Err(Refusal::new("to_us", to_us.0, what, "Send the times the other way round."));
            }
            text("note", note, MAYBE_LINE)
        }
        IncidentVerb::Note { text: words } => text("text", words, TEXT),
        IncidentVerb::Attach { hash, name, media, bytes } => {
            hex("hash", hash, 64)?;
            text("name", name, NAME)?;
            text("media", media, NAME)?;
            bytes_of("bytes", *bytes)
        }
        IncidentVerb::UsePlan { plan, body } => {
            matter_of("plan", plan, Plan)?;
            define::plan_body(body)
        }
        IncidentVerb::StepDone { step, answer, note } => {
            slug("step", step, 24, true)?;
            answer.iter().try_for_each(|answer| text("answer", answer, NAME))?;
            text("note", note, MAYBE_LINE)
        }
        IncidentVerb::StepSkipped { step, reason } => {
            slug("step", step, 24, true)?;
            text("reason", reason, LINE)
        }
        IncidentVerb::Dispatch { id, unit, order } => {
            slug("id", id, 24, false)?;
            sent(unit)?;
            text("order", order, MAYBE_LINE)
        }
        IncidentVerb::Progressed { id, to, result } => {
            slug("id", id, 24, false)?;
            let ends = matches!(to, Progress::Done | Progress::Declined | Progress::Recalled);
            text("result", result, if ends { LINE } else { MAYBE_LINE })
        }
        IncidentVerb::Resolve { result } => text("result", result, LINE),
        IncidentVerb::Reopen { reason } | IncidentVerb::Cancel { reason } => text("reason", reason, LINE),
        IncidentVerb::Settle { act, note } => settle(act, note),
    }
}

fn bytes_of(field: &str, bytes: u64) -> Checked {
    let most = limits::DUTY_ATTACHMENT_BYTES_MAX;
    match bytes {
        0 => Err(Refusal::new(field, bytes, "is an empty file", "Send a file that holds something.")),
        _ if bytes > most => {
            Err(Refusal::new(field, bytes, format!("is more than {most}"), "Send a smaller file."))
        }
        _ => Ok(()),
    }
}

fn sent(unit: &SentUnit) -> Checked {
    matter_of("unit.id", &unit.id, crate::act::MatterKind::Unit)?;
    text("unit.name", &unit.name, NAME)?;
    text("unit.contact", &unit.contact, MAYBE_NAME)
}

fn shift(verb: &ShiftVerb) -> Checked {
    match verb {
        ShiftVerb::HandOver { to, note, open, signature, key } => {
            text("to", to, NAME)?;
            text("note", note, TEXT)?;
            many("open", open.len(), limits::DUTY_LIST_MAX)?;
            each("open", open.keys(), NAME)?;
            hex("signature", signature, 128)?;
            hex("key", key, 64)
        }
        ShiftVerb::TakeOver { note } => text("note", note, MAYBE_LINE),
    }
}

fn unique<'a>(field: &str, names: impl IntoIterator<Item = &'a String>) -> Checked {
    let mut seen = BTreeSet::new();
    match names.into_iter().find(|name| !seen.insert(*name)) {
        Some(name) => Err(Refusal::new(field, name, "is there twice", "Name each once.")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
