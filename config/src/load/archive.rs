//! Checks of `[[storage.archive]]`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use url::{Host, Url};

use super::camera::Keys;
use super::node::{resolved, slug};
use super::section::{Findings, Raw, Section, Spot, Text};
use super::tidy;
use crate::archive::{ArchiveChoice, ArchiveConfig, ArchiveLock, ArchivePlace, S3Place};
use crate::checked::VolumeConfig;
use crate::limits;
use crate::secret::Secret;
use crate::topology::CameraClass;

const URL_REMEDY: &str = "write s3://BUCKET/PREFIX with endpoint, or file:///FOLDER";
/// Region that stores without regions take.
const REGION_DEFAULT: &str = "us-east-1";

/// Checks all archives against each other and the volumes.
pub(super) fn archives(
    sections: Vec<Section>,
    volumes: &[VolumeConfig],
    base: &Path,
    keys: &mut Keys<'_>,
    out: &mut Findings,
) -> Vec<ArchiveConfig> {
    let mut checked: Vec<ArchiveConfig> = Vec::new();
    if let Some(beyond) = sections.get(limits::ARCHIVES_MAX) {
        let problem = format!("is one of more than {} archives", limits::ARCHIVES_MAX);
        out.refuse(&beyond.spot, "storage.archive", "", problem, "remove some");
        return checked;
    }
    for section in sections {
        checked.extend(archive(section, volumes, &checked, base, keys, out));
    }
    checked
}

