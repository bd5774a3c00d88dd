//! The command `ottla produce` as a child process.

use core::time::Duration;
use std::{
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::OnceLock,
    time::Instant,
};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use crate::{Adapter, Fates, SEPARATOR};

/// `ottla produce` to be.
#[derive(Debug)]
pub struct Command<'a> {
    /// Where brokers are.
    pub bootstrap: &'a str,
    /// The topic.
    pub topic: &'a str,
    /// The file to send.
    pub file: &'a Path,
    /// What drives the core.
    pub driver: Adapter,
    /// Properties.
    pub properties: &'a [(&'a str, &'a str)],
    /// How long it may run.
    pub limit: Duration,
}

/// What `ottla produce` left behind.
#[derive(Debug)]
pub struct Ended {
    /// The exit status.
    pub status: Option<i32>,
    /// The numbers of the summary: delivered, not delivered, unknown.
    pub summary: [u64; 3],
    /// The summary as it was printed.
    pub line: String,
    /// All of standard error.
    pub stderr: String,
    /// What was told of each line.
    pub fates: Fates,
}

impl Command<'_> {
    /// Runs it to its end.
    ///
    /// # Errors
    /// When it does not end in time, or without a summary.
    pub fn run(&self) -> Result<Ended> {
        let dir = TempDir::new()?;
        let (outcomes, stderr) = (dir.path().join("outcomes"), dir.path().join("stderr"));
        let mut command = std::process::Command::new(binary()?);
        command
            .args(["produce", "--quiet", "--topic", self.topic, "--bootstrap", self.bootstrap])
            .args(["--driver", self.driver.name(), "--key-separator", SEPARATOR])
            .arg("--file")
            .arg(self.file)
            .arg("--outcomes")
            .arg(&outcomes);
        let own = self.properties.iter().any(|(name, _)| *name == "compression.type");
        if let Some(compression) = crate::compression().filter(|_| !own) {
            command.arg("--compression").arg(compression);
        }
        for (name, value) in self.properties {
            command.arg("--property").arg(format!("{name}={value}"));
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&stderr)?);
        let status = wait(command.spawn()?, self.limit);
        let stderr = fs::read_to_string(&stderr)?;
        let status = status.with_context(|| stderr.clone())?;
        let line = stderr.lines().rfind(|line| line.starts_with("delivered="));
        let line = line.with_context(|| format!("no summary ({status:?}): {stderr}"))?.to_owned();
        let number = |name: &str| -> Result<u64> {
            let word = line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            Ok(word.with_context(|| format!("no {name} in {line}"))?.parse()?)
        };
        let summary = [number("delivered")?, number("not_delivered")?, number("unknown")?];
        Ok(Ended { status, summary, line, stderr, fates: Fates::read(&outcomes)? })
    }
}

/// How a child process ended. One that does not end in time is killed.
pub(crate) fn wait(mut child: Child, limit: Duration) -> Result<Option<i32>> {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code());
        }
        if begin.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            bail!("it does not end within {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The command, built once.
fn binary() -> Result<&'static Path> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BINARY.get_or_init(|| {
        let built = build("../..", &["-p", "ottla-cli"], "", "ottla");
        built.map_err(|error| format!("{error:#}"))
    });
    built.as_deref().map_err(|error| anyhow::anyhow!("building ottla: {error}"))
}

/// Builds a binary of the workspace in a folder (from here) in the profile of this test, where the test was built: into
/// `within` there, since each workspace needs a target directory of its own.
pub(crate) fn build(
    workspace: &str,
    arguments: &[&str],
    within: &str,
    name: &str,
) -> Result<PathBuf> {
    let (target, profile) = built_in()?;
    let target = target.join(within);
    let mut cargo = std::process::Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--manifest-path"]);
    cargo.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(workspace).join("Cargo.toml"));
    cargo.args(arguments).arg("--target-dir").arg(&target);
    // Each profile has a directory of its name, but for the one called `dev`.
    if profile != "debug" {
        cargo.arg("--profile").arg(&profile);
    }
    ensure!(cargo.status()?.success(), "cargo failed");
    let binary = target.join(profile).join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    ensure!(binary.exists(), "no {}", binary.display());
    Ok(binary)
}

/// The target directory that this test was built in, and its profile's directory there.
pub(crate) fn built_in() -> Result<(PathBuf, OsString)> {
    let test = std::env::current_exe()?;
    let profile = test.ancestors().nth(2).context("a test without a target directory")?;
    let target = profile.parent().context("no target directory")?;
    Ok((target.to_owned(), profile.file_name().context("no profile")?.to_owned()))
}
