//! The program over WebSocket.

use crate::harness::Process;

#[test]
fn messages_go_from_tcp_to_websocket_and_back() {
    let mut broker =
        Process::start("serve --listen ws://127.0.0.1:0/broker --listen tcp://127.0.0.1:0");
    let said = broker.wait_for_error_text("\n");
    let (ws, tcp) = said
        .trim()
        .rsplit_once("listening on ")
        .expect("addresses")
        .1
        .split_once(", ")
        .expect("two");
    assert!(ws.starts_with("ws://127.0.0.1:") && ws.ends_with("/broker"), "{ws}");
    for (from, to) in [(ws, tcp), (tcp, ws), (ws, ws)] {
        let mut subscriber = Process::start(&format!("sub -d -C 1 -L {to} -t a"));
        subscriber.wait_for_error_text("subscribed to");
        Process::start(&format!("pub -L {from} -t a -q 2 -m hello")).finish().expect_success();
        let finished = subscriber.finish();
        assert_eq!((finished.code, finished.stdout.as_slice()), (Some(0), b"hello\n".as_slice()));
    }
    let refused = Process::start(&format!("pub -L {} -t a -m x", ws.replace("/broker", "/other")));
    refused.finish().expect_failure(1, "404 Not Found");
    broker.signal("TERM");
    assert_eq!(broker.finish().code, Some(0));
}

#[test]
fn several_paths_may_share_a_port() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let paths = ["a", "b/c"].map(|path| format!("ws://127.0.0.1:{free}/{path}"));
    let line = format!("serve --listen {} --listen {}", paths[0], paths[1]);
    let mut broker = Process::start(&format!("{line} --websocket-path /"));
    let said = broker.wait_for_error_text("\n");
    assert!(said.ends_with(&format!("listening on {}, {}\n", paths[0], paths[1])), "{said}");
    for url in [&paths[0], &format!("{}/", paths[1])] {
        Process::start(&format!("pub -L {url} -t t -m x")).finish().expect_success();
    }
    for (path, status) in [("/", "101"), ("/a", "101"), ("/mqtt", "404")] {
        assert_eq!(upgraded(free, path), status, "{path}");
    }
    broker.signal("TERM");
    assert_eq!(broker.finish().code, Some(0));
}

#[test]
fn without_a_path_clients_that_know_none_come_in() {
    let mut broker = Process::start("serve --listen ws://127.0.0.1:0");
    let said = broker.wait_for_error_text("/mqtt\n");
    let port = said.trim_end().trim_end_matches("/mqtt").rsplit(':').next().unwrap();
    for (path, status) in [("/", "101"), ("/mqtt", "101"), ("/mqtt/", "101"), ("/other", "404")] {
        assert_eq!(upgraded(port.parse().unwrap(), path), status, "{path}");
    }
}

/// The status of the answer to a handshake.
fn upgraded(port: u16, path: &str) -> String {
    use std::io::{Read, Write};
    let mut socket = std::net::TcpStream::connect(("127.0.0.1", port)).expect("a broker");
    socket.set_read_timeout(Some(std::time::Duration::from_secs(30))).expect("a timeout");
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: mqtt\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).expect("a broker that reads");
    let mut head = [0; 12];
    socket.read_exact(&mut head).expect("an answer");
    String::from_utf8_lossy(&head[9..]).into_owned()
}
