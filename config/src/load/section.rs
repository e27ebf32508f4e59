//! What the reader hands to the checks: sections of keys whose values know where they stand. TOML tables and CSV
//! rows both become sections, so that a camera is checked by the same code wherever it was written.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::finding::{Finding, Refusals};
use crate::limits;

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spot {
    /// The file.
    pub file: Arc<Path>,
    /// Line from 1; 0 for the file as a whole.
    pub line: u32,
    /// Column from 1; 0 where it says nothing.
    pub column: u32,
}

/// A value as written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Raw {
    /// A text in quotes.
    Text(String),
    /// A CSV cell, which may mean a text, a number or a truth value.
    Loose(String),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// A date or time, as written.
    Date(String),
    /// A list.
    List(Vec<Cell>),
    /// A table where none is expected.
    Table,
}

impl Raw {
    /// What it is, for "is ...".
    fn noun(&self) -> &'static str {
        match self {
            Self::Text(_) | Self::Loose(_) => "a text",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Bool(_) => "a truth value",
            Self::Date(_) => "a date",
            Self::List(_) => "a list",
            Self::Table => "a table",
        }
    }

    /// As a person would recognise it, cut to a length that fits a line.
    fn shown(&self) -> String {
        let text = match self {
            Self::Text(s) | Self::Loose(s) => format!("{:?}", mask_url(s)),
            Self::Integer(n) => n.to_string(),
            Self::Float(n) => n.to_string(),
            Self::Bool(b) => b.to_string(),
            Self::Date(s) => s.clone(),
            Self::List(_) => "[...]".to_owned(),
            Self::Table => "{...}".to_owned(),
        };
        cut(&text)
    }
}

/// Cuts a text that is too long to show.
fn cut(text: &str) -> String {
    if text.chars().count() <= limits::FINDING_VALUE_CHARS_MAX {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(limits::FINDING_VALUE_CHARS_MAX).collect();
    short.push('…');
    short
}

/// The text with everything that may be a password in an address replaced by `***`.
pub(crate) fn mask_url(text: &str) -> String {
    let mut masked = text.to_owned();
    if let Some((scheme, rest)) = text.split_once("://")
        && let Some((_, host)) = rest.rsplit_once('@')
    {
        masked = format!("{scheme}://***@{host}");
    }
    for key in PASSWORD_PARAMETERS {
        let lower = masked.to_ascii_lowercase();
        let Some(start) = lower.find(key).map(|at| at + key.len()) else { continue };
        let end = masked
            .get(start..)
            .and_then(|tail| tail.find(['&', '?', '/', '#', '_']))
            .map_or(masked.len(), |length| start + length);
        if end > start {
            masked.replace_range(start..end, "***");
        }
    }
    masked
}

/// Names by which vendors put a password into the path or query of an address.
const PASSWORD_PARAMETERS: [&str; 4] = ["password=", "passwd=", "pwd=", "pass="];

/// Whether an address holds a user name or password.
pub(crate) fn holds_credentials(text: &str) -> bool {
    mask_url(text) != text
}

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cell {
    /// The value.
    pub raw: Raw,
    /// Its place.
    pub spot: Spot,
}

/// A checked text and its place.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    /// The text.
    pub value: String,
    /// Its place.
    pub spot: Spot,
}

/// Collects what is wrong.
#[derive(Debug, Default)]
pub(crate) struct Findings(pub Refusals);

impl Findings {
    /// Notes a refusal.
    pub fn refuse(
        &mut self,
        spot: &Spot,
        key: impl Into<String>,
        value: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.0.refusals.push(finding(spot, key.into(), value.into(), problem.into(), remedy.into()));
    }

    /// Notes a warning.
    pub fn warn(
        &mut self,
        spot: &Spot,
        key: impl Into<String>,
        value: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.0.warnings.push(finding(spot, key.into(), value.into(), problem.into(), remedy.into()));
    }
}

fn finding(spot: &Spot, key: String, value: String, problem: String, remedy: String) -> Finding {
    Finding {
        file: spot.file.to_path_buf(),
        line: spot.line,
        column: spot.column,
        key,
        value,
        problem,
        remedy,
    }
}

/// A key that has another name now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Renamed {
    /// Section it stands in.
    pub section: &'static str,
    /// Its old name, which still works and warns.
    pub old: &'static str,
    /// Its name now.
    pub new: &'static str,
}

/// A table of keys.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    /// Name of its kind, for example `camera`.
    pub kind: &'static str,
    /// Where it begins.
    pub spot: Spot,
    cells: BTreeMap<String, Cell>,
    asked: Vec<&'static str>,
}

