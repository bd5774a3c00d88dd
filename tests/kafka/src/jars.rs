//! The jars of a version of Kafka, and `Tool.java` compiled against them.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use rustix::fs::{FlockOperation, flock};

use crate::Version;

const TOOL_SOURCE: &str = include_str!("../java/Tool.java");

/// Where jars are kept, one directory a version: `OTTLA_KAFKA_CACHE`, else `target/kafka` of the
/// workspace.
#[must_use]
pub fn cache_dir() -> PathBuf {
    std::env::var_os("OTTLA_KAFKA_CACHE").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/kafka"),
        PathBuf::from,
    )
}

/// The jars of one version of Kafka with all they need, on disk.
#[derive(Clone, Debug)]
pub struct Jars {
    version: Version,
    dir: PathBuf,
}

impl Jars {
    /// Finds the jars of `version` in [`cache_dir`], or has Maven fetch them (once: half-done work
    /// is done again, and processes that want the same wait for each other).
    ///
    /// # Errors
    /// When Maven or `javac` are missing or fail, or the directory cannot be written.
    pub fn fetch(version: Version) -> Result<Self> {
        let dir = cache_dir().join(version.to_string());
        fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
        let dir = dir.canonicalize()?;
        let lock = File::create(dir.join("lock"))?;
        flock(&lock, FlockOperation::LockExclusive)?;
        let jars = Self { version, dir };
        jars.download()?;
        jars.compile()?;
        Ok(jars)
    }

    /// The version.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The class path for `java -cp`: all jars, and the compiled `Tool`.
    #[must_use]
    pub fn class_path(&self) -> String {
        format!("{}:{}", self.dir.join("lib/*").display(), self.dir.join("classes").display())
    }

    fn download(&self) -> Result<()> {
        let pom = pom(self.version);
        let done = self.dir.join("lib.done");
        // The marker holds the pom that was fetched, so that a changed one is fetched anew.
        if fs::read_to_string(&done).is_ok_and(|fetched| fetched == pom) {
            return Ok(());
        }
        let lib = self.dir.join("lib");
        if lib.exists() {
            fs::remove_dir_all(&lib)?;
        }
        fs::write(self.dir.join("pom.xml"), &pom)?;
        run(Command::new("mvn")
            .args(["-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime"])
            .arg("-DoutputDirectory=lib")
            .current_dir(&self.dir))?;
        fs::write(done, pom)?;
        Ok(())
    }

    fn compile(&self) -> Result<()> {
        let done = self.dir.join("classes.done");
        if fs::read_to_string(&done).is_ok_and(|compiled| compiled == TOOL_SOURCE) {
            return Ok(());
        }
        let classes = self.dir.join("classes");
        fs::create_dir_all(&classes)?;
        let source = self.dir.join("Tool.java");
        fs::write(&source, TOOL_SOURCE)?;
        run(Command::new("javac")
            .args(["-nowarn", "-encoding", "UTF-8", "-cp", &self.class_path(), "-d"])
            .args([&classes, &source]))?;
        fs::write(done, TOOL_SOURCE)?;
        Ok(())
    }
}

fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("running {name}"))?;
    ensure!(
        output.status.success(),
        "{name} failed ({}): {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

fn pom(version: Version) -> String {
    let kafka = version.to_string();
    // Kafka's jars log to slf4j 1.7 and bring no backend along.
    let logging = if version.has_log4j2() {
        ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.5")
    } else {
        ("org.slf4j", "slf4j-reload4j", "1.7.36")
    };
    let dependencies: String = [("org.apache.kafka", "kafka_2.13", kafka.as_str()), logging]
        .iter()
        .map(|(group, artefact, version)| {
            format!(
                "  <dependency><groupId>{group}</groupId><artifactId>{artefact}</artifactId>\
                 <version>{version}</version></dependency>\n"
            )
        })
        .collect();
    format!(
        "<project>\n\
         <modelVersion>4.0.0</modelVersion>\n\
         <groupId>ottla</groupId><artifactId>kafka-jars</artifactId><version>1</version>\n\
         <packaging>pom</packaging>\n\
         <dependencies>\n{dependencies}</dependencies>\n\
         </project>\n"
    )
}
