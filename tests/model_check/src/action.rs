//! What can happen next.

use core::fmt;

use crate::broker::Course;

/// One event. Connections go by the node that they lead to and by which of its connections it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The application produces its next record.
    Produce,
    /// The application cancels a record.
    Cancel(u8),
    /// The clock goes on to the next deadline.
    Wait,
    /// A dial succeeds.
    Connect(u8),
    /// A dial fails.
    Refuse(u8),
    /// The socket accepts half of the frame.
    WriteHalf(u8),
    /// The socket accepts the frame, or what is left of it.
    Write(u8),
    /// The network cuts the connection. What was written whole may still arrive.
    Cut(u8),
    /// The node takes the next request of a connection.
    Serve(u8, Course),
    /// The next answer arrives.
    Answer(u8),
    /// A node takes the next request of a connection that the core has given up.
    Straggle(u8),
    /// The other node leads now, and has all.
    MoveLeader,
    /// The other node leads now, and lacks what was not acknowledged.
    LoseLeader,
    /// The leader forgets every producer, though their records stay; nobody is told.
    Forget,
    /// The nodes start anew: their connections end, and of every producer they know the last batch.
    Restart,
}

/// Whose budget an action is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// Nobody's: this is how things go.
    Nothing,
    /// Something goes wrong.
    Trouble,
    /// The application loses patience.
    Impatience,
}

impl Action {
    /// Whose budget it is on.
    #[must_use]
    pub const fn cost(self) -> Cost {
        match self {
            Self::Produce
            | Self::Connect(_)
            | Self::WriteHalf(_)
            | Self::Write(_)
            | Self::Answer(_)
            | Self::Serve(_, Course::Plain)
            | Self::Straggle(_) => Cost::Nothing,
            Self::Cancel(_) | Self::Wait => Cost::Impatience,
            Self::Refuse(_)
            | Self::Cut(_)
            | Self::Serve(..)
            | Self::MoveLeader
            | Self::LoseLeader
            | Self::Forget
            | Self::Restart => Cost::Trouble,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Produce => f.write_str("the application produces its next record"),
            Self::Cancel(record) => write!(f, "the application cancels record {record}"),
            Self::Wait => f.write_str("the clock goes on to the next deadline"),
            Self::Connect(link) => write!(f, "connection {link} opens"),
            Self::Refuse(link) => write!(f, "connection {link} is refused"),
            Self::WriteHalf(link) => write!(f, "connection {link} accepts half of a frame"),
            Self::Write(link) => write!(f, "connection {link} accepts a whole frame"),
            Self::Cut(link) => write!(f, "connection {link} is cut"),
            Self::Serve(link, course) => {
                write!(f, "the broker takes a request of connection {link}: {course:?}")
            }
            Self::Answer(link) => write!(f, "connection {link} brings an answer"),
            Self::Straggle(ghost) => {
                write!(f, "the broker takes a request of dead connection {ghost}")
            }
            Self::MoveLeader => f.write_str("the leader moves"),
            Self::LoseLeader => f.write_str("the leader moves and loses what it had not confirmed"),
            Self::Forget => f.write_str("the leader forgets every producer"),
            Self::Restart => f.write_str("the broker restarts with a window of one batch"),
        }
    }
}
