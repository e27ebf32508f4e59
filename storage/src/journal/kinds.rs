//! Every kind of journal record, in one place.
//!
//! A kind is `area.verb`. The version of a body stands in its field `v`; a body without one is of version 1. Kinds that
//! are not in this table, and bodies newer than the table, are kept and passed over: an older program can start on the
//! journal of a newer one and loses nothing of it.

use serde_json::Value;

/// What becomes of records when their term is over (`journal.keep_days`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// State is made of them: carried over into the checkpoint, for ever.
    State,
    /// They say what happened: dropped with their file.
    Term,
}

/// One kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindInfo {
    /// Its name.
    pub name: &'static str,
    /// Newest version of its body that this program understands.
    pub version: u64,
    /// What becomes of it when its term is over.
    pub keep: Keep,
    /// Names it once had; records are read under both.
    pub formerly: &'static [&'static str],
    /// What the body holds.
    pub about: &'static str,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $constant:ident = $name:literal, $version:literal, $keep:ident, [$($old:literal),*], $about:literal;)*) => {
        $(#[doc = concat!($about, " (`", $name, "`).")] pub const $constant: &str = $name;)*
        /// The table.
        pub const KINDS: &[KindInfo] = &[$(KindInfo {
            name: $name, version: $version, keep: Keep::$keep, formerly: &[$($old),*], about: $about,
        }),*];
    };
}

