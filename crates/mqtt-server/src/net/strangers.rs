//! Connections that were accepted and have not been let in yet.
//!
//! There is room for so many of them. When one more comes, the oldest of the address with the most
//! of them has to go. So whoever fills the room with silent connections pays with those, and a client
//! from elsewhere gets in, however many there are.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    net::SocketAddr,
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::task::AbortHandle;

use crate::net::login_turns::Origin;

/// The room for connections that have not been let in.
pub(crate) struct Strangers {
    max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: u64,
    len: usize,
    /// By age: the first is the oldest.
    by_origin: HashMap<Origin, BTreeMap<u64, Guest>>,
    /// The last is the address with the most of them; among equals, the one with the oldest.
    crowds: BTreeSet<(usize, Reverse<u64>, Origin)>,
}

/// A connection in the room.
struct Guest {
    peer: SocketAddr,
    /// Ends its task; `None` until that is started.
    task: Option<AbortHandle>,
}

/// A place in the room, given back when this is dropped.
pub(crate) struct Stranger {
    room: Arc<Strangers>,
    origin: Origin,
    id: u64,
}

/// Names a place, after the [`Stranger`] has gone to its task.
#[derive(Copy, Clone)]
pub(crate) struct Place {
    origin: Origin,
    id: u64,
}

impl Strangers {
    /// An empty room with `max` places, and at least one.
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max: max.max(1), state: Mutex::default() })
    }

    /// Takes a place. Where there is none, somebody has gone for it, whose address is returned.
    pub(crate) fn enter(self: &Arc<Self>, peer: SocketAddr) -> (Stranger, Option<SocketAddr>) {
        let origin = Origin::of(Some(peer));
        let mut state = self.state.lock();
        let gone = if state.len >= self.max { state.evict() } else { None };
        state.last += 1;
        let id = state.last;
        state.change(origin, |guests| guests.insert(id, Guest { peer, task: None }));
        state.len += 1;
        (Stranger { room: self.clone(), origin, id }, gone)
    }

    /// The task of a connection in the room has been started: this ends it.
    pub(crate) fn set_task(&self, place: Place, task: AbortHandle) {
        let mut state = self.state.lock();
        let guests = state.by_origin.get_mut(&place.origin);
        if let Some(guest) = guests.and_then(|guests| guests.get_mut(&place.id)) {
            guest.task = Some(task);
        }
    }

    /// Ends a connection that was not let in, so that another one fits; `None` if there is none.
    pub(crate) fn evict(&self) -> Option<SocketAddr> {
        self.state.lock().evict()
    }
}

impl State {
    fn evict(&mut self) -> Option<SocketAddr> {
        let (_, Reverse(oldest), origin) = *self.crowds.last()?;
        let guest = self.change(origin, |guests| guests.remove(&oldest))?;
        self.len -= 1;
        if let Some(task) = guest.task {
            task.abort();
        }
        Some(guest.peer)
    }

    /// Changes the connections of one address, and puts it in its place among the crowds.
    fn change<T>(
        &mut self,
        origin: Origin,
        change: impl FnOnce(&mut BTreeMap<u64, Guest>) -> T,
    ) -> T {
        let guests = self.by_origin.entry(origin).or_default();
        let crowd = |guests: &BTreeMap<u64, Guest>| {
            let oldest = guests.first_key_value().map(|(id, _)| *id);
            oldest.map(|oldest| (guests.len(), Reverse(oldest), origin))
        };
        if let Some(before) = crowd(guests) {
            self.crowds.remove(&before);
        }
        let result = change(guests);
        match crowd(guests) {
            Some(after) => drop(self.crowds.insert(after)),
            None => drop(self.by_origin.remove(&origin)),
        }
        result
    }
}

impl Stranger {
    pub(crate) const fn place(&self) -> Place {
        Place { origin: self.origin, id: self.id }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let mut state = self.room.state.lock();
        let left = state.change(self.origin, |guests| guests.remove(&self.id));
        state.len -= usize::from(left.is_some());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, address], port))
    }

    #[test]
    fn who_has_the_most_places_gives_one_up() {
        let room = Strangers::new(4);
        let crowd: Vec<_> = (1..=3).map(|port| room.enter(peer(1, port))).collect();
        assert!(crowd.iter().all(|(_, gone)| gone.is_none()));
        let (honest, gone) = room.enter(peer(2, 1));
        assert_eq!(gone, None);
        // The oldest of the crowd goes, whoever comes.
        let (late, gone) = room.enter(peer(1, 4));
        assert_eq!(gone, Some(peer(1, 1)));
        let (other, gone) = room.enter(peer(3, 1));
        assert_eq!(gone, Some(peer(1, 2)));
        drop((honest, late, other));
        drop(crowd);
        let state = room.state.lock();
        assert_eq!((state.len, state.by_origin.len(), state.crowds.len()), (0, 0, 0));
    }

    #[test]
    fn among_equals_the_oldest_goes() {
        let room = Strangers::new(3);
        let guests: Vec<_> = [7, 9, 8].map(|address| room.enter(peer(address, 1)).0).into();
        assert_eq!(room.enter(peer(1, 1)).1, Some(peer(7, 1)));
        drop(guests);
        assert_eq!(room.evict(), None);
    }

    #[tokio::test]
    async fn the_task_of_who_goes_ends() {
        let room = Strangers::new(1);
        let (stranger, _) = room.enter(peer(1, 1));
        let place = stranger.place();
        let task = tokio::spawn(async move {
            let _stranger = stranger;
            std::future::pending::<()>().await;
        });
        room.set_task(place, task.abort_handle());
        let (_newcomer, gone) = room.enter(peer(2, 1));
        assert_eq!(gone, Some(peer(1, 1)));
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(room.state.lock().len, 1);
    }
}
