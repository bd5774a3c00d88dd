//! A broker behind a proxy that cuts: a real Kafka, or the model of one.

use core::{net::SocketAddr, time::Duration};
use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use ottla_kafka::{Cluster, Config, FaultProxy, Links, NEWEST};
use ottla_model::{
    ClusterConfig, NodeId, TimestampType, TopicConfig,
    sasl::{Mechanism, SaslConfig, SaslTally},
    serve::Server,
};

/// The topic that readings go to. Its broker says when they came: the device has no clock, and brokers
/// forget a producer by the times of its records.
pub const TOPIC: &str = "readings";
/// How many partitions it has.
pub const PARTITIONS: i32 = 4;

/// Whom a broker with SASL lets in.
pub const USER: &str = "sensor";
/// By this.
pub const PASSWORD: &str = "sensor-secret";
/// How long a session lasts there.
const SESSION: Duration = Duration::from_secs(8);

/// One broker with the topic [`TOPIC`], and a proxy before it.
#[derive(Debug)]
pub enum Broker {
    /// A real one.
    Kafka(Box<Cluster>),
    /// The model, which needs no Java.
    Model(Server, FaultProxy),
}

impl Broker {
    /// A real Kafka of the version in `OTTLA_KAFKA_VERSION`, else the newest.
    ///
    /// # Errors
    /// When it does not start.
    pub fn kafka() -> Result<Self> {
        Self::kafka_of(Self::config()?)
    }

    /// The same, which lets in [`USER`] alone, by PLAIN and by SCRAM, for some seconds at a time.
    ///
    /// # Errors
    /// When it does not start.
    pub fn kafka_with_sasl() -> Result<Self> {
        let module = |name: &str| format!("org.apache.kafka.common.security.{name}LoginModule");
        let plain = format!("{} required user_{USER}=\"{PASSWORD}\";", module("plain.Plain"));
        let scram = format!("{} required;", module("scram.Scram"));
        let mut config = Self::config()?.with(
            "listener.security.protocol.map",
            "PLAINTEXT:PLAINTEXT,PROXIED:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
        );
        for (name, value) in [
            ("sasl.enabled.mechanisms", "PLAIN,SCRAM-SHA-256"),
            ("plain.sasl.jaas.config", &plain),
            ("scram-sha-256.sasl.jaas.config", &scram),
            ("connections.max.reauth.ms", "5000"),
        ] {
            config = config.with(&format!("listener.name.proxied.{name}"), value);
        }
        let broker = Self::kafka_of(config)?;
        if let Self::Kafka(cluster) = &broker {
            cluster.set_scram_password(USER, PASSWORD, 4_096)?;
        }
        Ok(broker)
    }

    fn config() -> Result<Config> {
        let version = std::env::var("OTTLA_KAFKA_VERSION").unwrap_or_else(|_| NEWEST.to_owned());
        Config::new(&version, 1)
    }

    fn kafka_of(config: Config) -> Result<Self> {
        let cluster = Cluster::start(&config)?;
        let by_broker = [("message.timestamp.type", "LogAppendTime")];
        cluster.create_topic(TOPIC, PARTITIONS, 1, &by_broker)?;
        Ok(Self::Kafka(Box::new(cluster)))
    }

