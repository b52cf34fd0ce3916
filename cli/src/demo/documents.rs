//! The documents of the demo's mesh: a service in two versions, and how it is called.

/// The shop, whose versions are behind these ports.
pub(super) fn service([one, two]: [u16; 2]) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: shop }}
spec:
  hosts: [{SHOP_HOST}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{ number: 80, name: http, protocol: HTTP }}]
  subjectAltNames: ['{}']
  endpoints:
  - {{ address: 127.0.0.1, ports: {{ http: {one} }}, labels: {{ version: v1 }} }}
  - {{ address: 127.0.0.1, ports: {{ http: {two} }}, labels: {{ version: v2 }} }}
",
        SHOP
    )
}

/// Who the shop is.
pub(super) const SHOP: &str = "spiffe://demo.signet/shop";

/// The name by which the shop is called.
pub(super) const SHOP_HOST: &str = "shop.demo";

/// 95 of 100 get the first version, and who asks for it gets the second.
pub(super) const CANARY: &str = r#"apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: shop }
spec:
  host: shop.demo
  subsets:
  - { name: v1, labels: { version: v1 } }
  - { name: v2, labels: { version: v2 } }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop }
spec:
  hosts: [shop.demo]
  http:
  - name: beta
    match: [{ headers: { x-user-beta: { exact: "true" } } }]
    route: [{ destination: { host: shop.demo, subset: v2 } }]
  - name: canary
    route:
    - { destination: { host: shop.demo, subset: v1 }, weight: 95 }
    - { destination: { host: shop.demo, subset: v2 }, weight: 5 }
"#;

/// One of ten requests fails, wherever it would have gone.
pub(super) const FAULT: &str = r"apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop }
spec:
  hosts: [shop.demo]
  http:
  - name: fault
    fault: { abort: { httpStatus: 500, percentage: { value: 10 } } }
    route: [{ destination: { host: shop.demo } }]
";

/// What fails is not tried again.
pub(super) const NO_RETRIES: &str = r"apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop }
spec:
  hosts: [shop.demo]
  http:
  - name: once
    retries: { attempts: 0 }
    route: [{ destination: { host: shop.demo } }]
";

/// What fails is tried three times more, 25 ms later each.
pub(super) const RETRIES: &str = r#"apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop }
spec:
  hosts: [shop.demo]
  http:
  - name: retries
    retries: { attempts: 3, retryOn: "503", backoff: 25ms }
    route: [{ destination: { host: shop.demo } }]
"#;

/// Who fails three times on end is left alone for a second, until one request probes it.
pub(super) const BREAKER: &str = r"apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: shop }
spec:
  host: shop.demo
  trafficPolicy:
    outlierDetection:
      consecutive5xxErrors: 3
      interval: 1s
      baseEjectionTime: 1s
      maxEjectionPercent: 50
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop }
spec:
  hosts: [shop.demo]
  http:
  - name: in-force
    match: [{ uri: { exact: /in-force } }]
    directResponse: { status: 204 }
  - name: breaker
    retries: { attempts: 0 }
    route: [{ destination: { host: shop.demo } }]
";
