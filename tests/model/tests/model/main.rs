//! The model broker at the level of raw requests.

mod connections;
mod describe_producers;
mod faults;
mod idempotence;
mod malformed_requests;
mod metadata;
mod operations;
mod produce_checks;
mod producer_expiry;
mod replicas;
mod support;
mod tcp;
