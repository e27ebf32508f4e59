//! Checks of the tree from the city down to its sites.

use std::collections::BTreeMap;

use super::section::{Findings, Section, Spot, Text};
use crate::ids::NationalCode;
use crate::limits;
use crate::topology::{
    City, Datum, PlaceKind, PlaceRefused, Position, PositionError, Site, Station, SubCentre,
};

/// Device types of GB/T 28181 Annex E that a place or camera may have, in words and numbers.
const CENTRE: (&[u16], &str) = (&[200], "200");
const UNIT: (&[u16], &str) = (&[200, 215, 216], "200, 215 or 216");
const SITE: (&[u16], &str) = (&[215, 216], "215 or 216");
const CAMERA: (&[u16], &str) = (&[131, 132], "131 or 132");

/// The tree as far as it has been checked.
pub(super) struct Places {
    pub city: Option<City>,
    pub sub_centres: BTreeMap<NationalCode, SubCentre>,
    pub stations: BTreeMap<NationalCode, Station>,
    pub sites: BTreeMap<NationalCode, Site>,
    /// Every code used so far: one code names one thing in the whole country. A place whose other fields were
    /// refused is in here all the same, so that its children are not refused for its sake.
    codes: BTreeMap<NationalCode, (&'static str, Spot)>,
}

/// Checks `[city]`.
pub(super) fn city(section: Option<Section>, out: &mut Findings) -> Option<(City, Spot)> {
    let mut section = section?;
    let code = code(&mut section, CENTRE, out);
    let name = name(&mut section, out);
    let spot = section.spot.clone();
    section.finish(out);
    Some((City { code: code?.0, name: name? }, spot))
}

/// A national code with a plausible type.
fn code(section: &mut Section, types: (&[u16], &str), out: &mut Findings) -> Option<(NationalCode, Text)> {
    let text = section.need_text(out, "code", "write its national 20-digit code (GB/T 28181 Annex E)")?;
    let code: NationalCode = match text.value.parse() {
        Ok(code) => code,
        Err(error) => {
            let remedy = "write 8 digits of centre, 2 of industry, 3 of type, 1 of network, 6 of serial";
            let remedy = if text.value.to_ascii_uppercase().contains("E+") {
                "a spreadsheet has rounded it: format the column as text and enter the 20 digits again"
            } else {
                remedy
            };
            section.refuse(out, "code", &text, error.to_string(), remedy);
            return None;
        }
    };
    let (allowed, words) = types;
    if !allowed.contains(&code.type_code()) {
        let problem = format!("has type {:03} in digits 11 to 13", code.type_code());
        let remedy = format!("a {} has type {words} (GB/T 28181 Annex E)", section.kind.replace('_', "-"));
        section.refuse(out, "code", &text, problem, &remedy);
        return None;
    }
    Some((code, text))
}

/// A name shown to people.
pub(super) fn name(section: &mut Section, out: &mut Findings) -> Option<String> {
    let text = section.need_text(out, "name", "write the name that people know it by")?;
    if text.value.chars().count() > limits::NAME_CHARS_MAX {
        let problem = format!("is longer than {} characters", limits::NAME_CHARS_MAX);
        section.refuse(out, "name", &text, problem, "shorten it");
        return None;
    }
    Some(text.value.trim().to_owned())
}

/// Latitude, longitude and datum.
pub(super) fn position(section: &mut Section, out: &mut Findings) -> Option<Position> {
    let words =
        [Datum::Wgs84, Datum::Cgcs2000, Datum::Gcj02, Datum::Bd09].map(|datum| (datum.as_str(), datum));
    let (lat_spot, lon_spot, before) = (section.spot_of("lat"), section.spot_of("lon"), out.0.refusals.len());
    let lat = section.number(out, "lat", (-180.0, 180.0), "degrees");
    let lon = section.number(out, "lon", (-180.0, 180.0), "degrees");
    let datum = section.word(out, "datum", &words);
    if out.0.refusals.len() > before {
        return None;
    }
    match (lat, lon) {
        (None, None) => None,
        (Some(lat), Some(lon)) => match Position::typed(lat, lon, datum.unwrap_or_default()) {
            Ok(position) => Some(position),
            Err(error) => {
                let (key, value, spot) = match error {
                    PositionError::Latitude => ("lat", lat, lat_spot),
                    PositionError::Longitude => ("lon", lon, lon_spot),
                };
                let remedy = "lat is north, lon is east: perhaps the two are swapped";
                out.refuse(&spot, section.dotted(key), value.to_string(), error.to_string(), remedy);
                None
            }
        },
        (lat, _) => {
            section.missing(
                out,
                if lat.is_none() { "lat" } else { "lon" },
                "write both lat and lon, or none",
            );
            None
        }
    }
}

impl Places {
    pub fn new(city: Option<(City, Spot)>) -> Self {
        let mut places = Self {
            city: None,
            sub_centres: BTreeMap::new(),
            stations: BTreeMap::new(),
            sites: BTreeMap::new(),
            codes: BTreeMap::new(),
        };
        if let Some((city, spot)) = city {
            places.codes.insert(city.code, ("city", spot));
            places.city = Some(city);
        }
        places
    }

