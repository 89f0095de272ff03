//! bench-bare: what tonic and TLS alone reach on this machine, with no disk, no hash and no rules behind them.
//! Both ends run in this process; what Depot reaches is a fraction of this. Prints one JSON object.

mod client;
mod server;

use std::error::Error;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};

/// What tonic and TLS alone reach.
#[derive(Parser)]
struct Arguments {
    work: Work,
    /// Bytes of a stream in all, for `up` and `down`.
    #[arg(long, default_value_t = 1 << 30)]
    bytes: u64,
    /// Calls in all, for `unary`.
    #[arg(long, default_value_t = 100_000)]
    calls: u64,
    /// Streams, or calls, at the same time, spread over the connections.
    #[arg(long, default_value_t = 1)]
    in_flight: usize,
    #[arg(long, default_value_t = 1)]
    connections: usize,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Work {
    Up,
    Down,
    Unary,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let listening = server::listen().await?;
    let mut channels = Vec::new();
    for _ in 0..arguments.connections {
        channels.push(depot_tests::wire::connect(listening.address, &listening.authority).await?);
    }
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..arguments.in_flight {
        let channel = channels[number % channels.len()].clone();
        let lanes = arguments.in_flight as u64;
        match arguments.work {
            Work::Up => tasks.spawn(client::up(channel, arguments.bytes / lanes)),
            Work::Down => tasks.spawn(client::down(channel, arguments.bytes / lanes)),
            Work::Unary => tasks.spawn(client::unary(channel, arguments.calls / lanes)),
        };
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    report(&arguments, begun.elapsed());
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the figure is what this program is for")]
fn report(arguments: &Arguments, elapsed: Duration) {
    let seconds = elapsed.as_secs_f64();
    let amount = match arguments.work {
        Work::Up | Work::Down => arguments.bytes,
        Work::Unary => arguments.calls,
    };
    println!(r#"{{"amount":{amount},"seconds":{seconds}}}"#);
}
