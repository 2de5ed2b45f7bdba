//! The measures besides λ_max: one row each.

use std::collections::BTreeMap;

use clap::{Arg, Command};
use sharpness_curvature::ProbesParams;
use sharpness_data::DatasetName;
use sharpness_network::Network;
use sharpness_network::architectures::Architecture;
use sharpness_network::backend::Backend;
use toml::{Table, Value};

use super::adam_sharpness::AdamSharpness;
use super::adaptive_average::AdaptiveAverage;
use super::adaptive_hessian::AdaptiveHessian;
use super::adaptive_worst::AdaptiveWorst;
use super::batch_sharpness::BatchSharpness;
use super::between_iterates::BetweenIterates;
use super::critical_step_size::CriticalStepSize;
use super::density::Density;
use super::diagonal::Diagonal;
use super::effective_rank::EffectiveRank;
use super::empirical_fisher::EmpiricalFisher;
use super::first_order_flatness::FirstOrderFlatness;
use super::fisher_rao::FisherRao;
use super::foret::Foret;
use super::frobenius::Frobenius;
use super::gauss_newton::GaussNewton;
use super::gradient_overlap::GradientOverlap;
use super::lambda_min::LambdaMin;
use super::local_volume::LocalVolume;
use super::m_sharpness::MSharpness;
use super::measure::{Flag, Measure};
use super::monte_carlo_fisher::MonteCarloFisher;
use super::pac_bayes::PacBayes;
use super::per_layer::PerLayer;
use super::relative_flatness::RelativeFlatness;
use super::sam_bound::SamBound;
use super::trace::Trace;
use crate::range::{Range as _, Seed};
use crate::settings::{MeasureConfig, RunConfig, TrainingConfig};

/// An operation on every measure.
pub trait Visitor {
    /// Applies it to a measure.
    fn visit<M: Measure>(&mut self);
}

/// Visits all measures, in the order of reports.
pub fn each(visitor: &mut impl Visitor) {
    visitor.visit::<LambdaMin>();
    visitor.visit::<Trace>();
    visitor.visit::<Frobenius>();
    visitor.visit::<EffectiveRank>();
    visitor.visit::<Diagonal>();
    visitor.visit::<PerLayer>();
    visitor.visit::<Density>();
    visitor.visit::<GradientOverlap>();
    visitor.visit::<GaussNewton>();
    visitor.visit::<EmpiricalFisher>();
    visitor.visit::<MonteCarloFisher>();
    visitor.visit::<AdaptiveHessian>();
    visitor.visit::<AdamSharpness>();
    visitor.visit::<BatchSharpness>();
    visitor.visit::<RelativeFlatness>();
    visitor.visit::<FisherRao>();
    visitor.visit::<BetweenIterates>();
    visitor.visit::<SamBound>();
    visitor.visit::<Foret>();
    visitor.visit::<MSharpness>();
    visitor.visit::<FirstOrderFlatness>();
    visitor.visit::<AdaptiveWorst>();
    visitor.visit::<AdaptiveAverage>();
    visitor.visit::<PacBayes>();
    visitor.visit::<LocalVolume>();
    visitor.visit::<CriticalStepSize>();
}

/// The settings of a measure if it is requested, otherwise none.
///
/// # Errors
/// The key, below `measure`, and what is wrong with its value.
pub fn asked<M: Measure>(asked: &BTreeMap<String, Value>) -> Result<Option<M>, (String, String)> {
    let table = match asked.get(M::NAME) {
        None | Some(Value::Boolean(false)) => return Ok(None),
        Some(Value::Boolean(true)) => Table::new(),
        Some(Value::Table(table)) => table.clone(),
        Some(value) => match M::MAIN {
            Some(main) => Table::from_iter([(main.to_owned(), value.clone())]),
            None => return Err((M::NAME.to_owned(), "must be true or false".to_owned())),
        },
    };
    serde_path_to_error::deserialize(Value::Table(table)).map(Some).map_err(|error| {
        let path = error.path().to_string();
        let key = if path == "." { M::NAME.to_owned() } else { format!("{}.{path}", M::NAME) };
        (key, error.inner().message().to_owned())
    })
}

