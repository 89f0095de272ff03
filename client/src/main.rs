//! `depot`, the thin client: installs the crypto provider, starts the run time, and hands over to the
//! library. Everything a person can do is one file in `commands/`.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Ours is the first call in the process, so there is no provider to be in the way.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let Ok(runtime) = runtime else {
        return ExitCode::FAILURE;
    };
    let code = runtime.block_on(depot_client::run(std::env::args_os()));
    // Threads that still read or write a file have nothing to finish: what counts was awaited.
    runtime.shutdown_background();
    ExitCode::from(code)
}
