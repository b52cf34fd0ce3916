//! Documents as people have them are read without a warning, and mean what they mean there.

use signet_identity::TrustDomain;

use super::*;

const OUTSIDE: &str = r"
apiVersion: networking.istio.io/v1beta1
kind: ServiceEntry
metadata:
  name: googleapis
  namespace: shop
  labels: { team: web }
spec:
  hosts:
  - www.googleapis.com
  - API.example.com
  location: MESH_EXTERNAL
  ports:
  - number: 443
    name: https
    protocol: HTTPS
  resolution: DNS
  exportTo:
  - '.'
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: wikipedia, namespace: shop }
spec:
  hosts: ['*.wikipedia.org']
  ports:
  - number: 443
    name: tls
    protocol: tls
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: mongo, namespace: shop }
spec:
  hosts: [mymongodb.somedomain]
  addresses:
  - 192.192.192.192/24
  ports:
  - { number: 27018, name: mongodb, protocol: MONGO }
  location: MESH_INTERNAL
  resolution: STATIC
  endpoints:
  - address: 2.2.2.2
  - address: 3.3.3.3
";

const ON_MACHINES: &str = r"
apiVersion: networking.istio.io/v1alpha3
kind: ServiceEntry
metadata:
  name: details
  namespace: shop
spec:
  hosts: [details.bookinfo.com]
  location: MESH_INTERNAL
  ports:
  - number: 80
    name: http
    protocol: HTTP
    targetPort: 8080
  - number: 9090
    name: metrics
    protocol: HTTP
  resolution: STATIC
  workloadSelector:
    labels:
      app: details
  subjectAltNames:
  - spiffe://example.org/ns/shop/sa/details
---
apiVersion: networking.istio.io/v1alpha3
kind: WorkloadEntry
metadata:
  name: vm1
  namespace: shop
  labels:
    app: details
spec:
  address: 10.0.0.1
  serviceAccount: details
  labels: { version: v1 }
  locality: us-west/zone1/rack2
  weight: 3
---
apiVersion: networking.istio.io/v1alpha3
kind: WorkloadEntry
metadata: { name: vm2, namespace: shop }
spec:
  address: '2001:db8::2'
  ports:
    http: 8081
  labels: { app: details, version: v2 }
---
apiVersion: networking.istio.io/v1alpha3
kind: ServiceEntry
metadata: { name: socket, namespace: shop }
spec:
  hosts: [local.example.org]
  ports: [{ number: 80, name: http, protocol: HTTP }]
  resolution: STATIC
  endpoints: [{ address: unix:///var/run/example/socket }]
";

#[test]
fn services_outside_of_the_mesh() {
    let text = OUTSIDE.replace("192.192.192.192/24", "192.192.192.0/24");
    let model = model(&text);
    assert_eq!(model.warnings(), []);
    assert_eq!(
        places(&model, "www.googleapis.com", 443),
        ["www.googleapis.com:443"]
    );
    assert_eq!(
        places(&model, "api.example.com", 443),
        ["api.example.com:443"]
    );
    let services = seen_by(&model, "shop");
    let wikipedia = services.of("en.wikipedia.org").expect("below the domain");
    assert_eq!(wikipedia.resolution, Resolution::None);
    assert_eq!(wikipedia.location, Location::External);
    assert_eq!(wikipedia.endpoints, []);
    assert!(services.of("wikipedia.org").is_none());
    assert_eq!(
        places(&model, "mymongodb.somedomain", 27018),
        ["2.2.2.2:27018", "3.3.3.3:27018"]
    );
    let mongo = services.at([192, 192, 192, 7].into(), 27018);
    assert_eq!(mongo.len(), 1);
    assert!(mongo[0].has_address([192, 192, 192, 7].into()));
    assert!(services.at([192, 192, 193, 7].into(), 27018).is_empty());
    let warnings = warnings(OUTSIDE);
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].contains("the bits after the prefix length are ignored"),
        "{warnings:?}"
    );
}

#[test]
fn a_service_on_machines_is_where_its_workloads_are() {
    let model = model(ON_MACHINES);
    assert_eq!(model.warnings(), []);
    let host = "details.bookinfo.com";
    assert_eq!(
        places(&model, host, 80),
        ["10.0.0.1:8080", "2001:db8::2:8081"]
    );
    assert_eq!(
        places(&model, host, 9090),
        ["10.0.0.1:9090", "2001:db8::2:9090"]
    );
    assert_eq!(
        places(&model, "local.example.org", 80),
        ["unix:///var/run/example/socket:80"]
    );
    let services = seen_by(&model, "other");
    let details = services.of(host).expect("exported to all");
    assert_eq!(details.location, Location::Internal);
    assert_eq!(
        details.subject_alt_names[0].to_string(),
        "spiffe://example.org/ns/shop/sa/details"
    );
    let (one, two) = (&details.endpoints[0], &details.endpoints[1]);
    assert_eq!((one.weight, two.weight), (3, 1));
    assert_eq!(
        one.locality.as_ref().map(ToString::to_string).as_deref(),
        Some("us-west/zone1/rack2")
    );
    let labels: Vec<_> = one.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(labels, ["app=details", "version=v1"]);
    let domain = TrustDomain::new("example.org").expect("a name");
    let id = one.id(&domain).map(|id| id.to_string());
    assert_eq!(
        id.as_deref(),
        Some("spiffe://example.org/ns/shop/sa/details")
    );
    assert_eq!(two.id(&domain), None);
}
