//! `ottla demo`: a record whose outcome is unknown for a while, and what an application does then.

use core::{
    fmt::{self, Arguments},
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use std::thread;

use anyhow::{Context as _, anyhow, ensure};
use ottla_blocking::{Cause, Delivery, Producer, Record, RecordOutcome};
use ottla_client::{Clock, Topic};
use ottla_core::Instant;
use ottla_model::{Action, ClusterConfig, Fault, serve::Server};

use crate::stdout_stderr::OUT;

const TOPIC: &str = "story";
/// What the application grants a record.
const DEADLINE: Duration = Duration::from_secs(1);
/// How much longer than that the broker is frozen.
const LONGER: Duration = Duration::from_millis(700);
/// After which a request without an answer counts as lost, and is sent again.
const REQUEST_TIMEOUT: &str = "2000";
/// No wait takes nearly as long; without an answer by then the demo has failed.
const AT_MOST: Duration = Duration::from_secs(20);
const NODE: i32 = 1;

/// One of the story's versions.
#[derive(Clone, Copy, Debug)]
struct Version {
    title: &'static str,
    trouble: Trouble,
    idempotent: bool,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// The broker freezes before it has A.
    Frozen,
    /// The broker has A, and its answer is lost.
    AnswerLost,
}

const VERSIONS: [Version; 3] = [
    Version { title: "the broker freezes", trouble: Trouble::Frozen, idempotent: true },
    Version { title: "the answer is lost", trouble: Trouble::AnswerLost, idempotent: true },
    Version {
        title: "the answer is lost, and there is no idempotence",
        trouble: Trouble::AnswerLost,
        idempotent: false,
    },
];

/// Tells the story in its versions, and checks each against the broker's log.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut story = Story { clock: Clock::start() };
    OUT.line(format_args!(
        "A record gets a second to be answered in, and the network chooses that second to fail."
    ));
    let (mut good, mut twice) = (0, 0);
    for (number, version) in (1..).zip(&VERSIONS) {
        OUT.line(format_args!("\n{number}. {}", version.title));
        story.clock = Clock::start();
        let log = story.tell(version).with_context(|| format!("version {number}"))?;
        let words = log.join(" ");
        story.say(format_args!("the log, read back from the broker: {words}"));
        if version.idempotent {
            ensure!(words == "warm A B C", "version {number}: the log is not `warm A B C`");
            story.say(format_args!("every record once, and in order"));
            good += 1;
        } else {
            let mut once = log.clone();
            once.dedup();
            twice = log.iter().filter(|value| *value == "A").count();
            ensure!(once.join(" ") == "warm A B C", "version {number}: the log has other records");
            ensure!(twice > 1, "version {number}: sending A again went well, by luck");
            story.say(format_args!("A is there {}", Times(twice)));
        }
    }
    OUT.line(format_args!(
        "\nchecked: {good} runs with idempotence: every record once, in order; without: A {}",
        Times(twice)
    ));
    Ok(())
}

/// Once, twice, …
struct Times(usize);

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("once"),
            2 => f.write_str("twice"),
            times => write!(f, "{times} times"),
        }
    }
}

struct Story {
    clock: Clock,
}

impl Story {
    fn say(&self, what: Arguments<'_>) {
        let seconds = self.clock.now().since(Instant::ZERO).as_secs_f64();
        OUT.line(format_args!("{seconds:8.3} s  {what}"));
    }

