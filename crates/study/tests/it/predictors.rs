//! The statistics of predictors against computations that follow the published formulas word by word.

use std::collections::BTreeMap;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use sharpness_data::DatasetName;
use sharpness_network::architectures::Architecture;
use sharpness_study::claims::{
    Cell, NoTau, Number, Over, Prediction, Reading, Run, Settings, Target, without_tau_text,
};
use sharpness_study::figures::PredictorsFigure;
use sharpness_training::settings::RunConfig;

/// The places of the learning rate, the batch size and the dropout in the lists of these.
type Key = [usize; 3];
/// A predictor of a run.
type Predictor = (&'static str, fn(&Made) -> f64);
const RATES: [f64; 6] = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5];
const BATCHES: [usize; 3] = [100, 200, 1000];
const DROPOUTS: [f64; 2] = [0.0, 0.2];
const NAMES: [&str; 3] = ["learning_rate", "batch_size", "dropout"];
const TEST_EXAMPLES: f64 = 10_000.0;

/// A run: its setting, its seed, the predictors and the accuracies.
#[derive(Clone, Copy, Debug)]
struct Made {
    key: Key,
    seed: u64,
    lambda_max: f64,
    trace: f64,
    test_accuracy: f64,
    train_accuracy: f64,
}

fn number(column: &str) -> Number {
    Number { column: column.to_owned(), settings: String::new() }
}

fn run(made: &Made) -> Run {
    let mut config = RunConfig::new(DatasetName::Cifar10, Architecture::Vgg11);
    config.training.learning_rate = RATES[made.key[0]];
    config.training.batch_size = BATCHES[made.key[1]];
    config.model.dropout = DROPOUTS[made.key[2]];
    let reading = |value| Reading { value, converged: true };
    Run {
        settings: Settings::new(&config).unwrap(),
        seed: made.seed,
        train_examples: 50_000.0,
        test_examples: TEST_EXAMPLES,
        converged: true,
        test_accuracy: Some(made.test_accuracy),
        lambda_max: Some(made.lambda_max),
        lambda_max_converged: true,
        curve: Vec::new(),
        numbers: BTreeMap::from([
            (number("trace.value"), reading(made.trace)),
            (number("training.train_accuracy"), reading(made.train_accuracy)),
        ]),
    }
}

fn judged(runs: &[Run]) -> Vec<Prediction> {
    Prediction::of_cells(&Cell::of_runs(runs, false).kept)
}

fn of<'a>(all: &'a [Prediction], predictor: &str, target: Target) -> &'a Prediction {
    all.iter().find(|found| found.predictor == predictor && found.target == target).unwrap()
}

/// A full grid with some ties; numbers depend on the setting and on chance.
fn grid(seeds: u64) -> Vec<Made> {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut all = Vec::new();
    let keys = [0, 3, 5]
        .into_iter()
        .flat_map(|rate| (0..3).flat_map(move |batch| [0, 1].map(|dropout| [rate, batch, dropout])));
    for key in keys {
        let level: f64 = random.sample(StandardNormal);
        for seed in 0..seeds {
            let mut noise = |scale: f64| scale * random.sample::<f64, _>(StandardNormal);
            let lambda_max = (100.0 * (level + noise(0.7) - RATES[key[0]]).exp()).round() / 100.0;
            // Coarse, so that some are equal, and of both signs.
            let trace = (2.0 * level + noise(1.0)).round();
            let test_accuracy = ((0.7 - 0.05 * level + noise(0.03)) * 100.0).round() / 100.0;
            all.push(Made {
                key,
                seed,
                lambda_max,
                trace,
                test_accuracy,
                train_accuracy: 0.99 + noise(0.003),
            });
        }
    }
    all
}

fn sign(x: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x.signum() }
}

/// 1 / (|T| (|T| - 1)) Σ_{i ≠ j} sign(μ_i - μ_j) sign(g_i - g_j).
fn tau(points: &[(f64, f64)]) -> f64 {
    let mut sum = 0.0;
    for (i, a) in points.iter().enumerate() {
        for (j, b) in points.iter().enumerate() {
            if i != j {
                sum += sign(a.0 - b.0) * sign(a.1 - b.1);
            }
        }
    }
    sum / (points.len() * (points.len() - 1)) as f64
}

