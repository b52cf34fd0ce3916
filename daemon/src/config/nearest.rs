//! What somebody who mistyped a name probably meant.

/// The candidate that `name` was probably meant to be.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = name.to_lowercase();
    let scored = candidates.into_iter().map(|candidate| {
        (
            strsim::damerau_levenshtein(&folded, &candidate.to_lowercase()),
            candidate,
        )
    });
    let (distance, candidate) = scored.min_by_key(|(distance, _)| *distance)?;
    let tolerated = (name.chars().count().max(candidate.chars().count()) / 3).max(1);
    (distance <= tolerated).then_some(candidate)
}

/// The sentence for a key that is none of `known`.
pub(super) fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    if let Some(candidate) = nearest(name, known.clone()) {
        return format!("there is no setting `{name}` here; did you mean `{candidate}`?");
    }
    let mut known: Vec<&str> = known.collect();
    known.sort_unstable();
    match known.as_slice() {
        [] => format!("there is no setting `{name}` here; this block takes none"),
        _ => format!(
            "there is no setting `{name}` here; there are {}",
            known.join(", ")
        ),
    }
}
