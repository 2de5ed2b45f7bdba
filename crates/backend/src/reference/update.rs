//! Steps of optimizers, element by element.

use super::{Reference, slice, slice_mut};
use crate::{Sgd, Update, View, ViewMut};

impl Update for Reference {
    fn sgd(
        &self,
        rule: &Sgd,
        gradient: View<'_, Vec<f64>>,
        buffer: Option<ViewMut<'_, Vec<f64>>>,
        parameters: ViewMut<'_, Vec<f64>>,
    ) {
        let mut buffer = buffer.map(slice_mut);
        for (i, (w, g)) in slice_mut(parameters).iter_mut().zip(slice(gradient)).enumerate() {
            let mut direction = g + rule.weight_decay * *w;
            if let Some(buffer) = &mut buffer {
                let b = &mut buffer[i];
                *b = rule.momentum * *b + direction;
                direction = if rule.nesterov { direction + rule.momentum * *b } else { *b };
            }
            *w -= rule.learning_rate * direction;
        }
    }
}
