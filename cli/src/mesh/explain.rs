//! `signet mesh explain`: what becomes of one request, and why.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use anyhow::{Context as _, bail};
use http::{HeaderMap, HeaderName, HeaderValue};
use signet_identity::{SpiffeId, id};
use signet_mesh::{Http, HttpPath, Request, Workload};

use super::{destination::Destination, model, refused, sources, warnings};
use crate::output::Answer;

/// Explains a decision.
#[derive(Debug, clap::Args)]
pub(crate) struct Explain {
    /// YAML files, folders of them, or - for standard input
    #[arg(required = true, value_name = "FILES")]
    files: Vec<PathBuf>,

    /// The SPIFFE ID of the caller; without it, one that proved no identity
    #[arg(long, value_name = "SPIFFE_ID")]
    from: Option<String>,

    /// Where the request goes: http://host:port/path or tcp://host:port
    #[arg(long, value_name = "URL")]
    to: Destination,

    /// The method of an HTTP request
    #[arg(long, default_value = "GET")]
    method: String,

    /// A header of an HTTP request, "name: value"; can be used more than once
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,

    /// The address that the caller connects from
    #[arg(long, value_name = "ADDRESS", default_value_t = LOCAL)]
    from_ip: IpAddr,

    #[command(flatten)]
    called: Called,
}

/// The workload that is called, as its proxy's configuration describes it.
#[derive(Debug, clap::Args)]
struct Called {
    /// The trust domain of the called workload; the caller's when it is left out
    #[arg(long, value_name = "NAME")]
    trust_domain: Option<String>,

    /// The namespace of the called workload
    #[arg(long, default_value = "default")]
    namespace: String,

    /// A label of the called workload, name=value; can be used more than once
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<String>,

    /// The namespace whose policies hold for the whole mesh
    #[arg(long, default_value = "istio-system")]
    root_namespace: String,
}

impl Explain {
    pub(super) fn answer(&self) -> anyhow::Result<Answer> {
        let workload = self.called.workload()?;
        let headers = headers(&self.headers)?;
        let from = self
            .from
            .as_deref()
            .map(id::parse)
            .transpose()
            .context("--from")?;
        let path = self
            .to
            .http
            .as_ref()
            .map(|http| HttpPath::parse(&http.path));
        let path = path.transpose().context("--to")?;
        let http = self.to.http.as_ref().zip(path.as_ref());
        let own = self.called.trust_domain.as_deref();
        let own = own
            .map(id::parse_trust_domain)
            .transpose()
            .context("--trust-domain")?;
        let request = Request {
            trust_domain: own
                .as_ref()
                .or_else(|| from.as_ref().map(SpiffeId::trust_domain)),
            source: from.as_ref(),
            source_ip: self.from_ip,
            destination_ip: self.to.address.unwrap_or(LOCAL),
            destination_port: self.to.port,
            sni: None,
            http: http.map(|(http, path)| Http {
                method: &self.method,
                path,
                host: &http.host,
                headers: &headers,
            }),
        };
        let model = match model(&sources::read(&self.files)?) {
            Ok(model) => model,
            Err(errors) => return Ok(refused(&errors)),
        };
        let concerned = model.for_workload(&workload, &self.called.root_namespace);
        let explanation = concerned.policy.explain(&request).to_string();
        Ok(Answer::plain(explanation).with_notes(warnings(&model)))
    }
}

impl Called {
    fn workload(&self) -> anyhow::Result<Workload> {
        let mut labels = BTreeMap::new();
        for label in &self.labels {
            let Some((name, value)) = label.split_once('=') else {
                bail!("--label {label:?}: write it as name=value");
            };
            labels.insert(name.to_owned(), value.to_owned());
        }
        Ok(Workload {
            namespace: self.namespace.clone(),
            labels,
        })
    }
}

fn headers(texts: &[String]) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for text in texts {
        let whole = || format!("--header {text:?}: write it as \"name: value\"");
        let (name, value) = text.split_once(':').with_context(whole)?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).with_context(whole)?;
        let value = HeaderValue::from_str(value.trim()).with_context(whole)?;
        headers.append(name, value);
    }
    Ok(headers)
}

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use super::*;
    use crate::output::{Format, Streams};

    fn explained(from: Option<&str>, to: &str) -> (bool, String, String) {
        let mut file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
        file.write_all(
            b"apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
              metadata: { name: orders, namespace: shop }\nspec:\n  rules:\n\
              \x20 - from: [{ source: { principals: [\"example.org/web\"] } }]\n\
              \x20   to: [{ operation: { ports: [\"8080\"], paths: [\"/cart*\"] } }]\n",
        )
        .unwrap();
        let explain = Explain {
            files: vec![file.path().to_owned()],
            from: from.map(str::to_owned),
            to: to.parse().unwrap(),
            method: "GET".to_owned(),
            headers: Vec::new(),
            from_ip: LOCAL,
            called: Called {
                trust_domain: None,
                namespace: "shop".to_owned(),
                labels: Vec::new(),
                root_namespace: "istio-system".to_owned(),
            },
        };
        let mut streams = Streams {
            out: Vec::new(),
            err: Vec::new(),
        };
        let good = streams.deliver(explain.answer(), Format::Pretty, "Error: ");
        let text = |bytes| String::from_utf8(bytes).unwrap();
        assert!(fs::exists(file.path()).unwrap());
        (good.unwrap(), text(streams.out), text(streams.err))
    }

    #[test]
    fn a_permit_names_the_rule() {
        let (good, out, err) = explained(
            Some("spiffe://example.org/web"),
            "http://orders:8080/cart/1",
        );
        assert!(good, "{err}");
        assert!(out.starts_with("permitted by "), "{out}");
        assert!(out.contains("orders"), "{out}");
    }

    #[test]
    fn a_refusal_names_what_did_not_match() {
        let (_, out, _) = explained(Some("spiffe://example.org/web"), "http://orders:8080/admin");
        assert!(out.starts_with("denied: "), "{out}");
        assert!(out.contains("/cart*"), "{out}");
        let (_, out, _) = explained(None, "http://orders:8080/cart");
        assert!(out.starts_with("denied: "), "{out}");
    }

    #[test]
    fn an_ambiguous_path_is_refused_as_the_proxy_would() {
        let (good, _, err) = explained(None, "http://orders:8080/a%2fb");
        assert!(!good);
        assert!(
            err.starts_with("Error: --to: the path holds an encoded slash"),
            "{err}"
        );
    }
}
