//! Training steps come to take no memory. A binary of its own, since it replaces the allocator.

use std::alloc::System;

use sharpness_experiments::config::RunConfig;
use sharpness_experiments::data::{Dataset, DatasetName, Part, Standardized};
use sharpness_experiments::network;
use sharpness_experiments::optimizers::Optimizer;
use sharpness_experiments::training::PartExamples;
use sharpness_network::architectures::Architecture;
use sharpness_network::op::{BatchNorm, Pass};
use sharpness_network::{Cpu, Weights};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// So many steps one after the other without an allocation show the steady state.
const STEPS: usize = 3;
/// The most steps until then. How many buffers threads borrow at once is a matter of their timing, so that the last one may be made
/// late.
const MOST_STEPS: usize = 60;

/// Steps of SGD with momentum in a row, up to [`STEPS`], that made no allocation and no reallocation; and the bytes of the last that did.
fn steps_in_a_row(arch: Architecture, width_divisor: usize) -> (usize, usize) {
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
    let (mut quiet, mut bytes) = (0, 0);
    for _ in 0..MOST_STEPS {
        let region = Region::new(ALLOCATOR);
        assert!(step().loss.is_finite(), "a training goes on");
        let change = region.change();
        if change.allocations + change.reallocations > 0 {
            (quiet, bytes) = (0, change.bytes_allocated);
        } else {
            quiet += 1;
        }
        if quiet == STEPS {
            break;
        }
    }
    (quiet, bytes)
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
        let (quiet, bytes) = steps_in_a_row(arch, width_divisor);
        assert_eq!(quiet, STEPS, "{arch:?} goes on to allocate, {bytes} bytes in a step");
    }
}
