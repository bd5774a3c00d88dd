//! The sensor as firmware. What it is to do comes from the test, as words of the semihosting command
//! line; see `Task::parse`.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use board::Board;
use ottla_core::Instant;
#[cfg(feature = "plain")]
use sensor::Count;
#[cfg(not(feature = "plain"))]
use sensor::Each;
use sensor::{Memory, Task};
use static_cell::ConstStaticCell;
#[cfg(not(feature = "plain"))]
use static_cell::StaticCell;

// All zeros, so it is not in the flash.
static MEMORY: ConstStaticCell<Memory> = ConstStaticCell::new(Memory::new());
// Not all zeros, so it is written at the start.
#[cfg(not(feature = "plain"))]
static READINGS: StaticCell<Each> = StaticCell::new();
#[cfg(feature = "plain")]
static READINGS: ConstStaticCell<Count> = ConstStaticCell::new(Count::new());

#[cfg(feature = "defmt")]
defmt::timestamp!("{=u32:ms}", board::millis());

#[board::entry]
fn main() -> ! {
    let (Some(board), Some(memory)) = (Board::take(), MEMORY.try_take()) else {
        board::exit(false)
    };
    let Board { link, mut clock, arguments } = board;
    // The first word is the program's name.
    #[cfg_attr(not(feature = "scram"), allow(unused_mut))]
    let Ok(mut task) = Task::parse(arguments.skip(1)) else {
        say_error("a word of the command line is not understood");
        board::exit(false)
    };
    #[cfg(feature = "scram")]
    {
        task.login.entropy = board::stand_in_for_entropy;
    }
    let Some(readings) = readings(&task) else { board::exit(false) };
    let now = || Instant::from_micros(clock.micros());
    match sensor::run(&task, memory, readings, link, now) {
        Ok(summary) => {
            report_memory();
            board::exit(summary.unknown == 0)
        }
        Err(_trouble) => {
            say_error("the sensor failed");
            board::exit(false)
        }
    }
}

/// A function of its own, so that the copy that is made on the way is gone from the stack afterwards.
#[cfg(not(feature = "plain"))]
#[inline(never)]
fn readings(task: &Task<'_>) -> Option<&'static mut Each> {
    READINGS.try_init_with(|| task.no_readings())
}

#[cfg(feature = "plain")]
fn readings(_task: &Task<'_>) -> Option<&'static mut Count> {
    READINGS.try_take()
}

fn report_memory() {
    #[cfg(feature = "defmt")]
    defmt::info!(
        "memory: {} bytes static, {} bytes of stack at the deepest",
        board::static_memory(),
        board::stack_used()
    );
}

fn say_error(_words: &str) {
    #[cfg(feature = "defmt")]
    defmt::error!("{=str}", _words);
}
