//! Resolves the arguments of `send`: a single path as it is, or the words that a shell would read,
//! with quotes, `~`, `\ ` and globs.

use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::str::Chars;

use glob::Pattern;

use crate::router::notice::{Code, Failure};
use crate::router::text::Untrusted;
use crate::ui::command::unquoted;

/// A word as a shell reads it.
#[derive(Debug, Default, PartialEq, Eq)]
struct ShellWord {
    text: String,
    /// The same as a glob, with quoted characters taken literally.
    pattern: String,
    /// Whether something in it is a wildcard.
    is_glob: bool,
}

/// The files that a line means. A missing file is left as typed, so that opening it reports what is
/// missing.
///
/// # Errors
/// When a glob is invalid or matches nothing.
pub(super) fn meant(line: &str) -> Result<Vec<PathBuf>, Failure> {
    let home = etcetera::home_dir().ok();
    let home = home.as_deref().and_then(Path::to_str);
    let whole = PathBuf::from(unquoted(line));
    if is_there(&whole) {
        return Ok(vec![whole]);
    }
    let spaced = PathBuf::from(spaced(unquoted(line), home));
    if is_there(&spaced) {
        return Ok(vec![spaced]);
    }
    let words = words(line, home).unwrap_or_default();
    let known = |word: &ShellWord| word.is_glob || is_there(Path::new(&word.text));
    if !words.iter().any(known) {
        return Ok(vec![whole]);
    }
    let mut files = Vec::new();
    for word in words {
        if word.is_glob && !is_there(Path::new(&word.text)) {
            files.extend(fitting(Path::new(""), &word.pattern)?);
        } else {
            files.push(word.text.into());
        }
    }
    Ok(files)
}

