//! Attested agents.

use std::{slice, time::SystemTime};

use signet_identity::{SpiffeId, entry::Entry, selector::Selectors, unix};

use super::{
    Store, Written,
    database::{Connection, Statement},
    entries::{self, CreateEntry},
    error::StoreError,
    join_tokens::{self, TokenHash},
    object::Object,
    row::{self, Row},
    writer::Transaction,
};

/// A node that proved who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Agent {
    /// `spiffe://<trust domain>/spire/agent/…`.
    pub(crate) id: SpiffeId,
    /// How it attested: "join_token", "x509pop", …
    pub(crate) attestation_type: String,
    /// Serial number of its current certificate, decimal as SPIRE prints it.
    pub(crate) serial: String,
    /// When that certificate ends.
    pub(crate) not_after: SystemTime,
    /// The certificate that it was given by a renewal and has not used yet.
    pub(crate) renewed: Option<Renewed>,
    /// What attestation found out about the node.
    pub(crate) selectors: Selectors,
    /// Whether the same proof can be given again.
    pub(crate) can_reattest: bool,
    /// The version that it reported; empty if it did not.
    pub(crate) version: String,
    /// A banned agent is refused until its row is deleted.
    pub(crate) banned: bool,
}

/// A certificate that waits for its first use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Renewed {
    /// Its serial number, decimal.
    pub(crate) serial: String,
    /// When it ends.
    pub(crate) not_after: SystemTime,
}

/// A successful attestation, to be stored whole or not at all.
#[derive(Debug, Clone)]
pub(crate) struct Attestation {
    /// The agent as it is from now on; `version` and `renewed` of an earlier row are not kept.
    pub(crate) agent: Agent,
    /// The time at which the token is judged.
    pub(crate) at: SystemTime,
    /// The join token that this attestation uses up.
    pub(crate) token: Option<TokenHash>,
    /// An entry that comes with it: the alias of a join token. Kept out if a similar one exists.
    pub(crate) alias: Option<Entry>,
}

/// What became of an attestation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attest {
    /// Stored.
    Attested,
    /// The agent is banned; nothing was stored.
    Banned,
    /// The join token is unknown, used or expired; nothing was stored.
    TokenGone,
}

impl Store {
    /// Stores the agent, its selectors, the end of its join token and its alias entry in one
    /// transaction.
    pub(crate) async fn attest_agent(
        &self,
        attestation: Attestation,
    ) -> Result<Written<Attest>, StoreError> {
        self.write(move |tx| Box::pin(async move { attest(tx, &attestation).await }))
            .await
    }

    /// Notes the certificate that an agent was given on renewal. False if the agent is gone or
    /// banned.
    pub(crate) async fn renew_agent(
        &self,
        id: SpiffeId,
        renewed: Renewed,
    ) -> Result<Written<bool>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let update = sqlx::query(
                    "UPDATE agents SET new_serial = $2, new_not_after = $3
                     WHERE spiffe_id = $1 AND banned = $4",
                )
                .bind(id.to_string())
                .bind(renewed.serial)
                .bind(unix::seconds(renewed.not_after))
                .bind(false);
                change(tx, &id, update).await
            })
        })
        .await
    }

    /// Makes the renewed certificate the current one, as the agent has used it. False if that
    /// is not the certificate which waits (somebody else promoted it, or it was replaced).
    pub(crate) async fn promote_agent_serial(
        &self,
        id: SpiffeId,
        serial: String,
    ) -> Result<Written<bool>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let update = sqlx::query(
                    "UPDATE agents SET serial = new_serial, not_after = new_not_after,
                         new_serial = NULL, new_not_after = NULL
                     WHERE spiffe_id = $1 AND new_serial = $2 AND banned = $3",
                )
                .bind(id.to_string())
                .bind(serial)
                .bind(false);
                change(tx, &id, update).await
            })
        })
        .await
    }

    /// Bans an agent; false if there is none.
    pub(crate) async fn ban_agent(&self, id: SpiffeId) -> Result<Written<bool>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let update = sqlx::query(
                    "UPDATE agents SET banned = $2, new_serial = NULL, new_not_after = NULL
                     WHERE spiffe_id = $1",
                )
                .bind(id.to_string())
                .bind(true);
                change(tx, &id, update).await
            })
        })
        .await
    }

    /// Deletes (evicts) an agent, which also lifts its ban; false if there is none.
    pub(crate) async fn delete_agent(&self, id: SpiffeId) -> Result<Written<bool>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let delete =
                    sqlx::query("DELETE FROM agents WHERE spiffe_id = $1").bind(id.to_string());
                change(tx, &id, delete).await
            })
        })
        .await
    }

    /// Notes the version that an agent reports. Nothing is written if it is the known one, so
    /// that a fleet's reports do not fill the change log.
    pub(crate) async fn set_agent_version(
        &self,
        id: SpiffeId,
        version: String,
    ) -> Result<Written<bool>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let update = sqlx::query(
                    "UPDATE agents SET version = $2 WHERE spiffe_id = $1 AND version <> $2",
                )
                .bind(id.to_string())
                .bind(version);
                change(tx, &id, update).await
            })
        })
        .await
    }
}

