//! Which figures each kind of scenario shows, and which of them are compared.

use crate::bench::{
    load::as_f64,
    scenario::Kind,
    spec::{Latency, Measured},
};

/// One figure of a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    pub(crate) value: fn(&Measured) -> Option<f64>,
    pub(crate) unit: Unit,
    pub(crate) compared: Option<Better>,
}

/// How a figure is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Thousands and millions shortened.
    Count,
    Microseconds,
    Milliseconds,
    Bytes,
    Percent,
    /// A ratio of neighbouring runs; shown with its spread.
    Times,
}

/// Which of two figures wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    Higher,
    Lower,
}

/// The columns of a kind of scenario.
pub(crate) const fn columns(kind: Kind) -> &'static [Column] {
    match kind {
        Kind::Throughput => &[IN, OUT, CPU, BOTH, BROKER_CPU, LOAD_CPU, PEAK],
        Kind::Latency => &[P50, P99, P999, MAX, CPU, LOAD_CPU, LOAD_LATE, PEAK],
        Kind::Stuck => &[IN, OUT, CPU, STALL, BROKER_CPU, LOAD_CPU, PEAK],
        Kind::Fairness => &[P50, P99, P999, MAX, OUT, CPU, LOAD_CPU, PEAK],
        Kind::Idle => &[CONNECTION_BYTES, GIVEN_BACK, IDLE_CPU, CONNECTS, CONNECT_CPU, PEAK],
        Kind::Churn => &[CHURN, CONNECT_CPU, BROKER_CPU, LOAD_CPU, PEAK],
        Kind::Matching => {
            &[OUT, CPU, CPU_OF_FIRST, BROKER_CPU, LOAD_CPU, SUBSCRIPTION_BYTES, SUBSCRIBES, PEAK]
        }
        Kind::Parked => &[
            PARKED_BYTES,
            PARKED_SUBSCRIPTION_BYTES,
            TEN_QUEUED_BYTES,
            QUEUES,
            DISK_BYTES,
            REOPEN,
            REOPENED_BYTES,
            PEAK,
        ],
        Kind::Retained => &[STORES, STORE_CPU, RETAINED_BYTES, RECEIVES, CPU, ALL, TEN, PEAK],
    }
}

const IN: Column = plain("in/s", Unit::Count, |row| Some(row.in_per_s));
const OUT: Column = compared("out/s", Unit::Count, Better::Higher, |row| Some(row.out_per_s));
const CPU: Column =
    compared("CPU/msg", Unit::Microseconds, Better::Lower, |row| Some(row.cpu_us_per_message));
const BOTH: Column = compared("both/msg", Unit::Microseconds, Better::Lower, |row| {
    Some((row.broker_cpu + row.load_cpu) * 1e6 / (row.in_per_s + row.out_per_s))
});
const BROKER_CPU: Column = plain("broker", Unit::Percent, |row| Some(row.broker_cpu * 100.0));
const LOAD_CPU: Column = plain("load", Unit::Percent, |row| Some(row.load_cpu * 100.0));
const PEAK: Column =
    plain("peak RSS", Unit::Bytes, |row| Some(as_f64(row.peak_rss_kib.saturating_mul(1024))));

const P50: Column =
    compared("p50", Unit::Microseconds, Better::Lower, |row| Some(latency(row)?.p50));
const P99: Column =
    compared("p99", Unit::Microseconds, Better::Lower, |row| Some(latency(row)?.p99));
const P999: Column = plain("p99.9", Unit::Microseconds, |row| Some(latency(row)?.p999));
const MAX: Column = plain("max", Unit::Microseconds, |row| Some(latency(row)?.max));
const LOAD_LATE: Column =
    plain("load late", Unit::Microseconds, |row| figure(row, "load_late_max_us"));

const STALL: Column = plain("longest stall", Unit::Milliseconds, |row| figure(row, "stall_max_ms"));

const CONNECTION_BYTES: Column = compared("per connection", Unit::Bytes, Better::Lower, |row| {
    figure(row, "bytes_per_connection")
});
const GIVEN_BACK: Column =
    plain("given back", Unit::Percent, |row| figure(row, "given_back_percent"));
const IDLE_CPU: Column = plain("idle CPU", Unit::Percent, |row| figure(row, "idle_cpu_percent"));
const CONNECTS: Column = plain("connects/s", Unit::Count, |row| Some(row.in_per_s));
const CONNECT_CPU: Column =
    compared("CPU/connect", Unit::Microseconds, Better::Lower, |row| Some(row.cpu_us_per_message));
const CHURN: Column = compared("connects/s", Unit::Count, Better::Higher, |row| Some(row.in_per_s));

const SUBSCRIPTION_BYTES: Column =
    compared("per subscription", Unit::Bytes, Better::Lower, |row| {
        figure(row, "bytes_per_subscription")
    });
const CPU_OF_FIRST: Column =
    plain("of 1,000's CPU", Unit::Times, |row| figure(row, "cpu_of_first"));
