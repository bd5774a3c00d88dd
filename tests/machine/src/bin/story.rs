//! Tells what an input comes to: `story calls FILE [SMALLEST]`, or `story calls seed:7 [SMALLEST]` of one by
//! chance. The smallest input that breaks the same law is
//! written to the last file.

use std::{env, fs, path::Path, process::ExitCode};

use ottla_machine::{Target, by_chance, story};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (target, file, smallest) = match &arguments[..] {
        [target, file] => (target, file, None),
        [target, file, smallest] => (target, file, Some(smallest)),
        _ => {
            eprintln!("story TARGET FILE [SMALLEST]: tells what an input comes to");
            return ExitCode::from(2);
        }
    };
    let Some(target) = Target::of(target) else {
        let names = Target::ALL.map(Target::name).join(", ");
        eprintln!("no target {target}: there are {names}");
        return ExitCode::from(2);
    };
    let chance = file.strip_prefix("seed:").and_then(|seed| seed.parse().ok());
    let input = match chance.map_or_else(|| fs::read(file), |seed| Ok(by_chance(seed))) {
        Ok(input) => input,
        Err(error) => {
            eprintln!("{file}: {error}");
            return ExitCode::from(2);
        }
    };
    let directory = env::temp_dir().join("ottla");
    let told = story(target, &input, Path::new(&directory));
    print!("{}", told.text);
    let Some((_, input)) = told.failed else { return ExitCode::SUCCESS };
    if let Some(path) = smallest
        && let Err(error) = fs::write(path, input)
    {
        eprintln!("{path}: {error}");
    }
    ExitCode::FAILURE
}
