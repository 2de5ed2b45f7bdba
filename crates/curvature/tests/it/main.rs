//! The solvers on operators with known spectra.

mod accuracy;
mod bounds;
mod breakdown;
mod cases;
mod congruence;
mod density;
mod effective_rank;
mod errors;
mod hutchinson;
mod inexact;
mod probes;
mod restart;
mod sketches;
mod space;
mod start;
mod threads;
