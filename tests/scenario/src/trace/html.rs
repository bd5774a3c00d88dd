//! A trace as a page to look at: lanes for the client, the network and each broker, time downwards.
//!
//! The page is one file that needs nothing else, light or dark as its reader likes.

use core::fmt::{self, Write as _};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use ottla_model::NodeId;

use super::{Event, Lane, Leg, Tone, Trace, millis};

/// Where the columns are, in pixels.
const CLIENT: f64 = 400.0;
const NETWORK: f64 = 550.0;
const BROKERS: f64 = 710.0;
const BROKER_WIDE: f64 = 275.0;
/// Where nothing happens but what belongs to every run, and where nothing happens at all.
const BROKER_NARROW: f64 = 215.0;
const BROKER_EMPTY: f64 = 90.0;
/// How many characters a line of a column has.
const CLIENT_CHARS: usize = 47;
const NETWORK_CHARS: usize = 38;
const BROKER_CHARS: usize = 40;
const LINE: f64 = 15.0;
/// More events than these, and what belongs to every run is left out.
const MANY: usize = 500;

/// What a page says besides the trace.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The headline.
    pub title: String,
    /// The law that was broken, what it means, and the records that it names.
    pub broken: Option<(String, String, Vec<u64>)>,
    /// What was done, in order.
    pub steps: Vec<String>,
    /// What else there is to know, one thing a line.
    pub notes: Vec<String>,
    /// The brokers.
    pub nodes: Vec<NodeId>,
}

/// An event with its place on the page.
struct Row<'a> {
    event: &'a Event,
    lines: Vec<String>,
    y: f64,
}

impl Page {
    /// Writes the page into a directory, and returns its path.
    ///
    /// # Errors
    ///
    /// Where the directory or the file cannot be written.
    pub fn write(&self, directory: &Path, name: &str, trace: &Trace) -> io::Result<PathBuf> {
        fs::create_dir_all(directory)?;
        let path = directory.join(name);
        fs::write(&path, self.html(trace))?;
        Ok(path)
    }

    /// The page.
    #[must_use]
    pub fn html(&self, trace: &Trace) -> String {
        let mut html = String::new();
        // Writing to a String does not fail.
        let _ = self.render(&mut html, trace);
        html
    }

    fn render(&self, w: &mut String, trace: &Trace) -> fmt::Result {
        writeln!(w, "<!doctype html><html lang=en><meta charset=utf-8>")?;
        writeln!(w, "<meta name=viewport content='width=device-width'>")?;
        writeln!(w, "<title>{}</title><style>{STYLE}</style>", Text(&self.title))?;
        writeln!(w, "<header><h1>{}</h1>", Text(&self.title))?;
        if let Some((message, meaning, _)) = &self.broken {
            writeln!(w, "<p class=law><b>{}</b><br>{}</p>", Text(meaning), Text(message))?;
        }
        for note in &self.notes {
            writeln!(w, "<p class=note>{}</p>", Text(note))?;
        }
        if !self.steps.is_empty() {
            let count = self.steps.len();
            let open = if count <= 12 { " open" } else { "" };
            writeln!(w, "<details{open}><summary>{count} steps</summary><ol>")?;
            for step in &self.steps {
                writeln!(w, "<li>{}</li>", Text(step))?;
            }
            writeln!(w, "</ol></details>")?;
        }
        writeln!(w, "<p class=legend>")?;
        for (class, name) in LEGEND {
            writeln!(w, "<span class='key {class}'>{name}</span>")?;
        }
        writeln!(w, "<span class='key lost'>✕ never arrives</span></p></header>")?;
        self.lanes(w, trace)
    }

