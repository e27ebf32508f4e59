//! Reports of the running node: from the book and the configured places.

use fengsui_config::Topology;
use fengsui_config::clock::UtcMicros;
use fengsui_duty::report::facts::{self, Facts};
use fengsui_duty::report::{Ask, Places, Report, SitePlace};

use crate::app::App;

/// Places and cameras as a report names them.
#[must_use]
pub fn places(topology: &Topology) -> Places {
    let site = |site: &fengsui_config::topology::Site| SitePlace {
        name: site.name.clone(),
        station: site.station.to_string(),
        sub_centre: topology
            .stations
            .get(&site.station)
            .map(|s| s.sub_centre.to_string())
            .unwrap_or_default(),
    };
    let camera = |c: &fengsui_config::Camera| (c.id.to_string(), (c.name.clone(), c.site.to_string()));
    Places {
        sites: topology.sites.values().map(|s| (s.code.to_string(), site(s))).collect(),
        stations: topology.stations.values().map(|s| (s.code.to_string(), s.name.clone())).collect(),
        sub_centres: topology.sub_centres.values().map(|s| (s.code.to_string(), s.name.clone())).collect(),
        cameras: topology.cameras.values().map(camera).collect(),
    }
}

/// The report of what this node knows, and from when on it is whole, when it is not: what was over long ago is in the journal
/// alone.
#[must_use]
pub fn make(app: &App, ask: &Ask) -> (Report, Option<UtcMicros>) {
    // Facts are taken out of the book at once, so that nobody who acts waits for the reckoning.
    let facts = app.duty.read(Facts::of);
    let whole_since = facts.whole_since.filter(|since| ask.from < *since);
    (facts::report(ask, &facts, &places(&app.topology())), whole_since)
}
