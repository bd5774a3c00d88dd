//! What a delivery is good for.

use ottla_adapter_tests::{Adapter, Delivery, Producer, Record, on_each, serve};

on_each!(a_delivery_is_waited_for_again_and_dropped_without_a_word);

fn value(bytes: &[u8]) -> Record<'_> {
    Record { value: Some(bytes), ..Record::default() }
}

async fn a_delivery_is_waited_for_again_and_dropped_without_a_word(on: Adapter) {
    let server = serve(2, &[("t", 2)]);
    let servers = server.bootstrap_servers();
    let properties = [("bootstrap.servers", servers.as_str()), ("linger.ms", "0")];
    let producer = Producer::builder(on).properties(properties).build().unwrap();
    let topic = producer.topic("t").unwrap();
    match producer.send(&topic, &value(b"a")).await.unwrap() {
        Delivery::Tokio(delivery) => {
            assert!((&delivery).await.is_delivered() && (&delivery).await.is_delivered());
            assert!(delivery.await.is_delivered());
        }
        Delivery::Threads(delivery) => {
            assert!(delivery.wait().is_delivered() && delivery.reattach().wait().is_delivered());
        }
    }
    // To detach is no mistake, and nobody is warned of it.
    #[deny(unused_must_use)]
    match &producer {
        Producer::Tokio(producer) => {
            producer.send(&topic, &value(b"b")).await.unwrap();
            producer.try_send(&topic, &value(b"c")).unwrap();
            producer.send_detached(&topic, &value(b"d")).await.unwrap();
        }
        Producer::Threads(producer) => {
            producer.send(&topic, &value(b"b")).unwrap();
            producer.try_send(&topic, &value(b"c")).unwrap();
            producer.send_detached(&topic, &value(b"d")).unwrap();
        }
    }
    producer.flush().await;
    let count = |partition| server.with_cluster(|cluster| cluster.log("t", partition).count());
    assert_eq!(count(0) + count(1), 4);
}
