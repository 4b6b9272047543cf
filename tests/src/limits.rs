//! Limits of processes, set with `prlimit` of util-linux, which every Linux has.

use std::process::Command;

/// Lets this process, and those it starts from now on, open as many files as the system lets it.
///
/// # Panics
/// When `prlimit` fails.
pub fn raise_open_files() {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("Linux tells limits");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("there is such a limit");
    let hard = line.split_whitespace().nth(1).expect("a line has a soft and a hard limit");
    prlimit(std::process::id(), &format!("--nofile={hard}:"));
}

/// Lets writes of a process fail that would make a file larger than `bytes`; `None` lifts the limit.
///
/// # Panics
/// When `prlimit` fails.
pub fn limit_file_size(pid: u32, bytes: Option<u64>) {
    let limit = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
    prlimit(pid, &format!("--fsize={limit}:"));
}

fn prlimit(pid: u32, limit: &str) {
    let status = Command::new("prlimit").args(["--pid", &pid.to_string(), limit]).status().expect("prlimit runs");
    assert!(status.success(), "prlimit --pid {pid} {limit}: {status}");
}
