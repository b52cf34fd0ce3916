//! The ports of a service, and what is spoken there.

use crate::{
    problem::Problems,
    read::{
        scalar,
        table::{self, Schema, Table},
        yaml::Node,
    },
};

/// A port of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePort {
    /// The number that clients call.
    pub number: u16,
    /// By which endpoints know it.
    pub name: Box<str>,
    /// What is spoken there.
    pub protocol: Protocol,
    /// The number at endpoints that say nothing else.
    pub target: u16,
}

/// What is spoken at a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP of any version.
    Http,
    /// HTTP/2 from the first byte.
    Http2,
    /// gRPC, which is HTTP/2.
    Grpc,
    /// HTTP within TLS of the client.
    Https,
    /// TLS of the client.
    Tls,
    /// Any bytes.
    Tcp,
    /// MongoDB's, which are any bytes here.
    Mongo,
}

impl Protocol {
    /// Whether requests can be seen.
    pub fn is_http(self) -> bool {
        match self {
            Self::Http | Self::Http2 | Self::Grpc => true,
            Self::Https | Self::Tls | Self::Tcp | Self::Mongo => false,
        }
    }

    /// Whether the client says in the beginning of its TLS which host it wants.
    pub fn is_tls(self) -> bool {
        match self {
            Self::Https | Self::Tls => true,
            Self::Http | Self::Http2 | Self::Grpc | Self::Tcp | Self::Mongo => false,
        }
    }

    /// Whether nothing of a connection says which host is meant.
    pub fn is_opaque(self) -> bool {
        !self.is_http() && !self.is_tls()
    }

    /// Whether two services with these protocols can be at one address and port.
    pub(super) fn tells_host_apart(self, other: Self) -> bool {
        self.is_http() && other.is_http() || self.is_tls() && other.is_tls()
    }
}

/// The ports of a `spec`, each number and each name once.
pub(super) fn read(list: &Node, location: &str, problems: &mut Problems) -> Vec<ServicePort> {
    let mut ports: Vec<ServicePort> = Vec::new();
    for (index, node) in table::list(list, location, problems).iter().enumerate() {
        let location = format!("{location}[{index}]");
        let Some(port) = ServicePort::read(node, &location, problems) else {
            continue;
        };
        for other in &ports {
            if other.number == port.number {
                let what = format!("{location} has the number of another port, {}", port.number);
                problems.error(node.line, what, "keep one of them");
            }
            if other.name == port.name {
                let what = format!("{location} has the name of another port, {:?}", port.name);
                problems.error(node.line, what, "give it a name of its own");
            }
        }
        ports.push(port);
    }
    ports
}

impl ServicePort {
    fn read(node: &Node, location: &str, problems: &mut Problems) -> Option<Self> {
        let table = Table::open(node, location, PORT, problems);
        for (key, remedy) in [
            ("number", "write the number that clients call"),
            ("name", "give it a name, as in `http`"),
            ("protocol", "write HTTP, HTTP2, GRPC, HTTPS, TLS or TCP"),
        ] {
            table.need(key, remedy, problems);
        }
        let target = table.take("targetPort", problems, scalar::port);
        let number = table.take("number", problems, scalar::port);
        let name = table.take("name", problems, name);
        let protocol = table.take("protocol", problems, protocol);
        Some(Self {
            number: number?,
            name: name?.into(),
            protocol: protocol?,
            target: target.or(number)?,
        })
    }
}

/// The name of a port.
pub(super) fn name<'n>(node: &'n Node, location: &str, problems: &mut Problems) -> Option<&'n str> {
    let text = table::text(node, location, problems)?;
    if is_name(text) {
        return Some(text);
    }
    let remedy = "use letters, digits and '-', at most 63 of them, no '-' at the ends";
    let what = format!("{location} {text:?} is not the name of a port");
    problems.error(node.line, what, remedy);
    None
}

/// As Istio has it, which is RFC 1123 §2.1 for one label.
pub(super) fn is_name(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=LONGEST_NAME).contains(&text.len())
        && text.bytes().all(legal)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Istio takes any case.
fn protocol(node: &Node, location: &str, problems: &mut Problems) -> Option<Protocol> {
    let text = table::text(node, location, problems)?;
    let upper = text.to_ascii_uppercase();
    if let Some((name, remedy)) = NOT_YET.iter().find(|(name, _)| *name == upper) {
        let what = format!("{location} {name} is not supported yet");
        problems.error(node.line, what, *remedy);
        return None;
    }
    let found = PROTOCOLS.iter().find(|(name, _)| *name == upper);
    if found.is_none() {
        let names = PROTOCOLS.map(|(name, _)| name);
        let what = format!("{location} {text:?} is not known");
        problems.error(node.line, what, table::nearest(text, &names));
    }
    found.map(|(_, protocol)| *protocol)
}

const PROTOCOLS: [(&str, Protocol); 7] = [
    ("HTTP", Protocol::Http),
    ("HTTP2", Protocol::Http2),
    ("GRPC", Protocol::Grpc),
    ("HTTPS", Protocol::Https),
    ("TLS", Protocol::Tls),
    ("TCP", Protocol::Tcp),
    ("MONGO", Protocol::Mongo),
];

const NOT_YET: [(&str, &str); 6] = [
    ("GRPC-WEB", "write HTTP"),
    ("HTTP_PROXY", "write TCP"),
    ("HTTP3", "write HTTP or HTTP2"),
    ("REDIS", "write TCP"),
    ("MYSQL", "write TCP"),
    ("UDP", "remove the port; only TCP is carried"),
];

const LONGEST_NAME: usize = 63;

const PORT: Schema = Schema {
    read: &["number", "name", "protocol", "targetPort"],
    bookkeeping: &[],
    not_yet: &[],
};
