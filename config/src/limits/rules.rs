//! Bounds of the rules that make alarms of events.

use std::time::Duration;

/// Seconds of local time ahead of UTC, by which hours of rules and duty are read: China Standard Time, the one time of the
/// whole country, without summer time.
pub const LOCAL_UTC_OFFSET_S: i64 = 8 * 3600;
/// Rules in the book of a node, its centre's included.
pub const RULES_MAX: usize = 500;
/// Characters of the name of a rule.
pub const RULE_NAME_CHARS_MAX: usize = 64;
/// Cameras that a rule names.
pub const RULE_CAMERAS_MAX: usize = 5_000;
/// Codes of places that a rule names.
pub const RULE_AREA_MAX: usize = 500;
/// Stretches of hours of a rule.
pub const RULE_HOURS_MAX: usize = 56;
/// Events that a rule of repetition waits for.
pub const RULE_TIMES_MAX: u32 = 1_000;
/// Longest time of a trigger, in seconds: a week.
pub const RULE_SPAN_S_MAX: u32 = 7 * 86_400;
/// Longest hold-off, and longest time to acknowledge, in seconds: a week.
pub const RULE_HOLD_OFF_S_MAX: u32 = 7 * 86_400;
/// Days for which a rule may hold footage.
pub const RULE_HOLD_DAYS_MAX: u32 = 365;
/// Characters of the name of a fact in the data of events.
pub const RULE_FACT_CHARS_MAX: usize = 64;
/// Causes of all rules together that are told apart; those beyond share one of each rule.
pub const RULES_KEYS_MAX: usize = 20_000;
/// Causes of one camera (or node) that one rule tells apart; those beyond share one of that camera.
pub const RULES_KEYS_PER_PLACE_MAX: u32 = 32;
/// Events that rules of repetition have in view, all together; beyond that they are drawn together.
pub const RULES_WINDOW_MAX: usize = 200_000;
/// Things of one rule that are open and may last too long.
pub const RULES_LASTING_MAX: usize = 20_000;
/// Least time between two counts of one alarm, at first; doubled with each.
pub const RULES_TELL_FIRST: Duration = Duration::from_secs(2);
/// Least time between two counts of one alarm, at last.
pub const RULES_TELL_LAST: Duration = Duration::from_secs(60);
/// How long after an alarm is over its cause is remembered beyond the hold-off, so that events that come late join it.
pub const RULES_LATE: Duration = Duration::from_secs(600);
/// How far behind the clock time-outs are judged: records that are being written come first.
pub const RULES_TICK_BEHIND: Duration = Duration::from_secs(1);
/// How long after a start something that was open before has to be seen again, before it has lasted too long.
pub const RULES_START_GRACE: Duration = Duration::from_secs(60);
/// Records that are judged in one go.
pub const RULES_RECORDS_AT_ONCE_MAX: usize = 256;
/// Records after which the state of the rules is kept for the next start.
pub const RULES_SNAPSHOT_EVERY: u64 = 20_000;
/// How far back a start without such a state looks.
pub const RULES_LOOK_BACK: Duration = Duration::from_secs(86_400);
/// How long to wait before an alarm that could not be noted is tried again.
pub const RULES_RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Alarms on the recorded last day above which a rule is called one that fires always.
pub const RULE_ALARMS_A_DAY_WARN: usize = 200;
/// Range of a try-out by the API: at most.
pub const RULES_TRY_RANGE_MAX: Duration = Duration::from_secs(32 * 86_400);
/// Time that a try-out by the API may take.
pub const RULES_TRY_TIME_MAX: Duration = Duration::from_secs(10);
/// Alarms that a try-out lists; all are counted.
pub const RULES_TRY_LISTED_MAX: usize = 1_000;
/// Try-outs at once on one node.
pub const RULES_TRIES_MAX: usize = 2;
/// How long a try-out lets nothing come before it takes an alarm as dealt with.
pub const RULES_TRY_SETTLED_AFTER: Duration = Duration::from_secs(600);
