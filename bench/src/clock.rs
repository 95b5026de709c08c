//! CPU time, in nanoseconds, of this thread, of another process and of the whole machine.
//!
//! The kernel's CPU clocks also count threads that have ended. `/proc/PID/schedstat` does not
//! (it knows the main thread only), and `/proc/PID/stat` counts in ticks of 10 ms.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use crate::Result;
use crate::store::Store;

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

/// User and system time of a process and of its children, past and present; not of their children.
pub(crate) fn family(parent: Pid) -> Result<Duration> {
    // Of a child that ended and was waited for, the kernel adds the time to the parent's account.
    let ticks: u64 = stat_fields(parent)?.iter().skip(13).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
    let mut sum = process(parent)? + Duration::from_millis(ticks * 10);
    for entry in std::fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()).map(Pid::from_raw) else {
            continue;
        };
        // Any process may have ended meanwhile.
        if stat_fields(pid).is_ok_and(|fields| fields.get(1).is_some_and(|ppid| *ppid == parent.to_string())) {
            sum += process(pid).unwrap_or_default();
        }
    }
    Ok(sum)
}

/// What follows the name in `/proc/PID/stat`: state, parent, … (a name may hold spaces).
fn stat_fields(pid: Pid) -> Result<Vec<String>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').ok_or("a /proc/PID/stat without a name")?;
    Ok(fields.split_whitespace().map(str::to_owned).collect())
}

/// What one of `count` cost, in µs.
pub(crate) fn micros_each(cpu: Duration, count: usize) -> f64 {
    cpu.as_secs_f64() * 1e6 / count as f64
}

/// A moment, with the CPU time that machine, server, store and client had used by then.
pub(crate) struct Mark {
    at: Instant,
    machine: Duration,
    server: Duration,
    store: Duration,
    client: Duration,
}

/// What was used since a `Mark`.
pub(crate) struct Used {
    pub(crate) server: Duration,
    /// Outside of the server.
    pub(crate) store: Duration,
    pub(crate) client: Duration,
    /// Cores kept busy by none of them: the kernel's own threads, and whatever else runs on the machine.
    pub(crate) other_cores: f64,
}

impl Mark {
    /// Reads all clocks; the client is the calling thread.
    pub(crate) fn now(server: Pid, store: &Store) -> Result<Self> {
        Ok(Self {
            at: Instant::now(),
            machine: machine_busy()?,
            server: process(server)?,
            store: store.cpu()?,
            client: this_thread()?,
        })
    }

    pub(crate) fn until_now(&self, server: Pid, store: &Store) -> Result<Used> {
        let now = Self::now(server, store)?;
        let (server, client) = (now.server - self.server, now.client - self.client);
        let store = now.store.saturating_sub(self.store);
        let other_cores = other_cores(self.at, self.machine, server + store + client)?;
        Ok(Used { server, store, client, other_cores })
    }
}

/// Waits until a clock stands (nearly) still, so that work that was put off is counted and does not disturb what is
/// measured next. Says whether it did within 10 s.
pub(crate) fn wait_until_quiet(clock: impl Fn() -> Result<Duration>) -> Result<bool> {
    let step = Duration::from_millis(100);
    let mut quiet = 0;
    for _ in 0..100 {
        let before = clock()?;
        std::thread::sleep(step);
        quiet = if clock()?.saturating_sub(before) < step / 50 { quiet + 1 } else { 0 };
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

/// Cores that were kept busy by something else than `ours` since a moment with that busy time of all cores.
pub(crate) fn other_cores(since: Instant, machine: Duration, ours: Duration) -> Result<f64> {
    let other = machine_busy()?.saturating_sub(machine).saturating_sub(ours);
    Ok(other.as_secs_f64() / since.elapsed().as_secs_f64())
}

/// Busy time of all cores (user, nice, system, irq, softirq; steal is not ours), in ticks of 10 ms.
pub(crate) fn machine_busy() -> Result<Duration> {
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

    #[test]
    fn counts_children_alive_and_ended() {
        let spin = |then: &str| {
            let script = format!("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; {then}");
            std::process::Command::new("sh").arg("-c").arg(script).spawn().unwrap()
        };
        let before = family(Pid::this()).unwrap();
        let (mut ended, mut alive) = (spin("true"), spin("kill -STOP $$"));
        ended.wait().unwrap();
        let pid = Pid::from_raw(alive.id().cast_signed());
        while stat_fields(pid).unwrap()[0] != "T" {}
        let both = process(pid).unwrap() * 3 / 2;
        let counted = family(Pid::this()).unwrap() - before;
        alive.kill().unwrap();
        alive.wait().unwrap();
        assert!(counted >= both, "{counted:?} is less than {both:?}");
    }
}
