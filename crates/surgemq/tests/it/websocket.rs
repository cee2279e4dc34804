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
