//! What is served on the local admin socket only: the level of the log. (Health is tonic's.)

use signet_daemon::log::{self, Level, LogHandle};
use signet_proto::spire::api::{
    server::logger::v1::{
        GetLoggerRequest, ResetLogLevelRequest, SetLogLevelRequest, logger_server::Logger,
    },
    types::{self, LogLevel},
};
use tonic::{Request, Response, Status};
use tracing::info;

use super::status::invalid;

/// Serves `spire.api.server.logger.v1.Logger`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoggerService;

#[tonic::async_trait]
impl Logger for LoggerService {
    async fn get_logger(
        &self,
        _request: Request<GetLoggerRequest>,
    ) -> Result<Response<types::Logger>, Status> {
        Ok(Response::new(levels(handle()?)))
    }

    async fn set_log_level(
        &self,
        request: Request<SetLogLevelRequest>,
    ) -> Result<Response<types::Logger>, Status> {
        let level = level(request.into_inner().new_level)?;
        let handle = handle()?;
        handle.set_level(level);
        info!(name: "log_level_set", level = %level, "the log level was changed");
        Ok(Response::new(levels(handle)))
    }

    async fn reset_log_level(
        &self,
        _request: Request<ResetLogLevelRequest>,
    ) -> Result<Response<types::Logger>, Status> {
        let handle = handle()?;
        handle.reset_level();
        info!(
            name: "log_level_reset",
            launch_log_level = %handle.launch_level(),
            "the log level was reset"
        );
        Ok(Response::new(levels(handle)))
    }
}

fn handle() -> Result<&'static LogHandle, Status> {
    log::installed()
        .ok_or_else(|| Status::failed_precondition("this process does not log through the server"))
}

fn levels(handle: &LogHandle) -> types::Logger {
    types::Logger {
        current_level: to_proto(handle.level()).into(),
        launch_level: to_proto(handle.launch_level()).into(),
    }
}

fn level(asked: i32) -> Result<Level, Status> {
    match LogLevel::try_from(asked) {
        Ok(LogLevel::Panic) => Ok(Level::Panic),
        Ok(LogLevel::Fatal) => Ok(Level::Fatal),
        Ok(LogLevel::Error) => Ok(Level::Error),
        Ok(LogLevel::Warn) => Ok(Level::Warn),
        Ok(LogLevel::Info) => Ok(Level::Info),
        Ok(LogLevel::Debug) => Ok(Level::Debug),
        Ok(LogLevel::Trace) => Ok(Level::Trace),
        Ok(LogLevel::Unspecified) => Err(invalid("newLevel value cannot be LogLevel_UNSPECIFIED")),
        Err(_unknown) => Err(invalid(format!("log level {asked} is not known"))),
    }
}

fn to_proto(level: Level) -> LogLevel {
    match level {
        Level::Panic => LogLevel::Panic,
        Level::Fatal => LogLevel::Fatal,
        Level::Error => LogLevel::Error,
        Level::Warn => LogLevel::Warn,
        Level::Info => LogLevel::Info,
        Level::Debug => LogLevel::Debug,
        Level::Trace => LogLevel::Trace,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_reads_back_and_unspecified_is_refused() {
        for asked in 1..=7 {
            assert_eq!(i32::from(to_proto(level(asked).unwrap())), asked);
        }
        assert!(level(0).is_err());
        assert!(level(8).is_err());
    }
}
