//! bench-send: sends messages of fresh text to an account and counts those that the server took. It logs in
//! once, keeps so many Sends in flight over so many connections, and prints one JSON object. A send that
//! fails ends it: a figure with failures in it would compare with nothing.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use depot_proto::auth::LoginRequest;
use depot_proto::auth::auth_service_client::AuthServiceClient;
use depot_proto::mail::SendRequest;
use depot_proto::mail::mail_service_client::MailServiceClient;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;

/// Sends messages and counts them.
#[derive(Parser)]
struct Arguments {
    /// The server's address.
    #[arg(long)]
    server: SocketAddr,
    /// The certificate (PEM) of its authority.
    #[arg(long)]
    ca: PathBuf,
    /// Who sends.
    #[arg(long)]
    account: String,
    /// A file whose first line is the sender's password.
    #[arg(long)]
    password_file: PathBuf,
    /// Who receives.
    #[arg(long)]
    to: String,
    /// Messages in all.
    #[arg(long, default_value_t = 10_000)]
    count: u64,
    /// Bytes of a message's body.
    #[arg(long, default_value_t = 4096)]
    bytes: usize,
    /// Sends at the same time, spread over the connections.
    #[arg(long, default_value_t = 1)]
    in_flight: usize,
    #[arg(long, default_value_t = 1)]
    connections: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    // A program that waits for one answer before it asks again has one thread.
    let mut runtime = match arguments.in_flight {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    runtime.enable_all().build()?.block_on(run(arguments))
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let authority = std::fs::read(&arguments.ca)?;
    let mut channels = Vec::new();
    for _ in 0..arguments.connections {
        channels.push(depot_tests::wire::connect(arguments.server, &authority).await?);
    }
    let token = log_in(&arguments, channels[0].clone()).await?;
    let left = Arc::new(AtomicU64::new(arguments.count));
    let lines: Arc<str> = random_lines(arguments.bytes).into();
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..arguments.in_flight {
        let sender = Sender {
            client: MailServiceClient::new(channels[number % channels.len()].clone()),
            token: token.clone(),
            to: arguments.to.clone(),
            lines: lines.clone(),
        };
        tasks.spawn(sender.send_while(left.clone()));
    }
    let mut took = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        took.extend(ended??);
    }
    report(begun.elapsed(), took);
    Ok(())
}

async fn log_in(
    arguments: &Arguments,
    channel: Channel,
) -> Result<MetadataValue<Ascii>, Box<dyn Error>> {
    let password = std::fs::read_to_string(&arguments.password_file)?;
    let request = LoginRequest {
        account: arguments.account.clone(),
        password: password.lines().next().unwrap_or_default().to_owned(),
        client: "bench-send".to_owned(),
    };
    let answer = AuthServiceClient::new(channel).login(request).await?.into_inner();
    let credentials = answer.credentials.ok_or("a login without credentials")?;
    Ok(format!("Bearer {}", credentials.token).parse()?)
}

/// One of those that are in flight.
struct Sender {
    client: MailServiceClient<Channel>,
    token: MetadataValue<Ascii>,
    to: String,
    lines: Arc<str>,
}

impl Sender {
    /// Sends as long as messages are left, and says how long each took.
    async fn send_while(mut self, left: Arc<AtomicU64>) -> Result<Vec<Duration>, tonic::Status> {
        let mut took = Vec::new();
        while left.try_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
            let mut request = Request::new(SendRequest {
                request_id: uuid::Uuid::now_v7().to_string(),
                to: vec![self.to.clone()],
                subject: "A message of the measurements".to_owned(),
                body: fresh_text(&self.lines),
                ..SendRequest::default()
            });
            request.metadata_mut().insert("authorization", self.token.clone());
            let begun = Instant::now();
            self.client.send(request).await?;
            took.push(begun.elapsed());
        }
        Ok(took)
    }
}

/// Text that no server has seen: a first line of its own above lines of random hexadecimal digits, which
/// are the same in all messages. The time to make them would count as the server's.
fn fresh_text(lines: &str) -> String {
    let own = uuid::Uuid::new_v4().simple().to_string();
    format!("{own}{}", lines.get(own.len()..).unwrap_or_default())
}

fn random_lines(bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 33);
    while text.len() < bytes {
        text.push_str(&uuid::Uuid::new_v4().simple().to_string());
        text.push('\n');
    }
    text.truncate(bytes);
    text
}

#[expect(clippy::print_stdout, reason = "the figure is what this program is for")]
fn report(elapsed: Duration, mut took: Vec<Duration>) {
    took.sort_unstable();
    let at = |percent: usize| {
        took.get((took.len() * percent / 100).min(took.len().saturating_sub(1)))
            .map_or(0.0, |took| took.as_secs_f64() * 1e3)
    };
    println!(
        r#"{{"amount":{},"seconds":{},"p50_ms":{:.3},"p99_ms":{:.3}}}"#,
        took.len(),
        elapsed.as_secs_f64(),
        at(50),
        at(99)
    );
}
