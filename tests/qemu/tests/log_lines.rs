//! The same sensor on a host, with `log`, tells the same story as the device with `defmt`.
#![allow(clippy::disallowed_methods, reason = "the clock is only forbidden in the core")]

use core::{net::SocketAddr, time::Duration};
use std::{
    io::{self, Read as _, Write as _},
    net::TcpStream,
    sync::Mutex,
    time::Instant,
};

use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};
use ottla_qemu::{Board, Broker, Firmware, Guest, Kind, Run, TOPIC};
use sensor::{Memory, Task};

const READINGS: u32 = 2_000;

static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Collect;

impl log::Log for Collect {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Info
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            let level = record.level().as_str().to_lowercase();
            SAID.lock().unwrap().push(format!("{level} {}", record.args()));
        }
    }

    fn flush(&self) {}
}

/// A connection that is there from the start, and made again when it ends, as the end of a wire in
/// QEMU is.
struct Tcp {
    to: SocketAddr,
    stream: TcpStream,
}

impl Tcp {
    fn connect(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(to)?;
        stream.set_nonblocking(true)?;
        Ok(Self { to, stream })
    }
}

impl ErrorType for Tcp {
    type Error = io::Error;
}

impl ReadReady for Tcp {
    fn read_ready(&mut self) -> io::Result<bool> {
        match self.stream.peek(&mut [0]) {
            Ok(1..) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Ok(0) | Err(_) => {
                *self = Self::connect(self.to)?;
                Ok(false)
            }
        }
    }
}

impl WriteReady for Tcp {
    fn write_ready(&mut self) -> io::Result<bool> {
        // What is in flight at a time is less than any socket's buffer.
        Ok(true)
    }
}

impl Read for Tcp {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Write for Tcp {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // What is written while there is no connection is lost.
        Ok(self.stream.write(bytes).unwrap_or(bytes.len()))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn on_the_host() -> Vec<String> {
    let broker = Broker::model().unwrap();
    let line = Tcp::connect(broker.link().unwrap()).unwrap();
    let advertised = broker.advertised();
    let task = Task { bootstrap: &advertised, topic: TOPIC, readings: READINGS, ..Task::default() };
    log::set_logger(&Collect).unwrap();
    log::set_max_level(log::LevelFilter::Info);
    let mut memory = Box::new(Memory::new());
    let mut readings = Box::new(task.no_readings());
    let start = Instant::now();
    let now = || ottla_core::Instant::from_micros(start.elapsed().as_micros() as u64);
    let summary = sensor::run(&task, &mut memory, &mut *readings, line, now).unwrap();
    assert_eq!(summary.delivered, READINGS);
    let said = core::mem::take(&mut *SAID.lock().unwrap());
    said.into_iter().map(|line| line.replace(&advertised, "BROKER")).collect()
}

fn on_the_device(board: Board) -> Vec<String> {
    let broker = Broker::model().unwrap();
    let firmware = Firmware::build(board, Kind::Full).unwrap();
    let advertised = broker.advertised();
    let arguments = [
        format!("bootstrap={advertised}"),
        format!("topic={TOPIC}"),
        format!("readings={READINGS}"),
    ];
    let run = Run { link: broker.link().unwrap(), arguments: &arguments, print: false };
    let mut guest = Guest::start(&firmware, &run).unwrap();
    assert!(guest.wait(Duration::from_secs(60)).unwrap(), "the firmware failed");
    let lines = guest.lines().all();
    lines
        .iter()
        .map(|line| format!("{} {}", line.level, line.text.replace(&advertised, "BROKER")))
        .collect()
}

/// What does not depend on how the readings fell into batches.
fn milestones(said: &[String]) -> Vec<&String> {
    said.iter().filter(|line| !line.contains("records delivered: partition")).collect()
}

/// How many readings the lines about batches are about.
fn in_batches(said: &[String]) -> u32 {
    let about = |line: &String| {
        let (count, _) = line.strip_prefix("info ")?.split_once(" records delivered: partition")?;
        count.parse::<u32>().ok()
    };
    said.iter().filter_map(about).sum()
}

#[test]
#[ignore = "needs QEMU"]
fn lm3s6965evb_model_tells_the_story_that_the_host_tells() {
    let (host, mut device) = (on_the_host(), on_the_device(Board::Lm3s6965evb));
    // A host's stack is not painted.
    let memory = device.pop().expect("lines");
    assert!(memory.starts_with("info memory: "), "{memory}");
    for line in milestones(&host) {
        println!("{line}");
    }
    assert_eq!(milestones(&host), milestones(&device));
    assert_eq!((in_batches(&host), in_batches(&device)), (READINGS, READINGS));
    assert!(
        host.iter()
            .any(|line| *line == format!("info done: {READINGS} delivered, 0 dropped, 0 unknown"))
    );
}