    fn lanes(&self, w: &mut String, trace: &Trace) -> fmt::Result {
        let few = trace.events.len() <= MANY;
        let shown = |event: &&Event| few || event.tone != Tone::Faint;
        let events: Vec<&Event> = trace.events.iter().filter(shown).collect();
        let columns = self.columns(&events);
        let width = columns.values().map(|(at, wide)| at + wide).fold(BROKERS, f64::max);
        let (rows, end) = place(&events);
        let height = end + if self.broken.is_some() { 60.0 } else { 24.0 };
        writeln!(w, "<main><div class=heads style='width:{width}px'>")?;
        writeln!(w, "<span style='left:0;width:{CLIENT}px' class=right>client</span>")?;
        let (left, wide) = (CLIENT, BROKERS - CLIENT);
        writeln!(w, "<span style='left:{left}px;width:{wide}px' class=middle>network</span>")?;
        for (node, (at, wide)) in &columns {
            writeln!(w, "<span style='left:{at}px;width:{wide}px'>broker {node}</span>")?;
        }
        writeln!(w, "</div><svg width={width} height={height} role=img>")?;
        writeln!(w, "<title>{}</title>{MARKERS}", Text(&self.title))?;
        let lines = [CLIENT].into_iter().chain(columns.values().map(|(at, _)| *at));
        for x in lines {
            writeln!(w, "<line class=lane x1={x} x2={x} y1=0 y2={height} />")?;
        }
        arrows(w, &rows, &columns)?;
        let mut before = None;
        for row in &rows {
            self.row(w, row, &columns, before)?;
            before = Some(row);
        }
        if let Some((message, ..)) = &self.broken {
            let y = end + 8.0;
            writeln!(w, "<rect class=verdict x=8 y={y} width={} height=34 rx=6 />", width - 16.0)?;
            let y = y + 22.0;
            writeln!(w, "<text class=verdict x=22 y={y}>✕ {}</text>", Text(&cut(message, 220)))?;
        }
        writeln!(w, "</svg></main></html>")
    }

    /// Where each broker's line is, and how wide its column: narrow where nothing happens.
    fn columns(&self, events: &[&Event]) -> BTreeMap<NodeId, (f64, f64)> {
        let mut at = BROKERS;
        let mut columns = BTreeMap::new();
        for node in &self.nodes {
            let mut here = events.iter().filter(|event| event.lane == Lane::Broker(*node));
            let wide = match here.clone().next() {
                None => BROKER_EMPTY,
                Some(_) if here.all(|event| event.tone == Tone::Faint) => BROKER_NARROW,
                Some(_) => BROKER_WIDE,
            };
            columns.insert(*node, (at, wide));
            at += wide;
        }
        columns
    }

    fn row(
        &self,
        w: &mut String,
        row: &Row<'_>,
        columns: &BTreeMap<NodeId, (f64, f64)>,
        before: Option<&Row<'_>>,
    ) -> fmt::Result {
        let (event, y) = (row.event, row.y);
        let at = before.map(|row| row.event.at);
        if at != Some(event.at) {
            writeln!(w, "<text class=time x=84 y={}>{} ms</text>", y + 4.0, millis(event.at))?;
            if let (Some(before), Some(at)) = (before, at)
                && event.at.since(at).as_millis() >= 20
            {
                let middle = f64::midpoint(before.y + before.height(), y) + 1.0;
                let gap = event.at.since(at);
                writeln!(w, "<text class=gap x=84 y={middle}>⋮ {} ms</text>", gap.as_millis())?;
            }
        }
        let named = self.broken.as_ref().map_or(&[][..], |(_, _, named)| named);
        let marked = event.records.iter().any(|id| named.contains(id));
        let class = class(event.tone);
        let marked = if marked { " named" } else { "" };
        writeln!(w, "<g class='event {class}{marked}'><title>{}</title>", Text(&detail(event)))?;
        let (x, anchor) = match event.lane {
            Lane::Client => (CLIENT - 14.0, "end"),
            Lane::Network => (NETWORK, "middle"),
            Lane::Broker(node) => {
                (columns.get(&node).map_or(BROKERS, |(at, _)| *at) + 14.0, "start")
            }
        };
        let longest = row.lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
        let wide = longest as f64 * 6.2 + 14.0;
        let left = match anchor {
            "end" => x - wide + 7.0,
            "middle" => x - wide / 2.0,
            _ => x - 7.0,
        };
        let tall = row.height();
        writeln!(w, "<rect x={left:.1} y={:.1} width={wide:.1} height={tall:.1} rx=4 />", y - 9.0)?;
        if event.lane != Lane::Network {
            let dot = if anchor == "end" { CLIENT } else { x - 14.0 };
            writeln!(w, "<circle cx={dot} cy={y:.1} r=4 />")?;
        }
        for (place, line) in row.lines.iter().enumerate() {
            let y = y + 4.0 + place as f64 * LINE;
            writeln!(w, "<text x={x} y={y:.1} text-anchor={anchor}>{}</text>", Text(line))?;
        }
        writeln!(w, "</g>")
    }
}

