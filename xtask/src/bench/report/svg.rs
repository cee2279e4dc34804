//! The few shapes that the plots are drawn with, and how they look.
//!
//! Colours are classes of a style sheet inside the file, so that a plot follows the reader's light
//! or dark page. The palette is one that colour-blind readers can tell apart.

use std::fmt::Write;

/// The sheet of every plot.
const STYLE: &str = "\
text{font:12px system-ui,-apple-system,'Segoe UI',sans-serif;fill:#3b4252}\
.title{font-size:17px;font-weight:600;fill:#1d2330}.panel{font-size:13px;font-weight:600}\
.note{fill:#737b8c;font-size:11px}.page{fill:#fff}.grid{stroke:#e6e9ef;fill:none}\
.axis{stroke:#b8bfcc;fill:none}.line{fill:none;stroke-width:2.2;stroke-linejoin:round}\
.spread{stroke:#3b4252;stroke-opacity:.55;fill:none}\
@media(prefers-color-scheme:dark){text{fill:#c9d1d9}.title{fill:#f0f3f6}.note{fill:#8b949e}\
.page{fill:#0d1117}.grid{stroke:#22282f}.axis{stroke:#48505a}.spread{stroke:#c9d1d9}}";

/// Blue, grey, orange, pink, green, sky, vermilion.
const PALETTE: [&str; 7] =
    ["#0072b2", "#8a93a3", "#e69f00", "#cc79a7", "#009e73", "#56b4e9", "#d55e00"];

/// Where a text's position lies in it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// A drawing in the making.
#[derive(Debug)]
pub(crate) struct Svg {
    body: String,
    width: f64,
    height: f64,
}

impl Svg {
    /// An empty page.
    pub(crate) fn new(width: f64, height: f64) -> Self {
        Self { body: String::new(), width, height }
    }

    /// Writes a text at its base line.
    pub(crate) fn text(&mut self, x: f64, y: f64, class: &str, anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escaped(text);
        self.push(&format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\" text-anchor=\"{anchor}\">{text}</text>"
        ));
    }

    /// Draws a straight line.
    pub(crate) fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.push(&format!("<path class=\"{class}\" d=\"M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}\"/>"));
    }

    /// Draws a bar from its left end.
    pub(crate) fn bar(&mut self, x: f64, y: f64, width: f64, height: f64, series: usize) {
        let (width, color) = (width.max(1.0), color(series));
        self.push(&format!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"2\" fill=\"{color}\"/>"
        ));
    }

    /// Draws a dot.
    pub(crate) fn dot(&mut self, x: f64, y: f64, radius: f64, series: usize) {
        let color = color(series);
        self.push(&format!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\" fill=\"{color}\"/>"
        ));
    }

    /// Draws a curve through its points.
    pub(crate) fn curve(&mut self, points: &[(f64, f64)], series: usize) {
        let mut path = String::new();
        for (index, (x, y)) in points.iter().enumerate() {
            let command = if index == 0 { 'M' } else { 'L' };
            // Writing into a string does not fail.
            let _ = write!(path, "{command}{x:.1} {y:.1}");
        }
        let color = color(series);
        self.push(&format!("<path class=\"line\" stroke=\"{color}\" d=\"{path}\"/>"));
    }

    /// Names the series in one row.
    pub(crate) fn legend(&mut self, x: f64, y: f64, names: &[(usize, String)]) {
        let mut x = x;
        for (series, name) in names {
            self.dot(x + 5.0, y - 4.0, 5.0, *series);
            self.text(x + 15.0, y, "", Anchor::Start, name);
            x += text_width(name) + 38.0;
        }
    }

    /// The file.
    pub(crate) fn finish(self, title: &str) -> String {
        let Self { body, width, height } = self;
        let title = escaped(title);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
             width=\"{width:.0}\" role=\"img\" aria-label=\"{title}\">\n<title>{title}</title>\n\
             <style>{STYLE}</style>\n<rect class=\"page\" width=\"100%\" height=\"100%\" rx=\"8\"/>\n\
             {body}</svg>\n"
        )
    }

    fn push(&mut self, element: &str) {
        self.body.push_str(element);
        self.body.push('\n');
    }
}

/// About how wide a text of the ordinary size is.
pub(crate) fn text_width(text: &str) -> f64 {
    text.chars().map(|letter| if letter.is_ascii_lowercase() { 6.3 } else { 7.4 }).sum()
}

fn color(series: usize) -> &'static str {
    PALETTE.get(series % PALETTE.len()).copied().unwrap_or("#000")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_break_the_file() {
        let mut svg = Svg::new(10.0, 10.0);
        svg.text(0.0, 0.0, "", Anchor::End, "a<b>&\"c\"");
        let file = svg.finish("<title>");
        assert!(file.contains(">a&lt;b>&amp;&quot;c&quot;</text>"));
        assert!(!file.contains("<title><title>"));
    }
}
