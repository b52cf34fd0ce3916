//! What proxies tell of requests: spans, to whoever collects them, and the access log.

mod access_log;
mod collectors;
mod traces;
