//! The level of the agent's log.

use signet_daemon::log;
use signet_proto::spire::api::{
    agent::logger::v1::{
        GetLoggerRequest, ResetLogLevelRequest, SetLogLevelRequest, logger_server::Logger,
    },
    types,
};
use tonic::{Request, Response, Status};

use crate::api::status::Refusal;

/// Serves `spire.api.agent.logger.v1.Logger`.
#[derive(Clone, Copy, Debug)]
pub(super) struct LoggerService;

#[tonic::async_trait]
impl Logger for LoggerService {
    async fn get_logger(
        &self,
        _request: Request<GetLoggerRequest>,
    ) -> Result<Response<types::Logger>, Status> {
        Ok(Response::new(log::levels().map_err(Refusal::from)?))
    }

    async fn set_log_level(
        &self,
        request: Request<SetLogLevelRequest>,
    ) -> Result<Response<types::Logger>, Status> {
        let asked = request.into_inner().new_level;
        Ok(Response::new(log::set_level(asked).map_err(Refusal::from)?))
    }

    async fn reset_log_level(
        &self,
        _request: Request<ResetLogLevelRequest>,
    ) -> Result<Response<types::Logger>, Status> {
        Ok(Response::new(log::reset_level().map_err(Refusal::from)?))
    }
}
