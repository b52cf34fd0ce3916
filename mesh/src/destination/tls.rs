//! Istio's `ClientTLSSettings`: by what TLS a destination is called.

use signet_identity::SpiffeId;

use crate::{
    problem::Problems,
    read::{
        SubjectAltName, host,
        scalar::{self, Word},
        subject_alt_name,
        table::{self, Schema, Table},
        yaml::Node,
    },
};

/// By what TLS a destination is called. Where nothing is written it is the identity of the mesh, if
/// the destination has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientTls {
    /// By none.
    Disable,
    /// The server alone shows a certificate.
    Simple(ServerCheck),
    /// So does the client.
    Mutual {
        /// That of the client.
        certificate: ClientCertificate,
        /// What is checked of the server.
        server: ServerCheck,
    },
    /// Both have identities of the mesh.
    IstioMutual {
        /// Whom the server has to be, if not whom its endpoint says.
        ids: Vec<SpiffeId>,
        /// The name that the client asks for.
        sni: Option<Box<str>>,
    },
}

/// The files of a client's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, and what it was signed with.
    pub chain: Box<str>,
    /// Its key.
    pub key: Box<str>,
}

/// What is checked of a server outside of the mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerCheck {
    /// The name that the client asks for; without it, the host that it calls.
    pub sni: Option<Box<str>>,
    /// By what its certificate is checked; `None` is that it is not.
    pub verify: Option<Verify>,
}

/// By what the certificate of a server is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verify {
    /// The file of those who may have signed it; without it, those whom the system trusts.
    pub authorities: Option<Box<str>>,
    /// The file of those that were revoked.
    pub revoked: Option<Box<str>>,
    /// One of them stands in it; if there are none, one of the service's, or else the name that the
    /// client asks for.
    pub names: Vec<SubjectAltName>,
}

impl ClientTls {
    pub(super) fn read(node: &Node, location: &str, problems: &mut Problems) -> Option<Self> {
        let table = Table::open(node, location, TLS, problems);
        let remedy = "write DISABLE, SIMPLE, MUTUAL or ISTIO_MUTUAL";
        table.need("mode", remedy, problems);
        let mode = table.take("mode", problems, |node, location, problems| {
            scalar::word(node, location, &MODES, problems)
        })?;
        refuse_idle(&table, mode, problems);
        let sni = table.take("sni", problems, name);
        let names = table.take("subjectAltNames", problems, |node, location, problems| {
            Some(subject_alt_name::read(node, location, problems))
        });
        let names = names.unwrap_or_default();
        Some(match mode {
            Mode::Disable => Self::Disable,
            Mode::Simple => Self::Simple(ServerCheck::read(&table, sni, names, problems)),
            Mode::Mutual => {
                let certificate = ClientCertificate::read(&table, problems);
                let server = ServerCheck::read(&table, sni, names, problems);
                Self::Mutual {
                    certificate: certificate?,
                    server,
                }
            }
            Mode::IstioMutual => Self::IstioMutual {
                ids: ids(&table, names, problems),
                sni,
            },
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Disable,
    Simple,
    Mutual,
    IstioMutual,
}

/// What the mode does not heed.
fn refuse_idle(table: &Table<'_>, mode: Mode, problems: &mut Problems) {
    let heeded: &[&str] = match mode {
        Mode::Disable => &["mode"],
        Mode::IstioMutual => &["mode", "subjectAltNames", "sni"],
        Mode::Simple => &[
            "mode",
            "subjectAltNames",
            "sni",
            "caCertificates",
            "caCrl",
            "insecureSkipVerify",
        ],
        Mode::Mutual => TLS.read,
    };
    for entry in table.entries() {
        if !heeded.contains(&entry.key.as_str()) {
            let what = format!("{} has no effect with this mode", table.name(&entry.key));
            problems.error(entry.line, what, "remove it, or write another mode");
        }
    }
}

impl ClientCertificate {
    fn read(table: &Table<'_>, problems: &mut Problems) -> Option<Self> {
        for key in ["clientCertificate", "privateKey"] {
            table.need(key, "name the file; MUTUAL shows a certificate", problems);
        }
        let chain = table.take("clientCertificate", problems, file);
        let key = table.take("privateKey", problems, file);
        Some(Self {
            chain: chain?,
            key: key?,
        })
    }
}

impl ServerCheck {
    fn read(
        table: &Table<'_>,
        sni: Option<Box<str>>,
        names: Vec<SubjectAltName>,
        problems: &mut Problems,
    ) -> Self {
        let verify = Verify {
            authorities: table.take("caCertificates", problems, file),
            revoked: table.take("caCrl", problems, file),
            names,
        };
        let skip = table.take("insecureSkipVerify", problems, scalar::truth);
        if skip != Some(true) {
            let verify = Some(verify);
            return Self { sni, verify };
        }
        let what = format!("{} trusts whoever answers", table.location);
        problems.warn(table.line, what, "write `caCertificates` instead");
        for key in ["caCertificates", "caCrl", "subjectAltNames"] {
            if let Some(node) = table.get(key) {
                let what = format!("{} has no effect, as nothing is verified", table.name(key));
                problems.error(node.line, what, "remove it, or insecureSkipVerify");
            }
        }
        Self { sni, verify: None }
    }
}

fn ids(table: &Table<'_>, names: Vec<SubjectAltName>, problems: &mut Problems) -> Vec<SpiffeId> {
    let mut ids = Vec::new();
    for name in names {
        match name {
            SubjectAltName::Id(id) => ids.push(id),
            SubjectAltName::Dns(name) => {
                let what = format!("{}: {name} is no SPIFFE ID", table.name("subjectAltNames"));
                let remedy = "with ISTIO_MUTUAL write IDs, as in `spiffe://example.org/web`";
                problems.error(table.line, what, remedy);
            }
        }
    }
    ids
}

fn file(node: &Node, location: &str, problems: &mut Problems) -> Option<Box<str>> {
    let text = table::text(node, location, problems)?;
    if !text.starts_with('/') {
        let what = format!("{location} {text:?} is not the whole path of a file");
        problems.error(node.line, what, "begin it with a slash");
    }
    Some(text.into())
}

fn name(node: &Node, location: &str, problems: &mut Problems) -> Option<Box<str>> {
    let text = table::text(node, location, problems)?;
    let name = text.to_ascii_lowercase();
    if !host::is_domain(&name) {
        let what = format!("{location} {text:?} is not the name of a host");
        problems.error(node.line, what, "write a DNS name");
    }
    Some(name.into())
}

const MODES: [Word<Mode>; 4] = [
    Word {
        text: "DISABLE",
        value: Mode::Disable,
    },
    Word {
        text: "SIMPLE",
        value: Mode::Simple,
    },
    Word {
        text: "MUTUAL",
        value: Mode::Mutual,
    },
    Word {
        text: "ISTIO_MUTUAL",
        value: Mode::IstioMutual,
    },
];

const TLS: Schema = Schema {
    read: &[
        "mode",
        "clientCertificate",
        "privateKey",
        "caCertificates",
        "subjectAltNames",
        "sni",
        "insecureSkipVerify",
        "caCrl",
    ],
    bookkeeping: &[],
    not_yet: &[(
        "credentialName",
        "name the files with clientCertificate, privateKey and caCertificates",
    )],
};
