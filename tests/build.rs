//! Tells the tests whether real SPIRE is there to be tested against: without it those tests do
//! not exist, and one test in their place says so.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(spire)");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SPIRE_BIN_DIR");
    if option_is_set("SPIRE_BIN_DIR") {
        println!("cargo::rustc-cfg=spire");
    }
}

fn option_is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}
