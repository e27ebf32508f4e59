//! Checks of cameras, whether written in TOML or in a CSV row.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use url::Url;

use super::places::{Places, name, position};
use super::section::{Findings, Section, Spot, Text, holds_credentials, mask_url};
use crate::env::Env;
use crate::ids::{CameraId, NodeId, StreamKind};
use crate::limits;
use crate::sealed::SecretKey;
use crate::secret::{Credentials, Secret};
use crate::topology::{Camera, CameraClass, Dossier, RecordPolicy, StreamSource, Transport};

/// Every key of a camera, in the order in which tables are written.
pub(crate) const COLUMNS: [&str; 26] = [
    "code",
    "name",
    "site",
    "enabled",
    "standby_for",
    "class",
    "record",
    "transport",
    "main",
    "sub",
    "user",
    "password",
    "lat",
    "lon",
    "datum",
    "vendor",
    "model",
    "serial",
    "installed",
    "height_m",
    "azimuth_deg",
    "field_of_view_deg",
    "contact",
    "phone",
    "maintainer",
    "note",
];

/// Opens secrets: the key file is read once, when the first `enc:` comes.
pub(super) struct Keys<'a> {
    env: &'a dyn Env,
    base: &'a Path,
    path: Option<PathBuf>,
    key: Option<Result<SecretKey, String>>,
}

impl<'a> Keys<'a> {
    pub fn new(env: &'a dyn Env, base: &'a Path, path: Option<PathBuf>) -> Self {
        Self { env, base, path, key: None }
    }

    /// What a reference to a secret stands for, or what is wrong with it and what to do.
    pub fn open(&mut self, reference: &str, camera: Option<CameraId>) -> Result<Secret, (String, String)> {
        if let Some(name) = reference.strip_prefix("env:") {
            let text = self.env.get(name).filter(|text| !text.is_empty());
            let problem =
                || (format!("names the environment variable {name}, which is not set"), "set it".to_owned());
            return Ok(Secret::referred(text.ok_or_else(problem)?, reference));
        }
        if let Some(file) = reference.strip_prefix("file:") {
            let remedy = "name a file that holds the password alone";
            let wrong =
                |problem: String| (format!("names the file {file}, which {problem}"), remedy.to_owned());
            let bytes =
                super::read_bytes(&self.base.join(file), limits::SECRET_FILE_BYTES_MAX).map_err(wrong)?;
            let text = String::from_utf8(bytes).map_err(|_| wrong("is no UTF-8 text".to_owned()))?;
            let text = text.trim_end_matches(['\r', '\n']);
            if text.is_empty() || text.chars().any(char::is_control) {
                return Err(wrong("does not hold one line".to_owned()));
            }
            return Ok(Secret::referred(text.to_owned(), reference));
        }
        if let Some(sealed) = reference.strip_prefix("enc:") {
            let path = self.path.clone();
            let key = self.key.get_or_insert_with(|| match path {
                Some(path) => SecretKey::load(&path).map_err(|error| error.to_string()),
                None => Err("node.data says no folder for the key".to_owned()),
            });
            let seal_again = "seal it again: fengsui secret seal".to_owned();
            let key = key.as_ref().map_err(|error| {
                (format!("cannot be opened: {error}"), "bring back the key file, or seal it again".to_owned())
            })?;
            return match key.open(sealed, camera) {
                Ok(secret) => Ok(Secret::referred(secret, reference)),
                Err(error) => Err((format!("cannot be opened: {error}"), seal_again)),
            };
        }
        let remedy = "write env:NAME, file:PATH, or the enc: line that `fengsui secret seal` prints";
        Err(("is a password in plain text".to_owned(), remedy.to_owned()))
    }
}

/// What the check of cameras needs to know of the node.
#[derive(Clone, Copy)]
pub(super) struct Own<'a> {
    /// Its name, as far as it has a good one.
    pub id: Option<&'a NodeId>,
    /// Its centre knows it by this name, as far as that is known.
    pub at_centre: Option<&'a NodeId>,
    /// It has a centre.
    pub has_centre: bool,
}

