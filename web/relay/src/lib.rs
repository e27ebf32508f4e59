//! What nodes say to each other: what goes up from a sub-centre to its centre, over which link, and who a node is.

pub mod budget;
pub mod call;
pub mod central;
#[cfg(test)]
mod city;
pub mod event;
// The form of a figure is the test kit's; campaigns that need what is private here print theirs in the same one.
#[cfg(test)]
#[path = "../../../tests/src/figure.rs"]
mod figure;
pub mod frame;
pub mod identity;
pub mod inbox;
pub mod link;
pub mod outbox;
mod pace;
pub mod picture;
pub mod search;
pub mod standby;
pub mod talk;
pub mod upward;

pub use pace::Now;
