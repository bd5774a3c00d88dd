//! A conversation, with Apache Kafka or with the model.

use core::{fmt::Write as _, time::Duration};
use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    thread::sleep,
    time::Instant,
};

use ottla_core::wire::{
    ApiKey, DecodeError, Dialect, ErrorCode, Step, Uuid, Wire as _, Writer,
    api_versions::ApiVersionsRequest,
    dialect, frame,
    init_producer_id::{InitProducerIdRequest, InitProducerIdResponse},
    metadata::{self, MetadataItem, MetadataResponse, RequestTopic},
    produce::{self, ProduceResponse},
    sasl_authenticate,
    sasl_handshake::SaslHandshakeRequest,
    sasl_response::{SaslItem, SaslResponse},
};
use ottla_model::Connection;

use super::{PLAIN, TOPIC};

/// The far end of one connection.
pub(super) enum Line {
    Kafka(TcpStream),
    Model(Box<ottla_model::Cluster>, Box<Connection>, Instant),
}

impl Line {
    /// Sends a frame; the answer without its size, or nothing where the connection has ended.
    fn ask(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Kafka(stream) => {
                // Where the end has come already, there is nothing to be read.
                let _ = stream.write_all(frame);
                let mut size = [0; 4];
                let read = stream.read_exact(&mut size).and_then(|()| {
                    let mut answer = vec![0; u32::from_be_bytes(size) as usize];
                    stream.read_exact(&mut answer)?;
                    Ok(answer)
                });
                match read {
                    Ok(answer) => Some(answer),
                    Err(error) => {
                        assert_ne!(error.kind(), ErrorKind::WouldBlock, "Kafka does not answer");
                        None
                    }
                }
            }
            Self::Model(cluster, connection, began) => {
                connection.receive(cluster, began.elapsed(), frame);
                let answer = connection.take_transmit();
                assert!(!answer.is_empty() || connection.is_closed(), "the model does not answer");
                (!answer.is_empty()).then(|| answer[4..].to_vec())
            }
        }
    }
}

/// One conversation, and what was said.
pub(super) struct Talk {
    pub(super) line: Line,
    pub(super) said: Vec<String>,
    pub(super) last: Vec<u8>,
}

impl Talk {
    fn ask(
        &mut self,
        (api, version): (ApiKey, i16),
        body: impl Fn(&mut Writer<'_>, Dialect),
        mut read: impl FnMut(&[u8]) -> Vec<String>,
    ) {
        let d = dialect(api, version);
        let whole = |w: &mut Writer<'_>| {
            let size = frame::begin(w);
            frame::write_request_header(w, api, version, 7, Some("conformance"));
            body(w, d);
            frame::end(w, size, 0);
        };
        let mut bytes = vec![0; Writer::measure(whole)];
        whole(&mut Writer::new(&mut bytes));
        let said = match self.line.ask(&bytes) {
            None => "the end".to_owned(),
            Some(answer) => {
                assert_eq!(answer[..4], 7_i32.to_be_bytes(), "correlation id");
                read(&answer[4..]).join("; ")
            }
        };
        self.said.push(format!("{api} v{version}: {said}"));
    }

    pub(super) fn versions(&mut self, version: i16) {
        self.ask(
            (ApiKey::API_VERSIONS, version),
            |w, d| {
                let (client_software_name, client_software_version) = ("ottla", "0.1.0");
                ApiVersionsRequest { client_software_name, client_software_version }.write(w, d);
            },
            // The error comes first in every version.
            |answer| vec![ErrorCode(i16::from_be_bytes([answer[0], answer[1]])).to_string()],
        );
    }

    pub(super) fn handshake(&mut self, mechanism: &str) {
        self.ask(
            (ApiKey::SASL_HANDSHAKE, 1),
            |w, d| SaslHandshakeRequest { mechanism }.write(w, d),
            |answer| {
                let mut walk = SaslResponse::new(ApiKey::SASL_HANDSHAKE, 1);
                let mut items = elements(
                    answer,
                    |input| walk.step(input),
                    |item| match item {
                        SaslItem::Error(error) => format!(" {error}"),
                        SaslItem::Mechanism(name) => name.to_string(),
                        SaslItem::Message(_) | SaslItem::Bytes(_) | SaslItem::Lifetime(_) => {
                            format!("{item:?}")
                        }
                    },
                );
                // Kafka tells them in the order of a hash.
                items.sort();
                items
            },
        );
    }

    pub(super) fn say(&mut self, message: &[u8]) {
        self.say_in(2, message);
    }

