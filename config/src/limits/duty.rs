//! Bounds of alarms, incidents and what people do about them.

/// Acts of one matter behind which it takes no more words and papers.
pub const DUTY_MATTER_ACTS_MAX: usize = 1_000;
/// Acts behind those that are still possible, so that it can be brought to its end; then only what ends it.
pub const DUTY_MATTER_ACTS_RESERVE: usize = 200;
/// Bytes of the acts of one matter behind which it takes no more words and papers.
pub const DUTY_MATTER_BYTES_MAX: u64 = 1 << 20;
/// Acts of one matter that a centre takes in from nodes below; nodes that keep to their own bounds stay far below.
pub const DUTY_MATTER_TAKEN_MAX: usize = 8 * DUTY_MATTER_ACTS_MAX;
/// Highest `lamport` that is believed: a matter has one more with each act.
pub const DUTY_LAMPORT_MAX: u64 = 1 << 32;
/// Nodes of which one act says what its maker had seen.
pub const DUTY_SEEN_MAX: usize = 512;
/// Bytes of one act as JSON: it goes up in one frame of the relay.
pub const DUTY_ACT_BYTES_MAX: usize = 48 << 10;
/// Open alarms of one node; what rules find beyond goes into one alarm of each rule.
pub const DUTY_OPEN_ALARMS_MAX: usize = 2_000;
/// Open incidents of one node.
pub const DUTY_OPEN_INCIDENTS_MAX: usize = 1_000;
/// Units, plans and rules of one node, of each.
pub const DUTY_DEFINITIONS_MAX: usize = 2_000;
/// Matters of which acts are here and not the beginning, in all.
pub const DUTY_WAITING_MAX: usize = 1_000;
/// Closed alarms whose acts are kept in memory.
pub const DUTY_CLOSED_ALARMS_MAX: usize = 20_000;
/// Closed and cancelled incidents whose acts are kept in memory.
pub const DUTY_CLOSED_INCIDENTS_MAX: usize = 5_000;
/// Bytes of the acts of closed matters that are kept in memory.
pub const DUTY_CLOSED_BYTES_MAX: u64 = 80 << 20;
/// Matters of which only the facts for reports are left; the oldest beyond are in the journal alone.
pub const DUTY_FACTS_MAX: usize = 150_000;
/// Late acts that are listed; all are counted.
pub const DUTY_LATE_MAX: usize = 200;
/// Bytes of all acts in memory behind which nothing new is opened by people and no words and papers are taken.
pub const DUTY_BOOK_BYTES_MAX: u64 = 128 << 20;
/// Bytes of one message between a centre and a node about acts; what the node lacked is one record of its journal.
pub const DUTY_SAY_BYTES_MAX: usize = 160 << 10;
/// Matters that wait for being told to a node; beyond, everything is compared anew.
pub const DUTY_NEWS_MAX: usize = 1_000;
/// Characters of a name or title.
pub const DUTY_NAME_CHARS_MAX: usize = 120;
/// Characters of a reason, result, order or note beside something.
pub const DUTY_LINE_CHARS_MAX: usize = 1_000;
/// Characters of a text.
pub const DUTY_TEXT_CHARS_MAX: usize = 4_000;
/// Members of a unit, people in charge, kinds of a plan, hours of duty.
pub const DUTY_LIST_MAX: usize = 200;
/// Cameras and places that an incident, unit or rule names.
pub const DUTY_PLACES_MAX: usize = 1_500;
/// Steps of a plan.
pub const DUTY_STEPS_MAX: usize = 100;
/// Answers of one step.
pub const DUTY_ANSWERS_MAX: usize = 12;
/// Bytes of one attachment.
pub const DUTY_ATTACHMENT_BYTES_MAX: u64 = super::ATTACHMENT_BYTES_MAX as u64;
/// Longest span in seconds that a rule counts over or waits for: a week.
pub const DUTY_RULE_SPAN_S_MAX: u32 = 7 * 86_400;
/// Days for which footage around an alarm may be held.
pub const DUTY_HOLD_DAYS_MAX: u32 = 3_650;
/// Matters that are compared with a node at once.
pub const DUTY_COMPARE_MAX: usize = 1_000;
/// Acts that an answer names as known, of all matters that are not the same.
pub const DUTY_HAS_MAX: usize = 8_000;
