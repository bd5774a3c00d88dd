//! A contestant's process, from its start to its end.

use core::time::Duration;
use std::{
    io::{self, Read},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
};

use anyhow::{Context as _, Result};
use rustix::{
    io::retry_on_intr,
    process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid},
};
use wait4::Wait4 as _;

/// How a process ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// None where a signal ended it.
    pub(crate) code: Option<i32>,
    /// Whether that was because it took too long.
    pub(crate) late: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// The most memory it had, in bytes.
    pub(crate) peak_rss: u64,
    /// Its processor time.
    pub(crate) cpu: Duration,
}

/// Runs `command` to its end, and ends it where it takes longer than `limit`.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<Ended> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("starting {command:?}"))?;
    let stdout = reader(child.stdout.take().context("no stdout")?);
    let stderr = reader(child.stderr.take().context("no stderr")?);
    let late = await_end(&child, limit)?;
    let used = child.wait4()?;
    let text = |reader: thread::JoinHandle<io::Result<Vec<u8>>>| -> Result<String> {
        let bytes = reader.join().ok().context("reading panicked")??;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    Ok(Ended {
        code: used.status.code(),
        late,
        stdout: text(stdout)?,
        stderr: text(stderr)?,
        peak_rss: used.rusage.maxrss,
        cpu: used.rusage.utime + used.rusage.stime,
    })
}

/// Waits until the child has ended, by itself or by force, and leaves it to be reaped: so long its
/// process id is its own, and nobody else's can be ended.
fn await_end(child: &Child, limit: Duration) -> Result<bool> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("no process id")?;
    let (ended, end) = mpsc::channel::<()>();
    let watch = thread::spawn(move || {
        let late = end.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
        if late {
            let _ = kill_process(pid, Signal::KILL);
        }
        late
    });
    let waited =
        retry_on_intr(|| waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT));
    drop(ended);
    let late = watch.join().ok().context("the watch panicked")?;
    waited?;
    Ok(late)
}

/// Reads beside, so that a child that says much is not held up.
fn reader(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<io::Result<Vec<u8>>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes)?;
        Ok(bytes)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Ended {
        run(Command::new("sh").args(["-c", script]), limit).unwrap()
    }

    #[test]
    fn a_child_is_heard_and_its_code_known() {
        let ended = shell("echo out; echo err >&2; exit 3", Duration::from_secs(20));
        assert_eq!((ended.code, ended.late), (Some(3), false));
        assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("out\n", "err\n"));
        assert!(ended.peak_rss > 100 << 10, "{}", ended.peak_rss);
    }

    #[test]
    fn a_child_that_takes_too_long_is_ended() {
        let ended = shell("exec sleep 60", Duration::from_millis(50));
        assert_eq!((ended.code, ended.late), (None, true));
    }

    #[test]
    fn the_processor_time_is_the_childs() {
        let busy =
            shell("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done", Duration::from_secs(60));
        assert!(busy.cpu > Duration::from_millis(10), "{:?}", busy.cpu);
    }
}
