//! SASL by Kafka's properties, and librdkafka's.

use core::fmt;

use crate::error::BuildError;

/// A text that is shown to nobody, and wiped when it is of no more use.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    #[cfg(feature = "sasl")]
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

#[cfg(feature = "sasl")]
impl Drop for Secret {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

/// What `sasl.mechanism` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mechanism {
    Plain,
    ScramSha256,
    ScramSha512,
    OAuthBearer,
}

/// The properties about SASL that were given.
#[derive(Clone, Debug, Default)]
pub(crate) struct SaslProperties {
    /// The first of them, by the name that it was given.
    first: Option<String>,
    mechanism: Option<Mechanism>,
    username: Option<String>,
    password: Option<Secret>,
    jaas: Option<Jaas>,
}

pub(super) const FOR_NOTHING: &str =
    "it goes for nothing without security.protocol=SASL_SSL or SASL_PLAINTEXT";
const MECHANISMS: &str = "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER";
const GSSAPI: &str = "there is no Kerberos here: sasl.mechanism is PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER";
const TOKENS: &str =
    "tokens come from the application: give `Builder::token` one that fetches them";
const REFRESH: &str =
    "a token is asked for again when four fifths of its lifetime are over: leave it out";
const JAAS: &str = "expected `org.apache.kafka.common.security.plain.PlainLoginModule required username=\"…\" \
    password=\"…\";`, or the same with scram.ScramLoginModule, or oauthbearer.OAuthBearerLoginModule required;";

impl SaslProperties {
    /// Takes a property that begins with `sasl.`.
    ///
    /// # Errors
    ///
    /// Where there is no such property, it is not supported, or its value is none.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), BuildError> {
        let refused =
            |reason| Err(BuildError::UnsupportedProperty { name: name.to_owned(), reason });
        match name {
            "sasl.mechanism" | "sasl.mechanisms" => {
                self.mechanism = Some(match value {
                    "PLAIN" => Mechanism::Plain,
                    "SCRAM-SHA-256" => Mechanism::ScramSha256,
                    "SCRAM-SHA-512" => Mechanism::ScramSha512,
                    "OAUTHBEARER" => Mechanism::OAuthBearer,
                    "GSSAPI" => return refused(GSSAPI),
                    _ => {
                        let (name, value) = (name.to_owned(), value.to_owned());
                        return Err(BuildError::PropertyValue {
                            name,
                            value,
                            expected: MECHANISMS,
                        });
                    }
                });
            }
            "sasl.username" => self.username = Some(value.to_owned()),
            "sasl.password" => self.password = Some(Secret::new(value)),
            "sasl.jaas.config" => match Jaas::read(value) {
                Some(jaas) => self.jaas = Some(jaas),
                None => return refused(JAAS),
            },
            name if name.starts_with("sasl.kerberos.") => return refused(GSSAPI),
            name if name.starts_with("sasl.login.refresh.") => return refused(REFRESH),
            name if name.starts_with("sasl.oauthbearer.")
                || name.starts_with("sasl.login.")
                || name.starts_with("enable.sasl.oauthbearer.")
                || name == "sasl.client.callback.handler.class" =>
            {
                return refused(TOKENS);
            }
            _ => {
                let nearest = ottla_core::nearest_property(
                    name,
                    ["sasl.mechanism", "sasl.username", "sasl.password", "sasl.jaas.config"],
                );
                return Err(BuildError::UnknownProperty { name: name.to_owned(), nearest });
            }
        }
        self.first.get_or_insert_with(|| name.to_owned());
        Ok(())
    }

    /// Checks that none was given that goes for nothing.
    pub(crate) fn nothing_given(&self) -> Result<(), BuildError> {
        let Some(name) = self.first.clone() else { return Ok(()) };
        Err(BuildError::UnsupportedProperty { name, reason: FOR_NOTHING })
    }

    /// What they say together.
    #[cfg(feature = "sasl")]
    pub(crate) fn login(self, has_tokens: bool) -> Result<super::Login, BuildError> {
        use super::Login;
        let refused = |name, why: &str| {
            let why = why.to_owned();
            Err(BuildError::Security { name, why })
        };
        let Some(mechanism) = self.mechanism else {
            let why = format!("expected {MECHANISMS}, found none: security.protocol says SASL");
            return refused("sasl.mechanism", &why);
        };
        if has_tokens != (mechanism == Mechanism::OAuthBearer) {
            return refused(
                "sasl.mechanism",
                if has_tokens {
                    "`Builder::token` is for OAUTHBEARER, and another mechanism was given"
                } else {
                    "OAUTHBEARER wants tokens: give `Builder::token` one that fetches them"
                },
            );
        }
        if self.jaas.is_some() && (self.username.is_some() || self.password.is_some()) {
            let why = "sasl.username and sasl.password say the same: give one or the other";
            return refused("sasl.jaas.config", why);
        }
        let (username, password) = match (self.jaas, mechanism) {
            (None, Mechanism::OAuthBearer)
                if self.username.is_some() || self.password.is_some() =>
            {
                return refused("sasl.username", "OAUTHBEARER has none: the token says who it is");
            }
            (None | Some(Jaas::OAuthBearer), Mechanism::OAuthBearer) => {
                return Ok(Login::OAuthBearer);
            }
            (Some(Jaas::Plain(user, password)), Mechanism::Plain)
            | (
                Some(Jaas::Scram(user, password)),
                Mechanism::ScramSha256 | Mechanism::ScramSha512,
            ) => (user, password),
            (Some(_), _) => {
                let why = "its login module is for another mechanism than sasl.mechanism says";
                return refused("sasl.jaas.config", why);
            }
            (None, _) => match (self.username, self.password) {
                (Some(username), Some(password)) => (username, password),
                (None, _) => return refused("sasl.username", "expected a name, found none"),
                (_, None) => return refused("sasl.password", "expected a password, found none"),
            },
        };
        Ok(match mechanism {
            Mechanism::Plain => Login::Plain { username, password },
            Mechanism::ScramSha256 => Login::ScramSha256 { username, password },
            Mechanism::ScramSha512 => Login::ScramSha512 { username, password },
            Mechanism::OAuthBearer => Login::OAuthBearer,
        })
    }
}

