//! What one node says of a topic, asked of that very node.
//!
//! Kafka's admin client asks any broker, and the next question goes to another one, which may lag:
//! what has to hold for everybody is asked of everybody.

use core::{net::SocketAddr, time::Duration};
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use anyhow::{Context as _, Result, ensure};
use kafka_protocol::{
    messages::{
        ApiKey, MetadataRequest, MetadataResponse, RequestHeader, TopicName,
        metadata_request::MetadataRequestTopic,
    },
    protocol::{Decodable as _, Encodable as _, StrBytes},
};

use crate::Partition;

/// The last one whose headers have no tagged fields; every Kafka from 2.8 on has it.
const VERSION: i16 = 8;
/// How long a node may take for any part of its answer.
const ANSWER: Duration = Duration::from_secs(3);
/// More than the metadata of any test's cluster.
const LONGEST: u32 = 1 << 24;

/// The partitions of `topic`, in their order, as the node at `address` knows them; none where it does
/// not know the topic.
///
/// # Errors
/// When it does not answer, or not with Metadata.
pub(crate) fn partitions(address: SocketAddr, topic: &str) -> Result<Vec<Partition>> {
    let mut request = Vec::new();
    RequestHeader::default()
        .with_request_api_key(ApiKey::Metadata as i16)
        .with_request_api_version(VERSION)
        .encode(&mut request, 1)?;
    let name = TopicName(StrBytes::from_string(topic.to_owned()));
    MetadataRequest::default()
        .with_topics(Some(vec![MetadataRequestTopic::default().with_name(Some(name))]))
        .with_allow_auto_topic_creation(false)
        .encode(&mut request, VERSION)?;

    let mut stream = TcpStream::connect_timeout(&address, ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.write_all(&u32::try_from(request.len())?.to_be_bytes())?;
    stream.write_all(&request)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    ensure!((4..=LONGEST).contains(&length), "Metadata of {length} bytes");
    let mut answer = vec![0; usize::try_from(length)?];
    stream.read_exact(&mut answer)?;

    // The first four bytes are the correlation id of the only request.
    let metadata = MetadataResponse::decode(&mut answer.split_off(4).as_slice(), VERSION)?;
    let known = metadata.topics.into_iter().next().context("Metadata without the topic")?;
    let mut partitions: Vec<Partition> = known
        .partitions
        .into_iter()
        .map(|it| Partition {
            partition: it.partition_index,
            leader: Some(it.leader_id.0).filter(|id| *id >= 0),
            replicas: it.replica_nodes.iter().map(|id| id.0).collect(),
            isr: it.isr_nodes.iter().map(|id| id.0).collect(),
        })
        .collect();
    partitions.sort_by_key(|it| it.partition);
    Ok(partitions)
}
