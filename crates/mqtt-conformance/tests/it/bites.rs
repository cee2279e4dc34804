//! Brokers that are wrong in a simple way.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use mqtt_conformance::{Broker, Options, Report, run};

/// A broker that treats each connection like this, on a thread of its own; it lives as long as the
/// test program.
fn broker(treat: fn(TcpStream)) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || treat(stream));
        }
    });
    address
}

/// Accepts every CONNECT, in the form of its version; answers false at the end of the connection.
fn accept(stream: &mut TcpStream) -> bool {
    let mut connect = [0; 512];
    let Ok(length @ 9..) = stream.read(&mut connect) else { return false };
    let is_v5 = connect.get(..length).and_then(|packet| packet.get(8)) == Some(&5);
    let connack: &[u8] = if is_v5 { &[0x20, 3, 0, 0, 0] } else { &[0x20, 2, 0, 0] };
    stream.write_all(connack).is_ok()
}

fn verdicts(address: SocketAddr, filter: &str) -> Report {
    let mut options = Options::new(Broker::Running(address));
    options.filter = Some(filter.to_owned());
    run(&options).unwrap()
}

#[test]
fn a_broker_that_closes_everything_passes_nothing() {
    let address = broker(|mut stream| {
        accept(&mut stream);
        let _ = stream.read(&mut [0; 512]);
    });
    let report = verdicts(address, "MQTT-3.8.1-1");
    assert_eq!(report.rows.len(), 2, "once for 3.1.1, once for 5.0");
    for row in &report.rows {
        assert_eq!(row.verdict(), "fail", "{} {}", row.id, row.version);
    }
    assert!(!report.is_clean());
}

#[test]
fn a_statement_without_its_configuration_is_not_run() {
    let address = broker(|mut stream| {
        accept(&mut stream);
    });
    let report = verdicts(address, "U5-040");
    assert_eq!(report.rows[0].verdict(), "not run");
    assert!(report.rows[0].reason.contains("no-subscription-ids"), "{}", report.rows[0].reason);
    assert!(report.is_clean());
}
