//! What a cluster is asked to be.

use anyhow::Result;

use crate::Version;

/// What a [`crate::Cluster`] is asked to be.
#[derive(Clone, Debug)]
pub struct Config {
    /// The version of Kafka.
    pub version: Version,
    /// How many nodes, each a broker and (but for ZooKeeper's versions) a controller. With fewer
    /// than three, killing one leaves no quorum.
    pub nodes: usize,
    /// `min.insync.replicas`, the default of topics.
    pub min_insync_replicas: u16,
    /// `message.max.bytes`, the default of topics, in bytes.
    pub message_max_bytes: u32,
    /// `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// The largest heap of a broker, in MiB.
    pub heap_mib: u32,
    /// More lines for `server.properties`; they win over what the cluster sets itself.
    pub properties: Vec<(String, String)>,
}

impl Config {
    /// A cluster of `nodes` nodes of `version`: `min.insync.replicas` is 2 from three nodes on,
    /// else 1; `message.max.bytes` is 2 MiB; topics are not created on their own.
    ///
    /// # Errors
    /// When `version` is no version.
    pub fn new(version: &str, nodes: usize) -> Result<Self> {
        Ok(Self {
            version: version.parse()?,
            nodes,
            min_insync_replicas: if nodes >= 3 { 2 } else { 1 },
            message_max_bytes: 2 << 20,
            auto_create_topics: false,
            heap_mib: 512,
            properties: Vec::new(),
        })
    }

    /// The same with one more line for `server.properties`.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.properties.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with Kafka's own authorizer, which allows everybody everything that
    /// [`crate::Cluster::allow`] has not spoken of.
    #[must_use]
    pub fn with_acls(self) -> Self {
        let authorizer = if self.version.needs_zookeeper() {
            "kafka.security.authorizer.AclAuthorizer"
        } else {
            "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
        };
        self.with("authorizer.class.name", authorizer)
            .with("allow.everyone.if.no.acl.found", "true")
    }
}
