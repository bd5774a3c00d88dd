//! The model broker at the level of raw requests.

#[cfg(feature = "compression")]
mod compression;
mod describe_producers;
mod faults;
mod fetch;
mod frames_and_versions;
mod idempotence;
mod malformed_requests;
mod metadata;
mod operations;
mod produce_checks;
mod producer_expiry;
mod reauthentication;
mod replicas;
mod sasl;
mod sasl_client;
mod sasl_lies;
mod tcp;
mod wire_client;
