//! The mandatory header: `workload.spiffe.io: true`, exactly so, exactly once, on every call.
//!
//! A browser or proxy that is tricked into calling the socket cannot set it, so no request is
//! looked at without it (SPIFFE Workload Endpoint §3).

use tonic::{Request, Status, metadata::MetadataMap};

/// Refuses a request without the header.
pub(super) fn check(request: Request<()>) -> Result<Request<()>, Status> {
    if is_present(request.metadata()) {
        return Ok(request);
    }
    Err(Status::invalid_argument(
        "security header missing from request: send metadata \"workload.spiffe.io: true\"",
    ))
}

fn is_present(metadata: &MetadataMap) -> bool {
    let mut values = metadata.get_all(NAME).iter();
    let first = values
        .next()
        .is_some_and(|value| value.as_bytes() == b"true");
    first && values.next().is_none()
}

/// The header's name.
pub(super) const NAME: &str = "workload.spiffe.io";

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(values: &[&'static str]) -> Result<Request<()>, Status> {
        let mut request = Request::new(());
        for value in values {
            request.metadata_mut().append(NAME, value.parse().unwrap());
        }
        check(request)
    }

    #[test]
    fn only_the_exact_value_once_is_accepted() {
        answer(&["true"]).unwrap();
        for refused in [
            &[][..],
            &["True"],
            &["TRUE"],
            &["1"],
            &[""],
            &[" true"],
            &["true "],
            &["false"],
            &["true,true"],
            &["true", "true"],
            &["true", "false"],
        ] {
            let status = answer(refused).unwrap_err();
            assert_eq!(status.code(), tonic::Code::InvalidArgument, "{refused:?}");
        }
    }

    #[test]
    fn another_name_does_not_count() {
        let mut request = Request::new(());
        let metadata = request.metadata_mut();
        metadata.insert("workload.spiffe.io-x", "true".parse().unwrap());
        assert!(check(request).is_err());
    }
}
