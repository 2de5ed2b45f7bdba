//! Weights in safetensors files, with PyTorch's names, in both directions.

mod format;
mod pair;
mod rename;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::Error;
use crate::backend::Backend;
use crate::files;
use crate::network::Network;
use crate::op::Init;
use crate::parameters::{Table, Tensor};
pub use pair::Match;
use pair::{Found, is_statistic};
pub use rename::Rename;

/// How much of a file says what it is.
const HEAD_BYTES: u64 = 1024;

/// How to read a file of weights.
#[derive(Clone, Debug, Default)]
pub struct Import {
    /// How tensors find their places.
    pub matching: Match,
    /// Names that take the place of those in the file.
    pub renames: Vec<Rename>,
    /// Whether the running statistics of batch norm may be missing. They are then as at initialization.
    pub statistics_optional: bool,
}

/// Weights of a file, and where in the file they were.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The weights.
    pub weights: Weights,
    /// Where they were.
    pub origin: Origin,
}

/// Where in a file weights were.
#[derive(Clone, Debug, Serialize)]
pub struct Origin {
    /// The SHA-256 of the file, in hexadecimal.
    #[serde(rename = "weights_sha256")]
    pub sha256: String,
    /// What paired the tensors: names if they could, whatever was asked for.
    pub matched: Match,
    /// Every tensor of the network with its partner, in the network's order.
    pub pairs: Vec<Pair>,
}

/// A tensor of a file and the one of the network that has its values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pair {
    /// The name in the file.
    pub file: String,
    /// The name in the network.
    pub network: String,
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

    /// Reads the weights of `network` from a safetensors file whose names are the network's. `architecture` names the network in
    /// errors.
    ///
    /// # Errors
    /// As [`Weights::import`].
    pub fn read<B: Backend>(path: &Path, network: &Network<B>, architecture: &str) -> Result<Self, Error> {
        Self::import(path, network, &Import::default(), architecture).map(|imported| imported.weights)
    }

    /// Reads the weights of `network` from a safetensors file as `import` says. `architecture` names the network in errors.
    ///
    /// Tensors without elements and PyTorch's counters are passed over.
    ///
    /// # Errors
    /// If the file cannot be read, is not safetensors or damaged, has other tensors than the network (the text lists expected and
    /// found), leaves open which is which, or holds a number that is not finite.
    pub fn import<B: Backend>(
        path: &Path,
        network: &Network<B>,
        import: &Import,
        architecture: &str,
    ) -> Result<Imported, Error> {
        let bytes = read_bounded(path, network)?;
        let file = SafeTensors::deserialize(&bytes).map_err(|e| {
            let unknown = || format!("{e} (the file has {} bytes)", bytes.len());
            let problem = format::describe(&bytes).unwrap_or_else(unknown);
            Error::Format { path: path.to_owned(), problem }
        })?;
        let weights = |problem: String| Error::Weights {
            path: path.to_owned(),
            architecture: architecture.to_owned(),
            problem,
        };
        let tensors = file.tensors();
        let tensors: Vec<&(String, TensorView<'_>)> =
            tensors.iter().filter(|(name, view)| !is_counter(name) && !view.shape().contains(&0)).collect();
        let found: Vec<Found<'_>> =
            tensors.iter().map(|(name, view)| Found { name, shape: view.shape() }).collect();
        let with_state = !(import.statistics_optional && found.iter().all(|one| !is_statistic(one.name)));
        let state = if with_state { network.state().tensors() } else { &[] };
        let expected: Vec<&Tensor> = network.parameters().tensors().iter().chain(state).collect();
        let (partners, matched) =
            pair::pair(&expected, &found, import.matching, &import.renames).map_err(&weights)?;
        let mut rest = partners.iter();
        let mut fill = |table: &Table| -> Result<Vec<f64>, Error> {
            let mut flat = Vec::with_capacity(table.len());
            for (name, view) in rest.by_ref().take(table.tensors().len()).map(|&i| tensors[i]) {
                decode(view, &mut flat).map_err(|problem| weights(format!("tensor `{name}` {problem}")))?;
            }
            Ok(flat)
        };
        let parameters = fill(network.parameters())?;
        let state = if with_state { fill(network.state())? } else { network.state().initial(0) };
        let pair = |(tensor, &partner): (&&Tensor, &usize)| Pair {
            file: found[partner].name.to_owned(),
            network: tensor.name.clone(),
        };
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let pairs = expected.iter().zip(&partners).map(pair).collect();
        Ok(Imported { weights: Self { parameters, state }, origin: Origin { sha256, matched, pairs } })
    }

    /// Whether an initialization of `network` could have drawn these parameters: those that begin as constants are these constants,
    /// and those that begin uniform within a bound keep within it.
    pub fn can_be_initial<B: Backend>(&self, network: &Network<B>) -> bool {
        // A bound that was rounded to a half-precision format may have grown by this factor.
        const ROUNDING: f64 = 1.0 + 1.0 / 256.0;
        network.parameters().tensors().iter().all(|tensor| {
            let values = &self.parameters[tensor.range()];
            match tensor.init {
                Init::Constant(constant) => values.iter().all(|x| (x - constant).abs() <= 0.0),
                Init::Uniform(bound) => values.iter().all(|x| x.abs() <= bound * ROUNDING),
                Init::Normal(_) => true,
            }
        })
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
        let named = data.iter().map(|(tensor, bytes)| (tensor.name.clone(), *tensor, bytes.as_slice()));
        serialize(named, dtype, metadata)
    }
}

