//! What the arguments, and the file that they name, say of the producer: its configuration, and how its
//! connections are secured.

use core::fmt;
use std::{fs, path::Path};

use anyhow::{Context as _, anyhow};
use ottla_client::{
    BuildError, Builder, Place, is_compression_property, is_secret_property, is_security_property,
};
use ottla_core::Config;

use crate::{
    args::{Compression, Connect},
    properties_file::{self, may_be_name},
    secret::Whereabouts,
};

/// Where a property was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// By `--property`.
    Argument,
    /// By `--compression`.
    Compression,
    /// On this line of the file that `--config` names.
    Line(usize),
}

struct Property {
    origin: Origin,
    name: String,
    value: String,
}

/// Without the value, which may be a secret.
impl fmt::Debug for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} by {:?}", self.name, self.origin)
    }
}

/// All properties: each name once, secrets fetched from where they are, and what is said later last.
#[derive(Debug)]
pub(crate) struct Settings<'a> {
    pub(crate) connect: &'a Connect,
    properties: Vec<Property>,
    #[cfg(feature = "sasl")]
    token: Option<crate::token::TokenPlace>,
}

impl<'a> Settings<'a> {
    /// Reads what the arguments name.
    ///
    /// # Errors
    ///
    /// Where the file or a secret cannot be read, or is none.
    pub(crate) fn read(connect: &'a Connect) -> anyhow::Result<Self> {
        let mut all = match &connect.config {
            Some(path) => {
                read_file(path).with_context(|| format!("--config {}", path.display()))?
            }
            None => Vec::new(),
        };
        let arguments = connect.properties.iter().map(|argument| Property {
            origin: Origin::Argument,
            name: argument.name.clone(),
            value: argument.value.clone(),
        });
        all.extend(arguments);
        all.extend(connect.compression.iter().flat_map(compression));
        let mut settings = Self {
            connect,
            properties: Vec::new(),
            #[cfg(feature = "sasl")]
            token: crate::token::TokenPlace::of(&connect.token),
        };
        for property in all {
            // What is overruled is not even looked at.
            settings.properties.retain(|other| other.name != property.name);
            settings.properties.push(property);
        }
        settings.fetch_secrets()?;
        #[cfg(feature = "sasl")]
        settings.check_token()?;
        Ok(settings)
    }

    /// Puts secrets in the place of what says where they are.
    fn fetch_secrets(&mut self) -> anyhow::Result<()> {
        for at in 0..self.properties.len() {
            let Property { origin, name, value } = &self.properties[at];
            // A name is none, but consoles give the two together.
            if !is_secret_property(name) && name != "sasl.username" {
                continue;
            }
            let Some(place) = Whereabouts::of(value) else { continue };
            let secret = place.read();
            let secret =
                secret.map_err(|why| anyhow!("{}: {name}: {why}", self.place_of(*origin)))?;
            self.properties[at].value = secret;
        }
        Ok(())
    }

    /// Checks that a token is given where one is wanted and nowhere else, and that it is there.
    #[cfg(feature = "sasl")]
    fn check_token(&self) -> anyhow::Result<()> {
        let is_mechanism = |name: &str| matches!(name, "sasl.mechanism" | "sasl.mechanisms");
        let mechanism = self.properties.iter().rfind(|property| is_mechanism(&property.name));
        let wants_token = mechanism.is_some_and(|property| property.value == "OAUTHBEARER");
        match &self.token {
            Some(_) if !wants_token => {
                Err(anyhow!("--token: it is for sasl.mechanism=OAUTHBEARER"))
            }
            Some(place) => {
                let token = place.fetch().map_err(|why| anyhow!("--token: {why}"));
                token.map(drop)
            }
            None if wants_token => Err(anyhow!(
                "{}: sasl.mechanism: OAUTHBEARER wants tokens: say where one is by --token env:NAME or \
                 --token file:PATH",
                self.place_of(mechanism.map_or(Origin::Argument, |property| property.origin))
            )),
            None => Ok(()),
        }
    }

