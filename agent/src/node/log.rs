//! What the log says of the node's standing, where SPIRE has lines for it.

use signet_identity::bundle::Bundle;
use tracing::info;

use super::NodeSvid;

/// Whether the server's authorities are known before anybody is asked.
pub(super) fn bundle(bundle: Option<&Bundle>) {
    let Some(bundle) = bundle else {
        info!(name: "bundle_missing", "the server's authorities are not known yet");
        return;
    };
    let trust_domain = bundle.trust_domain.id_string();
    info!(name: "bundle_loaded", trust_domain, "the server's authorities are known");
}

/// An earlier run left an SVID that is still valid.
pub(super) fn loaded(svid: Option<&NodeSvid>) {
    if let Some(NodeSvid { id, .. }) = svid {
        info!(
            name: "agent_svid_loaded",
            agent_id = %id,
            trust_domain = id.trust_domain().id_string(),
            "this node has an SVID of an earlier run"
        );
    }
}

/// The node was attested, for the first time or again.
pub(super) fn attested(svid: Option<&NodeSvid>, again: bool) {
    let Some(svid) = svid else {
        return;
    };
    let agent_id = &svid.id;
    if again {
        info!(name: "agent_reattested", %agent_id, "node attestation was successful again");
        return;
    }
    info!(
        name: "node_attested",
        %agent_id,
        reattestable = svid.reattestable,
        trust_domain = agent_id.trust_domain().id_string(),
        "node attestation was successful"
    );
}

/// The server signed a new SVID for the node.
pub(super) fn renewed(svid: Option<&NodeSvid>) {
    if let Some(NodeSvid { id, .. }) = svid {
        info!(name: "agent_svid_rotated", agent_id = %id, "the agent's SVID was renewed");
    }
}
