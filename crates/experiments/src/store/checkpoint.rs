//! A checkpoint: one safetensors file with all that a run needs to go on.
//!
//! Tensors `parameters`, `running_statistics` and, with momentum, `momentum`, where λ_max is measured
//! through training, `eigenvector`, flat and in the precision of the run; in the
//! metadata the run's name, the progress, and a digest of both progress and tensors.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sharpness_network::Weights;

use super::atomic::{failed, replace};
use crate::config::Precision;
use crate::config::identity::{hex, old_id};
use crate::network::files;
use crate::training::TrainState;
use crate::{Error, Result};

/// The only key of the metadata: with several, their order in the file would differ from run to run.
const KEY: &str = "sharpness";

/// The tensors, in the order of the digest.
const NAMES: [&str; 4] = ["parameters", "running_statistics", "momentum", "eigenvector"];

/// Bytes beyond the tensors that a checkpoint never reaches.
const HEADER_LIMIT: u64 = 1 << 24;

/// What the metadata hold.
#[derive(Serialize, Deserialize)]
struct Header {
    run: String,
    /// The progress as JSON, in exactly the bytes of the digest.
    progress: String,
    sha256: String,
}

/// Replaces the checkpoint at `path`.
///
/// # Errors
/// [`Error::Io`] if the disk is full or the directory cannot be written; the last checkpoint is kept then.
pub(super) fn write(path: &Path, run: &str, precision: Precision, state: &TrainState) -> Result<()> {
    let TrainState { weights, momentum, eigenvector, .. } = state;
    let vectors = [Some(&weights.parameters), Some(&weights.state), momentum.as_ref(), eigenvector.as_ref()];
    let data: Vec<(&str, usize, Vec<u8>)> = NAMES
        .into_iter()
        .zip(vectors)
        .filter_map(|(name, vector)| vector.map(|v| (name, v.len(), encode(v, precision))))
        .collect();
    let json = |e: serde_json::Error| failed("write", path)(e.into());
    let progress = serde_json::to_string(&state.progress).map_err(json)?;
    let sha256 = digest(&progress, data.iter().map(|(_, _, bytes)| bytes.as_slice()));
    let header = serde_json::to_string(&Header { run: run.to_owned(), progress, sha256 }).map_err(json)?;
    let views = data
        .iter()
        .map(|(name, len, bytes)| Ok((*name, TensorView::new(dtype(precision), vec![*len], bytes)?)))
        .collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>();
    let content = views
        .and_then(|views| safetensors::serialize(views, Some(HashMap::from([(KEY.to_owned(), header)]))))
        .map_err(|e| failed("write", path)(std::io::Error::other(e)))?;
    replace(path, &content)
}

/// Reads the checkpoint of the run `run`, whose network has `dim` parameters and `state_dim` running statistics; `None` where
/// there is none yet.
///
/// # Errors
/// [`Error::DamagedRun`] if the file does not hold what [`write()`] wrote; [`Error::Io`] if it cannot be read.
pub(super) fn read(
    path: &Path,
    run: &str,
    precision: Precision,
    (dim, state_dim): (usize, usize),
) -> Result<Option<TrainState>> {
    let damaged = |problem: String| Error::DamagedRun {
        file: path.to_owned(),
        problem,
        way_out: "restore it from a copy, or move it away to train this run again from its start",
    };
    let limit = (3 * dim + state_dim) as u64 * size_of::<f64>() as u64 + HEADER_LIMIT;
    let content = match files::read(path, limit) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) if e.kind() == ErrorKind::FileTooLarge => return Err(damaged(e.to_string())),
        content => content.map_err(failed("read", path))?,
    };
    decode(&content, run, precision, (dim, state_dim)).map(Some).map_err(damaged)
}

fn decode(
    content: &[u8],
    run: &str,
    precision: Precision,
    (dim, state_dim): (usize, usize),
) -> std::result::Result<TrainState, String> {
    let file = SafeTensors::deserialize(content)
        .map_err(|e| format!("it is no safetensors file ({e}; it has {} bytes)", content.len()))?;
    let (_, metadata) = SafeTensors::read_metadata(content).map_err(|e| e.to_string())?;
    let header = metadata.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
    let header = header.ok_or_else(|| format!("its metadata have no key `{KEY}`"))?;
    let header: Header =
        serde_json::from_str(header).map_err(|e| format!("its metadata cannot be read ({e})"))?;
    if header.run != run && header.run != old_id(run) {
        return Err(format!("it is that of the run {}, but the configuration is that of {run}", header.run));
    }
    let mut digested = Vec::new();
    let mut vectors = Vec::new();
    for (name, len) in NAMES.into_iter().zip([dim, state_dim, dim, dim]) {
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
    let (parameters, statistics, momentum, eigenvector) = (next(), next(), next(), next());
    let (Some(parameters), Some(statistics)) = (parameters, statistics) else {
        return Err("`parameters` or `running_statistics` are missing".to_owned());
    };
    let weights = Weights { parameters, state: statistics };
    Ok(TrainState { weights, momentum, eigenvector, progress })
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