/// ψ of an axis: the mean of τ along it over all settings of the others.
fn psi(axis: usize, points: &[(Key, (f64, f64))]) -> f64 {
    let others = |key: &Key| (0..3).filter(|i| *i != axis).map(|i| key[i]).collect::<Vec<_>>();
    let mut taus = Vec::new();
    for (key, _) in points
        .iter()
        .filter(|(key, _)| points.iter().all(|(k, _)| others(k) != others(key) || k[axis] >= key[axis]))
    {
        let line: Vec<(f64, f64)> =
            points.iter().filter(|(k, _)| others(k) == others(key)).map(|(_, p)| *p).collect();
        taus.push(tau(&line));
    }
    taus.iter().sum::<f64>() / taus.len() as f64
}

/// min over sets S of at most two axes of I(V_μ; V_g | U_S) / H(V_g | U_S), by entropies of tables of pairs.
fn conditional_information(points: &[(Key, (f64, f64))]) -> f64 {
    let sets: [&[usize]; 7] = [&[], &[0], &[1], &[2], &[0, 1], &[0, 2], &[1, 2]];
    let entropy = |table: &BTreeMap<String, f64>| -> f64 {
        let all: f64 = table.values().sum();
        table.values().map(|count| -count / all * (count / all).log2()).sum()
    };
    let of_set = |set: &[usize]| {
        let [mut u, mut mu_u, mut g_u, mut all] = [(); 4].map(|()| BTreeMap::<String, f64>::new());
        for (i, (a, p)) in points.iter().enumerate() {
            for (j, (b, q)) in points.iter().enumerate() {
                if i != j {
                    let given =
                        format!("{:?}", set.iter().map(|axis| (a[*axis], b[*axis])).collect::<Vec<_>>());
                    let (mu, g) = (sign(p.0 - q.0), sign(p.1 - q.1));
                    *mu_u.entry(format!("{given} {mu}")).or_default() += 1.0;
                    *g_u.entry(format!("{given} {g}")).or_default() += 1.0;
                    *all.entry(format!("{given} {mu} {g}")).or_default() += 1.0;
                    *u.entry(given).or_default() += 1.0;
                }
            }
        }
        let information = entropy(&mu_u) + entropy(&g_u) - entropy(&all) - entropy(&u);
        information / (entropy(&g_u) - entropy(&u))
    };
    sets.into_iter().map(of_set).fold(f64::INFINITY, f64::min)
}

/// Maximum, mean and number of the sign-errors of environments.
fn sign_errors(points: &[(Key, (f64, f64))]) -> (f64, f64, usize) {
    let mut keys: Vec<Key> = points.iter().map(|(key, _)| *key).collect();
    keys.dedup();
    let mut errors = Vec::new();
    for (i, a) in keys.iter().enumerate() {
        for b in &keys[..i] {
            if (0..3).filter(|axis| a[*axis] != b[*axis]).count() != 1 {
                continue;
            }
            let (mut weights, mut squares, mut sum) = (0.0, 0.0, 0.0);
            for (_, p) in points.iter().filter(|(key, _)| key == a) {
                for (_, q) in points.iter().filter(|(key, _)| key == b) {
                    let certain = (1.0
                        - 2.0 * (-2.0 * TEST_EXAMPLES * ((p.1 - q.1).abs() / 2.0).powi(2)).exp())
                    .max(0.0);
                    let weight = (certain * certain - 0.5).max(0.0);
                    weights += weight;
                    squares += weight * weight;
                    sum += weight * (1.0 - sign(p.0 - q.0) * sign(p.1 - q.1)) / 2.0;
                }
            }
            if weights > 0.0 && weights * weights / squares >= 12.0 {
                errors.push(sum / weights);
            }
        }
    }
    let max = errors.iter().copied().fold(0.0, f64::max);
    (max, errors.iter().sum::<f64>() / errors.len() as f64, errors.len())
}

fn close(found: Option<f64>, expected: f64, what: &str) {
    let found = found.unwrap();
    assert!((found - expected).abs() < 1e-9, "{what}: {found}, not {expected}");
}

