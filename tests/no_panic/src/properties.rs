//! The table of properties.

use ottla_core::{Config, properties};

use crate::input::{Input, see};

pub(crate) fn drive(input: &mut Input<'_>) {
    let mut config = Config::default();
    for _ in 0..8 {
        let known = properties().get(usize::from(input.u8() & 63));
        let name = known.filter(|_| input.bool()).map_or_else(|| input.str(), |known| known.name);
        if let Err(error) = config.set(name, input.str()) {
            see(&error);
            #[cfg(feature = "format")]
            crate::format::show(&error);
        }
    }
    see(&config);
}
