//! Who may make which call. One that is not in this table does not run; a test walks the descriptors and
//! finds every call here.

/// Who may make a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody who can connect.
    Public,
    /// Whoever brings a good token.
    Account,
    /// The same, and whoever has opened a link: as far as that leads.
    Visitor,
    /// An administrator.
    Admin,
}

/// How long a call may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// It has a deadline, body included.
    Unary,
    /// It goes on while something moves.
    Stream,
}

use Access::{Account, Admin, Public, Visitor};
use Shape::{Stream, Unary};

const RULES: &[(&str, Access, Shape)] = &[
    ("/depot.auth.v1.AuthService/ServerInfo", Public, Unary),
    ("/depot.auth.v1.AuthService/Setup", Public, Unary),
    ("/depot.auth.v1.AuthService/Login", Public, Unary),
    ("/depot.auth.v1.AuthService/Refresh", Public, Unary),
    ("/depot.auth.v1.AuthService/Logout", Account, Unary),
    ("/depot.auth.v1.AuthService/WhoAmI", Account, Unary),
    ("/depot.auth.v1.AuthService/ListSessions", Account, Unary),
    ("/depot.auth.v1.AuthService/RevokeSession", Account, Unary),
    ("/depot.auth.v1.AuthService/ChangePassword", Account, Unary),
    ("/depot.auth.v1.GroupsService/CreateGroup", Account, Unary),
    ("/depot.auth.v1.GroupsService/ListGroups", Account, Unary),
    ("/depot.auth.v1.GroupsService/ListMembers", Account, Unary),
    ("/depot.auth.v1.GroupsService/UpdateMembers", Account, Unary),
    ("/depot.auth.v1.GroupsService/RemoveGroup", Account, Unary),
    ("/depot.admin.v1.AdminService/CreateAccount", Admin, Unary),
    ("/depot.admin.v1.AdminService/ListAccounts", Admin, Unary),
    ("/depot.admin.v1.AdminService/DisableAccount", Admin, Unary),
    ("/depot.admin.v1.AdminService/EnableAccount", Admin, Unary),
    ("/depot.admin.v1.AdminService/SetPassword", Admin, Unary),
    ("/depot.admin.v1.AdminService/SetQuota", Admin, Unary),
    ("/depot.admin.v1.AdminService/Storage", Admin, Unary),
    ("/depot.files.v1.FilesService/Write", Visitor, Stream),
    ("/depot.files.v1.FilesService/Read", Visitor, Stream),
    ("/depot.files.v1.FilesService/Stat", Visitor, Unary),
    ("/depot.files.v1.FilesService/List", Visitor, Unary),
    ("/depot.files.v1.FilesService/Find", Account, Unary),
    ("/depot.files.v1.FilesService/Measure", Account, Unary),
    ("/depot.files.v1.FilesService/Usage", Account, Unary),
    ("/depot.files.v1.FilesService/MakeFolder", Account, Unary),
    ("/depot.files.v1.FilesService/Move", Account, Unary),
    // A large tree is staged in jobs; its length is bounded by the commit's limits, not by a clock.
    ("/depot.files.v1.FilesService/Copy", Account, Stream),
    ("/depot.files.v1.FilesService/Remove", Account, Unary),
    ("/depot.files.v1.FilesService/Missing", Account, Unary),
    ("/depot.files.v1.FilesService/Fill", Account, Stream),
    ("/depot.files.v1.FilesService/Commit", Account, Stream),
    ("/depot.files.v1.FilesService/ReadManifest", Visitor, Stream),
    ("/depot.files.v1.FilesService/ReadChunks", Visitor, Stream),
    ("/depot.files.v1.FilesService/ReadMany", Visitor, Stream),
    ("/depot.files.v1.HistoryService/ListVersions", Account, Unary),
    ("/depot.files.v1.HistoryService/RestoreVersion", Account, Unary),
    ("/depot.files.v1.HistoryService/ListTrash", Account, Unary),
    ("/depot.files.v1.HistoryService/RestoreRemoved", Account, Unary),
    // A large trash is emptied in jobs.
    ("/depot.files.v1.HistoryService/EmptyTrash", Account, Stream),
    ("/depot.files.v1.HistoryService/Undo", Account, Unary),
    ("/depot.files.v1.SharingService/Grant", Account, Unary),
    ("/depot.files.v1.SharingService/Revoke", Account, Unary),
    ("/depot.files.v1.SharingService/ListGrants", Account, Unary),
    ("/depot.files.v1.SharingService/ListShared", Account, Unary),
    ("/depot.files.v1.SharingService/MakeLink", Account, Unary),
    ("/depot.files.v1.SharingService/ListLinks", Account, Unary),
    ("/depot.files.v1.SharingService/RevokeLink", Account, Unary),
    ("/depot.files.v1.SharingService/OpenLink", Public, Unary),
    ("/depot.mail.v1.MailService/Send", Account, Unary),
    ("/depot.mail.v1.MailService/FetchUnread", Account, Stream),
    ("/depot.mail.v1.MailService/Ack", Account, Unary),
    ("/depot.mail.v1.MailService/ListMessages", Account, Unary),
    ("/depot.mail.v1.MailService/ReadMessage", Account, Unary),
    ("/depot.changes.v1.ChangesService/Changes", Account, Stream),
    ("/depot.changes.v1.ChangesService/Watch", Account, Stream),
    ("/grpc.health.v1.Health/Check", Public, Unary),
    ("/grpc.health.v1.Health/List", Public, Unary),
    ("/grpc.health.v1.Health/Watch", Public, Stream),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Public, Stream),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Public, Stream),
];

/// The rule of a call by its path; `None` means that it does not run.
pub fn rule(path: &str) -> Option<(Access, Shape)> {
    RULES.iter().find(|(known, ..)| *known == path).map(|(_, access, shape)| (*access, *shape))
}

#[cfg(test)]
mod tests {
    use depot_proto::DESCRIPTORS;
    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::{Access, RULES, rule};

    #[test]
    fn every_call_of_every_proto_has_a_rule() {
        let set = FileDescriptorSet::decode(DESCRIPTORS).unwrap();
        let mut seen = 0;
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    let (package, service) = (file.package(), service.name());
                    let path = format!("/{package}.{service}/{}", method.name());
                    assert!(rule(&path).is_some(), "{path} has no rule");
                    seen += 1;
                }
            }
        }
        let ours = RULES.iter().filter(|(path, ..)| path.starts_with("/depot.")).count();
        assert_eq!(seen, ours, "a rule for a call that is in no proto");
    }

    #[test]
    fn what_needs_no_token_is_known_by_name() {
        let public: Vec<&str> = RULES
            .iter()
            .filter(|(path, access, _)| *access == Access::Public && path.starts_with("/depot."))
            .filter_map(|(path, ..)| path.rsplit('/').next())
            .collect();
        assert_eq!(public, ["ServerInfo", "Setup", "Login", "Refresh", "OpenLink"]);
    }
}
