//! Where the places of the configuration are: the way from a code or a point to a [`Place`].

use std::collections::BTreeMap;

use fengsui_config::ids::NationalCode;
use fengsui_config::topology::{Camera, Site};
use fengsui_config::{Topology, limits};
use fengsui_duty::incident::Where;
use fengsui_duty::near::{Place, Point};

/// Points of all sites.
#[derive(Debug)]
pub struct Ground<'a> {
    topology: &'a Topology,
    sites: BTreeMap<NationalCode, Point>,
    /// Points of the sites in each site, station and sub-centre.
    within: BTreeMap<NationalCode, Vec<Point>>,
}

/// Codes of a site and of what is above it, the smallest first.
fn above(topology: &Topology, site: &Site) -> Vec<NationalCode> {
    let station = topology.stations.get(&site.station);
    let mut codes = vec![site.code, site.station];
    codes.extend(station.map(|s| s.sub_centre));
    codes
}

impl<'a> Ground<'a> {
    /// The places of a configuration. A site without a position is where its cameras are.
    #[must_use]
    pub fn of(topology: &'a Topology) -> Self {
        let mut cameras: BTreeMap<NationalCode, Vec<Point>> = BTreeMap::new();
        for camera in topology.cameras.values() {
            let point = camera.position.and_then(|p| Point::of(p.lat, p.lon));
            cameras.entry(camera.site).or_default().extend(point);
        }
        let mut ground = Self { topology, sites: BTreeMap::new(), within: BTreeMap::new() };
        for site in topology.sites.values() {
            let own = site.position.and_then(|p| Point::of(p.lat, p.lon));
            let point = own.or_else(|| Point::middle(cameras.get(&site.code).into_iter().flatten().copied()));
            let Some(point) = point else { continue };
            ground.sites.insert(site.code, point);
            for code in above(topology, site) {
                ground.within.entry(code).or_default().push(point);
            }
        }
        ground
    }

    /// The middle of the sites of an area; none of everywhere.
    #[must_use]
    pub fn middle(&self, area: &[String]) -> Option<Point> {
        let codes = area.iter().filter_map(|code| code.parse::<NationalCode>().ok());
        Point::middle(codes.filter_map(|code| self.within.get(&code)).flatten().copied())
    }

    /// Where a camera is, as far as is known.
    #[must_use]
    pub fn camera(&self, camera: &Camera) -> Option<Point> {
        let own = camera.position.and_then(|p| Point::of(p.lat, p.lon));
        own.or_else(|| self.sites.get(&camera.site).copied())
    }

    /// A site as a place; none when there is no such site.
    #[must_use]
    pub fn site(&self, code: &str) -> Option<Place> {
        let code: NationalCode = code.parse().ok()?;
        let site = self.topology.sites.get(&code)?;
        Some(Place { point: self.sites.get(&code).copied(), codes: self.codes(site) })
    }

    /// Codes of a site and of what is above it.
    #[must_use]
    pub fn codes(&self, site: &Site) -> Vec<String> {
        above(self.topology, site).iter().map(ToString::to_string).collect()
    }

    /// A point as a place: it belongs to the area of the nearest site, when one is near.
    #[must_use]
    pub fn point(&self, point: Point) -> Place {
        let far = |(code, there): (&NationalCode, &Point)| (there.metres_to(point), *code);
        let nearest = self.sites.iter().map(far).min_by(|a, b| a.0.total_cmp(&b.0));
        let site = nearest.filter(|(metres, _)| *metres <= limits::UNIT_PLACE_REACH_M);
        let site = site.and_then(|(_, code)| self.topology.sites.get(&code));
        Place { point: Some(point), codes: site.map(|site| self.codes(site)).unwrap_or_default() }
    }

    /// The place of an incident; its point, if it has one, says better where it is than its site.
    #[must_use]
    pub fn place(&self, at: &Where) -> Place {
        let point = at.point.and_then(|(lat, lon)| Point::of(lat, lon));
        match (at.site.as_deref().and_then(|code| self.site(code)), point) {
            (Some(site), point) => Place { point: point.or(site.point), codes: site.codes },
            (None, Some(point)) => self.point(point),
            (None, None) => Place::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::testing::config;

    const SITE: &str = "33080200002160000001";

    #[test]
    fn a_point_belongs_to_the_nearest_site_and_far_ones_to_none() {
        let topology = config().topology;
        let ground = Ground::of(&topology);
        let site = ground.site(SITE).unwrap();
        assert_eq!(site.point, Point::of(28.97, 118.86));
        assert_eq!(site.codes, [SITE, "33080200002150000001", "33080200002000000001"]);
        assert_eq!(ground.point(Point::of(28.975, 118.86).unwrap()).codes, site.codes);
        assert!(ground.point(Point::of(29.2, 118.86).unwrap()).codes.is_empty());
        assert!(ground.site("33080200002160000009").is_none() && ground.site("x").is_none());
        assert_eq!(ground.middle(&["33080200002000000001".into()]), site.point);
        assert!(ground.middle(&[]).is_none());
    }

    #[test]
    fn the_point_of_an_incident_counts_before_its_site() {
        let topology = config().topology;
        let ground = Ground::of(&topology);
        let at = Where { site: Some(SITE.into()), point: Some((28.98, 118.87)), ..Where::default() };
        let place = ground.place(&at);
        assert_eq!((place.point, place.codes.len()), (Point::of(28.98, 118.87), 3));
        assert_eq!(ground.place(&Where { address: "城东".into(), ..Where::default() }), Place::default());
    }
}
