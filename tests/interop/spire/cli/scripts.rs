//! The command lines, in the spelling of people's scripts.

use super::server::Line::{self, Changes, Looks, Shell, Theirs};

/// Entries, from birth to death.
pub(super) const ENTRIES: &[Line] = &[
    Looks("entry show"),
    Looks("entry count"),
    Changes(
        "entry create -entryID a -parentID spiffe://example.org/p -spiffeID spiffe://example.org/a -selector unix:uid:1",
    ),
    Changes(
        "entry create -entryID a -parentID spiffe://example.org/p -spiffeID spiffe://example.org/other -selector unix:uid:1",
    ),
    Changes(
        "entry create -entryID twin -parentID spiffe://example.org/p -spiffeID spiffe://example.org/a -selector unix:uid:1",
    ),
    Changes(
        "entry create -entryID b -parentID spiffe://example.org/p -spiffeID spiffe://example.org/b -selector unix:uid:2 -selector unix:gid:3 -selector docker:label:a:b -x509SVIDTTL 60 -jwtSVIDTTL 30 -dns b.local -hint internal -admin -downstream -entryExpiry 4102444800",
    ),
    Changes(
        "entry create -entryID c -parentID spiffe://example.org/p -spiffeID spiffe://example.org/c -selector x:y -storeSVID -jwtSVIDIncludeJTI",
    ),
    Changes(
        "entry create -entryID d -parentID spiffe://example.org/q -spiffeID spiffe://example.org/d -selector x:y -disableX509SVIDPrefetch",
    ),
    Changes(
        "entry create -entryID n -node -spiffeID spiffe://example.org/racks -selector x509pop:subject:cn:rack-7",
    ),
    Changes(
        "entry create -entryID f -parentID spiffe://example.org/p -spiffeID spiffe://example.org/f -selector x:f -federatesWith spiffe://other.test",
    ),
    Changes("entry create -data entries.json"),
    Changes("entry create -data entries.json"),
    Changes("entry create -data - < more.json"),
    Changes("entry create -data nowhere.json"),
    Changes("entry create -data broken.json"),
    Looks("entry show"),
    Looks("entry show -entryID b"),
    Looks("entry show -entryID nobody"),
    Looks("entry show -parentID spiffe://example.org/q"),
    Looks("entry show -spiffeID spiffe://example.org/a"),
    Looks("entry show -spiffeID spiffe://example.org/a -parentID spiffe://example.org/q"),
    Looks("entry show -downstream"),
    Looks("entry show -hint internal"),
    Looks("entry show -selector x:y"),
    Looks("entry show -selector unix:uid:2 -matchSelectorsOn superset"),
    Looks("entry show -selector unix:uid:2 -selector unix:uid:1 -matchSelectorsOn any"),
    Looks("entry show -selector unix:uid:1 -selector unix:gid:3 -matchSelectorsOn subset"),
    Looks("entry show -selector unix:uid:1 -matchSelectorsOn exact"),
    Looks("entry show -selector unix:uid:1 -matchSelectorsOn never"),
    Looks("entry show -selector nocolon"),
    Looks("entry show -spiffeID no-spiffe-id"),
    Looks("entry show -entryID a -spiffeID spiffe://example.org/a"),
    Looks("entry count"),
    Looks("entry count -downstream"),
    Looks("entry count -selector x:y"),
    Looks("entry count -spiffeID spiffe://example.org/a"),
    Looks("entry count -parentID spiffe://example.org/q"),
    Changes(
        "entry update -entryID a -parentID spiffe://example.org/p -spiffeID spiffe://example.org/a2 -selector unix:uid:7 -x509SVIDTTL 90 -dns a.local",
    ),
    Changes(
        "entry update -entryID d -parentID spiffe://example.org/q -spiffeID spiffe://example.org/d -selector x:y -jwtSVIDIncludeJTI",
    ),
    Changes(
        "entry update -entryID nobody -parentID spiffe://example.org/p -spiffeID spiffe://example.org/a -selector unix:uid:1",
    ),
    Changes(
        "entry update -entryID a -parentID spiffe://example.org/p -spiffeID spiffe://example.org/a2",
    ),
    Changes("entry update -data update.json"),
    Looks("entry show -entryID a"),
    Looks("entry show -entryID d"),
    Changes("entry delete -entryID a"),
    Changes("entry delete -entryID a"),
    Changes("entry delete"),
    Changes("entry delete -file delete.json"),
    Looks("entry count"),
];

