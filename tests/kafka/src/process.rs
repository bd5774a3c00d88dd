//! Children that never outlive the test process.

use core::time::Duration;
use std::{
    io,
    process::{Child, Command, ExitStatus},
    sync::{OnceLock, mpsc},
    time::Instant,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

/// How long a process may take to stand still.
const FREEZE: Duration = Duration::from_secs(10);

type Request = (Command, mpsc::Sender<io::Result<Child>>);

/// A child process that is killed when this is dropped, and by the kernel (on Linux) when the test
/// process dies without running destructors.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts `command`, prepared on [`guarded`].
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: Command) -> Result<Self> {
        let name = format!("{command:?}");
        // The kernel sends the death signal when the *thread* that started the child ends, so all
        // children are started by one thread that stays until the process ends.
        static STARTER: OnceLock<mpsc::Sender<Request>> = OnceLock::new();
        let starter = STARTER.get_or_init(|| {
            let (sender, requests) = mpsc::channel::<Request>();
            std::thread::spawn(move || {
                for (mut command, answer) in requests {
                    let _ = answer.send(command.spawn());
                }
            });
            sender
        });
        let (sender, answer) = mpsc::channel();
        let gone = || anyhow!("the thread that starts processes is gone");
        starter.send((command, sender)).map_err(|_| gone())?;
        let child =
            answer.recv().map_err(|_| gone())?.with_context(|| format!("starting {name}"))?;
        Ok(Self { child })
    }

    /// The child, for its pipes.
    pub const fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// The status it ended with, or none while it runs.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("a child without a pid")?, signal)?;
        Ok(())
    }

    /// Stops it (SIGSTOP), and returns once all its threads stand still: on a busy machine those that
    /// got other work before the signal go on for a while.
    pub(crate) fn freeze(&self) -> Result<()> {
        let begin = Instant::now();
        self.signal(Signal::STOP)?;
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let id = WaitId::Pid(pid.context("a child without a pid")?);
        let stopped = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        while waitid(id.clone(), stopped)?.is_none() {
            ensure!(begin.elapsed() < FREEZE, "it does not stop");
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Ends it at once (SIGKILL), frozen or not, and waits until it is gone.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// A command for `program` that the kernel kills together with its parent (on Linux).
#[must_use]
pub fn guarded(program: &str) -> Command {
    if cfg!(target_os = "linux") {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", program]);
        command
    } else {
        Command::new(program)
    }
}

/// A command for `java` with a small and quickly started machine of at most `heap_mib` MiB heap.
pub(crate) fn java(heap_mib: u32) -> Command {
    let mut command = guarded("java");
    command
        .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"])
        .arg("-Djava.awt.headless=true")
        .arg(format!("-Xmx{heap_mib}m"));
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_outlives_the_thread_that_asked_for_it_but_not_its_handle() {
        let mut sleep = guarded("sleep");
        sleep.arg("60");
        let mut process = std::thread::spawn(|| Process::start(sleep).unwrap()).join().unwrap();
        std::thread::sleep(Duration::from_millis(50));
        assert!(process.ended().unwrap().is_none());
        process.freeze().unwrap();
        process.freeze().unwrap();
        process.signal(Signal::CONT).unwrap();
        process.freeze().unwrap();
        process.kill().unwrap();
        assert!(process.ended().unwrap().is_some());
    }
}
