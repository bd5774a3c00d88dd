//! What cannot be written is told where it can be, and is no success; and no file is read and written at once.

mod common;

use core::time::Duration;
use std::{
    fs::{self, File},
    process::{Command, Stdio},
    thread,
};

use common::{DRIVERS, Ran, Scratch, ended};

/// What is left to say where a stream takes nothing.
fn cannot_be_written(stream: &str, why: &str) -> String {
    format!("ottla: standard {stream} cannot be written: {why}")
}

const FULL: &str = "No space left on device (os error 28)";

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
    command.args(args).env_remove("RUST_LOG").stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it; one that has not ended after a while is ended.
fn run(command: &mut Command) -> Ran {
    let mut child = command.spawn().unwrap();
    for _ in 0..400 {
        if child.try_wait().unwrap().is_some() {
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
    drop(child.kill());
    ended(child.wait_with_output().unwrap())
}

fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

fn two_lines(name: &str) -> (Scratch, String) {
    let input = Scratch::new(name);
    fs::write(input.path(), "precious\nlines\n").unwrap();
    let path = input.path().to_owned();
    (input, path)
}

#[test]
fn standard_output_that_is_full_is_told_on_standard_error_and_is_status_1() {
    let (_input, path) = two_lines("out-full");
    for driver in DRIVERS {
        let produce = ["produce", "--topic", "t", "--file", &path, "--driver", driver];
        let json = [&produce[..], &["--outcomes", "-"]].concat();
        let bench = ["bench", "--topic", "t", "--records", "10", "--driver", driver];
        let broker = ["broker", "--listen", "127.0.0.1:0"];
        let dump = ["broker", "--listen", "127.0.0.1:0", "--dump"];
        let (help, version) = (["--help"], ["--version"]);
        let all: [&[&str]; 7] = [&produce, &json, &bench, &broker, &dump, &help, &version];
        for args in all {
            let ran = run(command(args).stdout(full()));
            assert_eq!(ran.status, 1, "{args:?}: {ran:?}");
            let says = cannot_be_written("output", FULL);
            assert_eq!(ran.stderr.matches(&says).count(), 1, "{args:?}: {ran:?}");
        }
        // Nothing is kept from being sent by it.
        for args in [&produce[..], &json] {
            assert_eq!(run(command(args).stdout(full())).counts(), [2, 0, 0]);
        }
    }
}

#[test]
fn standard_error_that_is_full_is_told_on_standard_output_and_is_status_1() {
    let (_input, path) = two_lines("err-full");
    for driver in DRIVERS {
        let produce = ["produce", "--topic", "t", "--file", &path, "--driver", driver];
        let bench = ["bench", "--topic", "t", "--records", "10", "--driver", driver];
        let nobody = ["produce", "--topic", "t", "--file", &path, "--bootstrap", "127.0.0.1:1"];
        let nobody = [&nobody[..], &["--property", "max.block.ms=300"]].concat();
        let usage = ["produce", "--nonsense"];
        let no_file = ["produce", "--topic", "t", "--file", "no/such/file"];
        let all: [&[&str]; 5] = [&produce, &bench, &nobody, &usage, &no_file];
        for args in all {
            // What is logged goes there as well, and by another way.
            for log in ["warn", "trace"] {
                let ran = run(command(args).stderr(full()).env("RUST_LOG", log));
                assert_eq!(ran.status, 1, "{args:?}: {ran:?}");
                let says = cannot_be_written("error", FULL);
                assert_eq!(ran.stdout.matches(&says).count(), 1, "{args:?}: {ran:?}");
            }
        }
        let ran = run(command(&produce).stderr(full()).stdout(full()));
        assert_eq!(ran.status, 1, "{ran:?}");
    }
}

#[test]
fn a_descriptor_that_is_not_open_for_writing_is_not_written_to() {
    let (_input, path) = two_lines("read-only");
    let produce = ["produce", "--topic", "t", "--file", &path];
    let ran = run(command(&produce).stdout(File::open("/dev/null").unwrap()));
    assert_eq!(ran.status, 1, "{ran:?}");
    let why = "Bad file descriptor (os error 9)";
    assert!(ran.stderr.contains(&cannot_be_written("output", why)), "{ran:?}");
    let ran = run(command(&produce).stderr(File::open("/dev/null").unwrap()));
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(ran.stdout.contains(&cannot_be_written("error", why)), "{ran:?}");
}

#[test]
fn a_pipe_that_nobody_reads_any_more_is_no_failure() {
    let (_input, path) = two_lines("pipe");
    let closed = || std::io::pipe().unwrap().1;
    for driver in DRIVERS {
        let produce = ["produce", "--topic", "t", "--file", &path, "--driver", driver];
        let json = [&produce[..], &["--outcomes", "-"]].concat();
        let bench = ["bench", "--topic", "t", "--records", "10", "--driver", driver];
        let help = ["--help"];
        let all: [&[&str]; 4] = [&produce, &json, &bench, &help];
        for args in all {
            let ran = run(command(args).stdout(closed()));
            assert_eq!(ran.status, 0, "{args:?}: {ran:?}");
            assert!(!ran.stderr.contains("written"), "{args:?}: {ran:?}");
            let ran = run(command(args).stderr(closed()));
            assert_eq!(ran.status, 0, "{args:?}: {ran:?}");
            assert!(!ran.stdout.contains("written"), "{args:?}: {ran:?}");
        }
        let ran = run(command(&json).stdout(closed()));
        assert_eq!(ran.counts(), [2, 0, 0], "{ran:?}");
    }
}

#[test]
fn descriptors_that_are_closed_from_the_start_are_no_reason_to_panic() {
    let (_input, path) = two_lines("closed");
    for closed in [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"] {
        let script = format!("exec \"$0\" produce --topic t --file \"$1\" {closed}");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_ottla"), &path]);
        let ran = run(shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
        // The standard library opens the null device for each of them, before anything of ours runs.
        assert_eq!(ran.status, 0, "{closed}: {ran:?}");
    }
}

#[test]
fn verdicts_that_cannot_be_written_are_told_at_once_and_in_the_end() {
    let (_input, path) = two_lines("outcomes-full");
    for driver in DRIVERS {
        let args = ["produce", "--topic", "t", "--file", &path, "--driver", driver];
        let ran = run(&mut command(&[&args[..], &["--outcomes", "/dev/full"]].concat()));
        assert_eq!((ran.status, ran.counts()), (1, [2, 0, 0]), "{ran:?}");
        let said: Vec<_> = ran.stderr.lines().filter(|line| line.contains(FULL)).collect();
        let want = [
            format!("ottla: --outcomes: no more outcomes are written: {FULL}"),
            format!("ottla: --outcomes: not all outcomes are written: {FULL}"),
        ];
        assert_eq!(said, want, "{ran:?}");
    }
}

#[test]
fn the_input_is_not_overwritten_by_whatever_name() {
    let (_input, path) = two_lines("precious");
    let (hard, soft) = (Scratch::new("hard"), Scratch::new("soft"));
    fs::hard_link(&path, hard.path()).unwrap();
    std::os::unix::fs::symlink(&path, soft.path()).unwrap();
    let roundabout = path.replacen('/', "/./", 2);
    for other in [&path, hard.path(), soft.path(), &roundabout] {
        for (file, outcomes) in [(path.as_str(), other), (other, path.as_str())] {
            let args = ["produce", "--topic", "t", "--file", file, "--outcomes", outcomes];
            run(&mut command(&args)).refused(&["--outcomes", "that is the input"]);
        }
        let args = ["produce", "--topic", "t", "--outcomes", other];
        let ran = run(command(&args).stdin(File::open(&path).unwrap()));
        ran.refused(&["--outcomes", "that is the input"]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious\nlines\n");
    }
}

#[test]
fn what_is_said_does_not_become_input_nor_a_verdict() {
    let (_input, path) = two_lines("loop");
    let append = || File::options().append(true).open(&path).unwrap();
    let args = ["produce", "--topic", "t", "--file", &path, "--outcomes", "-"];
    let ran = run(command(&args).stdout(append()));
    ran.refused(&["the input is the file that standard output is written to"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious\nlines\n");
    // Nobody can be told but by the status, and in that file.
    let ran = run(command(&args).stderr(append()));
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(fs::read_to_string(&path).unwrap().contains("standard error is written to"));
    let (_input, path) = two_lines("loop-2");
    let told = Scratch::new("told");
    let args = ["produce", "--topic", "t", "--file", &path, "--outcomes", told.path()];
    let ran = run(command(&args).stderr(File::create(told.path()).unwrap()));
    assert_eq!(ran.status, 1, "{ran:?}");
    let told = fs::read_to_string(told.path()).unwrap();
    assert!(told.contains("the file that standard error is written to"), "{told}");
}

#[test]
fn what_is_refused_leaves_the_verdicts_of_before() {
    let (_input, path) = two_lines("before");
    let outcomes = Scratch::new("yesterday");
    fs::write(outcomes.path(), "yesterday\nand the day before that, at some length\n").unwrap();
    let base = ["produce", "--file", &path, "--outcomes", outcomes.path()];
    let wrong: [&[&str]; 4] = [
        &["--topic", "a topic"],
        &["--topic", "t", "--shards", "3"],
        &["--topic", "t", "--bootstrap", "nowhere"],
        &["--topic", "t", "--property", "acks=7"],
    ];
    for wrong in wrong {
        run(&mut command(&[&base[..], wrong].concat())).refused(&[]);
        assert!(fs::read_to_string(outcomes.path()).unwrap().starts_with("yesterday\n"));
    }
    let ran = run(&mut command(&[&base[..], &["--topic", "t"]].concat()));
    assert_eq!(ran.status, 0, "{ran:?}");
    assert_eq!(outcomes.objects().len(), 2);
}