impl Section {
    /// A section with these keys.
    pub fn new(kind: &'static str, spot: Spot, cells: BTreeMap<String, Cell>) -> Self {
        Self { kind, spot, cells, asked: Vec::new() }
    }

    /// Gives renamed keys their present names.
    pub fn rename(&mut self, table: &[Renamed], out: &mut Findings) {
        for renamed in table.iter().filter(|renamed| renamed.section == self.kind) {
            let Some(cell) = self.cells.remove(renamed.old) else { continue };
            let key = self.dotted(renamed.old);
            let remedy = format!("write {} instead", renamed.new);
            if self.cells.contains_key(renamed.new) {
                let problem = format!("is the old name of {}, which is there too", renamed.new);
                out.refuse(&cell.spot, key, "", problem, "keep one of the two");
            } else {
                out.warn(&cell.spot, key, "", "has another name now", remedy);
                self.cells.insert(renamed.new.to_owned(), cell);
            }
        }
    }

    /// `kind.key`.
    pub fn dotted(&self, key: &str) -> String {
        format!("{}.{key}", self.kind)
    }

    /// A text as written, before any check.
    pub fn shown_text(&self, key: &str) -> Option<&str> {
        match &self.cells.get(key)?.raw {
            Raw::Text(text) | Raw::Loose(text) => Some(text),
            _ => None,
        }
    }

    /// Where a key stands; the section's own place when it is missing.
    pub fn spot_of(&self, key: &str) -> Spot {
        self.cells.get(key).map_or_else(|| self.spot.clone(), |cell| cell.spot.clone())
    }

    /// Whether a key is written, asked for or not.
    pub fn has(&self, key: &str) -> bool {
        self.cells.contains_key(key)
    }

    /// Gives this section the values of another for those of `keys` that the other has.
    pub fn lend(&mut self, from: &Self, keys: &[&str]) {
        for key in keys {
            if let Some(cell) = from.cells.get(*key) {
                self.cells.insert((*key).to_owned(), cell.clone());
            }
        }
    }

    /// Takes a value out, whatever it is.
    pub fn take(&mut self, key: &'static str) -> Option<Cell> {
        self.asked.push(key);
        self.cells.remove(key)
    }

    /// Refuses a value of this section.
    pub fn refuse(
        &self,
        out: &mut Findings,
        key: &str,
        text: &Text,
        problem: impl Into<String>,
        remedy: &str,
    ) {
        out.refuse(&text.spot, self.dotted(key), Raw::Text(text.value.clone()).shown(), problem, remedy);
    }

    /// Refuses a missing key of this section.
    pub fn missing(&self, out: &mut Findings, key: &str, remedy: &str) {
        out.refuse(&self.spot, self.dotted(key), "", "is missing", remedy);
    }

    fn wrong_kind(&self, out: &mut Findings, key: &str, cell: &Cell, remedy: &str) {
        let problem = format!("is {}", cell.raw.noun());
        out.refuse(&cell.spot, self.dotted(key), cell.raw.shown(), problem, remedy);
    }

    /// A text; `None` when it is missing or was refused.
    pub fn text(&mut self, out: &mut Findings, key: &'static str) -> Option<Text> {
        let cell = self.take(key)?;
        match cell.raw {
            Raw::Text(value) | Raw::Loose(value) => self.fit(out, key, Text { value, spot: cell.spot }),
            _ => {
                self.wrong_kind(out, key, &cell, "write a text in quotes");
                None
            }
        }
    }

    /// Refuses texts that are empty, too long, or hold control characters.
    fn fit(&self, out: &mut Findings, key: &str, text: Text) -> Option<Text> {
        if text.value.trim().is_empty() {
            self.refuse(out, key, &text, "is empty", "fill it in or leave the key out");
        } else if text.value.chars().count() > limits::CONFIG_TEXT_CHARS_MAX {
            let problem = format!("is longer than {} characters", limits::CONFIG_TEXT_CHARS_MAX);
            self.refuse(out, key, &text, problem, "shorten it");
        } else if text.value.chars().any(char::is_control) {
            self.refuse(out, key, &text, "holds a control character", "write it on one line without tabs");
        } else {
            return Some(text);
        }
        None
    }

    /// A text that must be there.
    pub fn need_text(&mut self, out: &mut Findings, key: &'static str, remedy: &str) -> Option<Text> {
        if !self.cells.contains_key(key) {
            self.asked.push(key);
            self.missing(out, key, remedy);
            return None;
        }
        self.text(out, key)
    }

