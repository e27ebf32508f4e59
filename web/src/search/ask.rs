//! What is searched for: read from an address, checked, and written into the addresses of other nodes.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fengsui_config::Topology;
use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::NodeId;
use fengsui_config::limits;
use fengsui_config::topology::{Camera, Position};
use fengsui_relay::search::Cursor;
use serde::Deserialize;
use url::form_urlencoded;
use utoipa::IntoParams;

use crate::api::event_rows::Filter;
use crate::http::problem::{ApiError, ApiResult};

/// Metres of a degree of latitude.
const METRES_PER_DEGREE: f64 = 111_195.0;

/// What to search for.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SearchQuery {
    /// First microsecond; a day before `to_us` when absent.
    from_us: Option<i64>,
    /// First microsecond after the range, of at most 32 days; now when absent.
    to_us: Option<i64>,
    /// `all`, `events` or `cameras`.
    #[serde(default)]
    what: String,
    /// Code of a city, sub-centre, station, site or camera, or a part of the name of one.
    #[serde(default)]
    place: String,
    /// Kinds of events, separated by commas; `camera.` stands for all that begin so. Cameras are then found with
    /// `what=cameras` alone.
    #[serde(default)]
    kind: String,
    /// `low`, `normal` or `alarm`; several separated by commas. As `kind`.
    #[serde(default)]
    priority: String,
    /// `any`: with footage; `gaps`: with gaps; `none`: without footage. Of cameras within the range, of events around them.
    #[serde(default)]
    footage: String,
    /// Latitude, longitude (WGS-84 degrees) and metres around there, separated by commas.
    #[serde(default)]
    near: String,
    /// `all`: also the nodes below; `node`: this one alone.
    #[serde(default)]
    scope: String,
    /// Names of nodes, separated by commas: this one or nodes right below it. All when absent.
    #[serde(default)]
    nodes: String,
    /// Hits of a page, at most 200.
    limit: Option<usize>,
    /// `next` of the page before.
    #[serde(default)]
    cursor: String,
    /// Milliseconds that nodes below may take, at most 800.
    within_ms: Option<u64>,
}

/// Kinds of hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Events and cameras.
    All,
    /// Events.
    Events,
    /// Cameras.
    Cameras,
}

/// What there has to be of footage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FootageWanted {
    /// Some.
    Any,
    /// Gaps in it.
    Gaps,
    /// None of it.
    None,
}

/// Around where.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near {
    lat: f64,
    lon: f64,
    metres: f64,
}

impl Near {
    /// Metres from there to `position`, when it is within. Good to a part in a thousand at a city's size.
    #[must_use]
    pub fn metres(&self, position: Option<Position>) -> Option<f64> {
        let position = position?;
        let north = (position.lat - self.lat) * METRES_PER_DEGREE;
        let across = (position.lon - self.lon + 540.0).rem_euclid(360.0) - 180.0;
        let east = across * METRES_PER_DEGREE * f64::midpoint(position.lat, self.lat).to_radians().cos();
        Some(north.hypot(east)).filter(|metres| *metres <= self.metres)
    }
}

/// A search that was checked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Range.
    pub from: UtcMicros,
    /// Its end.
    pub to: UtcMicros,
    /// Kinds of hits.
    pub what: What,
    /// Of events.
    pub(crate) filter: Filter,
    /// Of footage.
    pub footage: Option<FootageWanted>,
    /// Around where.
    pub near: Option<Near>,
    /// Also nodes below.
    pub everywhere: bool,
    /// Only these nodes; all when empty.
    pub nodes: BTreeSet<NodeId>,
    /// Hits of the page.
    pub limit: usize,
    /// Where to go on.
    pub cursor: Option<Cursor>,
    /// How long nodes below may take.
    pub within: Duration,
    /// As it came, for the nodes below.
    words: SearchQuery,
}

