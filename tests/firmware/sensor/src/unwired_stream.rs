//! A line that leads nowhere, so that the whole sensor can be built for machines that there is no board
//! for.

use core::{convert::Infallible, time::Duration};

use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};
use ottla_core::Instant;

use crate::{Each, Memory, Summary, Task, Trouble, run};

/// It takes everything and says nothing.
struct Nowhere;

impl ErrorType for Nowhere {
    type Error = Infallible;
}

impl ReadReady for Nowhere {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(false)
    }
}

impl WriteReady for Nowhere {
    fn write_ready(&mut self) -> Result<bool, Infallible> {
        Ok(true)
    }
}

impl Read for Nowhere {
    fn read(&mut self, _buffer: &mut [u8]) -> Result<usize, Infallible> {
        Ok(0)
    }
}

impl Write for Nowhere {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Does what `task` asks without a wire, in a time that passes by a millisecond whenever it is looked
/// at.
///
/// # Errors
/// [`Trouble::TooLong`], where there is anything to do.
pub fn unwired(
    task: &Task<'_>,
    memory: &mut Memory,
    readings: &mut Each,
) -> Result<Summary, Trouble> {
    let mut time = Instant::ZERO;
    let now = || {
        time = time.after(Duration::from_millis(1));
        time
    };
    run(task, memory, readings, Nowhere, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sensor_without_a_wire_ends_in_time() {
        let task = Task::parse(["readings=10", "limit=60"].into_iter()).expect("words");
        let (mut memory, mut readings) = (Memory::new(), task.no_readings());
        let ended = unwired(&task, &mut memory, &mut readings);
        assert!(matches!(ended, Err(Trouble::TooLong)), "{ended:?}");
    }

    #[test]
    fn words_that_are_not_understood_are_given_back() {
        for word in ["readings", "readings=x", "full=up", "colour=red"] {
            assert_eq!(Task::parse([word].into_iter()).err(), Some(word));
        }
    }
}
