//! Connections whose identity is over: the user was removed, or has another password.

use std::sync::{Arc, atomic::Ordering};

use mqtt_auth::{Identity, Standing, Subject};

use super::{broker::Broker, cause::Cause, login::LoginStamp, slot::Slot};

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
