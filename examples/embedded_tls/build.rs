//! For the image: its memory, and who it trusts and is.

use std::{env, fs, path::Path};

/// 4 MiB each on this board; as much of it as smaller ones have.
const MEMORY: &str = "MEMORY {
  FLASH : ORIGIN = 0x00000000, LENGTH = 256K
  RAM : ORIGIN = 0x20000000, LENGTH = 64K
}
";

/// Each is a DER file; empty where the variable is not set. Then the image builds, and says what is missing.
const FILES: [(&str, &str); 3] = [
    ("OTTLA_AUTHORITY", "authority.der"),
    ("OTTLA_CERTIFICATE", "certificate.der"),
    ("OTTLA_KEY", "key.der"),
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_DEVICE").is_none() {
        return;
    }
    let out = env::var("OUT_DIR").expect("cargo sets it");
    let write = |name: &str, bytes: &[u8]| {
        fs::write(Path::new(&out).join(name), bytes).expect("it is cargo's directory");
    };
    write("memory.x", MEMORY.as_bytes());
    for (variable, name) in FILES {
        println!("cargo:rerun-if-env-changed={variable}");
        let path = env::var(variable).ok();
        write(name, &path.map_or(Vec::new(), |path| fs::read(path).expect("the file is there")));
    }
    println!("cargo:rustc-link-search={out}");
    println!("cargo:rustc-link-arg-bin=device=-Tlink.x");
}
