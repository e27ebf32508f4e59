//! Restoring a node from a backup.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use fengsui_config::clock::{Clock, SystemClock};
use fengsui_config::limits;
use fengsui_storage::fs::{Fs, RealFs};
use fengsui_storage::journal::{Journal, JournalOptions, VerifyOptions, kinds};
use fengsui_storage::segment::NodeKey;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::pack::Unpacker;
use super::seal::Sealer;
use super::{BackupError, Entry, FORMAT, Header, Manifest, Place, VolumeNote};
use crate::paths;

/// What to restore, and where to.
pub struct RestoreOptions<'a> {
    /// A folder or tar file.
    pub from: &'a Path,
    /// The configuration file that will be: its folder takes the other files of the configuration.
    pub config: &'a Path,
    /// Asked for when the backup is encrypted.
    pub passphrase: &'a mut dyn FnMut() -> Result<String, String>,
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreReport {
    /// The node.
    pub node: String,
    /// Files written.
    pub files: usize,
    /// Newest journal record of the backup.
    pub cut_seq: u64,
    /// The data folder.
    pub data: PathBuf,
    /// Whether keys came with it; without, the node has a new identity.
    pub keys: bool,
    /// Disks to attach.
    pub volumes: Vec<VolumeNote>,
    /// What the backup did not hold.
    pub left_out: Vec<String>,
}

/// Bytes of header and manifest.
const TEXT_BYTES_MAX: u64 = 256 << 20;

fn at(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |error| BackupError::File(path, error)
}

/// A path that stays within its folder.
fn inner(text: &str) -> Result<&Path, BackupError> {
    let path = Path::new(text);
    let good = !text.is_empty() && path.components().all(|part| matches!(part, Component::Normal(_)));
    let wrong = || BackupError::Damaged("manifest".into(), format!("{text:?} leads out of its folder"));
    if good { Ok(path) } else { Err(wrong()) }
}

struct Bundle {
    unpacker: Unpacker,
    sealer: Option<Sealer>,
    header: Header,
    manifest: Manifest,
}

impl Bundle {
    fn open(options: &mut RestoreOptions<'_>) -> Result<Self, BackupError> {
        let unpacker = Unpacker::open(options.from)?;
        let mut text = Vec::new();
        unpacker.entry("backup.json")?.take(TEXT_BYTES_MAX).read_to_end(&mut text)?;
        let wrong = |error: serde_json::Error| BackupError::Damaged("backup.json".into(), error.to_string());
        let header: Header = serde_json::from_slice(&text).map_err(wrong)?;
        if header.format != FORMAT {
            return Err(BackupError::Refused(format!(
                "the backup is of format {}, this program reads {FORMAT}; use version {}",
                header.format, header.program
            )));
        }
        let sealer = match &header.encryption {
            Some(derivation) => {
                let words = (options.passphrase)().map_err(BackupError::Refused)?;
                Some(derivation.sealer(&words)?)
            }
            None => None,
        };
        let manifest = Manifest {
            node: header.node.clone(),
            key: None,
            keys: false,
            cut_seq: 0,
            cut_hash: String::new(),
            config: String::new(),
            data: String::new(),
            volumes: Vec::new(),
            left_out: Vec::new(),
            files: Vec::new(),
        };
        let mut bundle = Self { unpacker, sealer, header, manifest };
        let mut text = Vec::new();
        bundle.read("manifest", &mut text)?;
        bundle.manifest = serde_json::from_slice(&text)
            .map_err(|error| BackupError::Damaged("manifest".into(), error.to_string()))?;
        Ok(bundle)
    }

    fn read(&self, name: &str, to: &mut dyn Write) -> Result<(), BackupError> {
        let mut from = self.unpacker.entry(name)?;
        match &self.sealer {
            Some(sealer) => sealer.open(name, &mut from, to),
            None => Ok(io::copy(&mut from, to).map(drop)?),
        }
    }

    /// Writes a file and holds it against the manifest.
    fn unpack(&self, number: usize, entry: &Entry, path: &Path) -> Result<(), BackupError> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(at(folder))?;
        let mode = entry.mode & 0o777;
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(at(path))?;
        let name = format!("files/{number:06}");
        let mut to = Summed { to: file, sum: Sha256::new(), bytes: 0 };
        self.read(&name, &mut to)?;
        to.to.sync_all().map_err(at(path))?;
        if to.bytes != entry.bytes || hex::encode(to.sum.finalize()) != entry.sha256 {
            return Err(BackupError::Damaged(name, "its bytes are not those of the manifest".into()));
        }
        Ok(())
    }
}

struct Summed {
    to: fs::File,
    sum: Sha256,
    bytes: u64,
}

impl Write for Summed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.to.write(bytes)?;
        self.sum.update(bytes.get(..length).unwrap_or_default());
        self.bytes += length as u64;
        Ok(length)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Where everything goes.
struct Target {
    config: PathBuf,
    base: PathBuf,
    data: PathBuf,
    /// Data is put together here and renamed at the end.
    draft: PathBuf,
}

