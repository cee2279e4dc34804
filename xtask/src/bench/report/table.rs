//! The table on the terminal: one block per scenario, one line per broker.

use crate::bench::{
    contender::OURS,
    load::as_f64,
    report::{
        column::{Better, Column, Unit, columns, format, three_digits},
        json::Row,
    },
    scenario::Kind,
    spec::Measured,
    stats::{Spread, spread},
};

const NAME_WIDTH: usize = 26;
const COLUMN_WIDTH: usize = 11;
const ACCOUNT_WIDTH: usize = 12;
const RATIO_WIDTH: usize = 22;

/// The titles above the blocks of a kind. What follows a × is how many times better this project's
/// broker did than the one of the line.
pub(crate) fn heading(kind: Kind) -> String {
    let mut line = pad_right("", NAME_WIDTH);
    for column in columns(kind) {
        line.push_str(&pad_left(column.title, width(column)));
    }
    line.push_str(&pad_right("  account", ACCOUNT_WIDTH));
    for column in columns(kind).iter().filter(|column| column.compared.is_some()) {
        line.push_str(&pad_right(&format!("  × {}", column.title), RATIO_WIDTH));
    }
    line
}

/// The lines of one scenario: medians over the rounds, the account of all messages, and how many
/// times better this project's broker did in each pair of neighbouring runs.
pub(crate) fn block(kind: Kind, scenario: &str, rows: &[Row]) -> String {
    let mut lines = vec![scenario.to_owned()];
    lines.extend(contenders(rows).into_iter().map(|name| line(kind, name, rows)));
    lines.join("\n")
}

/// The brokers of some rows, in the order of the first round.
pub(crate) fn contenders(rows: &[Row]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for row in rows {
        if !names.contains(&row.contender.as_str()) {
            names.push(&row.contender);
        }
    }
    names
}

/// What one broker measured, round by round.
pub(crate) fn measured<'a>(rows: &'a [Row], name: &str) -> Vec<(u32, &'a Measured)> {
    let rows = rows.iter().filter(|row| row.contender == name);
    rows.filter_map(|row| Some((row.round, row.measured.as_ref()?))).collect()
}

/// The spread of one figure over the rounds.
pub(crate) fn spread_of(column: &Column, rows: &[Row], name: &str) -> Option<Spread> {
    spread(measured(rows, name).iter().filter_map(|(_, row)| (column.value)(row)).collect())
}

/// One figure of a broker as it is shown, if there is one.
pub(crate) fn figure(column: &Column, rows: &[Row], name: &str) -> Option<String> {
    let spread = spread_of(column, rows, name)?;
    Some(match column.unit {
        Unit::Times => show_times(spread),
        unit => format(spread.median, unit),
    })
}

/// How many times better this project's broker did than another, round by round. Above one is
/// better, whichever way the figure goes.
pub(crate) fn advantage(column: &Column, rows: &[Row], other: &str) -> Option<Spread> {
    let better = column.compared?;
    let theirs = measured(rows, other);
    let ratios = measured(rows, OURS).into_iter().filter_map(|(round, ours)| {
        let (_, their) = theirs.iter().find(|(their_round, _)| *their_round == round)?;
        let (ours, their) = ((column.value)(ours)?, (column.value)(their)?);
        Some(if better == Better::Higher { ours / their } else { their / ours })
    });
    spread(ratios.collect())
}

/// Whether the messages add up, over all rounds.
pub(crate) fn account(rows: &[Row], name: &str) -> String {
    let measured = measured(rows, name);
    let sum = |count: fn(&Measured) -> u64| measured.iter().map(|(_, row)| count(row)).sum::<u64>();
    let mut faults = Vec::new();
    let due = as_f64(sum(|row| row.due));
    for (count, what) in
        [(sum(|row| row.missing), "lost"), (sum(|row| row.undrained), "still queued")]
    {
        if count > 0 {
            faults.push(format!("{} % {what}", three_digits(as_f64(count) / due * 100.0)));
        }
    }
    for (count, what) in [
        (sum(|row| row.duplicated), "twice"),
        (sum(|row| row.disordered), "out of order"),
        (sum(|row| row.corrupt), "corrupt"),
    ] {
        if count > 0 {
            faults.push(format!("{count} {what}"));
        }
    }
    match (faults.is_empty(), due > 0.0) {
        (false, _) => faults.join(", "),
        (true, true) => "complete".into(),
        (true, false) => "-".into(),
    }
}