kinds! {
    JOURNAL_OPENED = "journal.opened", 1, Term, [], "The journal was opened: `{found, key, head_lost}`";
    JOURNAL_DROPPED = "journal.dropped", 1, Term, [], "Files whose term is over were dropped: `{through_seq, hash, checkpoint, files}`";
    JOURNAL_RESTORED = "journal.restored", 1, State, [], "The journal came from a backup: `{cut_seq, cut_hash, made_us, keys, key_before}`";
    JOURNAL_VIEWED = "journal.viewed", 1, Term, [], "Somebody read the journal: `{by, address, filter}`";
    NODE_STARTED = "node.started", 1, Term, ["node_started"], "The node started: `{version}`";
    NODE_STOPPED = "node.stopped", 1, Term, ["node_stopped"], "The node stopped in good order: `{}`";
    NODE_INVITED = "node.invited", 1, State, [], "A token to enrol a node was made: `{node, cameras, token_hash, expires_us, invited_us, by}`";
    NODE_ENROLLED = "node.enrolled", 1, State, [], "A node brought its token and its key: `{node, key, token_hash, address}`";
    NODE_ENROL_REFUSED = "node.enrol_refused", 1, Term, [], "Somebody was not enrolled as a node: `{address, why}`";
    NODE_ASSIGNED = "node.assigned", 1, State, [], "A node may speak of other cameras: `{node, cameras, by}`";
    NODE_DRAINED = "node.drained", 1, State, [], "A node is to get nothing new: `{node, by, reason}`";
    NODE_RETIRED = "node.retired", 1, State, [], "A node is one no more, no server lets it in: `{node, by, reason}`";
    STANDBY_TAKEN = "standby.taken", 1, State, [], "The node records cameras of another one, because its centre says so: `{owner, revision, cameras, by}`";
    STANDBY_RELEASED = "standby.released", 1, State, [], "It does not any more: `{owner, revision, cameras, by}`, without cameras";
    BACKFILL_TAKEN = "backfill.taken", 1, Term, [], "A segment that another node recorded in this one's place was proved and is footage here: `{camera, stream, segment, node, key, bytes, hash}`";
    BACKFILL_REFUSED = "backfill.refused", 1, Term, [], "A segment of another node was not taken in: `{camera, stream, segment, node, key, bytes, why}`";
    CONFIG_IN_USE = "config.in_use", 1, Term, [], "The configuration of a start: `{files, changes, unlisted, compared}`";
    CONFIG_RELOADED = "config.reloaded", 1, Term, ["config_reloaded"], "The configuration was read again: `{by, added, changed, removed, files, changes, unlisted}`";
    CONFIG_REFUSED = "config.refused", 1, Term, ["config_refused"], "A new configuration was refused: `{by, refusals, files}`";
    CONFIG_SAVED = "config.saved", 1, State, [], "At a centre: a version of a node's places and cameras: `{node, version, hash, by, reason, text}`";
    CONFIG_SETTLED = "config.settled", 1, State, [], "At a centre: what a node made of a version: `{node, version, outcome, faults}`";
    CONFIG_RECEIVED = "config.received", 1, State, [], "At a node: a version of its centre is in force: `{version, hash, by, text}`";
    CONFIG_RELEASED = "config.released", 1, State, [], "At a node: its own file is in force again: `{version, by, reason}`";
    CONFIG_OFFER_REFUSED = "config.offer_refused", 1, Term, [], "At a node: a version of its centre was not taken: `{version, hash, by, faults}`";
    ACCOUNT_CREATED = "account.created", 2, State, ["account_created"], "An account was made: `{name, roles, password, by?, address?, at_us?}`, the password as an argon2id PHC text; version 1 while it has no role but `administrator`";
    ACCOUNT_CHANGED = "account.changed", 1, State, [], "An account has other roles: `{name, roles, by, address?, at_us}`";
    ACCOUNT_DISABLED = "account.disabled", 1, State, [], "Nobody logs in with an account any more: `{name, by, address?, at_us}`";
    ACCOUNT_ENABLED = "account.enabled", 1, State, [], "An account is good again: `{name, by, address?, at_us}`";
    ACCOUNT_PASSWORD_SET = "account.password_set", 1, State, [], "An account has another password: `{name, password, by, address?, at_us, session?}`, as an argon2id PHC text; the session goes on, others of the account end";
    SESSION_OPENED = "session.opened", 1, Term, ["login"], "Somebody logged in: `{by, address, session?, replaces?}`, BLAKE3 of the ids of the session and of the one whose place it takes, hexadecimal";
    SESSION_REFUSED = "session.refused", 1, Term, ["login_refused"], "A log-in was refused: `{name, address, why}`";
    SESSION_CLOSED = "session.closed", 1, Term, ["logout"], "Somebody logged out: `{by, address, session?}`";
    VIEWING_FOOTAGE = "viewing.footage", 1, Term, ["footage_viewed"], "Stored pictures were shown: `{by, address, camera, stream, from_us, to_us, how}`";
    VIEWING_LIVE = "viewing.live", 1, Term, ["live_viewed"], "Live pictures were shown: `{by, address, camera, stream}`";
    TICKET_ISSUED = "ticket.issued", 1, Term, ["ticket_issued"], "A media ticket was given: `{by, address, camera, stream, from_us, to_us, expires_us}`";
    STORAGE_VOLUME_STATE = "storage.volume_state", 1, Term, [], "A volume changed its state: `{volume, from, to, detail?}`";
    INTEGRITY_DAMAGED = "integrity.damaged", 1, Term, [], "Stored bytes do not hold: `{camera, stream, volume, file, segment, part, offset, length, lost_from_us?, lost_to_us?, expected?, found?, detail}`";
    INTEGRITY_REPAIRED = "integrity.repaired", 1, Term, [], "A damaged segment was replaced by a copy: `{camera, stream, volume, file, segment, from_us, to_us, replica, kept}`";
    INTEGRITY_CLEARED = "integrity.cleared", 1, Term, [], "A segment that did not hold was found to hold again: `{camera, stream, volume, file, segment, from_us, to_us}`";
    FACETS_WIPED = "facets.wiped", 1, Term, [], "Derived facets were in doubt and are made anew; no footage is concerned: `{reason}`";
    INTEGRITY_REQUESTED = "integrity.requested", 1, Term, [], "Somebody had footage checked: `{by, address, camera?, stream?, from_us, to_us}`";
    VOLUME_USED = "volume.used", 1, State, [], "A volume is to take footage: `{by, address?, volume}`";
    VOLUME_DRAINED = "volume.drained", 1, State, [], "A volume is to get no new segments: `{by, address?, volume}`";
    VOLUME_EVACUATED = "volume.evacuated", 1, State, [], "What a volume holds is to be moved away: `{by, address?, volume}`";
    VOLUME_ADOPTED = "volume.adopted", 1, State, [], "A disk with what is on it is to be a volume: `{by, address?, volume}`";
    VOLUME_REPLACED = "volume.replaced", 1, State, [], "A new disk is to be a volume: `{by, address?, volume}`";
    VOLUME_ORDER_REFUSED = "volume.order_refused", 1, Term, [], "An order for a volume was not carried out: `{by, volume, order, why}`";
    ARCHIVE_STORED = "archive.stored", 1, Term, [], "Segments are in an archive, proved and written down: `{archive, segments, bytes, verified, held, cameras, from_us, to_us}`";
    ARCHIVE_PROBED = "archive.probed", 1, Term, [], "Object lock of an archive was tried: `{archive, lock, reason}`";
    ARCHIVE_UNREACHABLE = "archive.unreachable", 1, Term, [], "An archive does not answer: `{archive, detail, backlog_segments, backlog_bytes}`";
    ARCHIVE_REFUSED = "archive.refused", 1, Term, [], "An archive refuses: `{archive, detail, backlog_segments, backlog_bytes}`";
    ARCHIVE_BEHIND = "archive.behind", 1, Term, [], "Footage has been due for an archive for long: `{archive, detail, backlog_segments, backlog_bytes}`";
    ARCHIVE_RECOVERED = "archive.recovered", 1, Term, [], "An archive takes footage again: `{archive, backlog_segments, backlog_bytes}`";
    HOLD_PLACED = "hold.placed", 1, State, [], "A hold was placed: the hold";
    HOLD_EXTENDED = "hold.extended", 1, State, [], "A hold got more time or more cameras: `{id, by, at_us, reason, from_us?, to_us?, open_end, cameras}`";
    HOLD_RELEASED = "hold.released", 1, State, [], "A hold was released: `{id, by, at_us, reason}`";
    RETENTION_DELETING = "retention.deleting", 1, Term, [], "Footage is about to be deleted: `{volume, why, segments, bytes, ranges}`";
    RETENTION_DELETED = "retention.deleted", 1, Term, [], "Footage was deleted: `{announced, volume, why, segments, bytes, ranges, left, after_crash}`";
    RETENTION_STANDING = "retention.standing", 1, Term, [], "What deletions before left to know: `{pending, newest}`; written again long before the term of the last one is over, so that deletions need not be kept for ever";
    RETENTION_ALARM_RAISED = "retention.alarm_raised", 1, State, [], "An alarm of retention was raised: `{alarm, at_us, detail}`";
    EVENT_NOTED = "event.noted", 1, Term, [], "Something happened, once or as often as `count` says: the event (`fengsui_relay::event`); rows of events that are older than the term are made anew by what still is so";
    DUTY_ACTED = "duty.acted", 1, Term, [], "Somebody, a rule or time did something to an alarm, an incident or a shift: the act (`fengsui_duty::act`)";
    DUTY_DEFINED = "duty.defined", 1, State, [], "Somebody defined or removed a unit, plan or rule: the act (`fengsui_duty::act`)";
    DUTY_RECEIVED = "duty.received", 1, Term, [], "Acts that other nodes made came from this node's centre: `{from, acts: [{node, epoch, seq, body}]}`";
    DUTY_LINK_MADE = "duty.link_made", 1, Term, [], "A link was made for a unit that was sent: `{incident, dispatch, unit, token_hash, expires_us, contact, by, at_us}`, the hash as BLAKE3";
    DUTY_LINK_USED = "duty.link_used", 1, Term, [], "The first device opened it and keeps it: `{incident, dispatch, token_hash, device_token_hash, address, at_us}`";
    DUTY_LINK_ENDED = "duty.link_ended", 1, Term, [], "The links of a dispatch are good no more: `{incident, dispatch, by, at_us}`";
    WEBHOOK_DEAD = "webhook.dead", 1, Term, [], "An event was not taken by a webhook's receiver and is not tried any more: `{webhook, seq, act, subject, kind, attempts, first_us, at_us, detail}`";
    WEBHOOK_REDELIVERED = "webhook.redelivered", 1, Term, [], "A dead letter was sent again and taken: `{webhook, act, by}`";
    TOKEN_CREATED = "token.created", 1, State, [], "A token for a device or another system was made: `{id, name, by, address?, at_us, scope, rate, secret_hash}`, the last as BLAKE3";
    TOKEN_REVOKED = "token.revoked", 1, State, [], "A token is no longer good: `{id, by, address?, at_us}`";
    RETENTION_ALARM_CLEARED = "retention.alarm_cleared", 1, State, [], "An alarm of retention is over: `{alarm, at_us}`";
    RELAY_APPLIED = "relay.applied", 1, Term, [], "Frames of other nodes were taken in: `{parts: [{from, base, frames}]}`; where each origin stands is written again as `relay.standing` long before the term is over";
    RELAY_QUARANTINED = "relay.quarantined", 1, Term, [], "Frames of other nodes were not taken in: `{parts: [{from, base, origin, mark?, frames: [{epoch?, seq?, reason, detail, bytes, head}], beyond}]}`";
    RELAY_STANDING = "relay.standing", 1, Term, [], "Where every origin and every sender stands: `{origins, senders}`";
    RELAY_PASSED_OVER = "relay.passed_over", 1, State, [], "Records that waited for the centre are never sent: `{from, to, priority, count, bytes, by_kind, why}`";
}

