//! Child processes: signals by pid, waiting with an end, and what the kernel knows of their memory.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use super::uptime;

/// Sends a signal (`TERM`, `HUP`, ...) to one process; false when it is gone.
pub fn signal(pid: u32, name: &str) -> bool {
    // The shell's own `kill`: `unsafe` is forbidden here, and procps need not be installed.
    let script = format!("kill -{name} {pid}");
    let status = Command::new("sh").args(["-c", &script]).stderr(Stdio::null()).status();
    status.expect("sh runs").success()
}

/// Waits for the end of a child; `None` when it still runs after `patience`.
pub fn wait(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let start = uptime();
    loop {
        if let Some(status) = child.try_wait().expect("a child of ours") {
            return Some(status);
        }
        if uptime() - start > patience {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// How long a program of others may take. The browser's scenarios end themselves before.
const PROGRAM: Duration = Duration::from_secs(240);

/// Runs a program to its end, with nothing to read. One that takes too long is killed with all that it started, so that a
/// suite never hangs: the status then tells the signal, and what was said until then is there.
pub fn output(command: &mut Command) -> std::io::Result<Output> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.process_group(0).spawn()?;
    let group = child.id();
    let (ended, end) = channel::<()>();
    let watch = std::thread::spawn(move || {
        if end.recv_timeout(PROGRAM) == Err(RecvTimeoutError::Timeout) {
            let script = format!("kill -KILL -- -{group}");
            Command::new("sh").args(["-c", &script]).status().ok();
        }
    });
    let output = child.wait_with_output();
    drop(ended);
    watch.join().expect("the watch does not panic");
    output
}

/// Ends a child: asks it, and kills it when it does not listen.
pub fn end(child: &mut Child, grace: Duration) {
    if child.try_wait().is_ok_and(|status| status.is_some()) {
        return;
    }
    signal(child.id(), "TERM");
    if wait(child, grace).is_none() {
        // Errors mean that it ended in between.
        child.kill().ok();
        child.wait().ok();
    }
}

/// A field of `/proc/PID/status` in KiB, such as `VmHWM` (peak resident memory) or `VmRSS`.
pub fn memory_kib(pid: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let number = line.and_then(|rest| rest.split_whitespace().next()).expect("the kernel tells it");
    number.parse().expect("a number of KiB")
}

/// Open file descriptors of a process.
pub fn open_files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).expect("the process runs").count()
}
