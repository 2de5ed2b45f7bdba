//! The memory that the process has and could have, as Linux reports it: free memory, and the limits of its control
//! groups and of the process itself.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

/// The assumed memory if the system reports none.
const FALLBACK_BYTES: usize = 4 << 30;

/// The peak resident set of this process so far; none if the system does not report it.
pub fn peak_bytes() -> Option<usize> {
    bytes_of(&read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// The most memory that this process could have now; 4 GiB if the system does not report it.
pub(super) fn reachable_bytes() -> usize {
    reachable_under(Path::new("/")).unwrap_or(FALLBACK_BYTES)
}

/// As [`reachable_bytes`], where `root` holds the directories `proc` and `sys`.
fn reachable_under(root: &Path) -> Option<usize> {
    let status = read_to_string(root.join("proc/self/status")).unwrap_or_default();
    let has = |name| bytes_of(&status, name).unwrap_or(0);
    let free = read_to_string(root.join("proc/meminfo")).ok();
    let free = free.and_then(|text| bytes_of(&text, "MemAvailable:"));
    let limits = read_to_string(root.join("proc/self/limits")).unwrap_or_default();
    // What each limit leaves beyond the present use.
    let of_process = [("Max address space", "VmSize:"), ("Max data size", "VmData:")]
        .map(|(limit, used)| Some(soft_limit(&limits, limit)?.saturating_sub(has(used))));
    let left = control_groups(root).into_iter().filter_map(|group| group.left());
    let least = left.chain(of_process.into_iter().flatten()).chain(free).min()?;
    Some(least.saturating_add(has("VmRSS:")))
}

/// The number of bytes after `name` in a file with lines such as `VmRSS:  1024 kB`.
fn bytes_of(text: &str, name: &str) -> Option<usize> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// A soft limit of `/proc/self/limits`; none if it is unlimited.
fn soft_limit(text: &str, name: &str) -> Option<usize> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A control group, and the names of its files.
struct ControlGroup {
    directory: PathBuf,
    files: &'static Files,
}

/// The names of files with the limit and the use, and of the field of `memory.stat` with what can be reclaimed.
struct Files {
    limit: &'static str,
    used: &'static str,
    reclaimable: &'static str,
}

const VERSION_1: Files = Files {
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    reclaimable: "total_inactive_file ",
};
const VERSION_2: Files = Files { limit: "memory.max", used: "memory.current", reclaimable: "inactive_file " };

impl ControlGroup {
    /// The bytes that the group may still take; none if it has no limit or does not exist.
    fn left(&self) -> Option<usize> {
        let read = |file| read_to_string(self.directory.join(file)).ok();
        let number = |file| read(file)?.trim().parse::<usize>().ok();
        let limit = number(self.files.limit)?;
        let statistics = read("memory.stat").unwrap_or_default();
        let reclaimable = statistics.lines().find_map(|line| line.strip_prefix(self.files.reclaimable));
        let reclaimable: usize = reclaimable.and_then(|bytes| bytes.trim().parse().ok()).unwrap_or(0);
        Some(limit.saturating_sub(number(self.files.used)?.saturating_sub(reclaimable)))
    }
}

/// The control groups of the process and their ancestors, of both versions. Each of them limits the process.
fn control_groups(root: &Path) -> Vec<ControlGroup> {
    let mut groups = Vec::new();
    for line in read_to_string(root.join("proc/self/cgroup")).unwrap_or_default().lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let (mount, files) = match controllers {
            "" => ("sys/fs/cgroup", &VERSION_2),
            _ if controllers.split(',').any(|one| one == "memory") => ("sys/fs/cgroup/memory", &VERSION_1),
            _ => continue,
        };
        // In a container the path may be the host's. Then only the mount itself exists, which is the container's group.
        let around = Path::new(path.trim_start_matches('/')).ancestors();
        groups.extend(around.map(|group| ControlGroup { directory: root.join(mount).join(group), files }));
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of files with these contents.
    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (file, content) in files {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        root
    }

    const MEMINFO: (&str, &str) =
        ("proc/meminfo", "MemTotal:  9000 kB\nMemAvailable:    8000 kB\nBuffers: 1 kB\n");
    const STATUS: (&str, &str) =
        ("proc/self/status", "VmPeak: 900 kB\nVmSize: 700 kB\nVmRSS:  100 kB\nVmData:  300 kB\n");

    #[test]
    fn without_limits_free_memory_decides() {
        for limits in ["", "Max data size             unlimited            unlimited            bytes\n"] {
            let root = root(&[MEMINFO, STATUS, ("proc/self/limits", limits)]);
            assert_eq!(
                reachable_under(root.path()),
                Some(8100 << 10),
                "what is free and what the process has"
            );
        }
        let odd = root(&[("proc/meminfo", "MemAvailable: many kB\n")]);
        assert_eq!(reachable_under(odd.path()), None, "not a number");
    }

    #[test]
    fn limits_of_the_process_count() {
        for (line, left) in [
            ("Max address space  2048000 4096000 bytes", 2_048_000 - (700 << 10)),
            ("Max data size      1024000 unlimited bytes", 1_024_000 - (300 << 10)),
        ] {
            let root = root(&[MEMINFO, STATUS, ("proc/self/limits", line)]);
            assert_eq!(reachable_under(root.path()), Some(left + (100 << 10)), "{line}");
        }
    }

    #[test]
    fn the_tightest_control_group_counts() {
        let job = "sys/fs/cgroup/slurm/job_7";
        let (max, current, stat) =
            (format!("{job}/memory.max"), format!("{job}/memory.current"), format!("{job}/memory.stat"));
        let group = ("proc/self/cgroup", "0::/slurm/job_7/step_0\n");
        let step = ("sys/fs/cgroup/slurm/job_7/step_0/memory.max", "max\n");
        let v2 = root(&[
            MEMINFO,
            STATUS,
            group,
            step,
            (&max, "3000000\n"),
            (&current, "1500000\n"),
            (&stat, "anon 5\ninactive_file 500000\nactive_file 7\n"),
        ]);
        assert_eq!(
            reachable_under(v2.path()),
            Some(2_000_000 + (100 << 10)),
            "the job's limit, not the step's"
        );

        let job = "sys/fs/cgroup/memory/slurm/job_7";
        let (limit, used) = (format!("{job}/memory.limit_in_bytes"), format!("{job}/memory.usage_in_bytes"));
        let group = ("proc/self/cgroup", "5:cpu:/x\n4:hugetlb,memory:/slurm/job_7\n0::/\n");
        let whole = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        let used_by_all = ("sys/fs/cgroup/memory/memory.usage_in_bytes", "5\n");
        let v1 =
            root(&[MEMINFO, STATUS, group, whole, used_by_all, (&limit, "2000000\n"), (&used, "500000\n")]);
        assert_eq!(reachable_under(v1.path()), Some(1_500_000 + (100 << 10)), "version 1");
    }

    #[test]
    fn a_container_sees_its_own_group_at_the_mount() {
        let v2 = root(&[
            MEMINFO,
            STATUS,
            ("proc/self/cgroup", "0::/docker/on/the/host\n"),
            ("sys/fs/cgroup/memory.max", "1000000\n"),
            ("sys/fs/cgroup/memory.current", "0\n"),
        ]);
        assert_eq!(reachable_under(v2.path()), Some(1_000_000 + (100 << 10)), "the path is the host's");
    }
}
