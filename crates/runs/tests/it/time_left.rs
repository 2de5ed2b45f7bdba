//! The time left of a sweep, in sweeps that take their time on paper only.

use std::ops::Range;
use std::path::Path;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};
use sharpness_runs::{Identity, Plan, Spent, TimeLeft};
use sharpness_training::Outcome;
use sharpness_training::settings::RunConfig;

const HEAD: &str = "seeds = [0, 1, 2]\n";
/// Looks at the time left in each sweep.
const LOOKS: usize = 60;

/// What training and measuring take in one made-up world.
struct World {
    seconds_per_flop: f64,
    epochs: f64,
    power: f64,
    passes: f64,
    noise: f64,
    random: ChaCha8Rng,
}

/// A run from its begin to its end, in seconds of the sweep.
struct Made {
    id: Identity,
    begin: f64,
    epoch: f64,
    epochs: f64,
    points: usize,
    spent: Spent,
}

/// Whether λ_max is searched between iterates.
fn is_searched(config: &RunConfig) -> bool {
    config.measure.asked.contains_key("between_iterates")
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        Self {
            seconds_per_flop: 10_f64.powf(random.random_range(-10.0..-8.0)),
            epochs: 10_f64.powf(random.random_range(-2.0..-1.0)),
            power: random.random_range(0.6..1.1),
            passes: 10_f64.powf(random.random_range(1.5..2.5)),
            noise: random.random_range(0.05..0.2),
            random,
        }
    }

    fn noise(&mut self) -> f64 {
        let normal: f64 = StandardNormal.sample(&mut self.random);
        (self.noise * normal).exp()
    }

    /// What a run takes. `measuring` stretches measurements; steps above `too_large` diverge.
    fn spent(&mut self, config: &RunConfig, measuring: f64, too_large: f64) -> (f64, Spent) {
        let training = &config.training;
        let examples = config.data.train_examples.unwrap_or(1442) as f64;
        let flops = if config.model.arch.name() == "mlp" { 2e5 } else { 4e6 };
        let epoch = self.seconds_per_flop * flops * examples * self.noise();
        let ratio = training.batch_size as f64 / training.learning_rate;
        let needed = (self.epochs * ratio.powf(self.power) * self.noise()).ceil().max(2.0);
        let most = f64::from(training.max_epochs);
        let (outcome, epochs) = if training.learning_rate > too_large {
            (Outcome::Diverged, 1.0)
        } else if needed > most {
            (Outcome::MaxEpochs, most)
        } else {
            (Outcome::Converged, needed)
        };
        let solves = if is_searched(config) { 4.0 } else { 1.0 };
        let passes = self.passes * measuring * solves * self.noise() * config.measure.examples as f64;
        let measured = (outcome != Outcome::Diverged).then_some(passes * epoch / examples);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "epochs are few")]
        let whole = epochs as u32;
        (epoch, Spent { outcome, epochs: whole, training: epochs * epoch, measuring: measured })
    }

    /// The runs of a plan one after the other, `jobs` at once.
    fn make(&mut self, plan: &Plan, jobs: usize, (measuring, too_large): (f64, f64)) -> Vec<Made> {
        let mut free = vec![0.0_f64; jobs];
        plan.distinct()
            .map(|run| {
                let (epoch, spent) = self.spent(&run.config, measuring, too_large);
                let first = free.iter_mut().min_by(|a, b| a.total_cmp(b)).unwrap();
                let begin = *first;
                *first += spent.training + spent.measuring.unwrap_or(0.0);
                let points = if is_searched(&run.config) { 8 } else { 0 };
                Made {
                    id: run.identity.clone(),
                    begin,
                    epoch,
                    epochs: f64::from(spent.epochs),
                    points,
                    spent,
                }
            })
            .collect()
    }
}

impl Made {
    fn end(&self) -> f64 {
        self.begin + self.spent.training + self.spent.measuring.unwrap_or(0.0)
    }

