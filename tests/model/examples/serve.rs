//! Serves a cluster until its standard input ends, to try clients against.
//!
//! `cargo run -p ottla-model --example serve -- 127.0.0.1:9092 127.0.0.1:9093`: a node for each
//! address. Prints what the cluster has seen.

use core::{error::Error, net::SocketAddr};
use std::{env, io};

use ottla_model::{ClusterConfig, serve::Server};

fn main() -> Result<(), Box<dyn Error>> {
    let listen = env::args()
        .skip(1)
        .map(|address| address.parse())
        .collect::<Result<Vec<SocketAddr>, _>>()?;
    let config = ClusterConfig { default_partitions: 6, ..ClusterConfig::to_serve() };
    let server = Server::start(&listen, config)?;
    println!("{}", server.bootstrap_servers());
    io::copy(&mut io::stdin(), &mut io::sink())?;
    server.with_cluster(|cluster| {
        for topic in cluster.topics() {
            for partition in (0..).take(cluster.partitions(topic) as usize) {
                let counts = cluster.counts(topic, partition);
                println!("{topic} {partition} {counts:?}");
                for record in cluster.log(topic, partition).take(3) {
                    println!("  {record:?}");
                }
            }
        }
    });
    Ok(())
}
