//! What to do about the node's SVID, decided from what is known.

use std::time::SystemTime;

use super::NodeSvid;
use crate::upstream::Reason;

/// What to do about the node's SVID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Attest,
    Renew,
    Wait { until: SystemTime },
    Stop,
}

/// Decides from what is known; a re-attestable node attests again instead of renewing.
pub(super) fn step(svid: Option<&NodeSvid>, refusal: Option<Reason>, now: SystemTime) -> Step {
    match refusal {
        Some(Reason::Banned) => return Step::Stop,
        Some(Reason::Expired | Reason::NotAttested | Reason::NotActive | Reason::MustReattest) => {
            return Step::Attest;
        }
        None => {}
    }
    match svid {
        None => Step::Attest,
        Some(svid) if now >= svid.not_after => Step::Attest,
        Some(svid) if now < svid.renew_at => Step::Wait {
            until: svid.renew_at,
        },
        Some(svid) if svid.reattestable => Step::Attest,
        Some(_) => Step::Renew,
    }
}