    /// Plays one version. Returns the values in the log.
    fn tell(&mut self, version: &Version) -> anyhow::Result<Vec<String>> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = Server::start(&[any], ClusterConfig::default())
            .context("the model broker did not start")?;
        server
            .with_cluster(|cluster| cluster.create_topic(TOPIC, 1))
            .map_err(|e| anyhow!("{e}"))?;
        let producer = Producer::from_properties([
            ("bootstrap.servers", server.bootstrap_servers().as_str()),
            ("enable.idempotence", if version.idempotent { "true" } else { "false" }),
            ("request.timeout.ms", REQUEST_TIMEOUT),
            ("linger.ms", "0"),
        ])?;
        let topic = producer.topic(TOPIC)?;
        self.deliver(&producer, &topic, "warm")?;
        match version.trouble {
            Trouble::Frozen => {
                let freeze = server.with_cluster(|cluster| cluster.freeze(NODE));
                freeze.map_err(|error| anyhow!("{error}"))?;
                self.say(format_args!("the broker freezes: it takes bytes and says nothing"));
            }
            Trouble::AnswerLost => {
                let lose = Fault::produce(Action::Swallow);
                server.with_cluster(|cluster| cluster.inject(lose));
                self.say(format_args!("the next record will be appended, and its answer lost"));
            }
        }
        let a = self.send_a(&producer, &topic)?;
        if let Trouble::Frozen = version.trouble {
            thread::sleep(LONGER);
            let thaw = server.with_cluster(|cluster| cluster.thaw(NODE));
            thaw.map_err(|error| anyhow!("{error}"))?;
            self.say(format_args!("the broker thaws"));
        }
        if version.idempotent {
            self.say(format_args!("the application reattaches to A; it does not send A again"));
            let late = self.last_word(&a, "the final outcome of A")?;
            if let Trouble::AnswerLost = version.trouble {
                self.say(format_args!("  (the same bytes went out again; the broker knew them)"));
            }
            let at = matches!(late, RecordOutcome::Delivered { offset: Some(1), .. });
            ensure!(at, "A belongs at offset 1");
        } else {
            self.say(format_args!("the application has to guess, and sends A again"));
            let again = producer.send(&topic, &value("A"))?;
            self.last_word(&a, "A, by the producer's retry")?;
            self.last_word(&again, "A, sent again")?;
        }
        for name in ["B", "C"] {
            self.deliver(&producer, &topic, name)?;
        }
        ensure!(producer.close(AT_MOST).complete, "the producer did not close");
        let text = |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or(b"?")).into();
        Ok(server.with_cluster(|cluster| {
            cluster.log(TOPIC, 0).map(|record| text(record.value)).collect()
        }))
    }

    /// Sends A, which is to be answered in time, and truly: nobody can know yet.
    fn send_a(&mut self, producer: &Producer, topic: &Topic) -> anyhow::Result<Delivery> {
        self.say(format_args!("A is sent, with a deadline of {DEADLINE:?}"));
        let sent = self.clock.now();
        let record = Record { timeout: Some(DEADLINE), ..value("A") };
        let delivery = producer.send(topic, &record)?;
        let answer = delivery.wait_timeout(AT_MOST).context("A has no answer")?;
        let late = self.clock.now().since(sent).saturating_sub(DEADLINE).as_secs_f64() * 1e3;
        self.say(format_args!("A: {answer} (answered {late:.1} ms after the deadline)"));
        ensure!(answer == RecordOutcome::Unknown(Cause::Deadline.into()), "A should be unknown");
        Ok(delivery)
    }

    fn last_word(&mut self, delivery: &Delivery, what: &str) -> anyhow::Result<RecordOutcome> {
        let last = delivery.reattach().final_outcome().wait_timeout(AT_MOST);
        let last = last.context("A's outcome stays unknown")?;
        self.say(format_args!("{what}: {last}"));
        ensure!(last.is_delivered(), "A should be delivered in the end");
        Ok(last)
    }

    fn deliver(
        &mut self,
        producer: &Producer,
        topic: &Topic,
        name: &'static str,
    ) -> anyhow::Result<()> {
        let delivery = producer.send(topic, &value(name))?;
        let outcome =
            delivery.wait_timeout(AT_MOST).with_context(|| format!("{name}: no answer"))?;
        self.say(format_args!("{name}: {outcome}"));
        ensure!(outcome.is_delivered(), "{name} should be delivered");
        Ok(())
    }
}

fn value(name: &str) -> Record<'_> {
    Record { value: Some(name.as_bytes()), ..Record::default() }
}
