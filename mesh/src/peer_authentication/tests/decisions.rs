//! Documents as people have them, and what holds at each port.

use super::*;

const MESH: &str = r"
apiVersion: security.istio.io/v1beta1
kind: PeerAuthentication
metadata:
  name: default
  namespace: istio-system
spec:
  mtls:
    mode: PERMISSIVE
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata:
  name: default
  namespace: shop
spec:
  mtls:
    mode: STRICT
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata:
  name: finance
  namespace: shop
spec:
  selector:
    matchLabels:
      app: finance
  mtls:
    mode: UNSET
  portLevelMtls:
    8080:
      mode: DISABLE
    '9090':
      mode: PERMISSIVE
    9091:
      mode: UNSET
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata:
  name: console
  namespace: istio-system
spec:
  selector: { matchLabels: { app: console } }
  mtls: { mode: DISABLE }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata:
  name: default
  namespace: zoo
spec:
  mtls: {}
";

#[test]
fn the_nearest_document_that_sets_a_mode_decides() {
    let model = model(MESH);
    assert_eq!(model.warnings(), []);
    let mesh = "by PeerAuthentication istio-system/default (mtls.yaml:2)";
    let shop = "by PeerAuthentication shop/default (mtls.yaml:11)";
    let finance = "by PeerAuthentication shop/finance (mtls.yaml:20)";
    let console = "by PeerAuthentication istio-system/console (mtls.yaml:39)";
    for (workload, port, mode, by) in [
        ("shop/web", 80, "STRICT", shop),
        ("shop/finance", 80, "STRICT", shop),
        ("shop/finance", 8080, "DISABLE", finance),
        ("shop/finance", 9090, "PERMISSIVE", finance),
        ("shop/finance", 9091, "STRICT", shop),
        ("zoo/finance", 8080, "PERMISSIVE", mesh),
        ("third/console", 80, "PERMISSIVE", mesh),
        ("istio-system/console", 80, "DISABLE", console),
        ("istio-system/web", 80, "PERMISSIVE", mesh),
    ] {
        let wanted = format!("{mode} {by}");
        assert_eq!(decided(&model, workload, port), wanted, "{workload}:{port}");
    }
}

#[test]
fn without_a_document_only_mutual_tls_is_taken() {
    let nothing = PeerAuthentications::default();
    let mode = nothing.for_workload(&workload("shop/web"), "istio-system");
    assert_eq!(mode.mode(80), MtlsMode::Strict);
    assert_eq!(mode.decided(80).to_string(), "STRICT by default");
    let model = model(&document("other/a", "{ mtls: { mode: DISABLE } }"));
    assert_eq!(decided(&model, "shop/web", 80), "STRICT by default");
}

#[test]
fn who_counts_on_the_default_of_istio_is_warned() {
    let open = document("a", "{ mtls: { mode: UNSET } }");
    let web = "selector: { matchLabels: { app: web } }";
    let port = document(
        "b",
        &format!("{{ {web}, portLevelMtls: {{ 80: {{ mode: DISABLE }} }} }}"),
    );
    let shop = document("c", "{ mtls: { mode: PERMISSIVE } }");
    let mesh = document("istio-system/c", "{ mtls: { mode: PERMISSIVE } }");
    let zoo = document("zoo/b", &format!("{{ {web}, mtls: {{ mode: STRICT }} }}"));
    for (text, warned) in [
        (open.clone(), true),
        (document("a", "{}"), true),
        (port.clone(), true),
        (format!("{open}{port}"), true),
        (format!("{port}{zoo}"), true),
        (format!("{port}{shop}"), false),
        (format!("{open}{mesh}"), false),
        (format!("{port}{mesh}"), false),
        (shop, false),
    ] {
        let model = model(&text);
        let warnings: Vec<String> = model.warnings().iter().map(ToString::to_string).collect();
        assert_eq!(!warnings.is_empty(), warned, "{text}{warnings:?}");
        if warned {
            let wanted = "so it is STRICT; in Istio it would be PERMISSIVE; write";
            assert!(warnings[0].starts_with("mtls.yaml:2: "), "{warnings:?}");
            assert!(warnings[0].contains(wanted), "{warnings:?}");
        }
    }
}
