//! The `[launch]` of a recipe: what a scheduler grants each task. No run's name depends on it.

use toml::Value;

/// Bytes in a mebibyte.
const MEBIBYTE: u64 = 1 << 20;
/// The most memory of a task, in MiB: more is a mistake.
const MOST_MEMORY: u64 = 1 << 30;
/// The longest time of a task, in seconds: a year.
const MOST_SECONDS: u32 = 366 * 86_400;

/// What the tasks of a launch need, and how many may run.
#[derive(Clone, Debug, PartialEq)]
pub struct Resources {
    /// The time limit of an attempt, in seconds.
    pub time: Option<u32>,
    /// Memory, in MiB.
    pub memory: Option<u64>,
    /// CPU cores.
    pub cores: Option<u32>,
    /// The partition (queue).
    pub partition: Option<String>,
    /// The account that is charged.
    pub account: Option<String>,
    /// The quality of service.
    pub qos: Option<String>,
    /// Further options of `sbatch`, such as `--constraint=avx512`.
    pub sbatch: Vec<String>,
    /// Lines of bash before the command, such as `module load gcc`.
    pub before: Vec<String>,
    /// The most tasks that run at once.
    pub running: Option<u32>,
    /// How often a task requeues itself before its time limit.
    pub requeues: u32,
    /// By how much the memory of a task is multiplied, once, after it ran out of memory.
    pub more_memory: Option<f64>,
    /// How long before the time limit a task is told to save, in seconds.
    pub notice: u32,
}

impl Default for Resources {
    fn default() -> Self {
        Self {
            time: None,
            memory: None,
            cores: None,
            partition: None,
            account: None,
            qos: None,
            sbatch: Vec::new(),
            before: Vec::new(),
            running: None,
            requeues: 10,
            more_memory: None,
            notice: 120,
        }
    }
}

impl Resources {
    /// The keys of `[launch]`.
    pub(super) const KEYS: [&str; 12] = [
        "time",
        "memory",
        "cores",
        "partition",
        "account",
        "qos",
        "sbatch",
        "before",
        "running",
        "requeues",
        "more_memory",
        "notice",
    ];

    /// Sets one of [`Self::KEYS`].
    ///
    /// # Errors
    /// What the value must be.
    pub(super) fn set(&mut self, key: &str, value: &Value) -> Result<(), String> {
        match key {
            "time" => self.time = Some(seconds(value)?),
            "memory" => self.memory = Some(mebibytes(value)?),
            "cores" => self.cores = Some(whole(value, 1)?),
            "partition" => self.partition = Some(word(value)?),
            "account" => self.account = Some(word(value)?),
            "qos" => self.qos = Some(word(value)?),
            "sbatch" => self.sbatch = sbatch_options(value)?,
            "before" => self.before = lines(value)?,
            "running" => self.running = Some(whole(value, 1)?),
            "requeues" => self.requeues = whole(value, 0)?,
            "more_memory" => self.more_memory = Some(factor(value)?),
            "notice" => self.notice = whole(value, 0)?,
            _ => return Err("is unknown".to_owned()),
        }
        Ok(())
    }

    /// The first value that contradicts another: its key, and what would be right.
    pub(super) fn contradiction(&self) -> Option<(&'static str, String)> {
        if self.more_memory.is_some() && self.memory.is_none() {
            return Some(("more_memory", "multiplies memory, which is not set; set both".to_owned()));
        }
        match self.time {
            Some(time) if self.notice >= time => {
                let problem = format!("must be shorter than the time limit of {time} s, got {}", self.notice);
                Some(("notice", problem))
            }
            _ => None,
        }
    }

    /// The memory after a task ran out of it, in MiB, if it may be raised.
    pub fn raised_memory(&self) -> Option<u64> {
        let raised = self.memory? as f64 * self.more_memory?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is between 1 and MOST_MEMORY"
        )]
        Some(raised.ceil().clamp(1.0, MOST_MEMORY as f64) as u64)
    }
}