fn archive(
    mut section: Section,
    volumes: &[VolumeConfig],
    before: &[ArchiveConfig],
    base: &Path,
    keys: &mut Keys<'_>,
    out: &mut Findings,
) -> Option<ArchiveConfig> {
    let refusals = out.0.refusals.len();
    let id = slug(&mut section, "id", out);
    if let Some((id, text)) = &id
        && (volumes.iter().any(|v| v.id == *id) || before.iter().any(|a| a.id == *id))
    {
        let remedy = "give each volume and archive an id of its own";
        section.refuse(out, "id", text, "is the id of a volume or another archive", remedy);
    }
    let place = place(&mut section, volumes, base, keys, out);
    let choice = choice(&mut section, out);
    let minutes = section.whole(out, "after_minutes", limits::ARCHIVE_AFTER_MINUTES, "minutes");
    let max_spot = section.spot_of("max_days");
    let max_days = section.number(out, "max_days", limits::ARCHIVE_MAX_DAYS, "days");
    let rate = section.number(out, "rate_mbit", limits::ARCHIVE_RATE_MBIT, "Mbit/s");
    let uploads = section.whole(out, "uploads", limits::ARCHIVE_UPLOADS, "uploads");
    let verify = section.whole(out, "verify_percent", (0, 100), "percent");
    let cache = section.whole(out, "cache_mib", limits::ARCHIVE_CACHE_MIB, "MiB");
    let lock = lock(&mut section, out);
    let after = Duration::from_secs(60 * minutes.unwrap_or(limits::ARCHIVE_AFTER_MINUTES_DEFAULT));
    let max = max_days.map(|days| Duration::from_secs_f64(days * 86_400.0));
    duty((&section, &max_spot), max, after, lock, out);
    section.finish(out);
    if out.0.refusals.len() > refusals {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within its bounds")]
    let rate_bytes = rate.map(|mbit| (mbit * 125_000.0) as u64);
    Some(ArchiveConfig {
        id: id?.0,
        place: place?,
        choice,
        after,
        max,
        rate_bytes,
        uploads: uploads.and_then(|n| usize::try_from(n).ok()).unwrap_or(limits::ARCHIVE_UPLOADS_DEFAULT),
        verify_percent: verify.and_then(|n| u32::try_from(n).ok()).unwrap_or(100),
        cache_bytes: cache
            .and_then(|mib| usize::try_from(mib << 20).ok())
            .unwrap_or(limits::ARCHIVE_CACHE_BYTES_DEFAULT),
        lock,
    })
}

fn place(
    section: &mut Section,
    volumes: &[VolumeConfig],
    base: &Path,
    keys: &mut Keys<'_>,
    out: &mut Findings,
) -> Option<ArchivePlace> {
    let text = section.need_text(out, "url", URL_REMEDY)?;
    let Ok(url) = Url::parse(&text.value) else {
        section.refuse(out, "url", &text, "is no address", URL_REMEDY);
        return None;
    };
    match url.scheme() {
        "file" => folder(section, &text, &url, volumes, out).map(ArchivePlace::Folder),
        "s3" => s3(section, &text, &url, base, keys, out).map(|place| ArchivePlace::S3(Box::new(place))),
        _ => {
            section.refuse(out, "url", &text, "is neither s3 nor file", URL_REMEDY);
            None
        }
    }
}

fn folder(
    section: &Section,
    text: &Text,
    url: &Url,
    volumes: &[VolumeConfig],
    out: &mut Findings,
) -> Option<PathBuf> {
    let Ok(path) = url.to_file_path() else {
        section.refuse(out, "url", text, "names no folder of this machine", "write file:///FOLDER");
        return None;
    };
    let path = resolved(&path);
    if volumes.iter().any(|v| path.starts_with(&v.path) || v.path.starts_with(&path)) {
        let remedy = "use a folder of another disk: an archive on the volume's disk is lost with it";
        section.refuse(out, "url", text, "overlaps the path of a volume", remedy);
        return None;
    }
    Some(path)
}

fn s3(
    section: &mut Section,
    text: &Text,
    url: &Url,
    base: &Path,
    keys: &mut Keys<'_>,
    out: &mut Findings,
) -> Option<S3Place> {
    let bucket = url.host_str().unwrap_or_default().to_owned();
    let prefix = url.path().trim_matches('/').to_owned();
    if bucket.is_empty() || !url.username().is_empty() || url.query().is_some() || url.fragment().is_some() {
        section.refuse(out, "url", text, "is no s3://BUCKET/PREFIX", URL_REMEDY);
        return None;
    }
    let sound = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if prefix.contains("//") || prefix.split('/').any(|p| p == "..") || !prefix.chars().all(sound) {
        let remedy = "use letters, digits, '.', '_', '-' and single '/' alone";
        section.refuse(out, "url", text, "has a prefix that is not safe as a key", remedy);
        return None;
    }
    let endpoint = endpoint(section, out);
    let region = section.text(out, "region").map_or_else(|| REGION_DEFAULT.to_owned(), |t| t.value);
    let access_key = secret(section, "access_key", keys, out);
    let secret_key = secret(section, "secret_key", keys, out);
    let ca = section.text(out, "ca").map(|text| (tidy(&base.join(&text.value)), text));
    if let Some((path, text)) = &ca
        && let Err(problem) = super::read_bytes(path, limits::ARCHIVE_CA_BYTES_MAX)
    {
        section.refuse(out, "ca", text, problem, "name a readable file of PEM certificates");
    }
    Some(S3Place {
        bucket,
        prefix,
        endpoint: endpoint?,
        region,
        access_key: access_key?,
        secret_key: secret_key?,
        ca: ca.map(|(path, _)| path),
    })
}

fn endpoint(section: &mut Section, out: &mut Findings) -> Option<Url> {
    let remedy = "write the address of the store: https://HOST or https://HOST:PORT";
    let text = section.need_text(out, "endpoint", remedy);
    let allow_http = section.truth(out, "allow_http").unwrap_or(false);
    let text = text?;
    let Some(url) = Url::parse(&text.value).ok().filter(|u| u.host().is_some()) else {
        section.refuse(out, "endpoint", &text, "is no address", remedy);
        return None;
    };
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        let remedy = "leave user and password out: they stand in access_key and secret_key";
        out.refuse(&text.spot, section.dotted("endpoint"), "***", "holds more than an address", remedy);
        return None;
    }
    let here = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    match url.scheme() {
        "https" => Some(url),
        "http" if here || allow_http => Some(url),
        "http" => {
            let remedy =
                "use https://, or write allow_http = true if nobody else can listen on the way to the store";
            section.refuse(out, "endpoint", &text, "would send footage in plain HTTP", remedy);
            None
        }
        _ => {
            section.refuse(out, "endpoint", &text, "is neither https nor http", remedy);
            None
        }
    }
}

