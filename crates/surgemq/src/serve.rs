//! `surgemq serve`: the broker as a program.

mod access;
mod descriptors;
mod limits;
mod memory;
mod room;
mod storage;

use std::{io, net::SocketAddr, process::ExitCode, thread};

use mqtt_server::{BindError, Server, ServerHandle, ShutdownReport, VitalTask};
use tokio::{sync::oneshot, task::JoinSet};

use self::{access::Access, descriptors::Descriptors, storage::Opened};
use crate::{
    cli::{self, ListenAddress, ServeArgs},
    failure::Failure,
    log, private_files, runtime,
    signals::{Ignored, Reload, Stop},
};

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// It could not be started: an address, a file or an option is not what it should be.
pub(crate) fn run(arguments: &ServeArgs) -> Result<ExitCode, Failure> {
    log::start(&arguments.log)?;
    let descriptors = Descriptors::raise();
    private_files::set();
    let workers = arguments.worker_threads.map_or_else(runtime::default_workers, usize::from);
    runtime::block_on(workers, serve(arguments, descriptors))?
}

async fn serve(arguments: &ServeArgs, descriptors: Descriptors) -> Result<ExitCode, Failure> {
    let deaf = |error| Failure::new(format!("cannot listen for signals: {error}"));
    let mut stop = Stop::on_signals().map_err(deaf)?;
    let reload = Reload::on_signals().map_err(deaf)?;
    let ignored = Ignored::on_signals().map_err(deaf)?;
    let access = Access::load(arguments)?;
    let (server, store) = bind(arguments, &access, descriptors).await?;
    let addresses = server.local_addrs().map_err(|error| {
        Failure::new(format!("the operating system does not say where it listens: {error}"))
    })?;
    access::check_exposure(arguments, &addresses)?;
    let bound: Vec<_> = server.listener_names().map(str::to_owned).zip(addresses).collect();
    let listed: Vec<_> = arguments
        .listen
        .iter()
        .flat_map(|given| displays(given, &arguments.listen, &bound))
        .collect();
    // None of these ever ends, unless it panics.
    let mut helpers = JoinSet::new();
    helpers.spawn(reload_on_request(access, reload, server.handle()));
    helpers.spawn(say_what_is_ignored(ignored));
    helpers.spawn(memory::give_back());
    cli::tell(&format_args!("listening on {}", listed.join(", ")));
    let mut lost_helper = false;
    let shutdown = async {
        tokio::select! {
            () = stop.requested() => {}
            _ = helpers.join_next() => lost_helper = true,
        }
    };
    let report = server.run_until(shutdown).await;
    helpers.abort_all();
    store.close().await;
    cli::tell(&format_args!("{}", summary(&report, arguments.storage.in_memory)));
    verdict(report.died, lost_helper)
}

/// An address with the numbers that it is bound to. One of WebSocket may share the socket of another
/// that has another path.
fn displays(
    given: &ListenAddress,
    all: &[ListenAddress],
    bound: &[(String, SocketAddr)],
) -> Vec<String> {
    let shares = |other: &&ListenAddress| {
        let kind = |address: &ListenAddress| address.websocket.is_some();
        (&other.host, other.port, kind(other)) == (&given.host, given.port, kind(given))
    };
    let names = [given].into_iter().chain(all.iter().filter(shares)).map(ToString::to_string);
    let sockets = |name: String| bound.iter().filter(move |(bound, _)| *bound == name);
    let found = names.map(|name| sockets(name).collect::<Vec<_>>()).find(|found| !found.is_empty());
    found.into_iter().flatten().map(|(_, address)| given.display(address)).collect()
}

/// How a process ends that nobody may have told to: not well, if a part panicked without which the
/// broker would only look as if it ran.
fn verdict(died: Option<VitalTask>, lost_helper: bool) -> Result<ExitCode, Failure> {
    let what = match (died, lost_helper) {
        (None, false) => return Ok(ExitCode::SUCCESS),
        (Some(task), _) => task.to_string(),
        (None, true) => "a helper of the program".to_owned(),
    };
    let why = format!("stopped because {what} panicked, see above; start the broker again");
    Err(Failure::new(why))
}

/// Loads the files anew whenever it is asked to. What is wrong with them is said, and then the broker
/// goes on with what it had.
async fn reload_on_request(access: Access, mut reload: Reload, server: ServerHandle) {
    loop {
        reload.requested().await;
        let access = access.clone();
        let outcome = in_a_thread(move || access.reload()).await;
        // Who was removed, or has another password, goes.
        server.identities_changed();
        match outcome {
            Ok(Ok(())) => cli::tell(&format_args!("loaded the files anew")),
            Ok(Err(failures)) => failures.iter().for_each(stays_in_force),
            Err(failure) => stays_in_force(&failure),
        }
    }
}