async fn attest(tx: &mut Transaction, attestation: &Attestation) -> Result<Attest, StoreError> {
    let agent = &attestation.agent;
    let banned: Option<bool> = sqlx::query_scalar("SELECT banned FROM agents WHERE spiffe_id = $1")
        .bind(agent.id.to_string())
        .fetch_optional(tx.conn())
        .await?;
    if banned == Some(true) {
        return Ok(Attest::Banned);
    }
    if let Some(token) = &attestation.token
        && !join_tokens::consume(tx, token, attestation.at).await?
    {
        return Ok(Attest::TokenGone);
    }
    upsert(tx.conn(), agent).await?;
    tx.log::<Agent>(&[&agent.id]).await?;
    if let Some(alias) = &attestation.alias {
        let outcome = entries::create(tx, slice::from_ref(alias)).await?;
        let [CreateEntry::Created | CreateEntry::Similar(_)] = &outcome[..] else {
            // Its id is random and it federates with nobody. An error, so that all is undone.
            let surprise = format!("alias entry {} cannot be stored", alias.id);
            return Err(sqlx::Error::Protocol(surprise).into());
        };
    }
    Ok(Attest::Attested)
}

async fn upsert(conn: &mut Connection, agent: &Agent) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO agents (spiffe_id, attestation_type, serial, not_after, new_serial,
             new_not_after, selectors, can_reattest, version, banned)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (spiffe_id) DO UPDATE SET
             attestation_type = excluded.attestation_type, serial = excluded.serial,
             not_after = excluded.not_after, new_serial = excluded.new_serial,
             new_not_after = excluded.new_not_after, selectors = excluded.selectors,
             can_reattest = excluded.can_reattest, version = excluded.version,
             banned = excluded.banned",
    )
    .bind(agent.id.to_string())
    .bind(&agent.attestation_type)
    .bind(&agent.serial)
    .bind(unix::seconds(agent.not_after))
    .bind(agent.renewed.as_ref().map(|renewed| &renewed.serial))
    .bind(
        agent
            .renewed
            .as_ref()
            .map(|renewed| unix::seconds(renewed.not_after)),
    )
    .bind(row::selectors_json(&agent.selectors))
    .bind(agent.can_reattest)
    .bind(&agent.version)
    .bind(agent.banned)
    .execute(conn)
    .await?;
    Ok(())
}

/// Runs a statement on one agent, and logs it if it found its row.
async fn change(
    tx: &mut Transaction,
    id: &SpiffeId,
    statement: Statement<'_>,
) -> Result<bool, StoreError> {
    if statement.execute(tx.conn()).await?.rows_affected() == 0 {
        return Ok(false);
    }
    tx.log::<Agent>(&[id]).await?;
    Ok(true)
}

impl Object for Agent {
    type Key = SpiffeId;
    type Row = AgentRow;

    const KIND: &'static str = "agent";
    const ROWS: &'static str = "SELECT * FROM agents";
    const KEY: &'static str = "spiffe_id";

    fn key(&self) -> &SpiffeId {
        &self.id
    }

    fn from_rows(rows: Vec<AgentRow>) -> Result<Vec<Self>, StoreError> {
        rows.into_iter().map(AgentRow::agent).collect()
    }
}

#[derive(Debug, sqlx::FromRow)]
pub(crate) struct AgentRow {
    spiffe_id: String,
    attestation_type: String,
    serial: String,
    not_after: i64,
    new_serial: Option<String>,
    new_not_after: Option<i64>,
    selectors: String,
    can_reattest: bool,
    version: String,
    banned: bool,
}

impl AgentRow {
    fn agent(self) -> Result<Agent, StoreError> {
        let at = Row {
            table: "agents",
            key: &self.spiffe_id,
        };
        let renewed = match (self.new_serial, self.new_not_after) {
            (Some(serial), Some(not_after)) => Some(Renewed {
                serial,
                not_after: at.time(not_after)?,
            }),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return Err(at.bad("half of a renewal")),
        };
        Ok(Agent {
            id: at.spiffe_id(&self.spiffe_id)?,
            attestation_type: self.attestation_type,
            serial: self.serial,
            not_after: at.time(self.not_after)?,
            renewed,
            selectors: at.selectors(&self.selectors)?,
            can_reattest: self.can_reattest,
            version: self.version,
            banned: self.banned,
        })
    }
}