const SUBSCRIBES: Column =
    plain("subscribes/s", Unit::Count, |row| figure(row, "subscribes_per_s"));

const PARKED_BYTES: Column =
    compared("per session", Unit::Bytes, Better::Lower, |row| figure(row, "bytes_per_parked"));
const PARKED_SUBSCRIPTION_BYTES: Column =
    plain("per subscription", Unit::Bytes, |row| figure(row, "bytes_per_subscription"));
const TEN_QUEUED_BYTES: Column = compared("per ten messages", Unit::Bytes, Better::Lower, |row| {
    figure(row, "bytes_per_ten_queued")
});
const QUEUES: Column = plain("queued/s", Unit::Count, |row| figure(row, "queued_per_s"));
const DISK_BYTES: Column =
    plain("on the disk", Unit::Bytes, |row| figure(row, "disk_bytes_per_parked"));
const REOPEN: Column = plain("reopened in", Unit::Milliseconds, |row| figure(row, "reopen_ms"));
const REOPENED_BYTES: Column =
    plain("per session then", Unit::Bytes, |row| figure(row, "bytes_per_reopened"));

const STORES: Column = plain("stored/s", Unit::Count, |row| Some(row.in_per_s));
const STORE_CPU: Column =
    plain("CPU/stored", Unit::Microseconds, |row| figure(row, "store_cpu_us"));
const RETAINED_BYTES: Column =
    plain("per retained", Unit::Bytes, |row| figure(row, "bytes_per_retained"));
const RECEIVES: Column = compared("sent/s", Unit::Count, Better::Higher, |row| Some(row.out_per_s));
const ALL: Column = plain("all", Unit::Milliseconds, |row| figure(row, "all_ms"));
const TEN: Column =
    compared("ten of them", Unit::Milliseconds, Better::Lower, |row| figure(row, "ten_ms"));

const fn plain(title: &'static str, unit: Unit, value: fn(&Measured) -> Option<f64>) -> Column {
    Column { title, value, unit, compared: None }
}

const fn compared(
    title: &'static str,
    unit: Unit,
    better: Better,
    value: fn(&Measured) -> Option<f64>,
) -> Column {
    Column { title, value, unit, compared: Some(better) }
}

fn latency(row: &Measured) -> Option<&Latency> {
    row.latency.as_ref()
}

fn figure(row: &Measured, name: &str) -> Option<f64> {
    row.figures.get(name).copied()
}

/// Writes a figure in its unit, with three significant digits.
pub(crate) fn format(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Count => scaled(value, &[(1e6, " M"), (1e3, " k"), (1.0, "")]),
        Unit::Microseconds => {
            scaled(value, &[(1e6, " s"), (1e3, " ms"), (1.0, " µs"), (0.0, " µs")])
        }
        Unit::Milliseconds => scaled(value, &[(1e3, " s"), (1.0, " ms"), (0.0, " ms")]),
        Unit::Bytes => scaled(
            value,
            &[(1_073_741_824.0, " GiB"), (1_048_576.0, " MiB"), (1024.0, " KiB"), (1.0, " B")],
        ),
        Unit::Percent => format!("{value:.0} %"),
        Unit::Times => format!("×{}", three_digits(value)),
    }
}

/// Writes a round figure in its unit, without the zeros behind the point.
pub(crate) fn tick_label(value: f64, unit: Unit) -> String {
    let text = format(value, unit);
    let (number, name) = text.split_once(' ').unwrap_or((&text, ""));
    let number = match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => number,
    };
    format!("{number} {name}").trim_end().to_owned()
}

/// Picks the first unit that the value fills.
fn scaled(value: f64, units: &[(f64, &str)]) -> String {
    let unit = units.iter().find(|(size, _)| value.abs() >= *size).or(units.last());
    let Some((size, name)) = unit else { return three_digits(value) };
    let size = if *size > 0.0 { *size } else { 1.0 };
    format!("{}{name}", three_digits(value / size))
}

pub(crate) fn three_digits(value: f64) -> String {
    match value.abs() {
        v if v >= 99.95 || v == 0.0 => format!("{value:.0}"),
        v if v >= 9.995 => format!("{value:.1}"),
        v if v >= 0.9995 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_three_digits() {
        let shown = |value, unit| format(value, unit);
        assert_eq!(shown(12_345_678.0, Unit::Count), "12.3 M");
        assert_eq!(shown(0.0312, Unit::Microseconds), "0.031 µs");
        assert_eq!(shown(1534.0, Unit::Microseconds), "1.53 ms");
        assert_eq!(shown(1536.0, Unit::Bytes), "1.50 KiB");
        assert_eq!(shown(0.0, Unit::Count), "0");
    }

    #[test]
    fn ticks_are_short() {
        assert_eq!(tick_label(10_000.0, Unit::Count), "10 k");
        assert_eq!(tick_label(0.01, Unit::Microseconds), "0.01 µs");
        assert_eq!(tick_label(100.0, Unit::Count), "100");
    }
}
