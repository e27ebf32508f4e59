#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use crate::env::Env;
use crate::{Config, write};

const GOOD: &str = include_str!("good.toml");

fn own() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fengsui.toml");
    std::fs::write(&path, GOOD).unwrap();
    (folder, path)
}

fn with(path: &Path, text: &str) -> Result<Config, String> {
    let env = BTreeMap::from([("CAMERA".to_owned(), "p4ss".to_owned())]);
    let central = CentralTopology { version: 3, text: text.to_owned() };
    let loaded = Config::load_central(path, &env as &dyn Env, &central);
    loaded.map(|(config, _)| config).map_err(|refusals| refusals.to_string())
}

/// What a centre gets of the good file.
fn given() -> String {
    let env = BTreeMap::from([("CAMERA".to_owned(), "p4ss".to_owned())]);
    let (config, _) = Config::parse(GOOD, Path::new("fengsui.toml"), &env).unwrap();
    write::central(&config.topology)
}

#[test]
fn what_a_centre_gets_and_gives_back_unchanged_changes_nothing() {
    let (_folder, path) = own();
    let text = given();
    for secret in ["password", "p4ss", "env:", "user", "[city]", "[node]"] {
        assert!(!text.contains(secret), "{secret} in\n{text}");
    }
    let env = BTreeMap::from([("CAMERA".to_owned(), "p4ss".to_owned())]);
    let before = Config::load(&path, &env).unwrap().0;
    let after = with(&path, &text).unwrap();
    assert_eq!(after, before);
    let login = after.topology.cameras.values().next().unwrap().credentials.as_ref().unwrap();
    assert_eq!(login.password.expose(), "p4ss", "the password stayed at the node");
}

#[test]
fn places_and_cameras_are_the_centres_and_the_rest_is_the_nodes() {
    let (_folder, path) = own();
    let text = given().replace("人民路口 1 号", "人民路口东").replace("\nenabled = false", "");
    let config = with(&path, &text).unwrap();
    let cameras: Vec<_> = config.topology.cameras.values().collect();
    assert_eq!((cameras[0].name.as_str(), cameras[1].enabled), ("人民路口东", true));
    assert_eq!((config.storage.volumes.len(), config.topology.city.name.as_str()), (2, "衢州市"));
    // The node's own places are not looked at while the centre's are in force.
    std::fs::write(&path, GOOD.replace("\nkind = \"crossroad\"", "\nkind = \"moon\"")).unwrap();
    assert_eq!(with(&path, &text).unwrap().topology, config.topology);
}

#[test]
fn what_is_not_the_centres_to_say_is_refused_by_line_and_remedy() {
    let (_folder, path) = own();
    let camera = "[[camera]]\ncode = \"33080200001320000001\"";
    let cases = [
        (
            "include = [\"/etc/shadow\"]\n",
            "",
            "version 3 of the centre:1:12: include: names a file of the node",
        ),
        (
            "[node]\nid = \"x\"\n",
            "",
            "version 3 of the centre:1:2: node: stands in the node's own file alone",
        ),
        ("[city]\ncode = \"1\"\n", "", "city: stands in the node's own file alone"),
        ("[[storage.volume]]\nid = \"x\"\n", "", "storage: stands in the node's own file alone"),
        ("", "password = \"file:/etc/shadow\"", "camera.password = ***: stays at the node"),
        ("", "user = \"root\"", "camera.user = ***: stays at the node"),
        ("", "main = \"rtsp://root:geheim@192.0.2.1/x\"", "is no TOML"),
        ("[[camera", "", "is no TOML"),
    ];
    for (before, key, problem) in cases {
        let text = format!("{before}{}", given().replacen(camera, &format!("{camera}\n{key}"), 1));
        let central = CentralTopology { version: 3, text };
        let early = central.check().unwrap_err().to_string();
        let late = with(&path, &central.text).unwrap_err();
        for refused in [early, late] {
            assert!(refused.contains(problem) && !refused.contains("geheim"), "{problem} in\n{refused}");
        }
    }
    let masked =
        CentralTopology { version: 1, text: given().replace("192.0.2.1/main", "u:geheim@192.0.2.1/m") };
    let refused = masked.check().unwrap_err().to_string();
    assert!(refused.contains("holds a user name or password") && !refused.contains("geheim"), "{refused}");
}

#[test]
fn a_text_without_cameras_or_too_long_is_refused() {
    let check = |text: String| CentralTopology { version: 1, text }.check();
    let none = check("# nothing\n".to_owned()).unwrap_err().to_string();
    assert_eq!(
        none,
        "version 1 of the centre: camera: is missing; write at least one [[camera]]; to stop a camera write enabled = false"
    );
    let long = given() + &"#".repeat(limits::RELAY_CONFIG_BYTES_MAX);
    assert!(check(long).unwrap_err().to_string().contains("is larger than"));
}

#[test]
fn a_check_without_the_nodes_file_finds_all_but_what_that_file_says() {
    let (lines, warnings) = CentralTopology { version: 1, text: given() }.check().unwrap();
    assert_eq!(warnings, Vec::new());
    let text = given();
    for (code, line) in lines {
        let at = usize::try_from(line).unwrap() - 1;
        assert_eq!(text.lines().nth(at).unwrap(), format!("code = \"{code}\""));
    }
    let wrong = given().replace("kind = \"crossroad\"", "kind = \"moon\"").replace("rtsp://", "http://");
    let found = CentralTopology { version: 1, text: wrong }.check().unwrap_err();
    assert_eq!(found.refusals.len(), 3, "{found}");
    // The city is the node's: only the node sees that a place has its code.
    let city = given().replace("33080200002000000001", "33080000002000000001");
    assert!(CentralTopology { version: 1, text: city.clone() }.check().is_ok());
    let (_folder, path) = own();
    assert!(with(&path, &city).unwrap_err().contains("is the code of a city already"));
}
