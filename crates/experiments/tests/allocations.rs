//! Training steps take no memory once two have been made. A binary of its own, since it replaces the allocator.

use std::alloc::System;

use sharpness_experiments::config::RunConfig;
use sharpness_experiments::data::{Dataset, DatasetName, Part, Standardized};
use sharpness_experiments::network;
use sharpness_experiments::optimizers::Optimizer;
use sharpness_experiments::training::PartExamples;
use sharpness_network::models::Architecture;
use sharpness_network::op::{BatchNorm, Pass};
use sharpness_network::{Cpu, Weights};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Steps that are counted.
const STEPS: usize = 3;

/// Allocations and reallocations of steps of SGD with momentum, and their bytes.
fn allocations(arch: Architecture, width_divisor: usize) -> (usize, usize) {
    let name = DatasetName::Cifar10;
    let mut config = RunConfig::new(name, arch);
    config.model.width_divisor = width_divisor;
    config.training.momentum = 0.9;
    config.training.nesterov = true;
    config.training.weight_decay = 1e-4;
    let dataset = Dataset::random(name, config.training.batch_size, 1);
    let data = Standardized::new(dataset, config.data.standardize);
    let network =
        network(&config, Cpu::<f32>::new(config.convolution.method())).expect("a network of CIFAR-10");
    let weights = Weights::initial(&network, 1);
    let mut optimizer = Optimizer::new(&network, &config.training, &weights, None);
    let source = PartExamples::new(&data, Part::Train);
    let batch: Vec<u32> = (0..100).collect();
    let pass = Pass { batch_norm: BatchNorm::Batch, dropout: None };
    let mut step = || optimizer.step(&source, &batch, &pass);
    step();
    step();
    let region = Region::new(ALLOCATOR);
    (0..STEPS).for_each(|_| assert!(step().loss.is_finite(), "a training goes on"));
    let change = region.change();
    (change.allocations + change.reallocations, change.bytes_allocated)
}

#[test]
fn steps_allocate_nothing() {
    // With this thread in the pool no work is handed over through queues, which grow.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).use_current_thread();
    assert!(pool.build_global().is_ok(), "no pool was there before");
    // Few channels with a stride of 2 are products of `gemm`, which packs into memory of its own; half of Fixup's are enough.
    let all = [
        (Architecture::Mlp, 8),
        (Architecture::Vgg11, 8),
        (Architecture::Vgg11Bn, 8),
        (Architecture::FixupResnet20, 2),
    ];
    for (arch, width_divisor) in all {
        let (count, bytes) = allocations(arch, width_divisor);
        assert_eq!(count, 0, "{arch:?} allocates {bytes} bytes in {STEPS} steps");
    }
}
