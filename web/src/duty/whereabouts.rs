//! Where units are that report to a node below: asked for from time to time, and kept in memory like what is reported here.
//!
//! A node is believed of units that were made at it, or at a node for which it speaks: `a_node_is_believed_of_its_own_units`.

use std::sync::Arc;

use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;
use fengsui_duty::act::MatterId;
use fengsui_relay::call::OnBehalf;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::command::gather::{self, Question};
use crate::relay::centre::Centre;

/// Where a node tells it.
pub const PATH: &str = "/api/v1/units/positions";

/// Where one unit is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Whereabouts {
    /// The unit.
    #[schema(example = "unit/centre/patrol-3f2a9c01")]
    pub unit: String,
    /// WGS-84 latitude.
    pub lat: f64,
    /// WGS-84 longitude.
    pub lon: f64,
    /// When it was there.
    pub at_us: i64,
}

/// Where units said last that they are, at most an hour ago.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WhereaboutsList {
    /// In order of their names.
    pub items: Vec<Whereabouts>,
}

/// What is known here.
#[must_use]
pub fn here(app: &App) -> WhereaboutsList {
    let since = app.clock.utc() - limits::UNIT_POSITION_AGE_MAX;
    let known = app.units.positions.since(since).into_iter();
    let items = known.map(|(unit, at)| Whereabouts {
        unit: unit.to_string(),
        lat: at.point.lat(),
        lon: at.point.lon(),
        at_us: at.at_us.0,
    });
    WhereaboutsList { items: items.collect() }
}

/// Asks the nodes below while the book has units, until it stops.
pub async fn run(app: Arc<App>, centre: Arc<Centre>) {
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = tokio::time::sleep(limits::UNIT_POSITIONS_ASK) => {}
        }
        if app.duty.read(|book| !book.units.is_empty()) {
            ask(&app, &centre).await;
        }
    }
}

/// Asks all nodes below once; says how many newer positions came. Who does not answer is asked again the next time.
pub async fn ask(app: &App, centre: &Centre) -> usize {
    let nodes = centre.roll.senders().into_iter().filter(|node| centre.roll.works(node));
    let questions = nodes.map(|node| Question { node, path: PATH.to_owned(), cameras: Vec::new() }).collect();
    let by = OnBehalf { user: centre.own.to_string(), roles: Vec::new() };
    let (answers, missing) =
        gather::ask::<WhereaboutsList>(centre, &by, questions, limits::GATHER_TIMEOUT).await;
    for silent in missing {
        tracing::debug!(node = silent.node, why = ?silent.why, "a node does not tell where its units are");
    }
    let now = app.clock.utc();
    let put = |of: &Whereabouts, question: &Question| {
        let unit: MatterId = of.unit.parse().ok()?;
        let own = centre.roll.speaker(&unit.home).as_ref() == Some(&question.node)
            && app.duty.read(|book| book.units.contains_key(&unit));
        let newest = own.then(|| app.units.positions.put(&unit, (of.lat, of.lon), UtcMicros(of.at_us), now));
        newest?.ok().filter(|newest| *newest)
    };
    let all = answers.iter().flat_map(|(question, list)| {
        list.items.iter().take(limits::UNIT_POSITIONS_MAX).map(move |of| (of, question))
    });
    all.filter_map(|(of, question)| put(of, question)).count()
}
