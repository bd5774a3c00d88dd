//! ottla-blocking
