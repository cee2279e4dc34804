//! What went through, as plain numbers.

use std::ops::AddAssign;

/// What came from clients and went to them.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Default)]
pub struct Traffic {
    /// Messages published, by clients and by the server itself.
    pub published: u64,
    /// Of these, messages that nobody was subscribed to.
    pub unrouted: u64,
    /// Of these, messages that their publisher may not publish.
    pub denied: u64,
    /// Copies for receivers that the others became; each is accounted for in a ledger.
    pub copies: u64,
    /// Retained messages that new subscriptions were sent; each is accounted for in a ledger.
    pub replayed: u64,
    /// Bytes read from clients.
    pub bytes_received: u64,
    /// Bytes written to clients.
    pub bytes_sent: u64,
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.published += other.published;
        self.unrouted += other.unrouted;
        self.denied += other.denied;
        self.copies += other.copies;
        self.replayed += other.replayed;
        self.bytes_received += other.bytes_received;
        self.bytes_sent += other.bytes_sent;
    }
}
