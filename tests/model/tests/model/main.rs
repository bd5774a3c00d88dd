//! The model broker at the level of raw requests.

mod checks;
mod connections;
mod described;
mod expiry;
mod faults;
mod hostile;
mod idempotence;
mod metadata;
mod operations;
mod replicas;
mod served;
mod support;
