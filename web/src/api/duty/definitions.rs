//! What units, plans and rules have in common: each is defined whole, has a version, and is changed by whoever has seen the
//! newest one.

use std::sync::Arc;

use fengsui_config::ids::{NationalCode, NodeId};
use fengsui_config::{Topology, limits};
use fengsui_duty::act::{By, MatterId, MatterKind, Verb};
use fengsui_duty::book::{Book, Matters};
use fengsui_duty::check::check;
use fengsui_duty::define::{Defined, Hours};
use fengsui_duty::ledger::{Ledger, Machine};
use fengsui_duty::near::hours::DAY_MIN;
use http::HeaderMap;
use http::header::IF_MATCH;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::access::Principal;
use crate::auth::random;
use crate::duty::ActError;
use crate::http::problem::{ApiError, ApiResult, Refusal};

/// Something that is defined as a whole.
pub trait Definable: Clone + Send + Sync + 'static {
    /// Its kind.
    const KIND: MatterKind;
    /// What people call it, for a sentence.
    const NOUN: &'static str;
    /// How many of them there may be.
    const MOST: usize;
    /// All of them in the book.
    fn matters(book: &Book) -> &Matters<Defined<Self>>;
    /// The verb that defines it so.
    fn define(self) -> Verb;
    /// The verb that removes it.
    fn remove() -> Verb;
    /// Its name.
    fn name(&self) -> &str;
}

/// What is told of every definition beside its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DefinitionHead {
    /// What it is known by everywhere.
    #[schema(example = "unit/centre/patrol-3f2a9c01")]
    pub id: String,
    /// The node at which it was made.
    pub node: String,
    /// Its name there, as in paths.
    pub slug: String,
    /// What `If-Match` names.
    pub version: u64,
    /// When it was changed last.
    pub at_us: i64,
    /// By whom.
    pub by: String,
    /// Changes of two nodes that did not know of each other, and that nobody has looked at since: who saves it as it should be
    /// settles them.
    pub conflicts: usize,
}

/// A definition that stands, with its head.
#[derive(Debug, Clone)]
pub struct Standing<B> {
    /// What it is known by.
    pub id: MatterId,
    /// What is told of every definition.
    pub head: DefinitionHead,
    /// Its content.
    pub body: B,
}

fn standing<B: Definable>(id: &MatterId, ledger: &Ledger<Defined<B>>) -> Option<Standing<B>>
where
    Defined<B>: Machine,
{
    let state = ledger.state()?;
    let head = DefinitionHead {
        id: id.to_string(),
        node: id.home.to_string(),
        slug: id.name.clone(),
        version: state.version,
        at_us: state.at_us.0,
        by: state.by.name.clone(),
        conflicts: ledger.open_conflicts(),
    };
    Some(Standing { id: id.clone(), head, body: state.body.clone()? })
}

/// All that stand, in order of their names.
#[must_use]
pub fn all<B: Definable>(book: &Book) -> Vec<Standing<B>>
where
    Defined<B>: Machine,
{
    let mut list: Vec<_> = B::matters(book).iter().filter_map(|(id, ledger)| standing(id, ledger)).collect();
    list.sort_by(|a, b| (a.body.name(), &a.id).cmp(&(b.body.name(), &b.id)));
    list
}

/// The id in a path.
///
/// # Errors
/// `not_found` when it can be none.
pub fn path_id<B: Definable>(node: &str, name: &str) -> ApiResult<MatterId> {
    let text = format!("{}/{node}/{name}", B::KIND.as_str());
    text.parse().map_err(|_| missing::<B>(&text))
}

fn missing<B: Definable>(id: &str) -> ApiError {
    let id: String = id.chars().take(120).collect();
    ApiError::not_found(format!("There is no {} {id}.", B::NOUN))
        .remedy("Load the list anew; somebody may have removed it.")
}

/// One that stands.
///
/// # Errors
/// `not_found`.
pub fn one<B: Definable>(app: &App, id: &MatterId) -> ApiResult<Standing<B>>
where
    Defined<B>: Machine,
{
    let found = app.duty.read(|book| B::matters(book).get(id).and_then(|ledger| standing(id, ledger)));
    found.ok_or_else(|| missing::<B>(&id.to_string()))
}

/// Defines a new one at this node.
///
/// # Errors
/// When its name is taken, there are too many, or it cannot be noted; then there is none.
pub async fn create<B: Definable>(app: &Arc<App>, principal: &Principal, body: B) -> ApiResult<Standing<B>>
where
    Defined<B>: Machine,
{
    let _turn = app.units.turn.lock().await;
    let count = app.duty.read(|book| all::<B>(book).len());
    if count >= B::MOST {
        let what = format!("There are {} of this kind already.", B::MOST);
        return Err(ApiError::bad("name", what).remedy("Remove those that are not used any more."));
    }
    name_is_free::<B>(app, None, body.name())?;
    let id = fresh_id::<B>(app.duty.node(), body.name())?;
    act(app, &id, body.define(), principal).await?;
    one(app, &id)
}

