//! Compiles the `.proto` files in pure Rust: no protoc, nothing generated in git.

#![expect(
    clippy::disallowed_methods,
    reason = "cargo speaks to build scripts by environment"
)]

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    let mut files = Vec::new();
    for root in [
        "envoy",
        "google",
        "opentelemetry",
        "signet",
        "spiffe",
        "spire",
    ] {
        println!("cargo:rerun-if-changed={root}");
        collect(Path::new(root), &mut files)?;
    }
    files.sort();
    let descriptors = protox::compile(&files, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .build_transport(false)
        .codec_path("crate::codec::Codec")
        // Bundles and chains are shared by every stream: cloning them must not copy them.
        .bytes(".X509SVIDResponse")
        .bytes(".X509SVID")
        .bytes(".X509BundlesResponse")
        .bytes(".JWTBundlesResponse")
        .include_file("includes.rs")
        .compile_fds(descriptors)?;
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for item in fs::read_dir(folder)? {
        let path = item?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "proto")
        {
            files.push(path);
        }
    }
    Ok(())
}
