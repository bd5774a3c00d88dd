//! Where the bytes of a firmware go, from its ELF file.
//!
//! With everything inlined into everything, symbols alone say little. So each instruction is looked
//! up in the debug information, and counts for the source file that it came from; what came from
//! Rust's own library counts for the code that it was inlined into. Data count by their symbols.

use core::{cmp::Reverse, fmt};
use std::{collections::BTreeMap, fs, path::Path};

use addr2line::Loader;
use anyhow::{Context as _, Result};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SectionKind, SymbolKind};

/// What is on the path of a source file, and the part that it belongs to. The first that fits counts.
const PATHS: [(&str, Part); 18] = [
    ("core/src/wire/", Part::Wire),
    ("core/src/producer/", Part::Producer),
    ("core/src/batch/", Part::Batch),
    ("core/src/conn/", Part::Conn),
    ("core/src/properties", Part::Tables),
    ("core/src/sasl/", Part::Sasl),
    ("adapters/embedded/", Part::Adapter),
    ("firmware/sensor/", Part::Sensor),
    ("firmware/app/", Part::Sensor),
    ("firmware/board/", Part::Board),
    ("/cortex-m", Part::Board),
    ("/volatile-register", Part::Board),
    ("/vcell", Part::Board),
    ("/defmt-", Part::Defmt),
    ("/nom-", Part::Wire),
    ("/crc-", Part::Wire),
    ("/heapless-", Part::Conn),
    ("/registry/src/", Part::Others),
];

/// What begins the path of a symbol, and the part that it belongs to.
const SYMBOLS: [(&str, Part); 13] = [
    ("ottla_core::wire", Part::Wire),
    ("ottla_core::producer", Part::Producer),
    ("ottla_core::batch", Part::Batch),
    ("ottla_core::conn", Part::Conn),
    ("ottla_core::sasl", Part::Sasl),
    ("ottla_core", Part::Tables),
    ("ottla_embedded", Part::Adapter),
    ("sensor", Part::Sensor),
    ("app", Part::Sensor),
    ("board", Part::Board),
    ("cortex_m", Part::Board),
    ("defmt", Part::Defmt),
    ("crc", Part::Wire),
];

/// A part of a firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// The core's codecs.
    Wire,
    /// The core's policy.
    Producer,
    /// The core's batches and pages.
    Batch,
    /// The core's connections.
    Conn,
    /// The core's mechanisms of SASL, with SHA-2.
    Sasl,
    /// The rest of the core.
    Tables,
    /// `ottla-embedded`.
    Adapter,
    /// The application.
    Sensor,
    /// Constants that have no name: mostly the core's tables and texts.
    Constants,
    /// Rust's own library where it is not inlined, such as the copying of memory.
    Library,
    /// defmt's own code.
    Defmt,
    /// Other crates.
    Others,
    /// The board: registers, clock, start-up code, semihosting.
    Board,
    /// The vector table.
    Vectors,
}

impl Part {
    const fn name(self) -> &'static str {
        match self {
            Self::Wire => "wire",
            Self::Producer => "producer",
            Self::Batch => "batch",
            Self::Conn => "conn",
            Self::Sasl => "sasl",
            Self::Tables => "rest of the core",
            Self::Adapter => "adapter",
            Self::Sensor => "the sensor",
            Self::Constants => "constants without a name",
            Self::Library => "Rust's library",
            Self::Defmt => "defmt",
            Self::Others => "other crates",
            Self::Board => "board",
            Self::Vectors => "vector table",
        }
    }

    /// Whether it is there without ottla.
    const fn is_board(self) -> bool {
        matches!(self, Self::Board | Self::Vectors)
    }

    fn of_path(path: &str) -> Option<Self> {
        if path.contains("/rustc/") || path.contains("/rustlib/") {
            return None;
        }
        if let Some((_, part)) = PATHS.iter().find(|(piece, _)| path.contains(piece)) {
            return Some(*part);
        }
        path.contains("core/src/").then_some(Self::Tables)
    }

    fn of_symbol(name: &str) -> Option<Self> {
        let path = name.trim_start_matches(['<', '&', '_']);
        SYMBOLS.iter().find(|(crate_, _)| path.starts_with(crate_)).map(|(_, part)| *part)
    }
}

/// Bytes of a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bytes {
    flash: u64,
    ram: u64,
}

/// Where the bytes of a firmware go.
#[derive(Clone, Debug, Default)]
pub struct Sizes {
    parts: BTreeMap<Part, Bytes>,
    /// Symbols of the heap and of panics.
    unwanted: Vec<String>,
}

