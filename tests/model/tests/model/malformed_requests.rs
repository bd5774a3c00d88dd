//! No bytes can break it.

use ottla_core::wire::ApiKey;
use ottla_model::Connection;
use proptest::{collection::vec, prelude::*};

use crate::wire_client::{
    Client, T0, batch, by_name, init_request, metadata_request, one_node, request, versions_request,
};

/// A frame that has its size and is otherwise anything.
fn framed(api: i16, version: i16, body: &[u8]) -> Vec<u8> {
    request(ApiKey(api), version, 1, |w, _| w.bytes(body))
}

fn good_frames() -> Vec<Vec<u8>> {
    let cluster = one_node();
    let mut frames = vec![
        versions_request(3),
        init_request(4, Some("tx")),
        metadata_request(12, Some(&[by_name("t"), by_name("u")]), true),
    ];
    for version in [3, 9, 13] {
        let client = Client::new(&cluster, 1).speaking(version);
        frames.push(client.request(&cluster, 0, batch(0, 0, 5).bytes()));
    }
    frames
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..600)) {
        let mut cluster = one_node();
        let mut connection = Connection::new(&cluster, 1);
        connection.receive(&mut cluster, T0, &bytes);
        connection.handle_eof();
        connection.advance(&mut cluster, T0);
        prop_assert!(connection.is_closed());
    }

    #[test]
    fn random_bodies_never_panic(
        api in prop_oneof![Just(0_i16), Just(3), Just(18), Just(22), any::<i16>()],
        version in prop_oneof![-1_i16..15, any::<i16>()],
        body in vec(any::<u8>(), 0..300),
    ) {
        let mut cluster = one_node();
        let mut connection = Connection::new(&cluster, 1);
        connection.receive(&mut cluster, T0, &framed(api, version, &body));
        connection.advance(&mut cluster, T0);
    }

    #[test]
    fn good_frames_with_wrong_bytes_never_panic(
        which in 0_usize..6,
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut frame = good_frames().swap_remove(which);
        for (at, byte) in changes {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        let mut cluster = one_node();
        let mut connection = Connection::new(&cluster, 1);
        connection.receive(&mut cluster, T0, &frame);
        connection.handle_eof();
        connection.advance(&mut cluster, T0);
    }

    #[test]
    fn batches_with_wrong_bytes_and_a_right_checksum_never_panic(
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = batch(0, 0, 5).bytes();
        for (at, byte) in changes {
            let at = 21 + at.index(bytes.len() - 21);
            bytes[at] = byte;
        }
        let crc = ottla_core::wire::crc32c(0, &bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        let mut cluster = one_node();
        let mut client = Client::new(&cluster, 1);
        let produced = client.produce_bytes(&mut cluster, T0, 0, bytes);
        let (error, _) = produced.only();
        // What was taken can be read, and makes up the log.
        if error.is_none() && cluster.batches("t", 0).all(|b| b.header.attributes.compression() == 0) {
            let read = cluster.log("t", 0).count();
            prop_assert_eq!(i64::try_from(read).unwrap(), cluster.end_offset("t", 0));
        }
    }
}
