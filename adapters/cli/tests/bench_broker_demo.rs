//! `ottla bench`, `ottla broker` and `ottla demo`.

mod common;

use std::{
    io::{BufRead, BufReader},
    process::Command,
};

use common::{DRIVERS, ended, ottla, spawn};
use serde_json::Value;

#[test]
fn a_broker_serves_until_it_is_told_to_end_and_a_bench_runs_against_it() {
    let args = ["broker", "--listen", "127.0.0.1:0", "--topic", "t", "--partitions", "2"];
    let mut broker = spawn(&args);
    let mut line = String::new();
    BufReader::new(broker.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.strip_prefix("listening on ").unwrap().trim();
    for driver in DRIVERS {
        let together = ["--threads", "2", "--batch", "7"];
        for mode in [&[][..], &["--threads", "3"], &["--batch", "64"], &together, &["--sync"]] {
            let args = ["bench", "--bootstrap", address, "--topic", "t", "--driver", driver];
            let args = [&args[..], &["--records", "500", "--size", "50"], mode].concat();
            let ran = ottla(&args, b"");
            assert_eq!(ran.status, 0, "{ran:?}");
            let figures: Value = serde_json::from_str(&ran.stdout).unwrap();
            let number = |name: &str| figures[name].as_f64().unwrap();
            assert_eq!(["records", "size", "delivered"].map(number), [500.0, 50.0, 500.0]);
            assert_eq!(["not_delivered", "unknown"].map(number), [0.0, 0.0]);
            for name in ["seconds", "records_per_s", "mb_per_s", "cpu_us_per_record", "p50_us"] {
                assert!(number(name) > 0.0, "{name}: {ran:?}");
            }
            assert!(number("p50_us") <= number("p99_us"), "{ran:?}");
            assert!(number("p99_us") <= number("p999_us"), "{ran:?}");
        }
    }
    // Other topics are made when they are asked for.
    let ran = ottla(&["produce", "--topic", "new", "--bootstrap", address], b"a\n");
    assert_eq!((ran.status, ran.counts()), (0, [1, 0, 0]), "{ran:?}");
    let killed = Command::new("kill").args(["-TERM", &broker.id().to_string()]).status();
    assert!(killed.unwrap().success());
    let ran = ended(broker.wait_with_output().unwrap());
    assert_eq!(ran.status, 0, "{ran:?}");
}

#[test]
fn a_broker_shows_what_comes_into_its_logs() {
    let args = ["broker", "--listen", "127.0.0.1:0", "--topic", "t", "--partitions", "1", "--dump"];
    let mut broker = spawn(&args);
    let mut lines = BufReader::new(broker.stdout.take().unwrap()).lines().map(Result::unwrap);
    let address = lines.next().unwrap();
    let address = address.strip_prefix("listening on ").unwrap();
    for driver in DRIVERS {
        let args = ["produce", "--topic", "t", "--bootstrap", address, "--driver", driver];
        let ran = ottla(&[&args[..], &["--key-separator", ":"]].concat(), b"k:v\nonly \"v\xff\"\n");
        assert_eq!((ran.status, ran.counts()), (0, [2, 0, 0]), "{ran:?}");
        let told: Vec<_> = (0..2).map(|_| lines.next().unwrap()).collect();
        let id = told[0].split("producer_id=").nth(1).unwrap().split(' ').next().unwrap();
        let base = if driver == DRIVERS[0] { 0 } else { 2 };
        let want = [
            format!(
                r#"t-0 @ offset {base}: key="k" value="v" producer_id={id} epoch=0 sequence=0"#
            ),
            format!(
                r#"t-0 @ offset {}: key=null value="only \"v\xff\"" producer_id={id} epoch=0 sequence=1"#,
                base + 1
            ),
        ];
        assert_eq!(told, want);
    }
    let killed = Command::new("kill").args(["-TERM", &broker.id().to_string()]).status();
    assert!(killed.unwrap().success());
    assert_eq!(ended(broker.wait_with_output().unwrap()).status, 0);
    assert_eq!(lines.next(), None);
}

#[test]
fn a_broker_shows_what_came_compressed() {
    let args = ["broker", "--listen", "127.0.0.1:0", "--topic", "t", "--partitions", "1", "--dump"];
    let mut broker = spawn(&args);
    let mut lines = BufReader::new(broker.stdout.take().unwrap()).lines().map(Result::unwrap);
    let address = lines.next().unwrap();
    let address = address.strip_prefix("listening on ").unwrap();
    let input = "{\"sensor\":\"s-1\",\"value\":17}\n".repeat(50);
    let words = ["--compression", "zstd:4"];
    let property = ["--property", "compression.type=zstd"];
    for (driver, how) in DRIVERS.into_iter().zip([words, property]) {
        let args = ["produce", "--topic", "t", "--bootstrap", address, "--driver", driver];
        let ran = ottla(&[&args[..], &how].concat(), input.as_bytes());
        assert_eq!((ran.status, ran.counts()), (0, [50, 0, 0]), "{ran:?}");
        let (mut records, mut compressed) = (0, 0);
        while records < 50 {
            let line = lines.next().unwrap();
            if line.contains(r#"key=null value="{\"sensor"#) {
                records += 1;
            } else {
                let Some((_, told)) = line.split_once(": compressed by zstd, ") else {
                    panic!("{line}");
                };
                let (sizes, of) = told.split_once(": records=").unwrap();
                let (plain, packed) = sizes.split_once(" bytes to ").unwrap();
                let number = |text: &str| text.parse::<u32>().unwrap();
                assert!(number(packed) < number(plain), "{line}");
                compressed += number(of.split(' ').next().unwrap());
            }
        }
        assert!(compressed > 40, "{driver}: {compressed}");
    }
    let killed = Command::new("kill").args(["-TERM", &broker.id().to_string()]).status();
    assert!(killed.unwrap().success());
    assert_eq!(ended(broker.wait_with_output().unwrap()).status, 0);
}

#[test]
fn a_bench_that_compresses_sends_readings_or_the_lines_of_a_file() {
    let run = |more: &[&str]| {
        let args = ["bench", "--topic", "t", "--records", "20000"];
        let ran = ottla(&[&args[..], more].concat(), b"");
        assert_eq!(ran.status, 0, "{ran:?}");
        serde_json::from_str::<Value>(&ran.stdout).unwrap()
    };
    for driver in DRIVERS {
        for compression in ["gzip", "snappy", "lz4", "zstd:-7"] {
            let figures = run(&["--compression", compression, "--driver", driver]);
            assert!(figures["compression_ratio"].as_f64().unwrap() > 2.0, "{figures}");
            assert!(figures["compressing_us_per_record"].as_f64().unwrap() > 0.0, "{figures}");
        }
    }
    let plain = run(&[]);
    assert_eq!((&plain["compression_ratio"], &plain["size"]), (&Value::Null, &100.into()));
    let file = std::env::temp_dir().join(format!("ottla-bench-{}", std::process::id()));
    std::fs::write(&file, "the same line\n").unwrap();
    let payload = file.to_str().unwrap();
    let figures = run(&["--compression", "lz4", "--payload", payload]);
    assert!(figures["compression_ratio"].as_f64().unwrap() > 4.0, "{figures}");
    assert_eq!(figures["size"], 13);
    std::fs::remove_file(&file).unwrap();
    ottla(&["bench", "--topic", "t", "--payload", payload], b"").refused(&["--payload"]);
}

#[test]
fn compression_that_cannot_be_is_refused_with_its_place() {
    let refused = |how: &[&str], words: &[&str]| {
        ottla(&[&["produce", "--topic", "t"][..], how].concat(), b"").refused(words);
    };
    refused(&["--compression", "zstd:19"], &["--compression", "-7 to 4"]);
    refused(&["--compression", "brotli"], &["--compression", "zstd"]);
    refused(&["--property", "compression.gzip.level=10"], &["--property", "1 to 9"]);
    refused(&["--property", "compression.typ=lz4"], &["--property", "compression.type"]);
}

#[test]
fn the_demo_holds() {
    let ran = ottla(&["demo"], b"");
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran:?}");
    let last = ran.stdout.lines().last().unwrap();
    let checked = "checked: 2 runs with idempotence: every record once, in order; without: A ";
    assert!(last.starts_with(checked), "{ran:?}");
    assert_eq!(ran.stdout.matches("the log, read back from the broker: warm A B C\n").count(), 2);
    assert_eq!(ran.stdout.matches("A: not known whether delivered: deadline").count(), 3);
    assert_eq!(ran.stdout.matches("the final outcome of A: delivered").count(), 2);
}

#[test]
fn a_bench_that_cannot_begin_says_why() {
    let args = ["bench", "--topic", "t", "--bootstrap", "127.0.0.1:1", "--property"];
    let ran = ottla(&[&args[..], &["max.block.ms=300"]].concat(), b"");
    ran.refused(&["nothing can be sent", "127.0.0.1:1"]);
}