/// The requested measures with every setting filled in: `true` for a measure without settings.
///
/// # Errors
/// As [`asked`]; a measure that does not exist.
pub(crate) fn normalized(
    asked: &BTreeMap<String, Value>,
) -> Result<BTreeMap<String, Value>, (String, String)> {
    let mut normal = Normalized { asked, tables: BTreeMap::new(), names: Vec::new(), error: None };
    each(&mut normal);
    if let Some(error) = normal.error {
        return Err(error);
    }
    match asked.keys().find(|name| !normal.names.contains(&name.as_str())) {
        Some(unknown) => {
            let names = normal.names.join("`, `");
            Err((unknown.clone(), format!("unknown key; the measures besides λ_max are `{names}`")))
        }
        None => Ok(normal.tables),
    }
}

/// The requested measures with those settings filled in that follow from the training.
pub(crate) fn filled(
    requested: &BTreeMap<String, Value>,
    training: &TrainingConfig,
) -> BTreeMap<String, Value> {
    struct Filled<'a> {
        tables: BTreeMap<String, Value>,
        training: &'a TrainingConfig,
    }
    impl Visitor for Filled<'_> {
        fn visit<M: Measure>(&mut self) {
            if let Ok(Some(settings)) = asked::<M>(&self.tables) {
                let table = Table::try_from(settings.filled(self.training)).unwrap_or_default();
                if !table.is_empty() {
                    self.tables.insert(M::NAME.to_owned(), Value::Table(table));
                }
            }
        }
    }
    let mut filled = Filled { tables: requested.clone(), training };
    each(&mut filled);
    filled.tables
}

/// The measures with these names, to be computed through training: with their settings in `requested`, or else cheap ones.
///
/// # Errors
/// The name of no measure that can be computed through training.
pub(crate) fn tracked(
    names: &[String],
    requested: &BTreeMap<String, Value>,
) -> Result<BTreeMap<String, Value>, String> {
    struct Tracked<'a> {
        names: &'a [String],
        requested: &'a BTreeMap<String, Value>,
        tables: BTreeMap<String, Value>,
        known: Vec<&'static str>,
    }
    impl Visitor for Tracked<'_> {
        fn visit<M: Measure>(&mut self) {
            if M::NAME == BetweenIterates::NAME {
                return;
            }
            self.known.push(M::NAME);
            if self.names.iter().any(|name| name == M::NAME) {
                let cheap = || M::TRACKED.iter().map(|(key, value)| ((*key).to_owned(), (*value).into()));
                let table = || Value::Table(Table::from_iter(cheap()));
                let given = self.requested.get(M::NAME).filter(|value| value.is_table()).cloned();
                self.tables.insert(M::NAME.to_owned(), given.unwrap_or_else(table));
            }
        }
    }
    let mut tracked = Tracked { names, requested, tables: BTreeMap::new(), known: Vec::new() };
    each(&mut tracked);
    match names.iter().find(|name| !tracked.known.contains(&name.as_str())) {
        Some(name) => Err(format!("must name measures, got '{name}'; they are {}", tracked.known.join(", "))),
        None => Ok(tracked.tables),
    }
}

/// Bytes of the vectors that the requested measures hold besides those of a solver.
pub(crate) fn held_bytes<B: Backend>(network: &Network<B>, settings: &MeasureConfig) -> usize {
    struct Held<'a> {
        requested: &'a BTreeMap<String, Value>,
        k: usize,
        vectors: usize,
    }
    impl Visitor for Held<'_> {
        fn visit<M: Measure>(&mut self) {
            // Settings that no measure accepts are reported where they are read.
            if let Ok(Some(settings)) = asked::<M>(self.requested) {
                self.vectors += settings.held_vectors(self.k);
            }
        }
    }
    let mut held = Held { requested: &settings.asked, k: settings.top_k, vectors: 0 };
    each(&mut held);
    held.vectors.saturating_mul(network.parameters().len()).saturating_mul(size_of::<f64>())
}

