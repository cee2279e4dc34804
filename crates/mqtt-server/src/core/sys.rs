//! What the server says about itself under `$SYS`.

use std::sync::atomic::{AtomicU64, Ordering};

use mqtt_packet::QoS;
use mqtt_session::{DropReason, MessageParts, Run, Time};

use super::{
    broker::{Broker, Totals},
    traffic::Traffic,
};

impl Broker {
    /// Publishes the state of the server: one retained message for each value.
    #[cfg(test)]
    pub(crate) fn publish_sys(&self, now: Time) {
        let totals = std::iter::from_fn(|| Some(self.sum_some())).flatten().next();
        for value in self.sys_values(&totals.unwrap_or_default(), now) {
            self.publish_sys_value(&value, now);
        }
    }

    /// Publishes one value.
    pub(crate) fn publish_sys_value(&self, (topic, value): &(String, String), now: Time) {
        let run = Run::from_message(&MessageParts {
            topic: &format!("$SYS/broker/{topic}"),
            payload: value.as_bytes(),
            properties: &[],
            qos: QoS::AtMostOnce,
            retain: true,
            packet_id: None,
            expires_at: None,
        });
        if let Ok(run) = run {
            // No client sent it.
            let mut traffic = Traffic::default();
            self.publish(None, &run, now, &mut traffic);
            self.count(traffic);
        }
    }

    /// All values by their topics, with this sum over all sessions.
    pub(crate) fn sys_values(&self, totals: &Totals, now: Time) -> Vec<(String, String)> {
        let connections = self.connections.load(Ordering::Relaxed);
        let (retained, memory) = (self.retained.count(), self.memory.state());
        let numbers = [
            ("uptime", now.as_millis() / 1000),
            ("clients/connected", self.clients.load(Ordering::Relaxed) as u64),
            ("clients/total", self.registry.len() as u64),
            ("logins/refused", self.logins_refused.load(Ordering::Relaxed)),
            ("connections/count", connections as u64),
            ("connections/total", self.connections_total.load(Ordering::Relaxed)),
            ("connections/panicked", self.connections_panicked.load(Ordering::Relaxed)),
            ("connections/refused", self.refusals.iter().map(|(_, number)| number).sum()),
            ("log/lines left out", self.log_limit.left_out()),
            ("subscriptions/count", self.routing.subscriptions() as u64),
            ("retained messages/count", retained.messages as u64),
            ("retained messages/bytes", retained.bytes as u64),
            ("messages/received", totals.traffic.published),
            ("messages/sent", totals.ledger.delivered),
            ("messages/queued", totals.ledger.held()),
            ("messages/expired", totals.ledger.expired),
            ("messages/unrouted", totals.traffic.unrouted),
            ("messages/denied", totals.traffic.denied),
            ("messages/dropped", totals.ledger.dropped_total()),
            ("bytes/received", totals.traffic.bytes_received),
            ("bytes/sent", totals.traffic.bytes_sent),
            ("sessions/refused", self.registry.quota.refused.load(Ordering::Relaxed)),
            ("sessions/evicted", self.registry.quota.evicted.load(Ordering::Relaxed)),
            ("memory/limit", memory.limit.unwrap_or_default()),
            ("memory/resident", memory.resident),
            ("memory/level", memory.level as u64),
            ("memory/refused", memory.refused),
        ];
        let journal = self.journal.iter().flat_map(|journal| {
            let count = |n: &AtomicU64| n.load(Ordering::Relaxed);
            let (per_second, size) = journal.meter.rates(now);
            [
                ("store/ready", u64::from(journal.is_ready())),
                ("store/commits", count(&journal.meter.groups)),
                ("store/commits/per second", per_second),
                ("store/commits/group size", size),
                ("store/commits/microseconds", count(&journal.meter.commit_micros)),
                ("store/commits/failed", count(&journal.meter.failures)),
            ]
        });
        let numbers = numbers.into_iter().chain(journal);
        let version = concat!("surgemq ", env!("CARGO_PKG_VERSION"));
        let dropped = DropReason::ALL.into_iter().map(|reason| {
            let topic = format!("messages/dropped/{}", reason.name());
            (topic, totals.ledger.dropped(reason).to_string())
        });
        let refused = self.refusals.iter().map(|(reason, number)| {
            (format!("connections/refused/{}", reason.name()), number.to_string())
        });
        let numbers = numbers.map(|(topic, n)| (topic.to_owned(), n.to_string()));
        [("version".to_owned(), version.to_owned())]
            .into_iter()
            .chain(numbers)
            .chain(dropped)
            .chain(refused)
            .collect()
    }
}
