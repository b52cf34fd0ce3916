//! signet-agent