impl Row<'_> {
    fn height(&self) -> f64 {
        self.lines.len() as f64 * LINE + 3.0
    }
}

/// Gives each event its place: below the one before, further down the more time passes between.
fn place<'a>(events: &[&'a Event]) -> (Vec<Row<'a>>, f64) {
    let mut rows: Vec<Row<'_>> = Vec::with_capacity(events.len());
    let mut y = 22.0;
    for event in events {
        if let Some(last) = rows.last() {
            let passed = event.at.since(last.event.at).as_micros() as f64;
            let gap = if passed > 0.0 { 5.0 + 7.0 * (1.0 + passed / 40.0).log10() } else { 0.0 };
            y += last.height() + 2.0 + gap.min(44.0);
        }
        let chars = match event.lane {
            Lane::Client => CLIENT_CHARS,
            Lane::Network => NETWORK_CHARS,
            Lane::Broker(_) => BROKER_CHARS,
        };
        rows.push(Row { event, lines: wrap(&cut(&event.text, 6 * chars), chars), y });
    }
    let end = rows.last().map_or(y, |last| last.y + last.height());
    (rows, end)
}

/// Messages between the lanes.
fn arrows(w: &mut String, rows: &[Row<'_>], columns: &BTreeMap<NodeId, (f64, f64)>) -> fmt::Result {
    let mut arrived: BTreeMap<Leg, &Row<'_>> = BTreeMap::new();
    for row in rows {
        for leg in &row.event.arrives {
            arrived.entry(*leg).or_insert(row);
        }
    }
    let line = |row: &Row<'_>| match row.event.lane {
        Lane::Client | Lane::Network => CLIENT,
        Lane::Broker(node) => columns.get(&node).map_or(BROKERS, |(at, _)| *at),
    };
    for row in rows {
        for leg in &row.event.leaves {
            let class = match (leg.answer, row.event.tone) {
                (true, _) => "answer",
                (false, Tone::Faint) => "small",
                (false, _) => "request",
            };
            let (x1, y1) = (line(row), row.y);
            if let Some(to) = arrived.get(leg) {
                let (x2, y2) = (line(to), to.y);
                let small = if to.event.tone == Tone::Faint { " small" } else { "" };
                let x2 = if x2 > x1 { x2 - 5.0 } else { x2 + 5.0 };
                writeln!(
                    w,
                    "<line class='arrow {class}{small}' x1={x1} y1={y1:.1} x2={x2} y2={y2:.1} />"
                )?;
            } else {
                let x2 = if leg.answer { BROKERS - 70.0 } else { CLIENT + 70.0 };
                let y2 = y1 + 16.0;
                writeln!(
                    w,
                    "<line class='arrow {class} lost' x1={x1} y1={y1:.1} x2={x2} y2={y2:.1} />"
                )?;
                writeln!(w, "<text class=cross x={x2} y={:.1}>✕</text>", y2 + 5.0)?;
            }
        }
    }
    Ok(())
}

/// What a pointer that rests on an event is told.
fn detail(event: &Event) -> String {
    format!("{} ms, {}\n{}", millis(event.at), event.lane, event.text)
}

const fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "plain",
        Tone::Faint => "faint",
        Tone::Delivered => "delivered",
        Tone::NotDelivered => "denied",
        Tone::Unknown => "unknown",
        Tone::Trouble => "trouble",
    }
}

/// Breaks a text into lines at spaces.
fn wrap(text: &str, chars: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.len() - 1;
        let len = lines[last].chars().count();
        if len > 0 && len + 1 + word.chars().count() > chars {
            lines.push(word.to_owned());
        } else {
            if len > 0 {
                lines[last].push(' ');
            }
            lines[last].push_str(word);
        }
    }
    lines
}

/// A text no longer than this; the pointer tells the rest.
fn cut(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// Text in HTML.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '&' => f.write_str("&amp;"),
            c => f.write_char(c),
        })
    }
}

const LEGEND: [(&str, &str); 6] = [
    ("request", "→ request"),
    ("answer", "← answer"),
    ("delivered", "Delivered"),
    ("denied", "NotDelivered"),
    ("unknown", "Unknown"),
    ("trouble", "trouble that was made"),
];