    /// The model broker.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn model() -> Result<Self> {
        Self::model_of(ClusterConfig::to_serve())
    }

    /// A model broker that lets in [`USER`] alone, by PLAIN and by SCRAM, for eight seconds at a time.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn model_with_sasl() -> Result<Self> {
        let mechanisms = [Mechanism::Plain, Mechanism::ScramSha256];
        let sasl = SaslConfig::with(&mechanisms).user(USER, PASSWORD).max_reauth(SESSION);
        Self::model_of(ClusterConfig { sasl: Some(sasl), ..ClusterConfig::to_serve() })
    }

    /// What the model broker saw of authentications.
    #[must_use]
    pub fn sasl_tally(&self) -> Option<SaslTally> {
        match self {
            Self::Kafka(_) => None,
            Self::Model(server, _) => {
                Some(server.with_cluster(|cluster| cluster.sasl_tally().clone()))
            }
        }
    }

    fn model_of(config: ClusterConfig) -> Result<Self> {
        let server = Server::start(&["127.0.0.1:0".parse()?], config)?;
        let by_broker =
            TopicConfig { timestamp_type: TimestampType::LogAppendTime, ..TopicConfig::default() };
        let partitions = PARTITIONS as u32;
        server.with_cluster(|cluster| cluster.create_topic_with(TOPIC, partitions, by_broker))?;
        let proxy = FaultProxy::to(server.addresses())?;
        Ok(Self::Model(server, proxy))
    }

    /// Where the device connects to.
    ///
    /// # Errors
    /// When there is no such place.
    pub fn link(&self) -> Result<SocketAddr> {
        let proxy = match self {
            Self::Kafka(cluster) => cluster.proxy(),
            Self::Model(_, proxy) => proxy,
        };
        proxy.addresses().first().copied().context("a proxy without a link")
    }

    /// What the broker calls that place. A device that has one wire only needs it to know that the
    /// broker of the metadata is the one at the end of its wire.
    #[must_use]
    pub fn advertised(&self) -> String {
        match self {
            Self::Kafka(cluster) => cluster.proxied_bootstrap(),
            Self::Model(server, _) => server.bootstrap_servers(),
        }
    }

    /// The link, to cut it.
    #[must_use]
    pub fn links(&self) -> Links<'_> {
        match self {
            Self::Kafka(cluster) => cluster.proxy().all(),
            Self::Model(_, proxy) => proxy.all(),
        }
    }

    /// Nothing is answered any more, and no connection ends.
    ///
    /// # Errors
    /// When it is down.
    pub fn freeze(&self) -> Result<()> {
        match self {
            Self::Kafka(cluster) => cluster.freeze(1),
            Self::Model(server, _) => server
                .with_cluster(|model| {
                    let nodes: Vec<NodeId> = model.nodes().collect();
                    nodes.into_iter().try_for_each(|node| model.freeze(node))
                })
                .map_err(Into::into),
        }
    }

    /// It goes on.
    ///
    /// # Errors
    /// When it is down.
    pub fn thaw(&self) -> Result<()> {
        match self {
            Self::Kafka(cluster) => cluster.thaw(1),
            Self::Model(server, _) => server
                .with_cluster(|model| {
                    let nodes: Vec<NodeId> = model.nodes().collect();
                    nodes.into_iter().try_for_each(|node| model.thaw(node))
                })
                .map_err(Into::into),
        }
    }

    /// Ends it at once and starts it again with what it had stored.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&self) -> Result<()> {
        match self {
            Self::Kafka(cluster) => cluster.restart(1),
            Self::Model(server, _) => {
                let each = |change: fn(&mut ottla_model::Cluster, NodeId) -> Result<(), _>| {
                    server.with_cluster(|model| {
                        let nodes: Vec<NodeId> = model.nodes().collect();
                        nodes.into_iter().try_for_each(|node| change(model, node))
                    })
                };
                each(ottla_model::Cluster::stop)?;
                std::thread::sleep(Duration::from_secs(2));
                each(ottla_model::Cluster::start).map_err(Into::into)
            }
        }
    }

    /// The values in the topic, each with its partition, in the order of offsets: Kafka's as Kafka's
    /// own consumer reads them.
    ///
    /// # Errors
    /// With Kafka's reason.
    pub fn read(&self) -> Result<Vec<(i32, Vec<u8>)>> {
        match self {
            Self::Kafka(cluster) => cluster
                .read(TOPIC)?
                .into_iter()
                .map(|record| Ok((record.partition, record.value.context("no short value")?)))
                .collect(),
            Self::Model(server, _) => Ok(server.with_cluster(|model| {
                let log = |partition| {
                    let records = model.log(TOPIC, partition);
                    records.map(move |r| (partition, r.value.unwrap_or_default().to_vec()))
                };
                (0..PARTITIONS).flat_map(log).collect()
            })),
        }
    }

    /// What is in the topic's log: bytes of batches, their headers included, by how they are compressed. Kafka's as its
    /// own `DumpLogSegments` reads them, which sums up their checksums.
    ///
    /// # Errors
    /// With Kafka's reason, and where a checksum is wrong.
    pub fn stored(&self) -> Result<BTreeMap<String, u64>> {
        let mut stored = BTreeMap::new();
        for partition in 0..PARTITIONS {
            match self {
                Self::Kafka(cluster) => {
                    for batch in cluster.dump_log(1, TOPIC, partition)? {
                        ensure!(batch.is_valid, "a checksum is wrong: {batch:?}");
                        *stored.entry(batch.compression).or_default() += batch.size as u64;
                    }
                }
                Self::Model(server, _) => server.with_cluster(|model| {
                    let topic = model.topic_id(TOPIC).unwrap_or_default();
                    for batch in model.batches_of(topic, partition) {
                        let codec = ["none", "gzip", "snappy", "lz4", "zstd"]
                            .get(usize::from(batch.header.attributes.compression()))
                            .copied()
                            .unwrap_or("unknown");
                        *stored.entry(codec.to_owned()).or_default() += batch.bytes.len() as u64;
                    }
                }),
            }
        }
        Ok(stored)
    }
}