/// The entry of a kind, by its name or one that it once had.
#[must_use]
pub fn find(kind: &str) -> Option<&'static KindInfo> {
    KINDS.iter().find(|k| k.name == kind || k.formerly.contains(&kind))
}

/// The name under which a kind is known now; unknown kinds are their own name.
#[must_use]
pub fn current(kind: &str) -> &str {
    find(kind).map_or(kind, |k| k.name)
}

/// Whether `kind` with this body is `wanted`, under any of its names, in a version that this program understands.
#[must_use]
pub fn is(kind: &str, body: &Value, wanted: &str) -> bool {
    find(kind).is_some_and(|k| k.name == wanted && version(body) <= k.version)
}

/// The version of a body.
#[must_use]
pub fn version(body: &Value) -> u64 {
    body.get("v").and_then(Value::as_u64).unwrap_or(1)
}

/// What becomes of a record when its term is over. What this program does not understand may be state: it is kept.
#[must_use]
pub fn keep(kind: &str, body: &Value) -> Keep {
    match find(kind) {
        Some(info) if version(body) <= info.version => info.keep,
        _ => Keep::State,
    }
}

/// Parts of a field's name whose value nobody needs to see outside the journal.
const HIDDEN: [&str; 5] = ["password", "passphrase", "secret", "token", "credential"];

