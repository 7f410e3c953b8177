//! What the command line says, and what follows from it.

use std::time::Duration;

use super::*;

fn typed(line: &str) -> Result<Options, clap::Error> {
    let words = std::iter::once("klatch").chain(line.split_whitespace());
    Options::parse_args(words.map(OsString::from))
}

fn settings(line: &str, env: &[(&str, &str)]) -> Settings {
    let env = |wanted: &str| {
        env.iter().find(|(name, _)| *name == wanted).map(|(_, value)| OsString::from(value))
    };
    let home = Path::new("/home/ana/.local/share");
    typed(line).unwrap().resolve_with(&Saved::default(), env, Some(home)).unwrap()
}

#[test]
fn without_options_two_people_can_start_at_once() {
    let settings = settings("", &[("USER", "ana")]);
    assert_eq!(settings.name, "ana");
    assert_eq!(settings.listen, ListenAt { addr: None, port: 51_692, explicit: false });
    assert_eq!(settings.bridge.addr, Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    assert_eq!((settings.bridge.port, settings.bridge.explicit), (8_765, false));
    let kept = DataDir { path: "/home/ana/.local/share/klatch".into(), chosen: false };
    assert_eq!(settings.share_dir, Some(kept.path.join("shared")));
    assert_eq!(settings.data_dir, Some(kept));
    assert_eq!(settings.downloads, std::env::current_dir().unwrap());
    assert_eq!((settings.max_peers, settings.open_browser), (128, true));
    assert_eq!(settings.ui, None);
}

#[test]
fn every_option_of_the_contract_is_read() {
    let all = typed(
        "--ui browser -n bob -l [::1]:5000 -c alice.example -c 10.0.0.1:9 --bridge 8080 \
         -d down --data-dir data --ephemeral --json --no-open --stay --lock \
         --password-file secret -v",
    );
    let all = all.unwrap();
    assert_eq!(all.ui, Some(UiChoice::Browser));
    let six = Some(IpAddr::V6(std::net::Ipv6Addr::LOCALHOST));
    assert_eq!(all.listen, Some(ListenAt { addr: six, port: 5_000, explicit: true }));
    assert_eq!(all.connect, ["alice.example", "10.0.0.1:9"]);
    let four = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    assert_eq!(all.bridge, Some(ListenAt { addr: four, port: 8_080, explicit: true }));
    assert!(all.ephemeral && all.json && all.no_open && all.stay && all.lock && all.verbose);
    assert_eq!(typed("--listen 0").unwrap().listen.unwrap().port, 0);
}

#[test]
fn the_page_is_served_to_this_computer_only() {
    for place in ["8080", "127.0.0.1:0", "127.8.0.1:9", "[::1]:0"] {
        let bridge = typed(&format!("--bridge {place}")).unwrap().bridge.unwrap();
        assert!(bridge.addr.unwrap().is_loopback(), "{place}");
    }
    for place in ["0.0.0.0:8765", "192.168.1.5:8765", "[::]:0", "[fe80::1]:0"] {
        let refused = typed(&format!("--bridge {place}")).unwrap_err().to_string();
        assert!(refused.contains("for this computer only"), "{place}: {refused}");
    }
}

#[test]
fn where_to_begin_is_an_invitation_an_address_or_the_line_that_others_type() {
    for (line, places) in [
        ("alice.example:9", &["alice.example:9"][..]),
        ("192.168.1.5 51692", &["192.168.1.5 51692"]),
        ("connect 192.168.1.5 51692", &["connect 192.168.1.5 51692"]),
        ("--name ben klatch:abc -c bob", &["klatch:abc", "bob"]),
        ("-c bob -c klatch:abc", &["bob", "klatch:abc"]),
        ("", &[]),
    ] {
        assert_eq!(settings(line, &[]).connect, places, "{line}");
    }
}

#[test]
fn wrong_usage_ends_with_2_and_help_with_0() {
    for wrong in [
        "--ui page",
        "--name a:b",
        "--listen localhost:5000",
        "--listen +5000",
        "--listen 65536",
        "--listen ::1:5000",
        "--listen 127.0.0.1",
        "--send file",
        "--get file",
        "--share-dir dir",
        "--max-peers 9",
        "send",
        "send file --until 0",
        "send file --within soon",
        "say",
        "say hello --within 0s",
        "get file --nonsense",
        "--nonsense",
        "a b c d",
        "--ui",
    ] {
        let error = typed(wrong).expect_err(wrong);
        assert_eq!(error.exit_code(), 2, "{wrong}");
    }
    for right in ["--help", "-h", "--version"] {
        assert_eq!(typed(right).expect_err(right).exit_code(), 0, "{right}");
    }
}

#[test]
fn the_option_outranks_the_environment_and_ephemeral_both() {
    let env = [(DATA_DIR_VARIABLE, "/env"), ("LOGNAME", "bob")];
    let from_env = settings("", &env);
    assert_eq!(from_env.name, "bob");
    assert_eq!(from_env.data_dir, Some(DataDir { path: "/env".into(), chosen: true }));
    let from_option = settings("--data-dir /option", &env).data_dir;
    assert_eq!(from_option, Some(DataDir { path: "/option".into(), chosen: true }));
    let none = settings("--ephemeral", &env);
    assert_eq!((none.data_dir, none.share_dir), (None, None));
    assert!(!settings("", &[(DATA_DIR_VARIABLE, "")]).data_dir.unwrap().chosen);
}

#[test]
fn what_is_remembered_holds_unless_an_option_says_otherwise() {
    let saved = Saved {
        name: Some("grace".into()),
        downloads: Some("/down".into()),
        max_peers: Some(7),
        ..Saved::default()
    };
    let resolved = |line: &str| {
        let home = Some(Path::new("/home"));
        typed(line).unwrap().resolve_with(&saved, |_| None, home).unwrap()
    };
    let plain = resolved("");
    assert_eq!((plain.name.as_str(), plain.max_peers), ("grace", 7));
    assert_eq!(plain.downloads, Path::new("/down"));
    let typed = resolved("--name ana --downloads /other");
    assert_eq!(typed.name, "ana");
    assert_eq!(typed.downloads, Path::new("/other"));
}

#[test]
fn options_stand_before_or_after_what_is_to_be_done() {
    for line in [
        "--name bob -c alice send a b --until 3 --within 10m",
        "send a b --until 3 --within 600 --to alice --name bob",
        "send --to alice --until 3 a b --name bob --within 600s",
    ] {
        let settings = settings(line, &[]);
        assert_eq!((settings.name.as_str(), settings.ui), ("bob", Some(UiChoice::Terminal)));
        assert_eq!(settings.connect, ["alice"], "{line}");
        let paths = vec!["a".into(), "b".into()];
        let task = Task::Send { paths, name: None, until: Some(3) };
        let within = Some(Duration::from_secs(600));
        assert_eq!(settings.one_shot, Some(OneShot { task, within }), "{line}");
    }
    assert_eq!(settings("", &[]).one_shot, None);
}

#[test]
fn get_takes_an_invitation_and_what_follows_are_names() {
    let names = |line: &str| match settings(line, &[]) {
        Settings {
            connect, one_shot: Some(OneShot { task: Task::Get { names, .. }, .. }), ..
        } => (connect, names),
        other => panic!("{line}: {other:?}"),
    };
    let invited = || vec!["klatch:abc".to_owned()];
    assert_eq!(names("get klatch:abc"), (invited(), vec![]));
    assert_eq!(names("get klatch klatch:abc *.tar"), (invited(), vec!["*.tar".into()]));
    assert_eq!(names("get --from bob a.tar"), (vec!["bob".into()], vec!["a.tar".into()]));
    let text = settings("get 10.0.0.1", &[]).check_place().unwrap_err().text;
    assert!(text.contains("klatch get --from 10.0.0.1"), "{text}");
    assert!(settings("say hello", &[]).check_place().unwrap_err().text.contains("--to"));
    assert!(settings("send a b --as c", &[]).check().is_err());
    assert!(settings("--lock 10.0.0.1", &[]).check().is_err());
    assert!(settings("get klatch:abc --output - --json", &[]).check().is_err());
    assert!(settings("send a", &[]).check().is_ok());
    assert!(settings("send a", &[]).check_place().is_ok());
}

#[test]
fn without_a_home_klatch_says_what_to_do() {
    let failure = typed("").unwrap().resolve_with(&Saved::default(), |_| None, None).unwrap_err();
    assert_eq!(failure.code, Code::DataDirNotWritable);
    assert!(failure.text.contains("--data-dir") && failure.text.contains("--ephemeral"));
    let ephemeral = typed("--ephemeral").unwrap();
    assert!(ephemeral.resolve_with(&Saved::default(), |_| None, None).is_ok());
}

#[test]
fn any_login_name_becomes_a_valid_nickname() {
    for (login, name) in [
        ("ana", "ana"),
        ("* /ana", "ana"),
        ("a:na\u{202e}\u{1b}", "ana"),
        ("", "guest"),
        ("::", "guest"),
    ] {
        assert_eq!(name_from_login(Some(login.into())), name);
    }
    let long = name_from_login(Some("x".repeat(99).into()));
    assert_eq!(long.len(), NAME_MAX_CHARS);
    assert_eq!(name_from_login(None), "guest");
}
