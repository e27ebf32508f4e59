//! The reference city, made up: real names of towns and real region codes, everything else sample data. The same
//! options always give the same city.

mod names;

use std::collections::BTreeMap;

use url::Url;

use crate::ids::{CameraId, CodeError, NationalCode, StreamKind};
use crate::limits;
use crate::secret::{Credentials, Secret};
use crate::topology::{
    Camera, CameraClass, City, Datum, Dossier, PlaceKind, Position, PositionError, RecordPolicy, Site,
    Station, StreamSource, SubCentre, Topology, Transport,
};
use names::{PLACES, REGIONS, ROADS, Region};

/// The reference city has this many cameras at this many sites of this many sub-centres.
pub const REFERENCE: (usize, usize, usize) = (1400, 474, 18);
/// Stations of one sub-centre.
const STATIONS_PER_SUB_CENTRE: usize = 4;

/// What city to make.
#[derive(Debug, Clone)]
pub struct CityOptions {
    /// How many cameras; fewer than 1,400 have fewer sites in proportion.
    pub cameras: usize,
    /// Address of a stream; `{n}` becomes the camera's number, `{code}` its code, `{stream}` main or sub.
    pub rtsp: String,
    /// Number of the first camera.
    pub first: u32,
    /// Whether cameras have a sub-stream.
    pub sub: bool,
    /// User name and reference to the password (`env:NAME`, `file:PATH`, `enc:...`) of every camera.
    pub credentials: Option<(String, String)>,
    /// How RTP comes.
    pub transport: Transport,
}

impl Default for CityOptions {
    /// The reference city behind a simulator on this machine.
    fn default() -> Self {
        Self {
            cameras: REFERENCE.0,
            rtsp: "rtsp://127.0.0.1:8554/cam/{n}/{stream}".to_owned(),
            first: 1,
            sub: true,
            credentials: None,
            transport: Transport::Tcp,
        }
    }
}

