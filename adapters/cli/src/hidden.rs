//! Arguments that may be secrets.

use std::ffi::OsStr;

use clap::{Arg, Command, Error, builder::TypedValueParser, error::ErrorKind};

/// Parses an argument, and repeats nothing of it where it is none, as clap does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hidden<T>(pub(crate) fn(&str) -> Result<T, String>);

impl<T: Clone + Send + Sync + 'static> TypedValueParser for Hidden<T> {
    type Value = T;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<T, Error> {
        let parsed = value.to_str().ok_or_else(|| "expected UTF-8".to_owned()).and_then(self.0);
        parsed.map_err(|why| {
            let arg = arg.map(ToString::to_string).unwrap_or_default();
            // In clap's own form.
            let told = format!(
                "invalid value for '{arg}': {why}\n\nFor more information, try '--help'.\n"
            );
            Error::raw(ErrorKind::ValueValidation, told).with_cmd(command)
        })
    }
}