/// Checks all cameras.
pub(super) fn cameras(
    sections: Vec<Section>,
    places: &mut Places,
    own: Own<'_>,
    mut keys: Keys<'_>,
    out: &mut Findings,
) -> BTreeMap<CameraId, Camera> {
    let mut cameras = BTreeMap::new();
    let mut addresses: BTreeMap<Url, Spot> = BTreeMap::new();
    if let Some(beyond) = sections.get(limits::CAMERAS_MAX) {
        let problem = format!("is one of more than {} cameras", limits::CAMERAS_MAX);
        out.refuse(&beyond.spot, "camera", "", problem, "spread them over several nodes");
        return cameras;
    }
    for section in sections {
        if let Some(camera) = camera(section, places, own, &mut keys, &mut addresses, out) {
            cameras.insert(camera.id, camera);
        }
    }
    cameras
}

fn camera(
    mut section: Section,
    places: &mut Places,
    own: Own<'_>,
    keys: &mut Keys<'_>,
    addresses: &mut BTreeMap<Url, Spot>,
    out: &mut Findings,
) -> Option<Camera> {
    let before = out.0.refusals.len();
    let id = places.claim_camera(&mut section, out).map(CameraId);
    let name = name(&mut section, out);
    let site = places.parent(&mut section, "site", "site", out);
    let enabled = section.truth(out, "enabled");
    let standby_for = standby_for(&mut section, own, out);
    let class = section.word(out, "class", &[("normal", CameraClass::Normal), ("key", CameraClass::Key)]);
    let record =
        section.word(out, "record", &[("always", RecordPolicy::Always), ("never", RecordPolicy::Never)]);
    let transport = section.word(out, "transport", &[("tcp", Transport::Tcp), ("udp", Transport::Udp)]);
    let main = source(&mut section, StreamKind::Main, addresses, out);
    let sub = source(&mut section, StreamKind::Sub, addresses, out);
    let credentials = credentials(&mut section, id, keys, out);
    let position = position(&mut section, out);
    let dossier = dossier(&mut section, out);
    section.finish(out);
    if out.0.refusals.len() > before {
        return None;
    }
    Some(Camera {
        id: id?,
        name: name?,
        site: site?,
        enabled: enabled.unwrap_or(true),
        standby_for,
        class: class.unwrap_or_default(),
        record: record.unwrap_or_default(),
        transport: transport.unwrap_or_default(),
        main: main?,
        sub,
        credentials,
        position,
        dossier,
    })
}

/// The node for which this one stands by: another one, and there is a centre that says when.
fn standby_for(section: &mut Section, own: Own<'_>, out: &mut Findings) -> Option<NodeId> {
    let text = section.text(out, "standby_for")?;
    let Ok(node) = text.value.parse::<NodeId>() else {
        let remedy = "write the name of the node that records this camera: 1 to 32 of a-z, 0-9 and '-'";
        section.refuse(out, "standby_for", &text, "is no short name", remedy);
        return None;
    };
    if [own.id, own.at_centre].contains(&Some(&node)) {
        let remedy = "take the key out, and the camera is this node's own; or name the other node";
        section.refuse(out, "standby_for", &text, "is this node itself", remedy);
        return None;
    }
    if !own.has_centre {
        let problem = "needs a centre, which says when that node is gone, and this node has none";
        let remedy = "write centre under [relay], or take the key out";
        section.refuse(out, "standby_for", &text, problem, remedy);
        return None;
    }
    Some(node)
}

