//! Where ours differs on purpose, each with its reason.

use super::Pair;

/// One difference: in which line, how it shows on either side, and why it is there.
#[derive(Debug)]
pub(super) struct Known {
    /// Stands in the command line.
    pub(super) line: &'static str,
    /// Stands in what ours says.
    pub(super) ours: &'static str,
    /// Stands in what theirs says.
    pub(super) theirs: &'static str,
    /// Ours ends with another exit code than theirs.
    pub(super) codes: Option<(i32, i32)>,
    /// Why.
    #[expect(
        dead_code,
        reason = "for readers, and for the report when it explains nothing"
    )]
    pub(super) why: &'static str,
}

impl Known {
    pub(super) fn explains(&self, pair: &Pair) -> bool {
        let says = |run: &signet_tests::testbed::Run, text: &str| {
            run.stdout.contains(text) || run.stderr.contains(text)
        };
        let codes = (pair.ours.code, pair.theirs.code);
        let as_expected = match self.codes {
            None => codes.0 == codes.1,
            Some((ours, theirs)) => codes == (Some(ours), Some(theirs)),
        };
        pair.line.contains(self.line)
            && as_expected
            && says(&pair.ours, self.ours)
            && says(&pair.theirs, self.theirs)
    }
}

/// Between the two commands, against the same server.
pub(super) const COMMANDS: &[Known] = &[
    Known {
        line: "nosuchverb",
        ours: "unrecognized subcommand",
        theirs: "Usage",
        codes: Some((1, 127)),
        why: "a wrong command line is exit code 1, whatever is wrong with it",
    },
    Known {
        line: "",
        ours: "For more information, try '--help'",
        theirs: "",
        codes: None,
        why: "a wrong flag or value is named with the values that are possible, instead of all flags that there are",
    },
    Known {
        line: "",
        ours: "is not a SPIFFE ID: ",
        theirs: "scheme is missing or invalid",
        codes: None,
        why: "names the value that is wrong",
    },
    Known {
        line: "-expiresBefore",
        ours: "is not like \"TIME TIME -0700 -07\"",
        theirs: "cannot parse",
        codes: None,
        why: "shows the form that a date has",
    },
    Known {
        line: "",
        ours: "cannot read nowhere",
        theirs: "no such file or directory",
        codes: None,
        why: "says that it was reading",
    },
    Known {
        line: "x509 mint",
        ours: "cannot write nowhere/svid.pem",
        theirs: "open nowhere/svid.pem",
        codes: None,
        why: "says that it was writing",
    },
    Known {
        line: "bundle set",
        ours: "no PEM block \"CERTIFICATE\" found",
        theirs: "no PEM blocks",
        codes: None,
        why: "says which block was looked for",
    },
    Known {
        line: "",
        ours: "EOF while parsing",
        theirs: "unexpected end of JSON input",
        codes: None,
        why: "says the line and the column",
    },
    Known {
        line: "",
        ours: "no server listens at unix://nowhere.sock",
        theirs: "Error while dialing",
        codes: None,
        why: "says what to do about it",
    },
    Known {
        line: "mint -spiffeID spiffe://example.org/minted",
        ours: "",
        theirs: "lifetime was capped shorter than specified",
        codes: None,
        why: "theirs takes the rounding to whole seconds for a cap",
    },
    Known {
        line: "validate -config wrong.conf",
        ours: "there is no setting `trust_domian` here",
        theirs: "trust_domain must be configured",
        codes: None,
        why: "an unknown setting is named with its line and the nearest one that there is",
    },
    Known {
        line: "validate -config nowhere.conf",
        ours: "there is no configuration file nowhere.conf",
        theirs: "could not find config file",
        codes: None,
        why: "names the file as it was given",
    },
];

