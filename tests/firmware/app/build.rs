//! The memory of the board, and the linker scripts.

use std::{env, fs, path::Path};

/// 256 KiB of flash, 64 KiB of RAM.
const LM3S6965EVB: &str = "MEMORY {
  FLASH : ORIGIN = 0x00000000, LENGTH = 256K
  RAM : ORIGIN = 0x20000000, LENGTH = 64K
}
";

/// 4 MiB each; as much of it as the other board has.
const MPS2_AN386: &str = "MEMORY {
  FLASH : ORIGIN = 0x00000000, LENGTH = 256K
  RAM : ORIGIN = 0x20000000, LENGTH = 64K
}
";

fn main() {
    let on = |feature: &str| env::var_os(format!("CARGO_FEATURE_{feature}")).is_some();
    let memory = match (on("LM3S6965EVB"), on("MPS2_AN386")) {
        (true, false) => LM3S6965EVB,
        (false, true) => MPS2_AN386,
        _ => panic!("one of the features lm3s6965evb and mps2-an386 is needed"),
    };
    let out = env::var("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("memory.x"), memory).expect("it is cargo's directory");
    println!("cargo:rustc-link-search={out}");
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    if on("DEFMT") {
        println!("cargo:rustc-link-arg-bins=-Tdefmt.x");
    }
    println!("cargo:rerun-if-changed=build.rs");
}
