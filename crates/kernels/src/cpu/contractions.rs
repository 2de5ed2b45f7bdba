//! Convolutions and linear layers with an epilogue, and the contractions that are their adjoints.

use sharpness_backend::{
    Accumulate, ActivationPair, Addends, BilinearLayer, Choice, Contraction, Contractions, OperandSizes,
    View, ViewMut, WeightPair,
};
use smallvec::{SmallVec, smallvec};

use super::{Cpu, number, slice, slice_mut};
use crate::conv2d::Plan;
use crate::linear::Linear;
use crate::{Real, epilogue};

impl<R: Real> Contractions for Cpu<R> {
    fn operand_sizes(&self, layer: &BilinearLayer, n: usize) -> OperandSizes {
        let of = |input, output, choice, scratch_bytes| OperandSizes { input, output, choice, scratch_bytes };
        match self.kernel(layer) {
            Kernel::Convolution(k) => {
                of(k.input_len(n), k.output_len(n), k.choice_len(n), k.scratch_bytes::<R>(n))
            }
            Kernel::Linear(k) => of(0, k.output_len(n), k.choice_len(n), k.scratch_bytes::<R>(n)),
        }
    }

    #[inline(never)]
    fn prepare_input(
        &self,
        layer: &BilinearLayer,
        n: usize,
        x: &Vec<R>,
        shift: Option<View<'_, Vec<R>>>,
        to: &mut Vec<R>,
    ) {
        match self.kernel(layer) {
            Kernel::Convolution(k) => k.prepare_input(n, (x, shift.map(number)), to, &self.workspace),
            Kernel::Linear(_) => {}
        }
    }

    #[inline(never)]
    fn prepare_output(
        &self,
        layer: &BilinearLayer,
        n: usize,
        dy: &Vec<R>,
        choice: &Vec<u8>,
        to: &mut Vec<R>,
    ) {
        match self.kernel(layer) {
            Kernel::Convolution(k) => k.prepare_output(n, dy, choice, to, &self.workspace),
            Kernel::Linear(k) => k.prepare_output(n, dy, choice, to),
        }
    }

