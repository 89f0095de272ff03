//! `depot`, the thin client: installs the crypto provider, starts the run time, and hands over to the
//! library. Everything a person can do is one file in `commands/`.

use std::process::ExitCode;

fn main() -> ExitCode {
    bound_arenas();
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

/// Keeps file data that came and went from staying with the process. glibc gives each of many threads an
/// arena of its own, up to eight a core: a tree of 52,000 files came down with 215 MB resident, and comes
/// with 127 MB from two arenas, at the same speed.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "mallopt has no safe form; no other thread exists yet")]
fn bound_arenas() {
    // SAFETY: it sets a number inside the allocator; called first thing in `main`.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 2) };
}

#[cfg(not(target_env = "gnu"))]
fn bound_arenas() {}
