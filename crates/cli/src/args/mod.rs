//! Flags that subcommands share.

mod examples;
mod machine;
mod names;
mod settings;
mod tracking;
mod weights;

pub(crate) use examples::ExampleCounts;
pub(crate) use machine::{MOST_THREADS, MachineArgs, MemoryArg, start_threads};
pub(crate) use names::{architecture_parser, dataset_parser, one_of};
pub(crate) use settings::{
    AroundScope, BetweenScope, ModelScope, RunScope, Scope, SettingFlags, WeightsScope,
};
pub(crate) use tracking::TrackArgs;
pub(crate) use weights::WeightsArgs;
