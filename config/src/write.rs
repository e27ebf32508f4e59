//! Checked things back to TOML text, for files that the program itself writes.

use std::fmt::{Display, Write};

use crate::topology::{Camera, CameraClass, Position, RecordPolicy, StreamSource, Topology, Transport};

/// The tree without its cameras, as TOML.
#[must_use]
pub fn places(topology: &Topology) -> String {
    let mut table = Table::default();
    table.open("[city]");
    table.text("code", topology.city.code);
    table.text("name", &topology.city.name);
    table.tree(topology);
    table.0
}

/// What a centre may change of a node, as TOML: places but the city, and cameras without user and password.
#[must_use]
pub fn central(topology: &Topology) -> String {
    let mut table = Table::default();
    table.tree(topology);
    for camera in topology.cameras.values() {
        table.camera(camera, |key| !matches!(key, "user" | "password"));
    }
    table.0
}

/// Cameras as TOML. A password stands as its reference; one that has none (never the case for a loaded camera) is
/// left out together with its user.
#[must_use]
pub fn cameras<'a>(cameras: impl IntoIterator<Item = &'a Camera>) -> String {
    let mut table = Table::default();
    for camera in cameras {
        table.camera(camera, |_| true);
    }
    table.0
}

/// A value of a camera as it is written down.
pub(crate) enum Field {
    /// In quotes in TOML.
    Text(String),
    /// Bare in TOML: numbers and truth values.
    Plain(String),
}

/// Every key of a camera that differs from its default, in the order of the columns.
pub(crate) fn fields(camera: &Camera) -> Vec<(&'static str, Field)> {
    let mut fields = Vec::new();
    let mut text = |key, value: Option<String>| fields.extend(value.map(|value| (key, Field::Text(value))));
    text("code", Some(camera.id.to_string()));
    text("name", Some(camera.name.clone()));
    text("site", Some(camera.site.to_string()));
    text("standby_for", camera.standby_for.as_ref().map(ToString::to_string));
    text("class", (camera.class == CameraClass::Key).then(|| "key".to_owned()));
    text("record", (camera.record == RecordPolicy::Never).then(|| "never".to_owned()));
    text("transport", (camera.transport == Transport::Udp).then(|| "udp".to_owned()));
    text("main", Some(camera.main.url.to_string()));
    text("sub", camera.sub.as_ref().map(|StreamSource { url }| url.to_string()));
    if let Some(credentials) = &camera.credentials
        && let Some(reference) = credentials.password.reference()
    {
        text("user", Some(credentials.user.clone()));
        text("password", Some(reference.to_owned()));
    }
    let dossier = &camera.dossier;
    text("datum", camera.position.map(|position| position.datum.as_str().to_owned()));
    text("vendor", dossier.vendor.clone());
    text("model", dossier.model.clone());
    text("serial", dossier.serial.clone());
    text("installed", dossier.installed.clone());
    text("contact", dossier.contact.clone());
    text("phone", dossier.phone.clone());
    text("maintainer", dossier.maintainer.clone());
    text("note", dossier.note.clone());
    let mut plain = |key, value: Option<String>| fields.extend(value.map(|value| (key, Field::Plain(value))));
    plain("enabled", (!camera.enabled).then(|| "false".to_owned()));
    plain("lat", camera.position.map(|position| position.typed_lat.to_string()));
    plain("lon", camera.position.map(|position| position.typed_lon.to_string()));
    plain("height_m", dossier.height_m.map(|metres| metres.to_string()));
    plain("azimuth_deg", dossier.azimuth_deg.map(|degrees| degrees.to_string()));
    plain("field_of_view_deg", dossier.field_of_view_deg.map(|degrees| degrees.to_string()));
    fields.sort_by_key(|(key, _)| crate::load::COLUMNS.iter().position(|column| column == key));
    fields
}

/// TOML text under construction.
#[derive(Default)]
struct Table(String);

impl Table {
    fn open(&mut self, header: &str) {
        let gap = if self.0.is_empty() { "" } else { "\n" };
        self.line(format_args!("{gap}{header}"));
    }

    fn tree(&mut self, topology: &Topology) {
        for sub_centre in topology.sub_centres.values() {
            self.open("[[sub_centre]]");
            self.text("code", sub_centre.code);
            self.text("name", &sub_centre.name);
        }
        for station in topology.stations.values() {
            self.open("[[station]]");
            self.text("code", station.code);
            self.text("name", &station.name);
            self.text("sub_centre", station.sub_centre);
        }
        for site in topology.sites.values() {
            self.open("[[site]]");
            self.text("code", site.code);
            self.text("name", &site.name);
            self.text("station", site.station);
            self.text("kind", site.kind);
            self.position(site.position);
        }
    }

    fn camera(&mut self, camera: &Camera, wanted: impl Fn(&str) -> bool) {
        self.open("[[camera]]");
        for (key, value) in fields(camera).into_iter().filter(|(key, _)| wanted(key)) {
            match value {
                Field::Text(text) => self.text(key, text),
                Field::Plain(text) => self.plain(key, text),
            }
        }
    }

    fn text(&mut self, key: &str, value: impl Display) {
        let value = toml::Value::String(value.to_string());
        self.line(format_args!("{key} = {value}"));
    }

    fn plain(&mut self, key: &str, value: impl Display) {
        self.line(format_args!("{key} = {value}"));
    }

    fn position(&mut self, position: Option<Position>) {
        if let Some(position) = position {
            self.plain("lat", position.typed_lat);
            self.plain("lon", position.typed_lon);
            self.text("datum", position.datum.as_str());
        }
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{text}");
    }
}
