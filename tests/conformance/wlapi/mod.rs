//! SPIFFE Workload API: the calls.
