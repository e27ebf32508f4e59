//! How long footage is kept: a promise and a duty for each class of cameras, and what happens when a disk fills all the
//! same.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::limits;
use crate::topology::CameraClass;

const DAY: Duration = Duration::from_secs(86_400);

/// How long the footage of one class is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassRetention {
    /// The promise: younger footage is not deleted, but for [`Emergency::Sacrifice`].
    pub min: Duration,
    /// The duty: older footage is deleted, unless it is held.
    pub max: Duration,
}

/// What happens when a volume is full and everything on it is promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Emergency {
    /// Promises are kept: recording to the volume stops, as gaps `disk_full`, with an alarm.
    #[default]
    Stop,
    /// Recording goes on: promises are broken in a fixed order, oldest first, each with an alarm and an entry in the
    /// register. Never what is held.
    Sacrifice,
}

/// How long footage is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionConfig {
    /// By class of cameras; every class is there.
    pub classes: BTreeMap<CameraClass, ClassRetention>,
    /// What happens when everything is promised.
    pub emergency: Emergency,
    /// Footage younger than this is never sacrificed.
    pub sacrifice_floor: Duration,
    /// Promises below the law are accepted: for demonstrations and laboratories.
    pub lab: bool,
}

impl RetentionConfig {
    /// Of one class.
    #[must_use]
    pub fn class(&self, class: CameraClass) -> ClassRetention {
        self.classes.get(&class).copied().unwrap_or_else(|| Self::default_of(class))
    }

    /// What is kept of a class when nothing is said. The promise is the law's (State Council Order 799, Art. 17;
    /// Counter-Terrorism Law, Art. 32).
    #[must_use]
    pub fn default_of(class: CameraClass) -> ClassRetention {
        let (min, max) = match class {
            CameraClass::Normal => limits::RETENTION_DAYS_NORMAL,
            CameraClass::Key => limits::RETENTION_DAYS_KEY,
        };
        ClassRetention { min: DAY * min, max: DAY * max }
    }

    /// The shortest promise that the law allows for a class.
    #[must_use]
    pub fn floor_of(class: CameraClass) -> Duration {
        Self::default_of(class).min
    }

    /// The longest of all promises and duties: for cameras that are not configured (any more).
    #[must_use]
    pub fn strictest(&self) -> ClassRetention {
        let of = |f: fn(&ClassRetention) -> Duration| self.classes.values().map(f).max().unwrap_or_default();
        ClassRetention { min: of(|c| c.min), max: of(|c| c.max) }
    }
}

impl Default for RetentionConfig {
    fn default() -> Self {
        let classes = CameraClass::ALL.into_iter().map(|c| (c, Self::default_of(c))).collect();
        Self { classes, emergency: Emergency::Stop, sacrifice_floor: limits::SACRIFICE_FLOOR, lab: false }
    }
}

/// How full a volume gets before the oldest footage whose promise is served goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaterMarks {
    /// Deleting begins when more of the volume, without its reserve, is used; in thousandths.
    pub high_permille: u32,
    /// Deleting ends when no more than this is used; in thousandths.
    pub low_permille: u32,
}

impl Default for WaterMarks {
    fn default() -> Self {
        let (high_permille, low_permille) = limits::WATER_MARKS_PERMILLE;
        Self { high_permille, low_permille }
    }
}
