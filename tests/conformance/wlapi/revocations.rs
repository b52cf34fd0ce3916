//! What the Workload API says was revoked is obeyed by our client, and by each message anew.

use signet_proto::workload::X509SvidResponse;

use crate::material::{
    Authority, OTHER, OURS, Stage, Svid, W, revocations,
    stage::{self, response},
};

const PROXY: &str = "spiffe://example.org/proxy";

/// Two trust domains, and a proxy of the first that trusts both.
struct World {
    ours: Authority,
    other: Authority,
    own: Svid,
    stage: Stage,
}

impl World {
    fn new() -> Self {
        let (ours, other) = (Authority::root(OURS), Authority::root(OTHER));
        let stage = Stage::start(&stage::bundles(&ours, &other));
        let own = ours.leaf(PROXY);
        Self {
            ours,
            other,
            own,
            stage,
        }
    }

    /// A message with these lists.
    fn with(&self, lists: &[Vec<u8>]) -> X509SvidResponse {
        let bundles = stage::bundles(&self.ours, &self.other);
        X509SvidResponse {
            crl: lists.iter().map(|list| list.clone().into()).collect(),
            ..response(PROXY, &self.own, &bundles)
        }
    }
}

#[test]
fn wlapi_14_what_is_revoked_is_refused_until_a_message_does_not_say_so_any_more() {
    let world = World::new();
    let (ours, other, stage) = (&world.ours, &world.other, &world.stage);
    let (bad, good) = (ours.leaf(W), ours.leaf(W));
    let foreign = other.leaf("spiffe://other.org/w");
    stage.accepts(W, &bad);
    let mut live = stage.hold(&bad);
    let mut neighbour = stage.hold(&good);
    stage.serve(world.with(&[revocations::list(ours, &[&bad], 1)]));
    stage
        .proxy
        .says("connection cut: the peer is no longer trusted: certificate");
    assert!(live.is_cut() && neighbour.is_answered());
    stage.refuses("was revoked by its issuer, CN=root of example.org", &bad);
    stage.accepts(W, &good);
    stage.accepts("spiffe://other.org/w", &foreign);

    // The other trust domain's authority says nothing of ours, and its own is believed.
    let lists = [revocations::list(other, &[&bad, &foreign], 1)];
    stage.serve(world.with(&lists));
    stage.becomes_accepted(W, &bad);
    stage.refuses("was revoked by its issuer, CN=root of other.org", &foreign);

    // Without a list nothing is revoked.
    stage.serve(world.with(&[]));
    stage.becomes_accepted("spiffe://other.org/w", &foreign);
}

#[test]
fn wlapi_14_a_list_that_is_out_of_date_keeps_its_issuers_peers_out_and_a_broken_one_changes_nothing()
 {
    let world = World::new();
    let (ours, stage) = (&world.ours, &world.stage);
    let peer = ours.leaf(W);
    let mut live = stage.hold(&peer);
    stage.serve(world.with(&[revocations::list(ours, &[], -1)]));
    stage.becomes_refused("its list is out of date", &peer);
    stage.refuses("its list is out of date", &peer);
    assert!(live.is_answered(), "what is there stays");
    stage.accepts(
        "spiffe://other.org/w",
        &world.other.leaf("spiffe://other.org/w"),
    );
    stage.serve(world.with(&[revocations::list(ours, &[], 1)]));
    stage.becomes_accepted(W, &peer);

    let revoked = revocations::list(ours, &[&peer], 1);
    stage.serve(world.with(&[revoked, b"no list".to_vec()]));
    stage
        .proxy
        .says("discarded: the agent sent an unusable SVID or bundle: failed to parse crl 1");
    stage.accepts(W, &peer);
    let stranger = Authority::root(OURS);
    stage.serve(world.with(&[revocations::list(&stranger, &[&peer], 1)]));
    stage
        .proxy
        .says("a list of revoked certificates is signed by none of the authorities");
    stage.accepts(W, &peer);
}
