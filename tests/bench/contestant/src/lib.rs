//! What the contestants that are written in Rust have in common: the command line, the records, the
//! meter, the count of allocations, rustls's configuration for those that take one, and the line that is
//! printed at the end.

mod allocations;
mod arguments;
mod latencies;
mod meter;
mod report;
mod tls;
mod values;

pub use allocations::Counting;
pub use arguments::{Arguments, Compression, Shape};
pub use latencies::Latencies;
pub use meter::{Measured, Meter};
pub use report::{NOT_IN_THIS_ONE, Report, not_in_this_one};
pub use values::Values;
