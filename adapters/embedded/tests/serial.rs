//! A line that somebody else wires to TCP: hanging up, and what of the old connection is still to come.

mod lab;

use core::time::Duration;

use embedded_io::{Error as _, Write as _};
use lab::{
    Lab, SECOND, START_MS, Small,
    both_apis::{check_delivered, polled, send},
    config, producer,
    uart::Uart,
};
use ottla_core::{Config, Instant, Producer, TopicId};
use ottla_embedded::{Driver, DropPolicy, RecordOutcome, Serial, SerialError};

const QUIET: Duration = Duration::from_millis(30);
const RECONNECT: Duration = Duration::from_millis(10);
/// How long a request may take, so that time passes fast.
const PATIENCE: Duration = Duration::from_millis(300);

type Line<'m> = Driver<'m, Serial<Uart>, 1>;

fn patient() -> Config<'static> {
    Config { request_timeout: PATIENCE, ..config() }
}

fn line<'m>(lab: &Lab, memory: &'m mut Small) -> Line<'m> {
    let uart = Uart::new(lab, RECONNECT);
    Driver::new(producer(&patient(), memory), [Serial::new(uart, QUIET)])
}

fn uart<'a>(driver: &'a mut Line<'_>) -> &'a mut Uart {
    driver.port_mut(0).unwrap().uart_mut()
}

#[test]
fn records_go_over_a_line() {
    let lab = Lab::new(1, 1);
    let mut memory = Small::new();
    let mut driver = line(&lab, &mut memory);
    let told = polled(&lab, &mut driver, DropPolicy::NewestFirst, 10 * SECOND, &mut send(30, 40));
    check_delivered(&lab, &told, 30);
    assert_eq!(uart(&mut driver).closed, 0);
}

/// Sends over a line that takes so many bytes, and then none for longer than a request may take.
/// Returns the connections that were hung up.
fn stop_after(bytes: usize) -> usize {
    const RECORDS: u32 = 6;
    let lab = Lab::new(1, 1);
    let mut memory = Small::new();
    let mut driver = line(&lab, &mut memory);
    uart(&mut driver).stops = Some((bytes, lab.now().after(PATIENCE + PATIENCE / 3)));
    let mut application = send(RECORDS, 40);
    let told = polled(&lab, &mut driver, DropPolicy::NewestFirst, 60 * SECOND, &mut application);
    check_delivered(&lab, &told, RECORDS);
    // No batch came twice: what was cut off was not appended, and was known not to be.
    assert_eq!(lab.with(|state| state.cluster.counts("t", 0)).duplicates, 0, "after {bytes} bytes");
    uart(&mut driver).closed
}

#[test]
fn a_request_that_was_cut_at_any_byte_is_filled_and_never_acted_on() {
    let hung_up: Vec<usize> = (0..1_200).map(stop_after).collect();
    let cut = hung_up.iter().filter(|closed| **closed > 0).count();
    assert!(cut > 500, "{cut} requests were cut");
    assert_eq!(hung_up.last(), Some(&0), "the last ones were not reached");
}

#[test]
fn answers_of_the_old_connection_are_not_believed_on_the_new_one() {
    const RECORDS: u32 = 12;
    let mut mistaken = 0;
    // From some byte on what is answered arrives only when the line counts as connected anew.
    for bytes in (0..1_000).step_by(10) {
        let lab = Lab::new(1, 1);
        let mut memory = Small::new();
        let mut driver = line(&lab, &mut memory);
        let until = lab.now().after(PATIENCE + QUIET + RECONNECT);
        uart(&mut driver).holds = Some((bytes, until));
        let mut application = send(RECORDS, 40);
        let told =
            polled(&lab, &mut driver, DropPolicy::NewestFirst, 60 * SECOND, &mut application);
        let log = lab.log(0);
        assert_eq!(log, (0..RECORDS).collect::<Vec<_>>(), "each once, and in order");
        for (_, report) in told {
            let RecordOutcome::Delivered { offset, .. } = report.outcome else {
                panic!("{report:?}");
            };
            // Where it was found to be there already, nobody says where.
            assert!(offset.is_none_or(|offset| log[offset as usize] == report.token), "{report:?}");
        }
        mistaken += usize::from(uart(&mut driver).closed > 1);
    }
    assert!(mistaken > 10, "{mistaken} connections ended over a stale answer");
}

