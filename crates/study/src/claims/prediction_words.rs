//! The text of predictions and their numbers.

use super::conditional_information::ConditionalInformation;
use super::prediction::{NoTau, Over, Prediction};
use super::sign_error::SignError;

/// The explanation of the numbers of predictions.
pub const PREDICTION_MEANING: &str = "τ and Ψ: 1 if a larger predictor always goes with a larger target, 0 for a coin; K: what it tells \
    of which run is better once the given hyperparameters are known, 1 if all, 0 if nothing (Jiang et al. 2020); sign-error: 0 and 0.5, \
    and - if no pair of settings is known well enough (Dziugaite et al. 2020). With seeds: the mean of τ within each, and an interval over them; otherwise τ of the means of \
    settings, and an interval over settings (Samara and Randles 1988). K has no interval, and few runs bias it upwards. The gap is the \
    test error less the training error at the end of the last epoch. * takes no measurement of curvature; a minus means that larger \
    predicts better.";

fn round(value: f64) -> String {
    // A zero has no sign.
    format!("{:.2}", (value * 100.0).round() / 100.0 + 0.0)
}

impl Prediction {
    /// The network and the data.
    pub fn group(&self) -> String {
        format!("{} on {}", self.network, self.data)
    }

    /// What people call the predictor, with a star if it is trivial.
    pub fn starred(&self) -> String {
        format!("{}{}", self.label, if self.is_trivial { " *" } else { "" })
    }

    /// τ to two digits; empty without one.
    pub fn tau_text(&self) -> String {
        self.kendall_tau.map_or_else(String::new, round)
    }

    /// Such as `[-0.34, 0.56]`; empty without an interval.
    pub fn interval_text(&self) -> String {
        self.interval
            .map_or_else(String::new, |(lower, upper)| format!("[{}, {}]", round(lower), round(upper)))
    }

    /// Ψ to two digits; empty without one.
    pub fn psi_text(&self) -> String {
        self.granulated_psi.map_or_else(String::new, round)
    }

    /// Such as `learning_rate 0.50, rho -1.00`.
    pub fn along_text(&self) -> String {
        let along: Vec<String> =
            self.along.iter().map(|(axis, psi)| format!("{axis} {}", round(*psi))).collect();
        along.join(", ")
    }

    /// Such as `0.12, given learning_rate`; empty without K.
    pub fn conditional_text(&self) -> String {
        match &self.conditional_information {
            None => String::new(),
            Some(ConditionalInformation { value, given, .. }) if given.is_empty() => round(*value),
            Some(ConditionalInformation { value, given, .. }) => {
                format!("{}, given {}", round(*value), given.join(" and "))
            }
        }
    }

    /// Such as `1.00, 0.80, 0.31 (12 of 27 pairs)`.
    pub fn sign_error_text(&self) -> String {
        match &self.sign_error {
            None => format!("none of {} pairs is known well enough", self.environments),
            Some(SignError { max, percentile_90, mean, environments, .. }) => {
                let [max, most, mean] = [max, percentile_90, mean].map(|error| round(*error));
                format!("{max}, {most}, {mean} ({environments} of {} pairs)", self.environments)
            }
        }
    }

    /// The first environment with the largest sign-error, and how many further ones there are.
    pub fn worst_text(&self) -> String {
        let Some(SignError { worst, worst_environments, .. }) = &self.sign_error else {
            return String::new();
        };
        let first = worst.first().map_or("", String::as_str);
        match worst_environments.saturating_sub(1) {
            0 => first.to_owned(),
            further => format!("{first} and {further} more"),
        }
    }
}

/// The predictors of a group and a target that have no τ, and why; empty without any.
pub fn without_tau_text<'a>(predictions: impl IntoIterator<Item = &'a Prediction>) -> String {
    let why = |found: &Prediction| {
        Some(match found.no_tau? {
            NoTau::FewSettings => "in fewer than three settings",
            NoTau::Constant => "the same in all settings",
            NoTau::ConstantTarget => "with a target that is the same in all settings",
        })
    };
    let mut parts: Vec<(&str, Vec<String>)> = Vec::new();
    for found in predictions {
        let Some(why) = why(found) else { continue };
        match parts.iter_mut().find(|(known, _)| *known == why) {
            Some((_, labels)) => labels.push(found.starred()),
            None => parts.push((why, vec![found.starred()])),
        }
    }
    let parts: Vec<String> =
        parts.iter().map(|(why, labels)| format!("{} ({why})", labels.join(", "))).collect();
    if parts.is_empty() { String::new() } else { format!("No τ: {}.", parts.join("; ")) }
}

impl Over {
    /// Its name in text.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seeds => "seeds",
            Self::Settings => "settings",
        }
    }
}
