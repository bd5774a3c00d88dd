//! Drawing: a card with panels of horizontal bars, or of pairs of dots on a logarithmic scale. It
//! has a ground of its own, so that it can be read wherever it is shown, and follows light and
//! dark.

use svg::{
    Document,
    node::element::{Circle, Description, Group, Line, Rectangle, Style, Text, Title},
};

const STYLE: &str = "
text { font-family: system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif; font-size: 12px; fill: #1f2328; }
.card { fill: #ffffff; stroke: #d1d9e0; }
.title { font-size: 17px; font-weight: 600; }
.dim { fill: #59636e; }
.head { font-weight: 600; }
.strong { font-weight: 700; fill: #bc4c00; }
.end { text-anchor: end; }
.mid { text-anchor: middle; }
.grid { stroke: #d1d9e0; }
.mark { stroke: #59636e; stroke-dasharray: 3 3; }
.ours { fill: #e8590c; } .ours-line { stroke: #e8590c; }
.peer { fill: #9aa7b5; } .peer-line { stroke: #9aa7b5; }
.baseline { fill: #d5dbe1; } .baseline-line { stroke: #b4bec8; }
.range { stroke: #1f2328; stroke-opacity: 0.65; }
.hollow { fill: #ffffff; stroke-width: 2; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; }
.card { fill: #0d1117; stroke: #3d444d; }
.dim { fill: #9198a1; }
.strong { fill: #ffa94d; }
.grid { stroke: #2a313a; }
.mark { stroke: #9198a1; }
.ours { fill: #fd7e14; } .ours-line { stroke: #fd7e14; }
.peer { fill: #66717e; } .peer-line { stroke: #66717e; }
.baseline { fill: #3d444d; } .baseline-line { stroke: #4d555f; }
.range { stroke: #e6edf3; }
.hollow { fill: #0d1117; }
}
";

const WIDTH: f64 = 860.0;
const EDGE: f64 = 24.0;
const TOP: f64 = 76.0;
const LABEL: f64 = 96.0;
const ROW: f64 = 22.0;
const HEAD: f64 = 26.0;
const AFTER: f64 = 26.0;

/// Whose a row is: it decides the colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Ours,
    Peer,
    Baseline,
}

/// One contestant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) label: String,
    pub(crate) side: Side,
    pub(crate) value: f64,
    /// Bars: the least and the most. Dots: the two that are drawn.
    pub(crate) range: [f64; 2],
    /// The numbers, written out.
    pub(crate) text: String,
}

/// How rows are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bars,
    Dots,
}

/// Rows with a common scale.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Panel {
    pub(crate) head: String,
    pub(crate) kind: Kind,
    pub(crate) rows: Vec<Row>,
    /// A value that is marked, and what it is.
    pub(crate) mark: Option<(f64, String)>,
}

/// A card.
#[derive(Clone, Debug)]
pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) about: String,
    pub(crate) panels: Vec<Panel>,
}

/// From values to places.
struct Scale {
    kind: Kind,
    low: f64,
    high: f64,
    left: f64,
    width: f64,
}

impl Scale {
    fn of(panel: &Panel, left: f64, width: f64) -> Self {
        let marked = panel.mark.iter().map(|(value, _)| *value);
        let all = || panel.rows.iter().flat_map(|row| [row.value, row.range[0], row.range[1]]);
        let high = all().chain(marked).fold(f64::MIN_POSITIVE, f64::max);
        let low = all().fold(high, f64::min).max(f64::MIN_POSITIVE);
        let (low, high) = match panel.kind {
            Kind::Bars => (0.0, high),
            Kind::Dots => (low / 1.15, high * 1.15),
        };
        Self { kind: panel.kind, low, high, left, width }
    }

    fn at(&self, value: f64) -> f64 {
        let share = match self.kind {
            Kind::Bars => value / self.high,
            Kind::Dots => (value / self.low).ln() / (self.high / self.low).ln(),
        };
        (self.left + share.clamp(0.0, 1.0) * self.width).round()
    }

    /// 1, 2 and 5 of each power of ten within.
    fn ticks(&self) -> Vec<f64> {
        if self.kind == Kind::Bars {
            return Vec::new();
        }
        (-6..9)
            .flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(power)))
            .filter(|tick| (self.low..=self.high).contains(tick))
            .collect()
    }
}

impl Chart {
    /// The whole card.
    pub(crate) fn draw(&self) -> Document {
        let columns = if self.panels.len() == 1 { 1 } else { 2 };
        let gap = EDGE * 1.5;
        let each = if columns == 1 { WIDTH - 2.0 * EDGE } else { (WIDTH - 2.0 * EDGE - gap) / 2.0 };
        let mut group = Group::new();
        let mut y = TOP;
        for row in self.panels.chunks(columns) {
            let mut x = EDGE;
            for panel in row {
                group = group.add(draw(panel, x, y, each));
                x += each + gap;
            }
            y += row.iter().map(height).fold(0.0, f64::max);
        }
        let card = Rectangle::new()
            .set("class", "card")
            .set("x", 0.5)
            .set("y", 0.5)
            .set("width", WIDTH - 1.0)
            .set("height", y - 1.0)
            .set("rx", 8);
        Document::new()
            .set("viewBox", (0, 0, WIDTH, y))
            .set("width", WIDTH)
            .set("height", y)
            .set("role", "img")
            .add(Title::new(self.title.as_str()))
            .add(Description::new().add(svg::node::Text::new(self.about.as_str())))
            .add(Style::new(STYLE))
            .add(card)
            .add(text("title", EDGE, 34.0, &self.title))
            .add(text("dim", EDGE, 54.0, &self.about))
            .add(group)
    }
}

/// What is above the rows.
const fn head(panel: &Panel) -> f64 {
    if panel.head.is_empty() { 4.0 } else { HEAD }
}

fn height(panel: &Panel) -> f64 {
    head(panel) + to_f64(panel.rows.len()) * ROW + AFTER
}

#[expect(clippy::cast_precision_loss, reason = "a few rows")]
const fn to_f64(count: usize) -> f64 {
    count as f64
}

fn draw(panel: &Panel, x: f64, y: f64, width: f64) -> Group {
    // Room for the numbers after the longest bar; six and a half pixels for a letter.
    let longest = panel.rows.iter().map(|row| row.text.chars().count()).max().unwrap_or(0);
    let room = to_f64(longest) * 6.5 + 14.0;
    let left = x + LABEL + 8.0;
    let scale = Scale::of(panel, left, width - LABEL - 8.0 - room);
    let (top, bottom) = (y + head(panel), y + height(panel) - AFTER);
    let mut group = Group::new().add(text("head", x, y + 12.0, &panel.head));
    for tick in scale.ticks() {
        let at = scale.at(tick);
        group = group.add(line("grid", [at, top - 2.0], [at, bottom]));
        group = group.add(text("dim mid", at, bottom + 13.0, &tick.to_string()));
    }
    for (index, row) in panel.rows.iter().enumerate() {
        let middle = top + (to_f64(index) + 0.5) * ROW;
        let strong = if row.side == Side::Ours { "strong end" } else { "dim end" };
        group = group.add(text(strong, x + LABEL, middle + 4.0, &row.label));
        group = match panel.kind {
            Kind::Bars => bar(group, row, &scale, middle),
            Kind::Dots => dots(group, row, &scale, middle),
        };
    }
    if let Some((value, what)) = &panel.mark {
        let at = scale.at(*value);
        group = group.add(line("mark", [at, top - 2.0], [at, bottom + 2.0]));
        group = group.add(text("dim mid", at, bottom + 14.0, what));
    }
    group
}

fn bar(group: Group, row: &Row, scale: &Scale, middle: f64) -> Group {
    let end = scale.at(row.value);
    let [low, high] = row.range.map(|value| scale.at(value));
    let bar = Rectangle::new()
        .set("class", class(row.side))
        .set("x", scale.left)
        .set("y", middle - 7.5)
        .set("width", (end - scale.left).max(1.0))
        .set("height", 15)
        .set("rx", 2);
    let strong = if row.side == Side::Ours { "strong" } else { "" };
    group
        .add(bar)
        .add(line("range", [low, middle], [high, middle]))
        .add(line("range", [low, middle - 3.0], [low, middle + 3.0]))
        .add(line("range", [high, middle - 3.0], [high, middle + 3.0]))
        .add(text(strong, end.max(high) + 7.0, middle + 4.0, &row.text))
}

fn dots(group: Group, row: &Row, scale: &Scale, middle: f64) -> Group {
    let [from, to] = row.range.map(|value| scale.at(value));
    let dot = |at: f64| Circle::new().set("cx", at).set("cy", middle).set("r", 5);
    let class = class(row.side);
    let strong = if row.side == Side::Ours { "strong" } else { "" };
    group
        .add(line(&format!("{class}-line"), [from, middle], [to, middle]).set("stroke-width", 3))
        .add(dot(to).set("class", format!("hollow {class}-line")))
        .add(dot(from).set("class", class))
        .add(text(strong, scale.left + scale.width + 14.0, middle + 4.0, &row.text))
}

const fn class(side: Side) -> &'static str {
    match side {
        Side::Ours => "ours",
        Side::Peer => "peer",
        Side::Baseline => "baseline",
    }
}

fn text(class: &str, x: f64, y: f64, content: &str) -> Text {
    Text::new(content).set("class", class).set("x", x).set("y", y)
}

fn line(class: &str, from: [f64; 2], to: [f64; 2]) -> Line {
    let line = Line::new().set("class", class);
    line.set("x1", from[0]).set("y1", from[1]).set("x2", to[0]).set("y2", to[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(kind: Kind, values: &[f64]) -> Panel {
        let rows = values.iter().map(|&value| Row {
            label: "x".to_owned(),
            side: Side::Peer,
            value,
            range: [value, value],
            text: "1".to_owned(),
        });
        Panel { head: "h".to_owned(), kind, rows: rows.collect(), mark: None }
    }

    #[test]
    fn bars_begin_at_nought_and_are_in_proportion() {
        let scale = Scale::of(&panel(Kind::Bars, &[1.0, 4.0]), 100.0, 200.0);
        assert_eq!([0.0, 1.0, 4.0].map(|value| scale.at(value)), [100.0, 150.0, 300.0]);
        assert!(scale.ticks().is_empty());
    }

    #[test]
    fn a_mark_beyond_all_bars_is_on_the_scale() {
        let mut panel = panel(Kind::Bars, &[1.0]);
        panel.mark = Some((2.0, "m".to_owned()));
        assert_eq!(Scale::of(&panel, 0.0, 100.0).at(1.0), 50.0);
    }

    #[test]
    fn dots_are_on_a_logarithmic_scale_with_ticks() {
        let scale = Scale::of(&panel(Kind::Dots, &[10.0, 1000.0]), 0.0, 1000.0);
        let [low, middle, high] = [10.0, 100.0, 1000.0].map(|value| scale.at(value));
        assert!(((high - middle) - (middle - low)).abs() <= 1.0 && low > 0.0 && high < 1000.0);
        assert_eq!(scale.ticks(), [10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0]);
    }

    #[test]
    fn a_chart_says_what_it_is_and_escapes_it() {
        let mut panel = panel(Kind::Bars, &[1.0]);
        panel.head = "a < b".to_owned();
        let chart = Chart { title: "t".to_owned(), about: "a".to_owned(), panels: vec![panel] };
        let drawn = chart.draw().to_string();
        assert!(drawn.contains("a &lt; b") && drawn.contains("prefers-color-scheme: dark"));
    }
}