fn line(kind: Kind, name: &str, rows: &[Row]) -> String {
    if let Some(failure) = failure(rows, name) {
        return format!("  {name}: {failure}");
    }
    let mut line = pad_right(&format!("  {name}"), NAME_WIDTH);
    for column in columns(kind) {
        let shown = figure(column, rows, name).unwrap_or_else(|| "-".to_owned());
        line.push_str(&pad_left(&shown, width(column)));
    }
    line.push_str(&pad_right(&format!("  {}", account(rows, name)), ACCOUNT_WIDTH));
    for column in columns(kind) {
        if let Some(spread) = advantage(column, rows, name).filter(|_| name != OURS) {
            line.push_str(&pad_right(&format!("  {}", show_times(spread)), RATIO_WIDTH));
        }
    }
    let mut line = line.trim_end().to_owned();
    for note in notes(rows, name) {
        line.push_str(&format!("  ! {note}"));
    }
    line
}

/// `×2.10 [1.98–2.33]`, or without brackets where there is but one round.
pub(crate) fn show_times(spread: Spread) -> String {
    let [low, median, high] = [spread.low, spread.median, spread.high].map(three_digits);
    if low == high { format!("×{median}") } else { format!("×{median} [{low}–{high}]") }
}

/// Why a broker has no figures, if it has none.
pub(crate) fn failure<'a>(rows: &'a [Row], name: &str) -> Option<&'a str> {
    if !measured(rows, name).is_empty() {
        return None;
    }
    rows.iter().find(|row| row.contender == name)?.failure.as_deref()
}

/// What there is to say beside the figures, each thing once; a failed round is one.
pub(crate) fn notes(rows: &[Row], name: &str) -> Vec<String> {
    let rows = rows.iter().filter(|row| row.contender == name);
    let mut notes: Vec<String> = rows
        .flat_map(|row| {
            let notes = row.measured.iter().flat_map(|measured| measured.notes.clone());
            notes.chain(row.failure.clone())
        })
        .collect();
    notes.sort();
    notes.dedup();
    notes
}

fn width(column: &Column) -> usize {
    let figures = if column.unit == Unit::Times { RATIO_WIDTH } else { COLUMN_WIDTH };
    figures.max(column.title.chars().count() + 2)
}

fn pad_left(text: &str, width: usize) -> String {
    format!("{text:>width$}")
}

fn pad_right(text: &str, width: usize) -> String {
    format!("{text:<width$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(contender: &str, round: u32, out_per_s: f64, missing: u64) -> Row {
        let measured =
            Measured { out_per_s, missing, due: 100, in_per_s: 1.0, ..Measured::default() };
        Row {
            scenario: "s".into(),
            kind: Kind::Throughput,
            contender: contender.into(),
            round,
            measured: Some(measured),
            failure: None,
        }
    }

    #[test]
    fn ratios_pair_the_runs_of_one_round() {
        let rows = [
            row(OURS, 0, 10.0, 0),
            row("other", 0, 5.0, 0),
            row("other", 1, 10.0, 0),
            row(OURS, 1, 40.0, 0),
            row(OURS, 2, 3.0, 0),
        ];
        let out = columns(Kind::Throughput).iter().find(|column| column.title == "out/s").unwrap();
        let spread = advantage(out, &rows, "other").unwrap();
        assert_eq!(spread, Spread { low: 2.0, median: 3.0, high: 4.0 });
    }

    #[test]
    fn a_loss_is_said() {
        let rows = [row("other", 0, 1.0, 0), row("other", 1, 1.0, 3)];
        assert_eq!(account(&rows, "other"), "1.50 % lost");
        assert_eq!(account(&rows[..1], "other"), "complete");
        assert_eq!(account(&[], "other"), "-");
    }
}