    /// The configuration, but for what is the client's.
    pub(crate) fn config(&self) -> anyhow::Result<Config<'_>> {
        let mut config = Config::default();
        for Property { origin, name, value } in &self.properties {
            if !is_the_clients(name) {
                let set = config.set(name, value);
                set.map_err(|error| anyhow!("{}: {error}", self.place_of(*origin)))?;
            }
        }
        if let Some(bootstrap) = &self.connect.bootstrap {
            config.bootstrap_servers = bootstrap;
        }
        Ok(config)
    }

    /// Whether one of these was set.
    pub(crate) fn has(&self, names: &[&str]) -> bool {
        self.properties.iter().any(|property| names.contains(&&*property.name))
    }

    /// Whether batches are to be compressed.
    pub(crate) fn compresses(&self) -> bool {
        let kind = |property: &&Property| {
            matches!(&*property.name, "compression.type" | "compression.codec")
        };
        self.properties.iter().rfind(kind).is_some_and(|property| property.value != "none")
    }

    /// Gives a builder what is the client's, and how many shards there are.
    pub(crate) fn equip<P: Place>(&self, builder: Builder<P>) -> Builder<P> {
        let ours = self.properties.iter().filter(|property| is_the_clients(&property.name));
        let builder = builder
            .properties(ours.map(|property| (&*property.name, &*property.value)))
            .shards(self.connect.shards.into());
        #[cfg(feature = "sasl")]
        if let Some(place) = self.token.clone() {
            return builder.token(move || place.fetch());
        }
        builder
    }

    /// Why there is no producer, with the argument to look at.
    pub(crate) fn refused(&self, error: BuildError) -> anyhow::Error {
        // Of the properties, only the client's are judged there.
        let name = match &error {
            BuildError::UnknownProperty { name, .. }
            | BuildError::UnsupportedProperty { name, .. }
            | BuildError::PropertyValue { name, .. } => &**name,
            BuildError::Security { name, .. } => name,
            BuildError::Compressor { .. } => "compression.type",
            BuildError::Config(_)
            | BuildError::Io(_)
            | BuildError::NoRuntime
            | BuildError::RuntimeWithout(_) => return error.into(),
            BuildError::Property(_) | _ => "",
        };
        let set = self.properties.iter().rfind(|property| property.name == name);
        let place = match (set, &self.connect.config) {
            _ if name == "bootstrap.servers" && self.connect.bootstrap.is_some() => {
                "--bootstrap".to_owned()
            }
            (Some(set), _) => self.place_of(set.origin),
            // It is missing, and the file is where it should be.
            (None, Some(path)) => format!("--config {}", path.display()),
            (None, None) => self.place_of(Origin::Argument),
        };
        anyhow!("{place}: {error}")
    }

    fn place_of(&self, origin: Origin) -> String {
        match (origin, &self.connect.config) {
            (Origin::Compression, _) => "--compression".to_owned(),
            (Origin::Line(line), Some(path)) => format!("--config {}, line {line}", path.display()),
            _ => "--property".to_owned(),
        }
    }
}

/// Whether a property is for the client's builder, and no part of the core's configuration.
fn is_the_clients(name: &str) -> bool {
    is_security_property(name) || is_compression_property(name) || name == "hold.bytes"
}

/// The properties that `--compression` stands for.
fn compression(argument: &Compression) -> impl Iterator<Item = Property> + use<> {
    let Compression { kind, level } = argument;
    let property = |name: String, value: &str| Property {
        origin: Origin::Compression,
        name,
        value: value.to_owned(),
    };
    let level = level.as_ref().map(|level| property(format!("compression.{kind}.level"), level));
    [property("compression.type".to_owned(), kind)].into_iter().chain(level)
}

fn read_file(path: &Path) -> anyhow::Result<Vec<Property>> {
    let text = fs::read_to_string(path)?;
    let entries = properties_file::parse(&text);
    let entries = entries.map_err(|(line, why)| anyhow!("line {line}: {why}"))?;
    let property = |entry: properties_file::Entry| {
        let properties_file::Entry { line, name, value } = entry;
        // It is not repeated: it may be a part of a value that went astray.
        let why =
            "expected NAME=VALUE, with a name of letters, digits, dots, dashes and underscores";
        match may_be_name(&name) {
            true => Ok(Property { origin: Origin::Line(line), name, value }),
            false => Err(anyhow!("line {line}: {why}")),
        }
    };
    entries.into_iter().map(property).collect()
}
