//! The results of a run on disk: one of its training, and one of each measurement.

use serde::{Deserialize, Serialize};
use sharpness_training::measures::Measurement;
use sharpness_training::settings::RunConfig;
use toml::{Table, Value};

use crate::identity::Identity;
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
    let Some(TrainingRecord { training, .. }) = training_record(layout)? else { return Ok(None) };
    let Identity { training: training_id, run: id } = Identity::of(config)?;
    let measured = read_json::<MeasurementRecord>(&layout.measurement(&id))?;
    let needs_none = !is_measured || training.outcome == sharpness_training::Outcome::Diverged;
    if measured.is_none() && !needs_none {
        return Ok(None);
    }
    let measurement = measured.map(|record| record.measurement);
    Ok(Some(Report { id, training_id, config: config.clone(), training, measurement }))
}

/// The record of a training that has ended.
pub(super) fn training_record(layout: &RunLayout) -> Result<Option<TrainingRecord>> {
    let record: Option<TrainingRecord> = read_json(&layout.result())?;
    match record {
        Some(record) if record.schema != SCHEMA => {
            let problem = format!("it has schema {}, and this version reads {SCHEMA}", record.schema);
            Err(Error::damaged(layout.result(), problem))
        }
        record => Ok(record),
    }
}

/// The reports of all measurements of a training; one without a measurement if there are none.
pub(super) fn reports(layout: &RunLayout) -> Result<Vec<Report>> {
    let Some(TrainingRecord { id: training_id, config, training, .. }) = training_record(layout)? else {
        return Ok(Vec::new());
    };
    let mut files = Vec::new();
    if let Ok(entries) = std::fs::read_dir(layout.measurements()) {
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort_unstable();
    let mut reports = Vec::new();
    for file in files {
        let Some(record) = read_json::<MeasurementRecord>(&file)? else { continue };
        let (training_id, training) = (training_id.clone(), training.clone());
        let measurement = Some(record.measurement);
        reports.push(Report { id: record.id, training_id, config: record.config, training, measurement });
    }
    if reports.is_empty() {
        let id = Identity::of(&config)?.run;
        reports.push(Report { id, training_id, config, training, measurement: None });
    }
    Ok(reports)
}

/// The report of a run that an older version finished; none if it was not finished.
pub(super) fn old_report(layout: &RunLayout) -> Result<Option<Report>> {
    let Some(OldRecord { config, training, measurement }) = read_json(&layout.result())? else {
        return Ok(None);
    };
    let damaged = |problem: String| Error::damaged(layout.result(), problem);
    let table = without_nulls(config).and_then(|value| Value::try_from(value).ok());
    let Some(Value::Table(table)) = table else {
        return Err(damaged("its `config` is not a table".to_owned()));
    };
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