/// The parameters of the random products that the requested measures share.
pub(super) fn shared_probes<B: Backend>(
    requested: &BTreeMap<String, Value>,
    network: &Network<B>,
    params: ProbesParams,
) -> ProbesParams {
    struct Shared<'a, B: Backend> {
        requested: &'a BTreeMap<String, Value>,
        network: &'a Network<B>,
        params: ProbesParams,
    }
    impl<B: Backend> Visitor for Shared<'_, B> {
        fn visit<M: Measure>(&mut self) {
            if let Ok(Some(settings)) = asked::<M>(self.requested) {
                settings.share_probes(self.network, &mut self.params);
            }
        }
    }
    let mut shared = Shared { requested, network, params };
    each(&mut shared);
    shared.params
}

struct Normalized<'a> {
    asked: &'a BTreeMap<String, Value>,
    tables: BTreeMap<String, Value>,
    names: Vec<&'static str>,
    error: Option<(String, String)>,
}

impl Visitor for Normalized<'_> {
    fn visit<M: Measure>(&mut self) {
        self.names.push(M::NAME);
        match asked::<M>(self.asked) {
            Ok(None) => {}
            Ok(Some(settings)) => {
                // Settings are always a table.
                let table = Table::try_from(settings).unwrap_or_default();
                let value = if table.is_empty() { Value::Boolean(true) } else { Value::Table(table) };
                self.tables.insert(M::NAME.to_owned(), value);
            }
            Err(error) => self.error = self.error.take().or(Some(error)),
        }
    }
}

/// The keys of all measures with a value of their type, below `measure`.
pub(crate) fn keys() -> Vec<(String, Value)> {
    struct Keys(TrainingConfig, Vec<(String, Value)>);
    impl Visitor for Keys {
        fn visit<M: Measure>(&mut self) {
            // Settings that are unset by default follow from the training.
            let table = Table::try_from(M::default().filled(&self.0)).unwrap_or_default();
            if table.is_empty() {
                self.1.push((M::NAME.to_owned(), Value::Boolean(true)));
            }
            self.1.extend(table.into_iter().map(|(key, value)| (format!("{}.{key}", M::NAME), value)));
        }
    }
    let training = RunConfig::new(DatasetName::Digits, Architecture::Mlp).training;
    let mut keys = Keys(training, Vec::new());
    each(&mut keys);
    keys.1
}

/// Adds the flags of all measures, whose ids are their keys.
pub(crate) fn augment(command: Command) -> Command {
    struct Flags(Option<Command>);
    impl Visitor for Flags {
        fn visit<M: Measure>(&mut self) {
            let id = format!("measure.{}", M::NAME);
            let flag =
                Arg::new(id).long(M::NAME.replace('_', "-")).help(M::HELP).allow_negative_numbers(true);
            let flag = match M::FLAG {
                Flag::Required(name) => flag.value_name(name),
                Flag::Switch | Flag::Optional(_) => {
                    let name = if let Flag::Optional(name) = M::FLAG { name } else { "BOOL" };
                    flag.value_name(name).num_args(0..=1).require_equals(true).default_missing_value("true")
                }
            };
            let flag = flag.value_parser(|text: &str| parse_flag::<M>(text));
            self.0 = self.0.take().map(|command| command.arg(flag.help_heading("Measurement")));
        }
    }
    let mut flags = Flags(Some(command));
    each(&mut flags);
    flags.0.unwrap_or_default()
}

/// The value of a flag: of the main setting, or whether to measure at all.
pub(crate) fn parse_flag<M: Measure>(text: &str) -> Result<Value, String> {
    let value = match text.parse::<Value>() {
        Ok(value) => value,
        // TOML has no larger integers.
        Err(_) if text.parse::<u64>().is_ok_and(|number| Seed::check(number).is_err()) => {
            return Err(Seed::parse(text).err().unwrap_or_default());
        }
        Err(_) => Value::String(text.to_owned()),
    };
    let is_text = value.is_str() && M::MAIN.is_some();
    let asks = BTreeMap::from([(M::NAME.to_owned(), value.clone())]);
    match asked::<M>(&asks) {
        Ok(_) => Ok(value),
        Err(_) if is_text => Err(format!("expected a number, got '{text}'")),
        Err((_, problem)) => Err(problem),
    }
}
