//! What klatch prints about itself: the man page, shell completions, the schema of events. All of
//! it is generated from the definitions of the options and the table of commands.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::config::{Options, Shell};
use crate::ui::command::{COMMANDS, SLASH_COMMANDS};
use crate::ui::notice::schema;

/// Prints what the options ask for; `None` if they ask for none of this.
pub(super) fn print(options: &Options, out: &mut impl Write) -> Option<io::Result<()>> {
    if options.json_schema {
        return Some(writeln!(out, "{:#}", schema().as_value()));
    }
    if let Some(shell) = options.completions {
        return Some(completions(shell, out));
    }
    options.man.then(|| man(out))
}

fn completions(shell: Shell, out: &mut impl Write) -> io::Result<()> {
    use clap_complete::{generate, shells};
    let mut command = Options::command();
    // It panics if a writer fails, but memory cannot.
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
    rest.control("SH", ["IN ONE GO"]);
    for one_shot in Options::command().get_subcommands_mut() {
        let usage = one_shot.render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ").replace("[OPTIONS] ", "");
        rest.control("TP", []);
        rest.text([bold(format!("klatch {usage}"))]);
        rest.text([roman(one_shot.get_about().map(ToString::to_string).unwrap_or_default())]);
        let arguments = one_shot.get_arguments().filter(|argument| !argument.is_global_set());
        for argument in arguments.filter(|argument| argument.get_id() != "help") {
            rest.control("TP", []);
            rest.text([bold(argument.to_string())]);
            rest.text([roman(argument.get_help().map(ToString::to_string).unwrap_or_default())]);
        }
    }
    rest.control("SH", ["COMMANDS"]);
    rest.text([roman(
        "One command per line. A line that begins with / is always a command; the commands up to \
         /help also work without it. Anything else is a message to the room.",
    )]);
    for command in COMMANDS.iter().chain(SLASH_COMMANDS) {
        rest.control("TP", []);
        rest.text([bold(command.form)]);
        rest.text([roman(command.help)]);
    }
    rest.control("SH", ["EXIT STATUS"]);
    rest.text([roman(
        "0: success. 1: a command of a pipe or a one-shot failed, or the output could not be \
         written. 2: wrong usage. 3: klatch could not start. 129, 130, 143: SIGHUP, SIGINT or \
         SIGTERM ended send, get or say early, or anything when it came twice. 131: ended at once \
         by SIGQUIT.",
    )]);
    rest.control("SH", ["ENVIRONMENT"]);
    for (variable, meaning) in [
        ("KLATCH_DATA_DIR", "The data directory, unless --data-dir names one."),
        ("KLATCH_LOG", "What is logged: a level such as debug, or klatch::net=trace."),
        ("NO_COLOR", "If not empty: no colours."),
        ("TERM", "If missing, empty or dumb: plain lines, without line editing."),
    ] {
        rest.control("TP", []);
        rest.text([bold(variable)]);
        rest.text([roman(meaning)]);
    }
    rest.control("SH", ["FILES"]);
    rest.text([roman(
        "In the data directory: identity (your key), settings.toml (see --init-config), verified \
         (members that you compared words with), history (commands, without passwords), socket \
         (while klatch runs: send, get and say reach it there).",
    )]);
    rest.to_writer(out)
}
