//! What klatch prints about itself: the man page, completions for shells, the schema of events.
//! All of it comes from the one definition of the options and from the one table of commands.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::config::{Options, Shell};
use crate::ui::command::{COMMANDS, SLASH_COMMANDS};

/// JSON Schema of the events (draft 2020-12).
pub const SCHEMA: &str = include_str!("../ui/events.schema.json");

/// Prints what the options ask for; `None` when they ask for nothing of this kind.
pub(super) fn print(options: &Options, out: &mut impl Write) -> Option<io::Result<()>> {
    if options.json_schema {
        return Some(out.write_all(SCHEMA.as_bytes()));
    }
    if let Some(shell) = options.completions {
        return Some(completions(shell, out));
    }
    options.man.then(|| man(out))
}

fn completions(shell: Shell, out: &mut impl Write) -> io::Result<()> {
    use clap_complete::{generate, shells};
    let mut command = Options::command();
    // It panics where a writer fails; memory does not.
    let mut text = Vec::new();
    match shell {
        Shell::Bash => generate(shells::Bash, &mut command, "klatch", &mut text),
        Shell::Zsh => generate(shells::Zsh, &mut command, "klatch", &mut text),
        Shell::Fish => generate(shells::Fish, &mut command, "klatch", &mut text),
    }
    out.write_all(&text)
}

fn man(out: &mut impl Write) -> io::Result<()> {
    let man = Man::new(Options::command()).manual("User Commands");
    man.render_title(out)?;
    man.render_name_section(out)?;
    man.render_synopsis_section(out)?;
    man.render_description_section(out)?;
    man.render_options_section(out)?;
    let mut rest = Roff::new();
    rest.control("SH", ["COMMANDS"]);
    rest.text([roman(
        "One on each line. A line that does not begin with the word of a command is a message to \
         the room; one that begins with / is always a command, and some need the /.",
    )]);
    for command in COMMANDS.iter().chain(SLASH_COMMANDS) {
        rest.control("TP", []);
        rest.text([bold(command.form)]);
        rest.text([roman(command.help)]);
    }
    rest.control("SH", ["EXIT STATUS"]);
    rest.text([roman(
        "0: all well. 1: some command failed. 2: wrong usage. 3: klatch could not start. \
         130, 131, 143: ended at once by a second SIGINT, SIGQUIT, a second SIGTERM.",
    )]);
    rest.control("SH", ["ENVIRONMENT"]);
    for (variable, meaning) in [
        ("KLATCH_DATA_DIR", "The data directory, unless --data-dir names one."),
        ("NO_COLOR", "If not empty: plain lines, without colours and without editing."),
    ] {
        rest.control("TP", []);
        rest.text([bold(variable)]);
        rest.text([roman(meaning)]);
    }
    rest.control("SH", ["FILES"]);
    rest.text([roman(
        "In the data directory: identity (your key), settings.toml (see --init-config), verified \
         (members that you compared words with), history (commands, without passwords).",
    )]);
    rest.to_writer(out)
}