fn stays_in_force(failure: &Failure) {
    tracing::error!("{failure}; what was loaded before stays in force");
}

/// Reading files holds a thread. Where there is none to be had, that is an error, and not the end of
/// the task that asked.
async fn in_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let (sender, result) = oneshot::channel();
    let thread = thread::Builder::new().name("files".to_owned());
    // The receiver is there until the result is.
    thread
        .spawn(move || drop(sender.send(work())))
        .map_err(|error| Failure::new(format!("cannot start a thread to load files: {error}")))?;
    result.await.map_err(|_| Failure::new("loading the files panicked"))
}

async fn say_what_is_ignored(mut ignored: Ignored) {
    loop {
        let name = ignored.received().await;
        tracing::warn!(
            "{name} means nothing here; SIGHUP loads the files anew, SIGTERM stops the broker"
        );
    }
}

async fn bind(
    arguments: &ServeArgs,
    access: &Access,
    descriptors: Descriptors,
) -> Result<(Server, Opened), Failure> {
    let for_store = if arguments.storage.in_memory { 0 } else { descriptors.for_store() };
    let (mut builder, store) = storage::apply(Server::builder(), &arguments.storage, for_store)?;
    let mut limits = limits::limits(&arguments.limits);
    // What the store has open by now is counted.
    let asked = arguments.limits.max_connections;
    descriptors.cut_connections(&mut limits, asked, arguments.listen.len(), for_store)?;
    builder = access
        .apply(builder.limits(limits))
        .websocket_origins(&arguments.websocket_origin)
        .websocket_paths(&arguments.websocket_path)
        .websocket_takes_any_protocol(arguments.websocket_any_protocol);
    for address in &arguments.listen {
        builder = builder.listen(address.to_string());
    }
    let server = builder.bind().await.map_err(|error| explain(&error, &arguments.listen))?;
    Ok((server, store))
}

/// Says what to do about an address that cannot be had.
fn explain(error: &BindError, listen: &[ListenAddress]) -> Failure {
    let BindError::Listen { source, address } = error else {
        return Failure::new(error.to_string());
    };
    let port = |given: &&ListenAddress| given.to_string() == *address;
    let port = listen.iter().find(port).map(|given| given.port);
    let has_port = |given: &&ListenAddress| port != Some(0) && Some(given.port) == port;
    let remedy = match source.kind() {
        io::ErrorKind::AddrInUse if listen.iter().filter(has_port).count() > 1 => {
            "another --listen or another program has the port: where one address contains the \
             other, as 0.0.0.0 does, leave one out"
        }
        io::ErrorKind::AddrInUse => {
            "another program has the port: end it, or take another port with --listen"
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need privileges: take a higher one with --listen"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine does not have the address: take one of its own, or 0.0.0.0 for all"
        }
        _ => "check the address after --listen",
    };
    Failure::new(format!("{error}; {remedy}"))
}

fn summary(report: &ShutdownReport, in_memory: bool) -> String {
    let fate = if in_memory { "ended with the broker" } else { "are kept" };
    let ShutdownReport { connections, cut, sessions, messages, totals, .. } = report;
    let (published, delivered) = (totals.traffic.published, totals.ledger.delivered);
    let (expired, dropped) = (totals.ledger.expired, totals.ledger.dropped_total());
    format!(
        "stopped: {connections} connections closed, {cut} of them cut; {sessions} sessions with \
         {messages} messages {fate}; {published} messages came in, {delivered} went \
         out, {expired} expired, {dropped} were dropped"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_panicked_is_named_at_the_end() {
        assert!(verdict(None, false).is_ok());
        let failure = verdict(Some(VitalTask::Journal), false).unwrap_err();
        assert_eq!(failure.exit_code(), ExitCode::from(1));
        assert!(failure.to_string().contains("the thread that writes the journal panicked"));
        assert!(verdict(None, true).unwrap_err().to_string().contains("a helper"));
    }

    #[test]
    fn an_address_that_cannot_be_had_is_explained() {
        for (kind, expected) in [
            (io::ErrorKind::AddrInUse, "another program has the port"),
            (io::ErrorKind::PermissionDenied, "need privileges"),
            (io::ErrorKind::AddrNotAvailable, "does not have the address"),
            (io::ErrorKind::Other, "check the address"),
        ] {
            let address = "tcp://127.0.0.1:80".into();
            let error = BindError::Listen { address, source: kind.into() };
            let text = explain(&error, &[]).to_string();
            assert!(text.starts_with("cannot listen on tcp://127.0.0.1:80: "), "{text}");
            assert!(text.contains(expected), "{text}");
        }
    }
}
