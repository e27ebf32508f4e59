//! What an event can be, and how much it matters.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! event_kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)*) => {
        /// What happened. The texts are part of the journal and of the API.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum EventKind {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl EventKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word used in the journal and the API.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

event_kinds! {
    /// A camera plays again.
    CameraOnline = "camera.online";
    /// A camera does not answer, refuses, or sends nothing that can be used.
    CameraOffline = "camera.offline";
    /// A camera's session lives and brings nothing.
    CameraStalled = "camera.stalled";
    /// A stream that is due does not reach the disk.
    CameraGapOpened = "camera.gap_opened";
    /// It does again.
    CameraGapClosed = "camera.gap_closed";
    /// A camera's clock is off, or right again.
    CameraClockOffset = "camera.clock_offset";
    /// Pictures of a camera are lost on the way, or the picture itself is (signal, blur, cover), as a device tells.
    CameraPictureLost = "camera.picture_lost";
    /// A volume changed its state.
    StorageVolume = "storage.volume";
    /// Pictures came faster than volumes took them, and some are lost.
    StorageSlow = "storage.slow";
    /// The journal could not be written, or was found changed or cut.
    NodeJournal = "node.journal";
    /// The node signs with another key than before.
    NodeKey = "node.key";
    /// The node started.
    NodeStarted = "node.started";
    /// The node stopped in good order.
    NodeStopped = "node.stopped";
    /// A node below this one is heard again.
    NodeOnline = "node.online";
    /// A node below this one is not heard any more.
    NodeOffline = "node.offline";
    /// Cameras of a node that is gone are recorded by others.
    StandbyTaken = "standby.taken";
    /// They are left to their node again.
    StandbyReleased = "standby.released";
    /// What others recorded meanwhile is at their node as well, or as much of it as could be.
    StandbyReturned = "standby.returned";
    /// An input of a device: a door, a button, an analysis.
    DeviceInput = "device.input";
    /// What an operator marked on a camera.
    OperatorMark = "operator.mark";
}

impl EventKind {
    /// Kinds that a token may be given: what is seen from outside. The others are the node's own to tell.
    pub const FROM_OUTSIDE: [Self; 2] = [Self::DeviceInput, Self::CameraPictureLost];
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that stands for nothing here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotKnown;

impl FromStr for EventKind {
    type Err = NotKnown;
    fn from_str(s: &str) -> Result<Self, NotKnown> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == s).ok_or(NotKnown)
    }
}

/// How much an event matters. A link that is behind sends alarms first; a spool that is full passes over low ones first
/// and alarms never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Good to know.
    Low,
    /// To be looked at.
    #[default]
    Normal,
    /// Somebody must judge it now.
    Alarm,
}

impl Priority {
    /// Every priority, the lowest first.
    pub const ALL: [Self; 3] = [Self::Low, Self::Normal, Self::Alarm];

    /// The word used in the journal and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::Alarm => "alarm",
        }
    }
}

impl FromStr for Priority {
    type Err = NotKnown;
    fn from_str(s: &str) -> Result<Self, NotKnown> {
        Self::ALL.into_iter().find(|p| p.as_str() == s).ok_or(NotKnown)
    }
}

/// What an event does to its cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It begins, and lasts until it is closed.
    Opens,
    /// It is over.
    Closes,
    /// It happened, and does not last.
    #[default]
    Point,
}

impl Phase {
    /// The word used in the journal.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opens => "opens",
            Self::Closes => "closes",
            Self::Point => "point",
        }
    }
}

impl FromStr for Phase {
    type Err = NotKnown;
    fn from_str(s: &str) -> Result<Self, NotKnown> {
        [Self::Opens, Self::Closes, Self::Point].into_iter().find(|p| p.as_str() == s).ok_or(NotKnown)
    }
}
