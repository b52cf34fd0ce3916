//! Documents as people have them are read without a warning, and route as they mean.

use super::*;

const CANARY: &str = r#"
apiVersion: networking.istio.io/v1beta1
kind: VirtualService
metadata:
  name: reviews
  namespace: shop
  labels:
    team: web
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: "{}"
spec:
  hosts:
  - reviews.shop.svc.cluster.local
  http:
  - name: testers
    match:
    - headers:
        end-user:
          exact: jason
      uri:
        prefix: /api/v1
      ignoreUriCase: true
    - headers:
        cookie:
          regex: "^(.*?;)?(user=tester)(;.*)?$"
    rewrite:
      uri: /v1
    route:
    - destination:
        host: reviews.shop.svc.cluster.local
        subset: v2
    retries:
      attempts: 3
      perTryTimeout: 2s
      retryOn: gateway-error,connect-failure,refused-stream
    timeout: 10s
  - route:
    - destination:
        host: reviews.shop.svc.cluster.local
        subset: v1
      weight: 95
    - destination:
        host: reviews.shop.svc.cluster.local
        subset: v2
      weight: 5
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: reviews
  namespace: shop
spec:
  host: reviews
  subsets:
  - name: v1
    labels: { version: v1 }
  - name: v2
    labels: { version: v2 }
"#;

const FAULTS: &str = r#"
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata:
  name: ratings
spec:
  hosts:
    - ratings
  gateways:
    - mesh
    - public
  http:
    - match:
        - sourceLabels:
            app: reviews
      fault:
        delay:
          percentage:
            value: 100
          fixedDelay: 7s
        abort:
          httpStatus: 503
          percentage:
            value: 0.1
      route:
        - destination:
            host: ratings
            port:
              number: 9080
      mirror:
        host: ratings-next
      mirrorPercentage:
        value: 12.5
      corsPolicy:
        allowOrigins:
          - exact: https://example.com
        allowMethods:
          - POST
          - GET
        allowCredentials: false
        allowHeaders:
          - X-Foo-Bar
        maxAge: "24h"
      headers:
        request:
          set:
            x-env: canary
        response:
          remove:
            - server
    - redirect:
        uri: /v1/ratings
        authority: newratings.default.svc.cluster.local
status: {}
"#;

const CONNECTIONS: &str = r"
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: database
  namespace: shop
spec:
  hosts: [mongo.backup.svc.cluster.local, '*.wikipedia.org']
  tcp:
  - match:
    - port: 27017
    route:
    - destination:
        host: mongo.backup.svc.cluster.local
        port:
          number: 5555
  tls:
  - match:
    - port: 443
      sniHosts:
      - en.wikipedia.org
    route:
    - destination:
        host: en.wikipedia.org
";

#[test]
fn a_canary_for_testers() {
    let model = model(CANARY);
    assert_eq!(model.warnings(), []);
    let routes = model
        .virtual_services()
        .for_workload(client("shop", &[]).into());
    let goes = |call: Call| goes(&routes, &call, 0);
    let v2 = "reviews.shop.svc.cluster.local subset v2";
    let v1 = "reviews.shop.svc.cluster.local subset v1";
    assert_eq!(goes(get("/API/v1/x").header("end-user", "jason")), v2);
    assert_eq!(goes(get("/x").header("cookie", "a=b;user=tester")), v2);
    assert_eq!(goes(get("/x").header("end-user", "jason")), v1);
}

#[test]
fn faults_for_some_clients_and_a_redirect_for_the_rest() {
    let model = model(FAULTS);
    assert_eq!(model.warnings(), []);
    let reviews = client("default", &[("app", "reviews")]);
    let call = get("/x").to("ratings:9080").port(9080);
    let of = |workload: &Workload| {
        let routes = model
            .virtual_services()
            .for_workload(workload.clone().into());
        goes(&routes, &call, 0)
    };
    assert_eq!(of(&reviews), "ratings.default.svc.cluster.local:9080");
    let elsewhere = "301 http://newratings.default.svc.cluster.local/v1/ratings";
    assert_eq!(of(&client("default", &[])), elsewhere);
}

#[test]
fn a_database_and_a_site_outside() {
    let model = model(CONNECTIONS);
    assert_eq!(model.warnings(), []);
    let routes = model
        .virtual_services()
        .for_workload(client("shop", &[]).into());
    let call = |host, port| ConnectionCall {
        host,
        destination_ip: [10, 0, 0, 9].into(),
        port,
    };
    let to = |it: Option<RoutedConnection<'_>>| it.map(|it| it.to.destination.to_string());
    let tcp = to(routes.tcp(&call("mongo.backup", 27017), 0));
    assert_eq!(tcp.as_deref(), Some("mongo.backup.svc.cluster.local:5555"));
    let tls = to(routes.tls(&call("en.wikipedia.org", 443), 0));
    assert_eq!(tls.as_deref(), Some("en.wikipedia.org"));
}
