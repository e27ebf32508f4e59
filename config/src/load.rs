//! File shape to checked configuration.

use std::path::Path;

use crate::checked::Config;
use crate::env::Env;
use crate::finding::{Finding, Refusals, Warning};

/// See [`Config::load`].
pub(crate) fn load(path: &Path, env: &dyn Env) -> Result<(Config, Vec<Warning>), Refusals> {
    let text = std::fs::read_to_string(path).map_err(|error| Refusals {
        refusals: vec![Finding {
            file: path.to_owned(),
            line: 0,
            column: 0,
            key: "file".to_owned(),
            value: String::new(),
            problem: format!("cannot be read: {error}"),
            remedy: "name a readable TOML file".to_owned(),
        }],
        warnings: Vec::new(),
    })?;
    parse(&text, path, env)
}

/// See [`Config::parse`].
pub(crate) fn parse(_text: &str, path: &Path, _env: &dyn Env) -> Result<(Config, Vec<Warning>), Refusals> {
    let refusal = Finding {
        file: path.to_owned(),
        line: 1,
        column: 0,
        key: "file".to_owned(),
        value: String::new(),
        problem: "holds no section that is known".to_owned(),
        remedy: "write [node], [storage] and [city]".to_owned(),
    };
    Err(Refusals { refusals: vec![refusal], warnings: Vec::new() })
}
