//! The subjects of a node. A node's name has no `.`, so each is one word of a subject.

use fengsui_config::ids::NodeId;

/// Stream of upward frames.
pub const STREAM: &str = "FENGSUI_UP";
/// What the stream takes in: one subject per sender.
pub const STREAM_SUBJECTS: &str = "fengsui.up.*";
/// The centre's durable consumer of what one node sends.
#[must_use]
pub fn consumer(sender: &NodeId) -> String {
    format!("centre-{sender}")
}

/// The subjects of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subjects {
    node: NodeId,
}

impl Subjects {
    /// Those of `node`.
    #[must_use]
    pub fn of(node: &NodeId) -> Self {
        Self { node: node.clone() }
    }

    /// Frames, durable: into the stream.
    #[must_use]
    pub fn up(&self) -> String {
        format!("fengsui.up.{}", self.node)
    }

    /// Alarms at once, a request without a stream.
    #[must_use]
    pub fn now(&self) -> String {
        format!("fengsui.now.{}", self.node)
    }

    /// The node asks where the centre is.
    #[must_use]
    pub fn position(&self) -> String {
        format!("fengsui.where.{}", self.node)
    }

    /// The node says that it is there.
    #[must_use]
    pub fn presence(&self) -> String {
        format!("fengsui.presence.{}", self.node)
    }

    /// The centre confirms what its own journal holds.
    #[must_use]
    pub fn confirm(&self) -> String {
        format!("fengsui.confirm.{}", self.node)
    }

    /// One kind of command of the centre; `verb` is one word.
    #[must_use]
    pub fn command(&self, verb: &str) -> String {
        format!("fengsui.command.{}.{verb}", self.node)
    }

    /// All commands of the centre.
    #[must_use]
    pub fn commands(&self) -> String {
        self.command(">")
    }

    /// Before the inbox of each of its requests.
    #[must_use]
    pub fn inbox_prefix(&self) -> String {
        format!("_INBOX_{}", self.node)
    }

    /// What the servers let the node publish, beside answers to requests that it got.
    #[must_use]
    pub fn node_publishes(&self) -> Vec<String> {
        vec![self.up(), self.now(), self.position(), self.presence()]
    }

    /// What the servers let the node subscribe.
    #[must_use]
    pub fn node_subscribes(&self) -> Vec<String> {
        vec![self.confirm(), self.commands(), format!("{}.>", self.inbox_prefix())]
    }
}

/// The node that may publish on a subject: the last word of `fengsui.<up|now|where|presence>.<node>`. The servers let no
/// other node send on it, so this is the sender.
#[must_use]
pub fn sender(subject: &str) -> Option<NodeId> {
    let rest = subject.strip_prefix("fengsui.")?;
    let (noun, node) = rest.split_once('.')?;
    if !matches!(noun, "up" | "now" | "where" | "presence") {
        return None;
    }
    node.parse().ok()
}

/// Whether an answer may go to `reply` when the question came on `subject`: of a node only to its own inbox. Otherwise a
/// node could have the centre speak on any subject by naming it as its own inbox.
#[must_use]
pub fn may_answer(subject: &str, reply: &str) -> bool {
    sender(subject).is_none_or(|node| {
        reply.strip_prefix(&Subjects::of(&node).inbox_prefix()).is_some_and(|rest| rest.starts_with('.'))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_sender_is_read_from_the_subject_and_answers_go_to_its_own_inbox() {
        let east = Subjects::of(&"east".parse().unwrap());
        for subject in east.node_publishes() {
            assert_eq!(sender(&subject).unwrap().as_str(), "east", "{subject}");
        }
        for other in ["fengsui.up.", "fengsui.up.a.b", "fengsui.confirm.east", "x.up.east", "fengsui.up.EAST"]
        {
            assert_eq!(sender(other), None, "{other}");
        }
        assert!(may_answer(&east.now(), "_INBOX_east.abc"));
        for stranger in
            ["_INBOX_east2.abc", "fengsui.confirm.west", "$JS.API.STREAM.DELETE.FENGSUI_UP", "_INBOX_east"]
        {
            assert!(!may_answer(&east.now(), stranger), "{stranger}");
        }
        assert!(
            may_answer(&east.command("ptz"), "_INBOX_centre.abc"),
            "the centre is asked by whoever it let in"
        );
    }
}
