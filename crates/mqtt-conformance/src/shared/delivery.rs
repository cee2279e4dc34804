//! Small checks on what subscribers get.

use crate::harness::prelude::*;

/// A QoS 0 PUBLISH holds topic and payload and nothing else.
pub(crate) fn qos_0_has_no_id(t: &Story) -> Done {
    let topic = t.topic("a");
    let mut observer = t.observer("o", &topic)?;
    for payload in [b"".as_slice(), &[0, 1], &[0xFF; 300]] {
        t.tell(Publish::new(&topic, payload))?;
        let got = observer.receive()?;
        same!((got.qos, got.dup), (0, false), "QoS and DUP");
        same!(got.payload, payload, "the payload");
    }
    Ok(())
}

/// A little of everything, so that the passive checks have something to judge.
pub(crate) fn traffic(t: &Story) -> Done {
    let topic = t.topic("traffic");
    let mut observer = t.durable("o")?;
    observer.listen(&topic, 2)?;
    for qos in 0..3 {
        t.tell(Publish::new(&topic, "x").qos(qos))?;
        observer.takes("x")?;
    }
    let mut peer = t.client("c")?;
    peer.release(77)?;
    observer.unsubscribe(&[&topic, &t.topic("unknown")])?;
    observer.ping()?;
    observer.disconnect();
    Ok(())
}

/// Makes traffic, then asks the passive checks about this statement.
pub(crate) fn passive(t: &Story) -> Done {
    traffic(t)?;
    t.passive()
}
