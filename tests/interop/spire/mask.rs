//! Hides what differs between any two runs: times, numbers of certificates, tokens, keys.

/// The text with every volatile word replaced by what kind of word it is.
pub(crate) fn masked(text: &str) -> String {
    // Whether Go's JSON of messages has a space after each comma depends on the build of a program.
    let text = without_sequence(without_pem(text)).replace(", \"", ",\"");
    let mut out = String::new();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        let (word, more) = rest.split_at(end);
        out += &masked_word(word);
        let gap = more.chars().next().map_or(0, char::len_utf8);
        let (between, more) = more.split_at(gap);
        out += between;
        rest = more;
    }
    out
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || "+/=_.:-µ".contains(c)
}

fn masked_word(word: &str) -> String {
    // Between a member's name and its value in JSON.
    if let Some(value) = word.strip_prefix(':') {
        return format!(":{}", masked_word(value));
    }
    if let Some((scheme, path)) = word.split_once("://") {
        let parts: Vec<String> = path.split('/').map(masked_word).collect();
        return format!("{scheme}://{}", parts.join("/"));
    }
    if let Some(path) = word.strip_prefix('/').filter(|path| path.len() < 80) {
        let parts: Vec<String> = path.split('/').map(masked_word).collect();
        return format!("/{}", parts.join("/"));
    }
    let shape: String = word
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    if shape == "0000-00-00" || shape == "00:00:00" || shape == "0000-00-00T00:00:00Z" {
        return "TIME".to_owned();
    }
    if word.starts_with("signet-e2e-") {
        return "BED".to_owned();
    }
    if word.len() == 36 && word.matches('-').count() == 4 {
        return "UUID".to_owned();
    }
    if word.len() >= 9 && word.bytes().all(|byte| byte.is_ascii_digit()) {
        return "NUMBER".to_owned();
    }
    if word.len() >= 32 {
        return "LONG".to_owned();
    }
    if is_elapsed(word) {
        return "ELAPSED".to_owned();
    }
    word.to_owned()
}

/// `2.8ms`, `1.03s`: how long a call took.
fn is_elapsed(word: &str) -> bool {
    let Some(number) = word.strip_suffix('s') else {
        return false;
    };
    let number = number.trim_end_matches(['m', 'µ', 'n']);
    number.contains('.') && number.parse::<f64>().is_ok()
}

/// How often a bundle was written by now depends on how many writes a server needs for it.
fn without_sequence(mut text: String) -> String {
    for (before, after) in [
        ("\"sequence_number\":\"", "\""),
        ("\"spiffe_sequence\": ", "\n"),
    ] {
        let parts: Vec<&str> = text.split(before).collect();
        let cut = |part: &&str| part.split_once(after).map_or(0, |(number, _)| number.len());
        let parts: Vec<&str> = parts
            .iter()
            .enumerate()
            .map(|(at, part)| if at == 0 { *part } else { &part[cut(part)..] })
            .collect();
        text = parts.join(before);
    }
    text
}

/// The lines between `BEGIN` and `END`, which differ in number too, become one.
fn without_pem(text: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for line in text.split_inclusive('\n') {
        if line.starts_with("-----END") {
            inside = false;
        }
        if !inside {
            out += line;
        }
        if line.starts_with("-----BEGIN") {
            inside = true;
        }
    }
    out
}
