//! A compiled policy: its rules, and whether one of them matches a request.

use std::sync::Arc;

use super::{
    action::Action,
    condition::{Condition, Held, Test},
    request::Request,
};
use crate::object::{ObjectName, Selector, located};

#[derive(Debug, PartialEq)]
pub(crate) struct Policy {
    pub(crate) name: ObjectName,
    pub(crate) file: Arc<str>,
    pub(crate) line: u64,
    pub(crate) action: Action,
    /// Whether it is only tried: what it would decide is told, and changes nothing.
    pub(crate) dry_run: bool,
    /// Who is asked, if that is what it is for.
    pub(crate) provider: Option<Arc<str>>,
    pub(crate) selector: Selector,
    /// The services of its namespace that it is for, if it is enforced where they are called.
    pub(crate) targets: Vec<Box<str>>,
    pub(crate) rules: Vec<Rule>,
}

located!(Policy, "policy");

/// `from`, `to` and `when` must all hold; a part that was not written holds always.
#[derive(Debug, PartialEq)]
pub(crate) struct Rule {
    pub(crate) line: u64,
    /// One of the sources must hold.
    pub(crate) from: Vec<Clause>,
    /// One of the operations must hold.
    pub(crate) to: Vec<Clause>,
    /// All of them must hold.
    pub(crate) when: Clause,
}

/// Conditions that must all hold.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Clause(pub(crate) Vec<Condition>);

/// Why a rule did not match: the condition that failed, in the alternative that came closest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Miss<'r> {
    pub(crate) condition: &'r Condition,
    pub(crate) needs_http: bool,
    /// How many conditions held before.
    pub(crate) held: usize,
}

impl Clause {
    /// Whether it says whose IDs are meant.
    pub(crate) fn names_trust_domain(&self) -> bool {
        let mut conditions = self.0.iter();
        conditions.any(|it| !it.negated && it.test.names_trust_domain())
    }

    /// Namespaces and accounts in it are those of any trust domain.
    pub(crate) fn mean_anywhere(&mut self) {
        self.0.iter_mut().for_each(|it| it.anywhere = true);
    }
}

impl Policy {
    pub(crate) fn reads_headers(&self) -> bool {
        let mut clauses = self
            .rules
            .iter()
            .flat_map(|rule| rule.from.iter().chain(&rule.to).chain([&rule.when]));
        clauses.any(|clause| {
            clause
                .0
                .iter()
                .any(|it| matches!(it.test, Test::Header(..)))
        })
    }
}

impl Rule {
    /// `Ok` if the rule matches.
    ///
    /// Without HTTP an ALLOW rule that asks for anything of HTTP matches nothing, and a rule of
    /// DENY or AUDIT loses just that condition, as in Istio: either way less is permitted.
    pub(crate) fn check(&self, request: &Request<'_>, action: Action) -> Result<(), Miss<'_>> {
        if action.is_safe_if_it_matches_less() && request.http.is_none() {
            self.refuse_http_conditions()?;
        }
        let mut held = one_of(&self.from, request, action, 0)?;
        held = one_of(&self.to, request, action, held)?;
        self.when.check(request, action, held)?;
        Ok(())
    }

    pub(crate) fn conditions(&self) -> impl Iterator<Item = &Condition> {
        let clauses = self.from.iter().chain(&self.to).chain([&self.when]);
        clauses.flat_map(|clause| &clause.0)
    }

    fn refuse_http_conditions(&self) -> Result<(), Miss<'_>> {
        match self
            .conditions()
            .find(|condition| condition.test.needs_http())
        {
            Some(condition) => Err(Miss {
                condition,
                needs_http: true,
                held: 0,
            }),
            None => Ok(()),
        }
    }
}

impl Clause {
    /// `Ok` with the number of conditions that held so far if all of them hold.
    fn check(
        &self,
        request: &Request<'_>,
        action: Action,
        mut held: usize,
    ) -> Result<usize, Miss<'_>> {
        for condition in &self.0 {
            let narrow = action.is_safe_if_it_matches_less();
            match (condition.check(request, action), narrow) {
                (Held::Yes, _) => held = held.saturating_add(1),
                (Held::NeedsHttp, false) => {}
                (Held::No, _) => {
                    return Err(Miss {
                        condition,
                        needs_http: false,
                        held,
                    });
                }
                (Held::NeedsHttp, true) => {
                    return Err(Miss {
                        condition,
                        needs_http: true,
                        held,
                    });
                }
            }
        }
        Ok(held)
    }
}

/// Tries the alternatives in turn; without any there is nothing to ask.
fn one_of<'r>(
    clauses: &'r [Clause],
    request: &Request<'_>,
    action: Action,
    held: usize,
) -> Result<usize, Miss<'r>> {
    let mut nearest: Option<Miss<'r>> = None;
    for clause in clauses {
        match clause.check(request, action, held) {
            Ok(held) => return Ok(held),
            Err(miss) if nearest.is_none_or(|best| miss.held > best.held) => nearest = Some(miss),
            Err(_) => {}
        }
    }
    nearest.map_or(Ok(held), Err)
}