    #[inline(never)]
    fn bilinear_forward(
        &self,
        layer: &BilinearLayer,
        n: usize,
        operands: &[WeightPair<'_, Vec<R>>],
        addends: Addends<'_, Vec<R>>,
        choice: Choice<'_, Vec<u8>>,
        y: &mut Vec<R>,
    ) {
        let pairs = pairs(operands);
        let (bias, residual) = (addends.bias.map(slice), addends.residual.map(Vec::as_slice));
        let spread = spread(layer, bias);
        let bias = if spread.is_empty() { bias } else { Some(spread.as_slice()) };
        let choice = match choice {
            Choice::Record(choice) => epilogue::Choice::Record(choice),
            Choice::Replay(choice) => epilogue::Choice::Replay(choice),
        };
        match self.kernel(layer) {
            Kernel::Convolution(k) => {
                let addends = epilogue::Addends { bias, residual };
                k.forward(n, &pairs, addends, choice, y, &self.workspace);
            }
            Kernel::Linear(k) => k.forward(n, &pairs, bias, choice, y, &self.workspace),
        }
    }

    #[inline(never)]
    fn bilinear_input_gradient(
        &self,
        layer: &BilinearLayer,
        n: usize,
        operands: &[WeightPair<'_, Vec<R>>],
        choice: &Vec<u8>,
        accumulate: Accumulate,
        x: &mut Vec<R>,
        shift: Option<&mut Vec<f64>>,
    ) {
        let pairs = pairs(operands);
        match self.kernel(layer) {
            Kernel::Convolution(k) => {
                let sum = shift.and_then(|shift| shift.first_mut());
                k.input_gradient(n, &pairs, choice, accumulate, (x, sum), &self.workspace);
            }
            Kernel::Linear(k) => k.input_gradient(n, &pairs, accumulate, x, &self.workspace),
        }
    }

    #[inline(never)]
    fn bilinear_weight_gradient(
        &self,
        layer: &BilinearLayer,
        n: usize,
        operands: &[ActivationPair<'_, Vec<R>>],
        choice: &Vec<u8>,
        accumulate: Accumulate,
        w: ViewMut<'_, Vec<R>>,
    ) {
        let pairs: Pairs<'_, R> =
            operands.iter().map(|(x, y)| (x.buffer().as_slice(), y.buffer().as_slice())).collect();
        let w = slice_mut(w);
        match self.kernel(layer) {
            Kernel::Convolution(k) => k.weight_gradient(n, &pairs, choice, accumulate, w, &self.workspace),
            Kernel::Linear(k) => k.weight_gradient(n, &pairs, accumulate, w, &self.workspace),
        }
    }

    #[inline(never)]
    fn bilinear_bias_gradient(
        &self,
        layer: &BilinearLayer,
        n: usize,
        dy: &Vec<R>,
        choice: &Vec<u8>,
        out: &mut Vec<f64>,
    ) {
        let channels = layer.contraction.channels_out();
        if let [total] = out.as_mut_slice()
            && channels > 1
        {
            let mut sums: SmallVec<[f64; 64]> = smallvec![0.0; channels];
            self.channel_sums(layer, n, dy, choice, &mut sums);
            *total = sums.iter().sum();
        } else {
            self.channel_sums(layer, n, dy, choice, out);
        }
    }

    #[inline(never)]
    fn residual_gradient(
        &self,
        layer: &BilinearLayer,
        n: usize,
        dy: &Vec<R>,
        choice: &Vec<u8>,
        accumulate: Accumulate,
        r: &mut Vec<R>,
    ) {
        match self.kernel(layer) {
            Kernel::Convolution(k) => k.residual_gradient(n, dy, choice, accumulate, r),
            Kernel::Linear(_) => unreachable!("only convolutions have residuals"),
        }
    }
}

/// The kernel of a bilinear layer.
enum Kernel {
    Convolution(Plan),
    Linear(Linear),
}

impl<R: Real> Cpu<R> {
    /// The gradient of a bias with a number for each channel.
    fn channel_sums(&self, layer: &BilinearLayer, n: usize, dy: &[R], choice: &[u8], out: &mut [f64]) {
        match self.kernel(layer) {
            Kernel::Convolution(k) => k.bias_gradient(n, dy, choice, out),
            Kernel::Linear(k) => k.bias_gradient(n, dy, choice, out),
        }
    }

    fn kernel(&self, layer: &BilinearLayer) -> Kernel {
        let epilogue = layer.epilogue;
        match layer.contraction {
            Contraction::Convolution(conv) => {
                let plan = Plan::new::<R>(self.algorithm, conv, epilogue);
                Kernel::Convolution(if layer.is_shifted { plan.shifted() } else { plan })
            }
            Contraction::Linear { features_in, features_out } => {
                Kernel::Linear(Linear { features_in, features_out, epilogue })
            }
        }
    }
}

/// The pairs of operands of a contraction: two at most in the rules, so that they take no allocation.
type Pairs<'a, R> = SmallVec<[(&'a [R], &'a [R]); 2]>;

fn pairs<'a, R>(pairs: &[WeightPair<'a, Vec<R>>]) -> Pairs<'a, R> {
    pairs.iter().map(|(x, w)| (x.buffer().as_slice(), slice(*w))).collect()
}

/// The one number of `bias` for each channel of the output; nothing where `bias` has one for each.
fn spread<R: Real>(layer: &BilinearLayer, bias: Option<&[R]>) -> SmallVec<[R; 64]> {
    let channels = layer.contraction.channels_out();
    match bias {
        Some([one]) if channels > 1 => smallvec![*one; channels],
        _ => SmallVec::new(),
    }
}
