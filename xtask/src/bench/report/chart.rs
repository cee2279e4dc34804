//! Charts of several panels that share a title and a legend: bars, dots, curves.

use crate::bench::{
    report::{
        axis::{Axis, Scale},
        column::{Unit, format, tick_label},
        svg::{Anchor, Svg, text_width},
    },
    stats::Spread,
};

const WIDTH: f64 = 900.0;
const MARGIN: f64 = 24.0;
const TOP: f64 = 92.0;

/// What stands above every chart.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) title: String,
    pub(crate) subtitle: String,
    /// The names of the series by number.
    pub(crate) series: Vec<(usize, String)>,
}

/// Some bars or dots under one label.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) label: String,
    pub(crate) values: Vec<(usize, Spread)>,
}

/// A panel of groups.
#[derive(Clone, Debug)]
pub(crate) struct GroupPanel {
    pub(crate) title: String,
    pub(crate) groups: Vec<Group>,
}

/// A panel of curves.
#[derive(Clone, Debug)]
pub(crate) struct CurvePanel {
    pub(crate) title: String,
    pub(crate) x_title: String,
    pub(crate) curves: Vec<(usize, Vec<(f64, f64)>)>,
}

/// How the axes of a panel of curves are scaled and labelled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axes {
    pub(crate) x: Scale,
    pub(crate) x_label: fn(f64) -> String,
    pub(crate) y: Scale,
    pub(crate) y_unit: Unit,
}

/// Horizontal bars from zero, two panels side by side, each with its own scale.
pub(crate) fn bars(head: &Head, panels: &[GroupPanel], unit: Unit) -> String {
    const BAR: f64 = 13.0;
    const GAP: f64 = 12.0;
    const LABELS: f64 = 52.0;
    let group_height = |group: &Group| as_px(group.values.len()) * BAR + GAP;
    let panel_height =
        |panel: &GroupPanel| panel.groups.iter().map(group_height).sum::<f64>() + 46.0;
    let heights = row_heights(panels, panel_height);
    let mut svg = begin(head, heights.iter().sum());
    let width = (WIDTH - 3.0 * MARGIN) / 2.0;
    for (index, panel) in panels.iter().enumerate() {
        let (left, top) = cell(index, width, &heights);
        svg.text(left, top + 14.0, "panel", Anchor::Start, &panel.title);
        let highs = panel.groups.iter().flat_map(|group| &group.values);
        let axis = Axis::around(Scale::Linear, highs.map(|(_, spread)| spread.high)).with_room(1.2);
        let place = |value| left + LABELS + axis.place(value) * (width - LABELS);
        let mut y = top + 28.0;
        for group in &panel.groups {
            let middle = y + as_px(group.values.len()) * BAR / 2.0 + 4.0;
            svg.text(left + LABELS - 8.0, middle, "", Anchor::End, &group.label);
            for (series, spread) in &group.values {
                svg.bar(place(0.0), y, place(spread.median) - place(0.0), BAR - 2.0, *series);
                let line = y + BAR / 2.0 - 1.0;
                svg.line((place(spread.low), line), (place(spread.high), line), "spread");
                let text = format(spread.median, unit);
                svg.text(place(spread.high) + 5.0, y + BAR - 3.0, "note", Anchor::Start, &text);
                y += BAR;
            }
            y += GAP;
        }
    }
    svg.finish(&head.title)
}

/// Dots on a logarithmic axis, one row per group, two panels side by side on a common scale.
pub(crate) fn dots(head: &Head, panels: &[GroupPanel], unit: Unit) -> String {
    const ROW: f64 = 24.0;
    const LABELS: f64 = 52.0;
    let heights = row_heights(panels, |panel| as_px(panel.groups.len()) * ROW + 64.0);
    let mut svg = begin(head, heights.iter().sum());
    let width = (WIDTH - 3.0 * MARGIN) / 2.0;
    let all = panels.iter().flat_map(|panel| &panel.groups).flat_map(|group| &group.values);
    let axis = Axis::around(Scale::Log, all.flat_map(|(_, spread)| [spread.low, spread.high]));
    for (index, panel) in panels.iter().enumerate() {
        let (left, top) = cell(index, width, &heights);
        let place = |value| left + LABELS + axis.place(value) * (width - LABELS - 12.0);
        let bottom = top + 28.0 + as_px(panel.groups.len()) * ROW;
        svg.text(left, top + 14.0, "panel", Anchor::Start, &panel.title);
        for tick in axis.ticks() {
            svg.line((place(tick), top + 24.0), (place(tick), bottom), "grid");
            let text = tick_label(tick, unit);
            svg.text(place(tick), bottom + 15.0, "note", Anchor::Middle, &text);
        }
        for (row, group) in panel.groups.iter().enumerate() {
            let y = top + 28.0 + (as_px(row) + 0.5) * ROW;
            svg.line((place(0.0), y), (left + width - 12.0, y), "grid");
            svg.text(left + LABELS - 8.0, y + 4.0, "", Anchor::End, &group.label);
            for (series, spread) in &group.values {
                svg.line((place(spread.low), y), (place(spread.high), y), "spread");
                svg.dot(place(spread.median), y, 5.0, *series);
            }
        }
    }
    svg.finish(&head.title)
}

