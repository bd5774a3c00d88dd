//! The keys that ottla derives for SCRAM, with Kafka's own client as the witness.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ottla_core::{Credentials, internal_scram_keys};
use ottla_kafka::{Cluster, Config, VERSIONS};

/// How many keys of each mechanism; Java derives each of them anew.
const CASES: usize = 100;

fn no_entropy(_: &mut [u8]) -> bool {
    false
}

fn ours(mechanism: &str, password: &str, salt: &[u8], iterations: u32) -> [Vec<u8>; 2] {
    let (username, entropy) = ("alice", no_entropy as ottla_core::Entropy);
    let credentials = match mechanism {
        "SCRAM-SHA-256" => Credentials::ScramSha256 { username, password, entropy },
        _ => Credentials::ScramSha512 { username, password, entropy },
    };
    let (nonce, salt) = ("A".repeat(24), BASE64_STANDARD.encode(salt));
    let first = format!("r={nonce}broker,s={salt},i={iterations}");
    let (mut stored, mut server) = ([0; 64], [0; 64]);
    let len = internal_scram_keys(&credentials, first.as_bytes(), &mut stored, &mut server);
    [stored, server].map(|key| key[..len].to_vec())
}

#[test]
#[ignore = "needs Java and Maven"]
fn keys_are_as_kafkas_own_client_derives_them() {
    let cluster = Cluster::start(&Config::new(VERSIONS[3], 1).unwrap()).unwrap();
    let mut random = fastrand::Rng::with_seed(5);
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        for case in 0..CASES {
            let len = random.usize(1..=255);
            let password: String = (0..len).map(|_| random.u8(b' '..=b'~') as char).collect();
            let salt: Vec<u8> = (0..random.usize(1..=64)).map(|_| random.u8(..)).collect();
            // Both ends of the range, and what is between.
            let iterations = [4_096, 16_384, random.u32(4_096..=16_384)][case % 3];
            let theirs = cluster.tool().scram_keys(mechanism, &password, &salt, iterations);
            let ours = ours(mechanism, &password, &salt, iterations);
            assert!(!ours[0].is_empty(), "{mechanism}, case {case}: refused");
            assert_eq!(ours, theirs.unwrap(), "{mechanism}, case {case}: {password:?}");
        }
    }
}
