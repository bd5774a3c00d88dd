//! Properties from a file, secrets from elsewhere, and tokens that another program renews; and that no secret is told.

mod common;

use core::time::Duration;
use std::{fs, thread};

use common::{DRIVERS, Ran, Scratch, Talk};
use ottla_model::{
    AutoCreate, ClusterConfig,
    sasl::{Mechanism, SaslConfig, Token},
    serve::Server,
};

/// What must never be told.
const SECRET: &str = "hunter2-secret";
const TOPIC: [&str; 3] = ["produce", "--topic", "t"];

fn cluster(sasl: SaslConfig) -> Server {
    let auto_create = AutoCreate::Never;
    let config = ClusterConfig { auto_create, sasl: Some(sasl), ..ClusterConfig::default() };
    let server = Server::start(&["127.0.0.1:0".parse().unwrap()], config).unwrap();
    server.with_cluster(|cluster| cluster.create_topic("t", 1)).unwrap();
    server
}

/// Lets in alice by her password, which is the secret.
fn passwords() -> Server {
    let all = [Mechanism::Plain, Mechanism::ScramSha256, Mechanism::ScramSha512];
    cluster(SaslConfig::with(&all).user("alice", SECRET))
}

fn token(text: &str, until: Duration) -> Token {
    Token { text: text.to_owned(), principal: "alice".to_owned(), until }
}

/// A file with that in it.
fn file(name: &str, text: &str) -> Scratch {
    let scratch = Scratch::new(name);
    fs::write(scratch.path(), text).unwrap();
    scratch
}

/// One line, with these arguments besides and all that is logged; nothing of it is the secret.
fn produce(args: &[&str], env: &[(&str, &str)]) -> Ran {
    let env = [env, &[("RUST_LOG", "trace")]].concat();
    let mut talk = Talk::start(&[&TOPIC[..], args].concat(), &env);
    // Where it was refused, nobody reads.
    talk.try_say("a");
    let ran = talk.end();
    assert!(!ran.stdout.contains(SECRET) && !ran.stderr.contains(SECRET), "{ran:?}");
    ran
}

fn delivers(args: &[&str], env: &[(&str, &str)]) {
    let ran = produce(args, env);
    assert_eq!((ran.status, ran.counts()), (0, [1, 0, 0]), "{ran:?}");
}

#[test]
fn a_file_of_javas_is_read_with_its_comments_escapes_and_long_lines() {
    let cluster = passwords();
    let module = "org.apache.kafka.common.security.scram.ScramLoginModule";
    let text = format!(
        "# as a console prints it\n! more of it\nbootstrap.servers={}\r\n  security.protocol : SASL_PLAINTEXT\n\
         sasl.mechanism SCRAM-SHA-\\u0035\\\n    12\nsasl.jaas.config={module} required \\\n    \
         username=\"alice\" \\\n    password=\"{SECRET}\";\nclient.dns.lookup=use_all_dns_ips\nacks=all\n",
        cluster.bootstrap_servers()
    );
    let config = file("javas", &text);
    for driver in DRIVERS {
        delivers(&["--driver", driver, "--config", config.path()], &[]);
    }
}

#[test]
fn an_argument_counts_before_the_file() {
    let cluster = passwords();
    let text = "bootstrap.servers=127.0.0.1:1\nsecurity.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-256\n\
                sasl.username=alice\nsasl.password=env:NO_SUCH_VARIABLE\nssl.truststore.type=JKS\nlinger.ms=soon\n";
    let config = file("overruled", text);
    let bootstrap = cluster.bootstrap_servers();
    let args = ["--config", config.path(), "--bootstrap", &bootstrap];
    let password = format!("sasl.password={SECRET}");
    let args = [&args[..], &["--property", "linger.ms=0", "--property", &password]].concat();
    let args = [&args[..], &["--property", "ssl.truststore.type=PEM"]].concat();
    delivers(&args, &[]);
}

