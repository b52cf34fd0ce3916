//! `spire.api.server.bundle.v1.Bundle`.

#[cfg(test)]
mod tests;

use std::future::Future;

use signet_identity::{
    TrustDomain,
    bundle::{Bundle as Authorities, JwtAuthority},
    id,
};
use signet_proto::spire::api::{
    server::bundle::v1::{
        AppendBundleRequest, BatchCreateFederatedBundleRequest, BatchCreateFederatedBundleResponse,
        BatchDeleteFederatedBundleRequest, BatchDeleteFederatedBundleResponse,
        BatchSetFederatedBundleRequest, BatchSetFederatedBundleResponse,
        BatchUpdateFederatedBundleRequest, BatchUpdateFederatedBundleResponse, CountBundlesRequest,
        CountBundlesResponse, GetBundleRequest, GetFederatedBundleRequest,
        ListFederatedBundlesRequest, ListFederatedBundlesResponse, PublishJwtAuthorityRequest,
        PublishJwtAuthorityResponse, PublishWitAuthorityRequest, PublishWitAuthorityResponse,
        batch_create_federated_bundle_response, batch_delete_federated_bundle_request::Mode,
        batch_delete_federated_bundle_response, batch_set_federated_bundle_response,
        batch_update_federated_bundle_response, bundle_server::Bundle,
    },
    types,
};
use tonic::{Request, Response, Status};

use super::{
    page::{Page, token},
    status::{invalid, item, item_ok},
};
use crate::{
    bundles::{Bundles, BundlesError},
    directory::Directory,
    store::DeleteMode,
};

/// The service.
#[derive(Debug, Clone)]
pub(crate) struct BundleService {
    bundles: Bundles,
    directory: Directory,
}

impl BundleService {
    pub(crate) fn new(bundles: Bundles, directory: Directory) -> Self {
        Self { bundles, directory }
    }

    async fn update(
        &self,
        change: types::Bundle,
        mask: Option<types::BundleMask>,
    ) -> Result<Authorities, Status> {
        let change = read(&change)?;
        let mask = mask.unwrap_or(EVERYTHING);
        let trust_domain = change.trust_domain.clone();
        let edit = move |bundle: &mut Authorities| merge(bundle, change, mask);
        Ok(self.bundles.update(trust_domain, edit).await?)
    }

    async fn delete(&self, name: &str, mode: DeleteMode) -> Result<(), Status> {
        let trust_domain = trust_domain(name)?;
        Ok(self.bundles.delete(trust_domain, mode).await?)
    }
}

#[tonic::async_trait]
impl Bundle for BundleService {
    async fn count_bundles(
        &self,
        _request: Request<CountBundlesRequest>,
    ) -> Result<Response<CountBundlesResponse>, Status> {
        let count = i32::try_from(self.bundles.count()).unwrap_or(i32::MAX);
        Ok(Response::new(CountBundlesResponse { count }))
    }

    async fn get_bundle(
        &self,
        request: Request<GetBundleRequest>,
    ) -> Result<Response<types::Bundle>, Status> {
        let own = self
            .bundles
            .own()
            .ok_or_else(|| Status::not_found("bundle not found"))?;
        Ok(Response::new(
            own.to_proto(request.into_inner().output_mask.as_ref()),
        ))
    }

    async fn append_bundle(
        &self,
        request: Request<AppendBundleRequest>,
    ) -> Result<Response<types::Bundle>, Status> {
        let request = request.into_inner();
        if !request.wit_authorities.is_empty() {
            return Err(no_wit());
        }
        if request.x509_authorities.is_empty() && request.jwt_authorities.is_empty() {
            return Err(invalid("no authorities to append"));
        }
        let added = read(&types::Bundle {
            trust_domain: self.directory.trust_domain().to_string(),
            x509_authorities: request.x509_authorities,
            jwt_authorities: request.jwt_authorities,
            ..types::Bundle::default()
        })?;
        let bundle = self
            .bundles
            .append(added.x509_authorities, added.jwt_authorities)
            .await?;
        Ok(Response::new(bundle.to_proto(request.output_mask.as_ref())))
    }

    async fn publish_jwt_authority(
        &self,
        request: Request<PublishJwtAuthorityRequest>,
    ) -> Result<Response<PublishJwtAuthorityResponse>, Status> {
        let Some(key) = request.into_inner().jwt_authority else {
            return Err(invalid("missing JWT authority"));
        };
        // Read as part of a bundle, which checks that the key can be used.
        let added = read(&types::Bundle {
            trust_domain: self.directory.trust_domain().to_string(),
            jwt_authorities: vec![key],
            ..types::Bundle::default()
        })?;
        let bundle = self
            .bundles
            .append(Vec::new(), added.jwt_authorities)
            .await?;
        let jwt_authorities = bundle
            .jwt_authorities
            .iter()
            .map(JwtAuthority::to_proto)
            .collect();
        Ok(Response::new(PublishJwtAuthorityResponse {
            jwt_authorities,
        }))
    }

    async fn publish_wit_authority(
        &self,
        _request: Request<PublishWitAuthorityRequest>,
    ) -> Result<Response<PublishWitAuthorityResponse>, Status> {
        Err(no_wit())
    }

    async fn list_federated_bundles(
        &self,
        request: Request<ListFederatedBundlesRequest>,
    ) -> Result<Response<ListFederatedBundlesResponse>, Status> {
        let request = request.into_inner();
        let page = Page::<TrustDomain>::parse(request.page_size, &request.page_token)?;
        let (found, more) = self.bundles.list(page.after.as_ref(), page.size);
        let next = found.last().filter(|_| more);
        let next_page_token = next.map_or_else(String::new, |last| token(&last.trust_domain));
        let mask = request.output_mask.as_ref();
        let bundles = found.iter().map(|bundle| bundle.to_proto(mask)).collect();
        Ok(Response::new(ListFederatedBundlesResponse {
            bundles,
            next_page_token,
        }))
    }

