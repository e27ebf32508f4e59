//! The files of a configuration as they are, and what changed between two of them, for the journal and for backups.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

pub use crate::load::tidy;

use crate::load;
use crate::load::section::mask_url;

/// One file of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFile {
    /// Absolute path.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// The main file and everything that it includes, in the order of reading. What cannot be read is left out; a check of
/// the configuration reports it.
#[must_use]
pub fn config_files(path: &Path) -> Vec<ConfigFile> {
    load::gather_texts(path).into_iter().map(|(path, text)| ConfigFile { path, text }).collect()
}

/// Every value of the files under a name such as `camera[33080200001320000001].main`; secrets are `***`. Members of lists
/// of tables are known by their `code` or `id`, so that moving them about is no change.
#[must_use]
pub fn config_values(files: &[ConfigFile]) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for file in files {
        if let Ok(table) = file.text.trim_start_matches('\u{feff}').parse::<Table>() {
            flatten("", &Value::Table(table), &mut values);
        }
    }
    values
}

fn flatten(name: &str, value: &Value, out: &mut BTreeMap<String, String>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                let inner = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                flatten(&inner, value, out);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_table) => {
            for (number, item) in items.iter().enumerate() {
                let own = ["code", "id"].iter().find_map(|key| item.get(key)?.as_str());
                let own = own.map_or_else(|| number.to_string(), str::to_owned);
                flatten(&format!("{name}[{own}]"), item, out);
            }
        }
        other => {
            let secret = ["password", "secret", "token"].iter().any(|word| {
                let key = name.rsplit('.').next().unwrap_or(name);
                key.to_ascii_lowercase().contains(word)
            });
            let shown = match other.as_str() {
                // A reference does not give the secret away, and that it changed is worth knowing.
                Some(text) if secret && (text.starts_with("env:") || text.starts_with("file:")) => {
                    text.to_owned()
                }
                Some(text) if secret && text.starts_with("enc:") => {
                    format!("enc:*** ({:08x})", fingerprint(text))
                }
                Some(_) if secret && !name.ends_with("secret_key") => "***".to_owned(),
                Some(text) => mask_url(text),
                None => other.to_string(),
            };
            out.insert(name.to_owned(), shown);
        }
    }
}

/// Tells two sealed secrets apart; they are ciphertext with a random nonce, so this gives nothing away.
fn fingerprint(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// One changed value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueChange {
    /// Its name.
    pub name: String,
    /// What it was; `None` when it was not there.
    pub from: Option<String>,
    /// What it is; `None` when it is not there any more.
    pub to: Option<String>,
}

/// What differs between two sets of values, by name.
#[must_use]
pub fn config_changes(
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> Vec<ValueChange> {
    let gone = before
        .iter()
        .filter(|(name, _)| !after.contains_key(*name))
        .map(|(name, value)| ValueChange { name: name.clone(), from: Some(value.clone()), to: None });
    let other = after.iter().filter(|(name, value)| before.get(*name) != Some(value)).map(|(name, value)| {
        ValueChange { name: name.clone(), from: before.get(name).cloned(), to: Some(value.clone()) }
    });
    let mut all: Vec<_> = gone.chain(other).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn values(text: &str) -> BTreeMap<String, String> {
        config_values(&[ConfigFile { path: PathBuf::new(), text: text.to_owned() }])
    }

    #[test]
    fn changes_are_named_by_their_place_and_no_secret_is_shown() {
        let before = "[node]\nid = \"a\"\n[[camera]]\ncode = \"1\"\nname = \"east\"\npassword = \"enc:AAAA\"\nmain = \"rtsp://u:geheim@h/x\"\n[[camera]]\ncode = \"2\"\nports = [1, 2]\n";
        let after = "[node]\nid = \"a\"\n[[camera]]\ncode = \"2\"\nports = [1, 3]\n[[camera]]\ncode = \"1\"\nname = \"west\"\npassword = \"enc:BBBB\"\nmain = \"rtsp://u:anders@h/x\"\n[web]\ntoken = \"geheim\"\n";
        let (before, after) = (values(before), values(after));
        let changes = config_changes(&before, &after);
        let names: Vec<&str> = changes.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["camera[1].name", "camera[1].password", "camera[2].ports", "web.token"]);
        assert_eq!((changes[0].from.as_deref(), changes[0].to.as_deref()), (Some("east"), Some("west")));
        let all = format!("{before:?}{after:?}");
        assert!(!all.contains("geheim") && !all.contains("anders") && !all.contains("AAAA"), "{all}");
        assert!(config_changes(&after, &after).is_empty());
        assert_eq!(config_changes(&after, &before).len(), 4);
    }

    #[test]
    fn a_configuration_is_listed_with_its_includes() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("more")).unwrap();
        std::fs::write(folder.path().join("a.toml"), "include = [\"more/b.toml\", \"gone.toml\"]\n").unwrap();
        std::fs::write(folder.path().join("more/b.toml"), "include = [\"../a.toml\"]\n").unwrap();
        let files = config_files(&folder.path().join("a.toml"));
        let names: Vec<_> = files.iter().map(|f| f.path.strip_prefix(folder.path()).unwrap()).collect();
        assert_eq!(names, [Path::new("a.toml"), Path::new("more/b.toml")]);
    }
}
