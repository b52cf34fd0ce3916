//! Entries as rows: all columns, in one place.

use signet_identity::{
    TrustDomain,
    entry::{Attributes, Entry, EntryId, Rights},
    unix,
};

use super::{
    database::{Statement, Values},
    error::StoreError,
    object::Object,
    row::{self, Row},
};

/// What one column of a row holds.
enum Column {
    Text(String),
    Integer(Option<i64>),
    Blob(Vec<u8>),
}

/// All columns in the order of [`COLUMNS`].
fn columns(entry: &Entry) -> [Column; 17] {
    use Column::{Blob, Integer, Text};
    let selectors = row::selectors_json(&entry.selectors);
    let similarity = row::similarity(&entry.spiffe_id, &entry.parent_id, &selectors);
    let dns_names = serde_json::Value::from_iter(entry.dns_names.iter().cloned()).to_string();
    let flag = |set: bool| Integer(Some(i64::from(set)));
    [
        Text(entry.id.as_str().to_owned()),
        Text(entry.spiffe_id.to_string()),
        Text(entry.parent_id.to_string()),
        Text(selectors),
        Blob(similarity),
        Integer(entry.x509_svid_ttl.map(row::lifetime)),
        Integer(entry.jwt_svid_ttl.map(row::lifetime)),
        flag(entry.rights.admin),
        flag(entry.rights.downstream),
        flag(entry.store_svid),
        flag(entry.attributes.disable_x509_svid_prefetch),
        flag(entry.attributes.jwt_svid_include_jti),
        Text(dns_names),
        Text(entry.hint.clone()),
        Integer(entry.expires_at.map(unix::seconds)),
        Integer(Some(entry.revision)),
        Integer(Some(unix::seconds(entry.created_at))),
    ]
}

/// Binds all columns in their order.
pub(super) fn bind<'q>(query: Statement<'q>, entry: &Entry) -> Statement<'q> {
    columns(entry)
        .into_iter()
        .fold(query, |query, column| match column {
            Column::Text(text) => query.bind(text),
            Column::Integer(number) => query.bind(number),
            Column::Blob(bytes) => query.bind(bytes),
        })
}

/// Adds all columns to a statement of several rows.
pub(super) fn push(row: &mut Values<'_>, entry: &Entry) {
    for column in columns(entry) {
        match column {
            Column::Text(text) => row.push_bind(text),
            Column::Integer(number) => row.push_bind(number),
            Column::Blob(bytes) => row.push_bind(bytes),
        };
    }
}

/// One row for each trust domain that an entry federates with, one if there is none.
#[derive(Debug, sqlx::FromRow)]
#[expect(clippy::struct_excessive_bools, reason = "columns, as they come")]
pub(crate) struct EntryRow {
    entry_id: String,
    spiffe_id: String,
    parent_id: String,
    selectors: String,
    x509_svid_ttl: Option<i64>,
    jwt_svid_ttl: Option<i64>,
    admin: bool,
    downstream: bool,
    store_svid: bool,
    disable_x509_svid_prefetch: bool,
    jwt_svid_include_jti: bool,
    dns_names: String,
    hint: String,
    expires_at: Option<i64>,
    revision: i64,
    created_at: i64,
    trust_domain: Option<String>,
}

impl Object for Entry {
    type Key = EntryId;
    type Row = EntryRow;

    const KIND: &'static str = "entry";
    const ROWS: &'static str =
        "SELECT e.entry_id, e.spiffe_id, e.parent_id, e.selectors, e.x509_svid_ttl,
             e.jwt_svid_ttl, e.admin, e.downstream, e.store_svid,
             e.disable_x509_svid_prefetch, e.jwt_svid_include_jti, e.dns_names, e.hint,
             e.expires_at, e.revision, e.created_at, f.trust_domain
         FROM entries e LEFT JOIN entry_federations f ON f.entry_id = e.entry_id";
    const KEY: &'static str = "e.entry_id";

    fn key(&self) -> &EntryId {
        &self.id
    }

    fn from_rows(rows: Vec<EntryRow>) -> Result<Vec<Self>, StoreError> {
        let mut entries: Vec<Self> = Vec::with_capacity(rows.len());
        for mut row in rows {
            let trust_domain = row.trust_domain.take();
            let row_id = row.entry_id.clone();
            if entries.last().is_none_or(|last| last.id.as_str() != row_id) {
                entries.push(row.entry()?);
            }
            if let (Some(trust_domain), Some(entry)) = (trust_domain, entries.last_mut()) {
                let at = Row {
                    table: "entry_federations",
                    key: &row_id,
                };
                let trust_domain = TrustDomain::new(trust_domain).map_err(|error| at.bad(error))?;
                entry.federates_with.push(trust_domain);
            }
        }
        Ok(entries)
    }
}

impl EntryRow {
    fn entry(self) -> Result<Entry, StoreError> {
        let at = Row {
            table: "entries",
            key: &self.entry_id,
        };
        Ok(Entry {
            id: entry_id(&self.entry_id)?,
            spiffe_id: at.spiffe_id(&self.spiffe_id)?,
            parent_id: at.spiffe_id(&self.parent_id)?,
            selectors: at.selectors(&self.selectors)?,
            x509_svid_ttl: self.x509_svid_ttl.map(|ttl| at.lifetime(ttl)).transpose()?,
            jwt_svid_ttl: self.jwt_svid_ttl.map(|ttl| at.lifetime(ttl)).transpose()?,
            federates_with: Vec::new(),
            rights: Rights {
                admin: self.admin,
                downstream: self.downstream,
            },
            store_svid: self.store_svid,
            attributes: Attributes {
                disable_x509_svid_prefetch: self.disable_x509_svid_prefetch,
                jwt_svid_include_jti: self.jwt_svid_include_jti,
            },
            dns_names: at.strings(&self.dns_names)?,
            hint: self.hint.clone(),
            expires_at: self.expires_at.map(|time| at.time(time)).transpose()?,
            revision: self.revision,
            created_at: at.time(self.created_at)?,
        })
    }
}

pub(super) fn entry_id(text: &str) -> Result<EntryId, StoreError> {
    text.parse()
        .map_err(|error| row::unreadable("entries", text, error))
}

/// The columns, as they are numbered and bound.
pub(super) const COLUMNS: &str = "entry_id, spiffe_id, parent_id, selectors, similarity, \
     x509_svid_ttl, jwt_svid_ttl, admin, downstream, store_svid, \
     disable_x509_svid_prefetch, jwt_svid_include_jti, \
     dns_names, hint, expires_at, revision, created_at";
