//! A plan and what became of it, in lines.

use core::fmt::Write as _;

use super::{
    differ::words,
    judge::{kind_of, who},
    plan::{Plan, Produce, Step},
    transcript::Transcript,
};
use crate::batch::advance;

/// How many bytes of a request are shown.
const MOST_BYTES: usize = 160;

/// Tells what was asked and what came back; beside that, what another broker did.
#[must_use]
pub fn story(plan: &Plan, seen: &Transcript, other: Option<(&str, &Transcript)>) -> String {
    let mut text = String::new();
    for (at, step) in plan.steps.iter().enumerate() {
        let Some(asked) = seen.asked.get(at) else {
            break;
        };
        let version =
            if asked.version < 0 { String::new() } else { format!(" v{}", asked.version) };
        let place = if asked.at.is_empty() { String::new() } else { format!(" at {}", asked.at) };
        let _ = write!(text, "  {:>2}. {}{version}{place}", at + 1, told(step));
        text.push('\n');
        if !asked.bytes.is_empty() {
            let _ = writeln!(text, "        {}", hex(&asked.bytes));
        }
        let _ = writeln!(text, "        -> {}", words(&asked.outcome, true));
        if let Some((name, other)) = other
            && let Some(other) = other.asked.get(at)
            && other.outcome != asked.outcome
        {
            let _ = writeln!(text, "        -> {name}: {}", words(&other.outcome, true));
        }
    }
    for (partition, log) in seen.logs.iter().filter(|(_, log)| !log.is_empty()) {
        let _ = writeln!(text, "  The log of partition {partition}, as it was read back:");
        for logged in log {
            let batch = &logged.batch;
            let last = batch.next_offset().saturating_sub(1);
            let _ = write!(text, "      offsets {}..{last}  {}", batch.base_offset, who(logged));
            if batch.producer_id >= 0 {
                let (first, end) = (batch.sequence, batch.last_sequence());
                let _ = write!(text, "  epoch {}  sequences {first}..{end}", batch.epoch);
            }
            let values = batch.values.iter().flatten().map(|value| String::from_utf8_lossy(value));
            let _ = writeln!(text, "  {}", values.collect::<Vec<_>>().join(" "));
        }
    }
    text
}

/// Bytes, as far as somebody may want to look at them; the plan has them all.
fn hex(bytes: &[u8]) -> String {
    let shown = bytes.get(..MOST_BYTES).unwrap_or(bytes);
    let mut text = shown.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    if shown.len() < bytes.len() {
        let _ = write!(text, "… ({} bytes)", bytes.len());
    }
    text
}

fn told(step: &Step) -> String {
    let Step::Produce(made) = step else {
        return kind_of(step);
    };
    let Produce { partition, epoch, sequence, records, id, connection, acks, .. } = made;
    let end = advance(*sequence, records.saturating_sub(1));
    let what = match made.producer {
        Some(number) => {
            format!("P{number}, epoch {epoch}, sequences {sequence}..{end}, batch {id}")
        }
        None => format!("{records} records, batch {id}"),
    };
    let how = format!("partition {partition}, acks {acks}, connection {connection}");
    format!("{} ({what}; {how})", kind_of(step))
}
