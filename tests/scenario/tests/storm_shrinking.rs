//! A storm that fails is made small and drawn. To see that, something must fail: brokers that write
//! duplicates, judged as if they did not.

use std::path::Path;

use ottla_core::{Acks, Config};
use ottla_model::Duplicates;
use ottla_scenario::{
    Laws,
    storm::{self, Plan, Shrunk},
    trace::{Lane, Page, Trace},
};

/// A seed's storm with brokers that look at no sequence, judged by all laws.
fn wrong(seed: u64) -> Plan {
    let plan = Plan::of(seed);
    let mut cluster = plan.cluster.clone();
    cluster.duplicates = Duplicates::AppendedAgain;
    let config = Config { enable_idempotence: true, acks: Acks::All, ..plan.config };
    Plan { cluster, config, laws: Laws::ALL, ..plan }
}

/// The first seeds that write a record twice, made small.
fn written_twice() -> impl Iterator<Item = (u64, Shrunk)> {
    let plans = (0..200).map(|seed| (seed, wrong(seed)));
    let twice = plans.filter(|(_, plan)| {
        let result = storm::attempt(plan, None);
        result.is_err_and(|broken| broken.law == "record # is in the log at")
    });
    twice.map(|(seed, plan)| (seed, storm::shrink(&plan).expect("it fails each time")))
}

#[test]
fn a_storm_that_writes_a_record_twice_shrinks_to_a_few_steps() {
    let mut count = 0;
    for (seed, shrunk) in written_twice().take(4) {
        count += 1;
        let steps: Vec<String> = shrunk.plan.steps.iter().map(ToString::to_string).collect();
        // A record, something that takes its answer away, and what that may need.
        assert!(steps.len() <= 5, "seed {seed}: {steps:#?}");
        assert!(steps.iter().any(|step| step.starts_with("produce")), "seed {seed}: {steps:#?}");
        assert_eq!(shrunk.broken.law, "record # is in the log at");
        // The same plan is the same run.
        let again = storm::attempt(&shrunk.plan, None).expect_err("it fails each time");
        assert_eq!(again, shrunk.broken);
        // And no step is there for nothing.
        for place in 0..steps.len() {
            let mut less = shrunk.plan.clone();
            less.steps.remove(place);
            let law = storm::attempt(&less, None).err().map(|broken| broken.law);
            assert_ne!(law, Some(shrunk.broken.law.clone()), "seed {seed} without {place}");
        }
    }
    assert_eq!(count, 4, "seeds that fail");
}

#[test]
fn a_failing_storm_is_told_in_lines_and_drawn_with_all_lanes() {
    let (seed, _) = written_twice().next().expect("a seed that fails");
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shrink");
    let replay = storm::replay(&wrong(seed), &directory, false);
    let shrunk = replay.failed.expect("it fails");
    let [named] = shrunk.broken.records()[..] else { panic!("{:?}", shrunk.broken) };
    for lane in ["client", "network", "broker"] {
        assert!(replay.story.contains(lane), "{}", replay.story);
    }
    assert!(replay.story.contains(&format!("record {named} is in the log at")));
    let page = std::fs::read_to_string(directory.join(format!("seed-{seed}.html")));
    let page = page.expect("a page");
    for part in [
        &format!("✕ record {named} is in the log at"),
        "Law 2, true: a record is in the log once at most.",
        "client</span>",
        "network</span>",
        "broker 1</span>",
        "broker 2</span>",
        "broker 3</span>",
        "class='arrow request'",
        "class='arrow answer",
        "class='event delivered named'",
        "prefers-color-scheme:dark",
    ] {
        assert!(page.contains(part), "{part} is not on the page");
    }
    for outside in ["http:", "https:", "src=", "@import"] {
        assert!(!page.contains(outside), "{outside} is on the page");
    }
}

#[test]
fn a_trace_changes_nothing_and_follows_every_message() {
    for seed in 0..20 {
        let plan = Plan::of(seed);
        let trace = Trace::recorder();
        let told = storm::attempt(&plan, Some(trace.clone())).expect("every law holds");
        assert_eq!(Some(told), storm::attempt(&plan, None).ok(), "seed {seed}");
        let trace = trace.borrow();
        let times = trace.events.windows(2).all(|two| two[0].at <= two[1].at);
        assert!(times, "seed {seed}: time runs backwards");
        let left: Vec<_> = trace.events.iter().flat_map(|event| event.leaves.clone()).collect();
        for event in &trace.events {
            for leg in &event.arrives {
                let known = left.contains(leg);
                assert!(known, "seed {seed}: {leg:?} arrives and never left: {event:?}");
            }
            let broker = matches!(event.lane, Lane::Broker(_));
            assert!(!broker || event.loses.is_empty(), "what is lost is lost on the way");
        }
        let page = Page { title: "all".to_owned(), nodes: vec![1, 2, 3], ..Page::default() };
        assert!(page.html(&trace).ends_with("</html>\n"));
    }
}
