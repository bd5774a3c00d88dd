//! Three outcomes, and what to do with each. Try it against `ottla broker`, or any Kafka:
//! `cargo run -p ottla-tokio --example outcomes -- localhost:9092`.
use core::{error::Error, time::Duration};

use ottla_tokio::{Producer, Record, RecordOutcome};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let brokers = std::env::args().nth(1).unwrap_or_else(|| "localhost:9092".to_owned());
    let producer = Producer::from_properties([("bootstrap.servers", brokers.as_str())])?;
    let topic = producer.topic("readings")?;
    let record = Record {
        key: Some(b"sensor-7"),
        value: Some(b"21.5"),
        // Where no answer has come after two seconds, the record is cancelled, and that is an answer.
        timeout: Some(Duration::from_secs(2)),
        ..Record::default()
    };

    // Waits while record memory is full or the topic is not known yet, at most `max.block.ms`.
    let delivery = producer.send(&topic, &record).await?;

    match (&delivery).await {
        RecordOutcome::Delivered { partition, offset, .. } => {
            println!("in the log, once: partition {partition}, offset {offset:?}");
        }
        RecordOutcome::NotDelivered(cause) => {
            println!("not in the log, now or later ({cause}): safe to send again, or to drop");
        }
        RecordOutcome::Unknown(cause) => {
            // Sending again could duplicate the record. Waiting for the same one cannot.
            println!("not known yet ({cause}); the producer goes on to find out");
            println!("final outcome: {}", delivery.final_outcome().await);
        }
        _ => {}
    }

    let report = producer.close(Duration::from_secs(5)).await;
    println!("{report}");
    Ok(())
}
