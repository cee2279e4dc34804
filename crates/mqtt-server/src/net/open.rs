//! Opening the sockets that listen.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, lookup_host};

/// So many clients may wait to be accepted; the operating system may know less. When many come at once,
/// as after a restart, those behind are not heard and try again a second later.
const BACKLOG: i32 = 4096;

/// A free port of one address may be taken at another; so many ports are tried.
const PORTS_TRIED: usize = 16;

/// Listens at every address that a place stands for, as far as the machine has it: `HOST:PORT`. All
/// have one port.
///
/// # Errors
/// The machine has none of the addresses, or one of them is taken.
pub(crate) async fn listeners(place: &str) -> io::Result<Vec<TcpListener>> {
    let addresses = addresses(place).await?;
    let mut tried = 1;
    loop {
        match listen_at_all(&addresses) {
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse
                    && addresses.iter().all(|address| address.port() == 0)
                    && tried < PORTS_TRIED =>
            {
                tried += 1;
            }
            opened => return opened,
        }
    }
}

/// The addresses, each once. `localhost` stands for both families, whatever the system's table of
/// hosts has for it.
async fn addresses(place: &str) -> io::Result<Vec<SocketAddr>> {
    let mut found = Vec::new();
    match place.rsplit_once(':') {
        Some((host, port)) if host.eq_ignore_ascii_case("localhost") => {
            let no_port = |_| io::Error::new(io::ErrorKind::InvalidInput, "the port is none");
            let port: u16 = port.parse().map_err(no_port)?;
            found.push((Ipv4Addr::LOCALHOST, port).into());
            found.push((Ipv6Addr::LOCALHOST, port).into());
        }
        _ => {
            for address in lookup_host(place).await? {
                if !found.contains(&address) {
                    found.push(address);
                }
            }
        }
    }
    Ok(found)
}

fn listen_at_all(addresses: &[SocketAddr]) -> io::Result<Vec<TcpListener>> {
    let mut listeners: Vec<TcpListener> = Vec::with_capacity(addresses.len());
    let mut missing = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        let mut address = *address;
        if let (0, Some(first)) = (address.port(), listeners.first()) {
            address.set_port(first.local_addr()?.port());
        }
        match listen_at(address) {
            Ok(listener) => listeners.push(listener),
            Err(error) if is_missing(&error) => missing = error,
            Err(error) => return Err(error),
        }
    }
    if listeners.is_empty() { Err(missing) } else { Ok(listeners) }
}

fn listen_at(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // Otherwise [::] would have the port for IPv4 as well on most systems, and 0.0.0.0 beside it
        // would be taken.
        socket.set_only_v6(true)?;
    }
    // A port whose last connections are still about to end may be used again; on Windows this
    // would mean that two programs may have it at once.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Whether the machine does not have the address, or nothing of its family.
fn is_missing(error: &io::Error) -> bool {
    // `EAFNOSUPPORT` has no kind of its own.
    const NO_FAMILY: i32 = if cfg!(target_os = "linux") { 97 } else { 47 };
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(NO_FAMILY)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn addresses_of(listeners: &[TcpListener]) -> Vec<SocketAddr> {
        listeners.iter().map(|listener| listener.local_addr().unwrap()).collect()
    }

    #[tokio::test]
    async fn localhost_is_both_families_with_one_port() {
        for name in ["localhost:0", "LocalHost:0"] {
            let addresses = addresses_of(&listeners(name).await.unwrap()).await;
            assert!(addresses.iter().all(|address| address.ip().is_loopback()), "{addresses:?}");
            assert!(addresses[0].is_ipv4() && addresses[0].port() != 0);
            if std::net::TcpListener::bind("[::1]:0").is_ok() {
                assert_eq!(addresses.len(), 2);
                assert_eq!(addresses[0].port(), addresses[1].port());
            }
        }
        assert!(listeners("localhost:x").await.is_err());
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_an_error() {
        let first = listeners("localhost:0").await.unwrap();
        let port = first[0].local_addr().unwrap().port();
        let error = listeners(&format!("localhost:{port}")).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
