//! Wrong passwords, and tokens that are no longer good.

use std::time::Duration;

use depot_proto::admin::DisableAccountRequest;
use depot_proto::auth::{
    ChangePasswordRequest, Credentials, LoginRequest, RefreshRequest, RevokeSessionRequest,
    WhoAmIRequest, revoke_session_request,
};
use depot_proto::changes::WatchRequest;
use depot_tests::caller::{Caller, Refused, bearer};
use depot_tests::wait::until_true;
use depot_tests::world::World;
use tonic::{Code, Status};
use tonic_types::StatusExt;

const BAD: (Code, &str) = (Code::Unauthenticated, "UNAUTHENTICATED");
const HOUR: Duration = Duration::from_secs(3600);

/// All of an answer but what differs between any two calls.
fn bytes_of(status: &Status) -> (Code, String, Vec<u8>, Vec<String>) {
    let info = status.get_details_error_info().expect("a reason");
    let id = info.metadata.get("request_id").expect("the call's id").as_bytes();
    let mut details = status.details().to_vec();
    let place = details.windows(id.len()).position(|window| window == id).expect("the id");
    details[place..place + id.len()].fill(b'x');
    let headers = status.metadata().keys().map(|key| format!("{key:?}")).collect();
    (status.code(), status.message().to_owned(), details, headers)
}

#[tokio::test]
async fn nobody_learns_from_a_login_which_accounts_there_are() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.adds("bob");
    let disable = DisableAccountRequest { name: "bob".to_owned() };
    ann.calls().await.admin().disable_account(disable).await.expect("an administrator may");
    let stranger = world.caller().await;
    let wrong = stranger.login("ann", "wrong").await.expect_err("a wrong password");
    assert_eq!(Refused::of::<()>(Err(wrong.clone())).kind(), BAD);
    let long = "x".repeat(5_000);
    for (account, password) in [
        ("nobody", "wrong"),
        ("", ""),
        ("no name \u{1b}", "wrong"),
        ("bob", "secret of bob"),
        ("ann", ""),
        ("ann", &long),
        (&long, "wrong"),
    ] {
        let status = stranger.login(account, password).await.expect_err("no such login");
        assert_eq!(bytes_of(&status), bytes_of(&wrong), "{account:.20} {password:.20}");
    }
}

