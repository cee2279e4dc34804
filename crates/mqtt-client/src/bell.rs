//! How the readers of streams wake the connection's task.

use std::{
    sync::{Mutex, PoisonError},
    task::{Context, Waker},
};

/// Wakes the task that listened last.
#[derive(Debug, Default)]
pub(crate) struct Bell(Mutex<Option<Waker>>);

impl Bell {
    /// The task wants to be woken by the next ring. What it waits for is looked at after this.
    pub(crate) fn listen(&self, cx: &Context<'_>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
    }

    pub(crate) fn ring(&self) {
        let waker = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
