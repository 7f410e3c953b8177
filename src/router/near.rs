//! Finds the word that somebody probably meant.

/// Longer words are not compared: the work grows with the square of their length.
const LONGEST_CHARS: usize = 255;

/// The word nearest to what was typed, if near enough; the first of several as near. A letter too
/// many, too few, wrong or swapped with its neighbour is one step; a third of the letters may be
/// wrong, and case does not matter.
pub fn nearest<'w>(typed: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let typed: Vec<char> = typed.to_lowercase().chars().take(LONGEST_CHARS + 1).collect();
    if typed.len() > LONGEST_CHARS {
        return None;
    }
    let near = words.into_iter().filter_map(|word| {
        let lower: Vec<char> = word.to_lowercase().chars().take(LONGEST_CHARS + 1).collect();
        let most = typed.len().max(lower.len());
        let far = lower.len() > LONGEST_CHARS || typed.len().abs_diff(lower.len()) > most / 3;
        let steps = if far { most } else { distance(&typed, &lower) };
        // An abbreviated word is a common case.
        let begun = typed.len() >= 3 && lower.starts_with(&typed);
        (begun || steps <= most / 3 && steps < most)
            .then_some((if begun { 0 } else { steps }, word))
    });
    near.min_by_key(|(steps, _)| *steps).map(|(_, word)| word)
}

/// How many letters are too many, too few, wrong or swapped with their neighbours.
#[must_use]
pub fn steps(one: &str, other: &str) -> usize {
    let chars = |text: &str| text.chars().take(LONGEST_CHARS).collect::<Vec<_>>();
    distance(&chars(one), &chars(other))
}

/// Optimal string alignment distance.
fn distance(one: &[char], other: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let get = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX - 1);
            let mut steps = (get(&last, j) + usize::from(a != b))
                .min(get(&last, j + 1) + 1)
                .min(get(&row, j) + 1);
            let swapped =
                i > 0 && j > 0 && one.get(i - 1) == Some(b) && other.get(j - 1) == Some(a);
            if swapped {
                steps = steps.min(get(&before_last, j - 1) + 1);
            }
            row.push(steps);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_understood_and_nonsense_is_not() {
        let words = ["password", "files", "members", "name", "say", "quit"];
        for (typed, meant) in [
            ("pasword", Some("password")),
            ("passwrod", Some("password")),
            ("Member", Some("members")),
            ("file", Some("files")),
            ("memb", Some("members")),
            ("quti", Some("quit")),
            ("nosuch", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, words), meant, "{typed}");
        }
        assert_eq!(nearest(&"x".repeat(100_000), words), None);
        let long = "report-of-the-year-2026-final.pdf";
        assert_eq!(nearest("report-of-the-year-2025-final.pdf", [long]), Some(long));
    }
}