/// A time limit in a format of Slurm's.
fn seconds(value: &Value) -> Result<u32, String> {
    let expected = || {
        format!(
            "must be a time limit such as \"90\" (minutes), \"1:30:00\" or \"2-12:00:00\" (days first), got {value}"
        )
    };
    let text = value.as_str().ok_or_else(expected)?;
    let (days, rest) = match text.split_once('-') {
        Some((days, rest)) => (Some(number(days).ok_or_else(expected)?), rest),
        None => (None, text),
    };
    let parts: Vec<u32> = rest.split(':').map(number).collect::<Option<_>>().ok_or_else(expected)?;
    let (hours, minutes, seconds) = match (days, parts[..].as_ref()) {
        (None, [minutes]) => (0, *minutes, 0),
        (None, [minutes, seconds]) => (0, *minutes, *seconds),
        (Some(_), [hours]) => (*hours, 0, 0),
        (Some(_), [hours, minutes]) => (*hours, *minutes, 0),
        (_, [hours, minutes, seconds]) => (*hours, *minutes, *seconds),
        _ => return Err(expected()),
    };
    let parts = [(days.unwrap_or_default(), 86_400), (hours, 3_600), (minutes, 60), (seconds, 1)];
    let total = parts.iter().fold(0_u32, |total, (n, unit)| total.saturating_add(n.saturating_mul(*unit)));
    if (1..=MOST_SECONDS).contains(&total) { Ok(total) } else { Err(expected()) }
}

fn number(digits: &str) -> Option<u32> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

/// A size as Slurm writes it: `8G`, `500M`.
fn mebibytes(value: &Value) -> Result<u64, String> {
    const UNITS: [(&str, u64); 4] = [("M", 1), ("G", 1 << 10), ("T", 1 << 20), ("K", 0)];
    let expected =
        || format!("must be a size in units of 1024 such as \"500M\", \"8G\" or \"8GiB\", got {value}");
    let text = value.as_str().ok_or_else(expected)?.trim().to_uppercase();
    let text = text.strip_suffix("IB").unwrap_or(&text);
    let (digits, unit) =
        UNITS.iter().find_map(|(unit, size)| Some((text.strip_suffix(unit)?, *size))).ok_or_else(expected)?;
    let count = u64::from(number(digits.trim()).ok_or_else(expected)?);
    let size = if unit == 0 { count.div_ceil(MEBIBYTE >> 10) } else { count.saturating_mul(unit) };
    if (1..=MOST_MEMORY).contains(&size) { Ok(size) } else { Err(expected()) }
}

fn whole(value: &Value, least: u32) -> Result<u32, String> {
    let number = value.as_integer().and_then(|number| u32::try_from(number).ok());
    let number = number.filter(|number| (least..=1_000_000).contains(number));
    number.ok_or_else(|| format!("must be a whole number from {least} to 1000000, got {value}"))
}

fn factor(value: &Value) -> Result<f64, String> {
    #[expect(clippy::cast_precision_loss, reason = "a factor above 100 is refused anyway")]
    let number = value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64));
    let number = number.filter(|number| *number > 1.0 && *number <= 100.0);
    number.ok_or_else(|| format!("must be a number above 1 and at most 100, such as 2, got {value}"))
}

/// A name of the scheduler's.
fn word(value: &Value) -> Result<String, String> {
    let is_plain = |c: char| c.is_alphanumeric() || "-_.,+@:/".contains(c);
    let text = value.as_str().filter(|text| !text.is_empty() && text.chars().all(is_plain));
    text.map(str::to_owned)
        .ok_or_else(|| format!("must be a name without spaces, such as \"main\", got {value}"))
}

fn lines(value: &Value) -> Result<Vec<String>, String> {
    let lines = value.as_array().and_then(|lines| lines.iter().map(|line| line.as_str()).collect());
    let lines: Vec<&str> = lines.ok_or_else(|| format!("must be a list of strings, got {value}"))?;
    match lines.iter().find(|line| line.contains(['\n', '\r', '\0'])) {
        None => Ok(lines.into_iter().map(str::to_owned).collect()),
        Some(line) => Err(format!("must have one line in each string, got {line:?}")),
    }
}

