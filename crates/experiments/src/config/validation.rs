//! Which values a configuration may hold.

use sharpness_network::Error as NetworkError;
use sharpness_network::backend::Shape;

use super::{MeasureConfig, RunConfig, SamConfig, TrainingConfig};
use crate::{Error, Result};

/// The largest number of parameters; a step needs several vectors of this length.
const MAX_PARAMETERS: usize = 1 << 30;

impl RunConfig {
    /// Checks every value, for a training set that has `train_examples` examples before a subset is taken.
    ///
    /// # Errors
    /// [`Error::Config`] names the first key with a value out of its range.
    pub fn validate(&self, train_examples: usize) -> Result<()> {
        for (key, seed) in [("seed", self.seed), ("data.seed", self.data_seed())] {
            storable(seed, key)?;
        }
        let trained = match self.data.train_examples {
            None => train_examples,
            Some(count) => {
                require((1..=train_examples).contains(&count), "data.train_examples", || {
                    format!(
                        "must be between 1 and the {train_examples} examples of the training set, got {count}"
                    )
                })?;
                count
            }
        };
        let parameters = self.validate_model()?;
        self.training.validate(trained)?;
        self.measure.validate()?;
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
        let model = self.model.model(shape, data.classes()).map_err(|error| match error {
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
            format!("gives {parameters} parameters, and {MAX_PARAMETERS} is the most; choose smaller widths")
        })?;
        Ok(parameters)
    }
}

impl TrainingConfig {
    /// The number of steps of an epoch over `examples` examples.
    pub(crate) fn steps_per_epoch(&self, examples: usize) -> u32 {
        u32::try_from(examples.div_ceil(self.batch_size)).unwrap_or(u32::MAX)
    }

    fn validate(&self, examples: usize) -> Result<()> {
        positive(self.learning_rate, "training.learning_rate")?;
        at_least_one(self.batch_size, "training.batch_size")?;
        require(self.batch_size <= examples, "training.batch_size", || {
            format!("must be at most the {examples} examples that are trained on, got {}", self.batch_size)
        })?;
        at_least_one(self.micro_batch_size, "training.micro_batch_size")?;
        require((0.0..1.0).contains(&self.momentum), "training.momentum", || {
            format!("must be at least 0 and below 1, got {}", self.momentum)
        })?;
        require(!self.nesterov || self.momentum > 0.0, "training.nesterov", || {
            "needs a momentum above 0; set training.momentum, or leave Nesterov's momentum off".to_owned()
        })?;
        not_negative(self.weight_decay, "training.weight_decay")?;
        if let Some(sam) = &self.sam {
            sam.validate(self.batch_size)?;
        }
        require(
            self.target_accuracy > 0.0 && self.target_accuracy <= 1.0,
            "training.target_accuracy",
            || format!("is a fraction above 0 and at most 1, got {}", self.target_accuracy),
        )?;
        let most = u32::MAX / self.steps_per_epoch(examples);
        require((1..=most).contains(&self.max_epochs), "training.max_epochs", || {
            format!("must be between 1 and {most} (steps are counted in 32 bits), got {}", self.max_epochs)
        })
    }
}

impl SamConfig {
    fn validate(&self, batch_size: usize) -> Result<()> {
        not_negative(self.rho, "training.sam.rho")?;
        let m = self.m.unwrap_or(batch_size);
        require((1..=batch_size).contains(&m), "training.sam.m", || {
            format!("must be between 1 and the batch size {batch_size}, got {m}")
        })
    }
}

impl MeasureConfig {
    fn validate(&self) -> Result<()> {
        at_least_one(self.examples, "measure.examples")?;
        for (key, count) in [
            ("measure.chunk", self.chunk),
            ("measure.trace", self.trace),
            ("measure.max_products", Some(self.max_products)),
        ] {
            storable(count.unwrap_or(0) as u64, key)?;
        }
        self.chunk.map_or(Ok(()), |chunk| at_least_one(chunk, "measure.chunk"))?;
        at_least_one(self.top_k, "measure.top_k")?;
        tolerance(self.rtol, "measure.rtol")?;
        self.bound_rtol.0.map_or(Ok(()), |rtol| tolerance(rtol, "measure.bound_rtol"))?;
        self.sam_bound.map_or(Ok(()), |rho| positive(rho, "measure.sam_bound"))?;
        self.through_training.map_or(Ok(()), |rtol| tolerance(rtol, "measure.through_training"))?;
        at_least_one(self.max_products, "measure.max_products")?;
        let probes = self.trace.unwrap_or(2);
        require(probes >= 2, "measure.trace", || format!("must be at least 2 probes, got {probes}"))
    }
}

fn require(holds: bool, key: &str, problem: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::Config { key: key.to_owned(), problem: problem() }) }
}

/// Refuses integers that TOML does not have: a run with one could not be resumed.
fn storable(value: u64, key: &str) -> Result<()> {
    require(value <= i64::MAX as u64, key, || format!("must be at most {}, got {value}", i64::MAX))
}

fn at_least_one(value: usize, key: &str) -> Result<()> {
    require(value >= 1, key, || format!("must be at least 1, got {value}"))
}

fn positive(value: f64, key: &str) -> Result<()> {
    require(value.is_finite() && value > 0.0, key, || format!("must be a finite number above 0, got {value}"))
}

fn tolerance(value: f64, key: &str) -> Result<()> {
    require(value > 0.0 && value < 1.0, key, || format!("is a fraction above 0 and below 1, got {value}"))
}

fn not_negative(value: f64, key: &str) -> Result<()> {
    require(value.is_finite() && value >= 0.0, key, || {
        format!("must be a finite number, at least 0, got {value}")
    })
}
