//! Flags about the machine.

use anyhow::{Context as _, Result};
use clap::Args;
use sharpness_training::Budget;

use crate::exit::Usage;
use crate::program::interpreter_bytes;
use crate::ranks;

/// More threads than this are a mistake on any machine.
pub(crate) const MOST_THREADS: usize = 1024;

/// Threads and memory.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Engine")]
pub(crate) struct MachineArgs {
    /// Number of threads, of each process if several share the work; results do not depend on it [default: one per core]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,

    #[command(flatten)]
    pub(crate) memory: MemoryArg,
}

/// Starts the given number of threads.
///
/// # Errors
/// A number of threads out of range, or an instruction set that this machine lacks.
pub(crate) fn start_threads(threads: Option<usize>) -> Result<()> {
    sharpness_kernels::simd::detect().map_err(|error| Usage::new(error.to_string()))?;
    // This thread works too: handing a small task to another thread costs more than the task.
    let mut pool = rayon::ThreadPoolBuilder::new().use_current_thread();
    if let Some(threads) = threads.or_else(ranks::threads) {
        if threads == 0 || threads > MOST_THREADS {
            return Err(
                Usage::new(format!("--threads must be from 1 to {MOST_THREADS}, got {threads}")).into()
            );
        }
        pool = pool.num_threads(threads);
    }
    pool.build_global().context(
        "cannot start the threads; ask for fewer with --threads, or raise the limits on processes (ulimit -u) and memory \
         (ulimit -v)",
    )
}

/// The memory.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "Engine")]
pub(crate) struct MemoryArg {
    /// Keep the peak memory of the whole process below this, such as 4GiB or 500MB; less costs time, not accuracy
    /// [default: half of the available memory, or more if necessary]. If several processes share the work, each may take this much
    #[arg(long, value_name = "SIZE", value_parser = parse_memory)]
    memory: Option<usize>,
}

impl MemoryArg {
    /// The memory that the process may take, once its threads have started.
    pub(crate) fn budget(self) -> Budget {
        let budget = Budget::of_process(self.memory).on_shared_machine(ranks::on_this_machine());
        budget.less(interpreter_bytes()).agreed(&ranks::ranks())
    }

    /// The value of `--memory` for each of several processes.
    pub(crate) fn share(self, processes: usize) -> String {
        format!("{}B", Budget::of_process(self.memory).bytes() / processes.max(1))
    }

    /// The value of `--memory`, if it was given.
    pub(crate) fn given(self) -> Option<String> {
        self.memory.map(|bytes| format!("{bytes}B"))
    }
}

/// A number of bytes with an optional unit: `KB`, `MB`, `GB`, `TB` (powers of 1000), `KiB`, `MiB`, `GiB`, `TiB` (of 1024).
///
/// # Errors
/// A message that says what is wrong and gives an example.
fn parse_memory(text: &str) -> Result<usize, String> {
    const UNITS: [(&str, u64); 10] = [
        ("TIB", 1 << 40),
        ("GIB", 1 << 30),
        ("MIB", 1 << 20),
        ("KIB", 1 << 10),
        ("TB", 1_000_000_000_000),
        ("GB", 1_000_000_000),
        ("MB", 1_000_000),
        ("KB", 1_000),
        ("B", 1),
        ("", 1),
    ];
    let upper = text.trim().to_uppercase();
    let expected = || format!("'{text}' is not a size in bytes above 0; examples are 4GiB and 500MB");
    let unit = UNITS.iter().find_map(|(unit, bytes)| Some((upper.strip_suffix(unit)?, *bytes)));
    let (number, unit_bytes) = unit.ok_or_else(expected)?;
    let (whole, fraction) = number.trim().split_once('.').unwrap_or((number.trim(), "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) || fraction.len() > 6 {
        return Err(expected());
    }
    let parse = |digits: &str| digits.parse::<u64>().map_err(|_| expected());
    let scale = 10_u64.pow(u32::try_from(fraction.len()).map_err(|_| expected())?);
    let whole_bytes = parse(whole)?.checked_mul(unit_bytes).ok_or_else(expected)?;
    let fraction_bytes = parse(fraction)?.checked_mul(unit_bytes).ok_or_else(expected)? / scale;
    let bytes = usize::try_from(whole_bytes.saturating_add(fraction_bytes)).map_err(|_| expected())?;
    if bytes == 0 { Err(expected()) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::parse_memory;

    #[test]
    fn sizes_have_units_of_1000_and_of_1024() {
        for (text, bytes) in [
            ("4GiB", 4 << 30),
            ("500MB", 500_000_000),
            ("1.5 kib", 1536),
            ("7", 7),
            ("7B", 7),
            ("2tb", 2_000_000_000_000),
        ] {
            assert_eq!(parse_memory(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn absurd_sizes_are_refused_with_an_example() {
        for text in [
            "",
            "0",
            "0GiB",
            "-1GiB",
            "GiB",
            "1.GiB",
            "four",
            "1e3",
            "99999999999999999999",
            "99999999TiB",
            "nan",
        ] {
            let message = parse_memory(text).unwrap_err();
            assert!(message.contains("4GiB"), "{text}: {message}");
        }
    }
}
