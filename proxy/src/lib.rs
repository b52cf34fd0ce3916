//! signet-proxy
