//! Data on stdout, all else on stderr; nothing that a terminal could obey; flags before or after the verb.

use depot_tests::process::Run;
use depot_tests::terminal::Terminal;
use depot_tests::world::World;

#[test]
fn data_is_on_stdout_and_all_else_on_stderr() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.file("f", "1234");
    let silent = |run: Run| {
        assert_eq!((run.exit, run.text(), run.stderr.as_str()), (0, "", ""), "{run:?}");
    };
    let noted = |run: Run| {
        assert_eq!((run.exit, run.text()), (0, ""), "{run:?}");
        assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
    };
    noted(ann.runs(ann.meets("login")));
    noted(ann.runs(["put", "f", "/f"]));
    noted(ann.runs(["get", "/f", "g"]));
    silent(ann.runs(["put", "-q", "f", "/f"]));
    for arguments in
        [&["mkdir", "/d"][..], &["cp", "/f", "/g"], &["mv", "/g", "/d/"], &["rm", "/d/g"]]
    {
        silent(ann.runs(arguments));
    }
    let said = |run: Run, wanted: &str| {
        assert_eq!((run.exit, run.text(), run.stderr.as_str()), (0, wanted, ""), "{run:?}");
    };
    said(ann.runs(["cat", "/f"]), "1234");
    said(ann.runs(["get", "/f", "-"]), "1234");
    said(ann.runs(["ls"]), "d\nf\n");
    said(ann.runs(["whoami"]), "ann\n");
    said(ann.runs(["inbox"]), "");
    let sent = ann.runs(["send", "ann", "-s", "", "-m", "x"]).succeeded();
    let id: uuid::Uuid = sent.text().trim_end().parse().expect("the message's id and no more");
    assert_eq!(ann.one(["inbox"])["id"], id.to_string().as_str());
    noted(ann.runs(["ack", "last"]));
    noted(ann.runs(["fetch"]));
    silent(ann.runs(["fetch", "-q"]));
}

#[test]
fn global_flags_stand_before_or_after_the_verb() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.puts("/f", "1");
    let after = ann.does(["ls", "/", "--json"]);
    assert_eq!(ann.does(["--json", "ls", "/"]), after);
    let errors = [["--json", "stat", "/x"], ["stat", "--json", "/x"], ["stat", "/x", "--json"]];
    for arguments in errors {
        let run = ann.runs(arguments);
        assert_eq!((run.exit, run.text()), (3, ""), "{run:?}");
        assert!(run.stderr.starts_with(r#"{"error":{"reason":"NOT_FOUND","#), "{run:?}");
        assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
    }
}

#[test]
fn help_and_version_are_data() {
    let world = World::start();
    let ann = world.stranger("ann");
    let verbs = [
        "login",
        "logout",
        "whoami",
        "passwd",
        "sessions",
        "setup",
        "admin",
        "put",
        "get",
        "verify",
        "ls",
        "cat",
        "stat",
        "find",
        "du",
        "quota",
        "mkdir",
        "mv",
        "cp",
        "rm",
        "versions",
        "restore",
        "trash",
        "undo",
        "share",
        "unshare",
        "shares",
        "link",
        "links",
        "unlink",
        "group",
        "send",
        "fetch",
        "inbox",
        "read",
        "save",
        "ack",
        "reply",
        "watch",
        "completions",
    ];
    let help = ann.does(["--help"]);
    for verb in verbs {
        assert!(help.contains(&format!("  {verb} ")), "{verb} in {help}");
        assert!(ann.does([verb, "--help"]).contains("Usage:"), "{verb}");
    }
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = listed.take_while(|line| line.starts_with("  ") && !line.starts_with("  help "));
    assert_eq!(listed.count(), verbs.len(), "no more than these: {help}");
    assert!(ann.does(["--version"]).starts_with("depot "));
    assert!(ann.does(["completions", "bash"]).contains("complete"));
    assert!(!ann.path("state").exists(), "nothing was remembered");
}

/// Remote text that turns a terminal red, in every place that a person chooses.
const RED: &str = "\u{1b}[31mred\u{7}";

#[test]
fn no_remote_text_reaches_a_terminal_or_a_pipe_unescaped() {
    let world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds("bob");
    let red = format!("{RED}\u{9b}31m\u{202e}");
    ann.does(["send", "bob", "-s", &red, "-m", &red]);
    for arguments in [&["inbox"][..], &["read", "--peek", "1"], &["fetch", "--peek"]] {
        for flags in [&[][..], &["--json"]] {
            let shown = bob.does(arguments.iter().chain(flags));
            assert!(shown.contains("red"), "{shown:?}");
            let bad = shown.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
            assert_eq!(bad, None, "{arguments:?} {flags:?}: {shown:?}");
        }
    }
    // What was sent is what comes back; it is only shown otherwise.
    assert_eq!(bob.one(["inbox"])["subject"], red.as_str());
    for arguments in [&["stat", "/red\u{1b}[31m"][..], &["stat", "--json", "/red\u{1b}[31m"]] {
        let run = bob.runs(arguments);
        assert!(run.stderr.contains("red") && !run.stderr.contains('\u{1b}'), "{run:?}");
    }

    // A file's bytes are the file's, except on a terminal.
    ann.puts("/f", RED);
    assert_eq!(ann.cats("/f"), RED.as_bytes());
    let mut terminal = Terminal::open("sh -i", |command| {
        let depot = ann.command([""; 0]);
        let set = depot.get_envs().filter_map(|(name, value)| Some((name, value?)));
        command.env_clear().envs(set).env("TERM", "dumb").current_dir(ann.path(""));
        command.env("DEPOT", depot.get_program());
    });
    terminal.types("$DEPOT cat /f; echo en''ded");
    let shown = terminal.sees("ended");
    assert!(shown.contains("red") && !shown.contains(RED), "{shown:?}");
    // A word on a terminal may be colored, and is not where nobody wants it.
    terminal.types("$DEPOT stat /x; echo en''ded");
    assert!(terminal.sees("ended").contains("\u{1b}["), "an error is red");
    terminal.types("NO_COLOR=1 $DEPOT stat /x; $DEPOT --no-color stat /x; echo en''ded");
    let shown = terminal.sees("ended");
    assert!(shown.contains("not found") && !shown.contains("\u{1b}[1;31m"), "{shown:?}");
}
