//! A kit with which others fuzz their own Kafka broker or client.
//!
//! - [`messages`]: a model of Kafka's messages, as a table of facts, and both directions of the bytes.
//! - [`choice`], [`generate`], [`mutate`], [`batch`]: messages made up from a seed or from a fuzzer's bytes, and spoilt on
//!   purpose, one thing at a time, each by a name.
//! - [`export`]: a dictionary and seed corpora for other fuzzers.
//! - [`broker`]: sequences of requests, and judges of a broker.
//! - [`client`]: hostile answers, and judges of a client.
//!
//! The command `ottla-fuzz` has all of it. Decision 62 has the reasons.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "sockets and a clock are what this is about; the core has neither"
)]
#![allow(clippy::wildcard_enum_match_arm, reason = "most of it is about a few of many")]

pub mod batch;
pub mod broker;
pub mod choice;
#[cfg(unix)]
pub mod client;
pub mod export;
pub mod generate;
mod laws;
pub mod messages;
pub mod mutate;
pub mod peer;
pub mod report;
