//! `ottla-fuzz broker`.

use core::{net::SocketAddr, time::Duration};
use std::{
    fs,
    process::{self, ExitCode},
};

use anyhow::{Context as _, Result, ensure};
use ottla_fuzz::{
    broker::{Bounds, Brokers, Kinds, Plan, Session, fuzz, replay},
    peer::{Manners, Peer, Ranges},
    report::{Finding, Report},
};
use ottla_model::{ClusterConfig, Planted, TopicConfig, serve::Server};
use serde_json::json;

use crate::args::{Broker, Kind};

/// An hour, as Kafka has it by default.
const AHEAD: i64 = 3_600_000;

pub(crate) fn run(args: &Broker) -> Result<ExitCode> {
    let of_model = args.bootstrap == "model";
    ensure!(args.plant.is_none() || of_model, "--plant is for --bootstrap model");
    let manners = Manners {
        answer_within: Duration::from_millis(args.answer_within),
        may_be_remote: args.it_is_mine,
    };
    let planted = args.plant.map(Planted::from);
    let (one, _server) = peer(&args.bootstrap, "the broker", planted, args, manners)?;
    let other = args.against.as_deref();
    let other = other.map(|other| peer(other, other, None, args, manners)).transpose()?;
    let mut ranges = one.ranges().clone();
    if let Some((other, _)) = &other {
        ranges = both(&ranges, other.ranges());
    }
    ensure!(ranges.contains_key(&0), "the two have no version of Produce in common");
    // Names that no earlier run has used, so that two runs never meet.
    let prefix = format!("{}-{:x}", args.topic_prefix, process::id());
    let begin =
        |peer, ranges| Session::new(peer, &prefix, args.partitions, ranges, manners.answer_within);
    let mut one = begin(one, ranges.clone())?;
    let mut other = other.map(|(peer, server)| anyhow::Ok((begin(peer, ranges)?, server)));
    let mut other = other.take().transpose()?;
    if !one.peer().can_be_read() {
        eprintln!("ottla-fuzz: the broker has no Fetch that is known here: its log is not judged");
    }
    let bounds = Bounds {
        sequences: args.sequences,
        time: Duration::from_secs(args.seconds),
        steps: args.steps.into(),
        shrink_runs: args.shrink_runs,
        shrink_time: Duration::from_secs(args.shrink_seconds),
        findings: args.findings.into(),
    };
    let mut told = 0;
    let tell = |finding: &Finding| {
        told += 1;
        println!("{}", finding.text(told));
    };
    let brokers = Brokers { one: &mut one, other: other.as_mut().map(|(session, _)| session) };
    let fuzzed = match &args.replay {
        Some(file) => replay(brokers, plans(file)?, bounds, tell),
        None => fuzz(brokers, args.seed, kinds(&args.only), bounds, tell),
    };
    if !args.keep_topics {
        // A broker inside is gone with its topics.
        if !of_model {
            clean_up(&mut one);
        }
        if let Some((other, None)) = &mut other {
            clean_up(other);
        }
    }
    let fuzzed = fuzzed?;
    let report = Report {
        by: format!("ottla-fuzz {}", env!("CARGO_PKG_VERSION")),
        target: args.bootstrap.clone(),
        against: args.against.clone(),
        done: json!({
            "first_seed": args.seed,
            "sequences": fuzzed.sequences,
            "requests": fuzzed.requests,
            "seconds": fuzzed.elapsed.as_secs_f64(),
            "batches_sent_and_acknowledged": fuzzed.batches,
            "spoilt": fuzzed.spoilt,
        }),
        findings: fuzzed.findings,
    };
    if let Some(file) = &args.report {
        let text = serde_json::to_string_pretty(&report)?;
        fs::write(file, text + "\n").with_context(|| format!("--report {}", file.display()))?;
    }
    let seconds = fuzzed.elapsed.as_secs_f64();
    println!(
        "sequences={} requests={} elapsed_s={seconds:.1} {}",
        fuzzed.sequences,
        fuzzed.requests,
        report.summary()
    );
    Ok(ExitCode::from(report.exit_code()))
}

/// A broker at an address, or one inside, which lives as long as what is returned beside it.
fn peer(
    address: &str,
    name: &str,
    planted: Option<Planted>,
    args: &Broker,
    manners: Manners,
) -> Result<(Peer, Option<Server>)> {
    if address != "model" {
        return Ok((Peer::new(address, name, manners)?, None));
    }
    let config = ClusterConfig {
        default_partitions: args.partitions.unsigned_abs(),
        topic: TopicConfig { timestamp_after_max_ms: Some(AHEAD), ..TopicConfig::default() },
        planted,
        ..ClusterConfig::to_serve()
    };
    let server = Server::start(&[SocketAddr::from(([127, 0, 0, 1], 0))], config)?;
    let peer = Peer::new(&server.bootstrap_servers(), name, manners)?;
    Ok((peer, Some(server)))
}

fn both(one: &Ranges, other: &Ranges) -> Ranges {
    one.iter().filter_map(|(key, range)| Some((*key, range.meet(*other.get(key)?)?))).collect()
}

fn kinds(only: &[Kind]) -> Kinds {
    let has = |kind| only.is_empty() || only.contains(&kind);
    Kinds { chains: has(Kind::Chains), valid: has(Kind::Valid), spoilt: has(Kind::Spoilt) }
}

/// The plans of a report's findings, or a single one.
fn plans(file: &std::path::Path) -> Result<Vec<Plan>> {
    let what = || format!("--replay {}", file.display());
    let text = fs::read_to_string(file).with_context(what)?;
    let read: serde_json::Value = serde_json::from_str(&text).with_context(what)?;
    let plans = match read.get("findings").and_then(|findings| findings.as_array()) {
        Some(findings) => findings.iter().filter_map(|of| of.get("plan")).cloned().collect(),
        None => vec![read],
    };
    plans.into_iter().map(|plan| serde_json::from_value(plan).with_context(what)).collect()
}

fn clean_up(session: &mut Session) {
    match session.clean_up() {
        Ok(0) => {}
        Ok(left) => eprintln!("ottla-fuzz: {left} topics are left on {}", session.peer()),
        Err(error) => eprintln!("ottla-fuzz: topics are left on {}: {error:#}", session.peer()),
    }
}
