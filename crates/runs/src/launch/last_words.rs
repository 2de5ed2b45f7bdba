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
    String::from_utf8_lossy(&tail).lines().rev().find_map(end_of_line)
}

/// How Slurm ended a job, from one line of its log.
fn end_of_line(line: &str) -> Option<JobEnd> {
    let message = line.strip_prefix("slurmstepd: error: ")?;
    if message.contains("oom-kill")
        || message.contains("oom_kill")
        || message.contains("exceeded memory limit")
    {
        return Some(JobEnd::OutOfMemory);
    }
    let notice = message.strip_prefix("*** ")?;
    [
        ("DUE TO TIME LIMIT", JobEnd::TimeLimit),
        ("DUE TO PREEMPTION", JobEnd::Preempted),
        ("DUE TO NODE FAILURE", JobEnd::NodeFailure),
    ]
    .into_iter()
    .find_map(|(words, end)| notice.contains(words).then_some(end))
    .or_else(|| {
        // A requeue by a user or the task itself is not the end of the job.
        (notice.contains("CANCELLED AT") && !notice.contains("DUE TO JOB REQUEUE"))
            .then_some(JobEnd::Cancelled)
    })
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
            (
                "slurmstepd: error: Detected 1 oom_kill event in StepId=12.batch. Some of the step tasks have \
                 been OOM Killed.\n"
                    .to_owned(),
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
