//! Prints values into nothing.

use core::{
    fmt::{Display, Result, Write},
    hint::black_box,
};

use ottla_core::{
    Cause, ConfigError, Disconnect, NoProducerId, ProduceError, TopicError, Verdict,
    wire::{ApiKey, BufferTooSmall, DecodeError, ErrorCode},
};

use crate::input::{Input, see};

struct Nothing;

impl Write for Nothing {
    fn write_str(&mut self, text: &str) -> Result {
        see(&text);
        Ok(())
    }
}

/// What a value says of itself.
#[inline(never)]
pub(crate) fn show<T: Display>(value: &T) {
    see(&write!(Nothing, "{value}"));
}

pub(crate) fn drive(input: &mut Input<'_>) {
    let code = ErrorCode(input.i16());
    see(&(code.is_retriable(), code.refreshes_metadata(), code.is_none(), code.evidence()));
    show(&code);
    show(black_box(&Verdict::AlreadySettled));
    show(black_box(&Cause::Broker(code)));
    show(black_box(&NoProducerId::Refused(code)));
    show(black_box(&ProduceError::Topic(code)));
    show(black_box(&TopicError::NameTooLong { max: 7 }));
    show(black_box(&ConfigError::NoBootstrapServers));
    show(black_box(&DecodeError::Truncated));
    show(black_box(&BufferTooSmall { needed: 7 }));
    show(&ApiKey(input.i16()));
    show(black_box(&Disconnect::Eof));
}