#[test]
fn a_bridge_that_loses_its_connection_costs_a_timeout_and_no_record() {
    const RECORDS: u32 = 12;
    for cut in (0..1_200).step_by(5) {
        let lab = Lab::new(1, 1);
        let mut memory = Small::new();
        let mut driver = line(&lab, &mut memory);
        uart(&mut driver).cuts = Some(cut);
        let mut application = send(RECORDS, 40);
        let told =
            polled(&lab, &mut driver, DropPolicy::NewestFirst, 60 * SECOND, &mut application);
        assert_eq!(told.len() as u32, RECORDS, "cut after {cut} bytes");
        let delivered = |outcome| matches!(outcome, RecordOutcome::Delivered { .. });
        assert!(told.iter().all(|(_, report)| delivered(report.outcome)), "{told:?}");
        assert_eq!(lab.log(0), (0..RECORDS).collect::<Vec<_>>(), "cut after {cut} bytes");
    }
}

#[test]
fn after_a_reset_the_line_is_hung_up_first() {
    for bytes in 1..600 {
        let lab = Lab::new(1, 1);
        let mut memory = Small::new();
        let mut first = line(&lab, &mut memory);
        uart(&mut first).stops = Some((bytes, Instant::NEVER));
        let mut application = send(6, 40);
        let end = lab.now().after(Duration::from_millis(100));
        polled(
            &lab,
            &mut first,
            DropPolicy::NewestFirst,
            SECOND,
            &mut |now: Instant,
                  topic: TopicId,
                  core: &mut Producer<'_>,
                  log: &mut lab::both_apis::Readings| {
                application(now, topic, core, log) || now >= end
            },
        );
        let before = lab.log(0);
        // The firmware is reset in the middle of whatever it said.
        let mut line = core::mem::replace(uart(&mut first), Uart::new(&lab, RECONNECT));
        drop(first);
        line.stops = None;
        // After one byte of a size the node would take 16 MiB for the rest.
        let longest = match line.in_size() {
            0 => config().max_request_size,
            1 => continue,
            _ => 65_535,
        };
        let port = Serial::new(line, QUIET).hang_up_first(longest);
        let mut memory = Small::new();
        let mut core = Producer::new(&patient(), memory.lend(), 8).unwrap();
        core.set_wall_clock(Instant::ZERO, Some(START_MS));
        let mut second: Line<'_> = Driver::new(core, [port]);
        let began = lab.now();
        let mut application = send(6, 40);
        polled(&lab, &mut second, DropPolicy::NewestFirst, 60 * SECOND, &mut application);
        let took = lab.now().since(began);
        assert!(took < PATIENCE, "no request ran into the rest of another: {took:?}");
        let log = lab.log(0);
        assert_eq!(log[..before.len()], before);
        assert_eq!(log[before.len()..], [0, 1, 2, 3, 4, 5], "reset after {bytes} bytes");
    }
}

#[test]
fn requests_that_could_be_acted_on_in_part_are_refused_before_their_first_byte() {
    let lab = Lab::new(1, 1);
    let mut line = Serial::new(Uart::new(&lab, RECONNECT), QUIET);
    let head = |size: i32, api_key: i16, api_version: i16| {
        let mut head = size.to_be_bytes().to_vec();
        head.extend(api_key.to_be_bytes());
        head.extend(api_version.to_be_bytes());
        head.extend([0; 20]);
        head
    };
    for (api_key, api_version) in [(0, 8), (3, 8), (22, 1)] {
        let refused = line.write(&head(24, api_key, api_version));
        assert_eq!(refused, Err(SerialError::NotFlexible { api_key, api_version }));
        assert_eq!(refused.unwrap_err().kind(), embedded_io::ErrorKind::Unsupported);
    }
    assert_eq!(line.write(&head(-1, 0, 9)), Err(SerialError::NotARequest));
    assert_eq!(line.write(&head(24, 0, 9)[..7]), Err(SerialError::NotARequest));
    for (api_key, api_version) in [(0, 9), (3, 9), (22, 2), (18, 0)] {
        let mut line = Serial::new(Uart::new(&lab, RECONNECT), QUIET);
        assert_eq!(line.write(&head(24, api_key, api_version)), Ok(16));
    }
}
