//! The machine under the figures, and what it tells of processes.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::figures::Samples;

/// Bytes of one write whose sync is timed: about one entry of the log.
const WRITE: [u8; 512] = [7; 512];

/// Ticks of `/proc/PID/stat` in a second: fixed in the interface of Linux on x86 and ARM, whatever the kernel uses.
const TICKS: f64 = 100.0;

/// CPU, cores and memory in one line.
pub(crate) fn describe() -> String {
    let cpu = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown CPU".to_owned());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory =
        field("/proc/meminfo", "MemTotal").and_then(|line| kib(&line)).unwrap_or(0) as f64 / f64::from(1 << 20);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{cpu}, {cores} cores, {memory:.1} GiB of memory, Linux {}", kernel.trim())
}

/// How long it takes to append to a file in `directory` and to sync it with fdatasync, so many times.
///
/// # Errors
/// When the file can not be written.
pub(crate) fn sync_latency(directory: &Path, count: usize) -> anyhow::Result<Samples> {
    let path = directory.join("sync-latency");
    let mut file = OpenOptions::new().create(true).append(true).open(&path).context("no file to sync")?;
    let mut samples = Samples::default();
    for _ in 0..count {
        let start = Instant::now();
        file.write_all(&WRITE)?;
        file.sync_data()?;
        samples.add(start.elapsed());
    }
    fs::remove_file(path)?;
    Ok(samples)
}

/// Bytes of memory that a process has in use.
///
/// # Errors
/// When there is no such process.
pub(crate) fn resident_bytes(process: u32) -> anyhow::Result<u64> {
    let line = field(&format!("/proc/{process}/status"), "VmRSS").with_context(|| format!("no process {process}"))?;
    Ok(kib(&line).context("VmRSS is not a number")? * 1024)
}

/// Time on a CPU that a process has had, in the kernel and outside.
///
/// # Errors
/// When there is no such process.
pub(crate) fn cpu_time(process: u32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The second field is the name in parentheses and may hold spaces; utime and stime are the 14th and 15th.
    let (_, after_name) = stat.rsplit_once(')').context("no name in stat")?;
    let mut fields = after_name.split_whitespace().skip(11);
    let mut next = || fields.next().and_then(|ticks| ticks.parse::<u32>().ok()).context("no times in stat");
    let ticks = next()? + next()?;
    Ok(Duration::from_secs_f64(f64::from(ticks) / TICKS))
}

/// The value of the first line `name : value` of a file.
fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.split(':').next().is_some_and(|before| before.trim() == name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn kib(value: &str) -> Option<u64> {
    value.split_whitespace().next()?.parse().ok()
}
