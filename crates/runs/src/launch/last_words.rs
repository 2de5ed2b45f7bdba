//! What Slurm writes into a job's log when it ends the job. A log outlives Slurm's own memory of a job, which a cluster
//! without accounting keeps for five minutes.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use super::job_state::JobEnd;

/// How much of a log is read, in bytes, from its end.
const TAIL: u64 = 64 << 10;

/// How Slurm ended the attempt whose log starts at byte `start`, if it says so.
pub(super) fn last_words(log: &Path, start: u64) -> Option<JobEnd> {
    let mut file = File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(start.max(length.saturating_sub(TAIL)))).ok()?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail).ok()?;
    let ends: Vec<JobEnd> = String::from_utf8_lossy(&tail).lines().filter_map(end_of_line).collect();
    // A job that takes too much memory is then cancelled.
    let out_of_memory = ends.iter().find(|end| **end == JobEnd::OutOfMemory);
    out_of_memory.or(ends.last()).copied()
}

/// How Slurm ended a job, from one line of its log. It begins with `slurmstepd: error: `, or with `slurmstepd-node: error: `.
fn end_of_line(line: &str) -> Option<JobEnd> {
    let (_, message) = line.strip_prefix("slurmstepd")?.split_once(": error: ")?;
    if ["oom-kill", "oom_kill", "exceeded memory limit"].iter().any(|words| message.contains(words)) {
        return Some(JobEnd::OutOfMemory);
    }
    let notice = message.strip_prefix("*** ")?;
    let reasons = [
        ("DUE TO TIME LIMIT", JobEnd::TimeLimit),
        ("DUE TO PREEMPTION", JobEnd::Preempted),
        ("DUE TO NODE FAILURE", JobEnd::NodeFailure),
    ];
    let reason = reasons.into_iter().find(|(words, _)| notice.contains(words));
    // A requeue by a user or the task itself is not the end of the job.
    let is_cancelled = notice.contains("CANCELLED AT") && !notice.contains("DUE TO JOB REQUEUE");
    reason.map(|(_, end)| end).or_else(|| is_cancelled.then_some(JobEnd::Cancelled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slurms_words_in_a_log_tell_how_the_attempt_ended() {
        let at = "slurmstepd: error: *** JOB 12 ON n1 CANCELLED AT 2026-11-30T02:00:00";
        for (lines, end) in [
            (format!("{at} DUE TO TIME LIMIT ***\n"), Some(JobEnd::TimeLimit)),
            (format!("{at} DUE TO PREEMPTION ***\nstopped and saved\n"), Some(JobEnd::Preempted)),
            (format!("{at} DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS ***\n"), Some(JobEnd::NodeFailure)),
            (format!("{at} ***\n"), Some(JobEnd::Cancelled)),
            (format!("{at} DUE TO JOB REQUEUE ***\n"), None),
            (format!("{} ***\n", at.replace("stepd", "stepd-n1")), Some(JobEnd::Cancelled)),
            // With control groups.
            (
                "slurmstepd-n1: error: Detected 1 oom-kill event(s) in StepId=1.batch. Some of your processes may have \
                 been killed by the cgroup out-of-memory handler.\n"
                    .to_owned(),
                Some(JobEnd::OutOfMemory),
            ),
            // Without.
            (
                format!(
                    "slurmstepd: error: StepId=6.batch exceeded memory limit (264044544 > 104857600), being killed\n\
                     slurmstepd: error: Exceeded job memory limit\n{at} ***\n"
                ),
                Some(JobEnd::OutOfMemory),
            ),
            ("DUE TO TIME LIMIT\n".to_owned(), None),
        ] {
            let file = tempfile::NamedTempFile::new().unwrap();
            let earlier = format!("{at} DUE TO PREEMPTION ***\n");
            std::fs::write(file.path(), format!("{earlier}{lines}")).unwrap();
            let start = earlier.len() as u64;
            assert_eq!(last_words(file.path(), start), end, "the last attempt of {lines}");
        }
        assert_eq!(last_words(Path::new("no such log"), 0), None, "a log that does not exist");
    }
}
