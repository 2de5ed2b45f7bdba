//! What the first of several ranks reads in the directory of a run, for all of them.

use std::io;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sharpness_network::{Ranks, Weights};
use sharpness_training::{Progress, TrainState};

use crate::report::TrainReport;
use crate::{Error, Result};

/// The value that the first rank gives; those of the others are ignored.
///
/// # Errors
/// The value cannot be sent.
pub(crate) fn from_first<T: Serialize + DeserializeOwned>(ranks: &Ranks, own: T) -> Result<T> {
    if ranks.size() == 1 {
        return Ok(own);
    }
    let unsendable = |error: serde_json::Error| {
        Error::io("send", Path::new("the state of the run"))(io::Error::other(error))
    };
    let bytes = if ranks.is_first() { serde_json::to_vec(&own).map_err(unsendable)? } else { Vec::new() };
    let first = ranks.gather_bytes(&bytes).swap_remove(0);
    if ranks.is_first() { Ok(own) } else { serde_json::from_slice(&first).map_err(unsendable) }
}

/// A state without its vectors.
#[derive(Default, Serialize, Deserialize)]
struct Head {
    training: Option<TrainReport>,
    progress: Progress,
    /// The lengths of the parameters, the running statistics, each vector of the optimizer, and the eigenvector if there is one.
    lengths: Vec<usize>,
    has_eigenvector: bool,
}

/// The finished training, if it is finished, and the state that the first rank gives. The others give none.
///
/// # Errors
/// They cannot be sent.
pub(crate) fn state_from_first(
    ranks: &Ranks,
    own: Option<(Option<TrainReport>, TrainState)>,
) -> Result<(Option<TrainReport>, TrainState)> {
    let (mut head, mut words) = (Head::default(), Vec::new());
    if let Some((training, state)) = own {
        if ranks.size() == 1 {
            return Ok((training, state));
        }
        let TrainState { weights: Weights { parameters, state }, optimizer, eigenvector, progress } = state;
        let has_eigenvector = eigenvector.is_some();
        let vectors: Vec<Vec<f64>> =
            [parameters, state].into_iter().chain(optimizer).chain(eigenvector).collect();
        head = Head { training, progress, lengths: vectors.iter().map(Vec::len).collect(), has_eigenvector };
        words = vectors.iter().flatten().map(|x| x.to_bits()).collect();
    }
    let Head { training, progress, lengths, has_eigenvector } = from_first(ranks, head)?;
    let words = ranks.from_first(&words);
    let mut rest = words.as_slice();
    let next = |length: usize| {
        let vector = rest.split_off(..length).unwrap_or_default();
        vector.iter().map(|&bits| f64::from_bits(bits)).collect::<Vec<f64>>()
    };
    let mut vectors: Vec<Vec<f64>> = lengths.into_iter().map(next).collect();
    let eigenvector = if has_eigenvector { vectors.pop() } else { None };
    let mut vectors = vectors.into_iter();
    let (parameters, state) = (vectors.next().unwrap_or_default(), vectors.next().unwrap_or_default());
    let weights = Weights { parameters, state };
    Ok((training, TrainState { weights, optimizer: vectors.collect(), eigenvector, progress }))
}
