//! ottla-model