#[tokio::test]
async fn the_log_says_who_came_in_and_who_did_not() {
    let world = World::start();
    world.admin("ann").logs_in();
    let stranger = world.caller().await;
    for name in ["ann", "no\n name"] {
        stranger.login(name, "wrong").await.expect_err("a wrong password");
    }
    let logged = |words: &[&str]| {
        let (_, log) = world.program().printed();
        log.lines().any(|line| words.iter().all(|word| line.contains(word)))
    };
    let peer = r#""peer":"127.0.0.1:"#;
    for words in [
        ["the first administrator was made", r#""account":"ann""#],
        ["logged in", r#""account":"ann""#],
        ["a login was refused", r#"ann"#],
        ["a login was refused", r#"no\\n name"#],
    ] {
        until_true("a line of the log", || logged(&[words[0], words[1], peer]));
    }
    let (_, log) = world.program().printed();
    assert!(!log.contains("secret of ann") && !log.contains("wrong\""), "{log}");
}

#[tokio::test]
async fn guesses_are_counted_for_everybody_and_lock_nobody_out() {
    let world = World::limited(|limits| limits.guesses_max = 3);
    let ann = world.admin("ann");
    let calls = ann.calls().await;
    let stranger = world.caller().await;
    for account in ["ann", "nobody"] {
        for _ in 0..3 {
            assert_eq!(Refused::of(stranger.login(account, "wrong").await).kind(), BAD);
        }
        let status = stranger.login(account, &ann.password()).await.expect_err("one too many");
        assert!(status.get_details_retry_info().is_some(), "when to try again");
        let refused = Refused::of::<()>(Err(status)).saying("try again in 6");
        assert_eq!(refused.kind(), (Code::Unavailable, "RATE_LIMITED"));
    }
    calls.auth().who_am_i(WhoAmIRequest {}).await.expect("the owner's login goes on");
    let refused = ann.refused(ann.meets("login"));
    assert_eq!(refused.kind(), (8, "RATE_LIMITED"), "{refused:?}");
    world.pass(Duration::from_secs(601));
    ann.logs_in();
    // Right ones cost nothing.
    (0..5).for_each(|_| ann.logs_in());
}

#[tokio::test]
async fn a_token_that_has_expired_is_renewed_without_a_word_until_the_login_ends() {
    let world = World::limited(|_| {});
    let ann = world.admin("ann");
    let calls = ann.calls().await;
    world.pass(12 * HOUR);
    assert_eq!(Refused::of(calls.auth().who_am_i(WhoAmIRequest {}).await).kind(), BAD);
    let run = ann.runs(["whoami"]).succeeded();
    assert_eq!((run.text(), run.stderr.as_str()), ("ann\n", ""));
    // Every use makes it last longer …
    for _ in 0..3 {
        world.pass(29 * 24 * HOUR);
        ann.does(["whoami"]);
    }
    // … and without use it ends.
    world.pass(30 * 24 * HOUR);
    let refused = ann.refused(["whoami"]);
    assert_eq!(refused.exit, 5, "{refused:?}");
    assert!(refused.message.contains("depot login --server"), "{refused:?}");
}

async fn is_good(caller: &Caller, login: &Credentials) -> bool {
    caller.with(bearer(&login.token)).auth().who_am_i(WhoAmIRequest {}).await.is_ok()
}

#[tokio::test]
async fn a_refresh_token_that_is_used_twice_ends_its_login() {
    let world = World::start();
    let ann = world.admin("ann");
    let stranger = world.caller().await;
    let refresh = async |old: &Credentials| {
        let refresh_token = old.refresh_token.clone();
        let answer = stranger.auth().refresh(RefreshRequest { refresh_token }).await?;
        answer.into_inner().credentials.ok_or_else(|| Status::internal("no credentials"))
    };
    let first = stranger.login("ann", &ann.password()).await.expect("a login");
    // An answer that was lost is asked for again.
    refresh(&first).await.expect("a new pair");
    let second = refresh(&first).await.expect("a new pair");
    assert!(is_good(&stranger, &second).await);
    let refused = Refused::of(refresh(&first).await).saying("log in again");
    assert_eq!(refused.kind(), BAD);
    assert!(!is_good(&stranger, &second).await, "whoever has it is out");
    assert_eq!(Refused::of(refresh(&second).await).kind(), BAD);
    for token in ["", "garbage", &second.token] {
        let refresh_token = token.to_owned();
        let refused = stranger.auth().refresh(RefreshRequest { refresh_token }).await;
        assert_eq!(Refused::of(refused).kind(), BAD);
    }
}

#[tokio::test]
async fn a_revoked_login_is_out_at_once_and_its_watch_soon() {
    let world = World::start();
    let ann = world.admin("ann");
    let stranger = world.caller().await;
    let [one, two] = [&ann, &ann].map(|user| {
        let (stranger, password) = (stranger.clone(), user.password());
        async move { stranger.login("ann", &password).await.expect("a login") }
    });
    let (one, two) = (one.await, two.await);
    let caller = stranger.with(bearer(&one.token));
    let watch = stranger.with(bearer(&two.token));
    let mut watch = watch.changes().watch(WatchRequest::default()).await.expect("it").into_inner();
    watch.message().await.expect("a first answer").expect("an answer");

    let target = revoke_session_request::Target::Id(two.session_id.clone());
    let revoke = RevokeSessionRequest { target: Some(target) };
    let revoked = caller.auth().revoke_session(revoke.clone()).await.expect("it").into_inner();
    assert_eq!(revoked.revoked, 1);
    assert!(!is_good(&stranger, &two).await && is_good(&stranger, &one).await);
    let ended = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            if let Err(status) = watch.message().await {
                return status;
            }
        }
    });
    let ended = ended.await.expect("it ends");
    assert_eq!(Refused::of::<()>(Err(ended)).kind(), BAD);

    let (old_password, new_password) = (ann.password(), "another".to_owned());
    let wrong =
        ChangePasswordRequest { old_password: "x".to_owned(), new_password: "y".to_owned() };
    let refused = Refused::of(caller.auth().change_password(wrong).await).saying("old password");
    assert_eq!(refused.kind(), BAD);
    let change = ChangePasswordRequest { old_password, new_password };
    let changed = caller.auth().change_password(change).await.expect("it").into_inner();
    assert_eq!(changed.revoked, 1, "that of the command line");
    assert!(is_good(&stranger, &one).await, "but not the one that asked");
    assert_eq!(ann.refused(["whoami"]).exit, 5);
    assert_eq!(Refused::of(stranger.login("ann", &ann.password()).await).kind(), BAD);
}

#[tokio::test]
async fn a_set_up_code_makes_one_administrator_and_wrong_ones_make_none() {
    let world = World::limited(|limits| limits.guesses_max = 3);
    let eve = world.stranger("eve");
    let set_up = |code: &str| {
        let code = ["--code".to_owned(), code.to_owned()];
        eve.refused(eve.meets("setup").into_iter().chain(code))
    };
    for _ in 0..3 {
        let refused = set_up("AAAA-AAAA-AAAA-AAAA");
        assert_eq!(refused.kind(), (5, "UNAUTHENTICATED"));
        assert!(refused.message.contains("setup-code"), "{refused:?}");
    }
    assert_eq!(set_up("AAAA-AAAA-AAAA-AAAA").kind(), (8, "RATE_LIMITED"));
    let login = LoginRequest { account: "eve".to_owned(), ..LoginRequest::default() };
    assert_eq!(Refused::of(world.caller().await.auth().login(login).await).kind(), BAD);
    world.pass(Duration::from_secs(601));
    let code = std::fs::read_to_string(world.data().join("setup-code")).expect("a code");
    world.admin("ann");
    assert!(!world.data().join("setup-code").exists(), "it is spent");
    let refused = set_up(code.trim());
    assert_eq!(refused.kind(), (6, "FAILED_PRECONDITION"), "{refused:?}");
    assert!(refused.message.contains("administrator exists"), "{refused:?}");
}
