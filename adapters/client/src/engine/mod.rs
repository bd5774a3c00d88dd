//! The core behind its lock, who waits for it, and who drives it. Nothing here touches a socket, or waits.

pub(crate) mod inline;
pub(crate) mod locked_core;
pub(crate) mod partition_counts;
pub(crate) mod state;
pub(crate) mod wait_list;
