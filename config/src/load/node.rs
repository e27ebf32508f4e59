//! Checks of `[node]`, `[web]`, `[ingest]` and `[storage]`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::section::{Findings, Section, Spot, Text};
use super::tidy;
use crate::checked::{
    IngestConfig, JournalConfig, NodeConfig, StorageConfig, VolumeConfig, VolumeKind, WebConfig,
};
use crate::ids::{Slug, VolumeId};
use crate::limits;

/// Where the node listens when nothing is said.
const LISTEN_DEFAULT: &str = "127.0.0.1:8080";

/// Whether the lean path is used when nothing is said.
const LEAN_DEFAULT: bool = true;

/// A slug that must be there.
pub(super) fn slug(section: &mut Section, key: &'static str, out: &mut Findings) -> Option<(Slug, Text)> {
    let remedy = "write 1 to 32 of a-z, 0-9 and '-'";
    let text = section.need_text(out, key, remedy)?;
    match text.value.parse() {
        Ok(slug) => Some((slug, text)),
        Err(_) => {
            section.refuse(out, key, &text, "is no short name", remedy);
            None
        }
    }
}

/// An optional path, made absolute.
fn path(section: &mut Section, key: &'static str, base: &Path, out: &mut Findings) -> Option<PathBuf> {
    section.text(out, key).map(|text| tidy(&base.join(text.value)))
}

/// Checks `[node]`.
pub(super) fn node(section: Option<Section>, base: &Path, out: &mut Findings) -> Option<NodeConfig> {
    let mut section = section?;
    let id = slug(&mut section, "id", out);
    let data = section
        .need_text(out, "data", "name the folder of journal, catalogue and keys")
        .map(|text| tidy(&base.join(text.value)));
    let secret_key = path(&mut section, "secret_key", base, out);
    section.finish(out);
    let data = data?;
    let secret_key = secret_key.unwrap_or_else(|| data.join("secret.key"));
    Some(NodeConfig { id: id?.0, data, secret_key })
}

/// Checks `[journal]`; without it everything is kept for ever.
pub(super) fn journal(section: Option<Section>, out: &mut Findings) -> JournalConfig {
    let Some(mut section) = section else { return JournalConfig { keep_days: None } };
    let bounds = (limits::JOURNAL_KEEP_DAYS_MIN, limits::JOURNAL_KEEP_DAYS_MAX);
    let keep_days = section.whole(out, "keep_days", bounds, "days");
    section.finish(out);
    JournalConfig { keep_days }
}

/// Checks `[ingest]`; all of it has defaults.
pub(super) fn ingest(section: Option<Section>, out: &mut Findings) -> IngestConfig {
    let Some(mut section) = section else { return IngestConfig { lean: LEAN_DEFAULT } };
    let lean = section.truth(out, "lean").unwrap_or(LEAN_DEFAULT);
    section.finish(out);
    IngestConfig { lean }
}

/// Checks `[web]`; all of it has defaults.
pub(super) fn web(section: Option<Section>, base: &Path, out: &mut Findings) -> WebConfig {
    let default = || LISTEN_DEFAULT.parse().into_iter().collect();
    let Some(mut section) = section else {
        let (tls_listen, public_names) = (Vec::new(), Vec::new());
        return WebConfig { listen: default(), tls_listen, certificate: None, key: None, public_names };
    };
    let plain = section.texts(out, "listen");
    let tls = section.texts(out, "tls_listen");
    let nothing_said = plain.is_empty() && tls.is_empty();
    let mut taken = BTreeMap::new();
    let mut listen = addresses(&section, "listen", plain, &mut taken, out);
    let tls_listen = addresses(&section, "tls_listen", tls, &mut taken, out);
    if nothing_said {
        listen = default();
    }
    let certificate = path(&mut section, "certificate", base, out);
    let key = path(&mut section, "key", base, out);
    if certificate.is_some() != key.is_some() {
        let missing = if key.is_none() { "key" } else { "certificate" };
        section.missing(out, missing, "write both certificate and key, or none for a self-signed one");
    }
    let mut public_names = Vec::new();
    for text in section.texts(out, "public_names") {
        match url::Host::parse(&text.value) {
            Ok(host) => public_names.push(host.to_string()),
            Err(_) => {
                let remedy =
                    "write what stands in the browser's address: a host name or an IP address, no port";
                section.refuse(out, "public_names", &text, "is no host", remedy);
            }
        }
    }
    section.finish(out);
    WebConfig { listen, tls_listen, certificate, key, public_names }
}

