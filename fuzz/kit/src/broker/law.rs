//! What is held of a broker, and what is said where it does not.

use crate::laws::laws;

laws! {
    /// What is held of a broker.
    enum Law {
        /// It lives.
        Lives "lives" Fault "Whatever was sent, a new connection is answered.",
        /// It answers.
        Answers "answers" Fault "A sound request is answered in time; one that is not is answered, or its connection is closed.",
        /// Its answers are some.
        Reads "reads" Fault "An answer has the layout of its version, no bytes are left over, and it bears its request's number.",
        /// Its errors are those of the API.
        KnownError "known-error" Fault "The error codes of an answer to a sound request are of its API's set.",
        /// Nothing happens that nobody expects. It is told, and by itself no fault.
        NoException "no-exception" Note "No answer says UNKNOWN_SERVER_ERROR, which is an exception that nobody expected.",
        /// Logs can be read.
        Readable "readable" Fault "The log can be read back from where it ended before.",
        /// Offsets have no holes.
        Offsets "offsets" Fault "Each batch in the log begins where the one before it ends.",
        /// Batches are as they were.
        Intact "intact" Fault "The checksum of each batch in the log is right.",
        /// No duplicates.
        AppendedOnce "appended-once" Fault "Sequence numbers of a producer and an epoch are in the log of a partition once.",
        /// No gaps.
        SequencesFollow "sequences-follow" Fault "Within an epoch each batch's sequence follows that of the one before it.",
        /// No zombies.
        EpochsRise "epochs-rise" Fault "A producer's epochs in the log rise, and each but the first begins at sequence 0.",
        /// What is acknowledged is kept.
        AcknowledgedIsThere "acknowledged-is-there" Fault "What was acknowledged is in the log, at the offset that was told.",
        /// What is refused is not.
        RefusedIsNotThere "refused-is-not-there" Fault "What was refused, by a code that says so for certain, is not in the log.",
        /// Nothing comes from nowhere.
        NothingUnasked "nothing-unasked" Fault "What is in the log was sent.",
        /// What is wrong with a batch is noticed.
        FlawRefused "flaw-refused" Fault "A batch with a wrong checksum, or one that contradicts itself, is not acknowledged.",
    }
}

/// A law that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub law: Law,
    /// By the answer to which step, where it is one.
    pub step: Option<usize>,
    /// What happened.
    pub what: String,
    /// What tells it from other ways to break the law.
    pub kind: String,
}

impl Broken {
    /// With all of it.
    #[must_use]
    pub const fn new(law: Law, step: Option<usize>, what: String, kind: String) -> Self {
        Self { law, step, what, kind }
    }

    /// By what the same is known in another run.
    #[must_use]
    pub fn signature(&self) -> String {
        format!("{} {}", self.law.name(), self.kind)
    }
}
