//! Tests of single lines.

use super::*;
use crate::router::text::MESSAGE_MAX_BYTES;

fn command(line: &str) -> Command {
    match parse(line) {
        Ok(Input::Command(command)) => command,
        other => panic!("{line:?} gave {other:?}"),
    }
}

fn said(line: &str) -> String {
    match command(line) {
        Command::Say { text } => text,
        other => panic!("{line:?} gave {other:?}"),
    }
}

fn code(line: &str) -> Code {
    parse(line).expect_err(line).code
}

fn connect_to(host: &str, port: u16, lock: LockWish) -> Command {
    Command::Connect { host: host.into(), port, lock }
}

#[test]
fn the_table_names_every_command_of_the_contract_and_each_parses() {
    let examples = [
        "connect alice",
        "password",
        "unlock",
        "send a.txt",
        "download a.txt",
        "cancel a.txt",
        "files",
        "members",
        "transfers",
        "name ana",
        "say hello",
        "wait 2",
        "limit up 5MB/s",
        "doctor",
        "verify ana",
        "browser",
        "leave",
        "quit",
        "help",
    ];
    let words: Vec<&str> = COMMANDS.iter().map(|command| command.word).collect();
    let expected: Vec<&str> = examples.iter().map(|line| split_word(line).0).collect();
    assert_eq!(words, expected);
    for (line, row) in examples.iter().zip(COMMANDS) {
        match parse(line) {
            Ok(Input::Command(command)) => assert_eq!(command.word(), row.word),
            Ok(Input::Browser) => assert_eq!(row.word, "browser"),
            Ok(Input::Help(None)) => assert_eq!(row.word, "help"),
            other => panic!("{line} gave {other:?}"),
        }
        assert_eq!(parse(&format!("/{line}")), parse(line));
        let help = help_lines(None).join("\n").replace("\n    |", " |");
        assert!(help.lines().any(|line| line.starts_with(row.form)), "{help}");
    }
    for row in SLASH_COMMANDS {
        assert!(row.form.strip_prefix('/').is_some_and(|form| form.starts_with(row.word)));
        assert!(help_lines(None).iter().any(|line| line.starts_with(row.form)), "{}", row.form);
        assert!(help_lines(Some(row.word))[0].starts_with(row.form));
        assert_eq!(parse(&format!("help /{}", row.word)), Ok(Input::Help(Some(row.word.into()))));
    }
    for line in help_lines(None) {
        assert!(line.len() <= 78, "too wide for 80 columns: {line}");
    }
    assert_eq!(help_lines(Some("leave")), ["/leave: leave for a new room, alone"]);
}

#[test]
fn what_does_not_start_with_a_word_of_klatch_is_said_to_the_room() {
    assert_eq!(said("hello there"), "hello there");
    assert_eq!(said("Send me the file"), "Send me the file");
    assert_eq!(said(" connect me"), " connect me");
    assert_eq!(said("sending now"), "sending now");
    assert_eq!(said("quit! now!"), "quit! now!");
    assert_eq!(said("tab\there"), "tab\there");
    assert_eq!(said("hello\r"), "hello");
    assert_eq!(said("say quit"), "quit");
    assert_eq!(said("say  \"quit\" "), "quit");
    assert_eq!(said("say /etc/hosts"), "/etc/hosts");
    for empty in ["", "   ", "\t", "\r", " \r"] {
        assert_eq!(parse(empty), Ok(Input::Empty));
    }
}

fn limited(up: bool, bytes_per_second: Option<u64>) -> Command {
    Command::Limit { change: Some(RateLimit { up, bytes_per_second }) }
}