/// The files that one word of the command line means, already read by a shell, and relative to
/// `folder`: the word itself, or what the glob matches, in order.
///
/// # Errors
/// As [`meant`].
pub(super) fn expand(folder: &Path, path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let whole = folder.join(path);
    let glob = path.to_str().filter(|path| path.contains(['*', '?', '[']));
    // An existing file wins, whatever the characters of its name could mean.
    match glob.filter(|_| !is_there(&whole)) {
        Some(glob) => fitting(folder, glob),
        None => Ok(vec![whole]),
    }
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// The files in a folder that match a glob; hidden ones only if it says so, as in a shell.
fn fitting(folder: &Path, glob: &str) -> Result<Vec<PathBuf>, Failure> {
    let shown = Untrusted::new(glob).line();
    // The folder's own characters are taken literally.
    let whole = Path::new(&Pattern::escape(&folder.to_string_lossy())).join(glob);
    let found = glob::glob(&whole.to_string_lossy()).map_err(|error| {
        Failure::new(Code::Usage, format!("{shown} is not a valid glob: {error}"))
    })?;
    let dotted = glob.split('/').filter(|part| part.starts_with('.'));
    let dotted: Vec<Pattern> = dotted.filter_map(|part| Pattern::new(part).ok()).collect();
    let is_meant = |path: &PathBuf| {
        path.strip_prefix(folder).unwrap_or(path).components().all(|part| {
            let part = part.as_os_str().to_string_lossy();
            !part.starts_with('.') || dotted.iter().any(|pattern| pattern.matches(&part))
        })
    };
    let found = found.filter_map(Result::ok).filter(is_meant);
    let files: Vec<_> = found.filter(|path| path.is_file()).collect();
    match files.is_empty() {
        true => Err(Failure::new(Code::NothingMatches, format!("no file matches {shown}"))),
        false => Ok(files),
    }
}

/// A single path, whose spaces need no quotes, with `~` and backslashes as in a shell.
fn spaced(line: &str, home: Option<&str>) -> String {
    let after_tilde = line.strip_prefix('~').filter(|rest| rest.starts_with('/'));
    let (mut path, rest) = match after_tilde.zip(home) {
        Some((rest, home)) => (home.to_owned(), rest),
        None => (String::new(), line),
    };
    let mut chars = rest.chars().peekable();
    while let Some(c) = chars.next() {
        path.push(if c == '\\' { chars.next_if(is_escaped).unwrap_or(c) } else { c });
    }
    path
}

fn is_escaped(c: &char) -> bool {
    *c == ' ' || c.is_ascii_punctuation()
}

/// The words of a line; `None` if a quote is not closed.
fn words(line: &str, home: Option<&str>) -> Option<Vec<ShellWord>> {
    let mut words = Vec::new();
    let mut chars = line.trim().chars().peekable();
    while chars.next_if(|c| c.is_whitespace()).is_some() || chars.peek().is_some() {
        if chars.peek().is_some_and(|c| !c.is_whitespace()) {
            words.push(word(&mut chars, home)?);
        }
    }
    Some(words)
}

fn word(chars: &mut Peekable<Chars<'_>>, home: Option<&str>) -> Option<ShellWord> {
    let mut word = ShellWord::default();
    if let (Some(home), Some('~')) = (home, chars.peek()) {
        let mut after = chars.clone().skip(1);
        if after.next().is_none_or(|c| c == '/' || c.is_whitespace()) {
            chars.next();
            home.chars().for_each(|c| word.take(c));
        }
    }
    while let Some(c) = chars.next_if(|c| !c.is_whitespace()) {
        match c {
            '"' | '\'' => loop {
                match chars.next()? {
                    end if end == c => break,
                    '\\' if c == '"' => {
                        word.take(chars.next_if(|next| "\"\\".contains(*next)).unwrap_or('\\'));
                    }
                    inside => word.take(inside),
                }
            },
            '\\' => word.take(chars.next_if(is_escaped).unwrap_or('\\')),
            '*' | '?' | '[' => {
                word.text.push(c);
                word.pattern.push(c);
                word.is_glob = true;
            }
            c => {
                word.text.push(c);
                word.pattern.push(c);
            }
        }
    }
    Some(word)
}

impl ShellWord {
    /// Takes a character literally.
    fn take(&mut self, c: char) {
        self.text.push(c);
        self.pattern += &Pattern::escape(c.encode_utf8(&mut [0; 4]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(line: &str) -> Option<Vec<String>> {
        Some(words(line, Some("/home/ana"))?.into_iter().map(|word| word.text).collect())
    }

    #[test]
    fn a_line_is_read_as_a_shell_would() {
        for (line, expected) in [
            ("a.txt  b.txt ", vec!["a.txt", "b.txt"]),
            (r"a\ b.txt 'c d' \(1\)", vec!["a b.txt", "c d", "(1)"]),
            (r#""it's" 'say "hi"' "a\"b\c""#, vec!["it's", r#"say "hi""#, r#"a"b\c"#]),
            ("~ ~/x '~' ~bob a~", vec!["/home/ana", "/home/ana/x", "~", "~bob", "a~"]),
            ("über\tx\\y", vec!["über", "x\\y"]),
        ] {
            let expected = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(texts(line), Some(expected), "{line}");
        }
        assert_eq!(texts("it's"), None);
        assert_eq!(words("~/x", None).unwrap()[0].text, "~/x");
        assert_eq!(spaced(r"~/at home\(1).txt", Some("/home/ana")), "/home/ana/at home(1).txt");
        assert_eq!(spaced("~bob/a b", Some("/home/ana")), "~bob/a b");
        assert_eq!(spaced(r"~/a\b\", None), r"~/a\b\");
    }

    #[test]
    fn one_path_is_tried_first_and_then_words_and_globs() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["a.txt", "b.txt", "a b.txt", "[1].txt", ".hidden.txt", "it's.txt"] {
            std::fs::write(at(name), b"x").unwrap();
        }
        std::fs::create_dir(at("folder.txt")).unwrap();
        let folder = dir.path().to_str().unwrap();
        // The temporary folder's name may contain a space.
        let typed = |line: &str| {
            let mut quoted = false;
            let put = |c: char| {
                quoted ^= matches!(c, '\'' | '"');
                match c {
                    '@' if quoted => format!("{folder}/"),
                    '@' => format!("{}/", folder.replace(' ', r"\ ")),
                    _ => c.to_string(),
                }
            };
            line.chars().map(put).collect::<String>()
        };
        let names = |line: &str| {
            let files = meant(&typed(line)).map_err(|failure| failure.code)?;
            let name = |path: PathBuf| match path.strip_prefix(folder) {
                Ok(inside) => inside.to_str().unwrap().to_owned(),
                Err(_) => path.to_str().unwrap().replace(folder, ""),
            };
            Ok(files.into_iter().map(name).collect::<Vec<_>>())
        };
        let ok = |names: &[&str]| Ok(names.iter().map(|name| (*name).to_owned()).collect());
        for line in ["@a b.txt", "'@a b.txt'", r"@a\ b.txt"] {
            assert_eq!(names(line), ok(&["a b.txt"]), "{line}");
        }
        assert_eq!(names("@it's.txt"), ok(&["it's.txt"]));
        assert_eq!(names("@[1].txt"), ok(&["[1].txt"]));
        assert_eq!(names("@a.txt '@a b.txt'"), ok(&["a.txt", "a b.txt"]));
        assert_eq!(names("\"@a.txt\" \"@b.txt\""), ok(&["a.txt", "b.txt"]));
        let all = ["[1].txt", "a b.txt", "a.txt", "b.txt", "it's.txt"];
        assert_eq!(names("@*.txt"), ok(&all), "without what is hidden, and without folders");
        assert_eq!(names("@.h*"), ok(&[".hidden.txt"]));
        assert_eq!(names("@?.txt @b.txt"), ok(&["a.txt", "b.txt", "b.txt"]));
        // Quoted text is literal, and a missing file is named as it was typed.
        assert_eq!(names("'@*.txt' @b.txt"), ok(&["*.txt", "b.txt"]));
        assert_eq!(names("@none here.txt").map(|names| names.len()), Ok(1));
        assert_eq!(names("@none.txt @a.txt"), ok(&["none.txt", "a.txt"]));
        assert_eq!(names("@*.pdf"), Err(Code::NothingMatches));
        assert_eq!(names("@a**b"), Err(Code::Usage));
    }
}
