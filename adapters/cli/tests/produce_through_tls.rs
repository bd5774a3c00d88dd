//! `ottla produce` to a model broker with TLS before it.

mod common;

use std::fs;

use common::{DRIVERS, Scratch, Talk, ottla, server};
use ottla_adapter_tests::tls::{Authority, Demands, front};

/// What the builder judges, and not the core, has the argument's name as well.
#[test]
fn lines_are_delivered_through_tls() {
    let (server, authority) = (server(), Authority::new());
    let identity = authority.sign(&["localhost"]);
    let bootstrap = front(&server, "localhost", &identity, &Demands::default());
    let trusted = Scratch::new("tls-ca.pem");
    fs::write(trusted.path(), authority.certificate()).unwrap();
    let trusted = format!("ssl.ca.location={}", trusted.path());
    for driver in DRIVERS {
        let args = ["produce", "--topic", "t", "--driver", driver, "--bootstrap", &bootstrap];
        let args = [&args[..], &["--property", "security.protocol=SSL", "--property"]].concat();
        let ran = ottla(&[&args[..], &[&trusted]].concat(), b"a\nb\n");
        assert_eq!((ran.status, ran.counts()), (0, [2, 0, 0]), "{ran:?}");
        let ran = ottla(&[&args[..], &["ssl.ca.location=/nowhere"]].concat(), b"a\n");
        ran.refused(&["--property: ssl.ca.location: /nowhere: No such file"]);
    }
}

/// As OpenSSL has them: a file, or a folder of files, in place of what the system trusts.
#[test]
fn the_environment_names_who_is_trusted_where_no_property_does() {
    let (server, authority) = (server(), Authority::new());
    let identity = authority.sign(&["localhost"]);
    let bootstrap = front(&server, "localhost", &identity, &Demands::default());
    let folder = Scratch::new("tls-trusted");
    let trusted = format!("{}/ca.pem", folder.path());
    fs::create_dir_all(folder.path()).unwrap();
    fs::write(&trusted, authority.certificate()).unwrap();
    for variable in [("SSL_CERT_FILE", &*trusted), ("SSL_CERT_DIR", folder.path())] {
        let args = ["produce", "--topic", "t", "--bootstrap", &bootstrap, "--property"];
        let args = [&args[..], &["security.protocol=SSL"]].concat();
        let mut talk = Talk::start(&args, &[variable]);
        talk.say("a");
        let ran = talk.end();
        assert_eq!((ran.status, ran.counts()), (0, [1, 0, 0]), "{variable:?}: {ran:?}");
    }
    fs::remove_dir_all(folder.path()).unwrap();
}
