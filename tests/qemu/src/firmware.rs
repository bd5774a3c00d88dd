//! Building the firmware.

use core::fmt;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

/// A board that QEMU has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Board {
    /// A Cortex-M3 with 64 KiB of RAM and 256 KiB of flash. While its UART cannot be written to, all
    /// of the guest stands still.
    Lm3s6965evb,
    /// A Cortex-M4F, whose UART says that it cannot be written to.
    Mps2An386,
}

impl Board {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Lm3s6965evb, Self::Mps2An386];

    /// What QEMU and the firmware's features call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lm3s6965evb => "lm3s6965evb",
            Self::Mps2An386 => "mps2-an386",
        }
    }

    /// The target to build for.
    #[must_use]
    pub const fn target(self) -> &'static str {
        match self {
            Self::Lm3s6965evb => "thumbv7m-none-eabi",
            Self::Mps2An386 => "thumbv7em-none-eabihf",
        }
    }
}

impl fmt::Display for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is in a firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Everything: deadlines, dropping, and logs.
    Full,
    /// The same without logs.
    Silent,
    /// An idempotent producer and nothing else.
    Plain,
    /// The same with logs, so that it can say how deep its stack was.
    PlainWithLogs,
    /// A producer and nothing else, which says who it is by PLAIN.
    Sasl,
    /// The same by SCRAM-SHA-256.
    Scram,
    /// By either, with logs.
    ScramWithLogs,
    /// A producer and nothing else, of readings in JSON and batches of 4 KiB.
    Json,
    /// The same with logs.
    JsonWithLogs,
    /// A producer and nothing else, which compresses them by LZ4.
    Lz4,
    /// The same with logs.
    Lz4WithLogs,
    /// All of it: deadlines, dropping, and logs.
    Lz4Full,
}

impl Kind {
    const fn features(self) -> &'static str {
        match self {
            Self::Full => "defmt",
            Self::Silent => "",
            Self::Plain => "plain",
            Self::PlainWithLogs => "plain,defmt",
            Self::Sasl => "plain,password",
            Self::Scram => "plain,scram",
            Self::ScramWithLogs => "plain,password,scram,defmt",
            Self::Json => "plain,json",
            Self::JsonWithLogs => "plain,json,defmt",
            Self::Lz4 => "plain,lz4",
            Self::Lz4WithLogs => "plain,lz4,defmt",
            Self::Lz4Full => "lz4,defmt",
        }
    }
}

/// A built firmware.
#[derive(Clone, Debug)]
pub struct Firmware {
    /// What it is for.
    pub board: Board,
    /// The ELF file.
    pub elf: PathBuf,
}

impl Firmware {
    /// Builds it in release.
    ///
    /// # Errors
    /// When cargo fails; most likely the target is not installed.
    pub fn build(board: Board, kind: Kind) -> Result<Self> {
        // One directory for each set of features, or each build would throw the other's away, and
        // two builds at a time would take each other's.
        let target = target_dir()?.join(format!("firmware-{board}-{kind:?}").to_lowercase());
        let features = format!("{board},{}", kind.features());
        let status = Command::new(env!("CARGO"))
            .args(["build", "--release", "--quiet", "--package", "app", "--bin", "sensor"])
            .args(["--no-default-features", "--features", &features, "--target", board.target()])
            .arg("--target-dir")
            .arg(&target)
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware"))
            .env("DEFMT_LOG", "info")
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("RUSTFLAGS")
            .status()
            .context("running cargo")?;
        ensure!(
            status.success(),
            "the firmware for {board} does not build; is the target there? \
             (rustup target add {})",
            board.target()
        );
        Ok(Self { board, elf: target.join(board.target()).join("release/sensor") })
    }
}

/// Where cargo put this program, or rather the directory of all that it builds.
fn target_dir() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let profile = program.ancestors().find(|path| path.join(".cargo-lock").exists());
    let dir = profile.and_then(Path::parent).context("a program without a target directory")?;
    Ok(dir.to_owned())
}
