//! How long a sweep will still take, from its runs that are done.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Plan;
use crate::Report;
use crate::config::RunConfig;
use crate::training::Outcome;

/// The runs of a sweep that are not done, and how long those took that are.
///
/// A run counts by the examples that training sees before it fits them: for small steps it follows the gradient flow, and so takes
/// as many epochs as the ratio of batch size to learning rate asks for; twice as many gradients with SAM. Seconds for each of
/// these are those of the runs of the same architecture.
#[derive(Clone, Debug, Default)]
pub struct TimeLeft {
    left: BTreeMap<String, (&'static str, f64)>,
    /// For each architecture the seconds and the work of runs that are done.
    done: BTreeMap<&'static str, (f64, f64)>,
}

impl TimeLeft {
    /// Nothing is done yet.
    pub fn new(plan: &Plan) -> Self {
        let of = |config: &RunConfig| (config.model.arch.name(), work(config));
        let left = plan.runs.iter().map(|run| (run.id.clone(), of(&run.config))).collect();
        Self { left, done: BTreeMap::new() }
    }

    /// A run is done.
    pub fn add(&mut self, report: &Report) {
        self.forget(&report.id);
        if report.training.outcome == Outcome::Converged {
            let config = &report.config;
            let (seconds, done) = self.done.entry(config.model.arch.name()).or_default();
            (*seconds, *done) = (*seconds + report.training.seconds, *done + work(config));
        }
    }

    /// A run will not be made.
    pub fn forget(&mut self, id: &str) {
        self.left.remove(id);
    }

    /// The time that is left with so many runs at once; `None` where nothing is left, or no run is done.
    pub fn estimate(&self, jobs: usize) -> Option<Duration> {
        let all = self.done.values().fold((0.0, 0.0), |all, one| (all.0 + one.0, all.1 + one.1));
        let seconds = self.left.values().map(|(arch, work)| {
            let (seconds, done) = self.done.get(arch).copied().unwrap_or(all);
            work * seconds / done
        });
        let seconds: f64 = seconds.sum();
        let at_once = jobs.clamp(1, self.left.len().max(1)) as f64;
        Duration::try_from_secs_f64(seconds / at_once).ok().filter(|time| !time.is_zero())
    }
}

/// What a training costs, up to a factor for each architecture.
fn work(config: &RunConfig) -> f64 {
    let training = &config.training;
    let examples = config.data.train_examples.unwrap_or(config.data.name.train_examples()) as f64;
    let gradients = if training.sam.is_some() { 2.0 } else { 1.0 };
    // Dropout slows training down about as the expected size of what is left of two layers says.
    let kept = (1.0 - config.model.dropout).powi(2).max(1e-3);
    gradients * examples * training.batch_size as f64 / training.learning_rate / kept
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn small_learning_rates_take_longer() {
        let text = "fixed = { arch = \"mlp\", data.name = \"digits\" }\ngrid = { learning_rate = [0.1, 0.05, 0.01] }\n";
        let plan = Plan::parse(Path::new("recipe.toml"), text).unwrap();
        let mut left = TimeLeft::new(&plan);
        assert_eq!(left.estimate(1), None, "nothing is known");
        // As if the run at 0.1 had taken ten seconds.
        let done = plan.runs[0].id.clone();
        left.done.insert("mlp", (10.0, work(&plan.runs[0].config)));
        left.forget(&done);
        let seconds = left.estimate(1).unwrap().as_secs_f64();
        assert!((seconds - 120.0).abs() < 1e-6, "twice and ten times as long, not {seconds} s");
        let seconds = left.estimate(2).unwrap().as_secs_f64();
        assert!((seconds - 60.0).abs() < 1e-6, "two at once, not {seconds} s");
    }
}