    /// One word out of a list; `None` when it is missing or was refused.
    pub fn word<T: Copy>(&mut self, out: &mut Findings, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(out, key)?;
        let found = words.iter().find(|(word, _)| *word == text.value).map(|(_, value)| *value);
        if found.is_none() {
            let list: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.refuse(
                out,
                key,
                &text,
                "is not a word known here",
                &format!("write one of: {}", list.join(", ")),
            );
        }
        found
    }

    /// A truth value; `None` when it is missing or was refused.
    pub fn truth(&mut self, out: &mut Findings, key: &'static str) -> Option<bool> {
        let cell = self.take(key)?;
        let value = match &cell.raw {
            Raw::Bool(value) => Some(*value),
            Raw::Loose(text) => match text.trim().to_lowercase().as_str() {
                "true" | "yes" | "1" | "是" => Some(true),
                "false" | "no" | "0" | "否" => Some(false),
                _ => None,
            },
            _ => None,
        };
        if value.is_none() {
            self.wrong_kind(out, key, &cell, "write true or false");
        }
        value
    }

    /// A number within bounds; `None` when it is missing or was refused.
    pub fn number(
        &mut self,
        out: &mut Findings,
        key: &'static str,
        bounds: (f64, f64),
        unit: &str,
    ) -> Option<f64> {
        let cell = self.take(key)?;
        let value = match &cell.raw {
            Raw::Float(value) => Some(*value),
            #[expect(clippy::cast_precision_loss, reason = "degrees and metres are small")]
            Raw::Integer(value) => Some(*value as f64),
            Raw::Loose(text) => text.trim().parse().ok(),
            _ => None,
        };
        let remedy = format!("write {unit} between {} and {}", bounds.0, bounds.1);
        let Some(value) = value else {
            self.wrong_kind(out, key, &cell, &remedy);
            return None;
        };
        if !(bounds.0..=bounds.1).contains(&value) {
            out.refuse(&cell.spot, self.dotted(key), cell.raw.shown(), "is out of bounds", remedy);
            return None;
        }
        Some(value)
    }

    /// A whole number within bounds; `None` when it is missing or was refused.
    pub fn whole(
        &mut self,
        out: &mut Findings,
        key: &'static str,
        bounds: (u64, u64),
        unit: &str,
    ) -> Option<u64> {
        let cell = self.take(key)?;
        let remedy = format!("write whole {unit} between {} and {}", bounds.0, bounds.1);
        let Raw::Integer(value) = cell.raw else {
            self.wrong_kind(out, key, &cell, &remedy);
            return None;
        };
        match u64::try_from(value).ok().filter(|value| (bounds.0..=bounds.1).contains(value)) {
            Some(value) => Some(value),
            None => {
                out.refuse(&cell.spot, self.dotted(key), cell.raw.shown(), "is out of bounds", remedy);
                None
            }
        }
    }

    /// A list of texts; empty when it is missing. Items that are no texts are refused one by one.
    pub fn texts(&mut self, out: &mut Findings, key: &'static str) -> Vec<Text> {
        let Some(cell) = self.take(key) else { return Vec::new() };
        let Raw::List(items) = &cell.raw else {
            self.wrong_kind(out, key, &cell, "write a list of texts: [\"...\"]");
            return Vec::new();
        };
        let mut texts = Vec::new();
        for item in items {
            match &item.raw {
                Raw::Text(value) => {
                    texts.extend(self.fit(out, key, Text { value: value.clone(), spot: item.spot.clone() }));
                }
                _ => self.wrong_kind(out, key, item, "write a text in quotes"),
            }
        }
        texts
    }

    /// Warns about every key that no check has asked for.
    pub fn finish(self, out: &mut Findings) {
        for (key, cell) in &self.cells {
            let remedy = match nearest(key, &self.asked) {
                Some(known) => format!("did you mean {known}?"),
                None => "remove it".to_owned(),
            };
            out.warn(&cell.spot, self.dotted(key), "", "is no key known here", remedy);
        }
    }
}

/// The known key that a misspelt one most likely means.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| (edits(word, candidate), *candidate))
        .min()
        .filter(|(distance, candidate)| *distance * 3 <= candidate.chars().count().max(3))
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for (y, pair) in b.iter().zip(row.windows(2)) {
            let [diagonal, above] = pair else { continue };
            let left = next.last().copied().unwrap_or(0);
            next.push((diagonal + usize::from(x != *y)).min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}
