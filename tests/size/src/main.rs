//! What a program for a microcontroller is made of: `ottla-size ELF…` prints one table in Markdown, a
//! column for each program. `--files` makes a row of each file of the
//! core, `--functions` prints the functions instead, largest first;
//! `--no-float-no-heap` fails where a program has arithmetic with floating point, or a heap.
//!
//! A byte of code belongs to the line of source that it was made from: the innermost one of this
//! project, so that what the compiler put in from elsewhere counts for the part that called it.

use core::error::Error;
use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use addr2line::Loader;
use object::{Object, ObjectSection, ObjectSymbol, SectionKind, SymbolKind};

type Result<T> = core::result::Result<T, Box<dyn Error>>;

fn main() -> Result<ExitCode> {
    let (options, paths): (Vec<_>, Vec<_>) =
        env::args().skip(1).partition(|argument| argument.starts_with("--"));
    if paths.is_empty() {
        return Err("give me the path of a program in ELF".into());
    }
    if options.iter().any(|option| option == "--no-float-no-heap") {
        let found: Vec<_> = paths.iter().map(|path| unwanted(path)).collect::<Result<_>>()?;
        let found: Vec<_> = found.into_iter().flatten().collect();
        found.iter().for_each(|line| eprintln!("{line}"));
        return Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    if options.iter().any(|option| option == "--functions") {
        for path in &paths {
            functions(path)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let fine = options.iter().any(|option| option == "--files");
    let columns = paths.iter().map(|path| parts(path, fine)).collect::<Result<Vec<_>>>()?;
    table(&paths, &columns);
    Ok(ExitCode::SUCCESS)
}

/// The functions of a program that it should not have.
fn unwanted(path: &str) -> Result<Vec<String>> {
    let data = fs::read(path)?;
    let file = object::File::parse(&*data)?;
    let mut found = Vec::new();
    for symbol in file.symbols().filter(|symbol| symbol.is_definition() && symbol.size() > 0) {
        let name = symbol.name()?;
        found.extend(shows(name).map(|what| format!("{path}: {name} is there: it has {what}")));
    }
    Ok(found)
}

/// What the name of a function shows a program to have, if it is something unwanted.
fn shows(name: &str) -> Option<&'static str> {
    // What the compiler calls for arithmetic where the machine has no floating point: ARM's names,
    // then everybody else's, such as `__addsf3` or `__floatsidf`.
    const ARM: [&str; 8] = ["f", "d", "cf", "cd", "i2", "ui2", "l2", "ul2"];
    const ENDS: [&str; 10] =
        ["sf2", "sf3", "df2", "df3", "sfsi", "dfsi", "sfdi", "dfdi", "isf", "idf"];
    const HEAP: [&str; 5] = ["__rust_alloc", "__rust_realloc", "__rg_", "__rdl_", "malloc"];
    let arm = name.strip_prefix("__aeabi_").filter(|rest| ARM.iter().any(|a| rest.starts_with(a)));
    let other = name.strip_prefix("__").filter(|rest| ENDS.iter().any(|end| rest.ends_with(end)));
    if arm.is_some() || other.is_some() {
        Some("floating point")
    } else if HEAP.iter().any(|heap| name.starts_with(heap)) {
        Some("a heap")
    } else {
        None
    }
}

/// The functions of a program, largest first.
fn functions(path: &str) -> Result<()> {
    let data = fs::read(path)?;
    let file = object::File::parse(&*data)?;
    let mut sizes: Vec<_> = file
        .symbols()
        .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0)
        .filter_map(|symbol| Some((symbol.size(), symbol.name().ok()?)))
        .collect();
    sizes.sort_unstable_by(|left, right| right.cmp(left));
    for (size, name) in sizes {
        println!("{size:>7}  {:#}", rustc_demangle::demangle(name));
    }
    Ok(())
}

/// Bytes by part: the code, then what is beside it.
fn parts(path: &str, fine: bool) -> Result<BTreeMap<(u8, String), u64>> {
    let data = fs::read(path)?;
    let file = object::File::parse(&*data)?;
    let loader = Loader::new(path).map_err(|error| error.to_string())?;
    let mut bytes = BTreeMap::new();
    for section in file.sections() {
        let kind = section.kind();
        if kind == SectionKind::Text {
            // No instruction is shorter than two bytes.
            for at in (section.address()..section.address() + section.size()).step_by(2) {
                *bytes.entry(part_of(&loader, at, fine)).or_default() += 2;
            }
        } else if matches!(kind, SectionKind::ReadOnlyData | SectionKind::ReadOnlyString) {
            // What is for unwinding the stack a device leaves out.
            if !section.name()?.starts_with(".ARM.ex") {
                *bytes.entry((8, "constants".to_owned())).or_default() += section.size();
            }
        } else if kind == SectionKind::Data {
            *bytes.entry((9, "data".to_owned())).or_default() += section.size();
        }
    }
    Ok(bytes)
}

/// The part that the code at an address belongs to, and its rank.
fn part_of(loader: &Loader, address: u64, fine: bool) -> (u8, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new(""));
    let (mut ours, mut theirs) = (None, None);
    if let Ok(mut frames) = loader.find_frames(address) {
        while let Ok(Some(frame)) = frames.next() {
            let Some(file) = frame.location.and_then(|location| location.file) else { continue };
            let path = PathBuf::from(file);
            let path = path.strip_prefix(root).unwrap_or(&path);
            match own_part(path, fine) {
                Some(part) => {
                    ours.get_or_insert(part);
                }
                None => {
                    theirs.get_or_insert_with(|| foreign_part(path));
                }
            }
        }
    }
    let standard = || (7, "the standard library, called from more than one place".to_owned());
    ours.or(theirs).unwrap_or_else(standard)
}

