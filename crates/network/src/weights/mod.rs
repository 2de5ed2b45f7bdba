//! Weights in safetensors files, with PyTorch's names, in both directions.

mod pair;

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::Error;
use crate::backend::Backend;
use crate::network::Network;
use crate::parameters::{Table, Tensor};

/// How a file's tensors find their places in the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Match {
    /// By name.
    #[default]
    Name,
    /// By order, among tensors of the same shape and the same last name (`weight`, `bias`, `running_mean`, …).
    Order,
}

/// Flat host vectors in a network's layout.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// The parameters.
    pub parameters: Vec<f64>,
    /// The running statistics of batch norm.
    pub state: Vec<f64>,
}

impl Weights {
    /// The beginning that the architecture prescribes, from the stream of `seed`.
    pub fn initial<B: Backend>(network: &Network<B>, seed: u64) -> Self {
        Self { parameters: network.parameters().initial(seed), state: network.state().initial(seed) }
    }

    /// Reads the weights of `network` from a safetensors file. `architecture` names the network in errors.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, has other tensors than the network (the text lists expected and found), or holds
    /// a number that is not finite.
    pub fn read<B: Backend>(
        path: &Path,
        network: &Network<B>,
        matching: Match,
        architecture: &str,
    ) -> Result<Self, Error> {
        let bytes = read_bounded(path, network)?;
        let format = |problem: String| Error::Format { path: path.to_owned(), problem };
        let file = SafeTensors::deserialize(&bytes)
            .map_err(|e| format(format!("{e} (the file has {} bytes)", bytes.len())))?;
        // PyTorch counts batches in an integer that takes no part in the mathematics.
        let found: Vec<(String, TensorView<'_>)> =
            file.tensors().into_iter().filter(|(name, _)| !name.ends_with("num_batches_tracked")).collect();
        let weights = |problem: String| Error::Weights {
            path: path.to_owned(),
            architecture: architecture.to_owned(),
            problem,
        };
        let expected: Vec<&Tensor> =
            network.parameters().tensors().iter().chain(network.state().tensors()).collect();
        let pairs = pair::pair(&expected, &found, matching).map_err(&weights)?;
        let mut values = pairs.into_iter();
        let mut fill = |table: &Table| -> Result<Vec<f64>, Error> {
            let mut flat = Vec::with_capacity(table.len());
            for view in values.by_ref().take(table.tensors().len()) {
                decode(&found[view].1, &mut flat)
                    .map_err(|problem| weights(format!("tensor `{}` {problem}", found[view].0)))?;
            }
            Ok(flat)
        };
        Ok(Self { parameters: fill(network.parameters())?, state: fill(network.state())? })
    }

    /// The bytes of a safetensors file with these weights in `f64`, which holds both precisions exactly, or in `f32`.
    ///
    /// # Errors
    /// If the table is too large for the format.
    pub fn to_bytes<B: Backend>(
        &self,
        network: &Network<B>,
        metadata: BTreeMap<String, String>,
    ) -> Result<Vec<u8>, Error> {
        let single = network.backend().element_bytes() == size_of::<f32>();
        let tables = [(network.parameters(), &self.parameters), (network.state(), &self.state)];
        let mut data = Vec::new();
        for (table, flat) in tables {
            for tensor in table.tensors() {
                data.push((tensor, encode(&flat[tensor.range()], single)));
            }
        }
        let dtype = if single { Dtype::F32 } else { Dtype::F64 };
        let failed =
            |e: safetensors::SafeTensorError| Error::Architecture(format!("cannot write weights: {e}"));
        let views = data
            .iter()
            .map(|(tensor, bytes)| Ok((&tensor.name, TensorView::new(dtype, tensor.shape.clone(), bytes)?)))
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed)?;
        safetensors::serialize(views, Some(metadata.into_iter().collect())).map_err(failed)
    }
}

/// The file's bytes, unless it is far larger than the weights of `network` can be.
fn read_bounded<B: Backend>(path: &Path, network: &Network<B>) -> Result<Vec<u8>, Error> {
    let read = |source| Error::Read { path: path.to_owned(), source };
    let size = std::fs::metadata(path).map_err(read)?.len();
    let elements = network.parameters().len() + network.state().len();
    let limit = 16 * elements as u64 + (64 << 20);
    if size > limit {
        let problem = format!("it has {size} bytes; the weights of this network need at most {limit}");
        return Err(Error::Format { path: path.to_owned(), problem });
    }
    std::fs::read(path).map_err(read)
}

#[expect(clippy::cast_possible_truncation, reason = "values of an f32 network are f32 values")]
fn encode(values: &[f64], single: bool) -> Vec<u8> {
    if single {
        values.iter().flat_map(|&x| (x as f32).to_le_bytes()).collect()
    } else {
        values.iter().flat_map(|x| x.to_le_bytes()).collect()
    }
}

/// Appends the tensor's values, or says what is wrong with them.
fn decode(view: &TensorView<'_>, flat: &mut Vec<f64>) -> Result<(), String> {
    let (data, start) = (view.data(), flat.len());
    match view.dtype() {
        Dtype::F32 => flat.extend(data.as_chunks().0.iter().map(|&b| f64::from(f32::from_le_bytes(b)))),
        Dtype::F64 => flat.extend(data.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b))),
        Dtype::BF16 => flat.extend(
            data.as_chunks()
                .0
                .iter()
                .map(|&b| f64::from(f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16))),
        ),
        other => return Err(format!("has the type {other:?}; F32, F64 or BF16 is expected")),
    }
    match flat[start..].iter().position(|x| !x.is_finite()) {
        Some(i) => Err(format!("holds {} at element {i}; weights must be finite", flat[start + i])),
        None => Ok(()),
    }
}
