//! Breadth first through all states, each reached by the shortest way.

use core::{fmt, panic::AssertUnwindSafe};
use std::{collections::HashSet, panic::catch_unwind};

use crate::{Action, World, ledger::Said};

/// What is searched.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Records that the application produces.
    pub records: u8,
    /// How many things may go wrong.
    pub troubles: u8,
    /// How many times the application cancels or the clock comes to a deadline.
    pub impatience: u8,
    /// The core does not resolve what it told to be unknown.
    pub abandon: bool,
    /// Records that wait share a batch.
    pub shared_batches: bool,
    /// The broker takes only 0 as the first sequence of a new log.
    pub zero_first: bool,
    /// The leader confirms what the other node may lack: an unclean election can then lose it.
    pub unclean: bool,
    /// The leader may forget every producer, between any two events. What is sent again may then be
    /// written again, and overtake: that is not held against the core.
    pub forgetful: bool,
    /// The sequences begin just before they wrap.
    pub near_wrap: bool,
    /// The longest way.
    pub depth: usize,
    /// The most states.
    pub states: usize,
}

impl Default for Scope {
    fn default() -> Self {
        Self {
            records: 3,
            troubles: 2,
            impatience: 1,
            abandon: false,
            shared_batches: false,
            zero_first: false,
            unclean: false,
            forgetful: false,
            near_wrap: false,
            depth: usize::MAX,
            states: usize::MAX,
        }
    }
}

/// What a search saw.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// States that differ.
    pub states: usize,
    /// Steps from one to another.
    pub transitions: usize,
    /// The longest of the shortest ways.
    pub depth: usize,
    /// No state is left out.
    pub complete: bool,
    /// Of all records in all states, once all went well again: how many were told `Delivered`,
    /// `NotDelivered`, `Unknown` last.
    pub last_words: [usize; 3],
    /// The first law broken, and the shortest way there.
    pub violation: Option<Violation>,
}

/// A broken law.
#[derive(Clone, Debug)]
pub struct Violation {
    /// How it is broken.
    pub how: String,
    /// The way there.
    pub path: Vec<Action>,
    /// It showed only when all was well again.
    pub after_all: bool,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.how)?;
        for (number, action) in (1..).zip(&self.path) {
            writeln!(f, "  {number:2}. {action}")?;
        }
        if self.after_all {
            writeln!(f, "      and then all goes well")?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [delivered, not_delivered, unknown] = self.last_words;
        write!(
            f,
            "{} states, {} transitions, depth {}{}; last words: {delivered} delivered, \
             {not_delivered} not delivered, {unknown} unknown",
            self.states,
            self.transitions,
            self.depth,
            if self.complete { ", complete" } else { ", not complete" }
        )
    }
}

/// A state, by the way to it.
#[derive(Clone, Copy, Debug)]
struct Node {
    parent: u32,
    action: Action,
}

/// Searches through a scope, until a law is broken.
///
/// The core cannot be copied, so every state is reached anew from the beginning.
#[must_use]
pub fn search(scope: &Scope) -> Report {
    let mut report = Report { states: 1, complete: true, ..Report::default() };
    let mut seen = HashSet::from([World::new(scope).fingerprint()]);
    let mut nodes: Vec<Node> = vec![Node { parent: 0, action: Action::Produce }];
    let mut level = 0..1;
    while !level.is_empty() && report.depth < scope.depth {
        let next = nodes.len();
        for number in level {
            let path = path_to(&nodes, number);
            let choices = match guarded(scope, &path, |world| world.choices()) {
                Ok(choices) => choices,
                Err(violation) => return Report { violation: Some(violation), ..report },
            };
            for action in choices {
                let path = [&path[..], &[action]].concat();
                report.transitions += 1;
                let visit = |world: &mut World<'_>| {
                    let fingerprint = world.fingerprint();
                    let fresh = seen.insert(fingerprint);
                    if fresh && world.ledger.broken.is_none() {
                        world.quiesce(fingerprint & 1 == 0);
                        count(world, scope, &mut report.last_words);
                    }
                    fresh
                };
                match guarded(scope, &path, visit) {
                    Ok(true) => nodes.push(Node { parent: number as u32, action }),
                    Ok(false) => {}
                    Err(violation) => return Report { violation: Some(violation), ..report },
                }
            }
            if nodes.len() >= scope.states {
                return Report { states: nodes.len(), complete: false, ..report };
            }
        }
        level = next..nodes.len();
        report.depth += usize::from(!level.is_empty());
        report.states = nodes.len();
        report.complete = level.is_empty();
    }
    report
}

fn path_to(nodes: &[Node], mut number: usize) -> Vec<Action> {
    let mut path = Vec::new();
    while number > 0 {
        path.push(nodes[number].action);
        number = nodes[number].parent as usize;
    }
    path.reverse();
    path
}

/// Goes a way, and does something at its end. A panic of the core breaks a law too.
fn guarded<T>(
    scope: &Scope,
    path: &[Action],
    f: impl FnOnce(&mut World<'_>) -> T,
) -> Result<T, Violation> {
    let mut after_all = false;
    let run = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(scope);
        for action in path {
            world.apply(*action);
        }
        after_all = world.ledger.broken.is_none();
        let result = f(&mut world);
        (result, world.ledger.broken)
    }));
    let how = match run {
        Ok((result, None)) => return Ok(result),
        Ok((_, Some(how))) => how,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
            format!("panic: {}", text.unwrap_or_default())
        }
    };
    Err(Violation { how, path: path.to_vec(), after_all })
}

fn count(world: &World<'_>, scope: &Scope, words: &mut [usize; 3]) {
    for entry in world.ledger.entries.iter().take(scope.records.into()) {
        match entry.said {
            Said::Delivered(_) => words[0] += 1,
            Said::NotDelivered => words[1] += 1,
            Said::Unknown => words[2] += 1,
            Said::Nothing | Said::UnknownYet => {}
        }
    }
}
