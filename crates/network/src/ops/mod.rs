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

/// From the names of the ops: an enum of any of them, what builds one on a backend, and the conversions into it.
macro_rules! operations {
    ($($op:ident)+) => {
        /// Any of the ops, without a backend.
        #[derive(Clone, Debug)]
        #[expect(missing_docs, reason = "each op says what it is")]
        pub enum Operation {
            $($op($op),)+
        }

        impl Operation {
            /// The op on a backend.
            pub fn op<B: Backend>(&self) -> Box<dyn Op<B>> {
                match self.clone() {
                    $(Self::$op(op) => Box::new(op),)+
                }
            }
        }

        $(impl From<$op> for Operation {
            fn from(op: $op) -> Self {
                Self::$op(op)
            }
        })+
    };
}

operations! {
    Add
    AveragePool
    BatchNorm2d
    Convolution
    DropoutOp
    Elementwise
    FixupConvolution
    Flatten
    Linear
    MaxPool
    ScalarBias
    ScalarScale
    Subsample
}
