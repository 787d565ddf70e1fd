//! What the process itself uses: the `process_*` families that every Prometheus client library has, read from `/proc`.

use std::fs;

use prometheus::{Counter, Gauge, IntGauge};

use super::metrics::Families;

/// Clock ticks per second in `/proc`: Linux fixes it at 100 for programs on every architecture that Rust supports well.
const TICKS: f64 = 100.0;

/// The families, brought up to date by [`Process::refresh`].
#[derive(Debug)]
pub(super) struct Process {
    cpu: Counter,
    resident: IntGauge,
    mapped: IntGauge,
    threads: IntGauge,
    open_fds: IntGauge,
    max_fds: IntGauge,
    started: Gauge,
}

impl Process {
    pub(super) fn register(families: &mut Families) -> Self {
        let process = Self {
            cpu: families.add(Counter::new("process_cpu_seconds_total", "User and system CPU time spent")),
            resident: families.add(IntGauge::new("process_resident_memory_bytes", "Resident memory")),
            mapped: families.add(IntGauge::new("process_virtual_memory_bytes", "Virtual memory")),
            threads: families.add(IntGauge::new("process_threads", "Threads of the process")),
            open_fds: families.add(IntGauge::new("process_open_fds", "Open file descriptors")),
            max_fds: families.add(IntGauge::new("process_max_fds", "Most file descriptors that may be open")),
            started: families.add(Gauge::new("process_start_time_seconds", "Start of the process, Unix time")),
        };
        process.started.set(start_time().unwrap_or(0.0));
        process
    }

    /// Reads `/proc`; what cannot be read keeps its last value.
    pub(super) fn refresh(&self) {
        if let Some(now) = cpu_seconds() {
            self.cpu.inc_by((now - self.cpu.get()).max(0.0));
        }
        set(&self.resident, status_field("VmRSS:").map(|kilobytes| kilobytes * 1024));
        set(&self.mapped, status_field("VmSize:").map(|kilobytes| kilobytes * 1024));
        set(&self.threads, status_field("Threads:"));
        set(&self.open_fds, open_fds());
        set(&self.max_fds, max_fds());
    }
}

fn set(gauge: &IntGauge, value: Option<i64>) {
    if let Some(value) = value {
        gauge.set(value);
    }
}

/// The fields of `/proc/self/stat` from the third (state) on: the second, the program's name, may hold blanks.
fn stat_fields() -> Option<Vec<String>> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, after_name) = stat.rsplit_once(") ")?;
    Some(after_name.split_ascii_whitespace().map(str::to_owned).collect())
}

fn stat_ticks(fields: &[String], field: usize) -> Option<f64> {
    Some(fields.get(field - 3)?.parse::<f64>().ok()? / TICKS)
}

fn cpu_seconds() -> Option<f64> {
    let fields = stat_fields()?;
    Some(stat_ticks(&fields, 14)? + stat_ticks(&fields, 15)?)
}

fn start_time() -> Option<f64> {
    let after_boot = stat_ticks(&stat_fields()?, 22)?;
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let boot = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    Some(boot.trim().parse::<f64>().ok()? + after_boot)
}

/// A number of `/proc/self/status`; sizes are in KiB there.
fn status_field(name: &str) -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn open_fds() -> Option<i64> {
    let listed = fs::read_dir("/proc/self/fd").ok()?.count();
    // One of them is the listing itself.
    i64::try_from(listed.saturating_sub(1)).ok()
}

fn max_fds() -> Option<i64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_numbers_are_this_process() {
        let mut families = Families::default();
        let process = Process::register(&mut families);
        let file = fs::File::open("/proc/self/stat").unwrap();
        process.refresh();
        assert!(process.resident.get() > 1 << 20 && process.resident.get() <= process.mapped.get());
        assert!(process.threads.get() >= 1);
        assert!(process.open_fds.get() >= 4 && process.open_fds.get() <= process.max_fds.get());
        // Between 2020 and 2100, and not the zero of a failed read.
        assert!((1_577_836_800.0..4_102_444_800.0).contains(&process.started.get()));
        drop(file);
    }
}