#[test]
fn words_from_elsewhere_do_what_they_do_there_or_say_what_there_is_instead() {
    for (alias, word) in [
        ("/get a.txt", "download a.txt"),
        ("/nick ana", "name ana"),
        ("/who", "members"),
        ("/names", "members"),
        ("/ls", "files"),
        ("/part", "leave"),
        ("/exit", "quit"),
        ("/kick eve", "/remove eve"),
        ("/download a.txt", "download a.txt"),
    ] {
        assert_eq!(parse(alias), parse(word), "{alias}");
        let bare = alias.trim_start_matches('/');
        let is_message = matches!(parse(bare), Ok(Input::Command(Command::Say { .. })));
        assert_eq!(is_message, bare != "download a.txt", "{bare}");
    }
    for (line, instead) in [("/msg bob hi", "everybody"), ("/me waves", "send a message")] {
        let failure = parse(line).unwrap_err();
        assert_eq!(failure.code, Code::UnknownCommand);
        assert!(failure.text.contains(instead), "{}", failure.text);
    }
    assert!(parse("/gte a").unwrap_err().text.contains("/get"));
    let help = help_lines(Some("get"));
    assert!(help[0].starts_with("/download"), "{help:?}");
}

#[test]
fn a_slash_always_means_a_command() {
    assert_eq!(command("/quit"), Command::Quit(LeaveWhen::Served));
    let limit = limited(true, Some(5_000_000));
    assert_eq!(command("limit up 5MB/s"), limit);
    let limit = limited(false, None);
    assert_eq!(command("limit down off"), limit);
    assert_eq!(command("limit"), Command::Limit { change: None });
    for line in ["/nonsense", "/", "/ quit", "/Quit", "//quit", "/usr/bin is full"] {
        assert_eq!(code(line), Code::UnknownCommand, "{line}");
    }
}

#[test]
fn a_sentence_that_begins_with_a_word_is_not_sent_but_explained() {
    for line in [
        "connect me if you can",
        "connect",
        "connect alice please",
        "leave me alone",
        "quit smoking",
        "members only",
        "transfers are slow",
        "unlock the door",
        "help me please",
        "wait for me",
        "wait",
        "send",
        "send \"\"",
        "download",
        "cancel",
        "name",
        "say",
    ] {
        let failure = parse(line).expect_err(line);
        assert_eq!(failure.code, Code::Usage, "{line}");
        let word = split_word(line).0;
        assert!(failure.text.contains(&format!("say {word} …")), "{}", failure.text);
        assert!(failure.text.contains(find(word, false).unwrap().form), "{}", failure.text);
    }
}

#[test]
fn connect_takes_every_form_of_an_address() {
    for (line, host, port) in [
        ("connect alice", "alice", 51_692),
        ("connect alice 5000", "alice", 5_000),
        ("connect alice:5000", "alice", 5_000),
        ("connect  192.168.1.5\t51692 ", "192.168.1.5", 51_692),
        ("connect [::1]:51692", "::1", 51_692),
        ("connect [::1] 5000", "::1", 5_000),
        ("connect ::1 51692", "::1", 51_692),
        ("connect ::1", "::1", 51_692),
        ("connect locked", "locked", 51_692),
    ] {
        assert_eq!(command(line), connect_to(host, port, LockWish::Unknown), "{line}");
        let locked = format!("{} locked", line.trim_end());
        assert_eq!(command(&locked), connect_to(host, port, LockWish::Locked), "{locked}");
    }
    for line in ["connect alice 0", "connect alice:0", "connect alice 65536", "connect http://a"] {
        assert_eq!(code(line), Code::BadAddress, "{line}");
    }
    assert_eq!(code("connect alice:1 2"), Code::Usage);
    assert_eq!(connect_argument("alice:1"), Ok(connect_to("alice", 1, LockWish::Unknown)));
    assert_eq!(connect_argument("::1"), Ok(connect_to("::1", 51_692, LockWish::Unknown)));
    assert_eq!(connect_argument("alice 1"), Ok(connect_to("alice", 1, LockWish::Unknown)));
    assert_eq!(connect_argument("connect alice 1"), connect_argument("alice:1"));
    for wrong in ["", "alice bob", "alice 1 2", "http://a"] {
        assert_eq!(connect_argument(wrong).unwrap_err().code, Code::BadAddress, "{wrong}");
    }
}