#[test]
fn secrets_are_read_from_the_environment_and_from_files() {
    let cluster = passwords();
    let bootstrap = cluster.bootstrap_servers();
    let with_break = file("password", &format!("{SECRET}\r\n"));
    let jaas = format!(
        "org.apache.kafka.common.security.plain.PlainLoginModule required username='alice' password='{SECRET}';\n"
    );
    let jaas = file("jaas", &jaas);
    let in_file = format!("sasl.password=file:{}", with_break.path());
    let in_jaas = format!("sasl.jaas.config=file:{}", jaas.path());
    let env = [("OTTLA_TEST_USER", "alice"), ("OTTLA_TEST_PASSWORD", SECRET)];
    let user = "sasl.username=env:OTTLA_TEST_USER";
    for driver in DRIVERS {
        for properties in [
            &["sasl.mechanism=SCRAM-SHA-512", user, "sasl.password=env:OTTLA_TEST_PASSWORD"][..],
            &["sasl.mechanism=SCRAM-SHA-512", user, &in_file],
            &["sasl.mechanism=PLAIN", &in_jaas],
        ] {
            let place = ["--driver", driver, "--bootstrap", &bootstrap];
            let protocol = ["--property", "security.protocol=SASL_PLAINTEXT"];
            let properties = properties.iter().flat_map(|property| ["--property", *property]);
            let args: Vec<_> = place.into_iter().chain(protocol).chain(properties).collect();
            delivers(&args, &env);
            let text: String =
                args.iter().filter(|arg| arg.contains('=')).map(|arg| format!("{arg}\n")).collect();
            let config = file(&format!("elsewhere-{driver}"), &text);
            delivers(&[&place[..], &["--config", config.path()]].concat(), &env);
        }
    }
}

#[test]
fn a_secret_that_is_not_there_is_told_by_its_property_and_place() {
    let missing = Scratch::new("missing");
    let large = file("large", &SECRET.repeat(5_000));
    let (empty, folder) = (file("empty", "\n"), env!("CARGO_TARGET_TMPDIR"));
    let odd = Scratch::new("odd");
    fs::write(odd.path(), [SECRET.as_bytes(), b"\xff"].concat()).unwrap();
    let at = |path: &str| format!("file:{path}");
    for (place, why) in [
        ("env:OTTLA_NO_SUCH".to_owned(), "there is no such variable"),
        ("env:".to_owned(), "there is no such variable"),
        ("env:OTTLA_EMPTY".to_owned(), "it is empty"),
        (at(missing.path()), "No such file"),
        (at(folder), "directory"),
        (at(large.path()), "it has more than 64 KiB"),
        (at(empty.path()), "it is empty"),
        (at(odd.path()), "it is not UTF-8"),
    ] {
        let env = [("OTTLA_EMPTY", "")];
        for name in ["sasl.password", "sasl.jaas.config", "ssl.key.pem", "ssl.key.password"] {
            let property = format!("{name}={place}");
            let told = format!("ottla: --property: {name}: {place}: ");
            produce(&["--property", &property], &env).refused(&[&told, why]);
        }
        let config = file("places", &format!("# c\nsasl.password={place}\n"));
        let told = format!("ottla: --config {}, line 2: sasl.password: {place}: ", config.path());
        produce(&["--config", config.path()], &env).refused(&[&told, why]);
        if place != at(odd.path()) {
            produce(&["--property", "sasl.mechanism=OAUTHBEARER", "--token", &place], &env)
                .refused(&[&format!("ottla: --token: {place}: "), why]);
        }
    }
    // What is no secret is taken as it is.
    let ran = produce(&["--property", "client.id=env:OTTLA_NO_SUCH", "--quiet"], &[]);
    assert_eq!(ran.status, 0, "{ran:?}");
}

#[test]
fn what_is_refused_is_told_by_its_line_and_without_its_value() {
    let refused = |text: &str, says: &[&str]| {
        let config = file("refused", text);
        produce(&["--config", config.path()], &[])
            .refused(&[&[&*format!("--config {}", config.path())], says].concat());
    };
    refused("acks=all\nlingr.ms=5", &[", line 2: unknown property \"lingr.ms\"", "\"linger.ms\""]);
    refused("\n\nlinger.ms=soon", &[", line 3: property \"linger.ms\" is \"soon\""]);
    refused(&format!("sasl.pasword={SECRET}"), &[", line 1: ", "mean \"sasl.password\""]);
    refused(&format!("sasl.jaas.config={SECRET}"), &[", line 1: ", "PlainLoginModule required"]);
    refused(&format!("a=\\u00\n{SECRET}"), &[": line 1: expected four hexadecimal digits"]);
    refused(&format!("acks=all\n\"{SECRET}\";\n"), &[": line 2: expected NAME=VALUE"]);
    refused(&format!("ssl.key.password={SECRET}"), &[", line 1: ", "openssl pkcs8"]);
    refused(
        &format!("security.protocol=SASL_PLAINTEXT\nsasl.username=a\nsasl.password={SECRET}"),
        &["--config", "sasl.mechanism: expected PLAIN"],
    );
    produce(&["--config", "no-such-file"], &[]).refused(&["--config no-such-file: "]);
    let odd = Scratch::new("odd-config");
    fs::write(odd.path(), b"acks=all\xff").unwrap();
    produce(&["--config", odd.path()], &[]).refused(&["--config", "UTF-8"]);
    for argument in
        ["sasl.password hunter2-secret", "=hunter2-secret", "sasl.password:hunter2-secret"]
    {
        produce(&["--property", argument], &[]).refused(&["--property", "NAME=VALUE"]);
    }
    produce(&["--token", SECRET], &[]).refused(&["--token", "env:NAME or file:PATH"]);
    let ran = common::ottla(
        &["broker", "--sasl-mechanism", "PLAIN", "--sasl-user", ":hunter2-secret"],
        b"",
    );
    ran.refused(&["--sasl-user", "NAME:PASSWORD"]);
    assert!(!ran.stderr.contains(SECRET), "{ran:?}");
}

