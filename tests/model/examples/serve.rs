//! Serves a cluster until its standard input ends, to try clients against.
//!
//! `cargo run -p ottla-model --example serve -- 127.0.0.1:9092 127.0.0.1:9093`: a node for each
//! address. Prints what the cluster has seen.

use std::{env, error::Error, io, net::SocketAddr};

use ottla_model::{ClusterConfig, Storage, serve::Server};

fn main() -> Result<(), Box<dyn Error>> {
    let listen = env::args()
        .skip(1)
        .map(|address| address.parse())
        .collect::<Result<Vec<SocketAddr>, _>>()?;
    let config = ClusterConfig {
        storage: Storage::Newest { bytes: 256 << 20 },
        default_partitions: 6,
        ..ClusterConfig::default()
    };
    let server = Server::start(&listen, config)?;
    println!("{}", server.bootstrap_servers());
    io::copy(&mut io::stdin(), &mut io::sink())?;
    server.with_cluster(|cluster| {
        for topic in cluster.topics() {
            for partition in
                (0..).take_while(|p| i64::from(*p) < i64::from(cluster.partitions(topic)))
            {
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
