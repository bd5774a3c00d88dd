//! The pages of `docs/providers`: their properties are taken, and the messages that they quote are said.

use std::{
    fs,
    path::{Path, PathBuf},
};

#[cfg(feature = "tls")]
use ottla_adapter_tests::{OAuthToken, tls::Authority};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All pages, by name.
fn pages() -> Vec<(String, String)> {
    let folder = fs::read_dir(root().join("docs/providers")).unwrap();
    let pages: Vec<_> = folder
        .map(|entry| entry.unwrap())
        .map(|entry| {
            (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap())
        })
        .collect();
    assert!(pages.len() >= 5, "{pages:?}");
    pages
}

/// The texts between such fences.
#[cfg(feature = "tls")]
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let parts = page.split(&format!("```{language}\n")).skip(1).collect::<Vec<_>>();
    parts.into_iter().map(|part| part.split("```").next().unwrap()).collect()
}

#[cfg(feature = "tls")]
#[test]
fn their_properties_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let identity = authority.sign(&["localhost"]);
    let pem = folder.path().join("all.pem");
    let text = format!("{}{}{}", identity.key, identity.certificate, authority.certificate());
    fs::write(&pem, text).unwrap();
    for (name, page) in pages() {
        let blocks = blocks(&page, "properties");
        assert!(!blocks.is_empty(), "{name}");
        for block in blocks {
            let mut builder = ottla_blocking::Producer::builder();
            for line in block.lines() {
                let (name, value) = line.split_once('=').unwrap();
                let is_file = name.ends_with(".location");
                builder =
                    builder.property(name, if is_file { pem.to_str().unwrap() } else { value });
                if value == "OAUTHBEARER" {
                    builder =
                        builder.token(|| Ok(OAuthToken::new("t", core::time::Duration::ZERO)));
                }
            }
            if let Err(error) = builder.build() {
                panic!("{name}: {error}\n{block}");
            }
        }
    }
}

/// All texts of the client and of the core, without the breaks that their sources have for width.
fn sources() -> String {
    fn gather(folder: &Path, into: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                gather(&path, into);
            } else {
                *into += &fs::read_to_string(path).unwrap();
            }
        }
    }
    let mut all = String::new();
    ["core/src", "adapters/client/src"]
        .iter()
        .for_each(|folder| gather(&root().join(folder), &mut all));
    let pieces: Vec<&str> = all.split("\\\n").map(str::trim_start).collect();
    pieces.concat()
}

/// Whether that is said: in one piece, or in several that others say after each other.
fn is_said(message: &str, sources: &str) -> bool {
    let starts =
        message.char_indices().map(|(at, _)| at).filter(|at| message[..*at].ends_with(": "));
    sources.contains(message)
        || starts.into_iter().any(|at| {
            let (first, rest) = message.split_at(at);
            sources.contains(first.trim_end_matches([' ', ':'])) && is_said(rest, sources)
        })
}

#[test]
fn the_messages_that_they_quote_are_said() {
    let sources = sources();
    let mut quoted = 0;
    let secured = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let (_, sasl) = secured.split_once("\n## SASL\n").expect("a section on SASL");
    let pages = pages().into_iter().chain([("security.md".to_owned(), sasl.to_owned())]);
    for (name, page) in pages {
        let (_, table) = page.split_once("\n| what is told |").unwrap();
        for row in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
            let message = row.split('`').nth(1).unwrap();
            // A code's name and its number are in a table of their own.
            let message = message.trim_end_matches(|char: char| "0123456789() ".contains(char));
            for part in message.split('…').map(|part| part.trim_matches([' ', ':'])) {
                assert!(part.is_empty() || is_said(part, &sources), "{name}: {part}");
                quoted += 1;
            }
        }
    }
    assert!(quoted >= 40, "{quoted}");
}
