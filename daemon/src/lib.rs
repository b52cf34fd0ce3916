//! signet-daemon