    pub(super) fn say_in(&mut self, version: i16, message: &[u8]) {
        let mut last = Vec::new();
        self.ask(
            (ApiKey::SASL_AUTHENTICATE, version),
            |w, d| {
                sasl_authenticate::write_request_head(w, d, message.len());
                w.bytes(message);
                sasl_authenticate::write_request_end(w, d);
            },
            |answer| {
                let mut walk = SaslResponse::new(ApiKey::SASL_AUTHENTICATE, version);
                elements(
                    answer,
                    |input| walk.step(input),
                    |item| match item {
                        SaslItem::Bytes(bytes) => {
                            last = bytes.bytes.to_vec();
                            in_outline(&String::from_utf8_lossy(bytes.bytes))
                        }
                        // Some milliseconds pass.
                        SaslItem::Lifetime(ms) => format!("{:.0} s", ms as f64 / 1e3),
                        SaslItem::Error(_) | SaslItem::Mechanism(_) | SaslItem::Message(_) => {
                            format!("{item:?}")
                        }
                    },
                )
            },
        );
        self.last = last;
    }

    pub(super) fn plain(&mut self) {
        self.handshake("PLAIN");
        self.say(PLAIN);
    }

    pub(super) fn metadata(&mut self, version: i16) {
        self.ask(
            (ApiKey::METADATA, version),
            |w, d| {
                metadata::write_request(w, d, Some(1));
                let topic = RequestTopic { id: Uuid::ZERO, name: Some(TOPIC) };
                metadata::write_request_topic(w, d, &topic);
                metadata::write_request_end(w, d, false);
            },
            |answer| {
                let mut walk = MetadataResponse::new(version);
                elements(
                    answer,
                    |input| walk.step(input),
                    |item| match item {
                        MetadataItem::Broker(_) => "a broker".to_owned(),
                        MetadataItem::Controller(id) => format!("controller {}", id.min(1)),
                        MetadataItem::Topic(topic) => {
                            format!("{:?} {} {}", topic.name, topic.error, topic.partitions)
                        }
                        MetadataItem::Partition(_) => "a partition".to_owned(),
                        MetadataItem::Error(error) => error.to_string(),
                        MetadataItem::Throttle(_) => String::new(),
                    },
                )
            },
        );
    }

    /// A batch that no broker takes: what is of interest is how it is refused.
    pub(super) fn produce(&mut self, version: i16, acks: i16) {
        self.ask(
            (ApiKey::PRODUCE, version),
            |w, d| {
                produce::write_head(w, d, None, acks, 1_000, 1);
                produce::write_topic(w, d, TOPIC, Uuid::ZERO, 2);
                for index in [0, 1] {
                    produce::write_partition(w, d, index, 5);
                    w.bytes(b"batch");
                    produce::write_partition_end(w, d);
                }
                produce::write_topic_end(w, d);
                produce::write_end(w, d);
            },
            |answer| {
                let mut walk = ProduceResponse::new(version);
                let mut items =
                    elements(answer, |input| walk.step(input), |item| format!("{item:?}"));
                // Kafka tells the partitions in the order of a hash.
                items.sort();
                items
            },
        );
    }

    pub(super) fn init(&mut self) {
        self.ask(
            (ApiKey::INIT_PRODUCER_ID, 4),
            |w, d| {
                InitProducerIdRequest {
                    transactional_id: None,
                    transaction_timeout_ms: 1_000,
                    producer_id: -1,
                    producer_epoch: -1,
                }
                .write(w, d);
            },
            |answer| {
                let mut walk = InitProducerIdResponse::new(4);
                elements(answer, |input| walk.step(input), |item| format!("{item:?}"))
            },
        );
    }

    pub(super) fn wait(&mut self, ms: u64) {
        sleep(Duration::from_millis(ms));
        self.said.push(format!("{ms} ms later"));
    }
}

/// A message of SCRAM without what is chosen by chance; the length of that stays.
fn in_outline(message: &str) -> String {
    let mut outline = String::new();
    for field in message.split(',') {
        let _ = match field.split_once('=') {
            Some(("r", _)) => write!(outline, "r=nonce,"),
            Some(("s", _)) => write!(outline, "s=salt,"),
            _ => write!(outline, "{field},"),
        };
    }
    outline
}

fn elements<'a, T>(
    mut input: &'a [u8],
    mut step: impl FnMut(&'a [u8]) -> Result<Step<T>, DecodeError>,
    mut tell: impl FnMut(T) -> String,
) -> Vec<String> {
    let mut told = Vec::new();
    loop {
        let used = match step(input).expect("an answer") {
            Step::Element { used, element } => {
                told.push(tell(element));
                used
            }
            Step::Skip { used, skip } => used + skip,
            Step::Wait => panic!("half an answer"),
            Step::Done { .. } => return told,
        };
        input = &input[used..];
    }
}
