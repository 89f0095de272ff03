//! The contract's calls, past the client: with a token or without, well-formed or not.

use bytes::{Buf, BufMut, Bytes};
use depot_proto::admin::admin_service_client::AdminServiceClient;
use depot_proto::auth::auth_service_client::AuthServiceClient;
use depot_proto::auth::{Credentials, LoginRequest};
use depot_proto::changes::changes_service_client::ChangesServiceClient;
use depot_proto::files::files_service_client::FilesServiceClient;
use depot_proto::files::history_service_client::HistoryServiceClient;
use depot_proto::files::sharing_service_client::SharingServiceClient;
use depot_proto::files::write_request::Part;
use depot_proto::files::{Entry, ReadRequest, WriteEnd, WriteHeader, WriteRequest, read_response};
use depot_proto::mail::mail_service_client::MailServiceClient;
use http::uri::PathAndQuery;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

type Client = InterceptedService<Channel, Bearer>;

/// Makes calls over one connection, with one token or none.
#[derive(Clone)]
pub struct Caller {
    channel: Channel,
    bearer: Bearer,
}

/// Puts a token into calls.
#[derive(Clone)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// The value of `authorization` for a token.
///
/// # Panics
///
/// When it is no ASCII text.
pub fn bearer(token: &str) -> MetadataValue<Ascii> {
    format!("Bearer {token}").parse().expect("a token is ASCII text")
}

impl Caller {
    /// Calls without a token.
    pub fn new(channel: Channel) -> Self {
        Self { channel, bearer: Bearer(None) }
    }

    /// The same connection with this as `authorization`.
    #[must_use]
    pub fn with(&self, authorization: MetadataValue<Ascii>) -> Self {
        Self { channel: self.channel.clone(), bearer: Bearer(Some(authorization)) }
    }

    /// Exchanges a password for a login.
    ///
    /// # Errors
    ///
    /// The server's.
    pub async fn login(&self, account: &str, password: &str) -> Result<Credentials, Status> {
        let request = LoginRequest {
            account: account.to_owned(),
            password: password.to_owned(),
            client: "a story".to_owned(),
        };
        let answer = self.auth().login(request).await?.into_inner();
        answer.credentials.ok_or_else(|| Status::internal("a login without credentials"))
    }

    /// AuthService.
    pub fn auth(&self) -> AuthServiceClient<Client> {
        AuthServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    /// AdminService.
    pub fn admin(&self) -> AdminServiceClient<Client> {
        AdminServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    /// FilesService.
    pub fn files(&self) -> FilesServiceClient<Client> {
        FilesServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    /// HistoryService.
    pub fn history(&self) -> HistoryServiceClient<Client> {
        HistoryServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    /// SharingService.
    pub fn sharing(&self) -> SharingServiceClient<Client> {
        SharingServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    /// MailService.
    pub fn mail(&self) -> MailServiceClient<Client> {
        MailServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    /// ChangesService.
    pub fn changes(&self) -> ChangesServiceClient<Client> {
        ChangesServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    /// Writes one file in one piece.
    ///
    /// # Errors
    ///
    /// The server's.
    pub async fn write(&self, header: WriteHeader, bytes: &[u8]) -> Result<Entry, Status> {
        let end = WriteEnd { size: bytes.len() as u64, blake3: None };
        let data = Part::Data(Bytes::copy_from_slice(bytes));
        self.write_parts([Part::Header(header), data, Part::End(end)]).await
    }

    /// Makes a Write of just these parts.
    ///
    /// # Errors
    ///
    /// The server's.
    pub async fn write_parts(
        &self,
        parts: impl IntoIterator<Item = Part>,
    ) -> Result<Entry, Status> {
        let parts: Vec<WriteRequest> =
            parts.into_iter().map(|part| WriteRequest { part: Some(part) }).collect();
        let answer = self.files().write(tokio_stream::iter(parts)).await?.into_inner();
        answer.entry.ok_or_else(|| Status::internal("a write without an entry"))
    }

    /// Reads a file, or a range of it.
    ///
    /// # Errors
    ///
    /// The server's.
    pub async fn read(&self, wanted: ReadRequest) -> Result<Vec<u8>, Status> {
        let mut answers = self.files().read(wanted).await?.into_inner();
        let mut bytes = Vec::new();
        while let Some(answer) = answers.message().await? {
            if let Some(read_response::Part::Data(data)) = answer.part {
                bytes.extend_from_slice(&data);
            }
        }
        Ok(bytes)
    }

    /// Makes any call with messages that are encoded already; its first answer, encoded.
    ///
    /// # Errors
    ///
    /// The server's.
    pub async fn first_answer(
        &self,
        path: &str,
        messages: impl IntoIterator<Item = Bytes>,
    ) -> Result<Option<Bytes>, Status> {
        let service = InterceptedService::new(self.channel.clone(), self.bearer.clone());
        let mut grpc = tonic::client::Grpc::new(service);
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let messages: Vec<Bytes> = messages.into_iter().collect();
        let request = Request::new(tokio_stream::iter(messages));
        let path = PathAndQuery::try_from(path).expect("a path");
        grpc.streaming(request, path, Encoded).await?.into_inner().message().await
    }
}

/// Messages as they are on the wire.
#[derive(Clone, Copy, Default)]
struct Encoded;

impl Codec for Encoded {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, dst: &mut EncodeBuf<'_>) -> Result<(), Status> {
        dst.put(item);
        Ok(())
    }
}

impl Decoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, src: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(src.copy_to_bytes(src.remaining())))
    }
}

/// How the server said no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// For every client.
    pub code: Code,
    /// For programs; empty where there is none.
    pub reason: String,
    /// For people.
    pub message: String,
    /// The field that is at fault; empty where none is.
    pub field: String,
}

impl Refused {
    /// What a call was refused with.
    ///
    /// # Panics
    ///
    /// When it was not refused.
    #[track_caller]
    pub fn of<T: std::fmt::Debug>(answer: Result<T, Status>) -> Self {
        let status = answer.expect_err("this should have been refused");
        let info = status.get_details_error_info();
        if let Some(info) = &info {
            assert_eq!(info.domain, "depot", "{status:?}");
        }
        Self {
            code: status.code(),
            reason: info.map(|info| info.reason).unwrap_or_default(),
            message: status.message().to_owned(),
            field: status
                .get_details_bad_request()
                .and_then(|bad| bad.field_violations.into_iter().next())
                .map(|violation| violation.field)
                .unwrap_or_default(),
        }
    }

    /// The code and the reason, to compare.
    pub fn kind(&self) -> (Code, &str) {
        (self.code, &self.reason)
    }

    /// Itself, when its message says this.
    ///
    /// # Panics
    ///
    /// When it does not.
    #[track_caller]
    pub fn saying(self, words: &str) -> Self {
        assert!(self.message.contains(words), "no {words:?} in {self:?}");
        self
    }
}
