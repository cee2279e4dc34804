//! What an open connection was permitted earlier: messages by rules that have changed since, and the
//! connection itself by a login that is over, because the user was removed or has another password.

use std::sync::{Arc, atomic::Ordering};

use mqtt_auth::{Identity, Standing, Subject};
use mqtt_session::DropReason;

use super::{
    broker::Broker,
    cause::Cause,
    connection::{Connection, Stage},
    login::LoginStamp,
    slot::Slot,
};

impl Broker {
    /// What identities are like, for a login that begins now.
    pub(crate) fn login_stamp(&self) -> LoginStamp {
        // In this order: a change that the generation does not show yet is heard of later.
        let seen = self.identities.load(Ordering::Acquire);
        LoginStamp { seen, generation: self.authenticator.generation() }
    }

    /// Whether nothing has been heard of identities since this stamp.
    pub(crate) fn has_identities_of(&self, stamp: LoginStamp) -> bool {
        self.identities.load(Ordering::Relaxed) == stamp.seen
    }

    /// Whether the authenticator does not stand by an identity any more.
    pub(crate) fn is_over(&self, identity: &Identity, stamp: LoginStamp) -> bool {
        self.authenticator.standing(identity, stamp.generation) == Standing::Over
    }

    /// Whether nobody can log in under an identity any more, whenever it was verified: what is left of
    /// it, such as a will, has no rights.
    pub(crate) fn is_gone(&self, identity: &Identity) -> bool {
        self.authenticator.standing(identity, u64::MAX) == Standing::Over
    }

    /// Identities may have ended: each connection is to look whether its own has, when it is woken.
    /// Returns the sessions to wake.
    pub(crate) fn look_at_identities(&self) -> Vec<Arc<Slot>> {
        self.identities.fetch_add(1, Ordering::Release);
        self.registry.all()
    }

    /// Ends the connections of these clients; returns how many there are.
    pub(crate) fn end_connections(&self, mut is_over: impl FnMut(Subject<'_>) -> bool) -> usize {
        let all = self.registry.all().into_iter();
        let over = all.filter(|slot| !slot.is_local() && is_over(slot.subject()));
        over.filter(|slot| slot.ask_to_leave(Cause::Revoked, None)).count()
    }
}

impl Connection {
    /// Messages that wait for the client's window were permitted by rules that may have changed: they
    /// are asked for again before an acknowledgement lets more of them go.
    pub(super) fn renew_rights(&mut self) {
        let Stage::Open(client) = &mut self.stage else { return };
        let generation = self.broker.authorizer.generation();
        if client.rules == generation || client.opening.is_some() {
            return;
        }
        client.rules = generation;
        let done = self.done.get_or_insert_default();
        let (broker, slot) = (&self.broker, &client.slot);
        self.endpoint.retain_pending(done, DropReason::NotAuthorized, |delivery| {
            delivery.mark == generation || broker.may_deliver(slot, delivery)
        });
    }

    /// Where identities may have ended: why this one has to go, if it is over.
    pub(super) fn poll_standing(&mut self) -> Option<Cause> {
        let Stage::Open(client) = &mut self.stage else { return None };
        if self.broker.has_identities_of(client.stamp) {
            return None;
        }
        client.stamp.seen = self.broker.login_stamp().seen;
        let is_over = self.broker.is_over(&client.slot.identity, client.stamp);
        is_over.then_some(Cause::Revoked)
    }
}
