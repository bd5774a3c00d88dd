//! Nothing of the firmware panics on purpose; what does all the same ends the run.

use core::panic::PanicInfo;

#[panic_handler]
fn panic(_info: &PanicInfo<'_>) -> ! {
    // Where it was is not told: the text of it would be larger than the sensor.
    #[cfg(feature = "defmt")]
    defmt::error!("panicked");
    crate::exit(false)
}

#[cortex_m_rt::exception]
unsafe fn HardFault(_frame: &cortex_m_rt::ExceptionFrame) -> ! {
    #[cfg(feature = "defmt")]
    defmt::error!("hard fault");
    crate::exit(false)
}
