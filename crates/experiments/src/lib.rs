//! Data sets, optimizers, training, measures and runs.