/// Checks one list of listening addresses.
fn addresses(
    section: &Section,
    key: &'static str,
    texts: Vec<Text>,
    taken: &mut BTreeMap<SocketAddr, u32>,
    out: &mut Findings,
) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    for text in texts {
        let Ok(address) = text.value.parse::<SocketAddr>() else {
            let remedy = "write an IP address and a port, for example \"127.0.0.1:8080\" or \"[::1]:8080\"";
            section.refuse(out, key, &text, "is no listening address", remedy);
            continue;
        };
        if key == "listen" && !address.ip().is_loopback() {
            let remedy = "listen on 127.0.0.1 or [::1], or put the address under tls_listen";
            section.refuse(out, key, &text, "would speak plain HTTP beyond this machine", remedy);
            continue;
        }
        if address.port() != 0
            && let Some(line) = taken.insert(address, text.spot.line)
        {
            let problem = format!("is listened on already (line {line})");
            section.refuse(out, key, &text, problem, "use another port");
            continue;
        }
        addresses.push(address);
    }
    addresses
}

/// Checks `[storage]` and its volumes.
pub(super) fn storage(
    section: Option<Section>,
    volumes: Vec<Section>,
    base: &Path,
    data: Option<&Path>,
    whole: &Spot,
    out: &mut Findings,
) -> Option<StorageConfig> {
    let (mut budget, mut scrub) = (None, None);
    let spot = section.as_ref().map_or_else(|| whole.clone(), |section| section.spot.clone());
    if let Some(mut section) = section {
        section.take("volume");
        section.take("archive");
        budget = section.whole(out, "ring_budget_mib", limits::RING_BUDGET_MIB, "MiB");
        scrub = section.whole(out, "scrub_mib_per_s", limits::SCRUB_MIB_PER_SECOND, "MiB a second");
        if scrub == Some(0) {
            let remedy = "leave the key out, or write a small rate: only reading finds what a disk has lost";
            out.warn(
                &section.spot,
                "storage.scrub_mib_per_s",
                "0",
                "turns off the check of stored footage",
                remedy,
            );
        }
        section.finish(out);
    }
    if volumes.is_empty() {
        let remedy = "write [[storage.volume]] with id and path";
        out.refuse(&spot, "storage.volume", "", "is missing", remedy);
        return None;
    }
    let ring_budget_bytes = budget
        .and_then(|mib| usize::try_from(mib.saturating_mul(1 << 20)).ok())
        .unwrap_or(limits::RING_BYTES_BUDGET_DEFAULT);
    let mut checked: Vec<(VolumeConfig, u32)> = Vec::new();
    let mut sections = Vec::new();
    for mut section in volumes {
        let found = volume(&mut section, base, data, &checked, out);
        sections.push((section, found.as_ref().map(|(v, _)| v.id.clone())));
        checked.extend(found);
    }
    let mut volumes: Vec<VolumeConfig> = checked.into_iter().map(|(volume, _)| volume).collect();
    for (section, id) in sections {
        ways(section, id.as_ref(), &mut volumes, out);
    }
    let scrub_bytes_per_s = scrub.map_or(limits::SCRUB_RATE_DEFAULT, |mib| mib.saturating_mul(1 << 20));
    Some(StorageConfig { volumes, archives: Vec::new(), ring_budget_bytes, scrub_bytes_per_s })
}

