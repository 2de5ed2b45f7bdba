//! One op, one file, four rules.

mod add;
mod average_pool;
mod batch_norm;
mod bilinear;
mod conv2d;
mod dropout;
mod elementwise;
mod fixup_convolution;
mod flatten;
mod linear;
mod max_pool;
mod scalar_bias;
mod scalar_scale;
mod shapes;
mod subsample;

pub use add::Add;
pub use average_pool::AveragePool;
pub use batch_norm::BatchNorm2d;
pub use conv2d::Convolution;
pub use dropout::DropoutOp;
pub use elementwise::Elementwise;
pub use fixup_convolution::FixupConvolution;
pub use flatten::Flatten;
pub use linear::Linear;
pub use max_pool::MaxPool;
pub use scalar_bias::ScalarBias;
pub use scalar_scale::ScalarScale;
pub use subsample::Subsample;

use crate::backend::Backend;
use crate::op::Op;

/// Any of the ops, without a backend. A new op has a row here, in [`Self::op`], and among the conversions below.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each op says what it is")]
pub enum Operation {
    Add(Add),
    AveragePool(AveragePool),
    BatchNorm2d(BatchNorm2d),
    Convolution(Convolution),
    DropoutOp(DropoutOp),
    Elementwise(Elementwise),
    FixupConvolution(FixupConvolution),
    Flatten(Flatten),
    Linear(Linear),
    MaxPool(MaxPool),
    ScalarBias(ScalarBias),
    ScalarScale(ScalarScale),
    Subsample(Subsample),
}

impl Operation {
    /// The op on a backend.
    pub fn op<B: Backend>(&self) -> Box<dyn Op<B>> {
        match self.clone() {
            Self::Add(op) => Box::new(op),
            Self::AveragePool(op) => Box::new(op),
            Self::BatchNorm2d(op) => Box::new(op),
            Self::Convolution(op) => Box::new(op),
            Self::DropoutOp(op) => Box::new(op),
            Self::Elementwise(op) => Box::new(op),
            Self::FixupConvolution(op) => Box::new(op),
            Self::Flatten(op) => Box::new(op),
            Self::Linear(op) => Box::new(op),
            Self::MaxPool(op) => Box::new(op),
            Self::ScalarBias(op) => Box::new(op),
            Self::ScalarScale(op) => Box::new(op),
            Self::Subsample(op) => Box::new(op),
        }
    }
}

/// An op becomes the variant of its name.
macro_rules! conversions {
    ($($op:ident)+) => {$(
        impl From<$op> for Operation {
            fn from(op: $op) -> Self {
                Self::$op(op)
            }
        }
    )+};
}

conversions!(Add AveragePool BatchNorm2d Convolution DropoutOp Elementwise FixupConvolution Flatten Linear MaxPool ScalarBias ScalarScale Subsample);