/// Between the two servers, by the same command.
pub(super) const SERVERS: &[Known] = &[
    Known {
        line: "bundle",
        ours: "\"spiffe_refresh_hint\": 300",
        theirs: "\"spiffe_sequence\"",
        codes: None,
        why: "our bundle says how often to look for the next one (bundle §4.1.2 SHOULD)",
    },
    Known {
        line: "bundle",
        ours: "\"refresh_hint\":\"300\"",
        theirs: "\"refresh_hint\":\"0\"",
        codes: None,
        why: "our bundle says how often to look for the next one (bundle §4.1.2 SHOULD)",
    },
    Known {
        line: "entry create -entryID a",
        ours: "an entry with the ID a already exists",
        theirs: "UNIQUE constraint failed",
        codes: None,
        why: "no table's name leaves the server",
    },
    Known {
        line: "-federatesWith spiffe://other.test",
        ours: "store that bundle first",
        theirs: "code: Internal",
        codes: None,
        why: "the caller's mistake is InvalidArgument, and the remedy is named",
    },
    Known {
        line: "-federatesWith spiffe://other.test",
        ours: "store that bundle first",
        theirs: "\"code\":13",
        codes: None,
        why: "the same in JSON",
    },
    Known {
        line: "entry update",
        ours: "entry not found",
        theirs: "failed to update entry",
        codes: None,
        why: "says what is wrong",
    },
    Known {
        line: "-spiffeID spiffe://example.org",
        ours: "has no path; add one",
        theirs: "path is empty",
        codes: None,
        why: "names the remedy",
    },
    Known {
        line: "-spiffeID spiffe://example.org/spire/agent/x",
        ours: "choose another path",
        theirs: "path is in the reserved namespace",
        codes: None,
        why: "names the remedy",
    },
    Known {
        line: "-dns bad..name",
        ours: "has an empty label",
        theirs: "idna error",
        codes: None,
        why: "says what is wrong with the name",
    },
    Known {
        line: "-dns '*'",
        ours: "has a wildcard that is not the whole first label",
        theirs: "wildcard must be first label",
        codes: None,
        why: "names the value",
    },
    Known {
        line: "-federatesWith not/a/name",
        ours: "is not a trust domain name",
        theirs: "trust domain characters are limited",
        codes: None,
        why: "names the value",
    },
    Known {
        line: "-entryID 'no good'",
        ours: "use letters, digits",
        theirs: "entry ID contains invalid characters",
        codes: None,
        why: "names the remedy",
    },
    Known {
        line: "-storeSVID",
        ours: "selector types must be the same when store SVID is enabled; found",
        theirs: "selector types must be the same when store SVID is enabled",
        codes: None,
        why: "names the types",
    },
    Known {
        line: "agent show",
        ours: "is not below spiffe://example.org/spire/agent/",
        theirs: "invalid agent ID",
        codes: None,
        why: "says where agents' IDs are",
    },
    Known {
        line: "bundle delete -id spiffe://example.org",
        ours: "the server's own trust domain",
        theirs: "the server trust domain",
        codes: None,
        why: "other words",
    },
    Known {
        line: "token generate -ttl",
        ours: "(whole seconds, at least 1)",
        theirs: "ttl is required, you must provide one",
        codes: None,
        why: "says which values are possible",
    },
    Known {
        line: "spiffe://other.test/a",
        ours: "is not in trust domain example.org",
        theirs: "is not a member of trust domain",
        codes: None,
        why: "other words",
    },
    Known {
        line: "bundle delete",
        ours: "choose mode DELETE or DISSOCIATE",
        theirs: "cannot delete bundle; federated with 1 registration entries",
        codes: None,
        why: "names the remedy",
    },
    Known {
        line: "entry show -entryID f",
        ours: "Revision                : 1",
        theirs: "Revision                : 0",
        codes: None,
        why: "agents learn of a changed entry by its revision, so an entry that federates no more has a new one",
    },
    Known {
        line: "entry show -entryID f",
        ours: "\"revision_number\":\"1\"",
        theirs: "\"revision_number\":\"0\"",
        codes: None,
        why: "the same in JSON",
    },
    Known {
        line: "entry show -spiffeID spiffe://example.org/racks",
        ours: "",
        theirs: "spiffe_id",
        codes: None,
        why: "a token's alias is created with its agent, in one step: a token that nobody uses leaves no entry behind",
    },
    Known {
        line: "federation list",
        ours: "Unimplemented",
        theirs: "",
        codes: Some((1, 0)),
        why: "ours does not have this service yet, and says so",
    },
    Known {
        line: "localauthority",
        ours: "Unimplemented",
        theirs: "",
        codes: Some((1, 0)),
        why: "ours does not have this service yet, and says so",
    },
];

/// Between the two agents' commands, against the same agent.
pub(super) const AGENT_COMMANDS: &[Known] = &[
    Known {
        line: "api fetch jwt",
        ours: "failed to receive JWT bundles: rpc error: code = PermissionDenied",
        theirs: "rpc error: code = PermissionDenied",
        codes: None,
        why: "says what was asked for",
    },
    Known {
        line: "",
        ours: "no agent listens at unix://nowhere.sock",
        theirs: "Error while dialing",
        codes: None,
        why: "says what to do about it",
    },
    Known {
        line: "-write nowhere",
        ours: "cannot write nowhere/svid.0.pem",
        theirs: "open nowhere/svid.0.pem",
        codes: None,
        why: "says that it was writing, and prints nothing before all is written",
    },
    Known {
        line: "",
        ours: "For more information, try '--help'",
        theirs: "",
        codes: None,
        why: "a wrong flag or value is named with the values that are possible, instead of all flags that there are",
    },
    Known {
        line: "api watch",
        ours: "[spiffe://other.test] CA #1",
        theirs: "[other.test] CA #1",
        codes: None,
        why: "ours prints what `api fetch` prints, with hints and in the same form",
    },
    Known {
        line: "validate -config agent.conf",
        ours: "configuration file is valid",
        theirs: "level=warning",
        codes: None,
        why: "ours does not log while it validates",
    },
    Known {
        line: "validate -config wrong.conf",
        ours: "there is no setting `trust_domian` here",
        theirs: "plugins section must be configured",
        codes: None,
        why: "an unknown setting is named with its line and the nearest one that there is",
    },
    Known {
        line: "validate -config nowhere.conf",
        ours: "nowhere.conf: cannot read the configuration file",
        theirs: "could not find config file",
        codes: None,
        why: "names the file as it was given",
    },
];

/// Between the two agents, by the same command.
pub(super) const AGENTS: &[Known] = &[
    Known {
        line: "api validate jwt",
        ours: "the token is not a compact JWS",
        theirs: "unable to parse JWT token",
        codes: None,
        why: "other words",
    },
    Known {
        line: "-spiffeID nothing",
        ours: "requested SPIFFE ID is invalid: \"nothing\"",
        theirs: "invalid requested SPIFFE ID",
        codes: None,
        why: "names the value",
    },
    Known {
        line: "api validate jwt -audience b",
        ours: "the token is not for audience",
        theirs: "expected audience in",
        codes: None,
        why: "other words, and no list of the audiences that the token has",
    },
];
