//! The answers to `members`, `files` and `transfers`, in columns.

use super::lines::{counted, folder_size, nick, safe, size};
use super::paint::Style;
use super::width::{pad, width};
use crate::router::notice::{
    FileInfo, FileLine, Finding, FolderRow, MemberLine, Standing, TransferLine, TransferState,
};
use crate::router::text::Untrusted;

pub(super) fn member_rows(list: &[MemberLine], style: &Style) -> Vec<String> {
    let rows = list.iter().map(|line| {
        let member = &line.member;
        let place = match line {
            MemberLine { own: true, .. } => "you".to_owned(),
            MemberLine { linked: true, .. } => safe(&member.address),
            _ if member.address.is_empty() => "no direct link".to_owned(),
            _ => format!("no direct link, at {}", safe(&member.address)),
        };
        let since = line.since_ms.map(|at| format!("since {}", style.since(at)));
        let round_trip = line.round_trip_ms.map(|ms| match ms {
            0 => "under 1 ms".to_owned(),
            ms => format!("{ms} ms"),
        });
        let verified = if member.who.verified { ", verified" } else { "" };
        let ignored = if line.ignored { ", ignored" } else { "" };
        vec![
            nick(&member.who),
            place,
            since.unwrap_or_default(),
            round_trip.unwrap_or_default(),
            standing(line, style),
            format!("{}{verified}{ignored}", line.fingerprint),
        ]
    });
    let rows: Vec<_> = rows.collect();
    std::iter::once(format!("{} here:", counted(list.len(), "member")))
        .chain(table(&rows, style.columns))
        .collect()
}

/// A member's rank, or through whom it came in.
fn standing(line: &MemberLine, style: &Style) -> String {
    let through = line.through.as_ref().map(|who| match style.seen.is_me(who) {
        true => "through you".to_owned(),
        false => format!("through {}", nick(who)),
    });
    match (line.standing, through) {
        (Standing::Member, Some(through)) => through,
        (Standing::Visitor, Some(through)) => format!("visitor, {through}"),
        (Standing::Outside, _) => "no longer a member".into(),
        (standing, _) => standing.word().into(),
    }
}

pub(super) fn finding_rows(list: &[Finding]) -> Vec<String> {
    let row = |finding: &Finding| {
        let mark = if finding.good { "ok" } else { "!!" };
        let text = format!("{mark}  {}", safe(&finding.text));
        let advice = Some(&finding.advice).filter(|advice| !advice.is_empty());
        std::iter::once(text).chain(advice.map(|advice| format!("    {}", safe(advice))))
    };
    list.iter().flat_map(row).collect()
}

pub(super) fn file_rows(list: &[FileLine], style: &Style) -> Vec<String> {
    if list.is_empty() {
        return vec!["no files are offered yet: send <path> offers one".into()];
    }
    let rows = list.iter().map(|line| {
        let by = if line.own { "you".to_owned() } else { nick(&line.from) };
        let held = match (line.hosts, line.own) {
            (0, true) => "send it again to share it".to_owned(),
            (0, false) => "nobody here has it".to_owned(),
            (1, _) => "1 has it".to_owned(),
            (hosts, _) => format!("{hosts} have it"),
        };
        vec![
            format!("{}{}", line.file.name.short(), if line.folder.is_some() { "/" } else { "" }),
            line.folder.as_ref().map_or_else(|| size(line.file.size), folder_size),
            line.file.id.short(),
            held,
            format!("from {by}"),
        ]
    });
    let rows: Vec<_> = rows.collect();
    std::iter::once(format!("{} offered:", counted(list.len(), "file")))
        .chain(table(&rows, style.columns))
        .collect()
}

pub(super) fn folder_rows(
    (file, path): (&FileInfo, &Untrusted),
    (list, more): (&[FolderRow], u32),
    style: &Style,
) -> Vec<String> {
    let place = format!("{}/{}", file.name.short(), path.line());
    if list.is_empty() {
        return vec![format!("{place} is empty")];
    }
    let rows = list.iter().map(|row| match row.folder {
        true => {
            let files = usize::try_from(row.files).unwrap_or(usize::MAX);
            vec![format!("{}/", row.name.short()), counted(files, "file"), size(row.bytes)]
        }
        false => vec![row.name.short(), String::new(), size(row.bytes)],
    });
    let rows: Vec<_> = rows.collect();
    let rest = (more > 0).then(|| format!("  and {more} more"));
    std::iter::once(format!("{place} has in it:"))
        .chain(table(&rows, style.columns))
        .chain(rest)
        .collect()
}

