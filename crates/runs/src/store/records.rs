//! The results of a run on disk: one of its training, and one of each measurement.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sharpness_training::Outcome;
use sharpness_training::measures::Measurement;
use sharpness_training::settings::RunConfig;
use toml::Table;

use crate::identity::{Identity, differences, training_differences};
use crate::json::read_json;
use crate::layout::RunLayout;
use crate::migrate::{SCHEMA, stored_settings};
use crate::report::{Report, TrainReport};
use crate::{Error, Result};

/// The content of `result.json`.
#[derive(Serialize, Deserialize)]
pub(super) struct TrainingRecord {
    pub(super) schema: i64,
    pub(super) id: String,
    pub(super) config: RunConfig,
    pub(super) training: TrainReport,
}

/// The content of a file in `measurements`.
#[derive(Serialize, Deserialize)]
pub(super) struct MeasurementRecord {
    pub(super) schema: i64,
    pub(super) id: String,
    pub(super) training_id: String,
    pub(super) config: RunConfig,
    pub(super) measurement: Measurement,
}

/// The content of `result.json` in schema 1.
#[derive(Deserialize)]
struct OldRecord {
    config: serde_json::Value,
    training: TrainReport,
    measurement: Option<Measurement>,
}

/// The report of a run, if it is done: its training has ended, and it was measured unless it diverged.
pub(super) fn report(layout: &RunLayout, config: &RunConfig, is_measured: bool) -> Result<Option<Report>> {
    let Some(training) = training_of(layout, config)? else { return Ok(None) };
    let measurement = match measurement_of(layout, config) {
        // A measurement that was not asked for is given if it can be read.
        Err(_) if !is_measured => None,
        measurement => measurement?,
    };
    if measurement.is_none() && is_measured && !needs_no_measurement(training.outcome) {
        return Ok(None);
    }
    let Identity { training: training_id, run: id } = Identity::of(config)?;
    Ok(Some(Report { id, training_id, config: config.clone(), training, measurement }))
}

/// Whether a training needs no measurement.
pub(crate) fn needs_no_measurement(outcome: Outcome) -> bool {
    outcome == Outcome::Diverged
}

/// The training of a run, if it has ended.
///
/// # Errors
/// [`Error::DamagedRun`] if its record cannot be read or is of another training.
pub(super) fn training_of(layout: &RunLayout, config: &RunConfig) -> Result<Option<TrainReport>> {
    let Some(record) = training_record(layout)? else { return Ok(None) };
    let differences = training_differences(&record.config, config)?;
    check_same(layout.result(), &differences)?;
    Ok(Some(record.training))
}

/// The measurement of a run, if there is one.
///
/// # Errors
/// As [`training_of`].
pub(super) fn measurement_of(layout: &RunLayout, config: &RunConfig) -> Result<Option<Measurement>> {
    let file = layout.measurement(&Identity::of(config)?.run);
    let Some(record) = measurement_record(&file)? else { return Ok(None) };
    check_same(file, &differences(&record.config, config)?)?;
    Ok(Some(record.measurement))
}

/// Refuses a file that is whole but another run's, as two processes could leave it.
fn check_same(file: PathBuf, differences: &[String]) -> Result<()> {
    if differences.is_empty() {
        return Ok(());
    }
    let differences = differences.join(", ");
    let problem = format!("it is the result of another run; there and here differ: {differences}");
    Err(Error::damaged(file, problem))
}

/// The record of a training that has ended.
fn training_record(layout: &RunLayout) -> Result<Option<TrainingRecord>> {
    let file = layout.result();
    let Some(record) = read_json::<TrainingRecord>(&file)? else { return Ok(None) };
    check_record(file, record.schema, (&record.id, &Identity::of(&record.config)?.training))?;
    Ok(Some(record))
}

/// The record of a measurement in `file`.
fn measurement_record(file: &Path) -> Result<Option<MeasurementRecord>> {
    let Some(record) = read_json::<MeasurementRecord>(file)? else { return Ok(None) };
    check_record(file.to_owned(), record.schema, (&record.id, &Identity::of(&record.config)?.run))?;
    Ok(Some(record))
}

/// Refuses a record of another schema, or whose name is not that of its settings.
fn check_record(file: PathBuf, schema: i64, (id, expected): (&str, &str)) -> Result<()> {
    if schema != SCHEMA {
        let problem = format!("it has schema {schema}, and this version reads {SCHEMA}");
        return Err(Error::damaged(file, problem));
    }
    if id != expected {
        return Err(Error::damaged(
            file,
            format!("it is named {id}, but its settings are those of {expected}"),
        ));
    }
    Ok(())
}

/// The reports of all measurements of a training, with an error in place of each that cannot be read; one without a measurement if
/// there are none.
pub(super) fn reports(layout: &RunLayout) -> Result<Vec<Result<Report>>> {
    let Some(TrainingRecord { id: training_id, config, training, .. }) = training_record(layout)? else {
        return Ok(Vec::new());
    };
    let mut files = Vec::new();
    if let Ok(entries) = std::fs::read_dir(layout.measurements()) {
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort_unstable();
    let report = |file: &PathBuf| -> Result<Option<Report>> {
        let Some(record) = measurement_record(file)? else { return Ok(None) };
        if record.training_id != training_id {
            return Err(Error::damaged(
                file.clone(),
                format!("it is of the training {}", record.training_id),
            ));
        }
        let (training_id, training) = (training_id.clone(), training.clone());
        let MeasurementRecord { id, config, measurement, .. } = record;
        Ok(Some(Report { id, training_id, config, training, measurement: Some(measurement) }))
    };
    let mut reports: Vec<Result<Report>> = files.iter().filter_map(|file| report(file).transpose()).collect();
    if reports.is_empty() {
        let id = Identity::of(&config)?.run;
        reports.push(Ok(Report { id, training_id, config, training, measurement: None }));
    }
    Ok(reports)
}

/// The report of a run that an older version finished; none if it was not finished.
pub(super) fn old_report(layout: &RunLayout) -> Result<Option<Report>> {
    let Some(OldRecord { config, training, measurement }) = read_json(&layout.result())? else {
        return Ok(None);
    };
    let damaged = |problem: String| Error::damaged(layout.result(), problem);
    let table = without_nulls(config).unwrap_or_default();
    let table = Table::try_from(table)
        .map_err(|error| damaged(format!("this version cannot read its config: {error}")))?;
    let (table, _): (Table, bool) = stored_settings(table);
    let config = RunConfig::of_table(table)
        .map_err(|(key, problem)| damaged(format!("this version cannot read {key}: {problem}")))?;
    let Identity { training: training_id, run: id } = Identity::of(&config)?;
    Ok(Some(Report { id, training_id, config, training, measurement }))
}

/// JSON without nulls, which TOML does not have.
fn without_nulls(value: serde_json::Value) -> Option<serde_json::Value> {
    use serde_json::Value as Json;
    match value {
        Json::Null => None,
        Json::Object(map) => {
            let kept = map.into_iter().filter_map(|(key, value)| Some((key, without_nulls(value)?)));
            Some(Json::Object(kept.collect()))
        }
        other => Some(other),
    }
}
