#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::Config;

/// The city as it comes back from its own TOML.
fn reloaded(topology: &Topology) -> Topology {
    let head = "[node]\nid = \"n\"\ndata = \"data\"\n[[storage.volume]]\nid = \"v\"\npath = \"v\"\n";
    let text = format!(
        "{head}{}\n{}",
        crate::write::places(topology),
        crate::write::cameras(topology.cameras.values())
    );
    let env: BTreeMap<String, String> = BTreeMap::from([("PW".to_owned(), "x".to_owned())]);
    let (config, warnings) =
        Config::parse(&text, Path::new("city.toml"), &env).unwrap_or_else(|refusals| panic!("{refusals}"));
    assert_eq!(warnings, Vec::new());
    config.topology
}

#[test]
fn the_reference_city_has_its_numbers_and_passes_every_check() {
    let city = new(&CityOptions::default()).unwrap();
    let counts = (city.cameras.len(), city.sites.len(), city.sub_centres.len());
    assert_eq!(counts, REFERENCE);
    assert_eq!(city.stations.len(), 72);
    assert_eq!(reloaded(&city), city);
    let names: BTreeSet<&str> = city.sites.values().map(|site| site.name.as_str()).collect();
    assert_eq!(names.len(), city.sites.len(), "every site has a name of its own");
    let cameras: BTreeSet<&str> = city.cameras.values().map(|camera| camera.name.as_str()).collect();
    assert_eq!(cameras.len(), city.cameras.len(), "every camera has a name of its own");
}

#[test]
fn a_small_city_spreads_over_the_regions() {
    let options = CityOptions { cameras: 16, ..CityOptions::default() };
    let city = new(&options).unwrap();
    assert_eq!((city.cameras.len(), city.sites.len(), city.sub_centres.len()), (16, 6, 6));
    assert_eq!(new(&options).unwrap(), city, "the same options give the same city");
    let addresses: BTreeSet<String> = city
        .cameras
        .values()
        .flat_map(|camera| [camera.main.url.to_string(), camera.sub.clone().unwrap().url.to_string()])
        .collect();
    let expected: BTreeSet<String> = (1..=16)
        .flat_map(|n| ["main", "sub"].map(|stream| format!("rtsp://127.0.0.1:8554/cam/{n}/{stream}")))
        .collect();
    assert_eq!(addresses, expected);
}

#[test]
fn a_city_larger_than_the_reference_still_passes() {
    let options = CityOptions {
        cameras: 4000,
        sub: false,
        rtsp: "rtsp://192.0.2.1/{code}".to_owned(),
        credentials: Some(("admin".to_owned(), "env:PW".to_owned())),
        ..CityOptions::default()
    };
    let city = new(&options).unwrap();
    let again = reloaded(&city);
    assert_eq!(again.cameras.len(), 4000);
    assert!(
        again.cameras.values().all(|camera| camera.credentials.as_ref().unwrap().password.expose() == "x")
    );
}

#[test]
fn templates_that_make_no_city_are_refused() {
    let with =
        |rtsp: &str| new(&CityOptions { rtsp: rtsp.to_owned(), ..CityOptions::default() }).unwrap_err();
    assert!(matches!(with("rtsp://h/{stream}"), CityError::Template(_)));
    assert!(matches!(with("rtsp://h/{n}"), CityError::Template(_)));
    assert!(matches!(with("http://h/{n}/{stream}"), CityError::Address(_)));
    assert!(matches!(with("rtsp://u:p@h/{n}/{stream}"), CityError::Address(_)));
    let none = new(&CityOptions { cameras: 0, ..CityOptions::default() });
    assert_eq!(none.unwrap_err(), CityError::Cameras);
}
