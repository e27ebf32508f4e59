//! The journal, for those who audit.

use std::sync::Arc;

use axum::extract::State;
use fengsui_config::limits;
use fengsui_storage::journal::JournalRecord;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::auth::access::Principal;
use crate::auth::register::kinds;
use crate::http::problem::{ApiError, ApiResult, Problem, QueryOf};

/// Records of a page when nothing is said.
const LIMIT_DEFAULT: usize = 100;

/// Which records.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct JournalQuery {
    /// Kinds, separated by commas; `session.` stands for all that begin so.
    #[serde(default)]
    kind: String,
    /// Who did it: the name of an account.
    #[serde(default)]
    by: String,
    /// Not earlier than this microsecond.
    from_us: Option<i64>,
    /// Earlier than this microsecond.
    to_us: Option<i64>,
    /// Only records before this number: `next_before` of the page before.
    before: Option<u64>,
    /// Records of the page, at most 1000.
    limit: Option<usize>,
}

/// Decides which records are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JournalFilter {
    /// Kinds or their beginnings with a final dot; none for all.
    pub kinds: Vec<String>,
    /// The actor; empty for all.
    pub by: String,
    /// Not earlier, microseconds since 1970.
    pub from_us: Option<i64>,
    /// Earlier, microseconds since 1970.
    pub to_us: Option<i64>,
}

impl JournalFilter {
    /// Whether a record is wanted.
    #[must_use]
    pub fn wants(&self, record: &JournalRecord) -> bool {
        let kind = kinds::current(&record.kind);
        let fits = |wanted: &String| wanted == kind || (wanted.ends_with('.') && kind.starts_with(wanted));
        let actor = || ["by", "name"].iter().find_map(|field| record.body.get(field)?.as_str());
        (self.kinds.is_empty() || self.kinds.iter().any(fits))
            && (self.by.is_empty() || actor() == Some(self.by.as_str()))
            && self.from_us.is_none_or(|from| record.at.0 >= from)
            && self.to_us.is_none_or(|to| record.at.0 < to)
    }

    /// The kinds of a text with commas.
    #[must_use]
    pub fn kinds_of(text: &str) -> Vec<String> {
        text.split(',').map(str::trim).filter(|k| !k.is_empty()).map(str::to_owned).collect()
    }
}

/// One record. Secrets in its body, hashes of passwords included, are `***`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RecordView {
    /// Sequence number.
    pub seq: u64,
    /// Opening of the journal in which it was written.
    pub epoch: u64,
    /// The node that wrote it.
    pub node: String,
    /// When.
    pub at_us: i64,
    /// What.
    pub kind: String,
    /// The facts.
    #[schema(value_type = Object)]
    pub body: Value,
    /// SHA-256 of the record before it.
    pub previous: String,
    /// SHA-256 of the record.
    pub hash: String,
}

impl RecordView {
    /// A record for people's eyes.
    #[must_use]
    pub fn of(record: &JournalRecord) -> Self {
        Self {
            seq: record.seq,
            epoch: record.epoch,
            node: record.node.clone(),
            at_us: record.at.0,
            kind: kinds::current(&record.kind).to_owned(),
            body: kinds::shown(&record.body),
            previous: hex::encode(record.previous),
            hash: hex::encode(record.hash),
        }
    }
}

/// A page of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct JournalPageView {
    /// Newest first. May be fewer than asked for although there are more: see `next_before`.
    pub items: Vec<RecordView>,
    /// Ask with `before` of this number to go on; absent at the beginning of the journal.
    pub next_before: Option<u64>,
}

/// Records of the journal, newest first: who logged in, saw what, changed what. Reading it is written down as well.
#[utoipa::path(get, path = "/api/v1/journal", tag = "journal", params(JournalQuery), responses(
    (status = 200, body = JournalPageView), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem)))]
pub async fn page(
    State(app): State<Arc<App>>,
    principal: Principal,
    QueryOf(query): QueryOf<JournalQuery>,
) -> ApiResult<axum::Json<JournalPageView>> {
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=limits::JOURNAL_PAGE_MAX).contains(&limit) {
        let most = limits::JOURNAL_PAGE_MAX;
        return Err(ApiError::bad("limit", format!("A page has 1 to {most} records, not {limit}.")));
    }
    let kinds_wanted = JournalFilter::kinds_of(&query.kind);
    if let Some(wrong) = kinds_wanted.iter().find(|k| !k.contains('.')) {
        return Err(ApiError::bad(
            "kind",
            format!("{wrong:?} is no kind: write, for example, session.opened or session."),
        ));
    }
    let filter =
        JournalFilter { kinds: kinds_wanted, by: query.by, from_us: query.from_us, to_us: query.to_us };
    if query.before.is_none() {
        let row = json!({
            "by": principal.user().name.as_ref(), "address": principal.address().to_string(),
            "filter": {"kinds": filter.kinds, "by": filter.by, "from_us": filter.from_us, "to_us": filter.to_us},
        });
        let written = app.auth.register.append(kinds::JOURNAL_VIEWED, row).await;
        written.map_err(|e| ApiError::internal("write to the journal that it was read", &e))?;
    }
    let wanted = Box::new(move |record: &JournalRecord| filter.wants(record));
    let page = app.auth.register.page(query.before.unwrap_or(u64::MAX), limit, wanted).await;
    let page = page.map_err(|e| ApiError::internal("read the journal", &e))?;
    let items = page.records.iter().map(RecordView::of).collect();
    Ok(axum::Json(JournalPageView { items, next_before: page.next_before }))
}
