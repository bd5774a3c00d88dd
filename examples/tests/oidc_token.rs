//! Tokens from a provider that is played on loopback: what it is asked, what is made of its answers, and a producer that
//! has them renewed.
#![allow(dead_code, reason = "the example is a program of its own")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use ottla_blocking::Record;
use ottla_model::{
    ClusterConfig,
    sasl::{Mechanism, SaslConfig, Token},
    serve::Server,
};

#[path = "../oidc_token.rs"]
mod example;

use example::{ClientCredentials, producer};

const SECRET: &str = "hunter2:secret&";

/// What the provider was asked.
#[derive(Debug)]
struct Asked {
    line: String,
    authorization: String,
    body: String,
}

/// A provider that gives these answers, one a connection, and the last one again and again.
fn provider(answers: Vec<String>) -> (String, Receiver<Asked>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/token", listener.local_addr().unwrap());
    let (tell, asked) = mpsc::channel();
    thread::spawn(move || {
        let last = answers.last().cloned();
        for answer in answers.into_iter().chain(core::iter::repeat_with(|| last.clone().unwrap())) {
            let (mut stream, _) = listener.accept().unwrap();
            // Whoever asked may be gone, and whoever looks as well.
            drop(tell.send(hear(&stream)));
            drop(stream.write_all(answer.as_bytes()));
        }
    });
    (endpoint, asked)
}

fn hear(stream: &TcpStream) -> Asked {
    let mut reader = BufReader::new(stream);
    let mut next = || {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    };
    let line = next();
    let (mut authorization, mut length) = (String::new(), 0);
    loop {
        let header = next();
        let Some((name, value)) = header.split_once(": ") else { break };
        match &*name.to_ascii_lowercase() {
            "authorization" => value.clone_into(&mut authorization),
            "content-length" => length = value.parse().unwrap(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    Asked { line, authorization, body: String::from_utf8(body).unwrap() }
}

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

fn credentials(endpoint: &str) -> ClientCredentials {
    ClientCredentials {
        endpoint: endpoint.to_owned(),
        client_id: "an id".to_owned(),
        client_secret: SECRET.to_owned(),
        scope: Some("kafka:write more".to_owned()),
        extensions: vec![("logicalCluster".to_owned(), "lkc-1".to_owned())],
    }
}

#[test]
fn the_provider_is_asked_as_the_standard_says() {
    let body = r#"{"access_token":"the.token","token_type":"Bearer","expires_in":3599}"#;
    let (endpoint, asked) = provider(vec![answer("200 OK", body)]);
    let token = credentials(&endpoint).fetch().unwrap();
    assert_eq!((&*token.text, token.lifetime.as_secs()), ("the.token", 3_599));
    assert_eq!(token.extensions, [("logicalCluster".to_owned(), "lkc-1".to_owned())]);
    let asked = asked.recv().unwrap();
    assert_eq!(asked.line, "POST /token HTTP/1.1");
    // base64 of `an%20id:hunter2%3Asecret%26`, by another program.
    assert_eq!(asked.authorization, "Basic YW4lMjBpZDpodW50ZXIyJTNBc2VjcmV0JTI2");
    assert_eq!(asked.body, "grant_type=client_credentials&scope=kafka%3Awrite+more");
}

#[test]
fn an_answer_without_a_token_says_why_and_no_secret() {
    let refused = r#"{"error":"invalid_client","error_description":"no such client"}"#;
    let elsewhere =
        answer("302 Found", "").replace("\r\n\r\n", "\r\nLocation: http://127.0.0.1:1/\r\n\r\n");
    for (answer, expected) in [
        (answer("401 Unauthorized", refused), "401 Unauthorized: invalid_client no such client"),
        (answer("500 Internal Server Error", "<html>"), "500 Internal Server Error"),
        (answer("200 OK", "<html>"), "has no bearer token"),
        (answer("200 OK", r#"{"access_token":"x","token_type":"mac"}"#), "has no bearer token"),
        (answer("200 OK", r#"{"token_type":"Bearer"}"#), "has no bearer token"),
        (answer("200 OK", &"x".repeat(70_000)), "limit"),
        (elsewhere, "302 Found"),
        (String::new(), ""),
    ] {
        let (endpoint, _asked) = provider(vec![answer]);
        let error = credentials(&endpoint).fetch().unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    let error = credentials("http://login.example.com/token").fetch().unwrap_err().to_string();
    assert!(error.contains("not https"), "{error}");
    let shown = format!("{:?}", credentials("https://login.example.com/token"));
    assert!(shown.contains("an id") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_producer_has_its_token_renewed() {
    let token = |text: &str, until| Token {
        text: text.to_owned(),
        principal: "a-client".to_owned(),
        until: Duration::from_secs(until),
    };
    let first = token("first", 2);
    let sasl = SaslConfig::with(&[Mechanism::OAuthBearer]).token(first).token(token("second", 900));
    let config = ClusterConfig { sasl: Some(sasl), ..ClusterConfig::default() };
    let server = Server::start(&[SocketAddr::from(([127, 0, 0, 1], 0))], config).unwrap();
    let good = |text: &str, seconds: u64| {
        let body =
            format!(r#"{{"access_token":"{text}","token_type":"bearer","expires_in":{seconds}}}"#);
        answer("200 OK", &body)
    };
    // Busy once, which does no harm.
    let busy = answer("503 Service Unavailable", "");
    let (endpoint, asked) = provider(vec![busy, good("first", 1), good("second", 900)]);
    let brokers = server.bootstrap_servers();
    let properties = [
        ("bootstrap.servers", &*brokers),
        ("security.protocol", "SASL_PLAINTEXT"),
        ("retry.backoff.max.ms", "100"),
    ];
    let producer = producer(&properties, credentials(&endpoint)).unwrap();
    let topic = producer.topic("readings").unwrap();
    for value in ["21.5", "21.6"] {
        let record = Record { value: Some(value.as_bytes()), ..Record::default() };
        let outcome = producer.send(&topic, &record).unwrap().wait();
        assert!(outcome.is_delivered(), "{outcome}");
        thread::sleep(Duration::from_millis(2_200));
    }
    assert!(producer.close(Duration::from_secs(5)).complete);
    assert_eq!(asked.try_iter().count(), 3);
}
