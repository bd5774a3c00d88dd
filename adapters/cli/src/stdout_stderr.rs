//! Standard output and standard error: the one place that writes to them, and knows whether it could.

use core::{
    fmt::{Arguments, Write as _},
    sync::atomic::{AtomicBool, Ordering},
};
use std::{
    fs::{File, Metadata},
    io::{self, ErrorKind, Write},
    os::fd::AsFd,
    sync::{LazyLock, Mutex, PoisonError},
};

/// Standard output.
pub(crate) static OUT: LazyLock<Voice> =
    LazyLock::new(|| Voice::new("standard output", &io::stdout(), || &ERR));
/// Standard error.
pub(crate) static ERR: LazyLock<Voice> =
    LazyLock::new(|| Voice::new("standard error", &io::stderr(), || &OUT));

/// A stream that the command speaks on.
///
/// What cannot be written is told on the other one, once, and makes the exit status 1. A pipe whose
/// reader is gone is no failure: nobody is left who would miss it. One that was closed from the start is
/// /dev/null by now, and cannot be told from one that was meant to be (decision 47).
pub(crate) struct Voice {
    name: &'static str,
    /// A descriptor of its own, since the standard library takes one that is not open for writing
    /// for one that takes everything.
    file: Mutex<Option<File>>,
    failed: AtomicBool,
    other: fn() -> &'static Self,
}

impl Voice {
    fn new(name: &'static str, stream: &impl AsFd, other: fn() -> &'static Self) -> Self {
        let file = stream.as_fd().try_clone_to_owned().map(File::from).ok();
        let failed = AtomicBool::new(file.is_none());
        Self { name, file: Mutex::new(file), failed, other }
    }

    /// Says a line. False where nobody hears it.
    pub(crate) fn line(&self, line: Arguments<'_>) -> bool {
        let mut text = String::new();
        // A value that cannot be shown is no reason to say nothing.
        let _ = writeln!(text, "{line}");
        self.say(text.as_bytes())
    }

    /// Whether something could not be written, and somebody might miss it.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// What the operating system knows of where it goes.
    pub(crate) fn metadata(&self) -> Option<Metadata> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.as_ref().and_then(|file| file.metadata().ok())
    }

    fn say(&self, bytes: &[u8]) -> bool {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = file.as_mut() else {
            return false;
        };
        let Err(error) = open.write_all(bytes) else {
            return true;
        };
        *file = None;
        drop(file);
        self.fail(&error);
        false
    }

    /// Nothing more can be said here.
    pub(crate) fn fail(&self, error: &io::Error) {
        if !is_closed_pipe(error) && !self.failed.swap(true, Ordering::Relaxed) {
            (self.other)().line(format_args!("ottla: {} cannot be written: {error}", self.name));
        }
    }
}

/// Takes everything: what becomes of it the voice itself knows.
impl Write for &Voice {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.say(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether who was to read is gone.
pub(crate) fn is_closed_pipe(error: &io::Error) -> bool {
    error.kind() == ErrorKind::BrokenPipe
}
