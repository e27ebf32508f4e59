//! Cameras as CSV, for spreadsheets: UTF-8 with a byte order mark (without it spreadsheets on Chinese Windows read
//! GBK), one row a camera, the keys of `[[camera]]` as columns.
//!
//! A text that a spreadsheet would run as a formula is written with a `'` before it, and read back without.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use crate::checked::Config;
use crate::env::Env;
use crate::finding::{Refusals, Warning};
use crate::ids::CameraId;
use crate::load::section::{Cell, Findings, Raw, Section, Spot, nearest};
use crate::load::{COLUMNS, Source, load_with, read_file};
use crate::topology::{Camera, Topology};
use crate::write::{Field, fields};

/// First characters that make a spreadsheet take a text for a formula, and the mark against it.
const RISKY: [char; 7] = ['=', '+', '-', '@', '\t', '\r', '\''];

/// All cameras as CSV. Passwords stand as their references, which give nothing away.
///
/// # Errors
/// Never in practice: the writer writes to memory.
pub fn export(topology: &Topology) -> Result<Vec<u8>, csv::Error> {
    let mut writer =
        csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(b"\xef\xbb\xbf".to_vec());
    writer.write_record(COLUMNS)?;
    for camera in topology.cameras.values() {
        let mut values: BTreeMap<&str, Field> = fields(camera).into_iter().collect();
        writer.write_record(COLUMNS.iter().map(|column| match values.remove(column) {
            Some(Field::Text(text)) if text.starts_with(RISKY) => format!("'{text}"),
            Some(Field::Text(text) | Field::Plain(text)) => text,
            None => String::new(),
        }))?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

/// What an import gave.
#[derive(Debug)]
pub struct Import {
    /// The configuration as it will be with the imported cameras.
    pub config: Config,
    /// The imported cameras.
    pub cameras: Vec<Camera>,
    /// What is odd about them and the rest of the configuration.
    pub warnings: Vec<Warning>,
}

/// Checks the cameras of a CSV file together with the configuration that they shall join. Cameras that the
/// configuration takes from `target` are left out: that file is about to be written anew.
///
/// # Errors
/// Every refusal at once; those of the table name its line and cell.
pub fn import(config: &Path, table: &Path, target: &Path, env: &dyn Env) -> Result<Import, Refusals> {
    let mut out = Findings::default();
    let file: Arc<Path> = Arc::from(table);
    let whole = Spot { file: Arc::clone(&file), line: 0, column: 0 };
    let sections = match read_file(table) {
        Ok(text) => rows(&text, &file, &mut out),
        Err(problem) => {
            let remedy = "save the table as \"CSV UTF-8 (comma separated)\"";
            out.refuse(&whole, "file", "", problem, remedy);
            Vec::new()
        }
    };
    let codes: BTreeSet<CameraId> =
        sections.iter().filter_map(|section| section.shown_text("code")?.parse().ok()).collect();
    let source =
        Source { path: config, text: None, without: Some(target), extra: sections, env, central: None };
    let (config, warnings) = load_with(source, out)?;
    let cameras =
        config.topology.cameras.values().filter(|camera| codes.contains(&camera.id)).cloned().collect();
    Ok(Import { config, cameras, warnings })
}

/// The rows of a table as sections.
fn rows(text: &str, file: &Arc<Path>, out: &mut Findings) -> Vec<Section> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let spot = |line: u64, column: usize| Spot {
        file: Arc::clone(file),
        line: u32::try_from(line).unwrap_or(u32::MAX),
        column: u32::try_from(column).unwrap_or(0),
    };
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut records = reader.records();
    let Some(Ok(head)) = records.next() else {
        out.refuse(&spot(1, 0), "file", "", "holds no head line", "write the names of the columns in line 1");
        return Vec::new();
    };
    let Some(columns) = columns(&head, &spot, out) else { return Vec::new() };
    let mut sections = Vec::new();
    for record in records {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                out.refuse(
                    &spot(line, 0),
                    "file",
                    "",
                    format!("is no CSV: {error}"),
                    "check quotes and commas",
                );
                continue;
            }
        };
        let line = record.position().map_or(0, |position| line_of(position, text));
        if record.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        if let Some(beyond) =
            record.iter().enumerate().skip(columns.len()).find(|(_, cell)| !cell.trim().is_empty())
        {
            let remedy = "put texts with commas in quotes";
            out.refuse(
                &spot(line, beyond.0 + 1),
                "camera",
                "",
                "has more cells than there are columns",
                remedy,
            );
            continue;
        }
        let cells = record.iter().zip(&columns).enumerate().filter_map(|(index, (text, column))| {
            let column = (*column)?;
            let text = text.trim();
            (!text.is_empty()).then(|| {
                (
                    column.to_owned(),
                    Cell { raw: Raw::Loose(unmarked(text).to_owned()), spot: spot(line, index + 1) },
                )
            })
        });
        sections.push(Section::new("camera", spot(line, 0), cells.collect()));
    }
    sections
}

/// The line of a row. The reader counts empty lines before a row as part of it.
fn line_of(position: &csv::Position, text: &str) -> u64 {
    let rest = usize::try_from(position.byte())
        .ok()
        .and_then(|byte| text.as_bytes().get(byte..))
        .unwrap_or_default();
    let empty =
        rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).filter(|byte| **byte == b'\n').count();
    position.line() + empty as u64
}

/// What each column of the head line means; `None` for one that means nothing here.
fn columns(
    head: &csv::StringRecord,
    spot: &dyn Fn(u64, usize) -> Spot,
    out: &mut Findings,
) -> Option<Vec<Option<&'static str>>> {
    let mut columns: Vec<Option<&'static str>> = Vec::new();
    for (index, name) in head.iter().enumerate() {
        let word = name.trim().to_lowercase();
        let found = COLUMNS.into_iter().find(|column| *column == word);
        let key = format!("camera.{word}");
        if found.is_some() && columns.contains(&found) {
            out.refuse(
                &spot(1, index + 1),
                key,
                "",
                "is a column for the second time",
                "remove one of the two",
            );
        } else if found.is_none() && !word.is_empty() {
            let remedy = match nearest(&word, &COLUMNS) {
                Some(known) => format!("did you mean {known}?"),
                None => format!("the columns are: {}", COLUMNS.join(", ")),
            };
            out.warn(&spot(1, index + 1), key, "", "is no column known here and is left out", remedy);
        }
        columns.push(found);
    }
    if columns.contains(&Some("code")) {
        return Some(columns);
    }
    let remedy = format!("write the names of the columns in line 1: {}", COLUMNS.join(","));
    out.refuse(&spot(1, 0), "camera.code", "", "is no column of this table", remedy);
    None
}

/// A text without the mark against formulas.
fn unmarked(text: &str) -> &str {
    match text.strip_prefix('\'') {
        Some(rest) if rest.starts_with(RISKY) => rest,
        _ => text,
    }
}

#[cfg(test)]
mod tests;