/// Curves, up to three panels side by side; the vertical scale is common.
pub(crate) fn curves(head: &Head, panels: &[CurvePanel], axes: Axes) -> String {
    const HEIGHT: f64 = 300.0;
    const LABELS: f64 = 62.0;
    let mut svg = begin(head, HEIGHT + 62.0);
    let count = as_px(panels.len().max(1));
    let width = (WIDTH - (count + 1.0) * MARGIN) / count;
    let points = || panels.iter().flat_map(|panel| &panel.curves).flat_map(|(_, points)| points);
    let y_axis = Axis::around(axes.y, points().map(|(_, y)| *y));
    let x_axis = Axis::around(axes.x, points().map(|(x, _)| *x));
    for (index, panel) in panels.iter().enumerate() {
        let left = MARGIN + as_px(index) * (width + MARGIN);
        let bottom = TOP + 24.0 + HEIGHT;
        let right = left + width - 14.0;
        let place_x = |x| left + LABELS + x_axis.place(x) * (right - left - LABELS);
        let place_y = |y| bottom - y_axis.place(y) * HEIGHT;
        svg.text(left, TOP + 10.0, "panel", Anchor::Start, &panel.title);
        for tick in y_axis.ticks() {
            svg.line((left + LABELS, place_y(tick)), (right, place_y(tick)), "grid");
            let text = tick_label(tick, axes.y_unit);
            svg.text(left + LABELS - 6.0, place_y(tick) + 4.0, "note", Anchor::End, &text);
        }
        for tick in x_axis.ticks() {
            svg.line((place_x(tick), bottom), (place_x(tick), bottom + 5.0), "axis");
            let text = (axes.x_label)(tick);
            svg.text(place_x(tick), bottom + 18.0, "note", Anchor::Middle, &text);
        }
        svg.line((left + LABELS, bottom), (right, bottom), "axis");
        let middle = f64::midpoint(left + LABELS, right);
        svg.text(middle, bottom + 36.0, "note", Anchor::Middle, &panel.x_title);
        for (series, points) in &panel.curves {
            let placed: Vec<_> = points.iter().map(|(x, y)| (place_x(*x), place_y(*y))).collect();
            svg.curve(&placed, *series);
            for (x, y) in &placed {
                svg.dot(*x, *y, 2.6, *series);
            }
        }
    }
    svg.finish(&head.title)
}

fn begin(head: &Head, height: f64) -> Svg {
    let mut svg = Svg::new(WIDTH, TOP + height + 8.0);
    svg.text(MARGIN, 34.0, "title", Anchor::Start, &head.title);
    svg.text(MARGIN, 53.0, "note", Anchor::Start, &head.subtitle);
    svg.legend(MARGIN, 76.0, &head.series);
    debug_assert!(text_width(&head.subtitle) < WIDTH * 1.2, "a subtitle of one line");
    svg
}

/// The height of each row of two panels.
fn row_heights(panels: &[GroupPanel], height: impl Fn(&GroupPanel) -> f64) -> Vec<f64> {
    panels.chunks(2).map(|row| row.iter().map(&height).fold(0.0, f64::max)).collect()
}

/// The left and top of a panel in a grid of two columns.
fn cell(index: usize, width: f64, heights: &[f64]) -> (f64, f64) {
    let left = MARGIN + as_px(index % 2) * (width + MARGIN);
    (left, TOP + heights.iter().take(index / 2).sum::<f64>())
}

/// A small count as pixels.
fn as_px(count: usize) -> f64 {
    u32::try_from(count).map_or(0.0, f64::from)
}
