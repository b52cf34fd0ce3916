//! SPIFFE-ID: names of trust domains and workloads.
