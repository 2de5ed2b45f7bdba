//! The rules of every op, and the network's derivatives made of them.

mod adjoint;
mod cases;
mod gradient;
mod gradient_tangent;
mod harness;
mod losses;
mod precision;
mod small_network;
mod tangent;
mod threads;
