//! The table of ops and awkward shapes that every rule is tested on.

use std::fmt::Debug;
use std::path::Path;

use sharpness_kernels::Cpu;
use sharpness_network::backend::{Activation, Epilogue, Shape};
use sharpness_network::op::{BatchNorm, Dropout, Init, Op, Pass};
use sharpness_network::ops::{
    Add, AveragePool, BatchNorm2d, Convolution, DropoutOp, Elementwise, FixupConvolution, Flatten, Linear,
    MaxPool, ScalarBias, ScalarScale, Subsample,
};

/// One op at one shape, in both precisions.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) double: Box<dyn Op<Cpu<f64>>>,
    pub(crate) single: Box<dyn Op<Cpu<f32>>>,
    pub(crate) inputs: Vec<Shape>,
    pub(crate) n: usize,
    pub(crate) pass: Pass,
}

/// Training: batch statistics and dropout.
const TRAINING: Pass =
    Pass { batch_norm: BatchNorm::Batch, dropout: Some(Dropout { seed: 0x5EED_0000_0001, step: 3 }) };

/// Images of one pixel, one row, odd sizes; one channel and seventeen.
const SHAPES: [Shape; 4] =
    [Shape::new(1, 1, 1), Shape::new(17, 1, 3), Shape::new(1, 4, 5), Shape::new(3, 7, 6)];

/// The table under construction.
#[derive(Default)]
struct Table(Vec<Case>);

impl Table {
    /// The op on batches of one and of five examples.
    fn add<O>(&mut self, op: &O, inputs: &[Shape], pass: Pass)
    where
        O: Op<Cpu<f64>> + Op<Cpu<f32>> + Clone + Debug + 'static,
    {
        for n in [1, 5] {
            let name = format!("{op:?} on {inputs:?}, n = {n}, {pass:?}");
            let (double, single) = (Box::new(op.clone()), Box::new(op.clone()));
            self.0.push(Case { name, double, single, inputs: inputs.to_vec(), n, pass });
        }
    }

    fn convolutions(&mut self) {
        for (channels_in, channels_out, image) in [(1, 17, (5, 4)), (17, 1, (1, 1)), (3, 2, (6, 7))] {
            for (kernel, stride, padding) in [(1, 1, 0), (3, 1, 1), (3, 2, 1), (2, 3, 2), (5, 2, 2)] {
                for bias in [None, Some(Init::Constant(0.0))] {
                    let weight = Init::Constant(0.0);
                    let input = [Shape::new(channels_in, image.0, image.1)];
                    let epilogue = Epilogue::None;
                    let op = Convolution {
                        channels_in,
                        channels_out,
                        kernel,
                        stride,
                        padding,
                        weight,
                        bias,
                        epilogue,
                    };
                    self.add(&op, &input, TRAINING);
                    for epilogue in [Epilogue::Relu, Epilogue::ReluMaxPool] {
                        let op = Convolution { epilogue, ..op.clone() };
                        if Op::<Cpu<f64>>::output(&op, &input).is_ok() {
                            self.add(&op, &input, TRAINING);
                        }
                    }
                }
            }
        }
    }

    /// With and without each of the parts, and with strides that leave a rest.
    fn fixup(&mut self) {
        for (channels_in, channels_out, image, stride) in
            [(3, 17, (5, 4), 1), (17, 2, (1, 1), 1), (8, 8, (6, 7), 1), (2, 3, (6, 7), 2)]
        {
            let input = Shape::new(channels_in, image.0, image.1);
            for (has_shift, has_scale) in [(false, false), (true, false), (false, true), (true, true)] {
                let weight = Init::Constant(0.0);
                let op = FixupConvolution { channels_in, channels_out, stride, has_shift, weight, has_scale };
                self.add(&op, &[input], TRAINING);
                if let Ok(output) = Op::<Cpu<f64>>::output(&op, &[input]) {
                    self.add(&op, &[input, output], TRAINING);
                }
            }
        }
    }

    fn pools(&mut self) {
        for (image, kernel, stride) in [((1, 1), 1, 1), ((4, 6), 2, 2), ((7, 5), 3, 2), ((5, 5), 2, 3)] {
            for channels in [1, 17] {
                let input = [Shape::new(channels, image.0, image.1)];
                self.add(&MaxPool { kernel, stride }, &input, TRAINING);
                self.add(&AveragePool::Windows { kernel, stride }, &input, TRAINING);
            }
        }
    }

    /// Ops that take any shape.
    fn on_any_shape(&mut self) {
        for shape in SHAPES {
            for &kind in Activation::ALL {
                self.add(&Elementwise(kind), &[shape], TRAINING);
            }
            for pass in [TRAINING, Pass::EVALUATION] {
                for epilogue in [Epilogue::None, Epilogue::Relu, Epilogue::ReluMaxPool] {
                    let op = BatchNorm2d { channels: shape.channels(), epilogue };
                    if Op::<Cpu<f64>>::output(&op, &[shape]).is_ok() {
                        self.add(&op, &[shape], pass);
                    }
                }
                self.add(&DropoutOp { probability: 0.3, layer: 2 }, &[shape], pass);
            }
            self.add(&Add, &[shape, shape], TRAINING);
            self.add(&Flatten, &[shape], TRAINING);
            self.add(&AveragePool::Global, &[shape], TRAINING);
            self.add(&ScalarBias, &[shape], TRAINING);
            self.add(&ScalarScale, &[shape], TRAINING);
            self.add(&Subsample { channels_out: shape.channels() + 2 }, &[shape], TRAINING);
        }
    }
}

/// The whole table.
pub(crate) fn all() -> Vec<Case> {
    let mut table = Table::default();
    table.convolutions();
    for (features_in, features_out) in [(1, 1), (17, 1), (1, 17), (6, 5)] {
        let op = Linear::torch_default(features_in, features_out);
        for epilogue in [Epilogue::None, Epilogue::Relu] {
            let op = Linear { epilogue, ..op.clone() };
            table.add(&op, &[Shape::features(features_in)], TRAINING);
        }
    }
    table.fixup();
    table.pools();
    table.on_any_shape();
    table.0
}

/// The kinds that an op's source names: the strings in its `fn kind`.
fn kinds_in(source: &str) -> Vec<String> {
    let mut kinds = Vec::new();
    let mut inside = false;
    for line in source.lines() {
        let begins = line.contains("fn kind(") && !line.ends_with(';');
        inside = (inside || begins) && line != "    }";
        if inside {
            kinds.extend(line.split('"').skip(1).step_by(2).map(str::to_owned));
        }
    }
    kinds
}

#[test]
fn every_kind_of_op_has_cases() {
    let covered: Vec<&str> = all().iter().map(|case| case.double.kind()).collect();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ops")).unwrap() {
        let path = entry.unwrap().path();
        let source = std::fs::read_to_string(&path).unwrap();
        let kinds = kinds_in(&source);
        // `bilinear.rs` implements the rules for every type `L` with contractions, which names its own kind.
        let is_op = (source.contains("Op<B> for ") && !source.contains("Op<B> for L "))
            || source.contains("impl Bilinear for ");
        // `elementwise.rs` takes its kinds from the list of activations.
        let is_listed = source.contains("self.0.name()");
        assert_eq!(kinds.is_empty(), !is_op || is_listed, "no kind found in {}", path.display());
        for kind in kinds {
            assert!(covered.contains(&kind.as_str()), "`{kind}` of {} has no case", path.display());
        }
    }
}
