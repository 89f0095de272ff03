//! What must hold when things go wrong: killed servers, cut power, full disks, cut lines, names and
//! permissions that are meant to do harm. README.md has the table. Each test has a control beside it,
//! which shows that it can fail.

mod chance;
mod collect;
mod disk;
mod full;
mod history;
mod kills;
mod lines;
mod load;
mod names;
mod power;
mod private;
mod proxy;
mod quota;
mod report;
mod site;
mod writers;

/// Where the clients of a test run.
fn runtime() -> tokio::runtime::Runtime {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).enable_all().build().expect("a runtime")
}