/// A body for people's eyes and for export: whatever is or could be a secret is replaced by `***`, hashes of passwords
/// included.
#[must_use]
pub fn shown(body: &Value) -> Value {
    match body {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| {
                let small = name.to_ascii_lowercase();
                let hide = HIDDEN.iter().any(|word| small.contains(word)) && !value.is_boolean();
                (name.clone(), if hide { Value::from("***") } else { shown(value) })
            });
            Value::Object(fields.collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(shown).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_has_one_name_and_a_good_one() {
        let mut seen = BTreeSet::new();
        for kind in KINDS {
            let (area, verb) = kind.name.split_once('.').unwrap();
            let word = |w: &str| !w.is_empty() && w.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            assert!(word(area) && word(verb), "{}", kind.name);
            assert!(!kind.about.is_empty() && kind.version > 0);
            for name in kind.formerly.iter().chain([&kind.name]) {
                assert!(seen.insert(*name), "{name} stands twice");
            }
        }
    }

    #[test]
    fn old_names_are_read_and_newer_bodies_passed_over() {
        assert!(is("account_created", &json!({}), ACCOUNT_CREATED));
        assert!(is("account.created", &json!({"v": 1}), ACCOUNT_CREATED));
        assert!(!is("account.created", &json!({"v": 3}), ACCOUNT_CREATED));
        assert!(!is("session.opened", &json!({}), ACCOUNT_CREATED));
        assert_eq!(current("login"), SESSION_OPENED);
        assert_eq!(current("weather.changed"), "weather.changed");
    }

    #[test]
    fn what_is_not_understood_is_kept_for_ever() {
        assert_eq!(keep("weather.changed", &json!({})), Keep::State);
        assert_eq!(keep(SESSION_OPENED, &json!({"v": 2})), Keep::State);
        assert_eq!(keep(SESSION_OPENED, &json!({})), Keep::Term);
        assert_eq!(keep(ACCOUNT_CREATED, &json!({})), Keep::State);
    }

    #[test]
    fn nothing_secret_is_shown() {
        let body = json!({"name": "li", "password": "$argon2id$x", "more": [{"SetupToken": "t", "has_password": true}]});
        let expected =
            json!({"name": "li", "password": "***", "more": [{"SetupToken": "***", "has_password": true}]});
        assert_eq!(shown(&body), expected);
    }
}
