"""A stranger's client: nothing of Depot but the protos, the authority's certificate and an account.

    outside_client.py SERVER CA_PEM PROTO_FOLDER

It generates its code with the real protoc, then writes, reads, sends, fetches and acknowledges, as the
accounts `ann` and `bob`, whose passwords are `secret of ann` and `secret of bob`. What is not as it
should be ends it with a traceback. The last line says `all is well`.
"""

import hashlib
import pathlib
import sys
import tempfile

import grpc
from grpc_tools import protoc

SERVER, CA_PEM, PROTO_FOLDER = sys.argv[1:]

# The part of google/rpc/*.proto that says why a call was refused, as every gRPC client knows it.
ERRORS_PROTO = """
syntax = "proto3";
package google.rpc;
import "google/protobuf/any.proto";
message Status { int32 code = 1; string message = 2; repeated google.protobuf.Any details = 3; }
message ErrorInfo { string reason = 1; string domain = 2; map<string, string> metadata = 3; }
"""

# Bytes of which no two parts are alike.
BYTES = b"".join(hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(100_000))


def generate(folder):
    """What `protoc` makes of the protos, importable."""
    errors = folder / "errors"
    errors.mkdir()
    (errors / "errors.proto").write_text(ERRORS_PROTO)
    well_known = pathlib.Path(protoc.__file__).parent / "_proto"
    protos = [str(path) for path in pathlib.Path(PROTO_FOLDER).rglob("depot/*/v1/*.proto")]
    assert len(protos) > 4, protos
    paths = [f"--proto_path={path}" for path in (PROTO_FOLDER, errors, well_known)]
    out = [f"--python_out={folder}", f"--grpc_python_out={folder}"]
    assert protoc.main(["protoc", *paths, *out, *protos, "errors.proto"]) == 0
    sys.path.insert(0, str(folder))


with tempfile.TemporaryDirectory() as generated:
    generate(pathlib.Path(generated))
    import errors_pb2
    from depot.auth.v1 import auth_pb2, auth_pb2_grpc
    from depot.changes.v1 import changes_pb2, changes_pb2_grpc
    from depot.files.v1 import files_pb2, files_pb2_grpc
    from depot.mail.v1 import mail_pb2, mail_pb2_grpc


class Account:
    """Somebody who has logged in."""

    def __init__(self, channel, name):
        login = auth_pb2.LoginRequest(account=name, password=f"secret of {name}", client="python")
        credentials = auth_pb2_grpc.AuthServiceStub(channel).Login(login).credentials
        assert credentials.account == name
        self.metadata = [("authorization", f"Bearer {credentials.token}")]
        self.files = files_pb2_grpc.FilesServiceStub(channel)
        self.mail = mail_pb2_grpc.MailServiceStub(channel)
        self.changes = changes_pb2_grpc.ChangesServiceStub(channel)

    def write(self, path, content, part_bytes):
        parts = [files_pb2.WriteRequest(header=files_pb2.WriteHeader(path=path, mode=0o600))]
        for at in range(0, len(content), part_bytes):
            parts.append(files_pb2.WriteRequest(data=content[at : at + part_bytes]))
        parts.append(files_pb2.WriteRequest(end=files_pb2.WriteEnd(size=len(content))))
        return self.files.Write(iter(parts), metadata=self.metadata).entry

    def read(self, path, **part):
        answers = list(
            self.files.Read(files_pb2.ReadRequest(path=path, **part), metadata=self.metadata)
        )
        assert answers[0].entry.path == path
        return b"".join(answer.data for answer in answers[1:])

    def unread(self):
        answers = list(self.mail.FetchUnread(mail_pb2.FetchUnreadRequest(), metadata=self.metadata))
        messages = [message for answer in answers for message in answer.messages]
        return messages, answers[-1].ack_token if answers else ""

    def ack(self, token):
        return self.mail.Ack(mail_pb2.AckRequest(token=token), metadata=self.metadata).acked


def refused(call, code, reason):
    """Makes a call that must be refused with this code and an ErrorInfo of this reason."""
    try:
        answer = call()
    except grpc.RpcError as error:
        assert error.code() == code, error
        trailers = dict(error.trailing_metadata())
        status = errors_pb2.Status.FromString(trailers["grpc-status-details-bin"])
        assert (status.code, status.message) == (code.value[0], error.details()), status
        info = errors_pb2.ErrorInfo()
        assert any(detail.Unpack(info) for detail in status.details), status
        assert (info.reason, info.domain) == (reason, "depot"), info
        assert info.metadata["request_id"], info
        return
    raise AssertionError(f"not refused: {answer}")


