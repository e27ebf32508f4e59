#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;
use std::path::Path;

use expect_test::{Expect, expect};

use super::*;
use crate::checked::VolumeKind;
use crate::env::Env;
use crate::topology::{CameraClass, Datum, PlaceKind, RecordPolicy, Transport};

const GOOD: &str = include_str!("good.toml");

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn check_text(text: &str) -> Result<(Config, Vec<Warning>), Refusals> {
    Config::parse(text, Path::new("fengsui.toml"), &env(&[("CAMERA", "p4ss")]) as &dyn Env)
}

fn refusals(text: &str) -> String {
    check_text(text).expect_err("refused").to_string()
}

fn warnings(text: &str) -> String {
    let (_, warnings) = check_text(text).unwrap_or_else(|refusals| panic!("{refusals}"));
    warnings.iter().map(|warning| format!("{warning}\n")).collect()
}

/// The good file with one text replaced; fails when the text is not there.
fn with(old: &str, new: &str) -> String {
    assert!(GOOD.contains(old), "{old} is in good.toml");
    GOOD.replacen(old, new, 1)
}

fn refused(old: &str, new: &str, expected: Expect) {
    expected.assert_eq(&refusals(&with(old, new)));
}

#[test]
fn a_good_file_becomes_a_config() {
    let (config, warnings) = check_text(GOOD).unwrap_or_else(|refusals| panic!("{refusals}"));
    assert_eq!(warnings, Vec::new());
    assert_eq!(config.node.id.as_str(), "centre");
    assert!(config.node.data.is_absolute() && config.node.data.ends_with("data"));
    assert_eq!(config.node.secret_key, config.node.data.join("secret.key"));
    assert_eq!(config.web.listen, vec!["127.0.0.1:8080".parse().unwrap()]);
    assert_eq!(config.web.tls_listen, vec!["0.0.0.0:8443".parse().unwrap()]);
    assert_eq!(config.storage.ring_budget_bytes, 512 << 20);
    assert_eq!(config.storage.volumes[0].reserve_bytes, 100 << 20);
    assert_eq!(config.storage.volumes[1].reserve_bytes, 2048 << 20);
    let cameras: Vec<_> = config.topology.cameras.values().collect();
    assert_eq!(cameras.len(), 2);
    assert_eq!(cameras[0].credentials.as_ref().unwrap().password.expose(), "p4ss");
    assert_eq!(cameras[0].credentials.as_ref().unwrap().password.reference(), Some("env:CAMERA"));
    assert_eq!(cameras[0].transport, Transport::Udp);
    assert_eq!(cameras[0].dossier.installed.as_deref(), Some("2025-04-01"));
    assert_eq!(cameras[0].position.unwrap().datum, Datum::Gcj02);
    assert_eq!((cameras[1].class, cameras[1].record), (CameraClass::Key, RecordPolicy::Never));
    assert!(cameras[0].enabled && !cameras[1].enabled);
    let site = config.topology.sites.values().next().unwrap();
    assert_eq!(site.kind, PlaceKind::Crossroad);
}

