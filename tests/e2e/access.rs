//! Who may call what: every call of every proto, walked from the descriptors, so that a new one is tried
//! the day it is written.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use depot_proto::DESCRIPTORS;
use depot_proto::admin::{DisableAccountRequest, ListAccountsRequest};
use depot_proto::auth::LogoutRequest;
use depot_tests::caller::{Caller, Refused, bearer};
use depot_tests::world::World;
use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::Code;
use tonic::metadata::{Ascii, MetadataValue};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

/// What a stranger may call; nothing else of ours.
const PUBLIC: [&str; 5] = [
    "auth.v1.AuthService/ServerInfo",
    "auth.v1.AuthService/Setup",
    "auth.v1.AuthService/Login",
    "auth.v1.AuthService/Refresh",
    "files.v1.SharingService/OpenLink",
];

/// What most of our protos import.
const TIMESTAMP: &str = "google/protobuf/timestamp.proto";

const HOURS: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn no_call_runs_without_a_good_token() {
    let world = World::limited(|_| {});
    let ann = world.admin("ann");
    let bob = ann.adds("bob");
    let stranger = world.caller().await;
    let login = async |name: &str| {
        let password = format!("secret of {name}");
        stranger.login(name, &password).await.expect("a login")
    };
    let (revoked, expired, disabled) = (login("ann").await, login("ann").await, login("bob").await);
    let revoking = stranger.with(bearer(&revoked.token));
    revoking.auth().logout(LogoutRequest {}).await.expect("a logout");
    let admin = ann.calls().await;
    let disable = DisableAccountRequest { name: bob.name().to_owned() };
    admin.admin().disable_account(disable).await.expect("an administrator may");
    world.pass(13 * HOURS);
    let good = login("ann").await;

    let mut bad = vec![
        ("no token", None),
        ("garbage", Some(bearer("garbage"))),
        ("nothing after the scheme", Some(bearer(""))),
        ("a revoked token", Some(bearer(&revoked.token))),
        ("an expired token", Some(bearer(&expired.token))),
        ("a disabled account's token", Some(bearer(&disabled.token))),
        ("a refresh token", Some(bearer(&good.refresh_token))),
        ("a token with another end", Some(bearer(&forged(&good.token)))),
    ];
    let basic = format!("Basic {}", good.token).parse().expect("ASCII");
    bad.push(("another scheme", Some(basic)));
    let mut tried = 0;
    for path in calls().iter().filter(|path| !is_public(path)) {
        for (what, authorization) in &bad {
            let refused = Refused::of(called(&stranger, authorization, path).await);
            let wanted = (Code::Unauthenticated, "UNAUTHENTICATED");
            assert_eq!(refused.kind(), wanted, "{path} with {what}: {refused:?}");
            tried += 1;
        }
        // The walk is about tokens: a good one is let in, whatever the call says to an empty request.
        let good = Some(bearer(&login("ann").await.token));
        if let Err(status) = called(&stranger, &good, path).await {
            let own = path.ends_with("/ChangePassword") && status.message().contains("password");
            assert!(own || status.code() != Code::Unauthenticated, "{path}: {status:?}");
        }
    }
    assert!(tried > 250, "only {tried} calls");
}

#[tokio::test]
async fn only_administrators_manage_accounts() {
    let world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds("bob").calls().await;
    let ann = ann.calls().await;
    let before = accounts(&ann).await;
    let managing = calls().into_iter().filter(|path| path.contains(".admin."));
    let mut tried = 0;
    for path in managing {
        let refused = Refused::of(called(&bob, &None, &path).await);
        assert_eq!(refused.kind(), (Code::PermissionDenied, "PERMISSION_DENIED"), "{path}");
        assert!(refused.message.contains("administrators"), "{refused:?}");
        if let Err(status) = called(&ann, &None, &path).await {
            assert_ne!(status.code(), Code::PermissionDenied, "{path}");
        }
        tried += 1;
    }
    assert!(tried >= 6, "only {tried} calls");
    assert_eq!(accounts(&ann).await, before);
}

#[tokio::test]
async fn what_has_no_rule_does_not_run() {
    let world = World::start();
    let ann = world.admin("ann").calls().await;
    for path in ["/depot.files.v1.FilesService/Format", "/x.Y/Z", "/", "/depot.auth.v1.AuthService"]
    {
        let refused = Refused::of(called(&ann, &None, path).await);
        assert_eq!(refused.code, Code::Unimplemented, "{path}: {refused:?}");
    }
}

