//! What the arguments say of the producer: its configuration, and how its connections are secured.

use anyhow::anyhow;
use ottla_client::{BuildError, is_security_property};
use ottla_core::Config;

use crate::args::Connect;

/// The configuration that the arguments ask for, but for [`security`].
pub(crate) fn config(connect: &Connect) -> anyhow::Result<Config<'_>> {
    let mut config = Config::default();
    let mut properties = connect.properties.iter();
    properties
        .try_for_each(|(name, value)| match is_security_property(name) {
            true => Ok(()),
            false => config.set(name, value),
        })
        .map_err(|error| anyhow!("--property: {error}"))?;
    if let Some(bootstrap) = &connect.bootstrap {
        config.bootstrap_servers = bootstrap;
    }
    Ok(config)
}

/// The properties about security, which the builder takes.
pub(crate) fn security(connect: &Connect) -> impl Iterator<Item = (&str, &str)> {
    let properties = connect.properties.iter().map(|(name, value)| (&**name, &**value));
    properties.filter(|(name, _)| is_security_property(name))
}

/// Why there is no producer, with the argument to look at.
pub(crate) fn refused(error: BuildError) -> anyhow::Error {
    let other = matches!(
        error,
        BuildError::Config(_)
            | BuildError::Io(_)
            | BuildError::NoRuntime
            | BuildError::RuntimeWithout(_)
    );
    // Of the properties, only those about security are judged there.
    if other { error.into() } else { anyhow!("--property: {error}") }
}