/// Checks `kind`, `stage` and `weight` of one volume, which speak of other volumes too.
fn ways(mut section: Section, id: Option<&VolumeId>, volumes: &mut [VolumeConfig], out: &mut Findings) {
    let staged = section.word(out, "kind", &[("direct", false), ("staged", true)]).unwrap_or(false);
    let text = section.text(out, "stage");
    let weight = section.whole(out, "weight", limits::VOLUME_WEIGHT, "percent");
    let mut kind = VolumeKind::Direct;
    match text {
        None if staged => {
            section.missing(out, "stage", "name the fast volume that open segments are written on");
        }
        Some(text) if !staged => {
            let remedy = "write kind = \"staged\" beside it, or remove it";
            section.refuse(out, "stage", &text, "is set on a volume that is not staged", remedy);
        }
        Some(text) => match stage(&text, id, volumes) {
            Ok(stage) => kind = VolumeKind::Staged { stage },
            Err((problem, remedy)) => section.refuse(out, "stage", &text, problem, remedy),
        },
        None => {}
    }
    section.finish(out);
    if let Some(volume) = volumes.iter_mut().find(|v| Some(&v.id) == id) {
        volume.kind = kind;
        volume.weight = weight.and_then(|w| u32::try_from(w).ok()).unwrap_or(volume.weight);
    }
}

/// The volume that `text` names as the stage of `id`, or what is wrong with it and the remedy.
fn stage(
    text: &Text,
    id: Option<&VolumeId>,
    volumes: &[VolumeConfig],
) -> Result<VolumeId, (&'static str, &'static str)> {
    let Some(stage) = volumes.iter().find(|v| v.id.as_str() == text.value) else {
        return Err(("is no volume known here", "write the id of another [[storage.volume]]"));
    };
    let used = |v: &VolumeConfig| matches!(&v.kind, VolumeKind::Staged { stage } if Some(stage) == id);
    if Some(&stage.id) == id {
        return Err(("is the volume itself", "name another volume, or write kind = \"direct\""));
    }
    if matches!(stage.kind, VolumeKind::Staged { .. }) || volumes.iter().any(used) {
        return Err((
            "would make a stage of a staged volume",
            "a stage is written to directly; name such a volume",
        ));
    }
    Ok(stage.id.clone())
}

/// Checks one volume against those before it.
fn volume(
    section: &mut Section,
    base: &Path,
    data: Option<&Path>,
    before: &[(VolumeConfig, u32)],
    out: &mut Findings,
) -> Option<(VolumeConfig, u32)> {
    let line = section.spot.line;
    let id = slug(section, "id", out);
    let text = section.need_text(out, "path", "name the folder of the footage");
    let reserve = section.whole(out, "reserve_mib", limits::VOLUME_RESERVE_MIB, "MiB");
    let water = super::retention::water_marks(section, out);
    if let Some((id, text)) = &id
        && let Some((_, first)) = before.iter().find(|(volume, _)| volume.id == *id)
    {
        let problem = format!("is the id of another volume (line {first})");
        section.refuse(out, "id", text, problem, "give each volume an id of its own");
    }
    let path = text.as_ref().map(|text| resolved(&base.join(&text.value)));
    if let (Some(path), Some(text)) = (&path, &text) {
        let clash =
            before.iter().find(|(volume, _)| path.starts_with(&volume.path) || volume.path.starts_with(path));
        if let Some((other, first)) = clash {
            let how = if other.path == *path { "is" } else { "overlaps" };
            let problem = format!("{how} the path of another volume (line {first})");
            section.refuse(out, "path", text, problem, "give each volume a folder of its own");
        }
        if data.is_some_and(|data| resolved(data).starts_with(path)) {
            let remedy =
                "keep journal and catalogue apart from footage, so that a lost disk takes only one of them";
            section.refuse(out, "path", text, "holds the folder of node.data", remedy);
        }
    }
    let reserve_bytes =
        reserve.map_or(limits::VOLUME_RESERVE_BYTES_DEFAULT, |mib| mib.saturating_mul(1 << 20));
    Some((VolumeConfig { water, ..VolumeConfig::direct(id?.0, path?, reserve_bytes) }, line))
}

/// A tidy path with the links of its existing part followed, so that two names of one folder are equal.
pub(super) fn resolved(path: &Path) -> PathBuf {
    let path = tidy(path);
    path.ancestors()
        .find_map(|ancestor| {
            let real = ancestor.canonicalize().ok()?;
            let rest = path.strip_prefix(ancestor).ok()?;
            Some(if rest.as_os_str().is_empty() { real } else { real.join(rest) })
        })
        .unwrap_or(path)
}