/// A safetensors file of vectors in the layout of `table`, in double precision. The tensor `fc1.weight` of the vector `diagonal` is
/// `diagonal.fc1.weight`.
///
/// # Errors
/// As [`Weights::to_bytes`].
///
/// # Panics
/// If a vector is shorter than the table.
pub fn vectors_to_bytes(
    table: &Table,
    vectors: &[(String, Vec<f64>)],
    metadata: BTreeMap<String, String>,
) -> Result<Vec<u8>, Error> {
    let mut data = Vec::new();
    for (name, vector) in vectors {
        for tensor in table.tensors() {
            data.push((format!("{name}.{}", tensor.name), tensor, encode(&vector[tensor.range()], false)));
        }
    }
    let named = data.iter().map(|(name, tensor, bytes)| (name.clone(), *tensor, bytes.as_slice()));
    serialize(named, Dtype::F64, metadata)
}

fn serialize<'a>(
    tensors: impl Iterator<Item = (String, &'a Tensor, &'a [u8])>,
    dtype: Dtype,
    metadata: BTreeMap<String, String>,
) -> Result<Vec<u8>, Error> {
    let failed = |e: safetensors::SafeTensorError| Error::Architecture(format!("cannot write weights: {e}"));
    let views = tensors
        .map(|(name, tensor, bytes)| Ok((name, TensorView::new(dtype, tensor.shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    safetensors::serialize(views, Some(metadata.into_iter().collect())).map_err(failed)
}

/// Whether a tensor counts what PyTorch has done, which takes no part in the mathematics.
fn is_counter(name: &str) -> bool {
    matches!(name.rsplit('.').next(), Some("num_batches_tracked" | "n_averaged"))
}

/// The file's bytes, unless there are far more than the weights of `network` can be.
fn read_bounded<B: Backend>(path: &Path, network: &Network<B>) -> Result<Vec<u8>, Error> {
    let elements = network.parameters().len() + network.state().len();
    let limit = 16 * elements as u64 + (64 << 20);
    files::read(path, limit).map_err(|source| {
        let is_large = source.kind() == std::io::ErrorKind::FileTooLarge;
        let described = is_large.then(|| format::describe(&head(path).ok()?)).flatten();
        match described {
            Some(problem) => Error::Format { path: path.to_owned(), problem },
            None => Error::Read { path: path.to_owned(), source },
        }
    })
}

/// The beginning of a file.
fn head(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    files::open_to_read(path)?.take(HEAD_BYTES).read_to_end(&mut head)?;
    Ok(head)
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
        Dtype::F16 => flat.extend(data.as_chunks().0.iter().map(|&b| f16::from_le_bytes(b).to_f64())),
        Dtype::BF16 => flat.extend(data.as_chunks().0.iter().map(|&b| bf16::from_le_bytes(b).to_f64())),
        other => return Err(format!("has the type {other:?}; F64, F32, F16 or BF16 is expected")),
    }
    match flat[start..].iter().position(|x| !x.is_finite()) {
        Some(i) => Err(format!("holds {} at element {i}; weights must be finite", flat[start + i])),
        None => Ok(()),
    }
}
