//! ottla-shared
