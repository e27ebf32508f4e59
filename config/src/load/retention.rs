//! Checks of `[retention]`, its classes, and the water marks of volumes.

use std::collections::BTreeMap;
use std::time::Duration;

use super::section::{Findings, Section, Spot};
use crate::limits;
use crate::retention::{ClassRetention, Emergency, RetentionConfig, WaterMarks};
use crate::topology::CameraClass;

const DAY_SECONDS: f64 = 86_400.0;

/// Checks `[retention]` and its classes; all of it has defaults.
pub(super) fn retention(
    section: Option<Section>,
    classes: Vec<Section>,
    out: &mut Findings,
) -> RetentionConfig {
    let mut config = RetentionConfig::default();
    if let Some(mut section) = section {
        section.take("class");
        let lab_spot = section.spot_of("lab");
        config.lab = section.truth(out, "lab").unwrap_or(false);
        if config.lab {
            let problem = "footage may be deleted before the time that the law asks for";
            out.warn(
                &lab_spot,
                "retention.lab",
                "true",
                problem,
                "leave it out where real cameras are recorded",
            );
        }
        let words = [("stop", Emergency::Stop), ("sacrifice", Emergency::Sacrifice)];
        config.emergency = section.word(out, "emergency", &words).unwrap_or_default();
        let hours = section.number(out, "sacrifice_floor_hours", limits::SACRIFICE_FLOOR_HOURS, "hours");
        if let Some(hours) = hours {
            config.sacrifice_floor = Duration::from_secs_f64(hours * 3600.0);
        }
        section.finish(out);
    }
    let mut seen: BTreeMap<CameraClass, u32> = BTreeMap::new();
    for section in classes {
        if let Some((class, kept)) = class(section, config.lab, &mut seen, out) {
            config.classes.insert(class, kept);
        }
    }
    config
}

/// Checks one `[[retention.class]]`.
fn class(
    mut section: Section,
    lab: bool,
    seen: &mut BTreeMap<CameraClass, u32>,
    out: &mut Findings,
) -> Option<(CameraClass, ClassRetention)> {
    let line = section.spot.line;
    let name_spot = section.spot_of("name");
    let words = CameraClass::ALL.map(|c| (c.as_str(), c));
    if section.shown_text("name").is_none() {
        section.missing(out, "name", "write one of: normal, key");
    }
    let class = section.word(out, "name", &words);
    let (min_spot, max_spot) = (section.spot_of("min_days"), section.spot_of("max_days"));
    let bounds = (0.0, limits::RETENTION_DAYS_MAX);
    let min = section.number(out, "min_days", bounds, "days");
    let max = section.number(out, "max_days", bounds, "days");
    section.finish(out);
    let class = class?;
    if let Some(first) = seen.insert(class, line) {
        let problem = format!("is there already (line {first})");
        out.refuse(&name_spot, "retention.class.name", class.as_str(), problem, "keep one of the two");
        return None;
    }
    let default = RetentionConfig::default_of(class);
    let floor = default.min.as_secs_f64() / DAY_SECONDS;
    let min = min.unwrap_or(floor);
    let max = max.unwrap_or_else(|| min.max(default.max.as_secs_f64() / DAY_SECONDS));
    let mut good = true;
    let mut refuse = |spot: &Spot, key: &str, value: f64, problem: String, remedy: String| {
        good = false;
        out.refuse(spot, format!("retention.class.{key}"), value.to_string(), problem, remedy);
    };
    if !lab && min < floor {
        let (law, why) = law(class);
        let remedy = format!("write {floor} or more; only a laboratory may set lab = true in [retention]");
        refuse(
            &min_spot,
            "min_days",
            min,
            format!("is less than the {floor} days that {law} asks {why}"),
            remedy,
        );
    }
    for (spot, key, value) in [(&min_spot, "min_days", min), (&max_spot, "max_days", max)] {
        if !lab && value.fract() != 0.0 {
            refuse(spot, key, value, "is no whole number of days".to_owned(), "write whole days".to_owned());
        }
    }
    if max < min {
        let problem = format!("is less than min_days = {min}");
        refuse(&max_spot, "max_days", max, problem, "let max_days be min_days or more".to_owned());
    }
    let days = |d: f64| Duration::from_secs_f64(d * DAY_SECONDS);
    good.then(|| (class, ClassRetention { min: days(min), max: days(max) }))
}

fn law(class: CameraClass) -> (&'static str, &'static str) {
    match class {
        CameraClass::Normal => ("State Council Order 799, Art. 17", "of every camera"),
        CameraClass::Key => ("the Counter-Terrorism Law, Art. 32", "of key targets"),
    }
}

/// Takes the water marks out of a volume's section.
pub(super) fn water_marks(section: &mut Section, out: &mut Findings) -> WaterMarks {
    let spot = section.spot_of("low_water_percent");
    let bounds = limits::WATER_MARK_PERCENT;
    let high = section.number(out, "high_water_percent", bounds, "percent");
    let low = section.number(out, "low_water_percent", bounds, "percent");
    let default = WaterMarks::default();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1000")]
    let permille = |percent: f64| (percent * 10.0).round() as u32;
    let high_permille = high.map_or(default.high_permille, permille);
    let gap = default.high_permille - default.low_permille;
    let low_permille = low.map_or(high_permille.saturating_sub(gap), permille);
    if low_permille >= high_permille {
        let key = section.dotted("low_water_percent");
        let value = low.map_or_else(String::new, |l| l.to_string());
        let problem = format!("is not below high_water_percent = {}", f64::from(high_permille) / 10.0);
        out.refuse(&spot, key, value, problem, "let the low mark be below the high one");
    }
    WaterMarks { high_permille, low_permille }
}
