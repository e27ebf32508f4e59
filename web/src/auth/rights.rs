//! What roles allow. Pure: a right is had or not by the roles alone; whose account it is and whether it is disabled is
//! asked elsewhere.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::accounts::Role;

/// Something that a person may do. Each right includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// To act on alarms and incidents, and to see every camera, live and played back. Rights by area are not there yet.
    Act,
    /// To act on many at once and on behalf of others, and to define rules, plans and units.
    Bulk,
    /// To administer the node.
    Administer,
}

impl Right {
    /// Every right, in the order in which they include each other.
    pub const ALL: [Self; 3] = [Self::Act, Self::Bulk, Self::Administer];

    /// Those that `roles` give; none without a role.
    #[must_use]
    pub fn of(roles: &[Role]) -> Vec<Self> {
        Self::ALL.into_iter().filter(|right| right.is_had(roles)).collect()
    }

    /// True when one of `roles` gives it.
    #[must_use]
    pub fn is_had(self, roles: &[Role]) -> bool {
        roles.iter().any(|role| role.gives(self))
    }

    /// Whom to ask when one lacks it.
    #[must_use]
    pub fn holder(self) -> &'static str {
        match self {
            Self::Act => "an operator, a supervisor or an administrator",
            Self::Bulk => "a supervisor or an administrator",
            Self::Administer => "an administrator",
        }
    }
}

impl Role {
    /// True when it gives `right`.
    #[must_use]
    pub fn gives(self, right: Right) -> bool {
        match self {
            Self::Administrator => true,
            Self::Supervisor => matches!(right, Right::Act | Right::Bulk),
            Self::Operator => matches!(right, Right::Act),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_has_its_rights_and_no_others() {
        assert_eq!(Right::of(&[Role::Operator]), [Right::Act]);
        assert_eq!(Right::of(&[Role::Supervisor]), [Right::Act, Right::Bulk]);
        assert_eq!(Right::of(&[Role::Administrator]), Right::ALL);
        assert_eq!(Right::of(&[Role::Operator, Role::Supervisor]), [Right::Act, Right::Bulk]);
        assert_eq!(Right::of(&[]), []);
    }
}