#[test]
fn a_password_that_is_refused_is_told_of_and_not_told() {
    let cluster = cluster(SaslConfig::with(&Mechanism::ALL[..3]).user("alice", "another"));
    let bootstrap = cluster.bootstrap_servers();
    let env = [("OTTLA_TEST_PASSWORD", SECRET)];
    for driver in DRIVERS {
        for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
            let mechanism = format!("sasl.mechanism={mechanism}");
            let properties = [
                "max.block.ms=2500",
                "security.protocol=SASL_PLAINTEXT",
                "sasl.username=alice",
                "sasl.password=env:OTTLA_TEST_PASSWORD",
                &mechanism,
            ];
            let properties = properties.iter().flat_map(|property| ["--property", property]);
            let args: Vec<_> = ["--driver", driver, "--bootstrap", &bootstrap]
                .into_iter()
                .chain(properties)
                .collect();
            let ran = produce(&args, &env);
            assert_eq!((ran.status, ran.counts()), (2, [0, 1, 0]), "{ran:?}");
            assert!(ran.stderr.contains("look at sasl.username and sasl.password"), "{ran:?}");
        }
    }
}

#[test]
fn a_token_is_read_anew_each_time_one_is_wanted() {
    for driver in DRIVERS {
        let hour = Duration::from_secs(3_600);
        let tokens = SaslConfig::with(&[Mechanism::OAuthBearer])
            .token(token("first", Duration::from_secs(2)))
            .token(token("second", hour));
        let cluster = cluster(tokens);
        let place = file(&format!("token-{driver}"), "first\n");
        let at = format!("file:{}", place.path());
        let bootstrap = cluster.bootstrap_servers();
        let args = ["--driver", driver, "--bootstrap", &bootstrap, "--token", &at];
        let properties = ["--property", "security.protocol=SASL_PLAINTEXT"];
        let mechanism = ["--property", "sasl.mechanism=OAUTHBEARER", "--token-lifetime", "1"];
        let args = [&TOPIC[..], &args[..], &properties[..], &mechanism[..]].concat();
        let mut talk = Talk::start(&args, &[]);
        talk.say("a");
        common::wait_for("a", || cluster.with_cluster(|cluster| cluster.log("t", 0).count() == 1));
        fs::write(place.path(), "second\n").unwrap();
        // Until the first is good no longer.
        thread::sleep(Duration::from_millis(2_200));
        talk.say("b");
        let ran = talk.end();
        assert_eq!((ran.status, ran.counts()), (0, [2, 0, 0]), "{ran:?}");
        assert!(ran.seconds() < 10.0, "{ran:?}");
    }
}

#[test]
fn a_token_that_is_over_or_for_nothing_is_refused() {
    // {"exp":1700000000}
    let args = ["--property", "sasl.mechanism=OAUTHBEARER", "--token", "env:OTTLA_TEST_TOKEN"];
    let over = [("OTTLA_TEST_TOKEN", "e30.eyJleHAiOjE3MDAwMDAwMDB9.aHVudGVyMg")];
    let ran = produce(&args, &over);
    ran.refused(&["--token: env:OTTLA_TEST_TOKEN: the token ended", "`exp`"]);
    assert!(!ran.stderr.contains("eyJ"), "{ran:?}");
    produce(&["--property", "sasl.mechanism=OAUTHBEARER"], &[]).refused(&["--token env:NAME"]);
    let other = ["--property", "sasl.mechanism=PLAIN", "--token", "env:OTTLA_TEST_TOKEN"];
    produce(&other, &over).refused(&["--token: it is for sasl.mechanism=OAUTHBEARER"]);
    produce(&["--token-lifetime", "5"], &[]).refused(&["--token"]);
    produce(&["--token-extension", "a=b"], &[]).refused(&["--token"]);
}
