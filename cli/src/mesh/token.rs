//! The token of a request that is explained: whose it is, and which document has it verified.

use std::fmt;

use anyhow::{Context as _, bail};
use serde_json::{Map, Value};
use signet_identity::{SpiffeId, id};
use signet_mesh::{JwtRule, Token, WorkloadRequestAuthentication};

/// A token whose signature and time are taken as good.
#[derive(Debug)]
pub(super) struct Shown {
    /// What policies are asked with.
    pub(super) token: Token,
    told: String,
}

/// Who made a token.
#[derive(Debug)]
enum Maker {
    Issuer(String),
    TrustDomain(SpiffeId),
}

impl Shown {
    /// The token with these claims, as a workload takes it.
    ///
    /// # Errors
    /// Nobody could have made it.
    pub(super) fn of(text: &str, rules: &WorkloadRequestAuthentication) -> anyhow::Result<Self> {
        let claims: Map<String, Value> =
            serde_json::from_str(text).context("it is no JSON object")?;
        let of = |name| claims.get(name).and_then(Value::as_str).map(str::to_owned);
        let subject = of("sub").and_then(|subject| id::parse(&subject).ok());
        let named = |issuer: &String| rules.rules().iter().any(|rule| *rule.issuer == **issuer);
        let maker = match (of("iss"), subject) {
            (Some(issuer), _) if named(&issuer) => Maker::Issuer(issuer),
            // JWT-SVIDs may name an issuer, too.
            (_, Some(id)) => Maker::TrustDomain(id),
            (Some(issuer), None) => Maker::Issuer(issuer),
            (None, None) => bail!("write iss, the issuer, or as sub the SPIFFE ID of a JWT-SVID"),
        };
        Ok(match maker {
            Maker::TrustDomain(id) => Self {
                told: format!(
                    "its token is a JWT-SVID of {id}: verified if the proxy has jwt.audiences\n"
                ),
                token: Token::of_svid(&id, claims),
            },
            Maker::Issuer(issuer) => {
                let token = Token::of_issuer(&issuer, claims);
                let told = told(&issuer, &token, rules);
                Self { token, told }
            }
        })
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told)
    }
}

fn told(issuer: &str, token: &Token, rules: &WorkloadRequestAuthentication) -> String {
    let mut named = rules.rules().iter().filter(|rule| *rule.issuer == *issuer);
    let is_for = |rule: &JwtRule| {
        let mut audiences = token.audiences();
        rule.audiences.is_empty()
            || audiences.any(|one| rule.audiences.iter().any(|it| **it == *one))
    };
    match (named.clone().find(|rule| is_for(rule)), named.next()) {
        (Some(rule), _) => format!("its token is verified by {rule}\n"),
        (None, Some(rule)) => format!(
            "its token is answered 401: {rule} takes those for {}\n",
            rule.audiences.join(" or ")
        ),
        (None, None) if rules.is_empty() => {
            "its token is not looked at: no RequestAuthentication is for the workload, so the \
             request has no principal\n"
                .to_owned()
        }
        (None, None) => format!(
            "its token is answered 401: no RequestAuthentication for the workload names issuer \
             {issuer:?}\n"
        ),
    }
}