fn one_of<T: Copy>(field: &str, text: &str, known: &[(&str, T)]) -> ApiResult<T> {
    let found = known.iter().find(|(word, _)| *word == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<&str> = known.iter().map(|(word, _)| *word).filter(|w| !w.is_empty()).collect();
        ApiError::bad(field, format!("{text:?} is none of what can be asked for."))
            .remedy(format!("Write {}.", words.join(", ")))
    })
}

fn range(query: &SearchQuery, now: UtcMicros) -> ApiResult<(UtcMicros, UtcMicros)> {
    let to = query.to_us.map_or(now, UtcMicros);
    let default = i64::try_from(limits::SEARCH_RANGE_DEFAULT.as_micros()).unwrap_or(i64::MAX);
    let from = query.from_us.map_or(UtcMicros(to.0.saturating_sub(default)), UtcMicros);
    if to <= from {
        return Err(ApiError::bad("to_us", "The range ends before it begins.").remedy("Choose a later end."));
    }
    if u128::from(to.0.abs_diff(from.0)) > limits::SEARCH_RANGE_MAX.as_micros() {
        let most = limits::SEARCH_RANGE_MAX.as_secs() / 86_400;
        return Err(ApiError::bad("from_us", format!("The range is longer than {most} days."))
            .remedy("Search shorter ranges one after the other."));
    }
    Ok((from, to))
}

fn near(text: &str) -> ApiResult<Option<Near>> {
    if text.is_empty() {
        return Ok(None);
    }
    let numbers: Option<Vec<f64>> = text.split(',').map(|n| n.trim().parse().ok()).collect();
    let most = limits::SEARCH_NEAR_METRES_MAX;
    match numbers.as_deref() {
        Some([lat, lon, metres])
            if (-90.0..=90.0).contains(lat)
                && (-180.0..=180.0).contains(lon)
                && *metres > 0.0
                && *metres <= most =>
        {
            Ok(Some(Near { lat: *lat, lon: *lon, metres: *metres }))
        }
        _ => Err(ApiError::bad("near", format!("{text:?} is no point with metres around it.")).remedy(
            format!("Write latitude, longitude and metres (at most {most}), for example 28.97,118.86,300."),
        )),
    }
}

fn nodes(text: &str) -> ApiResult<BTreeSet<NodeId>> {
    let words = text.split(',').map(str::trim).filter(|w| !w.is_empty());
    let names = words.map(|w| w.parse().map_err(|e| ApiError::bad("nodes", format!("The name {e}."))));
    let names: BTreeSet<NodeId> = names.collect::<ApiResult<_>>()?;
    if names.len() > limits::SEARCH_NODES_MAX {
        return Err(ApiError::bad("nodes", format!("At most {} nodes are named.", limits::SEARCH_NODES_MAX)));
    }
    Ok(names)
}

