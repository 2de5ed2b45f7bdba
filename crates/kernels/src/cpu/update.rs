//! Steps of optimizers.

use sharpness_backend::{Update, Updates, View, ViewMut};

use super::{Cpu, slice, slice_mut};
use crate::{Real, update};

impl<R: Real> Updates for Cpu<R> {
    #[inline(never)]
    fn update(
        &self,
        update: Update,
        gradient: View<'_, Vec<R>>,
        states: &mut [Vec<R>],
        parameters: ViewMut<'_, Vec<R>>,
    ) {
        update::update(update, slice(gradient), states, slice_mut(parameters));
    }
}