pub(super) fn transfer_rows(list: &[TransferLine], style: &Style) -> Vec<String> {
    if list.is_empty() {
        return vec!["no transfers".into()];
    }
    let rows = list.iter().map(|line| {
        let (what, whence) = match (line.state, &line.to) {
            (TransferState::Fetching, _) => {
                ("fetching", format!("from {}", counted(line.hosts, "member")))
            }
            (TransferState::Queued, _) => ("queued", "waits for its turn".to_owned()),
            (TransferState::Waiting, _) => ("fetching", "waits for the disk".to_owned()),
            (TransferState::Serving, to) => {
                ("serving", to.as_ref().map_or_else(String::new, |to| format!("to {}", nick(to))))
            }
            (TransferState::Hashing, _) => ("reading", "to be offered".to_owned()),
            (TransferState::HashQueued, _) => ("queued", "to be read and offered".to_owned()),
        };
        let begun = !matches!(line.state, TransferState::Queued | TransferState::HashQueued);
        let (done, rate) = match (begun, line.state) {
            (true, _) => (
                format!("{} of {}", size(line.bytes_done), size(line.file.size)),
                format!("{}/s", size(line.bytes_per_second)),
            ),
            (false, TransferState::Queued) => (size(line.file.size), String::new()),
            (false, _) => (String::new(), String::new()),
        };
        let left = line.seconds_left.map_or(String::new(), time_left);
        vec![line.file.name.short(), what.to_owned(), done, rate, left, whence]
    });
    let rows: Vec<_> = rows.collect();
    let queued = list.iter().filter(|line| line.state == TransferState::Queued).count();
    let moving = list.len() - queued;
    let queued = if queued > 0 { format!(", {queued} queued") } else { String::new() };
    std::iter::once(format!("{} moving{queued}:", counted(moving, "file")))
        .chain(table(&rows, style.columns))
        .collect()
}

/// `12 s left`.
pub(super) fn time_left(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s left"),
        60..6_000 => format!("{} min left", seconds.div_ceil(60)),
        _ => format!("{} h left", seconds.div_ceil(3_600)),
    }
}

/// The width that a cell can add to its column: a longer one only shifts the rest of its own row.
const CELL_MAX: usize = 32;

/// The prefix of a row of klatch's own.
const MARK_COLUMNS: usize = 2;

/// Rows in columns, after two spaces; the last column may have any width. A row wider than the
/// terminal continues below, indented further.
pub(super) fn table(rows: &[Vec<String>], columns: Option<usize>) -> Vec<String> {
    let columns = columns.map_or(usize::MAX, |columns| columns.saturating_sub(MARK_COLUMNS));
    let wide = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| width(cell)).filter(|width| *width <= CELL_MAX).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..rows.first().map_or(0, Vec::len)).map(wide).collect();
    let lines_of = |row: &Vec<String>| {
        let mut lines = vec![String::new()];
        for (cell, &wide) in row.iter().zip(&widths) {
            let line = lines.last_mut().filter(|line| {
                line.is_empty() || cell.is_empty() || width(line) + 2 + width(cell) <= columns
            });
            match line {
                Some(line) => *line += &format!("  {}", pad(cell, wide)),
                None => lines.push(format!("      {cell}")),
            }
        }
        lines.into_iter().map(|line| line.trim_end().to_owned())
    };
    rows.iter().flat_map(lines_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_widens_its_own_row_only() {
        let row = |name: &str| vec![name.to_owned(), "4 kB".to_owned(), "from ana".to_owned()];
        let long = "x".repeat(60);
        let rows = table(&[row("a.txt"), row("notes.txt"), row(&long)], None);
        assert_eq!(rows[0], "  a.txt      4 kB  from ana");
        assert_eq!(rows[1], "  notes.txt  4 kB  from ana");
        assert_eq!(rows[2], format!("  {long}  4 kB  from ana"));
    }

    #[test]
    fn a_row_that_does_not_fit_goes_on_below() {
        let row = |name: &str, from: &str| {
            [name, "4.1 kB", "c346c381", "12 have it", from].map(str::to_owned).to_vec()
        };
        let rows = [row("a.txt", "from ana"), row("notes of the week.txt", "from somebody")];
        let table = table(&rows, Some(56));
        assert!(table.iter().all(|line| width(line) <= 54), "{table:?}");
        assert_eq!(table[0], "  a.txt                  4.1 kB  c346c381  12 have it");
        assert_eq!(table[1], "      from ana");
        assert_eq!(table[2], "  notes of the week.txt  4.1 kB  c346c381  12 have it");
        assert_eq!(table[3], "      from somebody");
    }
}