/// Defines one anew, as long as the version that somebody saw is the newest.
///
/// # Errors
/// `conflict` when it changed meanwhile; nothing is changed then.
pub async fn replace<B: Definable>(
    app: &Arc<App>,
    principal: &Principal,
    id: &MatterId,
    headers: &HeaderMap,
    body: B,
) -> ApiResult<Standing<B>>
where
    Defined<B>: Machine,
{
    let _turn = app.units.turn.lock().await;
    seen::<B>(app, id, headers)?;
    name_is_free::<B>(app, Some(id), body.name())?;
    act(app, id, body.define(), principal).await?;
    one(app, id)
}

/// Removes one, as long as the version that somebody saw is the newest.
///
/// # Errors
/// As of [`replace`].
pub async fn remove<B: Definable>(
    app: &Arc<App>,
    principal: &Principal,
    id: &MatterId,
    headers: &HeaderMap,
) -> ApiResult<()>
where
    Defined<B>: Machine,
{
    let _turn = app.units.turn.lock().await;
    seen::<B>(app, id, headers)?;
    act(app, id, B::remove(), principal).await
}

async fn act(app: &App, id: &MatterId, verb: Verb, principal: &Principal) -> ApiResult<()> {
    check(&verb)
        .map_err(|refusal| ApiError::bad(&refusal.field, format!("{refusal}.")).remedy(refusal.remedy))?;
    let by = By::person(principal.user().name.as_ref());
    app.duty.act(app, id, verb, by).await.map(drop).map_err(not_done)
}

/// What somebody hears whose act did not happen.
#[must_use]
pub fn not_done(error: ActError) -> ApiError {
    match error {
        ActError::Illegal(why) if why.code == "invalid" => {
            ApiError::bad("act", why.detail).remedy(why.remedy)
        }
        ActError::Illegal(why) => ApiError::new(Refusal::Conflict, why.detail).remedy(why.remedy),
        ActError::Register(error) => ApiError::internal("write the act to the journal", &error),
    }
}

