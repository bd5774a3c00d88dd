//! SASL: who is let in and for how long, under the virtual clock.

use core::time::Duration;

use ottla_core::{
    AuthenticationFailure as Failure, Config, Disconnect, Event, Instant, LastError, Loss, Outcome,
};
use ottla_model::{
    ClusterConfig, Lie,
    sasl::{Mechanism, SaslConfig, SaslLie, User},
};
use ottla_scenario::{PASSWORD, Said, USER, Weather, World, quick};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

fn asking() -> SaslConfig {
    SaslConfig::with(&Mechanism::ALL).user(USER, PASSWORD)
}

fn cluster(sasl: SaslConfig) -> ClusterConfig {
    ClusterConfig { sasl: Some(sasl), ..ClusterConfig::with_nodes(1) }
}

/// A world with a topic `t` of one partition, whose client has yet to say who it is.
fn outside(config: &Config<'_>, sasl: SaslConfig) -> World<'static> {
    let mut world = World::new(config, cluster(sasl), 1);
    world.cluster.create_topic("t", 1).expect("a topic");
    world
}

fn causes(world: &World<'_>) -> Vec<Disconnect> {
    let cause = |event: &Event| {
        if let Event::Disconnected { cause, .. } = event { Some(*cause) } else { None }
    };
    world.events.iter().filter_map(|(_, event)| cause(event)).collect()
}

fn failures(world: &World<'_>) -> Vec<Failure> {
    let failure = |cause| {
        if let Disconnect::Authentication(failure) = cause { Some(failure) } else { None }
    };
    causes(world).into_iter().filter_map(failure).collect()
}

/// Sends a record now and then, and holds it against the log.
fn go_on(world: &mut World<'static>, time: Duration, every: Duration) {
    let topic = world.topic("t");
    let end = world.now.after(time);
    while world.now < end {
        world.produce(topic, Some(0), 50).expect("room");
        world.run_for(every);
    }
}

#[test]
fn each_mechanism_is_let_in_and_nothing_is_said_before() {
    for mechanism in Mechanism::ALL {
        let mut world = outside(&quick(), asking());
        world.log_in(mechanism, PASSWORD);
        go_on(&mut world, SECOND, 10 * MS);
        assert_eq!(world.cluster.sasl_tally().violations(), 0);
        assert_eq!(world.cluster.sasl_tally().authenticated, 1, "{mechanism}");
        assert_eq!(causes(&world), []);
        world.finish();
    }
}

#[test]
fn a_byte_at_a_time_is_as_good() {
    for mechanism in Mechanism::ALL {
        let mut world = outside(&quick(), asking().max_reauth(2 * SECOND));
        world.weather = Weather { accepts: 1, arrives: 1, ..Weather::FAIR };
        world.log_in(mechanism, PASSWORD);
        go_on(&mut world, 5 * SECOND, 100 * MS);
        assert!(world.cluster.sasl_tally().reauthenticated >= 2, "{mechanism}");
        assert_eq!((world.cluster.sasl_tally().violations(), causes(&world)), (0, vec![]));
        world.finish();
    }
}

/// Each request of an authentication, cut after each of its bytes, and the connection that follows.
#[test]
fn an_authentication_that_is_cut_anywhere_begins_anew() {
    for mechanism in Mechanism::ALL {
        // Keys are made anew each time, which takes its time.
        let scram = matches!(mechanism, Mechanism::ScramSha256 | Mechanism::ScramSha512);
        for bytes in (1..400).step_by(if scram { 11 } else { 1 }) {
            let mut world = outside(&quick(), asking());
            world.log_in(mechanism, PASSWORD);
            let topic = world.producer.topic(world.now, "t").expect("room");
            world.run_until(SECOND, |world| world.connections() > 0);
            world.run_for(200 * Duration::from_micros(1));
            world.cut_after(bytes);
            world.run_for(SECOND);
            let closed = Disconnect::Authentication(Failure::Closed);
            let cut = [Disconnect::Io, Disconnect::HungUp, closed];
            let causes = causes(&world);
            assert!(causes.iter().all(|cause| cut.contains(cause)), "{mechanism}: {causes:?}");
            world.cut_after(usize::MAX);
            let id = world.produce(topic, Some(0), 20).expect("the topic is known");
            assert!(matches!(world.conclude(id), Said::Delivered(_)));
            assert_eq!(world.cluster.sasl_tally().violations(), 0);
            world.finish();
        }
    }
}

/// Five batches in flight, sessions of eight seconds: nothing is lost, written twice, or late.
#[test]
fn sessions_are_renewed_before_they_are_over_under_load() {
    for mechanism in Mechanism::ALL {
        let mut world = outside(&quick(), asking().max_reauth(8 * SECOND));
        world.weather = Weather { latency: (20_000, 60_000), ..Weather::FAIR };
        world.log_in(mechanism, PASSWORD);
        go_on(&mut world, 60 * SECOND, 5 * MS);
        let tally = world.cluster.sasl_tally();
        assert!((7..=11).contains(&tally.reauthenticated), "{mechanism}: {tally:?}");
        assert_eq!((tally.violations(), tally.late, tally.too_soon), (0, 0, 0), "{tally:?}");
        assert_eq!(causes(&world), []);
        assert_eq!(world.producer.stats().retries, 0);
        world.finish();
    }
}

#[test]
fn who_has_nothing_to_send_renews_nothing_and_comes_late() {
    let mut world = outside(&quick(), asking().max_reauth(2 * SECOND));
    world.log_in(Mechanism::ScramSha256, PASSWORD);
    let config = Config { metadata_max_age: 3_600 * SECOND, ..quick() };
    let mut idle = World::new(&config, cluster(asking().max_reauth(2 * SECOND)), 1);
    idle.cluster.create_topic("t", 1).expect("a topic");
    idle.log_in(Mechanism::ScramSha256, PASSWORD);
    go_on(&mut idle, 100 * MS, 10 * MS);
    idle.run_for(60 * SECOND);
    assert_eq!(idle.cluster.sasl_tally().reauthenticated, 0);
    go_on(&mut idle, 100 * MS, 10 * MS);
    let tally = idle.cluster.sasl_tally();
    assert_eq!((tally.reauthenticated, tally.late, tally.violations()), (1, 1, 0));
    assert_eq!(causes(&idle), []);
    idle.finish();
}

/// A broker takes another authentication once a second at most: a session that is over before that waits.
#[test]
fn a_session_of_a_moment_is_renewed_once_a_second() {
    let mut world = outside(&quick(), asking().max_reauth(100 * MS));
    world.log_in(Mechanism::Plain, PASSWORD);
    go_on(&mut world, 20 * SECOND, 10 * MS);
    let tally = world.cluster.sasl_tally();
    assert!((15..=21).contains(&tally.reauthenticated), "{tally:?}");
    assert_eq!((tally.violations(), tally.too_soon), (0, 0), "{tally:?}");
    assert_eq!(causes(&world), []);
    world.finish();
}

#[test]
fn what_was_made_and_not_begun_when_the_session_ended_is_made_anew() {
    let mut world = outside(&quick(), asking().max_reauth(2 * SECOND));
    world.log_in(Mechanism::Plain, PASSWORD);
    let topic = world.topic("t");
    let first = world.send(topic, 0);
    assert!(matches!(world.conclude(first), Said::Delivered(_)));
    // The socket takes nothing until long after the end.
    world.weather.socket_buffer = 0;
    let id = world.produce(topic, Some(0), 50).expect("room");
    world.run_for(5 * SECOND);
    world.weather.socket_buffer = usize::MAX;
    assert!(matches!(world.conclude(id), Said::Delivered(_)));
    let tally = world.cluster.sasl_tally();
    assert_eq!((tally.late, tally.violations()), (1, 0), "{tally:?}");
    world.finish();
}

#[test]
fn an_answer_that_comes_after_the_end_of_the_session_is_one() {
    let mut world = outside(&quick(), asking().max_reauth(2 * SECOND));
    world.log_in(Mechanism::ScramSha512, PASSWORD);
    let topic = world.topic("t");
    world.hold_answers();
    let ids: Vec<u64> = (0..3).map(|_| world.send(topic, 0)).collect();
    world.run_for(10 * SECOND);
    world.release();
    for id in ids {
        assert!(matches!(world.conclude(id), Said::Delivered(_)));
    }
    assert_eq!(world.cluster.sasl_tally().violations(), 0);
    world.finish();
}

/// The user is told why, the broker is left alone between two attempts, and who mends it is served at once.
#[test]
fn a_wrong_password_is_told_and_tried_again_slowly_until_it_is_right() {
    for mechanism in [Mechanism::Plain, Mechanism::ScramSha256, Mechanism::ScramSha512] {
        let config = Config { delivery_timeout: 20 * SECOND, ..quick() };
        let mut world = outside(&config, asking());
        world.log_in(mechanism, PASSWORD);
        let topic = world.topic("t");
        world.cluster.set_password(USER, "another-secret").expect("SASL");
        world.cut_all();
        let id = world.produce(topic, Some(0), 50).expect("room");
        let begun = world.dials.len();
        world.run_for(30 * SECOND);
        let tries = world.dials.len() - begun;
        assert!((20..=31).contains(&tries), "{tries} dials in 30 s");
        assert!(failures(&world).iter().all(|failure| *failure == Failure::Refused));
        assert!(matches!(world.last(id), Some(Said::NotDelivered(_))), "{:?}", world.last(id));
        let (settled, blamed) = world.last_failed.expect("a failure");
        assert!(matches!(settled.outcome, Outcome::NotDelivered(_)));
        let expected = LastError::Connection(Loss::Authentication(Failure::Refused));
        assert_eq!(blamed, Some(expected));
        let said = world.producer.authentication_message().expect("words");
        assert!(said.starts_with("Authentication failed"), "{said}");
        // Just after an attempt, with the whole of the backoff to come.
        let tries = world.dials.len();
        assert!(world.run_until(2 * SECOND, |world| world.dials.len() > tries));
        world.run_for(300 * MS);
        let now = world.now;
        world.log_in(mechanism, "another-secret");
        let id = world.produce(topic, Some(0), 50).expect("room");
        assert!(matches!(world.conclude(id), Said::Delivered(_)));
        assert!(world.now.since(now) < 200 * MS, "who mends it need not wait");
        assert_eq!(world.cluster.sasl_tally().violations(), 0);
        world.finish();
    }
}

#[test]
fn a_listener_without_the_mechanism_says_what_it_has() {
    let only = SaslConfig::with(&[Mechanism::ScramSha512, Mechanism::OAuthBearer]);
    let mut world = outside(&quick(), only.user(USER, PASSWORD));
    world.log_in(Mechanism::Plain, PASSWORD);
    world.producer.topic(world.now, "t").expect("room");
    world.run_for(5 * SECOND);
    let failures = failures(&world);
    let Some(Failure::Mechanism(offered)) = failures.first() else { panic!("{failures:?}") };
    assert_eq!(offered.to_string(), "SCRAM-SHA-512, OAUTHBEARER");
    assert!((4..=6).contains(&failures.len()), "{failures:?}");
}

#[test]
fn a_listener_without_sasl_says_so() {
    let mut world = World::new(&quick(), ClusterConfig::with_nodes(1), 1);
    world.cluster.create_topic("t", 1).expect("a topic");
    world.log_in(Mechanism::ScramSha256, PASSWORD);
    world.producer.topic(world.now, "t").expect("room");
    world.run_for(SECOND / 2);
    assert_eq!(failures(&world), [Failure::NotSasl]);
}

#[test]
fn who_does_not_say_who_it_is_is_hung_up_on() {
    let mut world = outside(&quick(), asking());
    world.producer.topic(world.now, "t").expect("room");
    let hung_up = |world: &World<'_>| causes(world).contains(&Disconnect::HungUp);
    assert!(!world.run_until(10 * MS, |_| false) && hung_up(&world), "{:?}", causes(&world));
}

/// Another principal than before, or another mechanism: the broker ends the connection, and the next one
/// is another one.
#[test]
fn who_becomes_another_is_let_in_anew() {
    let mut world = outside(&quick(), asking().max_reauth(2 * SECOND));
    world.log_in(Mechanism::Plain, PASSWORD);
    go_on(&mut world, SECOND, 10 * MS);
    world.log_in(Mechanism::ScramSha512, PASSWORD);
    go_on(&mut world, 5 * SECOND, 10 * MS);
    assert!(failures(&world).contains(&Failure::Closed), "{:?}", failures(&world));
    assert_eq!(world.cluster.sasl_tally().violations(), 0);
    world.finish();
}

#[test]
fn credentials_that_change_in_the_middle_of_it_begin_anew() {
    for micros in (0..2_000).step_by(50) {
        let mut world = outside(&quick(), asking());
        world.log_in(Mechanism::ScramSha256, "wrong");
        world.producer.topic(world.now, "t").expect("room");
        world.run_for(Duration::from_micros(micros));
        world.log_in(Mechanism::Plain, PASSWORD);
        go_on(&mut world, SECOND, 100 * MS);
        assert_eq!(world.cluster.sasl_tally().violations(), 0);
        world.finish();
    }
}

mod tokens {
    use super::*;

    fn world(sasl: SaslConfig) -> World<'static> {
        let mut world = outside(&quick(), sasl);
        world.log_in(Mechanism::OAuthBearer, "");
        world
    }

    #[test]
    fn one_is_wanted_for_all_connections_and_another_before_it_is_over() {
        let config = ClusterConfig { sasl: Some(asking()), ..ClusterConfig::with_nodes(3) };
        let mut world = World::new(&quick(), config, 1);
        world.cluster.create_topic("t", 3).expect("a topic");
        for partition in 0..3 {
            world.cluster.move_leader("t", partition, partition + 1).expect("a leader");
        }
        world.log_in(Mechanism::OAuthBearer, "");
        world.tokens.lifetime = (10_000, 10_000);
        let topic = world.topic("t");
        for round in 0..6_000 {
            world.produce(topic, Some(round % 3), 50).expect("room");
            world.run_for(10 * MS);
        }
        // Each is good for 8 s of a minute, and a session for as long as its token is.
        assert!((7..=9).contains(&world.tokens.asked), "{}", world.tokens.asked);
        let tally = world.cluster.sasl_tally();
        assert_eq!((tally.violations(), tally.late), (0, 0), "{tally:?}");
        assert_eq!(causes(&world), []);
        world.finish();
    }

    #[test]
    fn a_slow_service_costs_who_waits_for_it_and_nobody_else() {
        let mut world = world(asking());
        world.tokens.delay = (3_000_000, 3_000_000);
        let topic = world.producer.topic(world.now, "t").expect("room");
        world.run_for(2_900 * MS);
        assert_eq!((failures(&world), world.tokens.asked), (vec![], 1));
        world.run_for(SECOND);
        let id = world.produce(topic, Some(0), 50).expect("the topic is known");
        assert!(matches!(world.conclude(id), Said::Delivered(_)));
        world.finish();
    }

    #[test]
    fn a_service_that_has_none_is_asked_again_and_the_connection_given_up_in_time() {
        let mut world = world(asking());
        world.tokens.refuses = 1;
        world.producer.topic(world.now, "t").expect("room");
        world.run_for(60 * SECOND);
        let failures = failures(&world);
        assert!(
            failures.len() >= 2 && failures.iter().all(|it| *it == Failure::NoToken),
            "{failures:?}"
        );
        // Once in `retry.backoff.max.ms`, while somebody waits.
        assert!((300..=600).contains(&world.tokens.asked), "{}", world.tokens.asked);
        world.tokens.refuses = 0;
        world.run_for(2 * SECOND);
        go_on(&mut world, SECOND, 100 * MS);
        world.finish();
    }

    #[test]
    fn an_old_one_is_better_than_none() {
        let mut world = world(asking().max_reauth(1_200 * MS));
        world.tokens.lifetime = (10_000, 10_000);
        go_on(&mut world, 7 * SECOND, 50 * MS);
        world.tokens.refuses = 1;
        // It is good for ten seconds, and stale after eight.
        go_on(&mut world, 1_200 * MS, 50 * MS);
        let before = world.cluster.sasl_tally().reauthenticated;
        go_on(&mut world, 1_400 * MS, 50 * MS);
        assert!(world.tokens.asked > 1 && world.cluster.sasl_tally().reauthenticated > before);
        assert_eq!(causes(&world), []);
        world.tokens.refuses = 0;
        go_on(&mut world, 20 * SECOND, 50 * MS);
        assert_eq!((causes(&world), world.cluster.sasl_tally().violations()), (vec![], 0));
        world.finish();
    }

    #[test]
    fn one_that_is_refused_is_not_said_again() {
        let mut world = world(asking());
        world.tokens.errs = 1;
        world.producer.topic(world.now, "t").expect("room");
        world.run_for(10 * SECOND);
        let refused = failures(&world);
        assert!(refused.iter().all(|failure| *failure == Failure::Refused), "{refused:?}");
        assert!((8..=11).contains(&refused.len()), "{refused:?}");
        assert!((0..=1).contains(&(world.tokens.asked as usize - refused.len())));
        world.tokens.errs = 0;
        go_on(&mut world, 2 * SECOND, 100 * MS);
        world.finish();
    }

    /// Who waits for a token is throttled as well, when it is time to ask for one again.
    #[test]
    fn one_is_asked_for_by_whoever_may_go_on() {
        let config = Config { connection_setup_timeout: 50 * MS, ..quick() };
        let mut world = outside(&config, asking());
        world.log_in(Mechanism::OAuthBearer, "");
        world.tokens.refuses = 1;
        world.producer.topic(world.now, "t").expect("room");
        world.run_until(SECOND, |world| world.tokens.asked > 0);
        world.cluster.set_throttle(1, 2 * SECOND).expect("a node");
        world.run_for(20 * SECOND);
        world.cluster.set_throttle(1, Duration::ZERO).expect("a node");
        world.tokens.refuses = 0;
        world.run_for(5 * SECOND);
        go_on(&mut world, SECOND, 100 * MS);
        world.finish();
    }

    /// One that is larger than any window is lent, in pieces as the socket takes them.
    #[test]
    fn one_of_any_size_is_said_as_a_whole() {
        for accepts in [usize::MAX, 1, 333] {
            let mut world = outside(&quick(), asking());
            world.weather = Weather { accepts, ..Weather::FAIR };
            world.log_in(Mechanism::OAuthBearer, "");
            world.tokens.refuses = 1;
            let topic = world.producer.topic(world.now, "t").expect("room");
            world.run_for(10 * MS);
            let text = "x".repeat(20_000);
            let token = ottla_model::sasl::Token {
                text: text.clone(),
                principal: USER.to_owned(),
                until: 3_600 * SECOND,
            };
            world.cluster.add_token(token).expect("SASL");
            let token = ottla_core::Token { text: &text, extensions: &[], lifetime: 60 * SECOND };
            world.producer.handle_token(world.now, &token).expect("room");
            world.run_for(5 * SECOND);
            let id = world.produce(topic, Some(0), 50).expect("the topic is known");
            assert!(matches!(world.conclude(id), Said::Delivered(_)));
            assert_eq!(causes(&world), []);
            world.finish();
        }
    }

    /// A newer one comes while the old one is being said, at each of its bytes.
    #[test]
    fn a_newer_one_takes_the_place_of_one_that_is_being_said() {
        for bytes in 0..60 {
            let mut world = world(asking());
            world.producer.topic(world.now, "t").expect("room");
            world.tokens.delay = (1_000, 1_000);
            world.run_until(SECOND, |world| world.tokens.asked > 0);
            // So many bytes find room in the socket, and the broker reads none.
            world.weather.socket_buffer = bytes;
            world.hold_up();
            world.run_for(10 * MS);
            world.release();
            let token = ottla_model::sasl::Token {
                text: "newer".to_owned(),
                principal: USER.to_owned(),
                until: 3_600 * SECOND,
            };
            world.cluster.add_token(token).expect("SASL");
            let token = ottla_core::Token { text: "newer", extensions: &[], lifetime: 60 * SECOND };
            world.producer.handle_token(world.now, &token).expect("room");
            world.weather = Weather::FAIR;
            go_on(&mut world, SECOND, 100 * MS);
            assert_eq!(failures(&world), []);
            world.finish();
        }
    }
}

