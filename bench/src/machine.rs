//! What the figures were taken on; without it they mean nothing.

use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::{Result, clock};

/// Busy cores from which other work disturbs a run; an idle system needs less.
const DISTURBED: f64 = 0.2;

/// The facts that are printed above every table.
#[derive(Serialize)]
pub(crate) struct Machine {
    cores: usize,
    cpu: String,
    kernel: String,
    memory_gib: f64,
    filesystem: String,
    /// Before anything was started: what else runs here.
    busy_cores: f64,
    unix_time: u64,
}

impl Machine {
    /// Asks the kernel; `dir` is where the databases will lie.
    pub(crate) fn ask(dir: &Path) -> Result<Self> {
        let memory_kib = value_of("/proc/meminfo", "MemTotal").split(' ').next().and_then(|n| n.parse().ok());
        let read = |path| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        Ok(Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            cpu: value_of("/proc/cpuinfo", "model name"),
            kernel: read("/proc/sys/kernel/osrelease"),
            memory_gib: memory_kib.map_or(0.0, |kib: f64| kib / 1024.0 / 1024.0),
            filesystem: filesystem_of(dir),
            busy_cores: clock::busy_cores()?,
            unix_time: std::time::UNIX_EPOCH.elapsed().map_or(0, |d| d.as_secs()),
        })
    }

    /// What is wrong with taking figures here and now.
    pub(crate) fn cautions(&self) -> Vec<String> {
        let mut cautions = Vec::new();
        if self.filesystem.starts_with("tmpfs") || self.filesystem.starts_with("ramfs") {
            cautions.push("the data lies in memory: nothing here is durable; name a disk with --dir".to_owned());
        }
        if self.busy_cores > DISTURBED {
            let busy = self.busy_cores;
            cautions.push(format!("other work kept {busy:.1} cores busy before the start"));
        }
        cautions
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} × {}, {:.0} GiB, Linux {}", self.cores, self.cpu, self.memory_gib, self.kernel)?;
        writeln!(f, "data on {}; {:.2} cores busy before the start", self.filesystem, self.busy_cores)
    }
}

/// The value of the first `key: value` line of a /proc file.
fn value_of(file: &str, key: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix(':'));
    line.unwrap_or("unknown").trim().to_owned()
}

/// Type and device of the mount that holds `dir`, as in `ext4 (/dev/vda)`.
fn filesystem_of(dir: &Path) -> String {
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let holder = mounts
        .lines()
        .filter_map(|line| {
            // "36 35 98:0 /root /mount/point options … - ext4 /dev/vda options"
            let (left, right) = line.split_once(" - ")?;
            let point = left.split(' ').nth(4)?;
            let mut right = right.split(' ');
            Some((point, format!("{} ({})", right.next()?, right.next()?)))
        })
        .filter(|(point, _)| dir.starts_with(point))
        .max_by_key(|(point, _)| point.len());
    holder.map_or_else(|| "an unknown file system".to_owned(), |(_, name)| name)
}
