//! The bound on the memory of the process, and how much there is.

mod available;
mod budget;

pub use available::peak_bytes;
pub use budget::Budget;
