//! What proves who the others are: files, as they know no Workload API.

use std::{fs, path::PathBuf};

use super::super::pair::identity;
use crate::world::{World, text};

/// A certificate of our authority with its key, and the authority's own.
#[derive(Debug)]
pub(super) struct Material {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    pub(super) authorities: PathBuf,
    /// The certificate and its key in one file, as HAProxy has it.
    pub(super) both: PathBuf,
}

impl Material {
    /// What the server makes for a workload that no agent attests.
    pub(super) fn new(world: &World) -> anyhow::Result<Self> {
        let (folder, socket) = (world.path("material"), world.path("server.sock"));
        fs::create_dir(&folder)?;
        world.ask(&[
            "server",
            "x509",
            "mint",
            "--socket-path",
            text(&socket)?,
            "--spiffe-id",
            &identity(),
            "--dns",
            DNS,
            "--write",
            text(&folder)?,
        ])?;
        let material = Self {
            certificate: folder.join("svid.pem"),
            key: folder.join("key.pem"),
            authorities: folder.join("bundle.pem"),
            both: folder.join("both.pem"),
        };
        let certificate = fs::read_to_string(&material.certificate)?;
        let key = fs::read_to_string(&material.key)?;
        fs::write(&material.both, certificate + &key)?;
        Ok(material)
    }
}

/// For those that can only check a name.
pub(super) const DNS: &str = "proxy.bench.test";
