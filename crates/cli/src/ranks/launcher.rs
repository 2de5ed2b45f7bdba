//! What started this process, as its environment tells.

use std::env::var;
#[cfg(feature = "mpi")]
use std::fs::read_to_string;

/// The variable that makes a process ignore the others that were started with it, with the value `off`: for processes that an MPI
/// program starts for work of its own.
const VARIABLE: &str = "SHARPNESS_MPI";

/// Several processes that were started together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Launched {
    /// How many.
    pub(super) size: usize,
    /// The number of this one, from 0.
    pub(super) rank: usize,
    /// The variable that tells their number.
    variable: &'static str,
}

impl Launched {
    /// What started this process, if it started others with it.
    pub(super) fn of_process() -> Option<Self> {
        Self::of_environment(&|name| var(name).ok())
    }

    /// As [`Self::of_process`], in an environment.
    fn of_environment(get: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        if get(VARIABLE).is_some_and(|value| value == "off") {
            return None;
        }
        // Open MPI's launcher; MPICH's and those of Slurm for it; Slurm's for Open MPI, which gives no size of its own.
        let known = [
            ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
            ("PMI_SIZE", "PMI_RANK"),
            ("SLURM_STEP_NUM_TASKS", "PMIX_RANK"),
        ];
        let number = |name: &str| get(name)?.trim().parse().ok();
        let launched =
            |(variable, rank)| Some(Self { size: number(variable)?, rank: number(rank)?, variable });
        known.into_iter().find_map(launched).filter(|launched| launched.size > 1)
    }

    /// A message that the processes cannot work together.
    pub(super) fn refusal(&self, problem: &str) -> String {
        format!(
            "{} processes were started together ({}={}), but {problem}. Start one process, or set {VARIABLE}=off for processes that \
             have nothing to do with each other",
            self.size, self.variable, self.size
        )
    }
}

/// The name of this machine.
#[cfg(feature = "mpi")]
pub(super) fn host() -> String {
    let of_system = read_to_string("/proc/sys/kernel/hostname").ok();
    of_system
        .or_else(|| var("HOSTNAME").ok())
        .map_or_else(|| "unknown".to_owned(), |name| name.trim().to_owned())
}

/// The cores that this process may use, in the words of the system; empty if it does not tell.
#[cfg(feature = "mpi")]
pub(super) fn cores() -> String {
    let status = read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().find_map(|line| line.strip_prefix("Cpus_allowed:")).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(environment: &[(&str, &str)]) -> Option<usize> {
        let get = |name: &str| {
            let found = environment.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Launched::of_environment(&get).map(|launched| launched.size)
    }

    #[test]
    fn launchers_of_several_processes_are_recognized() {
        assert_eq!(
            size(&[("OMPI_COMM_WORLD_SIZE", "4"), ("OMPI_COMM_WORLD_RANK", "1")]),
            Some(4),
            "Open MPI"
        );
        assert_eq!(size(&[("PMI_SIZE", "3"), ("PMI_RANK", "0")]), Some(3), "MPICH");
        assert_eq!(size(&[("PMIX_RANK", "0"), ("SLURM_STEP_NUM_TASKS", "8")]), Some(8), "Slurm with PMIx");
    }

    #[test]
    fn a_process_of_its_own_is_alone() {
        assert_eq!(size(&[]), None);
        assert_eq!(size(&[("PMI_SIZE", "1"), ("PMI_RANK", "0")]), None, "one rank");
        assert_eq!(size(&[("PMI_SIZE", "many"), ("PMI_RANK", "0")]), None, "not a number");
        assert_eq!(
            size(&[("SHARPNESS_MPI", "off"), ("PMI_SIZE", "4"), ("PMI_RANK", "1")]),
            None,
            "asked for"
        );
        let array = [("SLURM_ARRAY_TASK_ID", "3"), ("SLURM_NTASKS", "4"), ("SLURM_STEP_NUM_TASKS", "4")];
        assert_eq!(size(&array), None, "a task of an array without MPI");
    }
}
