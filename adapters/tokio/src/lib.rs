//! ottla-tokio
