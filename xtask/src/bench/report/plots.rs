//! The plots of a run: which figures go into which chart.

use crate::bench::{
    contender::{FLOOR, OURS},
    report::{
        axis::Scale,
        chart::{Axes, CurvePanel, Group, GroupPanel, Head, bars, curves, dots},
        column::{Column, Unit, columns, tick_label},
        json::{Results, Row},
        table::{contenders, measured, spread_of},
    },
    scenario::Kind,
    stats::spread,
};

/// A plot: the name of its file, what it shows, and the drawing.
#[derive(Debug)]
pub(crate) struct Plot {
    pub(crate) file: &'static str,
    pub(crate) shows: &'static str,
    pub(crate) svg: String,
}

/// Draws what the run has figures for.
pub(crate) fn plots(results: &Results) -> Vec<Plot> {
    let all =
        [throughput(results), cost(results), latency(results), idle(results), matching(results)];
    all.into_iter().flatten().collect()
}

fn throughput(results: &Results) -> Option<Plot> {
    let panels = flow_panels(results, "out/s");
    let head = head(results, Kind::Throughput, "Messages delivered per second", "more is better");
    (!panels.is_empty()).then(|| Plot {
        file: "bench-throughput.svg",
        shows: "Messages delivered per second",
        svg: bars(&head, &panels, Unit::Count),
    })
}

fn cost(results: &Results) -> Option<Plot> {
    let panels = flow_panels(results, "CPU/msg");
    let title = "Broker CPU per message, in or out";
    let head = head(results, Kind::Throughput, title, "less is better; the axis is logarithmic");
    (!panels.is_empty()).then(|| Plot {
        file: "bench-cost.svg",
        shows: "Broker CPU per message",
        svg: dots(&head, &panels, Unit::Microseconds),
    })
}

/// One panel per QoS and payload, one group per shape.
fn flow_panels(results: &Results, title: &str) -> Vec<GroupPanel> {
    let Some(column) = column(Kind::Throughput, title) else { return Vec::new() };
    let mut panels: Vec<GroupPanel> = Vec::new();
    for scenario in ids(results, Kind::Throughput) {
        let parts: Vec<&str> = scenario.split('/').collect();
        let [shape, qos, payload, "3.1.1"] = parts.as_slice() else { continue };
        let title = format!("QoS {}, {payload}", qos.trim_start_matches('q'));
        let rows = rows_of(results, scenario);
        let names = contenders(&rows);
        let values = names
            .into_iter()
            .filter_map(|name| Some((series(results, name), spread_of(column, &rows, name)?)));
        let mut values: Vec<_> = values.collect();
        values.sort_by_key(|(series, _)| *series);
        let group = Group { label: (*shape).to_owned(), values };
        match panels.iter_mut().find(|panel| panel.title == title) {
            Some(panel) => panel.groups.push(group),
            None => panels.push(GroupPanel { title, groups: vec![group] }),
        }
    }
    panels
}

fn latency(results: &Results) -> Option<Plot> {
    let panel = |scenario: &str| CurvePanel {
        title: latency_title(scenario),
        x_title: "percentile".into(),
        curves: curves_of(results, scenario, |row| {
            let curve = row.latency.iter().flat_map(|latency| latency.curve.iter().copied());
            curve.filter(|(percentile, _)| *percentile < 99.999).collect()
        }),
    };
    let scenarios = ids(results, Kind::Latency).into_iter().filter(|id| id.ends_with("3.1.1"));
    let panels: Vec<_> = scenarios.take(2).map(panel).collect();
    let title = "Delay at 10,000 messages per second";
    let subtitle = "20 pairs, 64 B, sent by the clock: a message that had to wait to be sent counts \
                    from when it was due";
    let axes = Axes {
        x: Scale::Nines,
        x_label: |percentile| format!("p{percentile}"),
        y: Scale::Log,
        y_unit: Unit::Microseconds,
    };
    let head = head(results, Kind::Latency, title, subtitle);
    (!panels.is_empty()).then(|| Plot {
        file: "bench-latency.svg",
        shows: "Delay by percentile at 10,000 messages per second",
        svg: curves(&head, &panels, axes),
    })
}

fn idle(results: &Results) -> Option<Plot> {
    let scenario = ids(results, Kind::Idle).into_iter().next()?;
    let panel = CurvePanel {
        title: "Growth of resident memory".into(),
        x_title: "idle connections, one subscription each".into(),
        curves: curves_of(results, scenario, |row| row.points.clone()),
    };
    let axes = Axes {
        x: Scale::Linear,
        x_label: |connections| tick_label(connections, Unit::Count),
        y: Scale::Binary,
        y_unit: Unit::Bytes,
    };
    let subtitle = "the broker's process, without what the kernel holds for its sockets";
    let head = head(results, Kind::Idle, "Memory against connections", subtitle);
    Some(Plot {
        file: "bench-idle.svg",
        shows: "Memory against idle connections",
        svg: curves(&head, &[panel], axes),
    })
}

