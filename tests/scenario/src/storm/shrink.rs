//! A storm that breaks a law is made as small as it can be and still break it.

use core::{any::Any, cell::Cell, fmt, time::Duration};
use std::{panic, sync::Once};

use super::{
    plan::{End, Plan, Step, What},
    run::attempt,
};

/// A law that was broken, in the words of the panic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// What was said.
    pub message: String,
    /// Which law it was: the same for all records and numbers.
    pub law: String,
}

impl Broken {
    /// From what a panic left.
    #[must_use]
    pub fn of(payload: Box<dyn Any + Send>) -> Self {
        let message = match payload.downcast::<String>() {
            Ok(message) => *message,
            Err(payload) => match payload.downcast::<&str>() {
                Ok(message) => (*message).to_owned(),
                Err(_) => "a panic without a word".to_owned(),
            },
        };
        Self { law: law_of(&message), message }
    }

    /// What the law says, for people.
    #[must_use]
    pub fn means(&self) -> &'static str {
        MEANINGS
            .iter()
            .find(|(part, _)| self.law.contains(part))
            .map_or("The core, or the world around it, failed an assertion.", |(_, meaning)| {
                meaning
            })
    }

    /// The numbers of the records that it names.
    #[must_use]
    pub fn records(&self) -> Vec<u64> {
        let line = self.message.lines().next().unwrap_or_default();
        let named = line.split("record ").skip(1);
        let digits = named.map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
        digits.filter_map(|digits| digits?.parse().ok()).collect()
    }
}

/// What a law's words stand for.
const MEANINGS: [(&str, &str); 27] = [
    ("is in the log at", "Law 2, true: a record is in the log once at most."),
    (
        "was delivered",
        "Law 2, true: what was delivered is in the log, at the offset that was said.",
    ),
    ("should lie at offset", "Law 2, true: what was delivered lies at the offset that was said."),
    ("was not delivered", "Law 2, true: what was not delivered is not in the log, ever."),
    ("overtook record", "Law 2, true: a partition's records lie in the order of their making."),
    ("late: ", "Law 1, prompt: every record is answered by its deadline."),
    ("no answer at", "Law 1, prompt: every record is answered by its deadline."),
    ("not settled", "The producer comes to an end with everything once all is well again."),
    (
        "do not recover",
        "Once a hostile broker is silent, records come through again within a bounded time.",
    ),
    ("too busy", "Nothing is tried faster than its backoff, whoever lies."),
    ("pages are lost", "Law 5, bounded: memory comes back when its batch is over."),
    ("never comes to rest", "At one instant there is an end to what is to be done."),
    ("about to sleep over", "When there is nothing to do, nothing is left undone."),
    ("after the last output", "After `Closed` there is nothing, no timer either."),
    ("not closed", "A producer that is closed ends by its deadline."),
    ("dialled", "Whoever is dialled has an address, and is dialled once at a time."),
    (
        "is throttled until",
        "Who wants to be left alone for a while is not asked meanwhile (KIP-219).",
    ),
    ("has no answer, and", "Law 1, prompt: every record is answered by its deadline."),
    ("no last word", "Each record has a last word once the producer is closed."),
    ("within the core", "The core's slots agree with each other."),
    ("I1", "I1, no rebinding: a sequence that left belongs to its record for ever."),
    ("I2", "I2, no re-identity: what may be in the log is sent again as it was."),
    ("I3", "I3, fence before reorder: a new epoch begins when the old one is resolved."),
    ("I4", "I4, window: no more than five batches of a partition are in doubt."),
    ("I5", "I5, serial until proven: one in flight until the first acknowledgement."),
    ("I6", "I6, one leader: nothing goes to a new leader while the old one owes an answer."),
    ("I7", "I7, sticky ambiguity: what may be in the log is not denied."),
];

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message.lines().next().unwrap_or_default())
    }
}

/// Which law a panic's words are about: its first words, without what differs from run to run.
#[must_use]
pub fn law_of(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let line = line.trim_start_matches("assertion `left == right` failed: ");
    let line = line.strip_prefix("assertion failed: ").unwrap_or(line);
    let invariant = line.get(..2).filter(|_| line.get(2..4) == Some(": "));
    let words = match invariant {
        Some(invariant) => invariant,
        None => line.split(['[', '{', '(']).next().unwrap_or_default(),
    };
    let mut law = String::new();
    let is_invariant = invariant.is_some();
    for c in words.chars() {
        match c {
            '0'..='9' if is_invariant => law.push(c),
            '0'..='9' if law.ends_with('#') => {}
            '0'..='9' => law.push('#'),
            c => law.push(c),
        }
    }
    law.trim().to_owned()
}

/// A storm that was made smaller.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// What is left of it.
    pub plan: Plan,
    /// How it fails.
    pub broken: Broken,
    /// How many runs it took.
    pub runs: u32,
}

/// The most runs that a storm is made smaller by.
const RUNS: u32 = 4_000;
/// No new run is begun after this time.
const TIME: Duration = Duration::from_secs(30);