def files(ann):
    written = ann.write("/from/python.bin", BYTES, 300_001)
    assert written.path == "/from/python.bin" and written.kind == files_pb2.KIND_FILE
    assert (written.size, written.mode, len(written.blake3)) == (len(BYTES), 0o600, 32)
    assert ann.read("/from/python.bin") == BYTES
    assert ann.read("/from/python.bin", offset=1_000_000, length=5) == BYTES[1_000_000:1_000_005]
    assert ann.read("/from/python.bin", offset=len(BYTES) - 3, length=10) == BYTES[-3:]
    assert ann.read("/from/depot.txt") == b"put by depot"
    again = ann.write("/from/python.bin", BYTES, 1_000_000)
    assert (again.version, again.generation) == (written.version, written.generation)
    listed = ann.files.List(files_pb2.ListRequest(path="/from"), metadata=ann.metadata)
    assert [entry.path for entry in listed.entries] == ["/from/depot.txt", "/from/python.bin"]
    return written


def mail(ann, bob, written):
    attachment = mail_pb2.NewAttachment(name="python.bin", path="/from/python.bin")
    request = mail_pb2.SendRequest(
        to=["bob"], subject="für dich", body="see attached", attachments=[attachment]
    )
    sent = ann.mail.Send(request, metadata=ann.metadata)
    assert [to.state for to in sent.recipients] == [mail_pb2.RECIPIENT_STATE_DELIVERED]
    for _ in range(2):
        (message,), token = bob.unread()
        assert (message.id, message.number, message.unread) == (sent.id, 1, True)
        assert (message.subject, message.body) == ("für dich", "see attached")
        assert message.attachments[0].blake3 == written.blake3
    assert message.attachments[0].size == len(BYTES)
    attached = files_pb2.Attachment(message_id=sent.id, index=0)
    wanted = files_pb2.ReadChunksRequest(
        source=files_pb2.ContentSource(attachment=attached),
        ranges=[files_pb2.ByteRange(offset=0, length=len(BYTES))],
    )
    chunks = bob.files.ReadChunks(wanted, metadata=bob.metadata)
    assert b"".join(answer.data for answer in chunks) == BYTES
    assert (bob.ack(token), bob.ack(token)) == (1, 0)
    assert bob.unread()[0] == []


def changes(ann):
    everything = list(
        ann.changes.Changes(changes_pb2.ChangesRequest(), metadata=ann.metadata)
    )
    paths = [change.path for answer in everything for change in answer.changes]
    assert "/from/python.bin" in paths, paths
    since = changes_pb2.ChangesRequest(cursor=everything[-1].cursor)
    ann.write("/from/new.txt", b"new", 3)
    news = [c for a in ann.changes.Changes(since, metadata=ann.metadata) for c in a.changes]
    assert [(c.path, c.op) for c in news] == [("/from/new.txt", changes_pb2.CHANGE_OP_PUT)], news


def refusals(channel, ann, bob):
    wrong = auth_pb2.LoginRequest(account="ann", password="wrong", client="python")
    login = auth_pb2_grpc.AuthServiceStub(channel).Login
    refused(lambda: login(wrong), grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
    missing = grpc.StatusCode.NOT_FOUND, "NOT_FOUND"
    refused(lambda: ann.read("/missing"), *missing)
    refused(lambda: bob.read("ann:/from/python.bin"), *missing)
    nobody = mail_pb2.SendRequest(to=["bob", "nobody"], subject="x", body="x")
    send = lambda: ann.mail.Send(nobody, metadata=ann.metadata)
    refused(send, grpc.StatusCode.NOT_FOUND, "UNKNOWN_RECIPIENT")
    assert bob.unread()[0] == []
    stopped = files_pb2.WriteRequest(header=files_pb2.WriteHeader(path="/half"))
    write = lambda: ann.files.Write(iter([stopped]), metadata=ann.metadata)
    refused(write, grpc.StatusCode.INVALID_ARGUMENT, "TRUNCATED")
    stat = lambda: ann.files.Stat(files_pb2.StatRequest(path="/from"))
    refused(stat, grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")


def main():
    trust = grpc.ssl_channel_credentials(pathlib.Path(CA_PEM).read_bytes())
    with grpc.secure_channel(SERVER, trust) as channel:
        info = auth_pb2_grpc.AuthServiceStub(channel).ServerInfo(auth_pb2.ServerInfoRequest())
        assert not info.setup_required and len(info.store_id) == 16, info
        ann, bob = Account(channel, "ann"), Account(channel, "bob")
        mail(ann, bob, files(ann))
        changes(ann)
        refusals(channel, ann, bob)
    print("all is well")


main()
