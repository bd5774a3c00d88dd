//! ottla-kafka
