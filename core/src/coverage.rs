//! For tests alone: which of the cases and rules of semantics §6 a run came through.
//!
//! Without the feature `_internal` nothing of this is compiled into the core.

macro_rules! cases {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// A case at a cancel or a deadline, a rule of evidence, or a step of recovery.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[allow(clippy::exhaustive_enums)] // hidden
        pub enum Seen { $($(#[$doc])* $name,)+ }

        impl Seen {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];
        }
    };
}

cases! {
    /// C1: open or sealed, and not bound to a sequence.
    C1Buffered,
    /// C2: bound, no byte out, last of its chain.
    C2UnsentTail,
    /// C3: bound, no byte out, with others behind it.
    C3UnsentInside,
    /// C4: partly out.
    C4Partial,
    /// C5: out, and not answered.
    C5Complete,
    /// C6: may have been appended, and waits to be sent again.
    C6IdleAmbiguous,
    /// C7: certainly not appended, and waits to be sent again.
    C7IdleNotAppended,
    /// C8: one of several records of its batch.
    C8OneOfMany,
    /// C9: at the end of `close`.
    C9Close,
    /// C10: without idempotence, or without answers.
    C10NoIdempotence,
    /// Rule 1: the broker says that it has the batch.
    Acknowledged,
    /// Rule 2: a later batch of the same epoch was acknowledged, and there are as many offsets between.
    Overtaken,
    /// A batch lies where something acknowledged lay before.
    LogCut,
    /// Rule 3b: out of order, because a predecessor is not resolved.
    OutOfOrderBehind,
    /// Rule 3c: out of order, and certainly not appended.
    OutOfOrderNotAppended,
    /// Rule 3d: a probe in reverse found the batch.
    ProbeFound,
    /// Rule 3e: no probe found anything.
    ProbeFailed,
    /// A leader was asked what it knows of this producer.
    Asked,
    /// It knows the producer.
    FoundPresent,
    /// It does not.
    FoundAbsent,
    /// It could not be asked, and is sure to remember.
    WentByTime,
    /// It has forgotten, or may have.
    Forgotten,
    /// Rule 4: the epoch is not the newest.
    Fenced,
    /// Rule 5: refused, and never ambiguous.
    Refused,
    /// Rule 5: refused, after an attempt that may have been appended.
    RefusedAmbiguous,
    /// Rule 5: refused for now.
    NotAppended,
    /// An error that may come after the append.
    MaybeAppended,
    /// Rule 6: the connection ended within the frame.
    LostPartial,
    /// Rule 6: the connection ended after the frame.
    LostComplete,
    /// Rule 6: the answer left the partition out.
    LeftOut,
    /// An unsent request was taken back.
    Recalled,
    /// A new epoch began after a gap.
    NewEpoch,
    /// A batch went back to having no sequence.
    Unbound,
    /// `resolve.timeout.ms` was over.
    ResolveTimeout,
    /// Given up by policy.
    Abandoned,
    /// Too large, and split.
    Split,
    /// A broker said who leads instead of it.
    LeaderHint,
    /// A topic was deleted and created again.
    Recreated,
    /// A new producer id was asked for.
    Rotated,
    /// A record was taken out of a batch that was lent to a codec.
    CancelledLent,
    /// A record was taken out of a batch that was compressed.
    CancelledCompressed,
    /// A codec was done with what was no more to be had from it.
    CodecTooLate,
    /// A broker does not take a batch as it is compressed, and it goes out plain.
    CodecRefused,
    /// A batch was split that was compressed.
    SplitCompressed,
}

/// Notes that a case was come through.
macro_rules! seen {
    ($producer:expr, $case:ident) => {
        #[cfg(feature = "_internal")]
        {
            $producer.seen.note($crate::coverage::Seen::$case);
        }
    };
}
pub(crate) use seen;

/// How often each case was come through.
#[cfg(feature = "_internal")]
#[derive(Debug)]
pub(crate) struct Tally([u32; Seen::ALL.len()]);

#[cfg(feature = "_internal")]
impl Tally {
    pub(crate) const NONE: Self = Self([0; Seen::ALL.len()]);

    pub(crate) fn note(&mut self, case: Seen) {
        if let Some(count) = self.0.get_mut(case as usize) {
            *count += 1;
        }
    }

    pub(crate) fn count(&self, case: Seen) -> u32 {
        self.0.get(case as usize).copied().unwrap_or(0)
    }
}
