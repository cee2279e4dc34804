//! Groups F and G: transport and operation.

use crate::harness::prelude::*;
use crate::shared::session;

use super::{BOTH, logs};

pub(super) const TESTS: &[Test] = &[
    test("F01", f01).with(Profile::Abuse).on(BOTH).wide(),
    test("G01", g01).with(Profile::EmptyAcl).on(BOTH),
    test("G10", g10).with(Profile::Password).passive(),
];

/// [F01] 50,000 TCP connects without data, from few addresses.
fn f01(t: &Story) -> Done {
    let mut old = t.client("old")?;
    let mut silent = Vec::new();
    let count = t.scaled(19_000, 1000);
    // 16 KiB for each, before it is known who it is.
    t.costs_at_most(u64::from(count) / 64, || {
        for _ in 0..count {
            match t.open() {
                Ok(peer) => silent.push(peer),
                Err(_) => break,
            }
        }
        old.ping()
    })
}

/// [G01] Empty ACL file; ACL file with only blanks or comments.
fn g01(t: &Story) -> Done {
    let topic = t.topic("a");
    let mut peer = t.client("c")?;
    let _ = peer.subscribe(&topic, 1);
    let mut publisher = t.client("p")?;
    let _ = publisher.publish(Publish::new(&topic, "never").qos(1));
    peer.quiet()
}

/// [G10] Passwords, tokens, payloads in logs, traces, $SYS, admin API.
fn g10(t: &Story) -> Done {
    session::present_flag(t)?;
    for log in logs(t)? {
        let found = log.contains("wonderland") || log.contains("builder");
        ensure!(!found, "a password is in the log");
    }
    Ok(())
}
