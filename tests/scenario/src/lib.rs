//! ottla-scenario
