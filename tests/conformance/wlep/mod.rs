//! SPIFFE Workload Endpoint: the socket.