/// What is refused, by the command or by the server.
pub(super) const REFUSALS: &[Line] = &[
    Changes("entry create"),
    Changes("entry create -selector unix:uid:1"),
    Changes("entry create -selector unix:uid:1 -parentID spiffe://example.org/p"),
    Changes("entry create -selector unix:uid:1 -parentID p -spiffeID spiffe://example.org/a"),
    Changes(
        "entry create -selector unix -parentID spiffe://example.org/p -spiffeID spiffe://example.org/a",
    ),
    Changes(
        "entry create -selector unix:uid:1 -parentID spiffe://example.org/p -spiffeID spiffe://other.test/a",
    ),
    Changes(
        "entry create -selector unix:uid:1 -parentID spiffe://other.test/p -spiffeID spiffe://example.org/a",
    ),
    Changes(
        "entry create -selector unix:uid:1 -parentID spiffe://example.org/p -spiffeID spiffe://example.org",
    ),
    Changes(
        "entry create -selector unix:uid:1 -parentID spiffe://example.org/p -spiffeID spiffe://example.org/spire/agent/x",
    ),
    Changes(
        "entry create -selector unix:uid:1 -parentID spiffe://example.org/p -spiffeID spiffe://example.org/a -x509SVIDTTL -1",
    ),
    Changes(
        "entry create -selector unix:uid:1 -parentID spiffe://example.org/p -spiffeID spiffe://example.org/a -dns bad..name",
    ),
    Changes(
        "entry create -selector unix:uid:1 -parentID spiffe://example.org/p -spiffeID spiffe://example.org/a -dns '*'",
    ),
    Changes(
        "entry create -selector unix:uid:1 -parentID spiffe://example.org/p -spiffeID spiffe://example.org/a -federatesWith spiffe://example.org",
    ),
    Changes(
        "entry create -selector unix:uid:1 -parentID spiffe://example.org/p -spiffeID spiffe://example.org/a -federatesWith not/a/name",
    ),
    Changes(
        "entry create -entryID 'no good' -selector unix:uid:1 -parentID spiffe://example.org/p -spiffeID spiffe://example.org/a",
    ),
    Changes(
        "entry create -selector a:1 -selector b:1 -storeSVID -parentID spiffe://example.org/p -spiffeID spiffe://example.org/a",
    ),
    Changes("entry create -nosuchflag"),
    Changes(
        "entry create -x509SVIDTTL many -selector a:1 -parentID spiffe://example.org/p -spiffeID spiffe://example.org/a",
    ),
    Changes("agent show"),
    Changes("agent show -spiffeID spiffe://example.org/spire/agent/nobody"),
    Changes("agent show -spiffeID spiffe://other.test/spire/agent/nobody"),
    Changes("agent show -spiffeID spiffe://example.org/no-agent"),
    Changes("agent ban"),
    Changes("agent ban -spiffeID spiffe://example.org/spire/agent/nobody"),
    Changes("agent evict"),
    Changes("agent evict -spiffeID spiffe://example.org/spire/agent/nobody"),
    Changes("agent list -expiresBefore yesterday"),
    Changes("bundle set"),
    Changes("bundle set -id spiffe://other.test -path nowhere.pem"),
    Changes("bundle set -id spiffe://other.test -path broken.json"),
    Changes("bundle set -id spiffe://other.test -path broken.json -format spiffe"),
    Changes("bundle set -id spiffe://other.test -path broken.json -format other"),
    Changes("bundle set -id spiffe://example.org -path own.pem"),
    Changes("bundle delete"),
    Changes("bundle delete -id spiffe://nobody.test"),
    Changes("bundle delete -id spiffe://example.org"),
    Changes("bundle delete -id spiffe://nobody.test -mode never"),
    Changes("bundle list -id spiffe://nobody.test"),
    Changes("token generate -ttl 0"),
    Changes("token generate -ttl -5"),
    Changes("token generate -spiffeID spiffe://other.test/a"),
    Changes("token generate -spiffeID nothing"),
    Changes("x509 mint"),
    Changes("x509 mint -spiffeID spiffe://other.test/a"),
    Changes("x509 mint -spiffeID spiffe://example.org/a -dns bad..name"),
    Changes("x509 mint -spiffeID spiffe://example.org/a -ttl soon"),
    Changes("x509 mint -spiffeID spiffe://example.org/a -write nowhere"),
    Changes("jwt mint"),
    Changes("jwt mint -spiffeID spiffe://example.org/a"),
    Changes("jwt mint -audience a"),
    Changes("jwt mint -spiffeID spiffe://other.test/a -audience a"),
    Shell("spire-server healthcheck -socketPath nowhere.sock"),
    Shell("spire-server healthcheck -socketPath nowhere.sock -verbose"),
    Changes("entry show -socketPath nowhere.sock"),
    Changes("entry show -instance a"),
    Changes("entry show -output xml"),
];

