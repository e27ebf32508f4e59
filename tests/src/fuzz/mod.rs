//! What the fuzzers run, as plain functions: any bytes are taken for a file of the node, or for what a
//! camera sends, and worked on as the node would.
//! A broken promise is a panic. `make fuzz` runs them under libFuzzer (`tests/fuzz`), the tests here over every committed
//! seed and every input that once did harm.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what does not hold ends the run"
)]

mod footage;
mod logs;
mod records;
mod reseal;
#[cfg(test)]
mod seeds;
mod wire;

use std::sync::Arc;

use fengsui_config::clock::UtcMicros;
use fengsui_storage::segment::NodeKey;

pub use footage::{recovery, segment_reader};
pub use logs::{archive_index, catalogue};
pub use records::journal;
pub use reseal::reseal;
pub use wire::wire;

/// The moment at which the node of a run opens its files: 2025-06-01T00:00:00Z.
const NOW: UtcMicros = UtcMicros(1_748_736_000_000_000);

/// The node's key in every run.
fn key() -> Arc<NodeKey> {
    Arc::new(NodeKey::from_seed([7; 32]))
}

/// What is done with an input; it panics when something does not hold.
pub type Body = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: [(&str, Body); 6] = [
    ("segment_reader", segment_reader),
    ("recovery", recovery),
    ("catalogue", catalogue),
    ("journal", journal),
    ("archive_index", archive_index),
    ("wire", wire),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::{Path, PathBuf};

    fn folder(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name)
    }

    fn inputs(folder: &Path) -> Vec<PathBuf> {
        let list = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let mut out: Vec<_> = list.map(|entry| entry.unwrap().path()).collect();
        out.sort();
        out
    }

    fn replay(name: &str) {
        let (_, run) = TARGETS.iter().find(|(n, _)| *n == name).unwrap();
        let seeds = inputs(&folder("corpus").join(name));
        assert!(!seeds.is_empty(), "no seeds for {name}");
        let bytes: u64 = seeds.iter().map(|path| path.metadata().unwrap().len()).sum();
        assert!(bytes < 100_000, "the seeds of {name} have {bytes} bytes together");
        let own = format!("{name}-");
        let past = inputs(&folder("regressions"));
        let past = past.into_iter().filter(|p| p.file_name().unwrap().to_string_lossy().starts_with(&own));
        for path in seeds.into_iter().chain(past) {
            let bytes = std::fs::read(&path).unwrap();
            let found = std::panic::catch_unwind(|| run(&bytes));
            assert!(found.is_ok(), "replay with: {}", path.display());
        }
    }

    #[test]
    fn seeds_and_past_findings_of_the_segment_reader_do_no_harm() {
        replay("segment_reader");
    }

    #[test]
    fn seeds_and_past_findings_of_recovery_do_no_harm() {
        replay("recovery");
    }

    #[test]
    fn seeds_and_past_findings_of_the_catalogue_do_no_harm() {
        replay("catalogue");
    }

    #[test]
    fn seeds_and_past_findings_of_the_journal_do_no_harm() {
        replay("journal");
    }

    #[test]
    fn seeds_and_past_findings_of_the_archive_index_do_no_harm() {
        replay("archive_index");
    }

    #[test]
    fn seeds_and_past_findings_of_the_parser_of_sessions_do_no_harm() {
        replay("wire");
    }

    #[test]
    fn every_past_finding_names_a_target() {
        for path in inputs(&folder("regressions")) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let known = TARGETS.iter().any(|(target, _)| name.starts_with(&format!("{target}-")));
            assert!(known || name == "README.md", "{name}: call it <target>-<what>");
        }
    }

    #[test]
    fn whole_files_are_left_as_they_are_by_resealing() {
        for (target, _) in TARGETS {
            for path in inputs(&folder("corpus").join(target)) {
                if path.file_name().unwrap().to_string_lossy().starts_with("whole") {
                    let before = std::fs::read(&path).unwrap();
                    let mut after = before.clone();
                    reseal(target, &mut after);
                    assert!(before == after, "{}", path.display());
                }
            }
        }
    }

    /// Makes the seeds anew; their forms are fixed, so this is for new seeds only.
    #[test]
    #[ignore = "writes tests/fuzz/corpus"]
    fn write_the_seeds() {
        for (target, _) in TARGETS {
            let dir = folder("corpus").join(target);
            std::fs::create_dir_all(&dir).unwrap();
            for (name, bytes) in seeds::of(target) {
                std::fs::write(dir.join(name), bytes).unwrap();
            }
        }
    }
}
