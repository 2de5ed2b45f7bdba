//! Every fast kernel against the formula it stands for, and the same bits for any number of threads.

mod activation;
mod around;
mod batch_norm;
mod channels;
mod conformance;
mod conv2d;
mod data;
mod dropout;
mod elementwise;
mod epilogue;
mod layout;
mod linear;
mod loss;
mod matmul;
mod plan;
mod pool2d;
mod reduce;
mod threads;
mod update;
mod winograd;
