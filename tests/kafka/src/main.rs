//! `ottla-kafka`: brings a real Kafka up to try things against.
#![forbid(unsafe_code)]
#![allow(unused_crate_dependencies, reason = "those of the library")]

use std::{io::Read as _, sync::mpsc};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use ottla_kafka::{Cluster, Config, NEWEST, VERSIONS};
use serde_json::json;

/// A real Kafka on loopback, for tests.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Brings a cluster up, prints one line of JSON with its addresses, and takes it down again at
    /// the end of standard input or on SIGINT or SIGTERM.
    Up(Up),
    /// Prints the versions of Kafka that are tested, oldest first.
    Versions,
}

#[derive(Debug, clap::Args)]
struct Up {
    /// The version of Kafka.
    #[arg(long, default_value = NEWEST)]
    version: String,
    /// How many nodes.
    #[arg(long, default_value_t = 1)]
    nodes: usize,
    /// A topic to create.
    #[arg(long = "topic", value_name = "NAME:PARTITIONS:REPLICATION", value_parser = topic)]
    topics: Vec<Topic>,
    /// A line for server.properties.
    #[arg(long = "property", value_name = "NAME=VALUE", value_parser = property)]
    properties: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
struct Topic {
    name: String,
    partitions: i32,
    replication: i16,
}

fn topic(text: &str) -> Result<Topic> {
    let mut fields = text.rsplitn(3, ':');
    let mut field = || fields.next().context("a topic is NAME:PARTITIONS:REPLICATION");
    let replication = field()?.parse()?;
    let partitions = field()?.parse()?;
    Ok(Topic { name: field()?.to_owned(), partitions, replication })
}

fn property(text: &str) -> Result<(String, String)> {
    let (name, value) = text.split_once('=').context("a property is NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Up(up) => self::up(up),
        Command::Versions => {
            VERSIONS.iter().for_each(|version| println!("{version}"));
            Ok(())
        }
    }
}

fn up(up: Up) -> Result<()> {
    // Heard from the beginning, and acted on once the cluster is up.
    let (sender, ends) = mpsc::channel();
    let signalled = sender.clone();
    ctrlc::set_handler(move || {
        let _ = signalled.send(());
    })?;
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().by_ref(), &mut std::io::sink());
        let _ = sender.send(());
    });
    let mut config = Config::new(&up.version, up.nodes)?;
    config.properties = up.properties;
    let cluster = Cluster::start(&config)?;
    for topic in &up.topics {
        cluster.create_topic(&topic.name, topic.partitions, topic.replication, &[])?;
    }
    let addresses = json!({
        "version": config.version.to_string(),
        "nodes": cluster.node_ids(),
        "bootstrap": cluster.bootstrap(),
        "proxied_bootstrap": cluster.proxied_bootstrap(),
        "dir": cluster.dir(),
    });
    println!("{addresses}");
    ends.recv()?;
    Ok(())
}
