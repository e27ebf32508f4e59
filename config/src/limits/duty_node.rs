//! Bounds of the node's side of alarms and incidents.

use std::time::Duration;

/// Alarms of one bulk act.
pub const DUTY_BULK_MAX: usize = 500;
/// Alarms that one incident is opened from.
pub const DUTY_OPENED_FROM_MAX: usize = 100;
/// Cameras that are named when an incident is opened.
pub const DUTY_OPENED_CAMERAS_MAX: usize = 100;
/// Locks under which acts are tried and written; matters share them by the hash of their ids.
pub const DUTY_TURNS: usize = 64;
/// How often at most browsers are told of an alarm that only counts further.
pub const DUTY_COUNTED_INTERVAL: Duration = Duration::from_millis(500);
/// Alarms of which is remembered when browsers were told last that they count further.
pub const DUTY_COUNTED_REMEMBERED_MAX: usize = 4096;
/// How often at most browsers are told how many alarms are open.
pub const DUTY_COUNTS_INTERVAL: Duration = Duration::from_millis(500);
/// How often it is looked which alarms are overdue, and which come back.
pub const DUTY_CLOCK_LOOK: Duration = Duration::from_secs(1);
/// How often it is looked which footage is to be held for alarms.
pub const DUTY_HOLDS_LOOK: Duration = Duration::from_secs(5);
/// Footage held before the first event of an alarm.
pub const DUTY_HOLD_BEFORE: Duration = Duration::from_secs(60);
/// Footage held after its last event.
pub const DUTY_HOLD_AFTER: Duration = Duration::from_secs(300);
/// Holds that are placed, made longer or released at one look.
pub const DUTY_HOLDS_AT_ONCE_MAX: usize = 200;
/// How long before the first event of an alarm one begins to look.
pub const DUTY_LOOK_BEFORE: Duration = Duration::from_secs(10);
/// Cameras beside that of an alarm that are looked at.
pub const DUTY_NEIGHBOURS: usize = 4;
/// Units that are proposed for an incident.
pub const DUTY_NEAR_UNITS: usize = 5;
/// Bytes of one attachment.
pub const ATTACHMENT_BYTES_MAX: usize = 16 << 20;
/// Bytes of all attachments of a node.
pub const ATTACHMENTS_BYTES_MAX: u64 = 16 << 30;
/// Attachments of one incident.
pub const ATTACHMENTS_PER_INCIDENT_MAX: usize = 200;
/// Attachments that are taken in or fetched at once; each is in memory meanwhile.
pub const ATTACHMENTS_AT_ONCE_MAX: usize = 4;
/// Time that the body of an attachment has to come.
pub const ATTACHMENT_TIMEOUT: Duration = Duration::from_secs(120);
/// Characters of the name of an attachment.
pub const ATTACHMENT_NAME_CHARS_MAX: usize = 120;
/// Notices of skipped steps that are listed.
pub const DUTY_NOTICES_MAX: usize = 200;
/// How often a centre looks who is there to be told what others did, when nothing happens.
pub const DUTY_DOWN_LOOK: Duration = Duration::from_secs(1);
/// How often a centre compares all its matters with those of a node that has everything, as far as it knows.
pub const DUTY_DOWN_COMPARE: Duration = Duration::from_secs(600);
/// Pause before a node that did not answer is asked again.
pub const DUTY_DOWN_AGAIN: Duration = Duration::from_secs(2);
/// Pause before a node whose program is older is asked again.
pub const DUTY_DOWN_OLDER_AGAIN: Duration = Duration::from_secs(300);
/// Nodes that get acts at the same time.
pub const DUTY_DOWN_NODES_MAX: usize = 8;
