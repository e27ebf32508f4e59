//! The version in force as a file beside the journal: `config-<version>.toml`. Commands that do not open the journal read it,
//! and so does a start before its journal is open. It is derived: a start writes it again when the journal says otherwise.

use std::io;
use std::path::PathBuf;

use fengsui_config::limits;
use fengsui_storage::fs::Fs;

use super::InForce;
use crate::identity::files::replace;

/// Bytes of the first line, at most.
const HEAD_BYTES_MAX: usize = 4 << 10;

/// The folder of such files.
#[derive(Debug, Clone)]
pub struct Kept {
    folder: PathBuf,
}

impl Kept {
    /// In this folder.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The newest version that is there whole.
    ///
    /// # Errors
    /// As the file system says. A file that does not hold is passed over.
    pub fn read(&self, fs: &dyn Fs) -> io::Result<Option<InForce>> {
        for (version, path) in self.files(fs)?.into_iter().rev() {
            let most = (limits::RELAY_CONFIG_BYTES_MAX + HEAD_BYTES_MAX) as u64;
            let read = match fs.read(&path, most) {
                Ok(bytes) => InForce::of_file(&bytes),
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::FileTooLarge) =>
                {
                    None
                }
                Err(error) => return Err(error),
            };
            if let Some(kept) = read.filter(|kept| kept.received.version == version) {
                return Ok(Some(kept));
            }
        }
        Ok(None)
    }

    /// Keeps a version and no other; none: keeps nothing.
    ///
    /// # Errors
    /// As the file system says; then the versions before may still be there.
    pub fn set(&self, fs: &dyn Fs, in_force: Option<&InForce>) -> io::Result<()> {
        let wanted = in_force.map(|kept| self.folder.join(name(kept.received.version)));
        if let (Some(kept), Some(path)) = (in_force, &wanted) {
            replace(fs, path, kept.to_file().as_bytes(), true)?;
        }
        let mut removed = false;
        for (_, path) in self.files(fs)? {
            if Some(&path) != wanted.as_ref() {
                fs.remove(&path)?;
                removed = true;
            }
        }
        if removed { fs.sync_dir(&self.folder) } else { Ok(()) }
    }

    /// Files by version.
    fn files(&self, fs: &dyn Fs) -> io::Result<Vec<(u64, PathBuf)>> {
        let entries = match fs.read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let numbered = |name: &str| name.strip_prefix("config-")?.strip_suffix(".toml")?.parse::<u64>().ok();
        let mut files: Vec<(u64, PathBuf)> =
            entries.iter().filter_map(|e| Some((numbered(&e.name)?, self.folder.join(&e.name)))).collect();
        files.sort();
        Ok(files)
    }
}

fn name(version: u64) -> String {
    format!("config-{version}.toml")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::path::Path;

    use fengsui_config::clock::UtcMicros;
    use fengsui_storage::fs::{Fault, FaultPlan, SimFs};

    use super::*;
    use crate::central::{Received, sum};

    fn version(version: u64) -> InForce {
        let text = format!("# version {version}\n[[camera]]\n").repeat(200);
        InForce { received: Received { version, hash: sum(&text), by: "li".into(), text }, at: UtcMicros(7) }
    }

    #[test]
    fn one_version_is_kept_and_what_does_not_hold_is_passed_over() {
        let (fs, kept) = (SimFs::new(1), Kept::new(PathBuf::from("/data/relay")));
        assert_eq!(kept.read(&fs).unwrap(), None);
        kept.set(&fs, None).unwrap();
        kept.set(&fs, Some(&version(9))).unwrap();
        kept.set(&fs, Some(&version(10))).unwrap();
        assert_eq!(fs.files(), [Path::new("/data/relay/config-10.toml")]);
        fs.put(Path::new("/data/relay/config-11.toml"), b"half".to_vec());
        fs.put(Path::new("/data/relay/config-12.toml"), version(10).to_file().into_bytes());
        fs.put(Path::new("/data/relay/config-x.toml"), version(13).to_file().into_bytes());
        assert_eq!(kept.read(&fs).unwrap(), Some(version(10)), "another name than its version is no version");
        kept.set(&fs, None).unwrap();
        assert_eq!(kept.read(&fs).unwrap(), None);
    }

    #[test]
    fn a_power_cut_at_any_step_leaves_the_old_or_the_new_version_whole() {
        let mut cuts = 0;
        for seed in 0..20 {
            for after in 0..64 {
                let (fs, kept) = (SimFs::new(seed), Kept::new(PathBuf::from("/data/relay")));
                kept.set(&fs, Some(&version(1))).unwrap();
                fs.plan(FaultPlan { operation: None, below: None, after, times: 1, fault: Fault::PowerCut });
                let done = kept.set(&fs, Some(&version(2))).is_ok();
                fs.crash();
                fs.heal();
                let found = kept.read(&fs).unwrap().map(|k| k.received.version);
                let good = if done { found == Some(2) } else { matches!(found, Some(1 | 2)) };
                assert!(good, "seed {seed}, cut after {after}: {found:?}");
                if done {
                    break;
                }
                cuts += 1;
            }
        }
        assert!(cuts > 80, "the cuts fell into the writing: {cuts}");
    }
}