#[test]
fn every_statistic_is_that_of_its_formula() {
    let made = grid(4);
    let runs: Vec<Run> = made.iter().map(run).collect();
    let all = judged(&runs);
    for target in Target::ALL {
        let g = |made: &Made| match target {
            Target::TestError => 1.0 - made.test_accuracy,
            Target::GeneralizationGap => made.train_accuracy - made.test_accuracy,
        };
        let predictors: [Predictor; 3] = [
            ("lambda_max", |made| made.lambda_max),
            ("trace.value", |made| made.trace),
            ("learning_rate", |made| -RATES[made.key[0]]),
        ];
        for (name, mu) in predictors {
            let found = of(&all, name, target);
            assert_eq!(
                (found.settings, found.seeds, found.interval_over),
                (18, Some(4), Some(Over::Seeds)),
                "{name}"
            );
            let points: Vec<(Key, (f64, f64))> =
                made.iter().map(|made| (made.key, (mu(made), g(made)))).collect();
            let of_seed = |seed: u64| {
                let own = made.iter().zip(&points).filter(move |(made, _)| made.seed == seed);
                own.map(|(_, point)| *point).collect::<Vec<_>>()
            };
            let views: Vec<_> = (0..4).map(of_seed).collect();
            let taus: Vec<f64> = views
                .iter()
                .map(|view| tau(&view.iter().map(|(_, point)| *point).collect::<Vec<_>>()))
                .collect();
            let mean = taus.iter().sum::<f64>() / 4.0;
            close(found.kendall_tau, mean, &format!("τ of {name} and {target:?}"));
            // Student's t with 3 degrees of freedom.
            let deviation = (taus.iter().map(|tau| (tau - mean).powi(2)).sum::<f64>() / 3.0).sqrt();
            let half = 3.182_446_305_284_263 * deviation / 2.0;
            let lower = (mean - half).max(-1.0);
            let near = |(found, _): (f64, f64)| (found - lower).abs() < 1e-6;
            assert!(found.interval.is_some_and(near), "{name}: {:?}, not {lower}", found.interval);
            let along: Vec<f64> =
                (0..3).map(|axis| views.iter().map(|view| psi(axis, view)).sum::<f64>() / 4.0).collect();
            for (axis, expected) in NAMES.iter().zip(&along) {
                close(found.along.get(axis).copied(), *expected, &format!("ψ of {name} along {axis}"));
            }
            close(found.granulated_psi, along.iter().sum::<f64>() / 3.0, &format!("Ψ of {name}"));
            let k = found.conditional_information.as_ref().map(|k| k.value);
            close(k, conditional_information(&points), &format!("K of {name} and {target:?}"));
            let (max, mean, count) = sign_errors(&points);
            let errors = found.sign_error.as_ref().unwrap();
            assert_eq!(errors.environments, count, "environments of {name}");
            close(Some(errors.max), max, &format!("the worst sign-error of {name}"));
            close(Some(errors.mean), mean, &format!("the mean sign-error of {name}"));
        }
    }
    let along = &of(&all, "learning_rate", Target::TestError).along;
    close(along.get("batch_size").copied(), 0.0, "ties count 0");
    let k = of(&all, "learning_rate", Target::TestError).conditional_information.as_ref().unwrap();
    assert!(
        k.value < 1e-12 && k.given == ["learning_rate"],
        "a hyperparameter tells nothing beyond itself: {k:?}"
    );
}

#[test]
fn psi_sees_what_tau_hides() {
    // Along η, λ_max and the error agree; over batch sizes they are opposed so strongly that τ is negative.
    let numbers = [(3, 0, 10.0, 0.9), (5, 0, 9.0, 0.91), (3, 2, 2.0, 0.7), (5, 2, 1.0, 0.71)];
    let runs = numbers.map(|(rate, batch, lambda_max, test_accuracy)| {
        let (key, train_accuracy) = ([rate, batch, 0], 0.99);
        run(&Made { key, seed: 0, lambda_max, trace: 0.0, test_accuracy, train_accuracy })
    });
    let all = judged(&runs);
    let found = of(&all, "lambda_max", Target::TestError);
    close(found.kendall_tau, -1.0 / 3.0, "2 pairs agree, 4 do not");
    assert_eq!(
        found.along,
        BTreeMap::from([("learning_rate", 1.0), ("batch_size", -1.0)]),
        "each axis by itself"
    );
    assert_eq!(found.granulated_psi, Some(0.0), "their mean");
    assert_eq!((found.environments, &found.sign_error), (4, &None), "one run each is too little");
}

