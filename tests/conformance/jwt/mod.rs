//! JWT-SVID: tokens.
