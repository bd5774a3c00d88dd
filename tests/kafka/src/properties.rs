//! The configuration files of brokers, ZooKeeper and logging.

use core::{fmt::Write as _, net::SocketAddr};

use crate::{Config, Version};

/// How long a broker may be silent before the controller takes its leaderships away, in
/// milliseconds: shorter than Kafka's 9 s so that tests of fail-over are quick, long enough for a
/// busy machine.
pub(crate) const SESSION_TIMEOUT_MS: u32 = 6000;

/// The addresses of one node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    /// The broker's listener PLAINTEXT.
    pub(crate) direct: SocketAddr,
    /// The broker's listener PROXIED, which only the proxy connects to.
    pub(crate) proxied: SocketAddr,
    /// What the listener PROXIED advertises: the proxy.
    pub(crate) advertised: SocketAddr,
    /// The listener of the KRaft controller.
    pub(crate) controller: SocketAddr,
}

/// `server.properties` of the node `id`.
pub(crate) fn server(
    config: &Config,
    id: i32,
    nodes: &[(i32, Addresses)],
    own: Addresses,
    zookeeper: Option<SocketAddr>,
    log_dir: &str,
) -> String {
    let replication = nodes.len().min(3);
    let mut text = format!("listeners=PLAINTEXT://{},PROXIED://{}", own.direct, own.proxied);
    if zookeeper.is_none() {
        let _ = write!(text, ",CONTROLLER://{}", own.controller);
    }
    let _ = write!(
        text,
        "
advertised.listeners=PLAINTEXT://{direct},PROXIED://{advertised}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={log_dir}
offsets.topic.replication.factor={replication}
offsets.topic.num.partitions=1
transaction.state.log.replication.factor={replication}
transaction.state.log.min.isr={min_isr}
transaction.state.log.num.partitions=1
default.replication.factor={replication}
min.insync.replicas={min_isr}
group.initial.rebalance.delay.ms=0
message.max.bytes={max_bytes}
replica.fetch.max.bytes={max_bytes}
auto.create.topics.enable={auto_create}
log.retention.ms=-1
num.network.threads=2
num.io.threads=4
num.recovery.threads.per.data.dir=1
log.cleaner.dedupe.buffer.size=2097152
file.delete.delay.ms=1000
",
        direct = own.direct,
        advertised = own.advertised,
        min_isr = config.min_insync_replicas,
        max_bytes = config.message_max_bytes,
        auto_create = config.auto_create_topics,
    );
    if let Some(zookeeper) = zookeeper {
        let _ = write!(
            text,
            "broker.id={id}\nzookeeper.connect={zookeeper}\n\
             zookeeper.session.timeout.ms={SESSION_TIMEOUT_MS}\n"
        );
    } else {
        let voters: Vec<String> =
            nodes.iter().map(|(id, node)| format!("{id}@{}", node.controller)).collect();
        let _ = write!(
            text,
            "node.id={id}\nprocess.roles=broker,controller\ncontroller.listener.names=CONTROLLER\n\
             controller.quorum.voters={}\nbroker.session.timeout.ms={SESSION_TIMEOUT_MS}\n\
             broker.heartbeat.interval.ms=1000\n",
            voters.join(",")
        );
    }
    // Of a name that is given twice, the last value counts.
    for (name, value) in &config.properties {
        let _ = writeln!(text, "{name}={value}");
    }
    text
}

/// The configuration of a single ZooKeeper.
pub(crate) fn zookeeper(address: SocketAddr, data_dir: &str) -> String {
    format!(
        "dataDir={data_dir}\nclientPortAddress={}\nclientPort={}\ntickTime=500\n\
         maxClientCnxns=0\nadmin.enableServer=false\nminSessionTimeout=1000\n\
         maxSessionTimeout=60000\n",
        address.ip(),
        address.port()
    )
}

/// The name and text of a logging configuration that writes to the file `log` from `level` on, and
/// the option for `java` that names it as `path`.
pub(crate) struct Logging {
    pub(crate) text: String,
    pub(crate) option: String,
}

/// Logging of `version` into the file `log` from `level` on, for a configuration kept at `path`.
pub(crate) fn logging(version: Version, level: &str, log: &str, path: &str) -> Logging {
    if version.has_log4j2() {
        Logging {
            text: format!(
                "rootLogger.level={level}\nrootLogger.appenderRef.file.ref=file\n\
                 appender.file.type=File\nappender.file.name=file\nappender.file.fileName={log}\n\
                 appender.file.layout.type=PatternLayout\n\
                 appender.file.layout.pattern=[%d] %p %m (%c)%n\n"
            ),
            option: format!("-Dlog4j2.configurationFile={path}"),
        }
    } else {
        Logging {
            text: format!(
                "log4j.rootLogger={level},file\nlog4j.appender.file=org.apache.log4j.FileAppender\n\
                 log4j.appender.file.File={log}\n\
                 log4j.appender.file.layout=org.apache.log4j.PatternLayout\n\
                 log4j.appender.file.layout.ConversionPattern=[%d] %p %m (%c)%n\n"
            ),
            option: format!("-Dlog4j.configuration=file:{path}"),
        }
    }
}
