//! Secrets that are elsewhere, so that no list of processes shows them.

use core::fmt;
use std::{env, fs::File, io::Read, path::PathBuf};

/// No password, key or token is as long.
const MOST: u64 = 64 * 1024;

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Whereabouts {
    /// In this variable of the environment.
    Env(String),
    /// In this file, but for a line break at its end.
    File(PathBuf),
}

impl Whereabouts {
    /// What `env:NAME` or `file:PATH` says; `None` for any other text.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let file = || text.strip_prefix("file:").map(|path| Self::File(path.into()));
        text.strip_prefix("env:").map(|name| Self::Env(name.to_owned())).or_else(file)
    }

    /// Reads it.
    ///
    /// # Errors
    ///
    /// Why it is not there, in words that hold nothing of it.
    pub(crate) fn read(&self) -> Result<String, String> {
        let told = |why: &dyn fmt::Display| format!("{self}: {why}");
        let bytes = match self {
            Self::Env(name) => {
                let value = env::var_os(name).ok_or_else(|| told(&"there is no such variable"))?;
                value.into_encoded_bytes()
            }
            Self::File(path) => {
                let mut bytes = Vec::new();
                let file = File::open(path).map_err(|error| told(&error))?;
                file.take(MOST + 1).read_to_end(&mut bytes).map_err(|error| told(&error))?;
                bytes
            }
        };
        if bytes.len() as u64 > MOST {
            return Err(told(&"it has more than 64 KiB"));
        }
        let mut text = String::from_utf8(bytes).map_err(|_| told(&"it is not UTF-8"))?;
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        if text.is_empty() {
            return Err(told(&"it is empty"));
        }
        Ok(text)
    }
}

impl fmt::Display for Whereabouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}
