#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "tests"
)]
mod lives;

use fengsui_config::clock::UtcMicros;
use fengsui_config::env::{Env as _, ProcessEnv};

use super::facts::Facts;
use super::*;
use crate::figure::{Figure, Target};
use lives::{Lives, PLACES};

#[test]
fn a_range_that_is_no_range_is_refused_with_its_field() {
    let ask = |from, to, offset| Ask {
        from: UtcMicros(from),
        to: UtcMicros(to),
        by: Grouping::Day,
        utc_offset_min: offset,
        now: UtcMicros(0),
    };
    ask(0, 1, 480).check().unwrap();
    ask(0, 400 * DAY_US, 480).check().unwrap();
    for (bad, field) in [
        (ask(1, 1, 0), "to_us"),
        (ask(2, 1, 0), "to_us"),
        (ask(0, 400 * DAY_US + 1, 0), "to_us"),
        (ask(i64::MIN, i64::MAX, 0), "to_us"),
        (ask(0, 1, 841), "utc_offset_min"),
    ] {
        let refused = bad.check().unwrap_err();
        assert_eq!(refused.field, field, "{bad:?}");
        assert!(!refused.remedy.is_empty());
    }
    assert_eq!(Grouping::read("week").unwrap_err().field, "by");
}

/// Everything by hand: three alarms and what a report says of them.
#[test]
fn a_report_says_what_was_counted_by_hand() {
    let mut lives = Lives::new(0);
    let s = 1_000_000;
    for (name, ack, close) in [("a1", 10, Some(100)), ("a2", 20, Some(50)), ("a3", 90, None)] {
        lives.alarm(name, 0, 60, |act| {
            act(ack * s, r#"{"do":"acknowledge"}"#);
            act(
                40 * s,
                if name == "a2" { r#"{"do":"dismiss","reason":"animal"}"# } else { r#"{"do":"resolve"}"# },
            );
            if let Some(close) = close {
                act(close * s, r#"{"do":"close"}"#);
            }
        });
    }
    let ask = Ask {
        from: UtcMicros(0),
        to: UtcMicros(DAY_US),
        by: Grouping::All,
        utc_offset_min: 480,
        now: UtcMicros(3600 * s),
    };
    let report = facts::report(&ask, &Facts::of(&lives.book), &PLACES);
    let m = &report.total;
    assert_eq!(m.alarms, 3);
    assert_eq!(m.acknowledge, Spread { n: 3, median_us: Some(20 * s), p95_us: Some(90 * s) });
    assert_eq!(m.close, Spread { n: 2, median_us: Some(50 * s), p95_us: Some(100 * s) });
    assert_eq!(m.disposed, Share { part: 2, of: 3 });
    assert_eq!(m.overdue, Share { part: 1, of: 3 });
    assert_eq!(m.found_false, Share { part: 1, of: 3 });
    assert_eq!(compare(&report, &lives.recount().report(&ask, &PLACES)).different, []);
}

#[test]
fn two_computations_agree_over_random_lives() {
    let number =
        |name: &str, usual| ProcessEnv.get(name).and_then(|s| s.parse::<u64>().ok()).unwrap_or(usual);
    let (seed, seeds) = (number("FENGSUI_SEED", 1), number("FENGSUI_SEEDS", 60));
    let (mut fields, mut different, mut conflicts) = (0, 0, 0);
    for seed in seed..seed + seeds {
        let lives = Lives::random(seed);
        conflicts += lives.conflicts();
        let (facts, recount) = (Facts::of(&lives.book), lives.recount());
        for by in Grouping::ALL {
            let ask = Ask {
                from: UtcMicros(lives.begin + DAY_US),
                to: UtcMicros(lives.begin + 4 * DAY_US),
                by,
                utc_offset_min: 480,
                now: UtcMicros(lives.begin + 5 * DAY_US),
            };
            let (one, other) = (facts::report(&ask, &facts, &PLACES), recount.report(&ask, &PLACES));
            let compared = compare(&one, &other);
            for one in &compared.different {
                println!(
                    "report: replay with FENGSUI_SEED={seed} FENGSUI_SEEDS=1: by {}: {one:?}",
                    by.as_str()
                );
            }
            different += compared.different.len();
            fields += compared.fields;
            if by != Grouping::All {
                assert!(!one.rows.is_empty(), "seed {seed}: a report of nothing shows nothing");
            }
        }
    }
    assert!(conflicts > seeds, "lives without conflicts show little: {conflicts}");
    let compared = Figure::new("report.fields_compared", fields as f64, "fields", Target::Shown);
    let different = Figure::new("report.fields_different", different as f64, "fields", Target::Exactly(0.0));
    println!("{compared}\n{different}");
    assert!(different.holds(), "see the seeds above");
}

#[test]
fn a_field_that_differs_is_named() {
    let lives = Lives::random(7);
    let ask = Ask {
        from: UtcMicros(0),
        to: UtcMicros(lives.begin + 300 * DAY_US),
        by: Grouping::Rule,
        utc_offset_min: 0,
        now: UtcMicros(lives.begin + 300 * DAY_US),
    };
    let ask = Ask { from: UtcMicros(lives.begin), ..ask };
    let one = facts::report(&ask, &Facts::of(&lives.book), &PLACES);
    let mut other = one.clone();
    let row = other.rows.first_mut().unwrap();
    row.measures.close.p95_us = Some(-5);
    let found = compare(&one, &other).different;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].field, format!("rows[{}].close.p95_us", one.rows[0].key));
}

#[test]
fn cells_of_a_spreadsheet_are_no_formulas() {
    let measures = Measures { alarms: 1, ..Measures::default() };
    let report = Report {
        from_us: 0,
        to_us: DAY_US,
        made_us: 0,
        by: Grouping::Rule,
        utc_offset_min: 480,
        total: measures.clone(),
        rows: vec![Row { key: "rule/n/x".into(), name: "=cmd|'/c calc'!A1".into(), measures }],
    };
    let text = table::csv(&report);
    let mut lines = text.split("\r\n");
    assert_eq!(lines.next().unwrap(), format!("\u{feff}{}", table::COLUMNS.join(",")));
    let row = lines.next().unwrap();
    assert!(row.starts_with("rule/n/x,'=cmd|'/c calc'!A1,1,0,,,"), "{row}");
    assert_eq!(row.split(',').count(), table::COLUMNS.len());
    assert!(lines.next().unwrap().starts_with("total,,1,"));
    assert!(row.ends_with("1970-01-01T08:00:00+08:00,1970-01-02T08:00:00+08:00"), "{row}");
    assert!(table::plain(&report).contains("n = ") || table::plain(&report).contains("none"));
}
