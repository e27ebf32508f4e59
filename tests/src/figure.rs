//! The one form in which a measured figure is printed.

use std::fmt;

/// Which side of its target a figure has to be on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// At most this value.
    AtMost(f64),
    /// At least this value.
    AtLeast(f64),
    /// Exactly this value.
    Exactly(f64),
    /// No target: shown for comparison, always `ok`.
    Shown,
}

/// One measured figure; its `Display` is `FIGURE <name> <value> <unit> target <target> ok|short`.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Name in `snake_case`, without spaces.
    pub name: String,
    /// Measured value.
    pub value: f64,
    /// Unit without spaces, for example `cpu-s/GB`.
    pub unit: &'static str,
    /// What it has to be.
    pub target: Target,
}

impl Figure {
    /// A figure of `name`.
    #[must_use]
    pub fn new(name: impl Into<String>, value: f64, unit: &'static str, target: Target) -> Self {
        Self { name: name.into(), value, unit, target }
    }

    /// Whether the value is on the right side of its target. A value that is no number never is.
    #[must_use]
    pub fn holds(&self) -> bool {
        match self.target {
            Target::AtMost(t) => self.value <= t,
            Target::AtLeast(t) => self.value >= t,
            Target::Exactly(t) => (self.value - t).abs() < f64::EPSILON,
            Target::Shown => self.value.is_finite(),
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = match self.target {
            Target::AtMost(t) => format!("<={}", short(t)),
            Target::AtLeast(t) => format!(">={}", short(t)),
            Target::Exactly(t) => format!("={}", short(t)),
            Target::Shown => "none".to_owned(),
        };
        let verdict = if self.holds() { "ok" } else { "short" };
        write!(f, "FIGURE {} {} {} target {target} {verdict}", self.name, short(self.value), self.unit)
    }
}

/// Three significant digits behind the point at most, and no trailing zeros.
fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_prints_its_verdict_against_its_target() {
        let line = |t, v| Figure::new("x", v, "ms", t).to_string();
        assert_eq!(line(Target::AtMost(50.0), 49.5), "FIGURE x 49.5 ms target <=50 ok");
        assert_eq!(line(Target::AtMost(50.0), 50.1), "FIGURE x 50.1 ms target <=50 short");
        assert_eq!(line(Target::AtLeast(9.0), 8.0), "FIGURE x 8 ms target >=9 short");
        assert_eq!(line(Target::Exactly(0.0), 0.0), "FIGURE x 0 ms target =0 ok");
        assert_eq!(line(Target::Shown, 7.12349), "FIGURE x 7.123 ms target none ok");
    }

    #[test]
    fn a_figure_that_is_no_number_is_short() {
        assert!(!Figure::new("x", f64::NAN, "ms", Target::AtMost(1.0)).holds());
        assert!(!Figure::new("x", f64::NAN, "ms", Target::Shown).holds());
    }
}