    async fn get_federated_bundle(
        &self,
        request: Request<GetFederatedBundleRequest>,
    ) -> Result<Response<types::Bundle>, Status> {
        let request = request.into_inner();
        let bundle = self.bundles.get(&trust_domain(&request.trust_domain)?)?;
        Ok(Response::new(bundle.to_proto(request.output_mask.as_ref())))
    }

    async fn batch_create_federated_bundle(
        &self,
        request: Request<BatchCreateFederatedBundleRequest>,
    ) -> Result<Response<BatchCreateFederatedBundleResponse>, Status> {
        let request = request.into_inner();
        let mut results = Vec::with_capacity(request.bundle.len());
        for bundle in &request.bundle {
            let done = stored(bundle, |bundle| self.bundles.create(bundle)).await;
            let (status, bundle) = outcome(done, request.output_mask.as_ref());
            results.push(batch_create_federated_bundle_response::Result { status, bundle });
        }
        Ok(Response::new(BatchCreateFederatedBundleResponse {
            results,
        }))
    }

    async fn batch_update_federated_bundle(
        &self,
        request: Request<BatchUpdateFederatedBundleRequest>,
    ) -> Result<Response<BatchUpdateFederatedBundleResponse>, Status> {
        let request = request.into_inner();
        let mut results = Vec::with_capacity(request.bundle.len());
        for bundle in request.bundle {
            let done = self.update(bundle, request.input_mask).await;
            let (status, bundle) = outcome(done, request.output_mask.as_ref());
            results.push(batch_update_federated_bundle_response::Result { status, bundle });
        }
        Ok(Response::new(BatchUpdateFederatedBundleResponse {
            results,
        }))
    }

    async fn batch_set_federated_bundle(
        &self,
        request: Request<BatchSetFederatedBundleRequest>,
    ) -> Result<Response<BatchSetFederatedBundleResponse>, Status> {
        let request = request.into_inner();
        let mut results = Vec::with_capacity(request.bundle.len());
        for bundle in &request.bundle {
            let done = stored(bundle, |bundle| self.bundles.set(bundle)).await;
            let (status, bundle) = outcome(done, request.output_mask.as_ref());
            results.push(batch_set_federated_bundle_response::Result { status, bundle });
        }
        Ok(Response::new(BatchSetFederatedBundleResponse { results }))
    }

    async fn batch_delete_federated_bundle(
        &self,
        request: Request<BatchDeleteFederatedBundleRequest>,
    ) -> Result<Response<BatchDeleteFederatedBundleResponse>, Status> {
        let request = request.into_inner();
        let mode = match Mode::try_from(request.mode) {
            Ok(Mode::Restrict) => DeleteMode::Restrict,
            Ok(Mode::Delete) => DeleteMode::Delete,
            Ok(Mode::Dissociate) => DeleteMode::Dissociate,
            Err(unknown) => return Err(invalid(format!("unhandled delete mode: {unknown}"))),
        };
        let mut results = Vec::with_capacity(request.trust_domains.len());
        for name in request.trust_domains {
            let done = self.delete(&name, mode).await;
            let status = done.map_or_else(|refused| item(&refused), |()| item_ok());
            results.push(batch_delete_federated_bundle_response::Result {
                status: Some(status),
                trust_domain: name,
            });
        }
        Ok(Response::new(BatchDeleteFederatedBundleResponse {
            results,
        }))
    }
}

async fn stored<F>(
    bundle: &types::Bundle,
    store: impl FnOnce(Authorities) -> F,
) -> Result<Authorities, Status>
where
    F: Future<Output = Result<Authorities, BundlesError>>,
{
    Ok(store(read(bundle)?).await?)
}

fn outcome(
    done: Result<Authorities, Status>,
    mask: Option<&types::BundleMask>,
) -> (Option<types::Status>, Option<types::Bundle>) {
    match done {
        Ok(bundle) => (Some(item_ok()), Some(bundle.to_proto(mask))),
        Err(refused) => (Some(item(&refused)), None),
    }
}

fn read(bundle: &types::Bundle) -> Result<Authorities, Status> {
    if !bundle.wit_authorities.is_empty() {
        return Err(no_wit());
    }
    Authorities::from_proto(bundle)
        .map_err(|error| invalid(format!("failed to convert bundle: {error}")))
}

fn merge(bundle: &mut Authorities, change: Authorities, mask: types::BundleMask) {
    if mask.x509_authorities {
        bundle.x509_authorities = change.x509_authorities;
    }
    if mask.jwt_authorities {
        bundle.jwt_authorities = change.jwt_authorities;
    }
    if mask.refresh_hint {
        bundle.refresh_hint = change.refresh_hint;
    }
    if mask.sequence_number {
        bundle.sequence = change.sequence;
    }
}

fn trust_domain(name: &str) -> Result<TrustDomain, Status> {
    id::parse_trust_domain(name)
        .map_err(|error| invalid(format!("trust domain argument is not valid: {error}")))
}

fn no_wit() -> Status {
    Status::unimplemented("this server issues no WIT-SVIDs, so it keeps no WIT authorities")
}

const EVERYTHING: types::BundleMask = types::BundleMask {
    x509_authorities: true,
    jwt_authorities: true,
    refresh_hint: true,
    sequence_number: true,
    wit_authorities: true,
};
