//! Where and when a benchmark run was run.

use std::{fs, process::Command};

use jiff::Timestamp;
use ottla_kafka::NEWEST;
use serde::{Deserialize, Serialize};
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

use crate::{arguments::Arguments, contestant::JAVA_OPTIONS};

/// Facts that the numbers depend on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// When the benchmark began, in UTC.
    pub(crate) date: String,
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_mib: u64,
    pub(crate) system: String,
    pub(crate) kernel: String,
    /// Of one minute, before the benchmark: what else the machine had to do.
    pub(crate) load_before: f64,
    /// Of this checkout.
    pub(crate) commit: String,
    pub(crate) rustc: String,
    pub(crate) go: String,
    pub(crate) java: String,
    pub(crate) java_options: String,
    pub(crate) kafka: String,
    pub(crate) cells: usize,
    pub(crate) rounds: u32,
    pub(crate) scale: f64,
}

/// Those of now and here.
pub(crate) fn facts(arguments: &Arguments, cells: usize) -> Facts {
    let system = System::new_with_specifics(
        RefreshKind::nothing()
            .with_cpu(CpuRefreshKind::nothing())
            .with_memory(MemoryRefreshKind::everything()),
    );
    let unknown = || "unknown".to_owned();
    Facts {
        date: Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string(),
        cpu: system.cpus().first().map_or_else(unknown, |cpu| cpu.brand().trim().to_owned()),
        cores: system.cpus().len(),
        memory_mib: system.total_memory() >> 20,
        system: System::long_os_version().unwrap_or_else(unknown),
        kernel: System::kernel_version().unwrap_or_else(unknown),
        load_before: System::load_average().one,
        commit: said("git", &["describe", "--always", "--dirty"]),
        rustc: said("rustc", &["--version"]),
        go: said("go", &["version"]),
        java: said("java", &["--version"]),
        java_options: JAVA_OPTIONS.join(" "),
        kafka: NEWEST.to_owned(),
        cells,
        rounds: arguments.rounds,
        scale: arguments.scale,
    }
}

/// The first line that a program prints.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let line = text.unwrap_or_default().lines().next().unwrap_or_default().trim().to_owned();
    if line.is_empty() { "unknown".to_owned() } else { line }
}

/// The most memory this process had so far, in bytes; 0 where the system does not say.
pub(crate) fn peak_rss() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_has_some_memory() {
        let before = peak_rss();
        assert!(before > 100 << 10, "{before}");
        let much = vec![1_u8; 64 << 20];
        assert!(peak_rss() > before + (32 << 20), "{}", much.len());
    }

    #[test]
    fn a_program_that_is_not_there_is_unknown() {
        assert_eq!(said("no-such-program-at-all", &[]), "unknown");
        assert_eq!(said("echo", &["a b"]), "a b");
    }
}
