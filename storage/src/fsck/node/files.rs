//! Files of incidents: each is named by the hash of its bytes, and those that this node took in are named by its journal.

use std::collections::BTreeSet;
use std::io::ErrorKind;

use fengsui_config::limits;
use serde_json::Value;

use super::{Check, Section, SectionReport};
use crate::error::StoreError;
use crate::journal::{Journal, kinds};

/// Folder of the files, below the data folder.
const FOLDER: &str = "attachments";
const RESTORE: &str =
    "put the copy of a backup in its place (fengsui restore), or of the node above that looked at it";
const ASIDE: &str = "another program put it there: move it away";

/// The file that the body of an act names.
fn attached(body: &Value) -> Option<String> {
    let act = body.get("act")?;
    (act.get("do")?.as_str()? == "attach").then_some(())?;
    Some(act.get("hash")?.as_str()?.to_owned())
}

impl Check<'_> {
    pub(super) fn attachments(&self) -> SectionReport {
        let mut out = SectionReport::new(Section::Attachments);
        let folder = self.node.data.join(FOLDER);
        let mut missing = match self.attached() {
            Ok(attached) => attached,
            Err(error) => {
                out.unchecked(&error);
                BTreeSet::new()
            }
        };
        let listed = match self.fs.read_dir(&folder) {
            Ok(listed) => listed,
            Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
            Err(e) => {
                out.unchecked(&StoreError::io("list files of incidents", &folder)(e));
                return out;
            }
        };
        for entry in listed {
            let path = folder.join(&entry.name);
            // What is being written, or was when the node was killed; the next one of that name takes its place.
            if entry.name.ends_with(".new") {
                continue;
            }
            missing.remove(&entry.name);
            match self.fs.read(&path, limits::ATTACHMENT_BYTES_MAX as u64) {
                Ok(bytes) => {
                    (out.files, out.bytes) = (out.files + 1, out.bytes + bytes.len() as u64);
                    let is_named = entry.name.len() == blake3::OUT_LEN * 2;
                    if !is_named {
                        out.add(&path, "foreign", "its name is no hash", ASIDE);
                    } else if blake3::hash(&bytes).to_hex().as_str() != entry.name {
                        out.add(&path, "damaged", "its bytes are not those of its name", RESTORE);
                    }
                }
                Err(e) if e.kind() == ErrorKind::FileTooLarge => {
                    out.add(&path, "foreign", "it is larger than a file of an incident may be", ASIDE);
                }
                Err(e) => out.unchecked(&StoreError::io("read file of an incident", &path)(e)),
            }
        }
        for name in missing {
            let detail = "the journal says that it was kept here, and it is not there";
            out.add(&folder.join(name), "missing", detail, RESTORE);
        }
        out
    }

    /// Files that this node took in, by its journal.
    fn attached(&self) -> Result<BTreeSet<String>, StoreError> {
        let mut all = BTreeSet::new();
        if self.fs.metadata(&self.node.journal).is_err() {
            return Ok(all);
        }
        for record in Journal::read_dir(self.fs, &self.node.journal, 1)? {
            // What of the journal cannot be read is said by its own part.
            let Ok(record) = record else { break };
            if kinds::is(&record.kind, &record.body, kinds::DUTY_ACTED) {
                all.extend(attached(&record.body));
            }
        }
        Ok(all)
    }
}
