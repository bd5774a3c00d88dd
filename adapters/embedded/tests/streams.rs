//! Whatever a stream does to its bytes, each record is delivered once and in order, by either API.

mod lab;

use lab::{
    Lab, SECOND, Small, Split, Weather,
    both_apis::{
        Readings, Told, check_delivered, drive, polled_over, produce, run_async, send, verdicts,
    },
    config, producer,
    stream::Network,
};
use ottla_core::{Config, Instant, Producer, TopicId};
use ottla_embedded::{Client, DropPolicy, RecordOutcome};

const RECORDS: u32 = 12;

fn both(weather: Weather, name: &str) -> (Told, Told) {
    let lab = Lab::new(1, 1);
    let polled =
        polled_over::<2>(&lab, &config(), weather, DropPolicy::NewestFirst, &mut send(RECORDS, 40));
    check_delivered(&lab, &polled, RECORDS);
    assert_eq!(lab.log(0), (0..RECORDS).collect::<Vec<_>>(), "{name}: in order");
    let lab = Lab::new(1, 1);
    let asynchronous =
        run_async::<2>(&lab, &config(), weather, DropPolicy::NewestFirst, &mut send(RECORDS, 40));
    check_delivered(&lab, &asynchronous, RECORDS);
    assert_eq!(lab.log(0), (0..RECORDS).collect::<Vec<_>>(), "{name}: in order");
    (polled, asynchronous)
}

#[test]
fn both_faces_tell_the_same() {
    let (polled, asynchronous) = both(Weather::FAIR, "fair");
    assert_eq!(verdicts(&polled), verdicts(&asynchronous));
}

#[test]
fn frames_arrive_and_leave_cut_at_every_byte() {
    for cut in 1..700 {
        let split = Split::At(cut);
        both(Weather { write: split, read: split, ..Weather::FAIR }, "cut");
    }
}

#[test]
fn bytes_pass_one_at_a_time_and_seldom() {
    for bytes in [1, 2, 3, 5, 7, 13] {
        for ready in [1, 2, 5] {
            let split = Split::Bytes(bytes);
            let weather = Weather { write: split, read: split, ready, ..Weather::FAIR };
            let (polled, asynchronous) = both(weather, "slow");
            assert_eq!(verdicts(&polled).len(), verdicts(&asynchronous).len());
        }
    }
}

#[test]
fn a_stream_breaks_after_any_number_of_bytes_that_it_took() {
    for breaks in 0..1_500 {
        both(Weather { breaks: Some(breaks), ..Weather::FAIR }, "breaks");
    }
}

#[test]
fn a_stream_breaks_after_any_number_of_bytes_that_it_gave() {
    for deafens in 0..900 {
        both(Weather { deafens: Some(deafens), ..Weather::FAIR }, "deafens");
    }
}

#[test]
fn a_write_that_never_says_what_it_took_costs_no_truth() {
    let mut late = 0;
    // Time passes faster so.
    let config = Config { request_timeout: SECOND / 5, ..config() };
    for hangs in (0..800).step_by(4) {
        let lab = Lab::new(1, 1);
        let weather = Weather { hangs: Some(hangs), ..Weather::FAIR };
        let mut next = 0;
        let within = Some(SECOND / 10);
        let mut sensor =
            |now: Instant, topic: TopicId, core: &mut Producer<'_>, log: &mut Readings| {
                if next < RECORDS && produce(core, log, now, topic, next, 40, within).is_ok() {
                    next += 1;
                }
                next == RECORDS && log.is_empty()
            };
        let told = run_async::<2>(&lab, &config, weather, DropPolicy::NewestFirst, &mut sensor);
        let log = lab.log(0);
        assert!(log.is_sorted_by(|a, b| a < b), "in order, and each once: {log:?}");
        for report in verdicts(&told).iter().filter(|report| report.last) {
            let delivered = matches!(report.outcome, RecordOutcome::Delivered { .. });
            assert_eq!(delivered, log.contains(&report.token), "{hangs}: {report:?}");
            late += u32::from(report.late && delivered);
        }
    }
    assert!(late > 50, "{late} records were found to be there after all");
}

#[test]
fn a_run_that_is_dropped_is_taken_up_by_another() {
    for times in 1..40 {
        let lab = Lab::new(1, 1);
        let mut memory = Small::new();
        let client =
            Client::new(producer(&config(), &mut memory), Readings::new(DropPolicy::NewestFirst));
        let network = Network::new(&lab, Weather::FAIR);
        let (mut told, mut ticks) = (Told::new(), 0);
        let mut application = send(RECORDS, 40);
        let mut some =
            |now: Instant, topic: TopicId, core: &mut Producer<'_>, log: &mut Readings| {
                ticks += 1;
                application(now, topic, core, log) || ticks == times
            };
        drive(&lab, &client, &network, &mut some, &mut told, SECOND);
        drive(&lab, &client, &network, &mut application, &mut told, 60 * SECOND);
        assert_eq!(lab.log(0), (0..RECORDS).collect::<Vec<_>>(), "dropped after {times} ticks");
        assert_eq!(verdicts(&told).len() as u32, RECORDS);
    }
}

#[cfg(feature = "nal")]
#[test]
fn connections_of_embedded_nal_async_serve() {
    for split in [Split::All, Split::Bytes(1), Split::At(9)] {
        let lab = Lab::new(1, 1);
        let mut memory = Small::new();
        let client =
            Client::new(producer(&config(), &mut memory), Readings::new(DropPolicy::NewestFirst));
        let weather = Weather { write: split, read: split, ready: 2, ..Weather::FAIR };
        let network = Network::new(&lab, weather);
        let (nal, mut told) = (ottla_embedded::Nal::new(&network), Told::new());
        drive(&lab, &client, &nal, &mut send(RECORDS, 40), &mut told, 60 * SECOND);
        check_delivered(&lab, &told, RECORDS);
    }
}

#[test]
fn brokers_share_ports_where_there_are_fewer_of_them() {
    let lab = Lab::new(3, 3);
    let told = polled_over::<2>(
        &lab,
        &config(),
        Weather::FAIR,
        DropPolicy::NewestFirst,
        &mut send(60, 40),
    );
    check_delivered(&lab, &told, 60);
    let lab = Lab::new(3, 3);
    let told =
        run_async::<2>(&lab, &config(), Weather::FAIR, DropPolicy::NewestFirst, &mut send(60, 40));
    check_delivered(&lab, &told, 60);
}

#[test]
fn a_connection_without_a_port_is_refused_and_the_others_serve() {
    let lab = Lab::new(1, 1);
    let told = polled_over::<1>(
        &lab,
        &config(),
        Weather::FAIR,
        DropPolicy::NewestFirst,
        &mut send(10, 40),
    );
    check_delivered(&lab, &told, 10);
    assert!(lab.now().since(Instant::ZERO) < SECOND);
}
