//! `ottla-fuzz client`.

use core::{net::SocketAddr, time::Duration};
use std::{
    collections::BTreeMap,
    fs,
    net::ToSocketAddrs as _,
    process::{self, ExitCode},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use ottla_fuzz::{
    client::{Bounds, Episode, judge, kill_running, run as episode},
    report::{Finding, Report},
};
use serde_json::json;

use crate::args::Client;

/// As a shell has it for SIGINT.
const INTERRUPTED: i32 = 130;

pub(crate) fn run(args: &Client) -> Result<ExitCode> {
    let listen: SocketAddr = args
        .listen
        .to_socket_addrs()
        .with_context(|| format!("--listen {}", args.listen))?
        .next()
        .with_context(|| format!("--listen {}: it has no address", args.listen))?;
    ensure!(
        args.it_is_mine || listen.ip().is_loopback(),
        "--listen {}: others could come to it; --it-is-mine says that the network is your own",
        args.listen
    );
    let bounds = Bounds {
        begin_within: Duration::from_secs(args.begin_within),
        calm: Duration::from_millis(500),
        storm: Duration::from_secs(args.storm_seconds),
        recover_within: Duration::from_secs(args.recover_within),
        rss_mib: args.rss_mib,
        idle_per_second: args.idle_per_second,
    };
    ctrlc::set_handler(|| {
        kill_running();
        process::exit(INTERRUPTED);
    })?;
    let begin = Instant::now();
    let mut findings: Vec<Finding> = Vec::new();
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    let mut numbers = Vec::new();
    for seed in args.seed..args.seed.saturating_add(args.episodes) {
        if begin.elapsed() >= Duration::from_secs(args.seconds) {
            break;
        }
        let it = Episode {
            seed,
            listen,
            nodes: args.nodes,
            partitions: args.partitions,
            topic: args.topic.clone(),
            command: args.command.clone(),
            quiet: args.quiet,
        };
        let seen = episode(&it, bounds)?;
        let recovered = seen.recovered_after.map_or(-1.0, |after| after.as_secs_f64());
        println!(
            "episode seed={seed} acknowledged={} logged={} attempts={} connections_and_idle_requests={} \
             recovered_s={recovered:.1} rss_mib={}",
            seen.acknowledged.len(),
            seen.logged.len(),
            seen.heard.attempts.all().len(),
            seen.heard.idle.len(),
            seen.rss_mib.map_or_else(|| "?".to_owned(), |mib| mib.to_string()),
        );
        numbers.push(json!({
            "seed": seed,
            "acknowledged": seen.acknowledged.len(),
            "logged": seen.logged.len(),
            "attempts": seen.heard.attempts.all().len(),
            "requests": seen.heard.requests,
            "recovered_s": seen.recovered_after.map(|after| after.as_secs_f64()),
            "rss_mib": seen.rss_mib,
            "acts": seen.done,
            "spoilt": seen.heard.spoilt,
        }));
        for broken in judge(&seen, bounds) {
            if let Some(finding) = known.get(broken.law.name()).and_then(|at| findings.get_mut(*at))
            {
                finding.times += 1;
                continue;
            }
            let finding = Finding {
                signature: broken.law.name().to_owned(),
                severity: broken.law.severity(),
                law: broken.law.words().to_owned(),
                what: broken.what,
                seed,
                steps: (seen.done.len(), seen.done.len()),
                runs: 0,
                times: 1,
                story: broken.story,
                plan: json!({ "seed": seed, "nodes": args.nodes, "partitions": args.partitions }),
            };
            known.insert(broken.law.name(), findings.len());
            println!("{}", finding.text(findings.len() + 1));
            findings.push(finding);
        }
    }
    let count = numbers.len();
    let report = Report {
        by: format!("ottla-fuzz {}", env!("CARGO_PKG_VERSION")),
        target: args.command.join(" "),
        against: None,
        done: json!({ "seconds": begin.elapsed().as_secs_f64(), "episodes": numbers }),
        findings,
    };
    if let Some(file) = &args.report {
        let text = serde_json::to_string_pretty(&report)?;
        fs::write(file, text + "\n").with_context(|| format!("--report {}", file.display()))?;
    }
    let seconds = begin.elapsed().as_secs_f64();
    println!("episodes={} elapsed_s={seconds:.1} {}", count, report.summary());
    Ok(ExitCode::from(report.exit_code()))
}