#[test]
fn ten_faults_are_refused_at_once() {
    expect![[r#"
        fengsui.toml:2:6: node.id = "The Centre": is no short name; write 1 to 32 of a-z, 0-9 and '-'
        fengsui.toml:6:11: web.listen = "0.0.0.0:8080": would speak plain HTTP beyond this machine; listen on 127.0.0.1 or [::1], or put the address under tls_listen
        fengsui.toml:14:8: storage.volume.path = "footage": is the path of another volume (line 8); give each volume a folder of its own
        fengsui.toml:27:14: station.sub_centre = "33080200002000000009": is no sub-centre known here; write the code of a [[sub_centre]] of this configuration
        fengsui.toml:33:8: site.kind = "changing-room": is a place of privacy, where State Council Order 799, Art. 8 forbids cameras; remove the site and its cameras
        fengsui.toml:39:8: camera.main = "http://192.0.2.1/main": is a http address; write rtsp://HOST[:PORT]/PATH or rtsps://...
        fengsui.toml:42:8: camera.code = "33080200001320000001": is the code of a camera already (fengsui.toml:36); give it a code of its own
        fengsui.toml:44:8: camera.site = "33080200002160000007": is no site known here; write the code of a [[site]] of this configuration
        fengsui.toml:45:8: camera.main = "rtsp://***@192.0.2.2/main": holds a user name or password; take user name and password out of the address and use the keys user and password
        fengsui.toml:47:12: camera.password = ***: is a password in plain text; write env:NAME, file:PATH, or the enc: line that `fengsui secret seal` prints"#]].assert_eq(&refusals(include_str!("ten_faults.toml")));
}

#[test]
fn no_secret_is_ever_shown() {
    let (config, _) = check_text(GOOD).unwrap();
    assert!(!format!("{config:?}").contains("p4ss"));
    let password = &config.topology.cameras.values().next().unwrap().credentials.as_ref().unwrap().password;
    assert_eq!(format!("{password} {password:?}"), "*** ***");
    let text = with("rtsp://192.0.2.1/main", "rtsp://admin:s3cret@192.0.2.1/main?password=s3cret&x=1")
        .replacen("env:CAMERA", "s3cret", 1);
    let shown = refusals(&text);
    assert!(!shown.contains("s3cret"), "{shown}");
    assert_eq!(check_text(&text).unwrap_err().refusals.len(), 2);
}

#[test]
fn a_renamed_key_works_and_warns() {
    let table = [Renamed { section: "camera", old: "address", new: "main" }];
    let text = with("main = \"rtsp://192.0.2.1/main\"", "address = \"rtsp://192.0.2.1/main\"");
    let env = env(&[("CAMERA", "p4ss")]);
    let source = Source {
        path: Path::new("fengsui.toml"),
        text: Some(&text),
        without: None,
        extra: Vec::new(),
        env: &env,
        central: None,
    };
    let (_, warnings) =
        run(source, Findings::default(), &table).unwrap_or_else(|refusals| panic!("{refusals}"));
    expect!["fengsui.toml:47:11: camera.address: has another name now; write main instead"]
        .assert_eq(&warnings[0].to_string());
}

#[test]
fn an_unknown_key_is_a_warning_with_the_nearest_name() {
    expect![[r#"
        fengsui.toml:67:10: camera.recrod: is no key known here; did you mean record?
        fengsui.toml:68:7: camera.hue: is no key known here; remove it
    "#]]
    .assert_eq(&warnings(&with("record = \"never\"", "recrod = \"never\"\nhue = 3")));
    expect![[r#"
        fengsui.toml:70:3: camra: is no section known here; did you mean camera?
    "#]]
    .assert_eq(&warnings(&format!("{GOOD}\n[[camra]]\nx = 1\n")));
}

#[test]
fn broken_toml_names_its_line_and_the_rest_is_checked_too() {
    let text =
        with("id = \"centre\"", "id = \"centre").replacen("kind = \"crossroad\"", "kind = \"bath\"", 1);
    expect![[r#"
        fengsui.toml:2:13: file: is no TOML: invalid basic string, expected `"`; write TOML 1.0
        fengsui.toml:39:8: site.kind = "bath": is a place of privacy, where State Council Order 799, Art. 8 forbids cameras; remove the site and its cameras"#]].assert_eq(&refusals(&text));
}

#[test]
fn addresses_and_paths_have_their_refusals() {
    refused(
        "listen = [\"127.0.0.1:8080\"]",
        "listen = [\"0.0.0.0:80\", 5]",
        expect![[r#"
            fengsui.toml:6:11: web.listen = "0.0.0.0:80": would speak plain HTTP beyond this machine; listen on 127.0.0.1 or [::1], or put the address under tls_listen
            fengsui.toml:6:25: web.listen = 5: is a number; write a text in quotes"#]],
    );
    refused(
        "path = \"footage2\"",
        "path = \"./footage/../footage\"",
        expect![[
            r#"fengsui.toml:20:8: storage.volume.path = "./footage/../footage": is the path of another volume (line 13); give each volume a folder of its own"#
        ]],
    );
    refused(
        "path = \"footage2\"",
        "path = \"footage/two\"",
        expect![[
            r#"fengsui.toml:20:8: storage.volume.path = "footage/two": overlaps the path of another volume (line 13); give each volume a folder of its own"#
        ]],
    );
    refused(
        "path = \"footage2\"",
        "path = \".\"",
        expect![[r#"
        fengsui.toml:20:8: storage.volume.path = ".": overlaps the path of another volume (line 13); give each volume a folder of its own
        fengsui.toml:20:8: storage.volume.path = ".": holds the folder of node.data; keep journal and catalogue apart from footage, so that a lost disk takes only one of them"#]],
    );
    refused("[city]", "[city_of]", expect!["fengsui.toml:1: city: is missing; write a table [city]"]);
    refused(
        "ring_budget_mib = 512",
        "ring_budget_mib = 1",
        expect![
            "fengsui.toml:11:19: storage.ring_budget_mib = 1: is out of bounds; write whole MiB between 16 and 4194304"
        ],
    );
}

#[test]
fn passwords_have_their_refusals() {
    refused(
        "user = \"admin\"\n",
        "",
        expect!["fengsui.toml:43:1: camera.user: is missing; write both user and password, or none"],
    );
    refused(
        "password = \"env:CAMERA\"\n",
        "",
        expect!["fengsui.toml:43:1: camera.password: is missing; write both user and password, or none"],
    );
    refused(
        "env:CAMERA",
        "env:OTHER",
        expect![
            "fengsui.toml:51:12: camera.password = ***: names the environment variable OTHER, which is not set; set it"
        ],
    );
    refused(
        "env:CAMERA",
        "file:not-there",
        expect![
            "fengsui.toml:51:12: camera.password = ***: names the file not-there, which cannot be read: No such file or directory (os error 2); name a file that holds the password alone"
        ],
    );
}

#[test]
fn places_have_their_refusals() {
    refused(
        "lat = 28.97",
        "lat = 118.97",
        expect![
            "fengsui.toml:40:7: site.lat = 118.97: a latitude lies between -90 and 90 degrees; lat is north, lon is east: perhaps the two are swapped"
        ],
    );
    refused(
        "lon = 118.87\n",
        "",
        expect!["fengsui.toml:35:1: site.lon: is missing; write both lat and lon, or none"],
    );
    refused(
        "kind = \"crossroad\"",
        "kind = \"changing_room\"",
        expect![[
            r#"fengsui.toml:39:8: site.kind = "changing_room": is a place of privacy, where State Council Order 799, Art. 8 forbids cameras; remove the site and its cameras"#
        ]],
    );
    refused(
        "kind = \"crossroad\"",
        "kind = \"crosroad\"",
        expect![[
            r#"fengsui.toml:39:8: site.kind = "crosroad": is no kind of place known here; write one of: crossroad, road, checkpoint, square, park, school, hospital, transport, market, residential, village, government, waterside, key_target"#
        ]],
    );
}

#[test]
fn cameras_have_their_refusals() {
    refused(
        "\"33080200001320000002\"",
        "\"3308020000132000002\"",
        expect![[
            r#"fengsui.toml:62:8: camera.code = "3308020000132000002": has 19 characters; a national code has exactly 20 digits; write 8 digits of centre, 2 of industry, 3 of type, 1 of network, 6 of serial"#
        ]],
    );
    refused(
        "installed = 2025-04-01",
        "installed = \"1.4.2025\"",
        expect![[r#"fengsui.toml:56:13: camera.installed = "1.4.2025": is no day; write YYYY-MM-DD"#]],
    );
    refused(
        "azimuth_deg = 90",
        "azimuth_deg = \"north\"",
        expect![[
            r#"fengsui.toml:58:15: camera.azimuth_deg = "north": is a text; write degrees between 0 and 360"#
        ]],
    );
    refused(
        "rtsp://192.0.2.1/main",
        "http://192.0.2.1/main",
        expect![[
            r#"fengsui.toml:47:8: camera.main = "http://192.0.2.1/main": is a http address; write rtsp://HOST[:PORT]/PATH or rtsps://..."#
        ]],
    );
    refused(
        "\"33080200001320000002\"",
        "\"3.30802E+19\"",
        expect![[
            r#"fengsui.toml:62:8: camera.code = "3.30802E+19": has '.' at position 2; a national code has digits only; a spreadsheet has rounded it: format the column as text and enter the 20 digits again"#
        ]],
    );
    refused(
        "\"33080200001320000002\"",
        "\"33080200001320000001\"",
        expect![[
            r#"fengsui.toml:62:8: camera.code = "33080200001320000001": is the code of a camera already (fengsui.toml:44); give it a code of its own"#
        ]],
    );
    refused(
        "\"33080200001320000002\"",
        "\"33080200001180000001\"",
        expect![[
            r#"fengsui.toml:62:8: camera.code = "33080200001180000001": has type 118 in digits 11 to 13; a camera has type 131 or 132 (GB/T 28181 Annex E)"#
        ]],
    );
}

#[test]
fn included_files_are_read_once_and_named_in_findings() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fengsui.toml");
    let (head, cameras) = GOOD.split_once("[[camera]]").unwrap();
    std::fs::create_dir(folder.path().join("parts")).unwrap();
    std::fs::write(folder.path().join("parts/cameras.toml"), format!("[[camera]]{cameras}")).unwrap();
    std::fs::write(&path, format!("include = [\"parts/cameras.toml\"]\n{head}")).unwrap();
    let env = env(&[("CAMERA", "p4ss")]);
    let (config, warnings) = Config::load(&path, &env).unwrap_or_else(|refusals| panic!("{refusals}"));
    assert_eq!((config.topology.cameras.len(), warnings.len()), (2, 0));
    assert_eq!(config.base, folder.path());

    let again =
        "include = [\"parts/cameras.toml\", \"./parts/cameras.toml\", \"fengsui.toml\", \"none.toml\"]";
    std::fs::write(&path, format!("{again}\n{head}")).unwrap();
    let shown = Config::load(&path, &env).unwrap_err().to_string();
    let shown = shown.replace(&*folder.path().to_string_lossy(), "DIR");
    expect![[r#"
        DIR/fengsui.toml:1:34: include = "./parts/cameras.toml": is included already; name each readable TOML file once, relative to this file
        DIR/fengsui.toml:1:58: include = "fengsui.toml": is included already; name each readable TOML file once, relative to this file
        DIR/fengsui.toml:1:74: include = "none.toml": cannot be read: No such file or directory (os error 2); name each readable TOML file once, relative to this file"#]].assert_eq(&shown);

    std::fs::write(&path, format!("include = [\"parts/cameras.toml\"]\n{head}")).unwrap();
    std::fs::write(folder.path().join("parts/cameras.toml"), "[[camera]]\ncode = \"1\"\n").unwrap();
    let first = Config::load(&path, &env).unwrap_err().refusals.remove(0);
    assert_eq!((first.file, first.line), (folder.path().join("parts/cameras.toml"), 1));
}

#[test]
fn sealed_passwords_open_with_the_key_file_and_for_their_camera_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fengsui.toml");
    assert!(secret_key_path(&path).is_err(), "there is no file yet");
    std::fs::write(&path, GOOD).unwrap();
    let key_path = secret_key_path(&path).unwrap();
    assert_eq!(key_path, folder.path().join("data/secret.key"));
    let (key, made) = crate::sealed::SecretKey::load_or_create(&key_path).unwrap();
    assert!(made);
    let first = "33080200001320000001".parse().ok();
    let second = "33080200001320000002".parse().ok();
    let load = |sealed: &str| {
        std::fs::write(&path, with("env:CAMERA", sealed)).unwrap();
        Config::load(&path, &env(&[]))
    };
    for camera in [None, first] {
        let (config, _) = load(&key.seal("p4ss", camera).unwrap()).unwrap();
        let camera = config.topology.cameras.values().next().unwrap();
        assert_eq!(camera.credentials.as_ref().unwrap().password.expose(), "p4ss");
    }
    let problem = |sealed: &str| load(sealed).unwrap_err().refusals.remove(0).problem;
    let other = "cannot be opened: it was sealed with another key or for another camera, or it was changed";
    assert_eq!(problem(&key.seal("p4ss", second).unwrap()), other);
    assert_eq!(problem("enc:AAAA"), "cannot be opened: it is no sealed secret");
    let sealed = key.seal("p4ss", None).unwrap();
    std::fs::remove_file(&key_path).unwrap();
    assert!(problem(&sealed).contains("secret.key cannot be read"), "{}", problem(&sealed));
    crate::sealed::SecretKey::create(&key_path).unwrap();
    assert_eq!(problem(&sealed), other);
}

#[test]
fn a_file_that_is_not_there_is_one_refusal() {
    let refusals = Config::load(Path::new("not-there.toml"), &env(&[])).unwrap_err();
    expect!["not-there.toml: file: cannot be read: No such file or directory (os error 2); name a readable TOML file"].assert_eq(&refusals.to_string());
}

#[test]
fn staged_volumes_and_weights_are_read_and_checked() {
    let second = "id = \"v2\"\npath = \"footage2\"";
    let text = with(second, &format!("{second}\nkind = \"staged\"\nstage = \"v1\"\nweight = 50"));
    let (config, found) = check_text(&text).unwrap_or_else(|refusals| panic!("{refusals}"));
    assert_eq!(found, Vec::new());
    let volumes = &config.storage.volumes;
    assert_eq!(volumes[1].kind, VolumeKind::Staged { stage: "v1".parse().unwrap() });
    assert_eq!((volumes[0].weight, volumes[1].weight), (100, 50));
    assert!(config.storage.is_stage(&volumes[0].id) && !config.storage.is_stage(&volumes[1].id));
    let bad = |lines: &str| refusals(&with(second, &format!("{second}\n{lines}")));
    expect![[r#"fengsui.toml:21:9: storage.volume.stage = "v1": is set on a volume that is not staged; write kind = "staged" beside it, or remove it"#]].assert_eq(&bad("stage = \"v1\""));
    expect!["fengsui.toml:18:1: storage.volume.stage: is missing; name the fast volume that open segments are written on"].assert_eq(&bad("kind = \"staged\""));
    expect![[r#"fengsui.toml:22:9: storage.volume.stage = "v9": is no volume known here; write the id of another [[storage.volume]]"#]].assert_eq(&bad("kind = \"staged\"\nstage = \"v9\""));
    expect![[r#"fengsui.toml:22:9: storage.volume.stage = "v2": is the volume itself; name another volume, or write kind = "direct""#]].assert_eq(&bad("kind = \"staged\"\nstage = \"v2\""));
    expect![[r#"
        fengsui.toml:21:8: storage.volume.kind = "fast": is not a word known here; write one of: direct, staged
        fengsui.toml:22:10: storage.volume.weight = 0: is out of bounds; write whole percent between 1 and 1000"#]].assert_eq(&bad("kind = \"fast\"\nweight = 0"));
    let both = with("id = \"v1\"\n", "id = \"v1\"\nkind = \"staged\"\nstage = \"v2\"\n").replacen(
        second,
        &format!("{second}\nkind = \"staged\"\nstage = \"v1\""),
        1,
    );
    expect![[r#"fengsui.toml:24:9: storage.volume.stage = "v1": would make a stage of a staged volume; a stage is written to directly; name such a volume"#]].assert_eq(&refusals(&both));
}

/// The good file with a table before its volumes.
fn with_retention(text: &str) -> String {
    with("[[storage.volume]]", &format!("{text}\n[[storage.volume]]"))
}

#[test]
fn promises_are_the_law_s_unless_more_is_written() {
    use crate::retention::{Emergency, RetentionConfig};
    let day = std::time::Duration::from_secs(86_400);
    let (config, _) = check_text(GOOD).unwrap();
    assert_eq!(config.retention, RetentionConfig::default());
    assert_eq!(config.retention.class(CameraClass::Normal).min, day * 30);
    assert_eq!(config.retention.class(CameraClass::Key).min, day * 90);
    let water = &config.storage.volumes[0].water;
    assert_eq!((water.high_permille, water.low_permille), (970, 950));
    let text = with_retention(
        "[retention]\nemergency = \"sacrifice\"\nsacrifice_floor_hours = 48\n\
         [[retention.class]]\nname = \"normal\"\nmin_days = 45\nmax_days = 60\n\
         [[retention.class]]\nname = \"key\"\nmin_days = 200",
    )
    .replacen("reserve_mib = 100", "reserve_mib = 100\nhigh_water_percent = 80.5", 1);
    let (config, warnings) = check_text(&text).unwrap_or_else(|refusals| panic!("{refusals}"));
    assert_eq!(warnings, Vec::new());
    let normal = config.retention.class(CameraClass::Normal);
    assert_eq!((normal.min, normal.max), (day * 45, day * 60));
    let key = config.retention.class(CameraClass::Key);
    assert_eq!((key.min, key.max), (day * 200, day * 200), "a duty is never shorter than the promise");
    assert_eq!(config.retention.strictest(), key);
    assert_eq!(config.retention.emergency, Emergency::Sacrifice);
    assert_eq!(config.retention.sacrifice_floor, day * 2);
    let water = &config.storage.volumes[0].water;
    assert_eq!((water.high_permille, water.low_permille), (805, 785));
}

#[test]
fn promises_below_the_law_are_refused_outside_a_laboratory() {
    let classes = "[[retention.class]]\nname = \"normal\"\nmin_days = 29\nmax_days = 20.5\n\
                   [[retention.class]]\nname = \"key\"\nmin_days = 30\n\
                   [[retention.class]]\nname = \"key\"\n\
                   [[retention.class]]\nname = \"old\"\n\
                   [[retention.class]]\nmin_days = 4000";
    expect![[r#"
        fengsui.toml:15:12: retention.class.min_days = 29: is less than the 30 days that State Council Order 799, Art. 17 asks of every camera; write 30 or more; only a laboratory may set lab = true in [retention]
        fengsui.toml:16:12: retention.class.max_days = 20.5: is no whole number of days; write whole days
        fengsui.toml:16:12: retention.class.max_days = 20.5: is less than min_days = 29; let max_days be min_days or more
        fengsui.toml:19:12: retention.class.min_days = 30: is less than the 90 days that the Counter-Terrorism Law, Art. 32 asks of key targets; write 90 or more; only a laboratory may set lab = true in [retention]
        fengsui.toml:21:8: retention.class.name = key: is there already (line 17); keep one of the two
        fengsui.toml:23:8: retention.class.name = "old": is not a word known here; write one of: normal, key
        fengsui.toml:24:1: retention.class.name: is missing; write one of: normal, key
        fengsui.toml:25:12: retention.class.min_days = 4000: is out of bounds; write days between 0 and 3650"#]].assert_eq(&refusals(&with_retention(classes)));
    let lab =
        "[retention]\nlab = true\n[[retention.class]]\nname = \"normal\"\nmin_days = 0\nmax_days = 0.01";
    let text = with_retention(lab);
    let (config, _) = check_text(&text).unwrap_or_else(|refusals| panic!("{refusals}"));
    assert_eq!(config.retention.class(CameraClass::Normal).max.as_secs(), 864);
    expect![[r#"
        fengsui.toml:14:7: retention.lab = true: footage may be deleted before the time that the law asks for; leave it out where real cameras are recorded
    "#]].assert_eq(&warnings(&text));
}

#[test]
fn water_marks_have_their_refusals() {
    refused(
        "reserve_mib = 100",
        "high_water_percent = 90\nlow_water_percent = 90",
        expect![
            "fengsui.toml:17:21: storage.volume.low_water_percent = 90: is not below high_water_percent = 90; let the low mark be below the high one"
        ],
    );
    refused(
        "reserve_mib = 100",
        "high_water_percent = 100",
        expect![
            "fengsui.toml:16:22: storage.volume.high_water_percent = 100: is out of bounds; write percent between 10 and 99.5"
        ],
    );
}

#[test]
fn the_journal_is_kept_for_three_years_at_least() {
    let (config, _) = check_text(GOOD).unwrap_or_else(|refusals| panic!("{refusals}"));
    assert_eq!(config.journal.keep_days, None, "for ever, when nothing is said");
    let text = |days: u64| with("[storage]", &format!("[journal]\nkeep_days = {days}\n[storage]"));
    assert_eq!(check_text(&text(1095)).unwrap().0.journal.keep_days, Some(1095));
    let refused = refusals(&text(1094));
    assert!(
        refused.contains("journal.keep_days = 1094") && refused.contains("between 1095 and"),
        "{refused}"
    );
}

#[test]
fn how_cameras_are_read_can_be_said() {
    assert!(check_text(GOOD).unwrap().0.ingest.lean, "when nothing is said");
    let lean = |value: &str| with("[storage]", &format!("[ingest]\nlean = {value}\n[storage]"));
    for (value, want) in [("true", true), ("false", false)] {
        assert_eq!(check_text(&lean(value)).unwrap().0.ingest.lean, want);
    }
    let refused = refusals(&lean("\"perhaps\""));
    assert!(refused.contains("ingest.lean") && refused.contains("write true or false"), "{refused}");
}

/// The good file with a centre, and with `line` in its first camera.
fn standing_by(line: &str, relay: &str) -> String {
    with("main = \"rtsp://192.0.2.1/main\"", &format!("main = \"rtsp://192.0.2.1/main\"\n{line}")) + relay
}

const RELAY: &str = "\n[relay]\ncentre = \"tls://127.0.0.1:4222\"\nnode = \"east\"\n";

#[test]
fn a_camera_of_another_node_is_used_only_while_it_is_taken() {
    let (config, warnings) = check_text(&standing_by("standby_for = \"kecheng\"", RELAY)).unwrap();
    assert_eq!(warnings, Vec::new());
    let topology = config.topology;
    let own = topology.with_standby(&BTreeSet::new());
    let camera = topology.cameras.values().next().unwrap();
    assert_eq!(camera.standby_for.as_ref().map(|n| n.as_str()), Some("kecheng"));
    assert!(camera.enabled && !own.cameras[&camera.id].enabled);
    let (kecheng, other) = ("kecheng".parse().unwrap(), "other".parse().unwrap());
    assert_eq!(topology.standby_for(&kecheng).map(|c| c.id).collect::<Vec<_>>(), [camera.id]);
    assert_eq!(topology.standby_for(&other).count(), 0);
    assert_eq!(topology.with_standby(&BTreeSet::from([camera.id])), topology);
    // What is not enabled stays so, and what is the node's own is not touched by anything taken.
    let last = topology.cameras.values().last().unwrap();
    assert!(!last.enabled && !topology.with_standby(&BTreeSet::from([last.id])).cameras[&last.id].enabled);
}

#[test]
fn a_node_stands_by_for_another_one_and_by_the_word_of_a_centre() {
    let refused = |line: &str, relay: &str| refusals(&standing_by(line, relay));
    let itself = refused("standby_for = \"east\"", RELAY);
    assert!(itself.contains("camera.standby_for = \"east\": is this node itself"), "{itself}");
    let itself = refused("standby_for = \"centre\"", RELAY);
    assert!(itself.contains("is this node itself"), "{itself}");
    let bad = refused("standby_for = \"Ke Cheng\"", RELAY);
    assert!(
        bad.contains("camera.standby_for = \"Ke Cheng\": is no short name; write the name of the node"),
        "{bad}"
    );
    let alone = refused("standby_for = \"kecheng\"", "");
    assert!(alone.contains("needs a centre") && alone.contains("write centre under [relay]"), "{alone}");
    let number = refused("standby_for = 3", RELAY);
    assert!(number.contains("camera.standby_for"), "{number}");
}