/// Makes a storm smaller for as long as it breaks the same law; `None` where it breaks none.
#[must_use]
pub fn shrink(plan: &Plan) -> Option<Shrunk> {
    let broken = attempt(plan, None).err()?;
    let mut shrinker = Shrinker::new(Shrunk { plan: plan.clone(), broken, runs: 1 });
    // What is made simpler may let more steps go.
    loop {
        let before = shrinker.size();
        shrinker.drop_steps();
        shrinker.simplify();
        if shrinker.size() >= before {
            return Some(shrinker.best);
        }
    }
}

struct Shrinker {
    best: Shrunk,
    #[allow(clippy::disallowed_types, reason = "people wait for it")]
    since: std::time::Instant,
}

impl Shrinker {
    #[allow(clippy::disallowed_methods, reason = "people wait for it")]
    fn new(best: Shrunk) -> Self {
        Self { best, since: std::time::Instant::now() }
    }

    /// Whether a smaller plan breaks the same law; then it is the best one.
    fn holds(&mut self, plan: Plan) -> bool {
        if self.best.runs >= RUNS || self.since.elapsed() > TIME {
            return false;
        }
        self.best.runs += 1;
        match attempt(&plan, None) {
            Err(broken) if broken.law == self.best.broken.law => {
                self.best.plan = plan;
                self.best.broken = broken;
                true
            }
            _ => false,
        }
    }

    /// How much there is to read.
    fn size(&self) -> usize {
        let plan = &self.best.plan;
        let size = |step: &Step| 1 + step.what.records() + step.what.times() as usize;
        plan.steps.iter().map(size).sum::<usize>() + plan.first.len()
    }

    /// Leaves steps out, half of them at first and then fewer at a time (ddmin).
    fn drop_steps(&mut self) {
        let mut chunk = self.best.plan.steps.len().div_ceil(2);
        while chunk > 0 {
            let mut end = self.best.plan.steps.len();
            while end > 0 {
                // From the end: what comes late depends on what came before.
                let start = end.saturating_sub(chunk);
                let mut plan = self.best.plan.clone();
                // The time passes all the same, at first.
                let pause = plan.steps.drain(start..end).map(|step| step.pause).sum::<Duration>();
                let mut waits = plan.clone();
                match start.checked_sub(1) {
                    Some(before) => waits.steps[before].pause += pause,
                    None => waits.steps.insert(0, Step { what: What::Flush, pause }),
                }
                let waits_less = waits.steps.len() < self.best.plan.steps.len();
                let _ = self.holds(plan) || (waits_less && self.holds(waits));
                end = start;
            }
            chunk = if chunk == 1 { 0 } else { chunk.div_ceil(2) };
        }
    }

    /// Makes what is left simpler.
    fn simplify(&mut self) {
        self.try_with(|plan| plan.first.clear());
        self.try_with(|plan| plan.end = End::Healed);
        self.try_with(|plan| plan.leaders.truncate(1));
        self.try_with(|plan| plan.connections = plan.connections.max(4));
        self.try_with(|plan| {
            let config = plan.config;
            plan.config = ottla_core::Config {
                enable_idempotence: config.enable_idempotence,
                acks: config.acks,
                delivery_timeout: config.delivery_timeout,
                resolve_timeout: config.resolve_timeout,
                request_timeout: config.request_timeout,
                linger: Duration::ZERO,
                ..ottla_core::Config::default()
            };
        });
        for place in 0..self.best.plan.steps.len() {
            self.try_with(|plan| plan.steps[place].pause = Duration::ZERO);
            self.try_with(|plan| {
                plan.steps[place].pause = plan.steps[place].pause.min(Duration::from_millis(1));
            });
            self.try_with(|plan| {
                let what = &mut plan.steps[place].what;
                if let What::Produce(records) = what {
                    records.truncate(1);
                } else if let What::Fault(fault) = what {
                    fault.times = 1;
                }
            });
            let many = self.best.plan.steps[place].what.records();
            for record in (0..many).rev() {
                self.try_with(|plan| {
                    if let What::Produce(records) = &mut plan.steps[place].what
                        && records.len() > 1
                        && record < records.len()
                    {
                        records.remove(record);
                    }
                });
            }
            self.try_with(|plan| {
                if let What::Produce(records) = &mut plan.steps[place].what {
                    for (partition, len) in records {
                        *partition = Some(0);
                        *len = 8;
                    }
                }
            });
        }
    }

    fn try_with(&mut self, change: impl FnOnce(&mut Plan)) {
        let mut plan = self.best.plan.clone();
        change(&mut plan);
        // A plan is nothing but data, and its words are all of it.
        if format!("{plan:?}") != format!("{:?}", self.best.plan) {
            self.holds(plan);
        }
    }
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Does something whose panics are expected, and prints none of them.
pub fn quietly<T>(what: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                before(info);
            }
        }));
    });
    let before = QUIET.replace(true);
    let result = what();
    QUIET.set(before);
    result
}