/// A secret that stands as a reference.
fn secret(
    section: &mut Section,
    key: &'static str,
    keys: &mut Keys<'_>,
    out: &mut Findings,
) -> Option<Secret> {
    let remedy = "write env:NAME, file:PATH, or the enc: line that `fengsui secret seal` prints";
    let Some(cell) = section.take(key) else {
        section.missing(out, key, remedy);
        return None;
    };
    let Raw::Text(reference) = cell.raw else {
        out.refuse(&cell.spot, section.dotted(key), "***", "is no text", remedy);
        return None;
    };
    match keys.open(&reference, None) {
        Ok(secret) => Some(secret),
        Err((problem, remedy)) => {
            out.refuse(&cell.spot, section.dotted(key), "***", problem, remedy);
            None
        }
    }
}

fn choice(section: &mut Section, out: &mut Findings) -> ArchiveChoice {
    let mut cameras = BTreeSet::new();
    for text in section.texts(out, "cameras") {
        match text.value.parse() {
            Ok(id) => drop(cameras.insert(id)),
            Err(_) => {
                let remedy = "write the camera's national code: twenty digits";
                section.refuse(out, "cameras", &text, "is no code of a camera", remedy);
            }
        }
    }
    let listed = section.texts(out, "classes");
    let mut classes = Vec::new();
    for text in &listed {
        match text.value.as_str() {
            "normal" => classes.push(CameraClass::Normal),
            "key" => classes.push(CameraClass::Key),
            "none" => {}
            _ => section.refuse(out, "classes", text, "is no class", "write normal, key or none"),
        }
    }
    if listed.is_empty() && cameras.is_empty() {
        classes = vec![CameraClass::Normal, CameraClass::Key];
    }
    ArchiveChoice { classes, cameras }
}

/// A duty to delete that could not be done.
fn duty(
    (section, spot): (&Section, &Spot),
    max: Option<Duration>,
    after: Duration,
    lock: Option<ArchiveLock>,
    out: &mut Findings,
) {
    let Some(max) = max else { return };
    let days = max.as_secs_f64() / 86_400.0;
    let mut refuse = |problem: String, remedy| {
        out.refuse(spot, section.dotted("max_days"), days.to_string(), problem, remedy);
    };
    if max <= after {
        let problem = "would delete footage before it is archived (after_minutes)".to_owned();
        refuse(problem, "write more days, or leave it out to delete nothing there");
    }
    if let Some(lock) = lock
        && f64::from(lock.days) > days
    {
        let problem = format!("is before the lock ends that forbids to delete (lock_days = {})", lock.days);
        refuse(problem, "write at least as many days as lock_days");
    }
}

