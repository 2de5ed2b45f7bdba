//! Training steps come to take no memory. A binary of its own, since it replaces the allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use sharpness_data::{Dataset, DatasetName, Part, PartExamples, Standardized};
use sharpness_kernels::Cpu;
use sharpness_network::architectures::Architecture;
use sharpness_network::backend::{Loss, Shape};
use sharpness_network::op::{BatchNorm, Pass};
use sharpness_network::{Network, Weights};
use sharpness_training::optimizers::{OptimizerConfig, SgdConfig};
use sharpness_training::settings::RunConfig;
use sharpness_training::{Moment, Optimizer};

/// The system's allocator, which counts.
struct Counting {
    allocations: AtomicUsize,
    bytes: AtomicUsize,
}

#[global_allocator]
static ALLOCATOR: Counting = Counting { allocations: AtomicUsize::new(0), bytes: AtomicUsize::new(0) };

impl Counting {
    fn count(&self, bytes: usize) {
        self.allocations.fetch_add(1, Ordering::SeqCst);
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
    }

    /// Allocations and reallocations so far, and their bytes.
    fn so_far(&self) -> (usize, usize) {
        (self.allocations.load(Ordering::SeqCst), self.bytes.load(Ordering::SeqCst))
    }
}

#[expect(unsafe_code, reason = "only an allocator sees every allocation, and its trait is unsafe")]
// SAFETY: every request goes to `System` unchanged, and every pointer is one of its own; counting does not unwind.
unsafe impl GlobalAlloc for Counting {
    // SAFETY: the contract is the caller's, as in `GlobalAlloc`.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.count(layout.size());
        // SAFETY: the caller keeps the contract of `GlobalAlloc`, which is that of `System` too; the same below.
        unsafe { System.alloc(layout) }
    }

    // SAFETY: the contract is the caller's, as in `GlobalAlloc`.
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.count(layout.size());
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    // SAFETY: the contract is the caller's, as in `GlobalAlloc`.
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.count(size.saturating_sub(layout.size()));
        // SAFETY: as in `alloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }

    // SAFETY: the contract is the caller's, as in `GlobalAlloc`.
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as in `alloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// So many steps one after the other without an allocation show the steady state.
const STEPS: usize = 3;
/// The most steps until then. How many buffers threads borrow at once is a matter of their timing, so that the last one may be made
/// late.
const MOST_STEPS: u32 = 60;

/// Steps of SGD with momentum in a row, up to [`STEPS`], that made no allocation and no reallocation; and the bytes of the last that did.
fn steps_in_a_row(arch: Architecture, width_divisor: usize) -> (usize, usize) {
    let name = DatasetName::Cifar10;
    let mut config = RunConfig::new(name, arch);
    config.model.width_divisor = width_divisor;
    config.training.optimizer =
        OptimizerConfig::Sgd(SgdConfig { momentum: 0.9, nesterov: true, weight_decay: 1e-4 });
    let dataset = Dataset::random(name, config.training.batch_size, 1);
    let data = Standardized::new(dataset, config.data.standardize);
    let options = config.model.options();
    let model = options.model(Shape::new(3, 32, 32), name.classes()).expect("a network of CIFAR-10");
    let network = Network::compile(&model, Cpu::<f32>::new(config.convolution), Loss::SoftmaxCrossEntropy);
    let weights = Weights::initial(&network, 1);
    let mut optimizer = Optimizer::new(&network, &config.training, &weights, &[]);
    let source = PartExamples::new(&data, Part::Train);
    let batch: Vec<u32> = (0..100).collect();
    let pass = Pass { batch_norm: BatchNorm::Batch, dropout: None };
    let learning_rate = config.training.learning_rate;
    let (mut quiet, mut bytes) = (0, 0);
    for step in 0..MOST_STEPS {
        let before = ALLOCATOR.so_far();
        let sums = optimizer.step(&source, &batch, &Moment { step, learning_rate, pass });
        let after = ALLOCATOR.so_far();
        assert!(sums.loss.is_finite(), "the loss of step {step} is {}", sums.loss);
        if after.0 > before.0 {
            (quiet, bytes) = (0, after.1 - before.1);
        } else {
            quiet += 1;
        }
        if quiet == STEPS {
            break;
        }
    }
    (quiet, bytes)
}

/// Else the absence of allocations would show nothing.
fn check_the_counts() {
    let before = ALLOCATOR.so_far();
    let mut vector = std::hint::black_box(Vec::<u8>::with_capacity(1000));
    vector.reserve_exact(5000);
    let zeros = std::hint::black_box(vec![0_u8; 700]);
    let after = ALLOCATOR.so_far();
    assert!(after.0 >= before.0 + 3, "an allocation, a reallocation and zeros: {before:?}, {after:?}");
    assert!(after.1 >= before.1 + 5700, "their bytes: {before:?}, {after:?}");
    drop((vector, zeros));
}

// The only test of this binary: another one would allocate at the same time.
#[test]
fn steps_allocate_nothing() {
    check_the_counts();
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
        assert_eq!(quiet, STEPS, "{arch:?} still allocates {bytes} bytes in a step");
    }
}
