//! Frames on their way.

use std::collections::VecDeque;

use fengsui_config::clock::MonoMicros;
use fengsui_config::ids::NodeId;

use crate::frame::Key;
use crate::upward::Priority;

/// One frame on its way.
#[derive(Debug, Clone)]
pub(super) struct Flight {
    pub origin: NodeId,
    pub key: Key,
    pub priority: Priority,
    /// Bytes of the packet.
    pub bytes: usize,
    /// Its size in the count of what waits.
    pub size: u64,
    /// The record of this node's journal that it is in.
    pub record: Key,
    /// The record read before that one.
    pub behind: Key,
    pub at: MonoMicros,
    pub is_published: bool,
    pub is_confirmed: bool,
}

/// All of them, in the order in which they went. One that the centre has confirmed stays until the cursor is behind its
/// record: what is here is what a later life of the node may find under way.
#[derive(Debug, Default)]
pub(super) struct Flights {
    flights: VecDeque<Flight>,
    bytes: usize,
    unacked: usize,
    /// Ticket of the first.
    first: u64,
}

impl Flights {
    pub(super) fn len(&self) -> usize {
        self.flights.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn unacked(&self) -> usize {
        self.unacked
    }

    /// Puts one on its way; gives its ticket.
    pub(super) fn push(&mut self, flight: Flight) -> u64 {
        self.bytes += flight.bytes;
        self.unacked += 1;
        self.flights.push_back(flight);
        self.first + self.flights.len() as u64 - 1
    }

    /// Notes one that the centre has already, until the cursor is behind it.
    pub(super) fn push_confirmed(&mut self, flight: Flight) {
        self.flights.push_back(Flight { bytes: 0, is_published: true, is_confirmed: true, ..flight });
    }

    /// Begins again: what is on its way is not waited for.
    pub(super) fn clear(&mut self) {
        self.first += self.flights.len() as u64;
        self.flights.clear();
        (self.bytes, self.unacked) = (0, 0);
    }

    fn get_mut(&mut self, ticket: u64) -> Option<&mut Flight> {
        let at = usize::try_from(ticket.checked_sub(self.first)?).ok()?;
        self.flights.get_mut(at)
    }

    pub(super) fn published(&mut self, ticket: u64) {
        if let Some(flight) = self.get_mut(ticket)
            && !flight.is_published
        {
            flight.is_published = true;
            let confirmed = flight.is_confirmed;
            self.unacked -= usize::from(!confirmed);
        }
    }

    /// Whether this one is still waited for.
    pub(super) fn is_open(&mut self, ticket: u64) -> bool {
        self.get_mut(ticket).is_some_and(|f| !f.is_published && !f.is_confirmed)
    }

    /// Confirms everything of an origin up to `mark`; gives what was not confirmed before.
    pub(super) fn confirm(&mut self, origin: &NodeId, mark: Key) -> Vec<Flight> {
        let mut new = Vec::new();
        for flight in &mut self.flights {
            if !flight.is_confirmed && flight.key <= mark && flight.origin == *origin {
                flight.is_confirmed = true;
                self.unacked -= usize::from(!flight.is_published);
                new.push(flight.clone());
            }
        }
        new
    }

    /// Whether the first has been confirmed: there is something to move the cursor over.
    pub(super) fn has_confirmed(&self) -> bool {
        self.flights.front().is_some_and(|f| f.is_confirmed)
    }

    /// Record up to which everything is confirmed, when `next` is what the first frame that waits comes behind, and
    /// `head` the record read last.
    pub(super) fn confirmed_up_to(&self, next: Option<Key>, head: Key) -> u64 {
        let open = self.flights.iter().find(|f| !f.is_confirmed).map(|f| f.behind);
        open.or(next).unwrap_or(head).seq
    }

    /// The cursor is at `seq`: forgets what is in records up to there; gives the record at the cursor.
    pub(super) fn acknowledge(&mut self, seq: u64, head: Key, base: Key) -> Key {
        let mut at = base;
        while self.flights.front().is_some_and(|f| f.record.seq <= seq) {
            if let Some(flight) = self.flights.pop_front() {
                self.first += 1;
                self.bytes -= flight.bytes;
                self.unacked -= usize::from(!flight.is_published && !flight.is_confirmed);
                at = flight.record;
            }
        }
        // The cursor may stand at a record behind the frame that left last.
        match self.flights.front() {
            Some(next) if next.behind.seq == seq => next.behind,
            None if head.seq == seq => head,
            _ => at,
        }
    }

    pub(super) fn oldest_unacked(&self) -> Option<MonoMicros> {
        self.flights.iter().find(|f| !f.is_published && !f.is_confirmed).map(|f| f.at)
    }

    pub(super) fn oldest_unconfirmed(&self) -> Option<MonoMicros> {
        self.flights.iter().find(|f| !f.is_confirmed).map(|f| f.at)
    }
}