/// Options of `sbatch` that no key of `[launch]` stands for and on which the launch itself does not rely.
fn sbatch_options(value: &Value) -> Result<Vec<String>, String> {
    const OWN: [(&str, &str, &str); 16] = [
        ("--time", "-t", "time"),
        ("--mem", "", "memory"),
        ("--mem-per-cpu", "", "memory"),
        ("--cpus-per-task", "-c", "cores"),
        ("--partition", "-p", "partition"),
        ("--account", "-A", "account"),
        ("--qos", "-q", "qos"),
        ("--signal", "", "notice"),
        ("--array", "-a", "running"),
        ("--job-name", "-J", ""),
        ("--output", "-o", ""),
        ("--error", "-e", ""),
        ("--open-mode", "", ""),
        ("--no-requeue", "", ""),
        ("--wrap", "", ""),
        ("--ntasks", "-n", ""),
    ];
    let mut options = lines(value)?;
    for option in &mut options {
        let given = option.trim_start().strip_prefix("#SBATCH").unwrap_or(option).trim().to_owned();
        if !given.starts_with('-') {
            return Err(format!(
                "must list options of sbatch such as \"--constraint=avx512\", got {option:?}"
            ));
        }
        let name = given.split(['=', ' ']).next().unwrap_or_default();
        let is_short = |short: &str| !short.is_empty() && !name.starts_with("--") && name.starts_with(short);
        if let Some((name, _, key)) = OWN.iter().find(|(long, short, _)| name == *long || is_short(short)) {
            return Err(if key.is_empty() {
                format!("must not set {name}, which every launch sets itself")
            } else {
                format!("must not set {name}; set launch.{key} instead")
            });
        }
        *option = given;
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::String(text.to_owned())
    }

    #[test]
    fn times_are_those_of_slurm() {
        for (written, expected) in [
            ("90", 5_400),
            ("2:30", 150),
            ("0:30", 30),
            ("1:30:00", 5_400),
            ("2-12", 216_000),
            ("1-0:30", 88_200),
            ("2-12:00:01", 216_001),
        ] {
            assert_eq!(seconds(&text(written)), Ok(expected), "{written}");
        }
        for wrong in ["", "0", "1h", "-1", "1:2:3:4", "1-", "9999999999", "1-2:3:4:5", "+5"] {
            let problem = seconds(&text(wrong)).unwrap_err();
            assert!(problem.contains("1:30:00") && problem.contains(wrong), "{wrong}: {problem}");
        }
    }

    #[test]
    fn sizes_are_in_units_of_1024() {
        for (written, expected) in [("500M", 500), ("8G", 8_192), ("8GiB", 8_192), ("1T", 1 << 20), ("1k", 1)]
        {
            assert_eq!(mebibytes(&text(written)), Ok(expected), "{written}");
        }
        for wrong in ["", "G", "0G", "1.5G", "8", "8 apples", "9999999T"] {
            assert!(mebibytes(&text(wrong)).unwrap_err().contains("8G"), "{wrong}");
        }
    }

    #[test]
    fn options_that_a_launch_relies_on_are_refused() {
        let list = |option: &str| Value::Array(vec![text(option)]);
        let kept = |option: &str| sbatch_options(&list(option));
        assert_eq!(kept("#SBATCH --gres=gpu:1"), Ok(vec!["--gres=gpu:1".to_owned()]), "a whole line");
        assert_eq!(kept("--comment=\"a b\""), Ok(vec!["--comment=\"a b\"".to_owned()]), "quotes are Slurm's");
        for (option, told) in [
            ("--time=5", "launch.time"),
            ("-t5", "launch.time"),
            ("--array=1", "launch.running"),
            ("-J x", "every launch sets itself"),
            ("module load", "--constraint"),
            ("--x\n#SBATCH --array=1", "one line"),
        ] {
            assert!(kept(option).unwrap_err().contains(told), "{option}");
        }
    }

    #[test]
    fn memory_is_raised_by_the_factor() {
        let mut resources = Resources { memory: Some(1_000), ..Resources::default() };
        assert_eq!(resources.raised_memory(), None, "only if the recipe allows it");
        resources.more_memory = Some(1.5);
        assert_eq!(resources.raised_memory(), Some(1_500), "MiB");
    }
}
