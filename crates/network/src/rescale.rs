//! Other weights of the same function: a layer times α, and the next one divided by it.

use serde::Serialize;

use crate::Error;
use crate::backend::Backend;
use crate::graph::Node;
use crate::network::Network;
use crate::op::Homogeneity;
use crate::weights::Weights;

/// Two layers with nothing but ReLUs, poolings and dropout between them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RescaledLayers {
    /// The layer whose weight and bias are multiplied by α.
    pub multiplied: String,
    /// The layer whose weight is divided by α.
    pub divided: String,
}

impl<B: Backend> Network<B> {
    /// The pairs of layers that [`Self::rescale`] takes, in order.
    pub fn rescalable(&self) -> Vec<RescaledLayers> {
        let layers = self.graph.nodes().iter().filter(|node| node.op.homogeneity() == Homogeneity::Layer);
        let pair = |first: &Node<B>| {
            let second = self.next_layer(first).ok()?;
            Some(RescaledLayers { multiplied: first.name.clone(), divided: second.name.clone() })
        };
        layers.filter_map(pair).collect()
    }

    /// Weights with the same outputs, but for rounding, and another Hessian: weight and bias of one layer are multiplied by `alpha`, and
    /// the weight of the next is divided by it (Dinh, Pascanu, Bengio, Bengio 2017, section 4: `T_α`). A power of two changes no bit of
    /// the outputs.
    ///
    /// # Errors
    /// [`Error::Rescale`] if `alpha` is not positive and finite, the layers are not one of [`Self::rescalable`], or a weight leaves the
    /// range of the device's numbers.
    ///
    /// # Panics
    /// If `weights` are not those of this network.
    pub fn rescale(&self, weights: &Weights, layers: &RescaledLayers, alpha: f64) -> Result<Weights, Error> {
        if !(alpha > 0.0 && alpha.is_finite()) {
            return Err(Error::Rescale(format!("alpha must be positive and finite, got {alpha:?}")));
        }
        let (first, second) = self.pair(layers)?;
        let mut rescaled = weights.clone();
        for range in &first.parameters {
            rescaled.parameters[range.clone()].iter_mut().for_each(|w| *w *= alpha);
        }
        let weight = second.parameters[0].clone();
        rescaled.parameters[weight.clone()].iter_mut().for_each(|w| *w /= alpha);
        for range in first.parameters.iter().chain([&weight]) {
            let (new, old) = (&rescaled.parameters[range.clone()], &weights.parameters[range.clone()]);
            if new.iter().zip(old).any(|(new, old)| !self.is_kept(*new, *old)) {
                return Err(Error::Rescale(format!(
                    "alpha {alpha:?} takes weights of {} out of the range of {} numbers; take one nearer to 1",
                    if *range == weight { &second.name } else { &first.name },
                    self.backend().precision()
                )));
            }
        }
        Ok(rescaled)
    }

    /// Whether a weight keeps its precision on the device.
    fn is_kept(&self, new: f64, old: f64) -> bool {
        let is_single = self.backend().element_bytes() < size_of::<f64>();
        let (smallest, largest) = if is_single {
            (f64::from(f32::MIN_POSITIVE), f64::from(f32::MAX))
        } else {
            (f64::MIN_POSITIVE, f64::MAX)
        };
        // What was tiny before may be so after.
        let fades = new.abs() < smallest && old.abs() >= smallest;
        new.abs() <= largest && !fades
    }

    fn pair(
        &self,
        RescaledLayers { multiplied, divided }: &RescaledLayers,
    ) -> Result<(&Node<B>, &Node<B>), Error> {
        let nodes = self.graph.nodes();
        let first = nodes
            .iter()
            .find(|node| node.name == *multiplied)
            .ok_or_else(|| Error::Rescale(format!("there is no layer `{multiplied}`; {}", self.choices())))?;
        let second = self
            .next_layer(first)
            .map_err(|problem| Error::Rescale(format!("{problem}; {}", self.choices())))?;
        if second.name == *divided {
            return Ok((first, second));
        }
        Err(Error::Rescale(format!(
            "the layer after `{multiplied}` is `{}`, not `{divided}`; {}",
            second.name,
            self.choices()
        )))
    }

    fn choices(&self) -> String {
        let pairs = self.rescalable();
        let names = pairs.iter().map(|pair| format!("{},{}", pair.multiplied, pair.divided));
        match pairs.len() {
            0 => "no two layers of this network have nothing but ReLUs and poolings between them".to_owned(),
            _ => format!("layers to take: {}", names.collect::<Vec<_>>().join("; ")),
        }
    }

    /// The layer to which a factor on the parameters of `first` is carried, or what stops it.
    fn next_layer<'a>(&'a self, first: &'a Node<B>) -> Result<&'a Node<B>, String> {
        if first.op.homogeneity() != Homogeneity::Layer {
            return Err(format!("`{}` ({}) is no layer to rescale", first.name, first.op.kind()));
        }
        let mut node = first;
        loop {
            let next = self.graph.only_user(node);
            let next =
                next.ok_or_else(|| format!("the output of `{}` does not go to one layer", node.name))?;
            match next.op.homogeneity() {
                Homogeneity::Layer => return Ok(next),
                Homogeneity::Input => node = next,
                Homogeneity::None => {
                    return Err(format!(
                        "`{}` is followed by `{}` ({}), through which no factor passes",
                        first.name,
                        next.name,
                        next.op.kind()
                    ));
                }
            }
        }
    }
}
