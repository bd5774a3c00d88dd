//! The firmware in QEMU.

use core::{net::SocketAddr, time::Duration};
use std::{
    fs,
    io::Read as _,
    process::{ChildStdout, Stdio},
    sync::Arc,
    thread::JoinHandle,
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use defmt_decoder::{DecodeError, Table};
use ottla_kafka::{Process, guarded};

use crate::{Firmware, Line, Lines};

/// What the firmware is asked to do, as `name=value`, and how long it may take.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    /// Where UART1 leads.
    pub link: SocketAddr,
    /// Words for the firmware.
    pub arguments: &'a [String],
    /// Whether each line is printed as it comes.
    pub print: bool,
}

/// A firmware that runs. It ends with this.
#[derive(Debug)]
pub struct Guest {
    process: Process,
    lines: Arc<Lines>,
    decoder: Option<JoinHandle<Result<()>>>,
}

impl Guest {
    /// Starts QEMU with UART0 on its standard output and UART1 on a TCP connection that is made
    /// again, after a second, whenever it ends. The firmware notices nothing of that.
    ///
    /// # Errors
    /// When there is no QEMU, or the firmware's table of logs cannot be read.
    pub fn start(firmware: &Firmware, run: &Run<'_>) -> Result<Self> {
        let elf = fs::read(&firmware.elf)?;
        let table = Table::parse(&elf)?.context("a firmware without logs")?;
        let SocketAddr::V4(link) = run.link else { bail!("{} is not IPv4", run.link) };
        let mut semihosting = "enable=on,target=native,arg=sensor".to_owned();
        for argument in run.arguments {
            // QEMU's own way to say a comma.
            semihosting.push_str(&format!(",arg={}", argument.replace(',', ",,")));
        }
        let mut command = guarded("qemu-system-arm");
        command
            .args(["-M", firmware.board.name(), "-display", "none", "-monitor", "none"])
            .args(["-serial", "stdio", "-chardev"])
            .arg(format!(
                "socket,id=link,host={},port={},server=off,nodelay=on,reconnect=1",
                link.ip(),
                link.port()
            ))
            .args(["-serial", "chardev:link", "-semihosting-config", &semihosting, "-kernel"])
            .arg(&firmware.elf)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // It has nothing to say but that a timer has no period yet.
            .stderr(Stdio::null());
        let mut process = Process::start(command).context("is qemu-system-arm installed?")?;
        let stdout = process.child().stdout.take().context("no standard output")?;
        let lines = Arc::new(Lines::default());
        let (print, shared) = (run.print, Arc::clone(&lines));
        let decoder = std::thread::spawn(move || {
            let decoded = decode(stdout, &table, print, &shared);
            shared.end();
            decoded
        });
        Ok(Self { process, lines, decoder: Some(decoder) })
    }

    /// What it has logged.
    #[must_use]
    pub fn lines(&self) -> &Lines {
        &self.lines
    }

    /// Waits for it to end, and gives whether it ended well, with all lines read.
    ///
    /// # Errors
    /// When it does not end in time, or said what cannot be decoded.
    pub fn wait(&mut self, limit: Duration) -> Result<bool> {
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = self.process.ended()? {
                break status;
            }
            if begin.elapsed() > limit {
                bail!("the firmware does not end within {limit:?}");
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        if let Some(decoder) = self.decoder.take() {
            decoder.join().ok().context("the decoder panicked")??;
        }
        Ok(status.success())
    }
}

fn decode(mut stdout: ChildStdout, table: &Table, print: bool, lines: &Lines) -> Result<()> {
    let mut decoder = table.new_stream_decoder();
    let mut bytes = [0; 1024];
    loop {
        let len = stdout.read(&mut bytes)?;
        if len == 0 {
            return Ok(());
        }
        decoder.received(bytes.get(..len).unwrap_or_default());
        loop {
            let frame = match decoder.decode() {
                Ok(frame) => frame,
                Err(DecodeError::UnexpectedEof) => break,
                Err(DecodeError::Malformed) => bail!("bytes on UART0 that are no log"),
            };
            let line = Line {
                time: frame.display_timestamp().map(|time| time.to_string()).unwrap_or_default(),
                level: frame.level().map_or("", |level| level.as_str()),
                text: frame.display_message().to_string(),
            };
            if print {
                println!("{line}");
            }
            lines.push(line);
        }
    }
}
