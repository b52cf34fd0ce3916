//! The rules that can match a request, found without looking at the others.
//!
//! Each rule stands under what tells it from most others: its principals, its paths, its ports.
//! What stands there together is told apart by something else, as far as that goes. A rule that
//! asks for nothing that can be looked up is tried for every request.

use std::collections::{BTreeMap, HashMap};

use super::{
    keys::{KEYS, Key},
    policy::Rule,
    request::Request,
    texts::{Text, Texts},
};

/// Rules by their numbers.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Tried whatever the request has, in order.
    always: Vec<u32>,
    /// The others, by what they are found by.
    found: Vec<Found>,
    /// The first of the others, which come near to any request that got here.
    near: Vec<u32>,
}

#[derive(Debug)]
struct Found {
    by: Key,
    texts: Texts<Index>,
}

/// Takes numbers of rules.
type Take<'t> = dyn FnMut(&[u32]) + 't;

/// What a rule can be found by.
#[derive(Debug, Default)]
struct Choice {
    /// None if it can match whatever a request has.
    by: Option<Key>,
    texts: Vec<Text>,
}

/// A rule that is to be found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbered<'r> {
    pub(super) number: u32,
    pub(super) rule: &'r Rule,
}

impl Index {
    /// Of `rules`, which are in order, for requests of HTTP or for what is none.
    pub(super) fn new(rules: &[Numbered<'_>], of_http: bool) -> Self {
        let keys: Vec<Key> = KEYS
            .into_iter()
            .filter(|key| of_http || !key.needs_http())
            .collect();
        Self::by(rules, &keys, 0)
    }

    fn by(rules: &[Numbered<'_>], keys: &[Key], depth: usize) -> Self {
        let all = || rules.iter().map(|it| it.number);
        let walked = || Self {
            always: all().collect(),
            ..Self::default()
        };
        if rules.len() <= FEW || depth > DEEPEST {
            return walked();
        }
        let mut always = Vec::new();
        let mut under: BTreeMap<Key, BTreeMap<Text, Vec<Numbered<'_>>>> = BTreeMap::new();
        let mut copies = 0usize;
        for (numbered, Choice { by, texts }) in rules.iter().zip(best_choices(rules, keys)) {
            let Some(key) = by else {
                always.push(numbered.number);
                continue;
            };
            copies = copies.saturating_add(texts.len());
            let by_text = under.entry(key).or_default();
            for text in texts {
                by_text.entry(text).or_default().push(*numbered);
            }
        }
        if depth > 0 && copies > rules.len().saturating_mul(MOST_COPIES) {
            return walked();
        }
        let found = |(by, texts): (Key, BTreeMap<Text, Vec<Numbered<'_>>>)| {
            let others: Vec<Key> = keys.iter().copied().filter(|key| *key != by).collect();
            let index = |(text, rules): (Text, Vec<Numbered<'_>>)| {
                let index = Self::by(&rules, &others, depth.saturating_add(1));
                (text, index)
            };
            let texts = Texts::new(texts.into_iter().map(index).collect());
            Found { by, texts }
        };
        Self {
            always,
            found: under.into_iter().map(found).collect(),
            near: all().take(NEAR).collect(),
        }
    }

    /// Hands over all rules that may match the request, in lists that are each in order. A rule may
    /// stand in several.
    pub(super) fn candidates(&self, request: &Request<'_>, take: &mut Take<'_>) {
        take(&self.always);
        for Found { by, texts } in &self.found {
            by.values(request, |value| {
                texts.find(value, |index| index.candidates(request, take));
            });
        }
    }

    /// As [`Index::candidates`], and beside them some of those that have as much of the request as
    /// what they were first found by.
    pub(super) fn near(&self, request: &Request<'_>, take: &mut Take<'_>) {
        for Found { by, texts } in &self.found {
            by.values(request, |value| {
                texts.find(value, |index| index.near(request, take));
            });
        }
        take(&self.always);
        take(&self.near);
    }
}

/// For each rule what finds the fewest others with it.
fn best_choices(rules: &[Numbered<'_>], keys: &[Key]) -> Vec<Choice> {
    let of_rule = |it: &Numbered<'_>| -> Vec<Choice> {
        let of_key = |key: &Key| {
            let (by, texts) = (Some(*key), key.texts(it.rule)?);
            Some(Choice { by, texts })
        };
        keys.iter().filter_map(of_key).collect()
    };
    let all: Vec<Vec<Choice>> = rules.iter().map(of_rule).collect();
    let mut counts: HashMap<_, usize> = HashMap::new();
    for choice in all.iter().flatten() {
        for text in &choice.texts {
            let count = counts.entry((choice.by, text)).or_default();
            *count = count.saturating_add(1);
        }
    }
    let beside = |choice: &Choice| -> usize {
        let of_text = |text| counts.get(&(choice.by, text)).copied().unwrap_or_default();
        choice
            .texts
            .iter()
            .map(of_text)
            .fold(0, usize::saturating_add)
    };
    let ranks: Vec<Vec<usize>> = all
        .iter()
        .map(|choices| choices.iter().map(beside).collect())
        .collect();
    drop(counts);
    let best = |(choices, ranks): (Vec<Choice>, Vec<usize>)| {
        let ranked = choices.into_iter().zip(ranks);
        let best = ranked.min_by_key(|(_, rank)| *rank);
        best.map(|(choice, _)| choice).unwrap_or_default()
    };
    all.into_iter().zip(ranks).map(best).collect()
}

/// So few rules are walked sooner than looked up.
const FEW: usize = 8;
/// How many of them are kept near.
const NEAR: usize = 16;
/// How often what stands together is told apart once more.
const DEEPEST: usize = 2;
/// How much larger than a list what tells it apart may be: each text of a rule is a copy of it.
const MOST_COPIES: usize = 4;
