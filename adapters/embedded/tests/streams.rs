//! Whatever a stream does to its bytes, each record is delivered once and in order, by either face.

mod lab;

use lab::{
    Lab, SECOND, Split, Weather, config,
    face::{Told, check_delivered, polled_over, run_async, send, verdicts},
};
use ottla_embedded::DropPolicy;

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
    assert!(lab.now().since(ottla_core::Instant::ZERO) < SECOND);
}
