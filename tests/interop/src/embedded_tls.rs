//! The example with embedded-tls as a child process.

use core::time::Duration;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    sync::OnceLock,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use base64ct::{Base64, Encoding as _};
use ottla_adapter_tests::tls::{Authority, Identity};
use ottla_kafka::guarded;
use tempfile::TempDir;

use crate::{
    Fates,
    produce_command::{build, built_in, wait},
};

/// Where the example is, from here.
const EXAMPLE: &str = "../../examples/embedded_tls";
/// The folder of its builds.
const WITHIN: &str = "embedded_tls";
/// What it is built for as firmware.
const TARGET: &str = "thumbv7em-none-eabihf";
/// More than the example gives itself.
const LIMIT: Duration = Duration::from_secs(90);

/// The example, and its files.
#[derive(Debug)]
pub struct EmbeddedTls {
    dir: TempDir,
    roomy: bool,
    arguments: Vec<PathBuf>,
}

/// What the example left behind.
#[derive(Debug)]
pub struct Said {
    /// The exit status.
    pub status: Option<i32>,
    /// All of standard error.
    pub stderr: String,
    /// What was told of each record.
    pub fates: Fates,
}

impl EmbeddedTls {
    /// One that trusts this authority, and says who it is.
    ///
    /// # Errors
    /// When its files cannot be written.
    pub fn new(trusted: &Authority, own: Option<&Identity>) -> Result<Self> {
        let mut example = Self { dir: TempDir::new()?, roomy: false, arguments: Vec::new() };
        example.write("authority.pem", &trusted.certificate())?;
        if let Some(own) = own {
            example.write("certificate.pem", &own.certificate)?;
            example.write("key.pem", &own.key)?;
        }
        Ok(example)
    }

    /// The same with a buffer of 2 KiB for what is received, rather than of 1 KiB.
    #[must_use]
    pub fn roomy(self) -> Self {
        Self { roomy: true, ..self }
    }

    fn write(&mut self, name: &str, text: &str) -> Result<()> {
        let path = self.dir.path().join(name);
        fs::write(&path, text)?;
        self.arguments.push(path);
        Ok(())
    }

    /// Sends so many records, whose values are their numbers from 0 on.
    ///
    /// # Errors
    /// When it does not end in time, or says what is no verdict.
    pub fn run(&self, brokers: &str, topic: &str, records: u32) -> Result<Said> {
        let (verdicts, stderr) = (self.dir.path().join("verdicts"), self.dir.path().join("stderr"));
        let mut command = std::process::Command::new(binary()?);
        command.args(self.roomy.then_some("--roomy"));
        command.args([brokers, topic, &records.to_string()]).args(&self.arguments);
        command.stdin(Stdio::null()).stdout(File::create(&verdicts)?);
        let status = wait(command.stderr(File::create(&stderr)?).spawn()?, LIMIT);
        let stderr = fs::read_to_string(&stderr)?;
        let status = status.with_context(|| stderr.clone())?;
        Ok(Said { status, stderr, fates: Fates::read(&verdicts)? })
    }
}

fn binary() -> Result<&'static Path> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BINARY.get_or_init(|| {
        let arguments = ["--locked", "--features", "host", "--bin", "host"];
        let built = build(EXAMPLE, &arguments, WITHIN, "host");
        built.map_err(|error| format!("{error:#}"))
    });
    built.as_deref().map_err(|error| anyhow::anyhow!("building the example: {error}"))
}

/// The example as firmware.
#[derive(Debug)]
pub struct Device {
    dir: TempDir,
    image: PathBuf,
}

impl Device {
    /// One that trusts this authority and is this client: both are in its image.
    ///
    /// # Errors
    /// When it does not build.
    pub fn build(trusted: &Authority, own: &Identity) -> Result<Self> {
        let dir = TempDir::new()?;
        let target = built_in()?.0.join(WITHIN);
        let mut cargo = std::process::Command::new(env!("CARGO"));
        cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(EXAMPLE));
        cargo.args(["build", "--quiet", "--release", "--locked", "--features", "device"]);
        cargo.args(["--bin", "device", "--target", TARGET]).arg("--target-dir").arg(&target);
        for (variable, pem) in [
            ("OTTLA_AUTHORITY", &trusted.certificate()),
            ("OTTLA_CERTIFICATE", &own.certificate),
            ("OTTLA_KEY", &own.key),
        ] {
            let path = dir.path().join(variable);
            fs::write(&path, der(pem)?)?;
            cargo.env(variable, path);
        }
        ensure!(cargo.status()?.success(), "is the target {TARGET} there?");
        let image = target.join(TARGET).join("release/device");
        Ok(Self { dir, image })
    }

    /// Runs it in QEMU, with its UART wired to a broker. Returns what it said.
    ///
    /// # Errors
    /// When it does not end well, and in time.
    pub fn run(&self, broker: &str) -> Result<String> {
        let (host, port) = broker.rsplit_once(':').context("no port")?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let words = format!("arg=device,arg=broker={broker},arg=now={now}");
        let output = self.dir.path().join("said");
        let mut qemu = guarded("qemu-system-arm");
        qemu.args(["-M", "mps2-an386", "-display", "none", "-monitor", "none", "-serial", "null"]);
        qemu.args(["-chardev", &format!("socket,id=link,host={host},port={port},nodelay=on")]);
        qemu.args(["-serial", "chardev:link", "-semihosting-config"]);
        qemu.arg(format!("enable=on,target=native,{words}")).arg("-kernel").arg(&self.image);
        let file = File::create(&output)?;
        qemu.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let status = wait(qemu.spawn().context("is qemu-system-arm installed?")?, LIMIT);
        let said = fs::read_to_string(&output)?;
        ensure!(status.with_context(|| said.clone())? == Some(0), "{said}");
        Ok(said)
    }
}

/// What is between the lines of a PEM text.
fn der(pem: &str) -> Result<Vec<u8>> {
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    Base64::decode_vec(&body).map_err(|error| anyhow!("no PEM: {error}"))
}
