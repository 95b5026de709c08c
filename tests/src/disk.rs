//! A disk that can be full, and have room again.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::geteuid;
use tempfile::TempDir;

use crate::{Server, Setup};

/// How a disk is made small.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A file system of a few megabytes, which really is full. Takes root, to mount it.
    Tmpfs,
    /// No file of the process may grow: what a quota feels like.
    Limit,
}

impl Kind {
    /// All kinds that this user can have; there is always one.
    pub fn available() -> Vec<Self> {
        if geteuid().is_root() { vec![Self::Tmpfs, Self::Limit] } else { vec![Self::Limit] }
    }
}

#[derive(Debug)]
pub struct Disk {
    kind: Kind,
    root: TempDir,
}

impl Disk {
    pub fn new(kind: Kind) -> Self {
        let root = TempDir::new().expect("a temporary directory");
        if kind == Kind::Tmpfs {
            run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(root.path()));
        }
        Self { kind, root }
    }

    /// Has the server keep its data here.
    pub fn under(&self, setup: Setup) -> Setup {
        let setup = setup.data_dir(&self.root.path().join("data"));
        match self.kind {
            Kind::Tmpfs => setup,
            // The signal that comes with EFBIG would end the process; ignoring it is inherited.
            Kind::Limit => setup.launcher(["bash", "-c", "trap '' XFSZ; exec \"$@\"", "bash"]),
        }
    }

    pub fn fill(&self, server: &Server) {
        match self.kind {
            Kind::Tmpfs => {
                let mut filler = File::create(self.filler()).expect("a file");
                for size in [1 << 20, 4096, 1] {
                    while filler.write_all(&vec![0; size]).is_ok() {}
                }
            }
            Kind::Limit => {
                let largest =
                    files(server.data_dir()).into_iter().map(|file| file.metadata().map_or(0, |data| data.len())).max();
                limit(server, &largest.unwrap_or(0).to_string());
            }
        }
    }

    pub fn make_room(&self, server: &Server) {
        match self.kind {
            Kind::Tmpfs => std::fs::remove_file(self.filler()).expect("the filler goes"),
            Kind::Limit => limit(server, "unlimited"),
        }
    }

    fn filler(&self) -> PathBuf {
        self.root.path().join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.kind == Kind::Tmpfs {
            run(Command::new("umount").arg("--lazy").arg(self.root.path()));
        }
    }
}

fn limit(server: &Server, bytes: &str) {
    run(Command::new("prlimit").arg(format!("--pid={}", server.pid())).arg(format!("--fsize={bytes}:unlimited")));
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).expect("the data directory");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}
