//! Computes many points of the loss, keeps each as soon as it is finished, and shows the time left.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde::Serialize;
use sharpness_network::backend::Backend;
use sharpness_network::{Import, Network, Weights, files};
use sharpness_runs::{PointJournal, write_file};
use sharpness_training::landscape::CurveState;
use sharpness_training::settings::RunConfig;

use crate::output::{Progress, note, time_left};

/// The template of the bar.
const TEMPLATE: &str = "{spinner} {wide_bar} {pos}/{len} {msg}";

/// The state of a curve in training.
const CURVE: &str = "curve.checkpoint";

/// The journal in `dir` of the computation that `name` and `request` describe.
///
/// # Errors
/// Those of [`PointJournal::open`].
pub(crate) fn journal(
    dir: &Path,
    name: &str,
    (config, request): (&RunConfig, &impl Serialize),
) -> Result<PointJournal> {
    let version = env!("CARGO_PKG_VERSION");
    let header = serde_json::json!({
        "computes": name, "version": version, "config": config, "measure": config.measurement(), "request": request,
    });
    let journal = PointJournal::open(&dir.join(format!("{name}.journal")), &header.to_string())?;
    if journal.started_over() {
        note(&format!("{} holds points of other weights or settings; starting over", dir.display()));
    }
    Ok(journal)
}

/// The numbers of `count` points, those that are not in the journal from `compute`, which then has them.
///
/// # Errors
/// Those of `compute` and of writing.
pub(crate) fn all<const N: usize>(
    journal: &mut PointJournal,
    (name, count): (&str, usize),
    mut compute: impl FnMut(usize) -> sharpness_training::Result<[f64; N]>,
) -> Result<Vec<[f64; N]>> {
    let mut bar = Progress::new(TEMPLATE);
    let (start, mut computed, mut all) = (Instant::now(), 0_usize, Vec::with_capacity(count));
    let missing = (0..count).filter(|point| journal.get(&format!("{name}-{point}")).is_none()).count();
    for point in 0..count {
        let key = format!("{name}-{point}");
        if let Some(known) = journal.numbers(&key) {
            all.push(known);
            continue;
        }
        let left = start.elapsed().as_secs_f64() * (missing - computed) as f64 / computed.max(1) as f64;
        let time = if computed > 0 { format!(", {}", time_left(&(left..left))) } else { String::new() };
        bar.update(point as u64, count as u64, || {
            format!("point {} of {count} of the {name}{time}", point + 1)
        });
        let numbers = compute(point)?;
        journal.append_numbers(&key, &numbers)?;
        computed += 1;
        all.push(numbers);
    }
    Ok(all)
}

/// Writes a vector in the layout of the parameters of `network` as a safetensors file, and notes in the journal that it is finished. Returns it in the
/// precision of the file.
///
/// # Errors
/// Those of writing.
pub(crate) fn keep_vector<B: Backend>(
    journal: &mut PointJournal,
    (dir, name): (&Path, &str),
    network: &Network<B>,
    vector: &[f64],
) -> Result<Vec<f64>> {
    let state = network.state().initial(0);
    let bytes = Weights { parameters: vector.to_vec(), state }
        .to_bytes(network, std::collections::BTreeMap::new())?;
    let path = dir.join(format!("{name}.safetensors"));
    write_file(&path, &bytes)?;
    let (digest, vector) = read_vector(&path, network)?;
    journal.append(name, &digest)?;
    Ok(vector)
}

/// Keeps the state of a curve in training in `dir`, for the computation of this journal.
///
/// # Errors
/// Those of writing.
pub(crate) fn keep_curve(journal: &PointJournal, dir: &Path, state: &CurveState) -> Result<()> {
    let mut bytes = format!("{}\n", journal.header()).into_bytes();
    bytes.extend((state.step as u64).to_le_bytes());
    bytes.extend(state.middle.iter().chain(&state.velocity).flat_map(|x| x.to_le_bytes()));
    Ok(write_file(&dir.join(CURVE), &bytes)?)
}

/// The last state that [`keep_curve`] kept for the computation of this journal, of a curve in `dim` dimensions.
pub(crate) fn known_curve(journal: &PointJournal, dir: &Path, dim: usize) -> Option<CurveState> {
    let limit = journal.header().len() + 1 + size_of::<u64>() + 2 * dim * size_of::<f64>();
    let bytes = files::read(&dir.join(CURVE), limit as u64).ok()?;
    let state = bytes.strip_prefix(journal.header().as_bytes())?.strip_prefix(b"\n")?;
    let (step, numbers) = state.split_first_chunk()?;
    let numbers: Vec<f64> = numbers.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
    let (middle, velocity) = (numbers.get(..dim)?.to_vec(), numbers.get(dim..2 * dim)?.to_vec());
    Some(CurveState { step: usize::try_from(u64::from_le_bytes(*step)).ok()?, middle, velocity })
}

/// Removes what [`keep_curve`] kept, once the training is done.
pub(crate) fn forget_curve(dir: &Path) {
    // A file that cannot be removed does no harm.
    let _ = std::fs::remove_file(dir.join(CURVE));
}

/// A vector that [`keep_vector`] wrote, unless it is not finished or the file is another one.
pub(crate) fn known_vector<B: Backend>(
    journal: &PointJournal,
    (dir, name): (&Path, &str),
    network: &Network<B>,
) -> Option<Vec<f64>> {
    let expected = journal.get(name)?;
    let (digest, vector) = read_vector(&dir.join(format!("{name}.safetensors")), network).ok()?;
    (digest == expected).then_some(vector)
}

fn read_vector<B: Backend>(path: &Path, network: &Network<B>) -> Result<(String, Vec<f64>)> {
    let imported = Weights::import(path, network, &Import::default(), "the network");
    let imported = imported.with_context(|| format!("cannot read back {}", path.display()))?;
    Ok((imported.origin.sha256, imported.weights.parameters))
}