const MARKERS: &str = "<defs><marker id=head viewBox='0 0 8 8' refX=7 refY=4 markerWidth=7 \
    markerHeight=7 orient=auto-start-reverse><path d='M0 0L8 4L0 8z' fill=context-stroke />\
    </marker></defs>";

const STYLE: &str = "
:root{color-scheme:light dark;--bg:#fbfaf7;--ink:#22211e;--dim:#8b877e;--line:#d9d5cb;
--request:#3763c4;--answer:#7d8fb8;--green:#1f7a45;--green-bg:#dff2e4;--red:#b3261e;
--red-bg:#fbe0dd;--amber:#8a5a00;--amber-bg:#fdecc8;--trouble:#7a3fa0;--trouble-bg:#f1e6f8}
@media(prefers-color-scheme:dark){:root{--bg:#16171a;--ink:#e8e6e1;--dim:#85827b;--line:#34363c;
--request:#86aaff;--answer:#68789c;--green:#7fd8a0;--green-bg:#15351f;--red:#ff8f85;
--red-bg:#471a17;--amber:#f2c46b;--amber-bg:#3d2d0b;--trouble:#cfa3ee;--trouble-bg:#33203f}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:14px/1.5 system-ui,sans-serif}
header{padding:28px 32px 12px;max-width:1100px}
h1{font-size:22px;margin:0 0 12px;font-weight:650}
.law{background:var(--red-bg);border-left:4px solid var(--red);padding:10px 14px;margin:0 0 12px;
border-radius:0 6px 6px 0}
.note{margin:2px 0;color:var(--dim)}
details{margin:12px 0}summary{cursor:pointer;font-weight:600}ol{margin:6px 0;padding-left:28px}
.legend{display:flex;gap:10px;flex-wrap:wrap;margin:14px 0 0}
.key{padding:1px 9px;border-radius:9px;font-size:12px;border:1px solid var(--line)}
.key.request{color:var(--request)}.key.answer{color:var(--answer)}.key.lost{color:var(--red)}
.key.delivered{background:var(--green-bg);color:var(--green)}
.key.denied{background:var(--red-bg);color:var(--red)}
.key.unknown{background:var(--amber-bg);color:var(--amber)}
.key.trouble{background:var(--trouble-bg);color:var(--trouble)}
main{padding:0 16px 32px;overflow-x:auto}
.heads{position:sticky;top:0;height:30px;background:var(--bg);border-bottom:1px solid var(--line);
font-weight:650;z-index:1}
.heads span{position:absolute;top:4px}.heads .right{text-align:right}
.heads .middle{text-align:center}
svg{display:block;font:12px system-ui,sans-serif}
svg text{fill:var(--ink)}
.lane{stroke:var(--line);stroke-width:2}
.time,.gap{text-anchor:end;font-size:11px;font-variant-numeric:tabular-nums}
svg .time{fill:var(--dim)}svg .gap{fill:var(--dim);font-size:10px}
.event rect{fill:var(--bg)}.event circle{fill:var(--ink);stroke:var(--bg);stroke-width:1.5}
.event:hover rect{stroke:var(--ink)}
.event.faint text{fill:var(--dim);font-size:11px}.event.faint circle{fill:var(--dim)}
.event.delivered rect{fill:var(--green-bg)}.event.delivered text{fill:var(--green)}
.event.delivered circle{fill:var(--green)}
.event.denied rect{fill:var(--red-bg)}.event.denied text{fill:var(--red)}
.event.denied circle{fill:var(--red)}
.event.unknown rect{fill:var(--amber-bg)}.event.unknown text{fill:var(--amber)}
.event.unknown circle{fill:var(--amber)}
.event.trouble rect{fill:var(--trouble-bg)}.event.trouble text{fill:var(--trouble)}
.event.trouble circle{fill:var(--trouble)}
.event.named rect{stroke:var(--red);stroke-width:1.5}
.arrow{stroke:var(--request);stroke-width:1.6;marker-end:url(#head)}
.arrow.answer{stroke:var(--answer);stroke-dasharray:5 3}
.arrow.small{stroke:var(--line);stroke-width:1.2}
.arrow.lost{stroke:var(--red);marker-end:none}
svg .cross{fill:var(--red);font-weight:700;text-anchor:middle}
rect.verdict{fill:var(--red-bg);stroke:var(--red)}svg text.verdict{fill:var(--red);font-weight:650}
";
