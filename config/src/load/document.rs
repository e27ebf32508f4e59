//! TOML text to sections. Every syntax error is reported, and what could be read is checked all the same.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::section::{Cell, Findings, Raw, Section, Spot, Text};

/// Everything that one file says.
#[derive(Debug, Default)]
pub(crate) struct Document {
    /// The main file could not be read at all.
    pub unread: bool,
    /// Further files, as written.
    pub includes: Vec<Text>,
    /// Tables that a configuration has once.
    pub singles: Vec<Section>,
    /// Tables that a configuration has many times, in the order of the file.
    pub many: Vec<Section>,
}

/// Sections that a configuration has once.
const SINGLES: [&str; 8] = ["node", "web", "storage", "retention", "journal", "ingest", "relay", "city"];
/// Sections that a configuration has many times.
const MANY: [&str; 5] = ["sub_centre", "station", "site", "camera", "webhook"];

/// Turns byte offsets into lines and columns.
struct Lines<'a> {
    file: Arc<Path>,
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(file: Arc<Path>, text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { file, text, starts }
    }

    fn spot(&self, span: &Range<usize>) -> Spot {
        let line = self.starts.partition_point(|start| *start <= span.start);
        let start = line.checked_sub(1).and_then(|index| self.starts.get(index)).copied().unwrap_or(0);
        let column = self.text.get(start..span.start).map_or(0, |before| before.chars().count() + 1);
        Spot {
            file: Arc::clone(&self.file),
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(0),
        }
    }
}

/// Reads one file's text.
pub(crate) fn read(text: &str, file: &Arc<Path>, out: &mut Findings) -> Document {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = Lines::new(Arc::clone(file), text);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let spot = lines.spot(&error.span().unwrap_or(0..0));
        let problem = format!("is no TOML: {}", error.message().replace('\n', "; "));
        out.refuse(&spot, "file", "", problem, "write TOML 1.0");
    }
    let mut document = Document::default();
    for (key, value) in table.get_ref() {
        top_level(&mut document, &lines, key, value, out);
    }
    document.many.sort_by_key(|section| section.spot.line);
    document
}

/// Sorts one top-level key into the document.
fn top_level(
    document: &mut Document,
    lines: &Lines<'_>,
    key: &Spanned<std::borrow::Cow<'_, str>>,
    value: &Spanned<DeValue<'_>>,
    out: &mut Findings,
) {
    let name = key.get_ref().as_ref();
    let spot = lines.spot(&key.span());
    if name == "include" {
        let cells = BTreeMap::from([("include".to_owned(), cell(lines, value))]);
        document.includes = Section::new("file", spot, cells).texts(out, "include");
        return;
    }
    if let Some(kind) = SINGLES.into_iter().find(|kind| *kind == name) {
        match value.get_ref() {
            DeValue::Table(table) => {
                match kind {
                    "storage" => {
                        within(document, lines, table, ("volume", "storage.volume"), out);
                        within(document, lines, table, ("archive", "storage.archive"), out);
                    }
                    "relay" => within(document, lines, table, ("node_link", "relay.node_link"), out),
                    "retention" => within(document, lines, table, ("class", "retention.class"), out),
                    _ => {}
                }
                document.singles.push(Section::new(kind, spot, cells(lines, table)));
            }
            _ => out.refuse(&spot, kind, "", "is no table", format!("write [{kind}]")),
        }
        return;
    }
    if let Some(kind) = MANY.into_iter().find(|kind| *kind == name) {
        array(document, lines, kind, &spot, value, out);
        return;
    }
    let known: Vec<&str> = SINGLES.into_iter().chain(MANY).chain(["include"]).collect();
    let remedy = match super::section::nearest(name, &known) {
        Some(known) => format!("did you mean {known}?"),
        None => "remove it".to_owned(),
    };
    out.warn(&spot, name, "", "is no section known here", remedy);
}

/// Takes an array of tables within a table, for example `[[storage.volume]]`.
fn within(
    document: &mut Document,
    lines: &Lines<'_>,
    table: &DeTable<'_>,
    (name, kind): (&str, &'static str),
    out: &mut Findings,
) {
    if let Some((key, value)) = table.iter().find(|(key, _)| key.get_ref() == name) {
        array(document, lines, kind, &lines.spot(&key.span()), value, out);
    }
}

/// Takes an array of tables.
fn array(
    document: &mut Document,
    lines: &Lines<'_>,
    kind: &'static str,
    spot: &Spot,
    value: &Spanned<DeValue<'_>>,
    out: &mut Findings,
) {
    let DeValue::Array(items) = value.get_ref() else {
        out.refuse(spot, kind, "", "is no list of tables", format!("write [[{kind}]], with two brackets"));
        return;
    };
    for item in items.iter() {
        let spot = lines.spot(&item.span());
        match item.get_ref() {
            DeValue::Table(table) => document.many.push(Section::new(kind, spot, cells(lines, table))),
            _ => out.refuse(&spot, kind, "", "is no table", format!("write [[{kind}]]")),
        }
    }
}

fn cells(lines: &Lines<'_>, table: &DeTable<'_>) -> BTreeMap<String, Cell> {
    table
        .iter()
        .map(|(key, value)| {
            let mut cell = cell(lines, value);
            if matches!(cell.raw, Raw::Table) {
                cell.spot = lines.spot(&key.span());
            }
            (key.get_ref().to_string(), cell)
        })
        .collect()
}

fn cell(lines: &Lines<'_>, value: &Spanned<DeValue<'_>>) -> Cell {
    let raw = match value.get_ref() {
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Raw::Float(f64::INFINITY), Raw::Integer),
        DeValue::Float(number) => Raw::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(truth) => Raw::Bool(*truth),
        DeValue::Datetime(date) => Raw::Date(date.to_string()),
        DeValue::Array(items) => Raw::List(items.iter().map(|item| cell(lines, item)).collect()),
        DeValue::Table(_) => Raw::Table,
    };
    Cell { raw, spot: lines.spot(&value.span()) }
}