fn matching(results: &Results) -> Option<Plot> {
    let column = column(Kind::Matching, "CPU/msg")?;
    let names = ["exact", "plus", "hash"];
    let titles = ["No wildcard", "One +", "A # at the end"];
    let panels: Vec<CurvePanel> = names
        .into_iter()
        .zip(titles)
        .map(|(name, title)| CurvePanel {
            title: title.into(),
            x_title: "subscriptions".into(),
            curves: matching_curves(results, name, column),
        })
        .filter(|panel| panel.curves.iter().any(|(_, points)| points.len() > 1))
        .collect();
    let axes = Axes {
        x: Scale::Log,
        x_label: |subscriptions| tick_label(subscriptions, Unit::Count),
        y: Scale::Log,
        y_unit: Unit::Microseconds,
    };
    let subtitle = "broker CPU per message; up to 20,000 topics in turn, each with one subscriber";
    let head = head(results, Kind::Matching, "Cost against subscriptions", subtitle);
    (!panels.is_empty()).then(|| Plot {
        file: "bench-matching.svg",
        shows: "Broker CPU per message against the number of subscriptions",
        svg: curves(&head, &panels, axes),
    })
}

fn matching_curves(
    results: &Results,
    filter: &str,
    column: &Column,
) -> Vec<(usize, Vec<(f64, f64)>)> {
    let prefix = format!("matching/{filter}/");
    let mut found: Vec<(usize, Vec<(f64, f64)>)> = Vec::new();
    for scenario in ids(results, Kind::Matching) {
        let Some(Ok(size)) = scenario.strip_prefix(&prefix).map(str::parse::<f64>) else {
            continue;
        };
        let rows = rows_of(results, scenario);
        for name in contenders(&rows) {
            let Some(spread) = spread_of(column, &rows, name) else { continue };
            let series = series(results, name);
            match found.iter_mut().find(|(known, _)| *known == series) {
                Some((_, points)) => points.push((size, spread.median)),
                None => found.push((series, vec![(size, spread.median)])),
            }
        }
    }
    found
}

/// A curve per broker whose points are the medians over the rounds.
fn curves_of(
    results: &Results,
    scenario: &str,
    points: impl Fn(&crate::bench::spec::Measured) -> Vec<(f64, f64)>,
) -> Vec<(usize, Vec<(f64, f64)>)> {
    let rows = rows_of(results, scenario);
    let curve = |name: &str| {
        let rounds: Vec<_> = measured(&rows, name).iter().map(|(_, row)| points(row)).collect();
        let first = rounds.first().cloned().unwrap_or_default();
        let medians = first.iter().enumerate().filter_map(|(index, (x, _))| {
            let values = rounds.iter().filter_map(|round| Some(round.get(index)?.1));
            Some((*x, spread(values.collect())?.median))
        });
        (series(results, name), medians.collect())
    };
    contenders(&rows).into_iter().map(curve).collect()
}

fn head(results: &Results, kind: Kind, title: &str, subtitle: &str) -> Head {
    let present = |name: &str| {
        results
            .rows
            .iter()
            .any(|row| row.kind == kind && row.contender == name && row.measured.is_some())
    };
    let mut series: Vec<_> = results
        .contenders
        .iter()
        .filter(|contender| present(&contender.name))
        .map(|contender| (series(results, &contender.name), contender.name.clone()))
        .collect();
    series.sort();
    Head { title: title.into(), subtitle: subtitle.into(), series }
}

/// The number of a broker's colour: this project's and the floor's are always the same.
fn series(results: &Results, name: &str) -> usize {
    let is_other = |other: &&str| *other != OURS && *other != FLOOR;
    let names = results.contenders.iter().map(|contender| contender.name.as_str());
    match name {
        OURS => 0,
        FLOOR => 1,
        _ => names.filter(is_other).position(|other| other == name).unwrap_or(0) + 2,
    }
}

fn ids(results: &Results, kind: Kind) -> Vec<&str> {
    let mut ids: Vec<&str> = Vec::new();
    for row in results.rows.iter().filter(|row| row.kind == kind) {
        if !ids.contains(&row.scenario.as_str()) {
            ids.push(&row.scenario);
        }
    }
    ids
}

fn rows_of(results: &Results, scenario: &str) -> Vec<Row> {
    results.rows.iter().filter(|row| row.scenario == scenario).cloned().collect()
}

fn column(kind: Kind, title: &str) -> Option<&'static Column> {
    columns(kind).iter().find(|column| column.title == title)
}

fn latency_title(scenario: &str) -> String {
    let qos = scenario.split('/').find_map(|part| part.strip_prefix('q'));
    format!("QoS {}", qos.unwrap_or("0"))
}
