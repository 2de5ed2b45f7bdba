//! The bound on the memory of the process, and the available memory.

mod available;
mod budget;

pub use available::peak_bytes;
pub use budget::Budget;
