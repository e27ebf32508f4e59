//! What is wrong with a configuration, said so that a person can put it right: file, line, key, value, remedy.

use std::fmt;
use std::path::PathBuf;

/// One refusal or warning about one place of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file, as it was named.
    pub file: PathBuf,
    /// Line in that file, from 1; 0 for the file as a whole.
    pub line: u32,
    /// Column in that line, from 1; 0 where it says nothing.
    pub column: u32,
    /// Dotted key, for example `camera.main`.
    pub key: String,
    /// The value as written; `***` where it may hold a secret. Empty when the key is missing.
    pub value: String,
    /// What is wrong with it.
    pub problem: String,
    /// What to write instead.
    pub remedy: String,
}

/// A finding that keeps a configuration from being used.
pub type Refusal = Finding;
/// A finding that does not, unless `--strict` is asked for.
pub type Warning = Finding;

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if self.column > 0 {
            write!(f, ":{}", self.column)?;
        }
        write!(f, ": {}", self.key)?;
        if !self.value.is_empty() {
            write!(f, " = {}", self.value)?;
        }
        write!(f, ": {}; {}", self.problem, self.remedy)
    }
}

/// Every reason why a configuration was refused, in the order of the files, with the warnings beside them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refusals {
    /// The refusals; never empty in an `Err`.
    pub refusals: Vec<Refusal>,
    /// Warnings met on the way.
    pub warnings: Vec<Warning>,
}

impl Refusals {
    /// Puts the findings of each file in the order of its lines; files stay in the order in which they came up.
    pub(crate) fn sort(&mut self) {
        for findings in [&mut self.refusals, &mut self.warnings] {
            let mut files: Vec<PathBuf> = Vec::new();
            for finding in findings.iter() {
                if !files.contains(&finding.file) {
                    files.push(finding.file.clone());
                }
            }
            findings.sort_by_key(|finding| {
                (files.iter().position(|file| *file == finding.file), finding.line, finding.column)
            });
        }
    }
}

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, refusal) in self.refusals.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            refusal.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusals {}
