//! Serving from the command line: the log, the ready line, the set-up code, signals.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use depot_server::clock::SystemClock;
use depot_server::config::{Config, Log, LogFormat};
use depot_server::error::{Error, Result};
use depot_server::serve::{Server, bind};
use depot_server::tls::Certificates;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::cli::output::{say, tell};

/// Serves until SIGTERM or SIGINT.
pub(super) async fn run(config: Config) -> Result<ExitCode> {
    start_log(&config.log)?;
    let listener = bind(&config).await?;
    let server = Server::open(listener, config, Arc::new(SystemClock)).await?;
    let address = server.address()?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), %address, pin = server.pin()?, "ready");
    if let Some(code) = server.setup_code() {
        tell(&format!(
            "No administrator yet. Make one with:\n\n  depot setup --server localhost:{} --account \
             NAME --code {code}\n",
            address.port()
        ));
    }
    let stop = CancellationToken::new();
    on_signals(stop.clone(), server.certificates())?;
    say(&format!("listening on https://{address}"));
    server.run(stop).await;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

fn on_signals(stop: CancellationToken, certificates: Arc<Certificates>) -> Result<()> {
    let on = |kind| signal(kind).map_err(|error| Error::internal("signals", error));
    let mut terminate = on(SignalKind::terminate())?;
    let mut interrupt = on(SignalKind::interrupt())?;
    let mut reload = on(SignalKind::hangup())?;
    let began_on_a_terminal = std::io::stderr().is_terminal();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = reload.recv() => {
                    // Its terminal was closed: nobody would see it run on.
                    if began_on_a_terminal && !std::io::stderr().is_terminal() {
                        break;
                    }
                    match certificates.reload() {
                        Ok(()) => tracing::info!("the certificate was loaded again"),
                        Err(error) => tracing::error!(%error, "the certificate in force stays"),
                    }
                }
            }
        }
        tracing::info!("stopping; calls under way have a few seconds to finish");
        stop.cancel();
    });
    Ok(())
}

fn start_log(log: &Log) -> Result<()> {
    let filter = EnvFilter::try_new(&log.filter)
        .map_err(|error| Error::field("log.filter", error.to_string()))?;
    let human = match log.format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    // A log that cannot be written is lost; to complain about that on stderr would end in a panic.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    match human {
        true => builder.with_ansi(std::io::stderr().is_terminal()).init(),
        false => builder.json().flatten_event(true).with_span_list(false).init(),
    }
    Ok(())
}