/// Bundles, tokens, minted SVIDs, agents, health, configuration files.
pub(super) const THE_REST: &[Line] = &[
    Shell("spire-server healthcheck"),
    Shell("spire-server healthcheck -shallow"),
    Shell("spire-server healthcheck -verbose"),
    Looks("bundle show"),
    Looks("bundle show -format spiffe"),
    Looks("bundle list"),
    Looks("bundle count"),
    Changes("bundle set -id spiffe://doc.test -path own.json -format spiffe"),
    Changes("bundle set -id spiffe://pem.test -path own.pem"),
    Changes("bundle set -id doc.test -format spiffe < own.json"),
    Changes(
        "entry create -entryID f -parentID spiffe://example.org/p -spiffeID spiffe://example.org/f -selector x:f -federatesWith spiffe://doc.test -federatesWith pem.test",
    ),
    Looks("entry show -federatesWith spiffe://doc.test"),
    Looks("entry show -federatesWith spiffe://doc.test -matchFederatesWithOn exact"),
    Looks(
        "entry show -federatesWith spiffe://doc.test -federatesWith spiffe://x.test -matchFederatesWithOn any",
    ),
    Looks("entry count -federatesWith spiffe://pem.test"),
    Looks("bundle list"),
    Looks("bundle list -format spiffe"),
    Looks("bundle list -id spiffe://pem.test"),
    Looks("bundle list -id doc.test -format spiffe"),
    Looks("bundle count"),
    Changes("bundle delete -id spiffe://doc.test"),
    Changes("bundle delete -id spiffe://doc.test -mode dissociate"),
    Looks("entry show -entryID f"),
    Changes("bundle delete -id spiffe://pem.test -mode delete"),
    Looks("entry count"),
    Looks("bundle count"),
    Changes("token generate"),
    Changes("token generate -ttl 60 -spiffeID spiffe://example.org/racks"),
    Looks("entry show -spiffeID spiffe://example.org/racks"),
    Changes("x509 mint -spiffeID spiffe://example.org/minted"),
    Changes("x509 mint -spiffeID spiffe://example.org/minted -ttl 10m -dns a.local -dns b.local"),
    Changes("x509 mint -spiffeID spiffe://example.org/minted -ttl 9000h"),
    Shell(
        "mkdir -p minted && spire-server x509 mint -spiffeID spiffe://example.org/minted -write minted",
    ),
    Shell(
        "stat -c '%n %a' minted/*; openssl x509 -in minted/svid.pem -noout -ext keyUsage,extendedKeyUsage,basicConstraints,subjectAltName -subject -issuer; head -n 1 minted/*",
    ),
    Changes("jwt mint -spiffeID spiffe://example.org/minted -audience a -audience b"),
    Changes(
        "jwt mint -spiffeID spiffe://example.org/minted -audience a -ttl 2m -write minted/token",
    ),
    Shell("stat -c '%n %a' minted/token; cut -d. -f1 minted/token | tr -d '\\n' | wc -c"),
    Looks("agent list"),
    Looks("agent count"),
    Looks("agent list -attestationType x509pop"),
    Looks("agent list -attestationType none"),
    Looks("agent list -canReattest true"),
    Looks("agent list -canReattest false"),
    Looks("agent list -banned true"),
    Looks("agent list -banned false"),
    Looks("agent list -selector x509pop:subject:cn:rack-7"),
    Looks("agent list -selector x509pop:subject:cn:rack-7 -matchSelectorsOn exact"),
    Looks("agent list -expiresBefore '2020-01-01 00:00:00 +0000 +00'"),
    Looks("agent list -expiresBefore '2100-01-01 00:00:00 +0000 +00'"),
    Looks("agent count -canReattest true"),
    Looks("agent count -banned true"),
    Looks("agent count -selector x509pop:subject:cn:rack-7"),
    Looks("agent show -spiffeID $POP"),
    Looks("agent show -spiffeID $TOKEN"),
    Changes("agent ban -spiffeID $TOKEN"),
    Changes("agent ban -spiffeID $TOKEN"),
    Looks("agent show -spiffeID $TOKEN"),
    Looks("agent list"),
    Looks("agent list -banned true"),
    Changes("agent evict -spiffeID $TOKEN"),
    Changes("agent evict -spiffeID $TOKEN"),
    Looks("agent count"),
    Changes("agent purge -dryRun"),
    Changes("agent purge"),
    Changes("logger get"),
    Changes("logger set -level warn"),
    Changes("logger get"),
    Changes("logger reset"),
    Changes("logger set"),
    Changes("logger set -level loud"),
    Changes("logger set -level INFO"),
    Changes("logger reset"),
    Changes("agent purge -expiredFor 1s"),
    Theirs("federation list"),
    Theirs("localauthority x509 show"),
    Theirs("localauthority jwt show"),
    Shell("spire-server validate -config good.conf"),
    Shell("spire-server validate -config wrong.conf"),
    Shell("spire-server validate -config nowhere.conf"),
    Shell("spire-server entry nosuchverb"),
    Shell("spire-server nosuchverb"),
];

