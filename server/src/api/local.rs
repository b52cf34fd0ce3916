//! What is served on the local admin socket only: the level of the log. (Health is tonic's.)

use signet_daemon::log;
use signet_proto::spire::api::{
    server::logger::v1::{
        GetLoggerRequest, ResetLogLevelRequest, SetLogLevelRequest, logger_server::Logger,
    },
    types,
};
use tonic::{Request, Response, Status};

use super::status::level;

/// Serves `spire.api.server.logger.v1.Logger`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoggerService;

#[tonic::async_trait]
impl Logger for LoggerService {
    async fn get_logger(
        &self,
        _request: Request<GetLoggerRequest>,
    ) -> Result<Response<types::Logger>, Status> {
        log::levels().map(Response::new).map_err(level)
    }

    async fn set_log_level(
        &self,
        request: Request<SetLogLevelRequest>,
    ) -> Result<Response<types::Logger>, Status> {
        let asked = request.into_inner().new_level;
        log::set_level(asked).map(Response::new).map_err(level)
    }

    async fn reset_log_level(
        &self,
        _request: Request<ResetLogLevelRequest>,
    ) -> Result<Response<types::Logger>, Status> {
        log::reset_level().map(Response::new).map_err(level)
    }
}