    /// Tells what happened to the run between two instants.
    fn tell(&self, left: &mut TimeLeft, time: Range<f64>) {
        let (from, now) = (time.start, time.end);
        if now < self.begin || from >= self.end() {
            return;
        }
        if from < self.begin || from <= 0.0 {
            left.begin(&self.id, self.begin);
        }
        // Each step of ten in an epoch, as a training tells them.
        let first = (10.0 * (from - self.begin) / self.epoch).floor().max(0.0);
        let last = (10.0 * (now - self.begin) / self.epoch).floor().min(10.0 * self.epochs - 1.0);
        for step in [first + 1.0, last].into_iter().filter(|_| first < last) {
            left.trained(&self.id, step / 10.0, self.begin + step / 10.0 * self.epoch);
        }
        let trained = self.begin + self.spent.training;
        if let Some(measuring) = self.spent.measuring.filter(|_| now >= trained) {
            left.measuring(&self.id, None, from.max(trained));
            let share = (now - trained) / measuring;
            let solve = 1.0 / (1.0 + 0.5 * self.points as f64);
            if self.points > 0 && share > solve {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "eight at most")]
                let point = ((share - solve) / solve / 0.5) as usize;
                left.measuring(
                    &self.id,
                    Some((point.min(self.points - 1) + 1, self.points)),
                    now.min(self.end()),
                );
            }
        }
        if now >= self.end() {
            left.end(&self.id, &self.spent, self.end());
        }
    }
}

/// How the looks from a quarter of the work on went.
#[derive(Clone, Copy, Debug, Default)]
struct Score {
    looks: usize,
    shown: usize,
    inside: usize,
    near: usize,
}

fn score(recipe: &str, jobs: usize, stretch: (f64, f64)) -> Score {
    let mut score = Score::default();
    for seed in 0..6 {
        let text = format!("{HEAD}{recipe}");
        let plan = Plan::parse(Path::new("recipe.toml"), &text).unwrap();
        let made = World::new(seed).make(&plan, jobs, stretch);
        let end = made.iter().map(Made::end).fold(0.0, f64::max);
        let work: f64 = made.iter().map(|run| run.end() - run.begin).sum();
        let mut left = TimeLeft::new(&plan, jobs);
        let mut before = 0.0;
        for look in 1..LOOKS {
            // Between two looks time advances in small steps.
            for step in 1..=10 {
                let now = end * (look as f64 - 1.0 + f64::from(step) / 10.0) / LOOKS as f64;
                made.iter().for_each(|run| run.tell(&mut left, before..now));
                before = now;
            }
            let done: f64 = made.iter().map(|run| (before.min(run.end()) - run.begin).max(0.0)).sum();
            if done < 0.25 * work {
                continue;
            }
            score.looks += 1;
            let (Some(range), truth) = (left.estimate(before), end - before) else { continue };
            score.shown += 1;
            score.inside += usize::from(range.contains(&truth));
            let middle = f64::midpoint(range.start, range.end);
            score.near += usize::from((truth / 2.0..=truth * 2.0).contains(&middle));
        }
    }
    score
}

#[test]
fn the_range_holds_the_time_that_is_left() {
    let rates = "grid = { learning_rate = [0.2, 0.1, 0.05, 0.02, 0.01] }\n";
    let slow_first = "grid = { learning_rate = [0.01, 0.02, 0.05, 0.1, 0.2] }\n";
    let sizes = "grid = { train_examples = [70, 140, 400, 1400], batch_size = [10, 50] }\n";
    let blocks = "[[block]]\nfixed = { arch = \"mlp\" }\n[[block]]\nfixed = { arch = \"cnn\" }\n";
    for (name, fixed, grid, stretch) in [
        ("costs that differ 20 times", "", rates.to_owned(), (1.0, 1.0)),
        ("the slow ones first", "", slow_first.to_owned(), (1.0, 1.0)),
        ("measuring most of the time", "", rates.to_owned(), (30.0, 1.0)),
        ("max_epochs binds", ", max_epochs = 40", rates.to_owned(), (1.0, 1.0)),
        ("between iterates", ", between_iterates = true", rates.to_owned(), (3.0, 1.0)),
        ("larger steps diverge", "", rates.to_owned(), (1.0, 0.07)),
        ("two networks", "", format!("{rates}{blocks}"), (1.0, 1.0)),
        ("sizes of data", "", sizes.to_owned(), (1.0, 1.0)),
    ] {
        let recipe = format!("fixed = {{ data.name = \"digits\", arch = \"mlp\"{fixed} }}\n{grid}");
        for jobs in [1, 2, 4] {
            let score = score(&recipe, jobs, stretch);
            let Score { looks, shown, inside, near } = score;
            let share = |part: usize, whole: usize| part as f64 / whole as f64;
            assert!(share(inside, shown) >= 0.9, "{name}, {jobs} jobs: the range holds the truth: {score:?}");
            assert!(
                share(near, shown) >= 0.9,
                "{name}, {jobs} jobs: its middle is near the truth: {score:?}"
            );
            assert!(share(shown, looks) >= 0.5, "{name}, {jobs} jobs: it is told: {score:?}");
        }
    }
}