/// Checks that `If-Match` names the newest version.
fn seen<B: Definable>(app: &App, id: &MatterId, headers: &HeaderMap) -> ApiResult<()>
where
    Defined<B>: Machine,
{
    let newest = one::<B>(app, id)?.head;
    let text = headers.get(IF_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Ok(version) = text.trim().trim_matches('"').parse::<u64>() else {
        let what = "The header If-Match does not name the version that this one was begun from.";
        return Err(ApiError::bad("If-Match", what).remedy("Send If-Match with `version` of what was read."));
    };
    if version == newest.version {
        return Ok(());
    }
    let detail = format!(
        "{} has changed it meanwhile: it is of version {} now, not {version}.",
        newest.by, newest.version
    );
    Err(ApiError::new(Refusal::Conflict, detail)
        .field("If-Match")
        .remedy("Load it anew and make the change again."))
}

fn name_is_free<B: Definable>(app: &App, own: Option<&MatterId>, name: &str) -> ApiResult<()>
where
    Defined<B>: Machine,
{
    let all = app.duty.read(all::<B>);
    let taken = all.iter().any(|other| Some(&other.id) != own && other.body.name() == name);
    let refuse = || ApiError::bad("name", format!("There is a {} {name:?} already.", B::NOUN));
    if taken {
        Err(refuse().remedy("Choose another name: people must be able to tell them apart."))
    } else {
        Ok(())
    }
}

/// Letters of a name that go into an id.
const SLUG_CHARS_MAX: usize = 32;

/// An id that says a little of the name and that nobody else makes.
fn fresh_id<B: Definable>(node: &NodeId, name: &str) -> ApiResult<MatterId> {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let letters: String = name.chars().map(plain).collect();
    let words: Vec<&str> = letters.split('-').filter(|word| !word.is_empty()).collect();
    let slug: String = words.join("-").chars().take(SLUG_CHARS_MAX).collect();
    let slug = if slug.is_empty() { B::KIND.as_str() } else { slug.trim_end_matches('-') };
    let random = random::bytes::<4>().map_err(|e| ApiError::internal("make an id", &e))?;
    Ok(MatterId { kind: B::KIND, home: node.clone(), name: format!("{slug}-{}", hex::encode(random)) })
}

/// A refusal that names the field, the value and the remedy.
#[must_use]
pub fn fault(field: &str, value: impl std::fmt::Display, what: &str, remedy: &str) -> ApiError {
    let value: String = value.to_string().chars().take(80).collect();
    ApiError::bad(field, format!("{field} {what}; it is {value:?}.")).remedy(remedy)
}

/// Reads a body as a draft, whose members have the right types and nothing more.
///
/// # Errors
/// With the member that has not.
pub fn draft<D: DeserializeOwned>(body: Value) -> ApiResult<D> {
    let Value::Object(members) = body else {
        return Err(ApiError::bad("body", "The body is no JSON object.").remedy("Send one object."));
    };
    let whole = serde_json::from_value::<D>(Value::Object(members.clone()));
    whole.map_err(|error| {
        // A draft has a default for every member, so one that it cannot do without is the one at fault.
        let alone = |name: &String, value: &Value| {
            let one = serde_json::Map::from_iter([(name.clone(), value.clone())]);
            serde_json::from_value::<D>(Value::Object(one)).err()
        };
        let wrong =
            members.iter().find_map(|(name, value)| Some((name.as_str(), value, alone(name, value)?)));
        match wrong {
            Some((name, value, error)) => fault(
                name,
                value,
                &format!("cannot be read ({error})"),
                "Send it as the description of the API says.",
            ),
            None => ApiError::bad("body", format!("The body cannot be read: {error}.")),
        }
    })
}

/// A text for people: trimmed, neither empty nor too long, without what cannot be seen; a name (as long as one at most) also
/// without what looks like a tag.
///
/// # Errors
/// With field, value and remedy.
pub fn words(field: &str, text: &str, most: usize) -> ApiResult<String> {
    let text = text.trim();
    let count = text.chars().count();
    let is_name = most <= limits::UNIT_NAME_CHARS_MAX;
    if count == 0 {
        return Err(fault(field, text, "is empty", "Write something."));
    }
    if count > most {
        let what = format!("has {count} characters and may have {most}");
        return Err(fault(field, text, &what, "Make it shorter."));
    }
    if text.chars().any(|c| c.is_control() && (is_name || c != '\n')) {
        return Err(fault(field, text, "has characters that cannot be seen", "Type it anew."));
    }
    if is_name && text.contains(['<', '>']) {
        return Err(fault(
            field,
            text,
            "has < or >",
            "Write a name in plain words, without marks of a page.",
        ));
    }
    Ok(text.to_owned())
}

/// Codes of an area, each known.
///
/// # Errors
/// With the first that is not.
pub fn area(topology: &Topology, codes: &[String]) -> ApiResult<Vec<String>> {
    let mut known: Vec<String> = Vec::with_capacity(codes.len().min(limits::UNIT_AREAS_MAX));
    if codes.len() > limits::UNIT_AREAS_MAX {
        let what = format!("has more than {} codes", limits::UNIT_AREAS_MAX);
        return Err(fault("area", codes.len(), &what, "Name stations or sub-centres instead of sites."));
    }
    for (i, code) in codes.iter().enumerate() {
        let code = code.trim();
        let is_place = code.parse::<NationalCode>().is_ok_and(|code| {
            topology.sites.contains_key(&code)
                || topology.stations.contains_key(&code)
                || topology.sub_centres.contains_key(&code)
        });
        if !is_place {
            let remedy = "Choose sub-centres, stations and sites that are configured here; leave it empty for everywhere.";
            return Err(fault(
                &format!("area[{i}]"),
                code,
                "is no sub-centre, station or site known here",
                remedy,
            ));
        }
        if !known.iter().any(|other| other == code) {
            known.push(code.to_owned());
        }
    }
    Ok(known)
}

/// Hours as they are sent.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct HoursDraft {
    #[serde(default)]
    days: Vec<i64>,
    from_min: i64,
    to_min: i64,
}

/// Hours of duty or force, each possible.
///
/// # Errors
/// With the first that is not.
pub fn hours(field: &str, drafts: &[HoursDraft]) -> ApiResult<Vec<Hours>> {
    if drafts.len() > limits::UNIT_DUTY_MAX {
        let what = format!("has more than {} stretches", limits::UNIT_DUTY_MAX);
        return Err(fault(field, drafts.len(), &what, "Join those that belong together."));
    }
    let read = |(i, one): (usize, &HoursDraft)| {
        let name = |member: &str| format!("{field}[{i}].{member}");
        let minute = |member: &str, value: i64, most: u16| {
            u16::try_from(value).ok().filter(|v| *v <= most).ok_or_else(|| {
                let what = format!("is no minute of the day from 0 to {most}");
                fault(&name(member), value, &what, "Write minutes since midnight, local time: 480 is 08:00.")
            })
        };
        let day = |value: &i64| {
            u8::try_from(*value).ok().filter(|d| (1..=7).contains(d)).ok_or_else(|| {
                fault(&name("days"), value, "is no day of the week", "Write 1 for Monday to 7 for Sunday.")
            })
        };
        let mut days = one.days.iter().map(day).collect::<ApiResult<Vec<u8>>>()?;
        days.sort_unstable();
        days.dedup();
        let from_min = minute("from_min", one.from_min, DAY_MIN - 1)?;
        Ok(Hours { days, from_min, to_min: minute("to_min", one.to_min, DAY_MIN)? })
    };
    drafts.iter().enumerate().map(read).collect()
}