fn target(config: &Path, manifest: &Manifest) -> Result<Target, BackupError> {
    let config = std::path::absolute(config).map_err(at(config))?;
    let base = config.parent().unwrap_or(Path::new("/")).to_owned();
    let data = base.join(&manifest.data);
    if config.exists() {
        return Err(BackupError::Refused(format!(
            "{} is there already; move it away, or name another file with --config",
            config.display()
        )));
    }
    if fs::read_dir(&data).is_ok_and(|mut names| names.next().is_some()) || data.is_file() {
        return Err(BackupError::Refused(format!(
            "{} is not empty; a restored node needs a data folder of its own: move it away",
            data.display()
        )));
    }
    let mut draft = data.as_os_str().to_owned();
    draft.push(".restoring");
    let draft = PathBuf::from(draft);
    if draft.exists() {
        return Err(BackupError::Refused(format!(
            "{} is left over from a restore that failed; remove it",
            draft.display()
        )));
    }
    for entry in &manifest.files {
        let path = match &entry.place {
            Place::Config(path) => base.join(inner(path)?),
            Place::Data(path) => {
                inner(path)?;
                continue;
            }
            Place::Outside(path) => PathBuf::from(path),
        };
        if path.exists() {
            return Err(BackupError::Refused(format!("{} is there already; move it away", path.display())));
        }
    }
    Ok(Target { config, base, data, draft })
}

/// Restores a node. Nothing is written over; the configuration file comes last, so that a restore that fails leaves no
/// node that would start.
///
/// # Errors
/// When the target is not empty, the passphrase is wrong, or anything in the backup does not hold.
pub fn restore(mut options: RestoreOptions<'_>) -> Result<RestoreReport, BackupError> {
    let bundle = Bundle::open(&mut options)?;
    let target = target(options.config, &bundle.manifest)?;
    let mut others = Vec::new();
    if let Err(error) = fill(&bundle, &target, &mut others) {
        // What has no name yet is ours.
        others.iter().map(|path| draft(path)).filter(|path| path.exists()).for_each(|path| {
            let _ = fs::remove_file(path);
        });
        if target.draft.exists()
            && let Err(error) = fs::remove_dir_all(&target.draft)
        {
            tracing::warn!(%error, path = %target.draft.display(), "cannot remove what was restored so far");
        }
        return Err(error);
    }
    let manifest = bundle.manifest;
    Ok(RestoreReport {
        node: manifest.node,
        files: manifest.files.len(),
        cut_seq: manifest.cut_seq,
        data: target.data,
        keys: manifest.keys,
        volumes: manifest.volumes,
        left_out: manifest.left_out,
    })
}

/// Name of a file while not everything is checked.
fn draft(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".restoring");
    PathBuf::from(name)
}

/// Unpacks and checks everything under other names, then gives all of it its name, the configuration file last.
/// `others` takes what lies outside the data folder.
fn fill(bundle: &Bundle, target: &Target, others: &mut Vec<PathBuf>) -> Result<(), BackupError> {
    let manifest = &bundle.manifest;
    let mut config = false;
    for (number, entry) in manifest.files.iter().enumerate() {
        let path = match &entry.place {
            Place::Data(path) => {
                bundle.unpack(number, entry, &target.draft.join(inner(path)?))?;
                continue;
            }
            Place::Config(path) if *path == manifest.config => {
                config = true;
                target.config.clone()
            }
            Place::Config(path) => target.base.join(inner(path)?),
            Place::Outside(path) => PathBuf::from(path),
        };
        others.push(path.clone());
        bundle.unpack(number, entry, &draft(&path))?;
    }
    if !config {
        return Err(BackupError::Damaged("manifest".into(), "the configuration file is missing".into()));
    }
    journal(bundle, target)?;
    if target.data.exists() {
        fs::remove_dir(&target.data).map_err(at(&target.data))?;
    }
    fs::rename(&target.draft, &target.data).map_err(at(&target.data))?;
    others.sort_by_key(|path| *path == target.config);
    for path in others.iter() {
        fs::rename(draft(path), path).map_err(at(path))?;
    }
    fs::File::open(&target.base).and_then(|f| f.sync_all()).map_err(at(&target.base))
}

/// Checks the journal, and writes into it that it comes from a backup.
fn journal(bundle: &Bundle, target: &Target) -> Result<(), BackupError> {
    let manifest = &bundle.manifest;
    let filesystem: Arc<dyn Fs> = Arc::new(RealFs);
    let dir = paths::journal(&target.draft);
    let report = Journal::verify_dir(&filesystem, &dir, &VerifyOptions::default())?;
    if report.last_seq != manifest.cut_seq || report.last_hash != manifest.cut_hash {
        return Err(BackupError::Damaged("journal".into(), "it does not end where the manifest says".into()));
    }
    for damage in &report.damages {
        // The journal of the node did not hold when it was backed up: it is restored as it was.
        tracing::warn!(file = %damage.file.display(), at = damage.at, "the journal does not hold: {}", damage.detail);
    }
    let key = Arc::new(NodeKey::load_or_create(&paths::node_key(&target.draft))?);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let node = manifest.node.parse().map_err(|_| {
        BackupError::Damaged("manifest".into(), format!("{:?} is no name of a node", manifest.node))
    })?;
    let options = JournalOptions::new(filesystem, dir, clock, node, key);
    let options = JournalOptions { epoch_step: limits::JOURNAL_RESTORE_EPOCH_STEP, ..options };
    let journal = Journal::open(options)?;
    let body = json!({
        "cut_seq": manifest.cut_seq, "cut_hash": manifest.cut_hash, "made_us": bundle.header.made_us,
        "keys": manifest.keys, "key_before": manifest.key,
    });
    journal.append_blocking(kinds::JOURNAL_RESTORED, body).map_err(|e| BackupError::Other(e.to_string()))?;
    journal.close();
    Ok(())
}
