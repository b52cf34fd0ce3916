//! signet-tests
