//! CPU time, in nanoseconds, of this thread, of another process and of the whole machine.
//!
//! The kernel's CPU clocks also count threads that have ended. `/proc/PID/schedstat` does not
//! (it knows the main thread only), and `/proc/PID/stat` counts in ticks of 10 ms.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use crate::Result;

/// What to say when `wait_until_quiet` waited in vain.
pub(crate) const NEVER_RESTED: &str =
    "the server did not come to rest within 10 s after a round: its CPU per item is too high";

/// User and system time of the calling thread.
pub(crate) fn this_thread() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

/// User and system time of a process with all its threads, past and present.
pub(crate) fn process(pid: Pid) -> Result<Duration> {
    Ok(clock_gettime(ClockId::pid_cpu_clock_id(pid)?)?.into())
}

/// What one of `count` cost, in µs.
pub(crate) fn micros_each(cpu: Duration, count: usize) -> f64 {
    cpu.as_secs_f64() * 1e6 / count as f64
}

/// A moment, with the CPU time that machine, server and client had used by then.
pub(crate) struct Mark {
    at: Instant,
    machine: Duration,
    server: Duration,
    client: Duration,
}

/// What was used since a `Mark`.
pub(crate) struct Used {
    pub(crate) server: Duration,
    pub(crate) client: Duration,
    /// Cores kept busy by neither: the kernel's own threads, and whatever else runs on the machine.
    pub(crate) other_cores: f64,
}

impl Mark {
    /// Reads all clocks; the client is the calling thread.
    pub(crate) fn now(server: Pid) -> Result<Self> {
        Ok(Self { at: Instant::now(), machine: machine_busy()?, server: process(server)?, client: this_thread()? })
    }

    pub(crate) fn until_now(&self, server: Pid) -> Result<Used> {
        let now = Self::now(server)?;
        let (server, client) = (now.server - self.server, now.client - self.client);
        let other = now.machine.saturating_sub(self.machine).saturating_sub(server + client);
        let other_cores = other.as_secs_f64() / (now.at - self.at).as_secs_f64();
        Ok(Used { server, client, other_cores })
    }
}

/// Waits until a process rests, so that work it put off is counted and does not disturb what is measured next.
/// Says whether it came to rest within 10 s.
pub(crate) fn wait_until_quiet(pid: Pid) -> Result<bool> {
    let step = Duration::from_millis(100);
    let mut quiet = 0;
    for _ in 0..100 {
        let before = process(pid)?;
        std::thread::sleep(step);
        quiet = if process(pid)? - before < step / 50 { quiet + 1 } else { 0 };
        if quiet == 2 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Cores that are busy while nothing is measured yet.
pub(crate) fn busy_cores() -> Result<f64> {
    let (start, before) = (Instant::now(), machine_busy()?);
    std::thread::sleep(Duration::from_secs(1));
    let busy = machine_busy()?.saturating_sub(before);
    Ok(busy.as_secs_f64() / start.elapsed().as_secs_f64())
}

/// Busy time of all cores (user, nice, system, irq, softirq; steal is not ours), in ticks of 10 ms.
fn machine_busy() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let fields: Vec<u64> =
        stat.lines().next().unwrap_or_default().split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
    let ticks: u64 = [0, 1, 2, 5, 6].iter().filter_map(|&i| fields.get(i)).sum();
    Ok(Duration::from_millis(ticks * 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_threads_that_have_ended() {
        let me = Pid::this();
        let before = process(me).unwrap();
        std::thread::spawn(|| {
            let start = this_thread().unwrap();
            while this_thread().unwrap() - start < Duration::from_millis(30) {}
        })
        .join()
        .unwrap();
        assert!(process(me).unwrap() - before >= Duration::from_millis(30));
    }
}
