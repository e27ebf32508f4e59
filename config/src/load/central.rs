//! Places and cameras that a centre wrote, in place of those of the node's own file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::RENAMED;
use super::camera::{self, Keys};
use super::document;
use super::places::Places;
use super::section::{Findings, Section, Spot};
use crate::central::CentralTopology;
use crate::finding::{Refusals, Warning};
use crate::ids::CameraId;
use crate::limits;

/// Tables that a centre may write.
const KINDS: [&str; 4] = ["sub_centre", "station", "site", "camera"];
/// Keys of a camera that stay with the node.
const LOGIN: [&str; 2] = ["user", "password"];

/// Takes the centre's places and cameras instead of those in `many`; who may look at a camera is still what `many` says.
pub(super) fn replace(many: &mut Vec<Section>, central: &CentralTopology, out: &mut Findings) {
    let (own, mut kept): (Vec<_>, Vec<_>) = many.drain(..).partition(|section| KINDS.contains(&section.kind));
    let mut logins: BTreeMap<String, Section> = BTreeMap::new();
    for section in own.into_iter().filter(|section| section.kind == "camera") {
        if let Some(code) = section.shown_text("code").map(str::to_owned) {
            logins.entry(code).or_insert(section);
        }
    }
    for mut section in read(central, out) {
        let code = section.shown_text("code").filter(|_| section.kind == "camera");
        if let Some(own) = code.and_then(|code| logins.get(code)) {
            section.lend(own, &LOGIN);
        }
        kept.push(section);
    }
    *many = kept;
}

/// See [`CentralTopology::check`].
pub(crate) fn check(central: &CentralTopology) -> Result<(BTreeMap<CameraId, u32>, Vec<Warning>), Refusals> {
    let mut out = Findings::default();
    let (mut by_kind, mut lines) = (BTreeMap::<&str, Vec<Section>>::new(), BTreeMap::new());
    for mut section in read(central, &mut out) {
        section.rename(RENAMED, &mut out);
        if section.kind == "camera"
            && let Some(code) = section.shown_text("code").and_then(|code| code.parse().ok())
        {
            lines.entry(code).or_insert(section.spot_of("code").line);
        }
        by_kind.entry(section.kind).or_default().push(section);
    }
    let mut of = |kind: &str| by_kind.remove(kind).unwrap_or_default();
    let mut places = Places::new(None);
    places.sub_centres(of("sub_centre"), &mut out);
    places.stations(of("station"), &mut out);
    places.sites(of("site"), &mut out);
    let nothing = BTreeMap::<String, String>::new();
    let keys = Keys::new(&nothing, Path::new("/"), None);
    // Which node it is for is not known here; the node itself looks at it again.
    let own = camera::Own { id: None, at_centre: None, has_centre: true };
    camera::cameras(of("camera"), &mut places, own, keys, &mut out);
    let Findings(mut found) = out;
    found.sort();
    if found.refusals.is_empty() { Ok((lines, found.warnings)) } else { Err(found) }
}

/// The tables of the text. What is not the centre's to say is refused.
fn read(central: &CentralTopology, out: &mut Findings) -> Vec<Section> {
    let file: Arc<Path> = Arc::from(central.name());
    let whole = Spot { file: file.clone(), line: 0, column: 0 };
    if central.text.len() > limits::RELAY_CONFIG_BYTES_MAX {
        let problem = format!("is larger than {} bytes", limits::RELAY_CONFIG_BYTES_MAX);
        out.refuse(&whole, "text", "", problem, "leave out notes, or spread the cameras over several nodes");
        return Vec::new();
    }
    let before = out.0.refusals.len();
    let document = document::read(&central.text, &file, out);
    let parsed = out.0.refusals.len() == before;
    let remedy = "remove it: a centre writes [[sub_centre]], [[station]], [[site]] and [[camera]]";
    for include in &document.includes {
        out.refuse(&include.spot, "include", "", "names a file of the node", remedy);
    }
    for single in &document.singles {
        out.refuse(&single.spot, single.kind, "", "stands in the node's own file alone", remedy);
    }
    let known: BTreeSet<&str> = KINDS.into_iter().collect();
    let sections: Vec<Section> = document.many.into_iter().filter(|s| known.contains(s.kind)).collect();
    for section in sections.iter().filter(|section| section.kind == "camera") {
        for key in LOGIN.into_iter().filter(|key| section.has(key)) {
            let remedy =
                "remove it; write user and password under [[camera]] with this code in the node's file";
            let problem = "stays at the node, as every password does";
            out.refuse(&section.spot_of(key), section.dotted(key), "***", problem, remedy);
        }
    }
    if parsed && !sections.iter().any(|section| section.kind == "camera") {
        let remedy = "write at least one [[camera]]; to stop a camera write enabled = false";
        out.refuse(&whole, "camera", "", "is missing", remedy);
    }
    sections
}

#[cfg(test)]
#[path = "central_tests.rs"]
mod tests;
