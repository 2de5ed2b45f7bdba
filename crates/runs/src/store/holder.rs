//! Who holds the lease of a run. A lease is an empty file whose name says everything, so that it is never half-written.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use crate::provenance::host;
use crate::{Error, Result};

/// The variable that sets after how many seconds without a renewal a lease expires.
const EXPIRY: &str = "SHARPNESS_LEASE_SECONDS";
/// The range of that number, and its default.
const EXPIRY_RANGE: std::ops::RangeInclusive<u64> = 1..=86_400;
pub(super) const DEFAULT_EXPIRY: Duration = Duration::from_secs(120);
/// The variable with which tests pretend to be another machine.
const BOOT: &str = "SHARPNESS_TEST_BOOT_ID";
/// The longest host or job in a name, in bytes: names of files have at most 255.
const LONGEST: usize = 48;

/// A process that works on a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The name of its machine.
    pub host: String,
    /// Its number there.
    pub process: u32,
    /// The Slurm job that it is part of, such as `1234` or, in an array, `1234_7`.
    pub job: Option<String>,
    /// Identifies the machine since its start; empty if unknown.
    pub(super) boot: String,
    /// The device of the directory, as that machine sees it.
    pub(super) device: u64,
    /// After how long without a renewal others may take over.
    pub(super) expiry: Duration,
    /// Whether it also holds the `flock` of the file, as it does until it ends.
    pub(super) has_lock: bool,
    /// Identifies the lease.
    pub(super) token: String,
    /// How often it was renewed.
    pub(super) renewals: u64,
}

impl Holder {
    /// This process, for a directory on `device`.
    ///
    /// # Errors
    /// [`Error::Variable`] if [`EXPIRY`] is not a number in its range.
    pub(super) fn this_process(device: u64) -> Result<Self> {
        Ok(Self {
            host: this_host(),
            process: std::process::id(),
            job: slurm_job(),
            boot: this_boot(),
            device,
            expiry: expiry()?,
            has_lock: false,
            token: fresh_token(),
            renewals: 0,
        })
    }

    /// Whether it holds the `flock` on a file that this machine sees on `device`, so that the lock tells whether it lives.
    pub(super) fn is_told_by_lock(&self, device: u64) -> bool {
        let is_here = !self.boot.is_empty() && self.boot == this_boot() && self.host == this_host();
        self.has_lock && is_here && self.device == device
    }

    /// The name of the file.
    pub(super) fn name(&self) -> String {
        let Self { host, process, boot, device, token, renewals, .. } = self;
        let (job, lock) = (self.job.as_deref().unwrap_or_default(), u8::from(self.has_lock));
        let expiry = self.expiry.as_secs();
        format!(
            "host={host},process={process},job={job},boot={boot},device={device},expiry={expiry},lock={lock},\
             token={token},renewals={renewals}"
        )
    }

    /// The holder that a name describes; `None` if it is not that of a lease.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let fields: BTreeMap<&str, &str> =
            name.split(',').filter_map(|field| field.split_once('=')).collect();
        let text = |key| fields.get(key).map(|value| (*value).to_owned());
        let number = |key| fields.get(key)?.parse::<u64>().ok();
        Some(Self {
            host: text("host")?,
            process: number("process")?.try_into().ok()?,
            job: text("job").filter(|job| !job.is_empty()),
            boot: text("boot")?,
            device: number("device")?,
            expiry: Duration::from_secs(number("expiry").filter(|secs| EXPIRY_RANGE.contains(secs))?),
            has_lock: number("lock")? == 1,
            token: text("token")?,
            renewals: number("renewals")?,
        })
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on {}", self.process, self.host)?;
        self.job.iter().try_for_each(|job| write!(f, ", Slurm job {job}"))
    }
}

/// A name that no other process and no other call has.
pub(super) fn fresh_token() -> String {
    // Its keys are random and differ between any two.
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}

fn expiry() -> Result<Duration> {
    let Some(text) = std::env::var_os(EXPIRY).filter(|text| !text.is_empty()) else {
        return Ok(DEFAULT_EXPIRY);
    };
    let text = text.to_string_lossy().into_owned();
    let secs = text.parse().ok().filter(|secs| EXPIRY_RANGE.contains(secs));
    secs.map(Duration::from_secs).ok_or_else(|| Error::Variable {
        name: EXPIRY,
        value: text,
        expected: format!("a number of seconds from {} to {}", EXPIRY_RANGE.start(), EXPIRY_RANGE.end()),
    })
}

/// A text as part of a name.
fn plain(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    text.trim().chars().take(LONGEST).map(|c| if is_plain(c) { c } else { '_' }).collect()
}

fn this_host() -> String {
    host().map_or_else(|| "unknown".to_owned(), |host| plain(&host))
}

fn this_boot() -> String {
    let of_system = || std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
    let boot = std::env::var(BOOT).ok().filter(|boot| !boot.is_empty()).or_else(of_system);
    boot.map(|boot| plain(&boot)).unwrap_or_default()
}

/// The Slurm job of this process.
fn slurm_job() -> Option<String> {
    let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    let of_array =
        || Some(format!("{}_{}", variable("SLURM_ARRAY_JOB_ID")?, variable("SLURM_ARRAY_TASK_ID")?));
    of_array().or_else(|| variable("SLURM_JOB_ID")).map(|job| plain(&job))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::RunLayout;

    #[test]
    fn a_holder_is_read_from_its_name() {
        let mut holder = Holder::this_process(2049).unwrap();
        assert_eq!(Holder::parse(&holder.name()).as_ref(), Some(&holder), "{}", holder.name());
        holder.job = Some("1234_7".to_owned());
        holder.host = plain(&"a/b,c=é".repeat(50));
        (holder.has_lock, holder.renewals) = (true, u64::MAX);
        assert_eq!(Holder::parse(&holder.name()).as_ref(), Some(&holder), "{}", holder.name());
        assert!(holder.name().len() <= 255, "a file system takes it: {}", holder.name());
        assert!(holder.to_string().ends_with(", Slurm job 1234_7"), "{holder}");
        for name in ["", "thesis.tex", "host=a,process=b", &holder.name().replace("expiry=", "expiry=x")] {
            assert_eq!(Holder::parse(name), None, "{name} names no holder");
        }
    }

    #[test]
    fn tokens_differ() {
        let tokens: std::collections::BTreeSet<String> = (0..1000).map(|_| fresh_token()).collect();
        assert_eq!(tokens.len(), 1000, "{tokens:?}");
        let candidate = |token: &String| RunLayout::new("run").lease_candidate(token);
        let is_known =
            |token| RunLayout::is_lease_candidate(&candidate(token).file_name().unwrap().to_string_lossy());
        assert!(tokens.iter().all(is_known), "leftovers can be told: {tokens:?}");
    }
}
