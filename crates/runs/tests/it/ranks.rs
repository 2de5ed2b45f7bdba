//! A run that several ranks share leaves what one process alone leaves, and resumes on any number of ranks.

use std::path::Path;

use sharpness_network::Ranks;
use sharpness_runs::{Completion, RunOptions, complete_run};
use sharpness_training::settings::RunConfig;
use tempfile::tempdir;

use crate::small_runs::{
    Content, NoSteps, Watch, config_with_batch_norm, config_with_measures, digits, options, saved_step,
};
use crate::thread_ranks::on_ranks;

/// Runs on `size` ranks; the last one stops after the step `stop_at`. The completions of all.
fn run(config: &RunConfig, dir: &Path, size: usize, stop_at: Option<u32>) -> Vec<Completion> {
    on_ranks(size, |ranks| {
        let stop_at = stop_at.filter(|_| ranks.rank() + 1 == ranks.size());
        let options = RunOptions { ranks: ranks.clone(), ..options(dir, true) };
        complete_run(config, digits(), &options, false, &mut Watch { stop_at, ..Watch::default() }).unwrap()
    })
}

#[test]
fn a_run_resumes_on_another_number_of_ranks_bit_for_bit() {
    let mut measured = config_with_measures();
    measured.training.micro_batch_size = 20;
    for config in [measured, config_with_batch_norm()] {
        let alone = tempdir().unwrap();
        complete_run(&config, digits(), &options(alone.path(), false), false, &mut ()).unwrap();
        let expected = Content::of(alone.path());
        let dir = tempdir().unwrap();
        for (size, stop_at) in [(1, 1), (3, 3), (2, 4)] {
            let stopped = run(&config, dir.path(), size, Some(stop_at));
            assert!(
                stopped.iter().all(|one| matches!(one, Completion::Stopped)),
                "{size} ranks: {stopped:?}"
            );
            assert_eq!(saved_step(dir.path()), stop_at, "{size} ranks");
        }
        let made = run(&config, dir.path(), 4, None);
        let reports: Vec<_> = made.iter().map(|one| one.clone().report().unwrap()).collect();
        assert!(
            reports.iter().all(|one| one.training.lambda_max == reports[0].training.lambda_max),
            "of all ranks"
        );
        assert!(Content::of(dir.path()) == expected, "1, 3, 2 and 4 ranks");
    }
}

#[test]
fn a_finished_run_is_known_to_all_ranks() {
    let (config, dir) = (config_with_batch_norm(), tempdir().unwrap());
    let complete = |ranks: &Ranks| {
        let options = RunOptions { ranks: ranks.clone(), ..options(dir.path(), true) };
        complete_run(&config, digits(), &options, true, &mut NoSteps).unwrap()
    };
    complete_run(&config, digits(), &options(dir.path(), false), false, &mut ()).unwrap();
    let made = on_ranks(2, complete);
    assert!(made.iter().all(|one| matches!(one, Completion::Made(_))), "the measurement is made: {made:?}");
    let known = on_ranks(3, complete);
    assert!(known.iter().all(|one| matches!(one, Completion::Known(_))), "it is not made again: {known:?}");
}
