//! Checks of combinations of settings. The range of each setting is declared at its field.

use sharpness_network::Error as NetworkError;
use sharpness_network::backend::Shape;
use toml::Table;

use crate::measures::{AdamSharpness, Measure as _, tracked};
use crate::optimizers::OptimizerConfig;
use crate::settings::{RunConfig, TrainingConfig};
use crate::{Error, Result};

/// The key of Adam's sharpness.
const ADAM_SHARPNESS: &str = "measure.adam_sharpness";
/// The largest number of parameters; a step needs several vectors of this length.
const MAX_PARAMETERS: usize = 1 << 30;

impl RunConfig {
    /// Checks every setting, for a training set that has `train_examples` examples before a subset is taken.
    ///
    /// # Errors
    /// [`Error::Config`] names the first key with a value out of its range or that contradicts another.
    pub fn validate(&self, train_examples: usize) -> Result<()> {
        // A configuration built in code has not been checked against the ranges.
        self.overlaid(&Table::new()).map_err(|(key, problem)| Error::Config { key, problem })?;
        let trained = match self.data.train_examples {
            None => train_examples,
            Some(count) => {
                require(count <= train_examples, "data.train_examples", || {
                    format!("must be at most the {train_examples} examples of the training set, got {count}")
                })?;
                count
            }
        };
        let parameters = self.validate_model()?;
        self.training.validate(trained)?;
        tracked(&self.training.through_measures, &self.measure.asked)
            .map_err(|problem| Error::Config { key: "training.through_measures".to_owned(), problem })?;
        let tracked_measures = &self.training.through_measures;
        let is_scaled = self.measure.asked.contains_key(AdamSharpness::NAME)
            || tracked_measures.iter().any(|name| name == AdamSharpness::NAME);
        require(
            !is_scaled || matches!(self.training.optimizer, OptimizerConfig::Adam(_)),
            ADAM_SHARPNESS,
            || {
                "needs a run with `training.optimizer.name = \"adam\"`, whose second moments it takes"
                    .to_owned()
            },
        )?;
        require(self.measure.top_k as u128 <= parameters, "measure.top_k", || {
            format!("must be at most {parameters}, the number of parameters, got {}", self.measure.top_k)
        })
    }

    /// Checks the network and whether it takes the images of the data set, and counts its parameters.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn validate_model(&self) -> Result<u128> {
        let (data, image) = (self.data.name, self.data.name.shape());
        let shape = Shape::new(image.channels, image.height, image.width);
        let model = self.model.options().model(shape, data.classes());
        let model = model.map_err(|error| match error {
            NetworkError::Option { option, problem } => {
                Error::Config { key: format!("model.{option}"), problem }
            }
            error => Error::Config {
                key: "data.name".to_owned(),
                problem: format!("is {data}, whose images {} cannot take: {error}", self.model.arch.name()),
            },
        })?;
        let parameters = model.parameters().tensors().iter().map(|tensor| tensor.len() as u128).sum::<u128>();
        require(parameters <= MAX_PARAMETERS as u128, "model.hidden", || {
            format!("gives {parameters} parameters, more than {MAX_PARAMETERS}; choose smaller widths")
        })?;
        Ok(parameters)
    }
}

impl TrainingConfig {
    fn validate(&self, examples: usize) -> Result<()> {
        require(self.batch_size <= examples, "training.batch_size", || {
            format!("must be at most the {examples} examples that are trained on, got {}", self.batch_size)
        })?;
        self.optimizer.settings().validate().map_err(|(key, problem)| {
            let key = format!("training.optimizer.{key}");
            Error::Config { key, problem }
        })?;
        for (key, is_given) in [
            ("training.through_every", self.through_every.is_some()),
            ("training.through_measures", !self.through_measures.is_empty()),
        ] {
            require(!is_given || self.through_training.is_some(), key, || {
                "needs `training.through_training`, the tolerance of λ_max through training".to_owned()
            })?;
        }
        if let Some(m) = self.sam.as_ref().and_then(|sam| sam.m) {
            require(m <= self.batch_size, "training.sam.m", || {
                format!("must be at most the batch size {}, got {m}", self.batch_size)
            })?;
        }
        let most = u32::MAX / self.steps_per_epoch(examples).max(1);
        require(self.max_epochs <= most, "training.max_epochs", || {
            format!("must be at most {most} (steps are counted in 32 bits), got {}", self.max_epochs)
        })
    }
}

fn require(holds: bool, key: &str, problem: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::Config { key: key.to_owned(), problem: problem() }) }
}
