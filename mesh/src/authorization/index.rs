//! The rules that can match a request, found without looking at the others.
//!
//! Each rule stands under what tells it from most others: its principals, its paths, its ports. What
//! stands there together is told apart by something else, as far as that goes. A rule that asks for
//! nothing that can be looked up is tried for every request.

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
        for (numbered, (key, texts)) in rules.iter().zip(best_keys(rules, keys)) {
            let Some(key) = key else {
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
    pub(super) fn candidates(&self, request: &Request<'_>, take: &mut dyn FnMut(&[u32])) {
        take(&self.always);
        for Found { by, texts } in &self.found {
            by.values(request, |value| {
                texts.find(value, |index| index.candidates(request, take));
            });
        }
    }

    /// As [`Index::candidates`], and beside them some of those that have as much of the request as
    /// what they were first found by.
    pub(super) fn near(&self, request: &Request<'_>, take: &mut dyn FnMut(&[u32])) {
        for Found { by, texts } in &self.found {
            by.values(request, |value| {
                texts.find(value, |index| index.near(request, take));
            });
        }
        take(&self.always);
        take(&self.near);
    }
}

/// For each rule the key that finds the fewest others with it, and its texts there.
fn best_keys(rules: &[Numbered<'_>], keys: &[Key]) -> Vec<(Option<Key>, Vec<Text>)> {
    let of_rule = |it: &Numbered<'_>| -> Vec<(Key, Vec<Text>)> {
        let of_key = |key: &Key| Some((*key, key.texts(it.rule)?));
        keys.iter().filter_map(of_key).collect()
    };
    let all: Vec<Vec<(Key, Vec<Text>)>> = rules.iter().map(of_rule).collect();
    let mut counts: HashMap<(Key, &Text), usize> = HashMap::new();
    for (key, texts) in all.iter().flatten() {
        for text in texts {
            let count = counts.entry((*key, text)).or_default();
            *count = count.saturating_add(1);
        }
    }
    let beside = |(key, texts): &(Key, Vec<Text>)| -> usize {
        let of_text = |text| counts.get(&(*key, text)).copied().unwrap_or_default();
        texts.iter().map(of_text).fold(0, usize::saturating_add)
    };
    let best = all.iter().map(|choices| {
        let ranked = choices.iter().enumerate();
        let best = ranked.min_by_key(|(_, choice)| beside(choice));
        best.map(|(position, _)| position)
    });
    let best: Vec<Option<usize>> = best.collect();
    drop(counts);
    let choose = |(mut choices, best): (Vec<(Key, Vec<Text>)>, Option<usize>)| match best {
        Some(best) if best < choices.len() => {
            let (key, texts) = choices.swap_remove(best);
            (Some(key), texts)
        }
        Some(_) | None => (None, Vec::new()),
    };
    all.into_iter().zip(best).map(choose).collect()
}

/// So few rules are walked sooner than looked up.
const FEW: usize = 8;
/// How many of them are kept near.
const NEAR: usize = 16;
/// How often what stands together is told apart once more.
const DEEPEST: usize = 2;
/// How much larger than a list what tells it apart may be: each text of a rule is a copy of it.
const MOST_COPIES: usize = 4;
