//! SPIRE's words for what happens here: the one place that knows its messages and its names of
//! fields. An event takes part by its name (`info!(name: "agent_banned", …)`), so that our own
//! sentence may be reworded and SPIRE's stays.

use tracing::Level;

/// One of our events as SPIRE says it.
#[derive(Debug)]
pub(super) struct Event {
    /// What our sources call it.
    name: &'static str,
    /// SPIRE's level, which decides in SPIRE's forms whether there is a line.
    pub(super) level: Level,
    pub(super) message: Message,
    /// The value of `subsystem_name`.
    pub(super) subsystem: Option<&'static str>,
    /// Fields whose names differ, or which SPIRE does not have.
    fields: &'static [Name],
    /// What SPIRE always says here.
    pub(super) always: &'static [(&'static str, &'static str)],
    /// Said in SPIRE's forms alone: it would tell a reader of ours nothing new.
    alone: bool,
}

/// What a line says.
#[derive(Debug)]
pub(super) enum Message {
    Is(&'static str),
    /// The value of this field, with a capital letter.
    Field(&'static str),
    /// The value of this field, as what is wrong with a request.
    Invalid(&'static str),
}

/// What becomes of a field.
#[derive(Debug, Clone, Copy)]
pub(super) enum Name {
    Same(&'static str),
    /// Ours, and SPIRE's.
    As(&'static str, &'static str),
    /// Ours and SPIRE's, of a point in time.
    Moment(&'static str, &'static str),
    /// Ours and SPIRE's, of the path of a socket, which Go's JSON shows in its parts.
    Socket(&'static str, &'static str),
    /// Ours and SPIRE's, of a list of texts.
    List(&'static str, &'static str),
    /// Ours and SPIRE's, of gRPC's number of a code, which Go's text has as a word.
    Code(&'static str, &'static str),
    /// Ours, SPIRE's, and how SPIRE begins its value.
    Begun(&'static str, &'static str, &'static str),
    /// SPIRE has no such field.
    Left(&'static str),
}

/// The event by the name that our sources give it.
pub(super) fn find(name: &str) -> Option<&'static Event> {
    let found = EVENTS.binary_search_by(|event| event.name.cmp(name)).ok()?;
    EVENTS.get(found)
}

/// Whether this event belongs to SPIRE's forms alone.
pub(super) fn alone(name: &str) -> bool {
    find(name).is_some_and(|event| event.alone)
}

/// What becomes of our field in a line about this event.
pub(super) fn rename(event: Option<&Event>, field: &'static str) -> Name {
    let of_event = event.map_or(&[][..], |event| event.fields);
    let mut names = of_event.iter().chain(FIELDS);
    names
        .find(|name| name.ours() == field)
        .copied()
        .unwrap_or(Name::Same(field))
}

impl Name {
    fn ours(self) -> &'static str {
        match self {
            Self::Same(ours)
            | Self::As(ours, _)
            | Self::Moment(ours, _)
            | Self::Socket(ours, _)
            | Self::List(ours, _)
            | Self::Code(ours, _)
            | Self::Begun(ours, ..)
            | Self::Left(ours) => ours,
        }
    }
}

impl Event {
    const fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    const fn saying(mut self, message: Message) -> Self {
        self.message = message;
        self
    }

    const fn always(mut self, always: &'static [(&'static str, &'static str)]) -> Self {
        self.always = always;
        self
    }

    const fn with(mut self, fields: &'static [Name]) -> Self {
        self.fields = fields;
        self
    }
}

const fn of_api(level: Level, name: &'static str, message: &'static str) -> Event {
    Event {
        name,
        level,
        message: Message::Is(message),
        subsystem: None,
        fields: &[],
        always: &[],
        alone: false,
    }
}

const fn of(
    subsystem: &'static str,
    level: Level,
    name: &'static str,
    message: &'static str,
) -> Event {
    let mut event = of_api(level, name, message);
    event.subsystem = Some(subsystem);
    event
}

const ERROR: Level = Level::ERROR;
const WARN: Level = Level::WARN;
const INFO: Level = Level::INFO;
const DEBUG: Level = Level::DEBUG;

const API: &str = "api";
const ATTESTOR: &str = "attestor";
const CACHE: &str = "cache_manager";
const CA: &str = "ca_manager";
const ENDPOINTS: &str = "endpoints";
const MANAGER: &str = "manager";

/// Names of fields, whatever the event.
const FIELDS: &[Name] = &[
    Name::As("authority_id", "local_authority_id"),
    Name::As("socket", "address"),
];

/// What the Workload API's lines say of themselves.
const REGISTERED: &[(&str, &str)] = &[("registered", "true"), ("service", "WorkloadAPI")];
const UNREGISTERED: &[(&str, &str)] = &[("registered", "false"), ("service", "WorkloadAPI")];

const DENIED: &str = "rpc error: code = PermissionDenied desc = authorization denied for method ";
const PRUNED: &str = "Expired certificates were successfully pruned from bundle";

const OF_AGENT: &[Name] = &[Name::As("agent_id", "spiffe_id")];
const OF_CACHE: &[Name] = &[Name::As("entry_id", "entry")];
const OF_BUNDLE: &[Name] = &[Name::As("trust_domain", "trust_domain_id")];
const OF_REFUSAL: &[Name] = &[
    Name::As("attestor", "node_attestor_type"),
    Name::Left("address"),
    Name::Left("code"),
    Name::Left("reason"),
];
const OF_CALL: &[Name] = &[Name::Begun("path", "error", DENIED), Name::Left("reason")];
const OF_ATTESTOR: &[Name] = &[
    Name::As("trust_domain", "trust_domain_id"),
    Name::Left("attestor"),
];
const OF_NODE: &[Name] = &[
    Name::As("agent_id", "spiffe_id"),
    Name::As("trust_domain", "trust_domain_id"),
];
const OF_ATTESTATION: &[Name] = &[
    Name::As("attestor", "node_attestor_type"),
    Name::Left("serial"),
];
const OF_STATUS: &[Name] = &[
    Name::As("agent_id", "spiffe_id"),
    Name::As("version", "agent_version"),
];
const OF_LEVEL: &[Name] = &[Name::As("level", "new_log_level")];
const OF_LISTENER: &[Name] = &[Name::Socket("socket", "address")];
const OF_RPC: &[Name] = &[Name::As("rpc", "method")];
const OF_NO_TOKEN: &[Name] = &[Name::As("rpc", "method"), Name::Left("entry_id")];
const OF_DENIAL: &[Name] = &[
    Name::As("rpc", "method"),
    Name::Left("uid"),
    Name::Left("gid"),
    Name::Left("nearest"),
    Name::Left("selectors"),
];
const OF_PROCESS: &[Name] = &[Name::Left("rpc")];
const OF_CALLER: &[Name] = &[
    Name::As("agent_id", "caller_id"),
    Name::As("serial", "serial_num"),
    Name::As("revision", "revision_number"),
    Name::As("expires_at", "expiration"),
];
const OF_TOKEN: &[Name] = &[
    Name::As("agent_id", "caller_id"),
    Name::As("expires_at", "expiration"),
    Name::List("audience", "audience"),
    Name::Left("entry_id"),
];
const OF_RENEWAL: &[Name] = &[Name::As("agent_id", "caller_id"), Name::Left("serial")];
const OF_DOWNSTREAM: &[Name] = &[Name::As("expires_at", "expiration"), Name::Left("serial")];
const OF_CONFIGURATION: &[Name] = &[Name::List("admin_ids", "admin_ids")];
const OF_AUTHORITY: &[Name] = &[
    Name::Moment("issued_at", "issued_at"),
    Name::Moment("expires_at", "expiration"),
];
const OF_STATUS_CODE: &[Name] = &[Name::Code("status_code", "status_code")];
const OF_SYNC: &[Name] = &[Name::Begun(
    "error",
    "error",
    "failed to fetch authorized entries: ",
)];

/// By name.
#[rustfmt::skip]
const EVENTS: &[Event] = &[
    of_api(INFO, "admin_api_starting", "Starting Admin APIs"),
    of(ENDPOINTS, INFO, "agent_api_starting", "Starting agent APIs").with(OF_LISTENER),
    of(ENDPOINTS, INFO, "agent_api_stopping", "Stopping agent APIs"),
    of(API, INFO, "agent_attested", "Agent attestation request completed").with(OF_ATTESTATION),
    of(MANAGER, WARN, "agent_ban_obeyed", "Agent is banned: removing SVID and shutting down")
        .with(OF_SYNC),
    of(API, INFO, "agent_banned", "Agent banned").with(OF_AGENT),
    of_api(ERROR, "agent_crashed", "Agent crashed"),
    of(API, INFO, "agent_deleted", "Agent deleted").with(OF_AGENT),
    of_api(INFO, "agent_ended", "Agent stopped gracefully"),
    of(API, ERROR, "agent_not_active", "Agent SVID is not active").alone(),
    of(API, ERROR, "agent_not_attested", "Agent is not attested").alone(),
    of(MANAGER, INFO, "agent_reattested", "Successfully reattested node").with(OF_AGENT),
    of(API, ERROR, "agent_refused_as_banned", "Agent is banned").alone(),
    of(API, ERROR, "agent_refused_as_expired", "Agent SVID is expired").alone(),
    of(API, INFO, "agent_renewed", "Renewing agent SVID").with(OF_RENEWAL),
    of_api(INFO, "agent_starting", "Starting agent"),
    of(API, DEBUG, "agent_status_noted", "Agent status updated").with(OF_STATUS),
    of(ATTESTOR, INFO, "agent_svid_loaded", "SVID loaded").with(OF_NODE),
    of(ATTESTOR, INFO, "agent_svid_missing", "SVID is not found. Starting node attestation")
        .with(OF_ATTESTOR),
    of(MANAGER, INFO, "agent_svid_rotated", "Successfully rotated agent SVID").with(OF_AGENT),
    of_api(WARN, "attestation_failed", "Failed to retrieve attestation result"),
    of(API, ERROR, "attestation_invalid", "").saying(Message::Invalid("reason")).with(OF_REFUSAL),
    of(API, ERROR, "attestation_refused", "").saying(Message::Field("reason")).with(OF_REFUSAL),
    of(CA, DEBUG, "authorities_pruned", PRUNED),
    of(CACHE, DEBUG, "bundle_added", "Bundle added").with(OF_BUNDLE),
    of(ATTESTOR, INFO, "bundle_loaded", "Bundle loaded").with(OF_BUNDLE),
    of(ATTESTOR, INFO, "bundle_missing", "Bundle is not found"),
    of(CACHE, DEBUG, "bundle_removed", "Bundle removed").with(OF_BUNDLE),
    of(CACHE, DEBUG, "bundle_updated", "Bundle updated").with(OF_BUNDLE),
    of(API, ERROR, "call_refused", "Failed to authenticate caller").with(OF_CALL),
    of(API, DEBUG, "downstream_ca_signed", "Signed X509 CA SVID").with(OF_DOWNSTREAM),
    of(CACHE, DEBUG, "entry_created", "Entry created").with(OF_CACHE),
    of(CACHE, DEBUG, "entry_removed", "Entry removed").with(OF_CACHE),
    of(CACHE, DEBUG, "entry_updated", "Entry updated").with(OF_CACHE),
    of(API, DEBUG, "federated_bundle_created", "Federated bundle created").with(OF_BUNDLE),
    of(API, INFO, "federated_bundle_set", "Bundle set successfully").with(OF_BUNDLE),
    of(API, DEBUG, "federated_bundle_updated", "Federated bundle updated").with(OF_BUNDLE),
    of(CA, INFO, "jwt_key_activated", "JWT key activated").with(OF_AUTHORITY),
    of(CA, INFO, "jwt_key_prepared", "JWT key prepared").with(OF_AUTHORITY),
    of(MANAGER, ERROR, "jwt_svid_call_failed", "Failed to fetch JWT SVID").with(OF_STATUS_CODE)
        .alone(),
    of(ENDPOINTS, DEBUG, "jwt_svid_fetched", "Fetched JWT SVID").with(OF_RPC).always(REGISTERED),
    of(ENDPOINTS, ERROR, "jwt_svid_not_fetched", "Could not fetch JWT-SVID").with(OF_NO_TOKEN)
        .always(REGISTERED),
    of(API, DEBUG, "jwt_svid_signed", "Server CA successfully signed JWT SVID").with(OF_TOKEN),
    of_api(INFO, "log_level_read", "GetLogger Called").alone(),
    of_api(INFO, "log_level_reset", "ResetLogLevel Called"),
    of_api(INFO, "log_level_set", "SetLogLevel Called").with(OF_LEVEL),
    of(ENDPOINTS, ERROR, "no_identity", "No identity issued").with(OF_DENIAL).always(UNREGISTERED),
    of(ATTESTOR, INFO, "node_attested", "Node attestation was successful").with(OF_NODE),
    of("workload_attestor", DEBUG, "process_attested", "PID attested to have selectors")
        .with(OF_PROCESS),
    of(ENDPOINTS, INFO, "server_api_drained", "Graceful stop successful").alone(),
    of(ENDPOINTS, INFO, "server_api_draining", "Attempting graceful stop").alone(),
    of(ENDPOINTS, INFO, "server_api_starting", "Starting Server APIs"),
    of(ENDPOINTS, INFO, "server_api_stopped", "Server APIs have stopped"),
    of(ENDPOINTS, INFO, "server_api_stopping", "Stopping Server APIs"),
    of_api(INFO, "server_configured", "Configured").with(OF_CONFIGURATION),
    of_api(ERROR, "server_crashed", "Server crashed"),
    of_api(INFO, "server_ended", "Server stopped gracefully"),
    of("svid_rotator", DEBUG, "server_svid_renewed", "Signed X509 SVID").with(OF_CALLER),
    of(MANAGER, INFO, "svid_creating", "Creating X509-SVID"),
    of(MANAGER, INFO, "svid_renewing", "Renewing X509-SVID"),
    of(CACHE, DEBUG, "svid_updated", "SVID updated").with(OF_CACHE),
    of(MANAGER, ERROR, "sync_failed", "Synchronize failed").with(OF_SYNC),
    of(CA, INFO, "x509_ca_activated", "X509 CA activated").with(OF_AUTHORITY),
    of(CA, INFO, "x509_ca_prepared", "X509 CA prepared").with(OF_AUTHORITY),
    of(CA, DEBUG, "x509_ca_rotated", "Successfully rotated X.509 CA").alone(),
    of(ENDPOINTS, DEBUG, "x509_svid_fetched", "Fetched X.509 SVID").with(OF_RPC).always(REGISTERED),
    of(API, DEBUG, "x509_svid_signed", "Signed X509 SVID").with(OF_CALLER),
];

#[cfg(test)]
mod tests;