    /// Takes a code for a thing of this section's kind.
    fn claim(
        &mut self,
        section: &mut Section,
        types: (&[u16], &str),
        out: &mut Findings,
    ) -> Option<NationalCode> {
        let (code, text) = code(section, types, out)?;
        if let Some((kind, first)) = self.codes.get(&code) {
            let problem = format!(
                "is the code of a {} already ({}:{})",
                kind.replace('_', "-"),
                first.file.display(),
                first.line
            );
            section.refuse(out, "code", &text, problem, "give it a code of its own");
            return None;
        }
        self.codes.insert(code, (section.kind, text.spot.clone()));
        if let Some(city) = &self.city
            && city.code.as_str().get(..4) != code.as_str().get(..4)
        {
            let problem = format!("does not begin like the city's code {}", city.code);
            out.warn(&text.spot, section.dotted("code"), text.value, problem, "check its first four digits");
        }
        Some(code)
    }

    /// Takes the code of a camera.
    pub fn claim_camera(&mut self, section: &mut Section, out: &mut Findings) -> Option<NationalCode> {
        self.claim(section, CAMERA, out)
    }

    /// The code of a parent, which must be known and of the right kind.
    pub fn parent(
        &self,
        section: &mut Section,
        key: &'static str,
        kind: &'static str,
        out: &mut Findings,
    ) -> Option<NationalCode> {
        let words = kind.replace('_', "-");
        let text = section.need_text(out, key, &format!("write the code of its {words}"))?;
        let found =
            text.value.parse().ok().filter(|code| self.codes.get(code).is_some_and(|(is, _)| *is == kind));
        if found.is_none() {
            let remedy = format!("write the code of a [[{kind}]] of this configuration");
            section.refuse(out, key, &text, format!("is no {words} known here"), &remedy);
        }
        found
    }

    pub fn sub_centres(&mut self, sections: Vec<Section>, out: &mut Findings) {
        for mut section in sections {
            let code = self.claim(&mut section, UNIT, out);
            let name = name(&mut section, out);
            section.finish(out);
            if let (Some(code), Some(name)) = (code, name) {
                self.sub_centres.insert(code, SubCentre { code, name });
            }
        }
    }

    pub fn stations(&mut self, sections: Vec<Section>, out: &mut Findings) {
        for mut section in sections {
            let code = self.claim(&mut section, UNIT, out);
            let name = name(&mut section, out);
            let sub_centre = self.parent(&mut section, "sub_centre", "sub_centre", out);
            section.finish(out);
            if let (Some(code), Some(name), Some(sub_centre)) = (code, name, sub_centre) {
                self.stations.insert(code, Station { code, name, sub_centre });
            }
        }
    }

    pub fn sites(&mut self, sections: Vec<Section>, out: &mut Findings) {
        for mut section in sections {
            let code = self.claim(&mut section, SITE, out);
            let name = name(&mut section, out);
            let station = self.parent(&mut section, "station", "station", out);
            let kind = kind(&mut section, name.as_deref(), out);
            let position = position(&mut section, out);
            section.finish(out);
            if let (Some(code), Some(name), Some(station), Some(kind)) = (code, name, station, kind) {
                self.sites.insert(code, Site { code, name, station, kind, position });
            }
        }
    }
}

/// The kind of a site's place; places of privacy are refused.
fn kind(section: &mut Section, name: Option<&str>, out: &mut Findings) -> Option<PlaceKind> {
    let list = PlaceKind::ALL.map(PlaceKind::as_str).join(", ");
    let text = section.need_text(out, "kind", &format!("write one of: {list}"))?;
    let kind = match text.value.parse::<PlaceKind>() {
        Ok(kind) => kind,
        Err(refused) => {
            let remedy = match refused {
                PlaceRefused::Privacy => "remove the site and its cameras".to_owned(),
                PlaceRefused::Unknown => format!("write one of: {list}"),
            };
            section.refuse(out, "kind", &text, refused.to_string(), &remedy);
            return None;
        }
    };
    if let Some(name) = name
        && PlaceKind::sounds_private(name)
    {
        let problem = "sounds like a place of privacy, where State Council Order 799, Art. 8 forbids cameras";
        let remedy = "make sure that its cameras see public ground only";
        out.warn(&section.spot, section.dotted("name"), format!("{name:?}"), problem, remedy);
    }
    Some(kind)
}
