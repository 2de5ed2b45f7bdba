//! Steps of optimizers.

use sharpness_backend::{Sgd, Update, View, ViewMut};

use super::{Cpu, slice, slice_mut};
use crate::{Real, sgd};

impl<R: Real> Update for Cpu<R> {
    #[inline(never)]
    fn sgd(
        &self,
        rule: &Sgd,
        gradient: View<'_, Vec<R>>,
        buffer: Option<ViewMut<'_, Vec<R>>>,
        parameters: ViewMut<'_, Vec<R>>,
    ) {
        sgd::sgd(rule, slice(gradient), buffer.map(slice_mut), slice_mut(parameters));
    }
}