/// A login module's line, as consoles of clouds print it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Jaas {
    Plain(String, Secret),
    Scram(String, Secret),
    OAuthBearer,
}

impl Jaas {
    /// `Module flag name="value" …;`, of the modules and names that say who somebody is; `None` where it is
    /// anything else.
    fn read(line: &str) -> Option<Self> {
        let rest = line.trim().strip_suffix(';')?.trim_end();
        let (module, rest) = rest.split_once(char::is_whitespace)?;
        let rest = rest.trim_start();
        let (flag, mut rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        if !flag.eq_ignore_ascii_case("required") {
            return None;
        }
        let (mut username, mut password) = (None, None);
        while !rest.trim_start().is_empty() {
            let (name, value) = rest.split_once('=')?;
            let (value, after) = quoted(value.trim_start())?;
            let place = match name.trim() {
                "username" => &mut username,
                "password" => &mut password,
                _ => return None,
            };
            if place.replace(value).is_some() || after.starts_with(|c: char| !c.is_whitespace()) {
                return None;
            }
            rest = after;
        }
        let module = module.strip_prefix("org.apache.kafka.common.security.")?;
        match (module, username, password) {
            ("plain.PlainLoginModule", Some(username), Some(password)) => {
                Some(Self::Plain(username, Secret(password)))
            }
            ("scram.ScramLoginModule", Some(username), Some(password)) => {
                Some(Self::Scram(username, Secret(password)))
            }
            ("oauthbearer.OAuthBearerLoginModule", None, None) => Some(Self::OAuthBearer),
            _ => None,
        }
    }
}

/// A text in quotes of either kind, with `\` before what would end it; and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut chars = text.char_indices();
    let (_, quote) = chars.next().filter(|(_, char)| matches!(char, '"' | '\''))?;
    let mut value = String::new();
    while let Some((at, char)) = chars.next() {
        match char {
            '\\' => value.push(chars.next()?.1),
            _ if char == quote => return Some((value, text.get(at + 1..)?)),
            _ => value.push(char),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, value: &str) -> Result<SaslProperties, String> {
        let mut properties = SaslProperties::default();
        match properties.set(name, value) {
            Ok(()) => Ok(properties),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn what_consoles_print_is_read() {
        let plain = "org.apache.kafka.common.security.plain.PlainLoginModule";
        for (line, name, password) in [
            (
                format!("{plain} required username=\"KEY\" password=\"s3=;c ret\";"),
                "KEY",
                "s3=;c ret",
            ),
            (
                format!(
                    "{plain}   required\n  username='$ConnectionString'\n  password='a\"b' ;  "
                ),
                "$ConnectionString",
                "a\"b",
            ),
            (format!("{plain} REQUIRED password=\"a\\\"b\\\\c\" username=\"n\";"), "n", "a\"b\\c"),
        ] {
            let expected = Jaas::Plain(name.to_owned(), Secret::new(password));
            assert_eq!(Jaas::read(&line), Some(expected), "{line}");
        }
        let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"u\" password=\"p\";";
        assert_eq!(Jaas::read(scram), Some(Jaas::Scram("u".to_owned(), Secret::new("p"))));
        let bearer =
            "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;";
        assert_eq!(Jaas::read(bearer), Some(Jaas::OAuthBearer));
    }

    #[test]
    fn what_is_not_understood_is_refused_and_not_repeated() {
        let plain = "org.apache.kafka.common.security.plain.PlainLoginModule";
        for line in [
            String::new(),
            "hunter2".to_owned(),
            format!("{plain} required username=\"u\" password=\"hunter2\""),
            format!("{plain} sufficient username=\"u\" password=\"hunter2\";"),
            format!("{plain} required username=\"u\";"),
            format!("{plain} required username=\"u\" password=\"hunter2\" more=\"x\";"),
            format!("{plain} required username=\"u\" password=\"hunter2\" password=\"hunter2\";"),
            format!("{plain} required username=\"u\" password=\"hunter2;"),
            format!("{plain} required username=u password=hunter2;"),
            format!("{plain} required username=\"u\"password=\"hunter2\";"),
            "com.sun.security.auth.module.Krb5LoginModule required username=\"u\" password=\"hunter2\";".to_owned(),
            "org.apache.kafka.common.security.scram.ScramLoginModule required tokenauth=\"true\" username=\"u\" password=\"hunter2\";".to_owned(),
        ] {
            let error = set("sasl.jaas.config", &line).unwrap_err();
            assert!(error.contains("PlainLoginModule") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn what_is_not_done_is_told_with_what_to_do() {
        for (name, value, expected) in [
            ("sasl.mechanism", "GSSAPI", "PLAIN"),
            ("sasl.mechanism", "plain", "PLAIN, SCRAM-SHA-256"),
            ("sasl.kerberos.service.name", "kafka", "PLAIN"),
            ("sasl.oauthbearer.token.endpoint.url", "https://x", "Builder::token"),
            ("sasl.login.callback.handler.class", "x", "Builder::token"),
            ("sasl.login.refresh.window.factor", "0.8", "four fifths"),
            ("sasl.usernam", "x", "did you mean \"sasl.username\""),
        ] {
            let error = set(name, value).unwrap_err();
            assert!(error.contains(expected) && error.contains(name), "{error}");
        }
    }

    #[cfg(feature = "sasl")]
    #[test]
    fn neither_what_was_given_nor_what_comes_of_it_shows_the_password() {
        let jaas = "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"u\" password=\"hunter2\";";
        for given in [
            &[("sasl.username", "u"), ("sasl.password", "hunter2")][..],
            &[("sasl.jaas.config", jaas)],
        ] {
            let mut properties = SaslProperties::default();
            for (name, value) in given.iter().chain(&[("sasl.mechanism", "PLAIN")]) {
                properties.set(name, value).unwrap();
            }
            let before = format!("{properties:?}");
            let after = format!("{:?}", properties.login(false).unwrap());
            for shown in [before, after] {
                assert!(shown.contains("[hidden]") && !shown.contains("hunter2"), "{shown}");
            }
        }
    }

    #[cfg(feature = "sasl")]
    #[test]
    fn properties_that_do_not_fit_together_are_refused() {
        let login = |properties: &[(&str, &str)], tokens| {
            let mut all = SaslProperties::default();
            for (name, value) in properties {
                all.set(name, value).unwrap();
            }
            all.login(tokens).map_err(|error| error.to_string())
        };
        let (user, password) = (("sasl.username", "u"), ("sasl.password", "hunter2"));
        let scram = (
            "sasl.jaas.config",
            "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"u\" password=\"hunter2\";",
        );
        let mechanism = |name| ("sasl.mechanism", name);
        for (properties, tokens, expected) in [
            (vec![user, password], false, "sasl.mechanism: expected PLAIN"),
            (vec![mechanism("PLAIN"), password], false, "sasl.username: expected a name"),
            (vec![mechanism("PLAIN"), user], false, "sasl.password: expected a password"),
            (vec![mechanism("PLAIN"), scram], false, "another mechanism"),
            (vec![mechanism("SCRAM-SHA-512"), scram, user], false, "one or the other"),
            (vec![mechanism("OAUTHBEARER")], false, "Builder::token"),
            (vec![mechanism("OAUTHBEARER"), user], true, "the token says who it is"),
            (vec![mechanism("PLAIN"), user, password], true, "is for OAUTHBEARER"),
        ] {
            let error = login(&properties, tokens).unwrap_err();
            assert!(error.contains(expected) && !error.contains("hunter2"), "{error}");
        }
        assert!(login(&[mechanism("SCRAM-SHA-512"), scram], false).is_ok());
        assert!(login(&[mechanism("PLAIN"), user, password], false).is_ok());
        assert!(login(&[mechanism("OAUTHBEARER")], true).is_ok());
    }
}
