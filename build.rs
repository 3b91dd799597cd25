//! Binds the agent's module interface and compiles what only C can say about it.

use std::path::PathBuf;

fn main() {
    for path in ["include/module.h", "src/abi/host.c"] {
        println!("cargo:rerun-if-changed={path}");
    }
    cc::Build::new()
        .file("src/abi/host.c")
        .include("include")
        .warnings(true)
        .compile("courier_host");

    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    bindgen::Builder::default()
        .header("include/module.h")
        .allowlist_file("include/module.h")
        .prepend_enum_name(false)
        .use_core()
        .generate()
        .expect("include/module.h cannot be bound: is libclang installed (Debian: libclang-dev)?")
        .write_to_file(out.join("module.rs"))
        .expect("OUT_DIR can be written to");

    // The agent unloads modules at its end, when a name look-up may still run in code of ours.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
