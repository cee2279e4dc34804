//! `docs/benchmarks.md` and the plots beside it.

use std::{fmt::Write, fs, path::Path};

use crate::{
    bench::{
        contender::{Contender, OURS},
        report::{
            column::{Unit, columns, format},
            json::{Results, Row},
            plots::{Plot, plots},
            table::{account, advantage, contenders, failure, figure, notes, show_times},
        },
        scenario::Kind,
    },
    failure::Failure,
};

/// The page, with places in braces.
const PAGE: &str = include_str!("page.md");

/// Every kind with the title of its table.
const SECTIONS: [(Kind, &str); 9] = [
    (Kind::Throughput, "Throughput"),
    (Kind::Latency, "Delays at 10,000 messages per second"),
    (Kind::Stuck, "One of twenty subscribers never reads"),
    (Kind::Fairness, "Pings beside a flat-out publisher"),
    (Kind::Idle, "Idle connections"),
    (Kind::Parked, "Sessions whose clients are away"),
    (Kind::Churn, "Connecting and disconnecting"),
    (Kind::Matching, "Many subscriptions"),
    (Kind::Retained, "Many retained messages"),
];

/// Draws the plots into `directory` and says how many there are.
///
/// # Errors
/// Where a file cannot be written.
pub(crate) fn write_plots(results: &Results, directory: &Path) -> Result<Vec<Plot>, Failure> {
    let plots = plots(results);
    for plot in &plots {
        write_file(&directory.join(plot.file), &plot.svg)?;
    }
    Ok(plots)
}

/// Writes the page and its plots below the repository's `root`.
///
/// # Errors
/// Where a file cannot be written.
pub(crate) fn write_docs(results: &Results, root: &Path) -> Result<(), Failure> {
    let plots = write_plots(results, &root.join("docs/img"))?;
    write_file(&root.join("docs/benchmarks.md"), &page(results, &plots))
}

fn write_file(path: &Path, content: &str) -> Result<(), Failure> {
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent)
        .and_then(|()| fs::write(path, content))
        .map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

fn page(results: &Results, plots: &[Plot]) -> String {
    let machine = &results.machine;
    let described = format!(
        "{}, {} cores, {} GiB, Linux {}",
        machine.processor, machine.cores, machine.memory_gib, machine.kernel
    );
    let images = plots.iter().map(|plot| format!("![{}](img/{})", plot.shows, plot.file));
    let rows = results.contenders.iter().map(contender_row);
    let tables: String =
        SECTIONS.iter().map(|(kind, title)| section(results, *kind, title)).collect();
    PAGE.replace("{machine}", &described)
        .replace("{load_average}", &machine.load_average)
        .replace("{clock}", &format(machine.clock_p99_us, Unit::Microseconds))
        .replace("{stolen}", &format(machine.stolen_percent, Unit::Percent))
        .replace("{commit}", &machine.commit)
        .replace("{date}", &date(results.time))
        .replace("{rounds}", &results.rounds.to_string())
        .replace("{once}", once(results))
        .replace("{command}", command(results))
        .replace("{seconds}", &results.seconds.to_string())
        .replace("{contenders}", &rows.collect::<Vec<_>>().join("\n"))
        .replace("{plots}", &images.collect::<Vec<_>>().join("\n\n"))
        .replace("{tables}", &tables)
}

/// What has to be said where some scenarios had fewer rounds than the others.
fn once(results: &Results) -> &'static str {
    let last = |row: &Row| {
        results
            .rows
            .iter()
            .filter(|other| other.scenario == row.scenario)
            .map(|other| other.round)
            .max()
    };
    let is_short = |row: &Row| last(row).is_some_and(|last| last + 1 < results.rounds);
    if results.rows.iter().any(is_short) {
        "; scenarios that fill the broker first ran once"
    } else {
        ""
    }
}

/// What made the run.
fn command(results: &Results) -> &'static str {
    if once(results).is_empty() { "cargo xtask bench" } else { "cargo xtask bench --brief" }
}

/// The program's path is left out: it says nothing to anyone else.
fn contender_row(contender: &Contender) -> String {
    let config = contender.config.as_deref().unwrap_or_default();
    let config: Vec<&str> = config.lines().filter(|line| !line.starts_with("listener")).collect();
    let config =
        if config.is_empty() { String::new() } else { format!(", `{}`", config.join("; ")) };
    format!("| {} | {}{config} |", contender.name, contender.version)
}

fn section(results: &Results, kind: Kind, title: &str) -> String {
    let rows: Vec<&Row> = results.rows.iter().filter(|row| row.kind == kind).collect();
    if rows.is_empty() {
        return String::new();
    }
    let mut text = format!("\n## {title}\n\n| scenario | broker |");
    let compared = || columns(kind).iter().filter(|column| column.compared.is_some());
    let titles = columns(kind).iter().map(|column| column.title.to_owned());
    let ratios = compared().map(|column| format!("× {}", column.title));
    let titles: Vec<String> = titles.chain(["account".to_owned()]).chain(ratios).collect();
    let _ = writeln!(text, " {} |\n|---|---|{}", titles.join(" | "), "--:|".repeat(titles.len()));
    let mut scenarios: Vec<&str> = rows.iter().map(|row| row.scenario.as_str()).collect();
    scenarios.dedup();
    for scenario in scenarios {
        let rows: Vec<Row> =
            rows.iter().filter(|row| row.scenario == scenario).map(|row| (*row).clone()).collect();
        for (index, name) in contenders(&rows).into_iter().enumerate() {
            let scenario = if index == 0 { scenario } else { "" };
            let _ = writeln!(
                text,
                "| {scenario} | {name} | {} |",
                cells(kind, &rows, name).join(" | ")
            );
        }
    }
    text
}

fn cells(kind: Kind, rows: &[Row], name: &str) -> Vec<String> {
    if let Some(failure) = failure(rows, name) {
        return vec![failure.replace('|', "/")];
    }
    let figures = columns(kind).iter().map(|column| figure(column, rows, name).unwrap_or_default());
    let ratios = columns(kind).iter().filter(|column| column.compared.is_some()).map(|column| {
        let advantage = advantage(column, rows, name).filter(|_| name != OURS);
        advantage.map_or_else(String::new, show_times)
    });
    let mut account = account(rows, name);
    for note in notes(rows, name) {
        account.push_str(&format!("; {}", note.replace('|', "/")));
    }
    figures.chain([account]).chain(ratios).collect()
}

/// The day of a time in seconds since 1970, by the calendar's rule of 400 years.
fn date(time: u64) -> String {
    let days = time / 86_400 + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // The year of this reckoning begins in March.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!("{:04}-{month:02}-{day:02}", era * 400 + year_of_era + carry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_told_by_the_calendar() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(951_782_400), "2000-02-29");
        assert_eq!(date(1_795_346_348), "2026-11-22");
    }

    #[test]
    fn every_place_of_the_page_is_filled() {
        let results: Results = serde_json::from_str(
            r#"{"time": 0, "machine": {"processor": "p", "cores": 2, "memory_gib": 1,
                "kernel": "k", "load_average": "0", "commit": "c"}, "rounds": 1, "seconds": 1.0,
                "contenders": [], "rows": []}"#,
        )
        .unwrap();
        let page = page(&results, &[]);
        assert!(page.contains("p, 2 cores, 1 GiB, Linux k"));
        assert_eq!(page.replace("{port}", "").find('{'), None);
    }
}
