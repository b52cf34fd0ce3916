//! X509-SVID: certificates and chains.
