//! The adapters, and what a test needs of each beside its producer: tasks, and the passing of time.

use core::{future::Future, time::Duration};
use std::{
    panic::resume_unwind,
    thread::{self, JoinHandle},
    time::Instant,
};

use ottla_client::block_on;
use tokio::runtime;

/// The allotted time is for slow machines; a test that needs it has failed.
const TEST: Duration = Duration::from_secs(120);

/// What a producer runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "all there are")]
pub enum Adapter {
    /// tokio, on several threads.
    Tokio,
    /// tokio, on one thread: the driver runs only when the tasks that send let it.
    TokioAlone,
    /// Threads, without a runtime.
    Threads,
}

impl Adapter {
    /// Runs a test.
    pub fn run<F: Future<Output = ()> + 'static>(self, test: fn(Self) -> F) {
        let start = Instant::now();
        let run = thread::spawn(move || match self {
            Self::Tokio => {
                let mut builder = runtime::Builder::new_multi_thread();
                builder.worker_threads(4).enable_all().build().unwrap().block_on(test(self));
            }
            Self::TokioAlone => {
                let mut builder = runtime::Builder::new_current_thread();
                builder.enable_all().build().unwrap().block_on(test(self));
            }
            Self::Threads => block_on(test(self), None).unwrap(),
        });
        while !run.is_finished() {
            assert!(start.elapsed() < TEST, "the test hangs");
            thread::sleep(Duration::from_millis(1));
        }
        if let Err(panic) = run.join() {
            resume_unwind(panic);
        }
    }

    /// Starts a task; on threads, that is a thread.
    pub fn spawn<T: Send + 'static>(
        self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Task<T> {
        match self {
            Self::Tokio | Self::TokioAlone => Task::Tokio(tokio::spawn(task)),
            Self::Threads => Task::Threads(thread::spawn(|| block_on(task, None).unwrap())),
        }
    }

    /// Waits.
    pub async fn sleep(self, time: Duration) {
        match self {
            Self::Tokio | Self::TokioAlone => tokio::time::sleep(time).await,
            Self::Threads => thread::sleep(time),
        }
    }
}

/// A task that was started.
#[derive(Debug)]
#[allow(clippy::exhaustive_enums, reason = "all there are")]
pub enum Task<T> {
    /// On tokio.
    Tokio(tokio::task::JoinHandle<T>),
    /// A thread.
    Threads(JoinHandle<T>),
}

impl<T> Task<T> {
    /// Waits for its end.
    pub async fn join(self) -> T {
        match self {
            Self::Tokio(task) => task.await.unwrap(),
            Self::Threads(thread) => thread.join().unwrap(),
        }
    }
}
