//! Steps of optimizers, element by element.

use super::{Reference, slice, slice_mut};
use crate::{Update, UpdateFunction, UpdateVisitor, Updates, View, ViewMut};

impl Updates for Reference {
    fn update(
        &self,
        update: Update,
        gradient: View<'_, Vec<f64>>,
        states: &mut [Vec<f64>],
        parameters: ViewMut<'_, Vec<f64>>,
    ) {
        assert_eq!(states.len(), update.states(), "an update moves all of its states");
        update.visit(Elements { gradient: slice(gradient), states, parameters: slice_mut(parameters) });
    }
}

struct Elements<'a> {
    gradient: &'a [f64],
    states: &'a mut [Vec<f64>],
    parameters: &'a mut [f64],
}

impl UpdateVisitor for Elements<'_> {
    type Output = ();

    fn visit<const STATES: usize, U: UpdateFunction<STATES>>(self, function: U) {
        let function = function.function();
        for (i, (w, g)) in self.parameters.iter_mut().zip(self.gradient).enumerate() {
            let (next, states) = function(*g, *w, std::array::from_fn(|s| self.states[s][i]));
            *w = next;
            self.states.iter_mut().zip(states).for_each(|(state, next)| state[i] = next);
        }
    }
}