/// Why a city cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CityError {
    /// None or too many cameras.
    #[error("a city has 1 to {} cameras", limits::CAMERAS_MAX)]
    Cameras,
    /// The template gives two streams one address.
    #[error("the address {0} is the same for several streams; put {{n}} or {{code}} and {{stream}} into it")]
    Template(String),
    /// The template gives no RTSP address.
    #[error("{0} is no RTSP address: write rtsp://HOST[:PORT]/PATH without user name and password")]
    Address(String),
    /// A code of the generator is none: a defect.
    #[error(transparent)]
    Code(#[from] CodeError),
    /// A position of the generator is none: a defect.
    #[error(transparent)]
    Position(#[from] PositionError),
}

/// Makes the city.
///
/// # Errors
/// When the options ask for too much or the template gives no good addresses.
pub fn new(options: &CityOptions) -> Result<Topology, CityError> {
    if !(1..=limits::CAMERAS_MAX).contains(&options.cameras) {
        return Err(CityError::Cameras);
    }
    let numbered = options.cameras == 1 || options.rtsp.contains("{n}") || options.rtsp.contains("{code}");
    if !numbered || (options.sub && !options.rtsp.contains("{stream}")) {
        return Err(CityError::Template(options.rtsp.clone()));
    }
    let city = City { code: "33080000002000000001".parse()?, name: "衢州市（示例）".to_owned() };
    let mut plan = Plan {
        topology: Topology {
            city,
            sub_centres: BTreeMap::new(),
            stations: BTreeMap::new(),
            sites: BTreeMap::new(),
            cameras: BTreeMap::new(),
        },
        places: Vec::new(),
        serials: BTreeMap::new(),
    };
    let (cameras, sites, sub_centres) = REFERENCE;
    let sites = (options.cameras * sites).div_ceil(cameras).min(sites);
    for index in 0..sites {
        plan.site(index, sites.min(sub_centres))?;
    }
    for index in 0..options.cameras {
        plan.camera(index, options)?;
    }
    Ok(plan.topology)
}

/// A city under construction.
struct Plan {
    topology: Topology,
    /// Sites in the order in which cameras are dealt to them, each with the first eight digits of its codes.
    places: Vec<(NationalCode, String)>,
    /// Last serial number given, by everything that stands before it.
    serials: BTreeMap<String, u32>,
}

impl Plan {
    /// The next code of a unit (8 digits) and type (3 digits).
    fn code(&mut self, unit: &str, kind: u16) -> Result<NationalCode, CityError> {
        let before = format!("{unit}00{kind:03}0");
        let serial = self.serials.entry(before.clone()).or_insert(0);
        *serial += 1;
        Ok(format!("{before}{serial:06}").parse()?)
    }

    /// Adds site number `index`, with its station and sub-centre when they are new.
    fn site(&mut self, index: usize, sub_centres: usize) -> Result<(), CityError> {
        let (which, round) = (index % sub_centres, index / sub_centres);
        let (region, nth) = pick(&REGIONS, which);
        let (station, nth_site) = (round % STATIONS_PER_SUB_CENTRE, round / STATIONS_PER_SUB_CENTRE);
        let unit_number = nth * STATIONS_PER_SUB_CENTRE + station;
        let (town, _) = pick(region.towns, unit_number);
        let unit = format!("{}{:02}", region.code, unit_number + 1);
        let station_code = self.station(region, nth, &unit, town)?;
        let (road, lap) = pick(&ROADS, nth_site * 5 + which);
        let ((kind, place), _) = pick(&PLACES, index + lap);
        let code = self.code(&unit, 216)?;
        let near = |salt: usize, degrees: f64| spread(unit_number * 31 + salt, region.code, degrees);
        let lat = region.lat + near(1, 0.03) + spread(index * 2 + 101, region.code, 0.006);
        let lon = region.lon + near(2, 0.03) + spread(index * 2 + 102, region.code, 0.006);
        let round = |degrees: f64| (degrees * 1e6).round() / 1e6;
        let position = Some(Position::typed(round(lat), round(lon), Datum::Wgs84)?);
        let name = format!("{town}{road}{place}");
        self.topology.sites.insert(code, Site { code, name, station: station_code, kind: *kind, position });
        self.places.push((code, unit));
        Ok(())
    }

    /// The code of a station, which is added with its sub-centre when it is new.
    fn station(
        &mut self,
        region: &Region,
        nth: usize,
        unit: &str,
        town: &str,
    ) -> Result<NationalCode, CityError> {
        let sub_centre: NationalCode = format!("{}00002000{:06}", region.code, nth + 1).parse()?;
        let (home, _) = pick(region.towns, nth * STATIONS_PER_SUB_CENTRE);
        let name = format!("{}{home}分中心", region.name);
        self.topology.sub_centres.entry(sub_centre).or_insert(SubCentre { code: sub_centre, name });
        let code: NationalCode = format!("{unit}002150000001").parse()?;
        let name = format!("{town}派出所");
        self.topology.stations.entry(code).or_insert(Station { code, name, sub_centre });
        Ok(code)
    }

    /// Adds camera number `index`.
    fn camera(&mut self, index: usize, options: &CityOptions) -> Result<(), CityError> {
        let ((site, unit), lap) = pick(&self.places, index);
        let (site, unit) = (*site, unit.clone());
        let id = CameraId(self.code(&unit, 132)?);
        let (name, kind) = match self.topology.sites.get(&site) {
            Some(found) => (found.name.clone(), found.kind),
            None => (String::new(), PlaceKind::Road),
        };
        let number = u64::from(options.first) + index as u64;
        let source = |stream: StreamKind| -> Result<StreamSource, CityError> {
            let text = options
                .rtsp
                .replace("{n}", &number.to_string())
                .replace("{code}", id.0.as_str())
                .replace("{stream}", stream.as_str());
            let url = Url::parse(&text).map_err(|_| CityError::Address(text.clone()))?;
            let good = matches!(url.scheme(), "rtsp" | "rtsps")
                && url.host_str().is_some_and(|host| !host.is_empty())
                && !crate::load::section::holds_credentials(&text);
            if good { Ok(StreamSource { url }) } else { Err(CityError::Address(text)) }
        };
        let (model, _) = pick(&["枪机", "球机"], index + lap);
        let key = matches!(kind, PlaceKind::Government | PlaceKind::Transport);
        let camera = Camera {
            id,
            name: format!("{name}{}号{model}", lap + 1),
            site,
            enabled: true,
            standby_for: None,
            class: if key { CameraClass::Key } else { CameraClass::Normal },
            record: RecordPolicy::Always,
            transport: options.transport,
            main: source(StreamKind::Main)?,
            sub: if options.sub { Some(source(StreamKind::Sub)?) } else { None },
            credentials: options.credentials.as_ref().map(|(user, reference)| Credentials {
                user: user.clone(),
                password: Secret::referred(String::new(), reference),
            }),
            position: None,
            dossier: Dossier {
                height_m: Some(6.0),
                azimuth_deg: Some(*pick(&[0.0, 90.0, 180.0, 270.0], index + lap).0),
                field_of_view_deg: Some(60.0),
                note: Some("示例数据".to_owned()),
                ..Dossier::default()
            },
        };
        self.topology.cameras.insert(id, camera);
        Ok(())
    }
}

/// Item `index` of a list that starts over, and how often it has started over.
#[expect(clippy::indexing_slicing, reason = "the remainder is within the list, and no list here is empty")]
fn pick<T>(list: &[T], index: usize) -> (&T, usize) {
    (&list[index % list.len()], index / list.len())
}

/// A number between minus and plus `degrees` that looks random and is always the same (splitmix64).
#[expect(clippy::cast_precision_loss, reason = "a position on a map needs no more")]
fn spread(salt: usize, region: u32, degrees: f64) -> f64 {
    let mut z = (salt as u64 ^ (u64::from(region) << 32)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    ((z >> 11) as f64 / (1_u64 << 53) as f64).mul_add(2.0, -1.0) * degrees
}

#[cfg(test)]
mod tests;
