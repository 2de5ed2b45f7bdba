//! Work whose memory is checked before it starts.

use sharpness_data::Standardized;
use sharpness_network::backend::Backend;

use crate::engine::{Engine, Visitor, with_engine};
use crate::measures::{
    BetweenIterates, Measure as _, Tracked, Tracker, held_bytes, least_bytes, weights_bytes,
};
use crate::memory::Budget;
use crate::settings::{MeasureConfig, RunConfig};
use crate::training_bytes::{device_bytes, state_bytes, training_bytes};
use crate::{Result, trained_examples};

/// Work whose memory is checked before it starts.
#[derive(Clone, Copy, Debug)]
pub enum Work<'a> {
    /// A run.
    Run {
        /// Whether it has a directory.
        is_kept: bool,
        /// Whether it is measured at its end.
        is_measured: bool,
    },
    /// A measurement of given weights.
    Measurement {
        /// Further numbers of examples to measure λ_max on.
        examples: &'a [usize],
    },
}

impl Work<'_> {
    /// The least memory that it needs, without the data set, in bytes.
    pub fn least_bytes<B: Backend>(self, engine: &Engine<B>, config: &RunConfig) -> usize {
        let network = &engine.network;
        let available = config.data.trained_examples();
        let settings = config.measurement();
        let is_searched = settings.asked.contains_key(BetweenIterates::NAME);
        let between = if is_searched { 2 * weights_bytes(network) } else { 0 };
        let beside = between.saturating_add(held_bytes(network, &settings));
        let measuring = least_bytes(engine, &settings, available).saturating_add(beside);
        match self {
            Self::Run { is_kept, is_measured } => {
                let tracking = Tracker::least_bytes(config, engine, available)
                    .saturating_add(device_bytes(network, config));
                let measuring = measuring.saturating_add(beside_weights(engine, config));
                let measuring = if is_measured { measuring } else { 0 };
                training_bytes(network, config, is_kept).max(tracking).max(measuring)
            }
            Self::Measurement { examples } => {
                let least = |&examples: &usize| {
                    least_bytes(engine, &MeasureConfig { examples, ..settings.clone() }, available) + beside
                };
                // Only a training has a next iterate.
                let next = if is_searched { training_bytes(network, config, false) } else { 0 };
                examples.iter().map(least).fold(measuring.max(next), usize::max)
            }
        }
    }
}

/// Bytes of the state of a run without its weights.
pub fn beside_weights<B: Backend>(engine: &Engine<B>, config: &RunConfig) -> usize {
    state_bytes(&engine.network, config).saturating_sub(weights_bytes(&engine.network))
}

/// The predicted peak memory of the process for the training of a run, in bytes.
///
/// # Errors
/// Those of [`trained_examples`]; too little memory to track λ_max.
pub fn predicted_bytes<B: Backend>(
    engine: &Engine<B>,
    (config, data): (&RunConfig, &Standardized),
    is_kept: bool,
    budget: Budget,
) -> Result<usize> {
    let trained = trained_examples(config, data.dataset())?;
    let left = budget.less(device_bytes(&engine.network, config));
    let on = Tracked { config, engine, data, trained: &trained, budget: left };
    let tracker = Tracker::new(on, None)?.map(|tracker| tracker.memory()).transpose()?;
    let tracking = tracker.map_or(0, |memory| memory.predicted_bytes);
    Ok(budget.total(training_bytes(&engine.network, config, is_kept)).max(tracking))
}

/// Fails if work does not fit `budget`, from which the data set is already subtracted.
///
/// # Errors
/// [`Error::Memory`](crate::Error::Memory) with the smallest bound that suffices;
/// [`Error::Network`](crate::Error::Network) if the network cannot be built.
pub fn check_memory(config: &RunConfig, work: Work<'_>, budget: Budget) -> Result<()> {
    struct Check<'a>(&'a RunConfig, Work<'a>, Budget);
    impl Visitor for Check<'_> {
        type Output = Result<()>;

        fn visit<B: Backend>(self, engine: &Engine<B>) -> Result<()> {
            let Self(config, work, budget) = self;
            budget.left(work.least_bytes(engine, config)).map(drop)
        }
    }
    with_engine(config, Check(config, work, budget))?
}