fn lock(section: &mut Section, out: &mut Findings) -> Option<ArchiveLock> {
    let words = [("none", None), ("governance", Some(false)), ("compliance", Some(true))];
    let mode = section.word(out, "lock", &words).flatten();
    let days = section.whole(out, "lock_days", limits::ARCHIVE_LOCK_DAYS, "days");
    match (mode, days) {
        (Some(compliance), Some(days)) => {
            Some(ArchiveLock { compliance, days: u32::try_from(days).unwrap_or(u32::MAX) })
        }
        (Some(_), None) => {
            section.missing(out, "lock_days", "write for how many days objects are locked");
            None
        }
        (None, Some(_)) => {
            section.missing(out, "lock", "write governance or compliance, or leave lock_days out");
            None
        }
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
    use std::collections::BTreeMap;

    use super::super::parse;
    use super::*;

    const GOOD: &str = include_str!("good.toml");

    fn config(archive: &str) -> Result<Vec<ArchiveConfig>, String> {
        let env: BTreeMap<String, String> =
            [("CAMERA", "p4ss"), ("S3_KEY", "AKIA"), ("S3_SECRET", "hush-hush")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into();
        let text = format!("{GOOD}\n[[storage.archive]]\n{archive}\n");
        parse(&text, Path::new("/srv/fengsui.toml"), &env)
            .map(|(config, _)| config.storage.archives)
            .map_err(|refusals| refusals.to_string())
    }

    const S3: &str = "id = \"cold\"\nurl = \"s3://footage/city/a\"\naccess_key = \"env:S3_KEY\"\nsecret_key = \"env:S3_SECRET\"\n";

    #[test]
    fn an_archive_is_read_with_its_defaults() {
        let archives = config(&format!("{S3}endpoint = \"https://rgw.example.cn\"")).unwrap();
        let archive = &archives[0];
        let ArchivePlace::S3(place) = &archive.place else { panic!("{archive:?}") };
        assert_eq!((place.bucket.as_str(), place.prefix.as_str()), ("footage", "city/a"));
        assert_eq!(place.secret_key.expose(), "hush-hush");
        assert!(!format!("{archive:?}").contains("hush-hush"));
        assert_eq!((archive.verify_percent, archive.lock, archive.rate_bytes), (100, None, None));
        assert_eq!((archive.choice.classes.len(), archive.max), (2, None));
        let archives = config("id = \"shelf\"\nurl = \"file:///mnt/shelf\"\nclasses = [\"key\"]\nrate_mbit = 8\nlock = \"compliance\"\nlock_days = 30\nmax_days = 365").unwrap();
        assert_eq!(archives[0].max, Some(Duration::from_secs(365 * 86_400)));
        assert_eq!(archives[0].place, ArchivePlace::Folder("/mnt/shelf".into()));
        assert_eq!(archives[0].rate_bytes, Some(1_000_000));
        assert_eq!(archives[0].lock, Some(ArchiveLock { compliance: true, days: 30 }));
        assert_eq!(archives[0].choice.classes, [CameraClass::Key]);
    }

    #[test]
    fn every_fault_of_an_archive_is_refused_with_its_remedy() {
        let cases = [
            ("id = \"v1\"\nurl = \"file:///mnt/shelf\"", "is the id of a volume", "id of its own"),
            ("id = \"a\"\nurl = \"ftp://x/y\"", "is neither s3 nor file", "s3://BUCKET"),
            ("id = \"a\"\nurl = \"file:///srv/footage/a\"", "overlaps the path of a volume", "another disk"),
            (
                "id = \"a\"\nurl = \"s3://b/../c%20d\"\nendpoint = \"https://h\"",
                "is not safe as a key",
                "single '/'",
            ),
            (
                &format!("{S3}endpoint = \"http://rgw.example.cn\""),
                "would send footage in plain HTTP",
                "allow_http",
            ),
            (&format!("{S3}endpoint = \"https://u:p@rgw.example.cn\""), "more than an address", "access_key"),
            (&S3.replace("env:S3_SECRET", "hush-hush"), "is a password in plain text", "env:NAME"),
            (&format!("{S3}endpoint = \"https://h\"\nca = \"none.pem\""), "cannot be read", "PEM"),
            (
                "id = \"a\"\nurl = \"file:///m\"\nlock = \"governance\"",
                "lock_days: is missing",
                "for how many days",
            ),
            ("id = \"a\"\nurl = \"file:///m\"\nclasses = [\"gold\"]", "is no class", "normal, key"),
            (
                "id = \"a\"\nurl = \"file:///m\"\nafter_minutes = 1440\nmax_days = 1",
                "max_days = 1: would delete footage before it is archived",
                "write more days",
            ),
            (
                "id = \"a\"\nurl = \"file:///m\"\nlock = \"compliance\"\nlock_days = 90\nmax_days = 60",
                "is before the lock ends",
                "as many days as lock_days",
            ),
            (
                "id = \"a\"\nurl = \"file:///m\"\nverify_percent = 101",
                "is out of bounds",
                "between 0 and 100",
            ),
            ("id = \"a\"\nurl = \"file:///m\"\ncameras = [\"7\"]", "is no code of a camera", "twenty digits"),
        ];
        for (text, problem, remedy) in cases {
            let refusals = config(text).unwrap_err();
            assert!(refusals.contains(problem) && refusals.contains(remedy), "{text}\n{refusals}");
            assert!(!refusals.contains("hush-hush") && !refusals.contains("u:p"), "{refusals}");
        }
    }

    #[test]
    fn plain_http_is_for_this_machine_or_by_word() {
        for endpoint in ["http://127.0.0.1:9000", "http://[::1]:9000", "http://localhost:9000"] {
            config(&format!("{S3}endpoint = \"{endpoint}\"")).unwrap();
        }
        config(&format!("{S3}endpoint = \"http://10.0.0.1\"\nallow_http = true")).unwrap();
    }
}