#[tokio::test]
async fn a_stranger_may_ask_what_there_is_and_whether_it_works() {
    let world = World::start();
    let stranger = world.caller().await;
    let asked = HealthCheckRequest { service: String::new() };
    let answer = stranger.first_answer("/grpc.health.v1.Health/Check", [encoded(&asked)]).await;
    let answer = answer.expect("health is public").expect("an answer");
    let health = HealthCheckResponse::decode(answer).expect("a HealthCheckResponse");
    assert_eq!(health.status().as_str_name(), "SERVING");

    for version in ["v1", "v1alpha"] {
        let reflection = Reflection { stranger: &stranger, version };
        let mut listed = match reflection.ask(MessageRequest::ListServices(String::new())).await {
            MessageResponse::ListServicesResponse(list) => {
                list.service.into_iter().map(|service| service.name).collect::<BTreeSet<_>>()
            }
            other => panic!("{other:?}"),
        };
        let mut imported = false;
        for service in services() {
            assert!(listed.remove(&service), "{service} is not listed by {version}");
            imported |= reflection.imports(&service).await.contains(TIMESTAMP);
        }
        assert!(imported, "what the protos import is there, too");
        assert!(listed.remove("grpc.health.v1.Health"));
        listed.retain(|name| !name.starts_with("grpc.reflection."));
        assert!(listed.is_empty(), "what are {listed:?}?");
    }
}

struct Reflection<'a> {
    stranger: &'a Caller,
    version: &'static str,
}

impl Reflection<'_> {
    /// One question; both versions have the same messages.
    async fn ask(&self, asked: MessageRequest) -> MessageResponse {
        let path =
            format!("/grpc.reflection.{}.ServerReflection/ServerReflectionInfo", self.version);
        let asked = ServerReflectionRequest { host: String::new(), message_request: Some(asked) };
        let answer = self.stranger.first_answer(&path, [encoded(&asked)]).await;
        let answer = answer.expect("reflection is public").expect("an answer");
        let answer = ServerReflectionResponse::decode(answer).expect("a ServerReflectionResponse");
        answer.message_response.expect("an answer")
    }

    async fn file(&self, asked: MessageRequest) -> Vec<prost_types::FileDescriptorProto> {
        match self.ask(asked).await {
            MessageResponse::FileDescriptorResponse(files) => {
                let files =
                    files.file_descriptor_proto.iter().map(|file| Message::decode(&file[..]));
                files.collect::<Result<_, _>>().expect("descriptors")
            }
            other => panic!("{other:?}"),
        }
    }

    /// The files of all that a service needs, as a client that knows nothing learns them.
    async fn imports(&self, service: &str) -> BTreeSet<String> {
        let asked = MessageRequest::FileContainingSymbol(service.to_owned());
        let mut waiting = self.file(asked).await;
        let mut known = BTreeSet::new();
        while let Some(file) = waiting.pop() {
            for import in &file.dependency {
                if !known.contains(import) {
                    waiting.extend(self.file(MessageRequest::FileByFilename(import.clone())).await);
                }
            }
            known.insert(file.name().to_owned());
        }
        known
    }
}

async fn accounts(admin: &Caller) -> Vec<String> {
    let listed = admin.admin().list_accounts(ListAccountsRequest::default()).await;
    let accounts = listed.expect("a list").into_inner().accounts;
    accounts.iter().map(|account| format!("{account:?}")).collect()
}

/// Makes a call with an empty request.
async fn called(
    caller: &Caller,
    authorization: &Option<MetadataValue<Ascii>>,
    path: &str,
) -> Result<Option<Bytes>, tonic::Status> {
    let caller = match authorization {
        Some(value) => caller.with(value.clone()),
        None => caller.clone(),
    };
    caller.first_answer(path, [Bytes::new()]).await
}

fn encoded(message: &impl Message) -> Bytes {
    message.encode_to_vec().into()
}

/// The paths of all calls.
fn calls() -> Vec<String> {
    let set = FileDescriptorSet::decode(DESCRIPTORS).expect("descriptors");
    let mut paths = Vec::new();
    for file in &set.file {
        for service in &file.service {
            let methods = service.method.iter();
            paths.extend(
                methods.map(|method| {
                    format!("/{}.{}/{}", file.package(), service.name(), method.name())
                }),
            );
        }
    }
    assert!(paths.len() > 30, "{paths:?}");
    paths
}

fn services() -> BTreeSet<String> {
    let service = |path: String| path.split('/').nth(1).unwrap_or_default().to_owned();
    calls().into_iter().map(service).collect()
}

fn is_public(path: &str) -> bool {
    PUBLIC.iter().any(|name| path == format!("/depot.{name}"))
}

/// The same but for its last letter.
fn forged(token: &str) -> String {
    let (rest, last) = token.split_at(token.len() - 1);
    format!("{rest}{}", if last == "A" { "B" } else { "A" })
}
