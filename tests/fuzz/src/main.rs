//! libFuzzer's side: hands its inputs to the target that `SIGNET_FUZZ_TARGET` names.
#![no_main]
#![allow(
    unsafe_code,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "libFuzzer calls a C function, which the macro writes; a test reads the environment"
)]

use std::sync::LazyLock;

use signet_fuzz::{TARGETS, Target};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("SIGNET_FUZZ_TARGET").unwrap_or_default();
    let known = TARGETS.iter().find(|(known, _)| *known == name);
    let Some((_, target)) = known else {
        panic!("SIGNET_FUZZ_TARGET={name:?} is not a target");
    };
    *target
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET(data));
