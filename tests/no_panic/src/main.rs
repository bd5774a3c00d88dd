//! ottla's core for a machine that has nothing: no operating system, no heap, no floating point, and
//! no way to report a panic.
//!
//! The program calls every public function of the core with numbers and bytes that the compiler
//! cannot see through. Its panic handler is a symbol that nobody defines, so the program links only
//! if no panic can be reached from any of them. `scripts/no-panic` builds it.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(feature = "backlog")]
mod backlog;
#[cfg(feature = "wire")]
mod batch_tails;
#[cfg(feature = "format")]
mod format;
mod input;
mod producer;
#[cfg(feature = "properties")]
mod properties;
#[cfg(feature = "_sasl")]
mod sasl;
mod sizes;
#[cfg(feature = "wire")]
mod wire;

use input::Input;

/// Calls everything, in an order that the input chooses.
fn drive(input: &mut Input<'_>) {
    producer::drive(input);
    #[cfg(feature = "backlog")]
    backlog::drive(input);
    #[cfg(feature = "format")]
    format::drive(input);
    #[cfg(feature = "properties")]
    properties::drive(input);
    #[cfg(feature = "wire")]
    wire::drive(input);
    #[cfg(feature = "deliberate_panic")]
    input::see(&[1, 2, 3][usize::from(input.u8())]);
}

#[cfg(target_os = "none")]
mod bare {
    use core::{hint::black_box, panic::PanicInfo};

    use super::{drive, input::Input};

    // `no_mangle` counts as unsafe, since two such symbols could collide.
    #[unsafe(no_mangle)]
    extern "C" fn _start() -> ! {
        drive(&mut Input::new(black_box(&[])));
        loop {}
    }

    #[cfg(not(feature = "panics_link"))]
    #[panic_handler]
    fn panic(_: &PanicInfo<'_>) -> ! {
        unsafe extern "C" {
            // What the linker says where a panic can be reached.
            fn the_core_can_panic() -> !;
        }
        // SAFETY: there is no such function, so no program that calls it links.
        unsafe { the_core_can_panic() }
    }

    #[cfg(feature = "panics_link")]
    #[panic_handler]
    fn panic(_: &PanicInfo<'_>) -> ! {
        loop {}
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    for seed in 0..200 {
        drive(&mut Input::new(&input::noise(seed)));
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_linked_runs_here_too() {
        super::main();
    }
}
