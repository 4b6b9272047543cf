//! A small disk that can be filled.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A file system in memory with a size of its own, until it is dropped.
#[derive(Debug)]
pub struct Tmpfs {
    directory: TempDir,
}

impl Tmpfs {
    /// Mounts one; `None` if this process is not root, who alone may.
    ///
    /// # Panics
    /// When root may not either.
    pub fn mount(mebibytes: u32) -> Option<Self> {
        let status = fs::read_to_string("/proc/self/status").expect("Linux tells who runs");
        let is_root = status.lines().any(|line| line.strip_prefix("Uid:").is_some_and(|ids| ids.starts_with("\t0\t")));
        if !is_root {
            return None;
        }
        let directory = tempfile::tempdir().expect("a directory");
        let options = format!("size={mebibytes}m");
        let arguments = ["-t", "tmpfs", "-o", &options, "muster-test"];
        let status = Command::new("mount").args(arguments).arg(directory.path()).status().expect("mount runs");
        assert!(status.success(), "mount: {status}");
        Some(Self { directory })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes until only `leave` bytes are free.
    ///
    /// # Panics
    /// When somebody else takes the room meanwhile.
    pub fn fill(&self, leave: u64) {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(self.filler()).expect("a file");
        let block = [0; 4096];
        for _ in 0..self.free().saturating_sub(leave) / block.len() as u64 {
            file.write_all(&block).expect("there is room");
        }
    }

    /// Takes away what [`Tmpfs::fill`] wrote.
    ///
    /// # Panics
    /// When it wrote nothing.
    pub fn clear(&self) {
        fs::remove_file(self.filler()).expect("it was filled");
    }

    /// Free space in bytes.
    fn free(&self) -> u64 {
        let told = Command::new("stat").args(["--file-system", "--format=%a %S"]).arg(self.path()).output();
        let told = String::from_utf8(told.expect("stat runs").stdout).expect("numbers are text");
        let mut numbers = told.split_whitespace().map(|number| number.parse::<u64>().expect("stat tells numbers"));
        numbers.next().expect("free blocks") * numbers.next().expect("bytes of a block")
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: a node that is being killed may hold it a moment longer.
        let unmounted = Command::new("umount").arg("--lazy").arg(self.path()).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} is still mounted", self.path().display());
        }
    }
}
