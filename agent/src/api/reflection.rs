//! What the Workload Endpoint serves, for tools that ask: gRPC server reflection, in its current version and
//! in the one before (SPIFFE Workload Endpoint §7).

use prost::{DecodeError, Message as _};
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use tonic::service::{Routes, RoutesBuilder};
use tonic_reflection::server::{Builder, Error};

/// Why there is no reflection; both would be a defect of this build.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReflectionError {
    /// Our own descriptors are unreadable.
    #[error("the compiled descriptors are unreadable")]
    Descriptors(#[from] DecodeError),
    /// They are refused.
    #[error("the compiled descriptors are unusable")]
    Reflection(#[from] Error),
}

/// The reflection services.
pub(super) fn services() -> Result<Routes, ReflectionError> {
    let builder = || -> Result<Builder<'_>, ReflectionError> {
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
        services().unwrap();
    }
}