/// An RTSP address without credentials.
fn source(
    section: &mut Section,
    stream: StreamKind,
    addresses: &mut BTreeMap<Url, Spot>,
    out: &mut Findings,
) -> Option<StreamSource> {
    let remedy = "write rtsp://HOST[:PORT]/PATH or rtsps://...";
    let key = stream.as_str();
    let text = match stream {
        StreamKind::Main => section.need_text(out, "main", remedy)?,
        StreamKind::Sub => section.text(out, "sub")?,
    };
    if holds_credentials(&text.value) {
        let remedy = "take user name and password out of the address and use the keys user and password";
        section.refuse(out, key, &text, "holds a user name or password", remedy);
        return None;
    }
    let url = match Url::parse(&text.value) {
        Ok(url) if !matches!(url.scheme(), "rtsp" | "rtsps") => {
            section.refuse(out, key, &text, format!("is a {} address", url.scheme()), remedy);
            return None;
        }
        Ok(url) if url.host_str().is_none_or(str::is_empty) => {
            section.refuse(out, key, &text, "names no host", remedy);
            return None;
        }
        Ok(url) => url,
        Err(error) => {
            section.refuse(out, key, &text, format!("is no address: {error}"), remedy);
            return None;
        }
    };
    if let Some(first) = addresses.insert(url.clone(), text.spot.clone()) {
        let problem =
            format!("is the address of another stream too ({}:{})", first.file.display(), first.line);
        out.warn(
            &text.spot,
            section.dotted(key),
            format!("{:?}", mask_url(&text.value)),
            problem,
            "check it",
        );
    }
    Some(StreamSource { url })
}

/// User name and password: both or none.
fn credentials(
    section: &mut Section,
    camera: Option<CameraId>,
    keys: &mut Keys<'_>,
    out: &mut Findings,
) -> Option<Credentials> {
    let user = section.text(out, "user");
    let cell = section.take("password");
    let Some(cell) = cell else {
        if user.is_some() {
            section.missing(out, "password", "write both user and password, or none");
        }
        return None;
    };
    let (super::section::Raw::Text(reference) | super::section::Raw::Loose(reference)) = cell.raw else {
        let remedy =
            "write env:NAME, file:PATH, or the enc: line that `fengsui secret seal` prints, in quotes";
        out.refuse(&cell.spot, section.dotted("password"), "***", "is no text", remedy);
        return None;
    };
    if user.is_none() {
        section.missing(out, "user", "write both user and password, or none");
    }
    match keys.open(&reference, camera) {
        Ok(password) => Some(Credentials { user: user?.value, password }),
        Err((problem, remedy)) => {
            out.refuse(&cell.spot, section.dotted("password"), "***", problem, remedy);
            None
        }
    }
}

/// The fields of the device's record.
fn dossier(section: &mut Section, out: &mut Findings) -> Dossier {
    let mut text = |key| section.text(out, key).map(|text| text.value);
    let (vendor, model, serial) = (text("vendor"), text("model"), text("serial"));
    let (contact, phone, maintainer, note) =
        (text("contact"), text("phone"), text("maintainer"), text("note"));
    Dossier {
        vendor,
        model,
        serial,
        installed: day(section, out),
        height_m: section.number(out, "height_m", (-100.0, 1000.0), "metres"),
        azimuth_deg: section
            .number(out, "azimuth_deg", (0.0, 360.0), "degrees")
            .map(|degrees| degrees % 360.0),
        field_of_view_deg: section.number(out, "field_of_view_deg", (0.1, 360.0), "degrees"),
        contact,
        phone,
        maintainer,
        note,
    }
}

/// A day, as a TOML date or as text.
fn day(section: &mut Section, out: &mut Findings) -> Option<String> {
    use super::section::Raw;
    let cell = section.take("installed")?;
    let text = match &cell.raw {
        Raw::Date(text) | Raw::Text(text) | Raw::Loose(text) => text.trim().to_owned(),
        _ => String::new(),
    };
    let format = time::macros::format_description!("[year]-[month]-[day]");
    if time::Date::parse(&text, format).is_ok() {
        return Some(text);
    }
    let text = Text { value: text, spot: cell.spot };
    section.refuse(out, "installed", &text, "is no day", "write YYYY-MM-DD");
    None
}
