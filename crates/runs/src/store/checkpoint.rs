//! A checkpoint: one safetensors file with everything that is needed to resume a run.
//!
//! Tensors `parameters`, `running_statistics`, the optimizer's state vectors by their names and, if λ_max is measured through
//! training, `eigenvector`, flat and in the precision of the run; in the metadata the name of the training, the progress, and a
//! digest of both progress and tensors.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sharpness_network::{Weights, files};
use sharpness_training::TrainState;
use sharpness_training::settings::Precision;

use crate::identity::hex;
use crate::{Error, Result};

/// The only key of the metadata: with several, their order in the file would differ from run to run.
const KEY: &str = "sharpness";

/// The tensors of every run; in the digest, those of its optimizer come between them.
const PARAMETERS: &str = "parameters";
const STATISTICS: &str = "running_statistics";
const EIGENVECTOR: &str = "eigenvector";

/// The most bytes of a checkpoint besides the tensors.
const HEADER_LIMIT: u64 = 1 << 24;

/// The content of the metadata.
#[derive(Serialize, Deserialize)]
struct Header {
    run: String,
    /// The progress as JSON, byte for byte as in the digest.
    progress: String,
    sha256: String,
}

/// What a checkpoint must match.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key<'a> {
    /// The name of the training.
    pub(crate) training: &'a str,
    /// Its precision.
    pub(crate) precision: Precision,
    /// The names of its optimizer's state vectors.
    pub(crate) optimizer: &'static [&'static str],
}

/// The content of the checkpoint at `path`.
pub(super) fn content(path: &Path, key: &Key<'_>, state: &TrainState) -> Result<Vec<u8>> {
    let TrainState { weights, optimizer, eigenvector, .. } = state;
    let (run, precision) = (key.training, key.precision);
    let own = [(PARAMETERS, &weights.parameters), (STATISTICS, &weights.state)].into_iter();
    let of_optimizer = key.optimizer.iter().copied().zip(optimizer);
    let vectors = own.chain(of_optimizer).chain(eigenvector.iter().map(|vector| (EIGENVECTOR, vector)));
    let data: Vec<(&str, usize, Vec<u8>)> =
        vectors.map(|(name, vector)| (name, vector.len(), encode(vector, precision))).collect();
    let json = |e: serde_json::Error| Error::io("write", path)(e.into());
    let progress = serde_json::to_string(&state.progress).map_err(json)?;
    let sha256 = digest(&progress, data.iter().map(|(_, _, bytes)| bytes.as_slice()));
    let header = serde_json::to_string(&Header { run: run.to_owned(), progress, sha256 }).map_err(json)?;
    let views = data
        .iter()
        .map(|(name, len, bytes)| Ok((*name, TensorView::new(dtype(precision), vec![*len], bytes)?)))
        .collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>();
    views
        .and_then(|views| safetensors::serialize(views, Some(HashMap::from([(KEY.to_owned(), header)]))))
        .map_err(|e| Error::io("write", path)(std::io::Error::other(e)))
}

/// Reads the checkpoint of a training whose network has `dim` parameters and `state_dim` running statistics; `None` if there is
/// none yet.
///
/// # Errors
/// [`Error::DamagedRun`] if the file does not hold what [`content`] returned; [`Error::Io`] if it cannot be read.
pub(super) fn read(
    path: &Path,
    key: &Key<'_>,
    (dim, state_dim): (usize, usize),
) -> Result<Option<TrainState>> {
    let damaged = |problem: String| Error::DamagedRun {
        file: path.to_owned(),
        problem,
        way_out: "restore it from a copy, or move it away to restart the training",
    };
    let limit = ((2 + key.optimizer.len()) * dim + state_dim) as u64 * size_of::<f64>() as u64 + HEADER_LIMIT;
    let content = match files::read(path, limit) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) if e.kind() == ErrorKind::FileTooLarge => return Err(damaged(e.to_string())),
        content => content.map_err(Error::io("read", path))?,
    };
    decode(&content, key, (dim, state_dim)).map(Some).map_err(damaged)
}

fn decode(
    content: &[u8],
    key: &Key<'_>,
    (dim, state_dim): (usize, usize),
) -> std::result::Result<TrainState, String> {
    let (run, precision) = (key.training, key.precision);
    let file = SafeTensors::deserialize(content)
        .map_err(|e| format!("it is not a safetensors file ({e}; it has {} bytes)", content.len()))?;
    let (_, metadata) = SafeTensors::read_metadata(content).map_err(|e| e.to_string())?;
    let header = metadata.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
    let header = header.ok_or_else(|| format!("its metadata have no key `{KEY}`"))?;
    let header: Header =
        serde_json::from_str(header).map_err(|e| format!("its metadata cannot be read ({e})"))?;
    if header.run != run {
        return Err(format!("it is that of the run {}, but the configuration is that of {run}", header.run));
    }
    let mut digested = Vec::new();
    let mut vectors = Vec::new();
    let of_optimizer = key.optimizer.iter().map(|name| (*name, dim));
    let tensors = [(PARAMETERS, dim), (STATISTICS, state_dim)].into_iter().chain(of_optimizer);
    for (name, len) in tensors.chain([(EIGENVECTOR, dim)]) {
        match file.tensor(name) {
            Ok(view) if view.dtype() == dtype(precision) && view.shape() == [len] => {
                digested.push(view.data());
                vectors.push(Some(decode_values(view.data(), precision)));
            }
            Ok(view) => {
                let (found, shape) = (view.dtype(), view.shape());
                return Err(format!(
                    "`{name}` has type {found:?} and shape {shape:?}, expected {len} numbers"
                ));
            }
            Err(_) => vectors.push(None),
        }
    }
    if digest(&header.progress, digested.into_iter()) != header.sha256 {
        return Err("its content does not have the digest that was written with it".to_owned());
    }
    let progress =
        serde_json::from_str(&header.progress).map_err(|e| format!("its progress cannot be read ({e})"))?;
    let mut vectors = vectors.into_iter();
    let mut next = || vectors.next().flatten();
    let (parameters, statistics) = (next(), next());
    let optimizer: Option<Vec<Vec<f64>>> = key.optimizer.iter().map(|_| next()).collect();
    let eigenvector = next();
    let (Some(parameters), Some(statistics), Some(optimizer)) = (parameters, statistics, optimizer) else {
        return Err("a tensor of the weights or of the optimizer is missing".to_owned());
    };
    let weights = Weights { parameters, state: statistics };
    Ok(TrainState { weights, optimizer, eigenvector, progress })
}

const fn dtype(precision: Precision) -> Dtype {
    match precision {
        Precision::F32 => Dtype::F32,
        Precision::F64 => Dtype::F64,
    }
}

fn digest<'d>(progress: &str, tensors: impl Iterator<Item = &'d [u8]>) -> String {
    let mut sha = Sha256::new_with_prefix(progress);
    tensors.for_each(|tensor| sha.update(tensor));
    hex(&sha.finalize())
}

#[expect(clippy::cast_possible_truncation, reason = "values of an f32 network are f32 values")]
fn encode(values: &[f64], precision: Precision) -> Vec<u8> {
    match precision {
        Precision::F32 => values.iter().flat_map(|&x| (x as f32).to_le_bytes()).collect(),
        Precision::F64 => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
    }
}

fn decode_values(data: &[u8], precision: Precision) -> Vec<f64> {
    match precision {
        Precision::F32 => data.as_chunks().0.iter().map(|&b| f64::from(f32::from_le_bytes(b))).collect(),
        Precision::F64 => data.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b)).collect(),
    }
}
