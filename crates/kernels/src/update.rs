//! One pass of an optimizer's step over a flat vector.
#![expect(unsafe_code, reason = "several vectors are written chunk by chunk")]

use sharpness_backend::{Update, UpdateFunction, UpdateVisitor};

use crate::Real;
use crate::disjoint::Disjoint;
use crate::elementwise::CHUNK;
use crate::parallel::chunks;
use crate::simd::{Lanes, Leaf, Task};

/// Moves the `parameters` along the `gradient`, and the vectors that the optimizer keeps.
///
/// # Panics
/// If the lengths differ, or `states` are not as many as the update has.
pub fn update<R: Real>(update: Update, gradient: &[R], states: &mut [Vec<R>], parameters: &mut [R]) {
    let len = parameters.len();
    assert!(
        gradient.len() == len && states.iter().all(|state| state.len() == len),
        "gradient, states and parameters have one length"
    );
    assert_eq!(states.len(), update.states(), "an update moves all of its states");
    update.visit(Step { gradient, states, parameters });
}

/// The vectors of [`update`].
struct Step<'a, R> {
    gradient: &'a [R],
    states: &'a mut [Vec<R>],
    parameters: &'a mut [R],
}

impl<R: Real> UpdateVisitor for Step<'_, R> {
    type Output = ();

    fn visit<const STATES: usize, U: UpdateFunction<STATES>>(self, function: U) {
        R::with_lanes(Function { step: self, function });
    }
}

/// A step with its function.
struct Function<'a, R, U, const STATES: usize> {
    step: Step<'a, R>,
    function: U,
}

impl<R: Real, U: UpdateFunction<STATES>, const STATES: usize> Task<R> for Function<'_, R, U, STATES> {
    fn run<V: Lanes<Scalar = R>>(self) {
        let Self { step: Step { gradient, states, parameters }, function } = self;
        let mut states = states.iter_mut();
        let states: [_; STATES] = std::array::from_fn(|_| {
            Disjoint::new(states.next().expect("the number of states was checked").as_mut_slice())
        });
        chunks(parameters, CHUNK, |chunk, w| {
            let (start, len) = (chunk * CHUNK, w.len());
            // SAFETY: every task takes the chunk with its own number.
            let states = states.each_ref().map(|state| unsafe { state.part(start, len) });
            V::vectorize(Chunk { function, g: &gradient[start..start + len], states, w });
        });
    }
}

/// The loop over one chunk, which the compiler vectorizes for the instruction set of the lanes. It never contracts a product and a
/// sum, so every instruction set gives the same bits.
struct Chunk<'a, R, U, const STATES: usize> {
    function: U,
    g: &'a [R],
    states: [&'a mut [R]; STATES],
    w: &'a mut [R],
}

impl<V: Lanes, U: UpdateFunction<STATES>, const STATES: usize> Leaf<V> for Chunk<'_, V::Scalar, U, STATES> {
    #[inline(always)]
    fn run(self) {
        let Self { function, g, states, w } = self;
        let function = function.function();
        let len = w.len();
        let g = &g[..len];
        let mut states = states.map(|state| &mut state[..len]);
        for i in 0..len {
            let before = states.each_ref().map(|state| state[i]);
            let (next, after) = function(g[i], w[i], before);
            w[i] = next;
            for (state, after) in states.each_mut().into_iter().zip(after) {
                state[i] = after;
            }
        }
    }
}
