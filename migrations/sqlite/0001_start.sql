-- The first schema. Forward only: a later change is a new file.
--
-- Times are whole seconds since 1970. Lists that are only ever read whole (selectors, DNS names)
-- are JSON; what a constraint needs is a column or a table of its own.

CREATE TABLE bundles (
    trust_domain TEXT NOT NULL PRIMARY KEY,
    document     BLOB NOT NULL                -- spire.api.types.Bundle, encoded
) STRICT;

CREATE TABLE entries (
    entry_id                   TEXT    NOT NULL PRIMARY KEY,
    spiffe_id                  TEXT    NOT NULL,
    parent_id                  TEXT    NOT NULL,
    selectors                  TEXT    NOT NULL,  -- JSON, sorted: [["unix","uid:0"], …]
    similarity                 BLOB    NOT NULL,  -- SHA-256 of SPIFFE ID, parent and selectors
    x509_svid_ttl              INTEGER,
    jwt_svid_ttl               INTEGER,
    admin                      INTEGER NOT NULL,
    downstream                 INTEGER NOT NULL,
    store_svid                 INTEGER NOT NULL,
    disable_x509_svid_prefetch INTEGER NOT NULL,
    jwt_svid_include_jti       INTEGER NOT NULL,
    dns_names                  TEXT    NOT NULL,  -- JSON, in the order given
    hint                       TEXT    NOT NULL,
    expires_at                 INTEGER,
    revision                   INTEGER NOT NULL,
    created_at                 INTEGER NOT NULL,
    -- One entry for each identity, parent and set of selectors, whoever writes and how.
    CONSTRAINT entries_similarity UNIQUE (similarity)
) STRICT;

CREATE INDEX entries_expires_at ON entries (expires_at) WHERE expires_at IS NOT NULL;

-- An entry can federate only with a trust domain whose bundle is stored.
CREATE TABLE entry_federations (
    entry_id     TEXT NOT NULL REFERENCES entries (entry_id) ON DELETE CASCADE,
    trust_domain TEXT NOT NULL REFERENCES bundles (trust_domain) ON DELETE RESTRICT,
    PRIMARY KEY (entry_id, trust_domain)
) STRICT;

CREATE INDEX entry_federations_trust_domain ON entry_federations (trust_domain);

CREATE TABLE agents (
    spiffe_id        TEXT    NOT NULL PRIMARY KEY,
    attestation_type TEXT    NOT NULL,
    serial           TEXT    NOT NULL,            -- decimal
    not_after        INTEGER NOT NULL,
    new_serial       TEXT,                        -- renewed, not yet used by the agent
    new_not_after    INTEGER,
    selectors        TEXT    NOT NULL,            -- JSON, as in entries
    can_reattest     INTEGER NOT NULL,
    version          TEXT    NOT NULL,
    banned           INTEGER NOT NULL,
    CONSTRAINT agents_renewal_is_whole CHECK ((new_serial IS NULL) = (new_not_after IS NULL))
) STRICT;

-- The token itself is a secret and is not kept.
CREATE TABLE join_tokens (
    token_hash BLOB    NOT NULL PRIMARY KEY,      -- SHA-256
    expires_at INTEGER NOT NULL,
    alias      TEXT                               -- SPIFFE ID that the new agent also gets
) STRICT;

CREATE INDEX join_tokens_expires_at ON join_tokens (expires_at);

-- What each server remembers of its own authorities; opaque here.
CREATE TABLE ca_journals (
    authority_set TEXT NOT NULL PRIMARY KEY,
    document      BLOB NOT NULL
) STRICT;

-- What changed, in commit order: one row for each entry, agent or bundle touched, written by
-- the transaction that touches it. AUTOINCREMENT, so that an id is never used twice.
CREATE TABLE changes (
    change_id  INTEGER PRIMARY KEY AUTOINCREMENT,
    kind       TEXT    NOT NULL CHECK (kind IN ('entry', 'agent', 'bundle')),
    key        TEXT    NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;