fn number<T: Copy + PartialOrd + std::fmt::Display>(
    field: &str,
    asked: Option<T>,
    (least, usual, most): (T, T, T),
) -> ApiResult<T> {
    let number = asked.unwrap_or(usual);
    if number < least || number > most {
        return Err(ApiError::bad(field, format!("{number} does not lie between {least} and {most}.")));
    }
    Ok(number)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Asked {
    /// Checks what was asked.
    ///
    /// # Errors
    /// `bad_request` with the parameter at fault.
    pub fn read(mut query: SearchQuery, now: UtcMicros) -> ApiResult<Self> {
        query.place = query.place.trim().to_owned();
        if query.place.chars().count() > limits::SEARCH_PLACE_CHARS_MAX {
            let what = format!("A place has at most {} characters.", limits::SEARCH_PLACE_CHARS_MAX);
            return Err(ApiError::bad("place", what));
        }
        let (from, to) = range(&query, now)?;
        (query.from_us, query.to_us) = (Some(from.0), Some(to.0));
        let what =
            [("", What::All), ("all", What::All), ("events", What::Events), ("cameras", What::Cameras)];
        let footage = [
            ("", None),
            ("any", Some(FootageWanted::Any)),
            ("gaps", Some(FootageWanted::Gaps)),
            ("none", Some(FootageWanted::None)),
        ];
        let cursor = Some(&query.cursor).filter(|text| !text.is_empty()).map(|text| {
            let bytes = URL_SAFE_NO_PAD.decode(text).ok();
            let read = bytes.and_then(|b| std::str::from_utf8(&b).ok()?.parse::<Cursor>().ok());
            read.ok_or_else(|| {
                ApiError::bad("cursor", "This is no cursor.").remedy("Take `next` of the page before.")
            })
        });
        let time = (
            millis(limits::SEARCH_DEADLINE_MIN),
            millis(limits::SEARCH_DEADLINE),
            millis(limits::SEARCH_DEADLINE),
        );
        Ok(Self {
            from,
            to,
            what: one_of("what", &query.what, &what)?,
            filter: Filter::read(&query.kind, "", &query.priority)?,
            footage: one_of("footage", &query.footage, &footage)?,
            near: near(&query.near)?,
            everywhere: one_of("scope", &query.scope, &[("", true), ("all", true), ("node", false)])?,
            nodes: nodes(&query.nodes)?,
            limit: number("limit", query.limit, (1, limits::SEARCH_HITS_DEFAULT, limits::SEARCH_HITS_MAX))?,
            cursor: cursor.transpose()?,
            within: Duration::from_millis(number("within_ms", query.within_ms, time)?),
            words: query,
        })
    }

    /// Whether events are searched.
    #[must_use]
    pub fn wants_events(&self) -> bool {
        self.what != What::Cameras
    }

    /// Whether cameras are searched.
    #[must_use]
    pub fn wants_cameras(&self) -> bool {
        let of_events = !self.words.kind.is_empty() || !self.words.priority.is_empty();
        self.what == What::Cameras || (self.what == What::All && !of_events)
    }

    /// Whether anything is asked of where.
    #[must_use]
    pub fn is_of_place(&self) -> bool {
        self.near.is_some() || !self.words.place.is_empty()
    }

    /// Whether `camera` is where it is asked for, and how many metres from the point asked for.
    #[must_use]
    pub fn fits_place(&self, topology: &Topology, camera: &Camera) -> Option<Option<f64>> {
        let site = topology.sites.get(&camera.site);
        let metres = match &self.near {
            None => None,
            Some(near) => Some(near.metres(camera.position.or_else(|| site.and_then(|s| s.position)))?),
        };
        if self.words.place.is_empty() {
            return Some(metres);
        }
        let station = site.and_then(|s| topology.stations.get(&s.station));
        let sub_centre = station.and_then(|s| topology.sub_centres.get(&s.sub_centre));
        let places = [
            Some((camera.id.0, &camera.name)),
            site.map(|s| (s.code, &s.name)),
            station.map(|s| (s.code, &s.name)),
            sub_centre.map(|s| (s.code, &s.name)),
            Some((topology.city.code, &topology.city.name)),
        ];
        let wanted = self.words.place.to_lowercase();
        let fits = |(code, name): (fengsui_config::ids::NationalCode, &String)| {
            code.as_str() == wanted || name.to_lowercase().contains(&wanted)
        };
        places.into_iter().flatten().any(fits).then_some(metres)
    }

    /// The same question to a node below, which has `within` for it.
    #[must_use]
    pub fn address(&self, within: Duration) -> String {
        let words = &self.words;
        let cursor = self.cursor.as_ref().map_or_else(String::new, |c| {
            // What other nodes lacked before is not this one's matter.
            let own = Cursor { after: c.after.clone(), missed: BTreeSet::new() };
            URL_SAFE_NO_PAD.encode(own.to_string())
        });
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("from_us", &self.from.0.to_string()).append_pair("to_us", &self.to.0.to_string());
        query.append_pair("limit", &self.limit.to_string());
        query.append_pair("within_ms", &millis(within).to_string());
        let texts = [
            ("what", &words.what),
            ("place", &words.place),
            ("kind", &words.kind),
            ("priority", &words.priority),
            ("footage", &words.footage),
            ("near", &words.near),
            ("cursor", &cursor),
        ];
        for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
            query.append_pair(name, text);
        }
        format!("/api/v1/search?{}", query.finish())
    }
}
