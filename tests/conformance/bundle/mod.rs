//! SPIFFE Trust Domain and Bundle: documents of keys.
