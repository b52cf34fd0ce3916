//! signet-mesh