impl Sizes {
    /// Reads them from an ELF file with debug information.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let data = fs::read(path).with_context(|| path.display().to_string())?;
        let file = object::File::parse(&*data)?;
        let lines = Loader::new(path).map_err(|error| anyhow::anyhow!("{error}"))?;
        let mut sizes = Self::default();
        for symbol in file.symbols() {
            let name = demangled(symbol.name()?);
            let heap = name.contains("__rust_alloc") || name.contains("__rg_alloc");
            if heap || name.starts_with("core::panicking") {
                sizes.unwanted.push(name);
            }
        }
        for section in file.sections() {
            let (start, len) = (section.address(), section.size());
            if section.name()? == ".vector_table" {
                sizes.add(Part::Vectors, len, 0);
                continue;
            }
            // Whether it is in flash, and in RAM. What is in neither stays on the host: debug information,
            // and defmt's texts.
            let kind = section.kind();
            let constant = matches!(kind, SectionKind::ReadOnlyData | SectionKind::ReadOnlyString);
            let place = (
                constant || kind == SectionKind::Data,
                matches!(kind, SectionKind::Data | SectionKind::UninitializedData),
            );
            if kind == SectionKind::Text {
                sizes.add_code(&lines, start, len)?;
            } else if place != (false, false) {
                sizes.add_data(&file, place, start, len)?;
            }
        }
        Ok(sizes)
    }

    fn add(&mut self, part: Part, flash: u64, ram: u64) {
        let bytes = self.parts.entry(part).or_default();
        bytes.flash += flash;
        bytes.ram += ram;
    }

    /// Instructions of Thumb are two or four bytes; either half of one has the same source.
    fn add_code(&mut self, lines: &Loader, start: u64, len: u64) -> Result<()> {
        for at in (start..start + len).step_by(2) {
            let mut part = None;
            let mut frames = lines.find_frames(at).map_err(|error| anyhow::anyhow!("{error}"))?;
            while let Some(frame) = frames.next().map_err(|error| anyhow::anyhow!("{error}"))? {
                let path = frame.location.and_then(|location| location.file);
                part = part.or_else(|| path.and_then(Part::of_path));
            }
            let by_name = || {
                let name = lines.find_symbol(at)?;
                Part::of_symbol(&demangled(name))
            };
            self.add(part.or_else(by_name).unwrap_or(Part::Library), 2, 0);
        }
        Ok(())
    }

    fn add_data(
        &mut self,
        file: &object::File<'_>,
        (in_flash, in_ram): (bool, bool),
        start: u64,
        len: u64,
    ) -> Result<()> {
        let mut named = 0;
        let mut seen = Vec::new();
        for symbol in file.symbols() {
            let inside = (start..start + len).contains(&symbol.address());
            if symbol.kind() != SymbolKind::Data || !inside || seen.contains(&symbol.address()) {
                continue;
            }
            seen.push(symbol.address());
            let part = Part::of_symbol(&demangled(symbol.name()?)).unwrap_or(Part::Constants);
            let size = symbol.size();
            named += size;
            self.add(part, if in_flash { size } else { 0 }, if in_ram { size } else { 0 });
        }
        let rest = len.saturating_sub(named);
        self.add(Part::Constants, if in_flash { rest } else { 0 }, if in_ram { rest } else { 0 });
        Ok(())
    }

    /// Bytes of flash and of RAM that are there because of ottla: all but the board's.
    #[must_use]
    pub fn own(&self) -> (u64, u64) {
        self.sum(|part| !part.is_board())
    }

    /// Bytes of flash of `ottla-embedded`.
    #[must_use]
    pub fn adapter(&self) -> u64 {
        self.of(Part::Adapter).flash
    }

    /// All bytes of flash and of RAM.
    #[must_use]
    pub fn all(&self) -> (u64, u64) {
        self.sum(|_| true)
    }

    fn sum(&self, wanted: impl Fn(Part) -> bool) -> (u64, u64) {
        let parts = self.parts.iter().filter(|(part, _)| wanted(**part));
        parts.fold((0, 0), |sum, (_, bytes)| (sum.0 + bytes.flash, sum.1 + bytes.ram))
    }

    /// Symbols of an allocator, and of Rust's own panics.
    #[must_use]
    pub fn unwanted(&self) -> &[String] {
        &self.unwanted
    }

    /// A table of several firmwares side by side, each with its title, as Markdown.
    #[must_use]
    pub fn table(all: &[(&str, &Self)]) -> String {
        let mut rows: Vec<Part> = all.iter().flat_map(|(_, s)| s.parts.keys().copied()).collect();
        rows.sort_unstable();
        rows.dedup();
        let weight = |part: &Part| {
            let flash = all.iter().map(|(_, s)| s.of(*part).flash).max();
            (part.is_board(), Reverse(flash))
        };
        rows.sort_by_key(weight);
        let mut text = "| part |".to_owned();
        for (title, _) in all {
            text.push_str(&format!(" flash, {title} | RAM, {title} |"));
        }
        text.push_str("\n|---|");
        text.push_str(&"--:|--:|".repeat(all.len()));
        let mut row = |name: &str, of: &dyn Fn(&Self) -> (u64, u64)| {
            text.push_str(&format!("\n| {name} |"));
            for (_, sizes) in all {
                let (flash, ram) = of(sizes);
                text.push_str(&format!(" {} | {} |", Number(flash), Number(ram)));
            }
        };
        for part in &rows {
            row(part.name(), &|sizes| (sizes.of(*part).flash, sizes.of(*part).ram));
        }
        row("**without the board**", &Self::own);
        row("**all**", &Self::all);
        text.push('\n');
        text
    }

    fn of(&self, part: Part) -> Bytes {
        self.parts.get(&part).copied().unwrap_or_default()
    }
}

/// A number with a comma between thousands, or a dash for nothing.
struct Number(u64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("–"),
            small @ ..1_000 => write!(f, "{small}"),
            large => write!(f, "{},{:03}", large / 1_000, large % 1_000),
        }
    }
}

fn demangled(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_names_have_their_parts() {
        assert_eq!(Part::of_path("/x/core/src/wire/crc.rs"), Some(Part::Wire));
        assert_eq!(Part::of_path("/x/core/src/slots.rs"), Some(Part::Tables));
        assert_eq!(Part::of_path("/rustc/0/library/core/src/slice/mod.rs"), None);
        assert_eq!(Part::of_symbol("<ottla_core::wire::X as Y>::z"), Some(Part::Wire));
        assert_eq!(Part::of_symbol("memcpy"), None);
        assert_eq!(format!("{} {} {}", Number(0), Number(999), Number(12_034)), "– 999 12,034");
    }
}
