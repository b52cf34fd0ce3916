//! Documents for gateways, which people keep beside those for workloads.

use super::*;

const GATEWAY: &str = "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: front }
spec:
  selector: { istio: ingressgateway }
  servers:
  - port: { number: 8080, name: http, protocol: HTTP }
    hosts: ['*']
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop }
spec:
  hosts: ['*']
  gateways: [front]
  http:
  - match: [{ uri: { exact: /cart } }, { uri: { prefix: /static } }]
    route: [{ destination: { host: shop, port: { number: 9080 } } }]
";

#[test]
fn what_is_for_gateways_is_left_out_and_told_of() {
    let model = parse(GATEWAY).unwrap_or_else(|errors| panic!("{errors:#?}"));
    let warnings: Vec<String> = model.warnings().iter().map(ToString::to_string).collect();
    let [gateway, routes] = warnings.as_slice() else {
        panic!("{warnings:#?}");
    };
    assert!(
        gateway.starts_with("mesh.yaml:2: kind \"Gateway\" is for gateways"),
        "{gateway}"
    );
    assert!(routes.contains("is for gateways alone"), "{routes}");
    let documents: Vec<_> = model.documents().collect();
    assert_eq!(documents, [(Kind::VirtualService, 1)]);
}

#[test]
fn a_route_of_the_mesh_still_has_to_name_its_hosts() {
    for gateways in ["[front, mesh]", "[mesh]"] {
        let text = GATEWAY.replace("[front]", gateways);
        let errors = parse(&text).map(|_| gateways).expect_err("must be refused");
        assert!(errors[0].what.contains("would be every host"), "{errors:?}");
    }
}