#[test]
fn quotes_around_the_whole_are_no_part_of_a_name() {
    // Which files are meant depends on which exist.
    let send = Command::Send { paths: vec!["'my file.txt' b".into()] };
    assert_eq!(command("send 'my file.txt' b "), send);
    assert_eq!(
        command("download \"a\""),
        Command::Download { wanted: "a".into(), paths: Vec::new(), patient: false, asks: false }
    );
    assert_eq!(command("cancel \"a"), Command::Cancel { wanted: "\"a".into() });
}

/// A script or a person may say anything else, now and later, and it stays a message.
#[test]
fn nineteen_words_are_commands_without_a_slash_and_there_will_be_no_more() {
    let words: Vec<_> = COMMANDS.iter().map(|command| command.word).collect();
    let frozen = "connect password unlock send download cancel files members transfers name say \
                  wait limit doctor verify browser leave quit help";
    assert_eq!(words.join(" "), frozen);
    for command in SLASH_COMMANDS {
        assert_eq!(said(command.word), command.word);
    }
    for command in COMMANDS.iter().chain(SLASH_COMMANDS) {
        assert!(command.form.starts_with(&format!("/{}", command.word)), "{}", command.form);
    }
}

#[test]
fn waiting_has_a_bound_that_only_stands_outside_quotes() {
    let wait = |line| match command(line) {
        Command::Wait { what, within_ms } => (what, within_ms),
        other => panic!("{line} gave {other:?}"),
    };
    assert_eq!(wait("wait 2"), (Wait::Time(2_000), 62_000));
    assert_eq!(wait("wait 0.25"), (Wait::Time(250), 60_250));
    assert_eq!(wait("wait members 2"), (Wait::Members(2), 60_000));
    assert_eq!(wait("wait members 2 within 1.5"), (Wait::Members(2), 1_500));
    assert_eq!(wait("wait downloads within 300"), (Wait::Downloads, 300_000));
    assert_eq!(wait("wait file a b.txt  within  3"), (Wait::File("a b.txt".into()), 3_000));
    assert_eq!(wait("wait message \"see you\" within 3"), (Wait::Message("see you".into()), 3_000));
    let quoted = Wait::Message("come within 5".into());
    assert_eq!(wait("wait message \"come within 5\""), (quoted.clone(), 60_000));
    assert_eq!(wait("wait message \"come within 5\" within 7"), (quoted, 7_000));
    let soon = Wait::Message("come within reach".into());
    assert_eq!(wait("wait message come within reach"), (soon, 60_000));
    for line in [
        "wait members",
        "wait members two",
        "wait members -1",
        "wait 2 members",
        "wait 1e3",
        "wait -1",
        "wait 1.",
        "wait 99999999999999999999",
        "wait downloads now",
        "wait message",
        "wait file \"\"",
        "wait message within 5",
        "wait members 2 within soon",
        "wait within 5",
    ] {
        assert_eq!(code(line), Code::Usage, "{line}");
    }
}

#[test]
fn a_command_that_does_not_exist_is_named_with_the_one_that_was_meant() {
    for (line, said) in [
        ("help nosuch", "there is no command \"nosuch\": /help alone shows them all"),
        ("help transfer", "there is no command \"transfer\" (did you mean /transfers?): "),
        ("/pasword", "there is no command \"/pasword\" (did you mean /password?): "),
        ("/remvoe eve", "there is no command \"/remvoe\" (did you mean /remove?): "),
        ("/kik eve", "there is no command \"/kik\" (did you mean /kick?): "),
        ("help stewart", "there is no command \"stewart\" (did you mean /steward?): "),
        ("/x", "there is no command \"/x\": /help shows them all"),
    ] {
        let failure = parse(line).unwrap_err();
        assert_eq!(failure.code, Code::UnknownCommand, "{line}");
        assert!(failure.text.starts_with(said), "{}", failure.text);
    }
}

