//! Being told to stop, or to load files anew; and signals that must not end the broker.

use std::{io, process};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

/// Resolves once SIGINT or SIGTERM has arrived.
///
/// A second signal ends the process at once with 130, so that a shutdown that hangs, or a reader
/// of our output that does not read, can be got rid of.
#[derive(Clone)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Starts to listen; needs a runtime.
    ///
    /// # Errors
    /// The operating system does not let us.
    pub(crate) fn on_signals() -> io::Result<Self> {
        let interrupt = signal(SignalKind::interrupt())?;
        let terminate = signal(SignalKind::terminate())?;
        let (sender, receiver) = watch::channel(false);
        tokio::spawn(listen(interrupt, terminate, sender));
        Ok(Self(receiver))
    }

    /// Waits for the first signal.
    pub(crate) async fn requested(&mut self) {
        if self.0.wait_for(|stop| *stop).await.is_err() {
            // The listener is gone with the runtime: nobody will ever ask.
            std::future::pending::<()>().await;
        }
    }
}

/// Resolves with every SIGHUP.
pub(crate) struct Reload(Signal);

impl Reload {
    /// Starts to listen, so that the signal does not end the process; needs a runtime.
    ///
    /// # Errors
    /// The operating system does not let us.
    pub(crate) fn on_signals() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Waits for the next signal.
    pub(crate) async fn requested(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

/// Signals that would end the process by default, and mean nothing here.
pub(crate) struct Ignored {
    user: [(Signal, &'static str); 2],
    _file_size: Signal,
}

impl Ignored {
    /// Starts to listen, so that these signals do not end the process; needs a runtime.
    ///
    /// # Errors
    /// The operating system does not let us.
    pub(crate) fn on_signals() -> io::Result<Self> {
        let user = [
            (signal(SignalKind::user_defined1())?, "SIGUSR1"),
            (signal(SignalKind::user_defined2())?, "SIGUSR2"),
        ];
        // A write beyond `ulimit -f` fails like one on a full disk instead.
        let file_size = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?;
        Ok(Self { user, _file_size: file_size })
    }

    /// Waits for the next one that somebody sent, and returns its name.
    pub(crate) async fn received(&mut self) -> &'static str {
        let [(one, first), (two, second)] = &mut self.user;
        let (came, name) = tokio::select! {
            came = one.recv() => (came, *first),
            came = two.recv() => (came, *second),
        };
        if came.is_none() {
            std::future::pending::<()>().await;
        }
        name
    }
}

async fn listen(mut interrupt: Signal, mut terminate: Signal, stop: watch::Sender<bool>) {
    next(&mut interrupt, &mut terminate).await;
    stop.send_replace(true);
    next(&mut interrupt, &mut terminate).await;
    process::exit(130);
}

async fn next(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