/// The files that the lines name.
pub(super) const FILES: &[(&str, &str)] = &[
    (
        "entries.json",
        r#"{"entries":[
  {"entry_id":"j1","spiffe_id":"spiffe://example.org/j1","parent_id":"spiffe://example.org/p",
   "selectors":[{"type":"unix","value":"uid:11"}],"x509_svid_ttl":60,"jwt_svid_ttl":30,
   "dns_names":["j1.local"],"hint":"external"},
  {"entry_id":"j2","spiffe_id":"spiffe://example.org/j2","parent_id":"spiffe://example.org/p",
   "selectors":[{"type":"unix","value":"uid:12"}],"admin":true,"downstream":true}]}"#,
    ),
    (
        "more.json",
        r#"{"entries":[{"entry_id":"j3","spiffe_id":"spiffe://example.org/j3",
  "parent_id":"spiffe://example.org/p","selectors":[{"type":"unix","value":"uid:13"}]}]}"#,
    ),
    (
        "update.json",
        r#"{"entries":[{"entry_id":"j1","spiffe_id":"spiffe://example.org/j1","parent_id":
  "spiffe://example.org/p","selectors":[{"type":"unix","value":"uid:21"}]},
  {"entry_id":"nobody","spiffe_id":"spiffe://example.org/x","parent_id":"spiffe://example.org/p",
  "selectors":[{"type":"unix","value":"uid:22"}]}]}"#,
    ),
    ("delete.json", r#"{"ids":["j1","nobody","j2"]}"#),
    ("broken.json", r#"{"entries":[{"#),
    (
        "good.conf",
        r#"server {
  trust_domain = "example.org"
  data_dir = "./data"
}
plugins {
  DataStore "sql" {
    plugin_data {
      database_type = "sqlite3"
      connection_string = "./data/store.sqlite3"
    }
  }
  KeyManager "memory" { plugin_data {} }
  NodeAttestor "join_token" { plugin_data {} }
}
"#,
    ),
    (
        "wrong.conf",
        "server {\n  trust_domian = \"example.org\"\n}\n",
    ),
];
