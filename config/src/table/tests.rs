#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::path::PathBuf;

use expect_test::expect;
use proptest::prelude::*;

use super::*;

const HEAD: &str = include_str!("../load/good.toml");

/// A folder with the good configuration without its cameras, which `cameras.toml` holds.
fn house() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (head, _) = HEAD.split_once("[[camera]]").unwrap();
    std::fs::write(folder.path().join("fengsui.toml"), format!("include = [\"cameras.toml\"]\n{head}"))
        .unwrap();
    let path = folder.path().join("fengsui.toml");
    (folder, path)
}

fn env() -> BTreeMap<String, String> {
    BTreeMap::from([("CAMERA".to_owned(), "p4ss".to_owned())])
}

fn import_text(table: &[u8]) -> Result<Import, String> {
    let (folder, config) = house();
    let path = folder.path().join("t.csv");
    std::fs::write(&path, table).unwrap();
    import(&config, &path, &folder.path().join("cameras.toml"), &env())
        .map_err(|refusals| refusals.to_string().replace(&*folder.path().to_string_lossy(), "DIR"))
}

#[test]
fn what_is_exported_comes_back_the_same() {
    let (config, _) = Config::parse(HEAD, Path::new("fengsui.toml"), &env()).unwrap();
    let table = export(&config.topology).unwrap();
    assert!(table.starts_with(b"\xef\xbb\xbfcode,name,site"));
    assert!(!String::from_utf8_lossy(&table).contains("p4ss"));
    let again = import_text(&table).unwrap();
    assert_eq!(again.config.topology, config.topology);
    assert_eq!(again.cameras.len(), 2);
    assert_eq!(again.warnings, Vec::new());
}

#[test]
fn no_cell_is_a_formula() {
    let text =
        HEAD.replacen("name = \"人民路口 1 号\"", "name = \"=HYPERLINK(\\\"http://x\\\")\"", 1).replacen(
            "vendor = \"Sample\"",
            "vendor = \"@SUM(1)\"\nmodel = \"-2+3\"\nnote = \"'quoted, it's\"",
            1,
        );
    let (config, _) = Config::parse(&text, Path::new("fengsui.toml"), &env()).unwrap();
    let table = export(&config.topology).unwrap();
    let mut reader = csv::Reader::from_reader(table.as_slice());
    for record in reader.records() {
        for cell in &record.unwrap() {
            let risky = cell.starts_with(['=', '+', '-', '@']) && cell.parse::<f64>().is_err();
            assert!(!risky, "{cell}");
        }
    }
    assert_eq!(import_text(&table).unwrap().config.topology, config.topology);
}

#[test]
fn refusals_name_line_and_cell() {
    let table = "code,name,site,main,lat,hue\n\
        33080200001320000001,一号,33080200002160000001,rtsp://192.0.2.1/a,north,1\n\
        \n\
        3.30802E+19,\"二,号\",33080200002160000001,rtsp://192.0.2.2/a\n\
        33080200001320000001,三号,33080200002160000002,http://192.0.2.3/a,,,,x\n\
        33080200001320000004,四号,33080200002160000002,rtsp://192.0.2.4/a\n";
    expect![[r#"
        DIR/t.csv:2:5: camera.lat = "north": is a text; write degrees between -180 and 180
        DIR/t.csv:4:1: camera.code = "3.30802E+19": has '.' at position 2; a national code has digits only; a spreadsheet has rounded it: format the column as text and enter the 20 digits again
        DIR/t.csv:5:8: camera: has more cells than there are columns; put texts with commas in quotes
        DIR/t.csv:6:3: camera.site = "33080200002160000002": is no site known here; write the code of a [[site]] of this configuration"#]].assert_eq(&import_text(table.as_bytes()).unwrap_err());
    expect!["DIR/t.csv:1: camera.code: is no column of this table; write the names of the columns in line 1: code,name,site,enabled,standby_for,class,record,transport,main,sub,user,password,lat,lon,datum,vendor,model,serial,installed,height_m,azimuth_deg,field_of_view_deg,contact,phone,maintainer,note"].assert_eq(&import_text("name,site\n一号,2\n".as_bytes()).unwrap_err());
    expect![[
        r#"DIR/t.csv: file: is no UTF-8 text at line 2; save the table as "CSV UTF-8 (comma separated)""#
    ]]
    .assert_eq(&import_text(b"code,name\n1,\xd2\xbb\xba\xc5\n").unwrap_err());
    expect!["DIR/t.csv:1: file: holds no head line; write the names of the columns in line 1"]
        .assert_eq(&import_text(b"").unwrap_err());
}

#[test]
fn a_camera_that_another_file_has_is_refused() {
    let (folder, config) = house();
    let table = folder.path().join("t.csv");
    std::fs::write(&config, HEAD).unwrap();
    let row = "33080200001320000001,一号,33080200002160000001,rtsp://192.0.2.1/a";
    std::fs::write(&table, format!("code,name,site,main\n{row}\n")).unwrap();
    let refusals = import(&config, &table, &folder.path().join("cameras.toml"), &env()).unwrap_err();
    assert_eq!(refusals.refusals.len(), 1);
    assert!(refusals.to_string().contains("is the code of a camera already"), "{refusals}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_text_survives_the_table(name in "[^\\p{C}\\s][^\\p{C}]{0,20}[^\\p{C}\\s]", lat in -90.0..90.0_f64, lon in -180.0..180.0_f64) {
        let (mut config, _) = Config::parse(HEAD, Path::new("fengsui.toml"), &env()).unwrap();
        for camera in config.topology.cameras.values_mut() {
            camera.name = name.clone();
            camera.dossier.note = Some(name.clone());
            camera.position = crate::topology::Position::typed(lat, lon, crate::topology::Datum::Bd09).ok();
        }
        let table = export(&config.topology).unwrap();
        let import = import_text(&table).map_err(TestCaseError::fail)?;
        prop_assert_eq!(import.config.topology, config.topology);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = import_text(&bytes);
        let text = String::from_utf8_lossy(&bytes);
        let _ = Config::parse(&text, Path::new("fengsui.toml"), &env());
    }
}