mod hostile {
    use super::*;

    /// What a client says of a broker that lies once, and that it is let in by the next one.
    fn lied_to(mechanism: Mechanism, lie: SaslLie) -> Vec<Failure> {
        let mut world = outside(&quick(), asking().max_reauth(60 * SECOND));
        world.cluster.lie_once(1, Lie::Sasl(lie)).expect("a node");
        world.log_in(mechanism, PASSWORD);
        go_on(&mut world, 5 * SECOND, 100 * MS);
        assert_eq!(world.cluster.sasl_tally().violations(), 0);
        assert_eq!(world.cluster.lies_told().values().sum::<u64>(), 1);
        let failures = failures(&world);
        assert_eq!(causes(&world).len(), failures.len(), "{:?}", causes(&world));
        world.finish();
        failures
    }

    #[test]
    fn a_broker_that_does_not_know_the_password_is_not_believed() {
        for mechanism in [Mechanism::ScramSha256, Mechanism::ScramSha512] {
            for (lie, failure) in [
                (SaslLie::AtOnce, Failure::Malformed),
                (SaslLie::Iterations(1), Failure::Iterations),
                (SaslLie::Iterations(4_095), Failure::Iterations),
                (SaslLie::Iterations(1_000_000_000), Failure::Iterations),
                (SaslLie::NonceNotExtended, Failure::Nonce),
                (SaslLie::OtherNonce, Failure::Nonce),
                (SaslLie::LongNonce(3_000), Failure::Malformed),
                (SaslLie::Salt(0), Failure::Salt),
                (SaslLie::Salt(3_000), Failure::Malformed),
                (SaslLie::SaltNotBase64, Failure::Salt),
                (SaslLie::WrongSignature, Failure::Signature),
                (SaslLie::NoSignature, Failure::Signature),
                (SaslLie::SignatureNotBase64, Failure::Signature),
                (SaslLie::ServerError, Failure::Signature),
            ] {
                let what = format!("{mechanism}: {lie:?}");
                assert_eq!(lied_to(mechanism, lie), [failure], "{what}");
            }
        }
    }

