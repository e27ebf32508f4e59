//! From event to disposal: an event becomes an alarm that somebody must judge, an alarm an incident that somebody handles.
//!
//! Everything that people, rules and time do is an [`act::Act`] on a *matter* (an alarm, an incident, a unit, a plan, a rule,
//! the shift of a node). Acts are records of the journal (`duty.acted`); each node has those it made and those that others
//! made and that came over the link. What a matter is, is a pure function of the *set* of its acts ([`ledger::Ledger`]): they
//! have one order everywhere, each is tried in that order, and one that is not possible any more where it stands is a
//! conflict that people see. So two nodes that were apart come to the same state as soon as they have the same acts, and
//! nothing that anybody did is lost.
//!
//! Everything here is pure: times are arguments, and nothing is read or sent.

pub mod act;
pub mod alarm;
pub mod book;
pub mod check;
pub mod define;
pub mod fact;
// The form of a figure is the test kit's; campaigns that need what is private here print theirs in the same one.
#[cfg(test)]
#[path = "../../../tests/src/figure.rs"]
mod figure;
pub mod incident;
pub mod ledger;
pub mod near;
pub mod outward;
pub mod report;
pub mod rules;
#[cfg(test)]
mod sim;
pub mod sync;
