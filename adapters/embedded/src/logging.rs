//! Tells what happens, in the same words, through whichever of `log` and `defmt` is on.
//!
//! What is told are words and numbers only: texts are made by the one who reads them.

#[cfg(feature = "_sasl")]
use ottla_core::AuthenticationFailure;
use ottla_core::{BatchOutcome, ConnId, Disconnect, Event, Outcome, Producer, TopicStatus};

macro_rules! tell {
    ($level:ident, $words:literal $(, $what:expr)*) => {{
        #[cfg(feature = "log")]
        log::$level!($words $(, $what)*);
        #[cfg(feature = "defmt")]
        defmt::$level!($words $(, $what)*);
        #[cfg(not(any(feature = "log", feature = "defmt")))]
        { $( let _ = $what; )* }
    }};
}

/// An event of the core.
pub(crate) fn event(producer: &Producer<'_>, event: &Event) {
    match event {
        Event::BatchOutcome(batch) => settled(batch),
        Event::Topic(topic) => {
            let name = producer.topic_name(*topic).unwrap_or_default();
            match producer.topic_status(*topic) {
                Some(TopicStatus::Ready { partitions }) => {
                    tell!(info, "topic {} has {} partitions", name, partitions);
                }
                Some(TopicStatus::Pending(Some(error)) | TopicStatus::Refused(error)) => {
                    let words = error.name().unwrap_or("?");
                    tell!(warn, "topic {} cannot be written to: {} ({})", name, words, error.0);
                }
                Some(TopicStatus::TooManyPartitions { partitions }) => {
                    tell!(warn, "topic {} has {} partitions: no room for all", name, partitions);
                }
                _ => {}
            }
        }
        Event::Disconnected { conn, cause } => {
            tell!(warn, "connection {} ended: {}", conn.index(), cause_words(cause));
        }
        Event::NoProducerId(_) => tell!(error, "no broker gives a producer id"),
        Event::ProducerId => tell!(info, "there is a producer id"),
        Event::BufferAvailable | _ => {}
    }
}

/// A connection is open.
pub(crate) fn connected(conn: ConnId, host: &str, port: u16) {
    tell!(info, "connection {} to {}:{} is open", conn.index(), host, port);
}

fn settled(batch: &BatchOutcome) {
    let BatchOutcome { partition, records, .. } = batch;
    // All of its records were cancelled, and each was told of.
    if *records == 0 {
        return;
    }
    match &batch.outcome {
        Outcome::Delivered { base_offset, .. } => {
            let offset = base_offset.unwrap_or(-1);
            tell!(
                info,
                "{} records delivered: partition {}, from offset {}",
                records,
                partition,
                offset
            );
        }
        Outcome::NotDelivered(cause) => {
            tell!(
                info,
                "{} records not delivered: partition {}, {}",
                records,
                partition,
                why(cause)
            );
        }
        Outcome::Unknown(cause) => {
            tell!(
                warn,
                "not known whether {} records are delivered: partition {}, {}",
                records,
                partition,
                why(cause)
            );
        }
        _ => {}
    }
}

/// Kafka's name of the error, or what else it was.
fn why(cause: &ottla_core::Cause) -> &'static str {
    use ottla_core::Cause;
    match cause {
        Cause::DeliveryTimeout => "delivery timeout",
        Cause::Cancelled => "cancelled",
        Cause::Deadline => "deadline",
        Cause::Closed => "closed",
        Cause::Broker(code) | Cause::AtFault(code) => {
            code.name().unwrap_or("an error of the broker")
        }
        Cause::Neighbour(_) => "other records of the batch were at fault",
        Cause::Recreated => "the topic was deleted and created again",
        Cause::ResolveTimeout => "resolve timeout",
        Cause::Abandoned => "abandoned",
        Cause::NoAcks => "no answer is asked for",
        Cause::SequenceMismatch => "the broker lost its record of this producer",
        Cause::NoProducerId(_) => "no broker gives a producer id",
        Cause::Forgotten => "the broker may have forgotten this producer by now",
        _ => "?",
    }
}

fn cause_words(cause: &Disconnect) -> &'static str {
    match cause {
        Disconnect::Unresolved => "the address does not resolve",
        Disconnect::Refused => "it could not be set up",
        Disconnect::Exhausted => "the machine has nothing left for it",
        Disconnect::SetupTimeout => "it was not set up in time",
        Disconnect::Eof => "the broker closed it",
        Disconnect::HungUp => "it was closed rather than answered: a listener with TLS or SASL?",
        Disconnect::Mute => "nothing was answered: a listener with TLS or SASL?",
        Disconnect::Io => "reading or writing failed",
        Disconnect::Tls => "TLS failed",
        #[cfg(feature = "_sasl")]
        Disconnect::Authentication(failure) => failure_words(failure),
        Disconnect::RequestTimedOut => "a request was not answered in time",
        Disconnect::Malformed(_) => "what came is no Kafka",
        Disconnect::Unexpected { .. } => "an answer came that was not asked for",
        Disconnect::Incomplete => "an answer left out a partition",
        Disconnect::UnsupportedVersion { .. } => "no version in common with the broker",
        Disconnect::ProducerIdRefused(_) => "it gave no producer id",
        Disconnect::Idle => "idle",
        Disconnect::Replaced => "no longer needed",
        Disconnect::Closed => "closed",
        _ => "?",
    }
}

#[cfg(feature = "_sasl")]
fn failure_words(failure: &AuthenticationFailure) -> &'static str {
    match failure {
        AuthenticationFailure::Mechanism(_) => "the listener has not the mechanism of SASL",
        AuthenticationFailure::Refused => "user, password or token are refused",
        AuthenticationFailure::NotSasl => "the listener has no SASL",
        AuthenticationFailure::NotOffered => "the broker is too old for SASL",
        AuthenticationFailure::Error(code) => code.name().unwrap_or("an error of the broker"),
        AuthenticationFailure::Closed => "the broker closed it while it was being authenticated",
        AuthenticationFailure::SessionOver => "its session was over",
        AuthenticationFailure::NoToken => "no token was given in time",
        AuthenticationFailure::NoEntropy => "there is no entropy for a nonce",
        AuthenticationFailure::TooLong => "user name and password are too long for tx_window",
        AuthenticationFailure::Malformed => "the broker's SCRAM message is none",
        AuthenticationFailure::Nonce => "the broker's SCRAM nonce is wrong",
        AuthenticationFailure::Salt => "the broker's SCRAM salt is wrong",
        AuthenticationFailure::Iterations => {
            "the broker wants too few or too many SCRAM iterations"
        }
        AuthenticationFailure::Signature => "the broker does not know the password",
        _ => "it was not authenticated",
    }
}