#[test]
fn predictors_are_sorted_and_the_best_is_first() {
    let mut made = grid(4);
    for one in &mut made {
        (one.lambda_max, one.trace) = (2.0 - one.test_accuracy, one.test_accuracy);
    }
    let all = judged(&made.iter().map(run).collect::<Vec<_>>());
    let errors: Vec<&Prediction> = all.iter().filter(|found| found.target == Target::TestError).collect();
    assert_eq!(errors[0].predictor, "lambda_max", "the test error itself is the best predictor of it");
    let taus: Vec<f64> = errors.iter().filter_map(|found| found.kendall_tau).collect();
    assert!(taus.windows(2).all(|pair| pair[0] >= pair[1]), "the highest first: {taus:?}");
    let trace = of(&all, "trace.value", Target::TestError);
    close(trace.kendall_tau, -errors[0].kendall_tau.unwrap(), "its negative is the worst");
    let worst = trace.sign_error.as_ref().unwrap();
    assert!(
        (worst.max - 1.0).abs() < 1e-12 && worst.worst.iter().all(|name| name.contains(" or ")),
        "{worst:?}"
    );
    let axis =
        NAMES.iter().find(|name| worst.worst[0].starts_with(**name)).expect("the hyperparameter is named");
    let others = NAMES.iter().filter(|name| *name != axis);
    assert!(others.clone().all(|name| worst.worst[0].contains(&format!("{name}="))), "and where: {worst:?}");
}

#[test]
fn missing_values_take_settings_away_and_nothing_else() {
    let made = grid(3);
    let mut runs: Vec<Run> = made.iter().map(run).collect();
    let complete = judged(&runs);
    let trace = number("trace.value");
    for (run, made) in runs.iter_mut().zip(&made) {
        match made.key[0] {
            0 => _ = run.numbers.remove(&trace),
            3 => run.numbers.get_mut(&trace).unwrap().value = f64::NAN,
            _ if made.key[1] == 0 => run.numbers.get_mut(&trace).unwrap().converged = false,
            _ => {}
        }
        run.numbers.insert(number("gradient_norm"), Reading { value: f64::INFINITY, converged: true });
        run.numbers.insert(number("training.epochs"), Reading { value: 5.0, converged: true });
        if made.key == [5, 2, 1] {
            run.numbers.insert(number("training.train_loss"), Reading { value: 0.1, converged: true });
        }
    }
    let all = judged(&runs);
    let found = of(&all, "trace.value", Target::TestError);
    assert_eq!(
        (found.settings, found.seeds),
        (4, Some(3)),
        "those whose trace is finite and converged: {found:?}"
    );
    assert_eq!(
        of(&all, "lambda_max", Target::TestError),
        of(&complete, "lambda_max", Target::TestError),
        "others stay"
    );
    let none = |name: &str| of(&all, name, Target::TestError).no_tau;
    assert_eq!(none("training.epochs"), Some(NoTau::Constant), "a constant has no τ");
    assert_eq!(none("training.train_loss"), Some(NoTau::FewSettings), "one setting has no τ");
    assert!(all.iter().all(|found| found.predictor != "gradient_norm"), "infinities are no values");
    assert!(
        of(&all, "training.epochs", Target::TestError).conditional_information.is_none(),
        "nor further numbers"
    );
    let text = without_tau_text(all.iter().filter(|found| found.target == Target::TestError));
    assert!(
        text.contains("epochs *") && text.contains("(the same in all settings)"),
        "it is said so: {text}"
    );
    // Without the accuracy on the training set there is no gap.
    runs.iter_mut().for_each(|run| _ = run.numbers.remove(&number("training.train_accuracy")));
    assert!(judged(&runs).iter().all(|found| found.target == Target::TestError), "no gap");
}

#[test]
fn a_constant_target_is_told() {
    let mut made = grid(3);
    made.iter_mut().for_each(|one| one.test_accuracy = 0.5);
    let all = judged(&made.iter().map(run).collect::<Vec<_>>());
    assert_eq!(of(&all, "lambda_max", Target::TestError).no_tau, Some(NoTau::ConstantTarget), "no τ");
    let gap = of(&all, "lambda_max", Target::GeneralizationGap);
    assert!(gap.kendall_tau.is_some(), "the gap still varies by the accuracy on the training set: {gap:?}");
}

