//! What the Workload Endpoint serves, for tools that ask: gRPC server reflection, in its current
//! version and in the one before (SPIFFE Workload Endpoint §7).

use prost::{DecodeError, Message as _};
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use tonic::service::{Routes, RoutesBuilder};
use tonic_reflection::server::{Builder, Error};
use tracing::error;

/// The reflection services; none, if this build's descriptors are unusable.
pub(super) fn services() -> Routes {
    try_services().unwrap_or_else(|error| {
        error!(
            error = &error as &dyn std::error::Error,
            "no gRPC server reflection: the descriptors of this build are unusable"
        );
        Routes::default()
    })
}

fn try_services() -> Result<Routes, Error> {
    let builder = || -> Result<Builder<'_>, Error> {
        Ok(Builder::configure()
            .register_file_descriptor_set(workload_api()?)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET))
    };
    let mut routes = RoutesBuilder::default();
    routes
        .add_service(builder()?.build_v1()?)
        .add_service(builder()?.build_v1alpha()?);
    Ok(routes.routes())
}

/// The standard's file and what it imports; the other files of this build are not served here.
fn workload_api() -> Result<FileDescriptorSet, DecodeError> {
    let all = FileDescriptorSet::decode(signet_proto::DESCRIPTORS)?;
    let wanted = |file: &FileDescriptorProto| FILES.contains(&file.name());
    Ok(FileDescriptorSet {
        file: all.file.into_iter().filter(wanted).collect(),
    })
}

const FILES: [&str; 2] = [
    "spiffe/workload/workloadapi.proto",
    "google/protobuf/struct.proto",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standards_files_are_in_this_build() {
        let found = workload_api().unwrap().file;
        assert_eq!(found.len(), FILES.len());
        try_services().unwrap();
    }
}