    #[test]
    fn a_session_that_cannot_be_lasts_as_long_as_it_can() {
        for lifetime in [i64::MAX, i64::MIN, -1, 0] {
            assert_eq!(lied_to(Mechanism::ScramSha256, SaslLie::Lifetime(lifetime)), []);
        }
        assert_eq!(lied_to(Mechanism::Plain, SaslLie::Lifetime(1)), []);
    }

    #[test]
    fn words_of_any_length_are_told_as_far_as_they_fit() {
        let code = ottla_core::wire::ErrorCode::SASL_AUTHENTICATION_FAILED;
        assert_eq!(lied_to(Mechanism::Plain, SaslLie::Refuse(code, 20_000)), [Failure::Refused]);
        let code = ottla_core::wire::ErrorCode(999);
        assert_eq!(lied_to(Mechanism::Plain, SaslLie::Refuse(code, 3)), [Failure::Error(code)]);
    }
}

/// A slow machine makes its keys in many slices, and lets time pass between: nothing else stands still.
#[test]
fn keys_of_many_iterations_are_made_in_slices() {
    let mut asks = SaslConfig::with(&Mechanism::ALL);
    asks.users.push(User { iterations: 16_384, ..User::new(USER, PASSWORD) });
    let mut world = outside(&quick(), asks);
    world.log_in(Mechanism::ScramSha512, PASSWORD);
    let begun = world.now;
    world.topic("t");
    assert!(world.now > begun && world.now < Instant::from_micros(100_000), "{:?}", world.now);
    go_on(&mut world, SECOND, 100 * MS);
    world.finish();
}