#[test]
fn passwords_names_and_messages_are_held_to_their_rules() {
    let asks = false;
    assert_eq!(command("password"), Command::Password { password: None, asks });
    let nothing = Command::Password { password: Some(NewPassword::Nothing), asks };
    assert_eq!(command("password -"), nothing);
    assert_eq!(read_new_password("-"), Ok(NewPassword::Nothing));
    let long = NewPassword::Set(Password::new("correct horse").unwrap());
    assert_eq!(read_new_password("correct horse"), Ok(long.clone()));
    let long = Command::Password { password: Some(long), asks };
    assert_eq!(command("password correct horse"), long);
    assert_eq!(command("password \"correct horse\""), long);
    assert_eq!(code("password short"), Code::PasswordTooShort);
    assert_eq!(code("password \"\""), Code::PasswordTooShort);
    assert_eq!(command("name  Ana Maria "), Command::Name { name: "Ana Maria".into() });
    assert_eq!(code("name a:b"), Code::Usage);
    assert_eq!(code("name * ana"), Code::Usage);
    assert_eq!(said(&"x".repeat(MESSAGE_MAX_BYTES)).len(), MESSAGE_MAX_BYTES);
    assert_eq!(code(&"x".repeat(MESSAGE_MAX_BYTES + 1)), Code::MessageTooLong);
    assert_eq!(code(&format!("say {}", "x".repeat(9_000))), Code::MessageTooLong);
}

#[test]
fn control_characters_are_refused_wherever_they_stand() {
    for line in ["a\u{1b}[2J", "send a\u{0}b", "name a\u{7}", "/x\u{9b}", "a\u{2028}b", "a\rb"] {
        let failure = parse(line).expect_err(line);
        assert_eq!(failure.code, Code::Usage, "{line:?}");
        assert!(!failure.text.chars().any(is_control));
    }
}

#[test]
fn an_argument_in_the_wrong_place_is_not_repeated_as_it_may_be_a_password() {
    let failure = parse("unlock correct-horse").unwrap_err();
    assert!(!failure.text.contains("correct-horse"));
    let failure = parse("connect alice 51692 locked correct-horse").unwrap_err();
    assert!(!failure.text.contains("correct-horse"));
}

proptest::proptest! {
    #[test]
    fn no_line_makes_the_parser_panic_and_no_error_carries_a_control(
        word in "(/|connect |wait |send |password |say |/remove |/invite |klatch:|\\[::1\\]:)?",
        rest in ".{0,40}",
    ) {
        match parse(&format!("{word}{rest}")) {
            Err(failure) => assert!(!failure.text.chars().any(is_control)),
            Ok(Input::Command(Command::Say { text })) => check_message(&text).unwrap(),
            Ok(_) => {}
        }
    }
}

/// The words that `text` marks as commands: after a backtick and a `/`.
fn commands_in(text: &str) -> Vec<&str> {
    let words = text.split("`/").skip(1);
    let words = words.filter_map(|word| word.split(|c: char| !c.is_ascii_lowercase()).next());
    words.filter(|word| !word.is_empty()).collect()
}

#[test]
fn the_documents_name_every_command_and_no_other() {
    let all = include_str!("../../docs/commands.md");
    let documents = [
        all,
        include_str!("../../README.md"),
        include_str!("../../docs/rooms.md"),
        include_str!("../../docs/files.md"),
        include_str!("../../docs/browser.md"),
    ];
    for word in documents.iter().flat_map(|text| commands_in(text)) {
        // `/pasword` is the example of a wrong one.
        assert!(is_command(word, true) || word == "pasword", "/{word} is no command");
    }
    let named = commands_in(all);
    for CommandHelp { word, .. } in COMMANDS.iter().chain(SLASH_COMMANDS) {
        assert!(named.contains(word), "docs/commands.md does not name /{word}");
    }
    for (alias, _) in ALIASES {
        assert!(named.contains(alias), "docs/commands.md does not name /{alias}");
    }
}