/// The part of this project that a file belongs to.
fn own_part(path: &Path, fine: bool) -> Option<(u8, String)> {
    if path.is_absolute() || path.starts_with("library") {
        return None;
    }
    let Ok(inside) = path.strip_prefix("core/src") else {
        let crate_of = path.iter().take_while(|name| *name != "src" && *name != "examples");
        let name = crate_of.collect::<PathBuf>().display().to_string();
        return Some((if name.starts_with("adapters") { 1 } else { 6 }, name));
    };
    if fine {
        return Some((2, format!("core: {}", inside.display())));
    }
    let mut names = inside.iter().map(|name| name.to_string_lossy());
    let first = names.next()?;
    let second = names.next();
    Some(match (first.as_ref(), second) {
        ("producer", Some(file)) => (2, format!("core: producer/{}", file.trim_end_matches(".rs"))),
        ("wire", _) => (3, "core: wire".to_owned()),
        ("batch" | "conn", Some(_)) => (4, format!("core: {first}")),
        ("properties.rs", _) => (5, "core: properties".to_owned()),
        ("error.rs", _) => (5, "core: texts of errors".to_owned()),
        _ => (4, "core: slots, lists, settings".to_owned()),
    })
}

/// The crate that a file of somebody else's belongs to: cargo keeps it under `registry/src`, in a directory that
/// is named after where it came from.
fn foreign_part(path: &Path) -> (u8, String) {
    let names: Vec<_> = path.iter().map(|name| name.to_string_lossy()).collect();
    let kept = names.windows(2).position(|pair| pair == ["registry", "src"]);
    match kept.and_then(|at| names.get(at + 3)) {
        Some(name) if !name.contains("compiler_builtins") => (7, format!("crate {name}")),
        _ => (7, "the standard library".to_owned()),
    }
}

fn table(paths: &[String], columns: &[BTreeMap<(u8, String), u64>]) {
    let names = paths
        .iter()
        .map(|path| Path::new(path).file_name().unwrap_or_default().to_string_lossy().into_owned());
    println!("| bytes | {} |", names.collect::<Vec<_>>().join(" | "));
    println!("|---|{}", "---:|".repeat(paths.len()));
    let row = |name: &str, take: &dyn Fn(&(u8, String)) -> bool| {
        let sums: Vec<String> = columns
            .iter()
            .map(|column| {
                column.iter().filter(|(key, _)| take(key)).map(|(_, size)| size).sum::<u64>()
            })
            .map(|sum| if sum == 0 { String::new() } else { sum.to_string() })
            .collect();
        println!("| {name} | {} |", sums.join(" | "));
    };
    let mut keys: Vec<_> = columns.iter().flat_map(BTreeMap::keys).collect();
    keys.sort();
    keys.dedup();
    for key in &keys {
        row(&key.1, &|other| other == *key);
    }
    row("**flash, all of it**", &|key| key.0 < 10);
    row("**flash, ottla's own and what it calls**", &|key| key.0 < 10 && key.0 != 6);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floating_point_and_heaps_are_known_by_their_names() {
        for name in ["__aeabi_fadd", "__aeabi_ui2d", "__addsf3", "__floatunsidf", "__fixdfdi"] {
            assert_eq!(shows(name), Some("floating point"), "{name}");
        }
        assert_eq!(shows("__rust_alloc"), Some("a heap"));
        for name in ["__aeabi_uldivmod", "__aeabi_memcpy", "__udivmoddi4", "_start", "__divsi3"] {
            assert_eq!(shows(name), None, "{name}");
        }
    }

    #[test]
    fn code_belongs_to_parts() {
        let part = |path| own_part(Path::new(path), false).map(|(_, part)| part);
        assert_eq!(
            part("core/src/producer/connections.rs").as_deref(),
            Some("core: producer/connections")
        );
        assert_eq!(part("core/src/wire/produce/mod.rs").as_deref(), Some("core: wire"));
        assert_eq!(part("tests/no_panic/src/main.rs").as_deref(), Some("tests/no_panic"));
        assert_eq!(part("/rustc/abc/library/core/src/fmt/mod.rs"), None);
        assert_eq!(part("library/core/src/fmt/mod.rs"), None);
    }
}