#[test]
fn measures_with_other_settings_are_other_predictors() {
    let made = grid(3);
    let mut runs: Vec<Run> = made.iter().map(run).collect();
    for run in &mut runs {
        let value = run.numbers.remove(&number("trace.value")).unwrap();
        for probes in ["probes=10", "probes=100"] {
            let number = Number { settings: probes.to_owned(), ..number("trace.value") };
            run.numbers.insert(number, value);
        }
    }
    let all = judged(&runs);
    let traces: Vec<&Prediction> = all
        .iter()
        .filter(|found| found.predictor == "trace.value" && found.target == Target::TestError)
        .collect();
    let labels: Vec<&str> = traces.iter().map(|found| found.label.as_str()).collect();
    assert_eq!(labels, ["tr H, probes=10", "tr H, probes=100"], "each by itself");
    assert_eq!(traces[0].measured_with.as_deref(), Some("probes=10"), "in JSON too");
}

#[test]
fn intervals_over_seeds_cover() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let mut draw = |seeds: u64| -> Vec<Made> {
        let mut all = Vec::new();
        for place in 0..RATES.len() {
            for seed in 0..seeds {
                let mut noise = |scale: f64| scale * random.sample::<f64, _>(StandardNormal);
                let level = place as f64;
                let (lambda_max, test_accuracy) =
                    ((level + noise(2.0)).exp(), 0.5 - 0.01 * (level + noise(2.0)));
                let (key, trace, train_accuracy) = ([place, 0, 0], 0.0, 0.99);
                all.push(Made { key, seed, lambda_max, trace, test_accuracy, train_accuracy });
            }
        }
        all
    };
    let found: Vec<Prediction> = (0..300)
        .map(|_| {
            let runs: Vec<Run> = draw(5).iter().map(run).collect();
            of(&judged(&runs), "lambda_max", Target::TestError).clone()
        })
        .collect();
    let stores = found.len() as f64;
    let truth = found.iter().filter_map(|found| found.kendall_tau).sum::<f64>() / stores;
    let covers =
        |found: &&Prediction| found.interval.is_some_and(|(lower, upper)| lower <= truth && truth <= upper);
    let share = found.iter().filter(covers).count() as f64 / stores;
    assert!(share > 0.92, "{share} of the intervals of five seeds hold τ = {truth}");
}

#[test]
fn seeds_that_are_not_shared_give_intervals_over_settings() {
    let made = grid(1);
    let all = judged(&made.iter().map(run).collect::<Vec<_>>());
    let found = of(&all, "lambda_max", Target::TestError);
    assert_eq!((found.seeds, found.interval_over), (None, Some(Over::Settings)), "{found:?}");
    let (lower, upper) = found.interval.unwrap();
    let tau = found.kendall_tau.unwrap();
    assert!(lower < tau && tau < upper, "[{lower}, {upper}] holds {tau}");
}

#[test]
fn the_picture_has_every_predictor_in_a_panel_for_each_target() {
    let runs: Vec<Run> = grid(3).iter().map(run).collect();
    let all = judged(&runs);
    let figure = PredictorsFigure::new(&all).unwrap();
    let svg = figure.svg();
    for text in [
        "predicting the test error",
        "predicting the generalization gap",
        "λ_max",
        "tr H",
        "-η",
        "batch size",
        "Kendall",
    ] {
        assert!(svg.contains(text), "the picture must show `{text}`");
    }
    let dir = tempfile::tempdir().unwrap();
    let files = figure.write(dir.path()).unwrap();
    assert_eq!(files.len(), 4, "{files:?}");
    let csv = std::fs::read_to_string(dir.path().join("predictors.csv")).unwrap();
    let with_tau = all.iter().filter(|found| found.kendall_tau.is_some()).count();
    assert_eq!(csv.lines().count(), 1 + with_tau, "a row for each");
    assert!(
        figure.caption().contains("Student's t") && !figure.caption().contains("Samara"),
        "{}",
        figure.caption()
    );
    assert!(PredictorsFigure::new(&[]).is_none(), "nothing is no picture");
}
