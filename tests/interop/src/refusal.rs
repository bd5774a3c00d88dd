//! What is told where a cluster lets nobody in.

use core::time::Duration;

use crate::{Client, Message, version};

/// How long it is waited for an outcome that should not come.
const LIMIT: Duration = Duration::from_secs(30);

/// Sends a record to topic `t`, which is refused with all of these words, ends the client, and tells what was said.
///
/// # Panics
/// Where the record was taken, or a word is missing.
pub fn assert_refused(what: &str, client: &Client, words: &[&str]) -> String {
    let topic = client.topic("t").unwrap();
    let said = match client.send(&topic, &Message::text("v"), None) {
        Err(error) => error.to_string(),
        Ok(receipt) => panic!("{what}: {:?}", receipt.last(LIMIT)),
    };
    drop(client.close(Duration::ZERO));
    println!("Kafka {}, {what}: {said}", version());
    for word in words {
        assert!(said.contains(word), "{what}: {said:?} does not say {word:?}");
    }
    said
}
