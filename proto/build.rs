//! Compiles the protos without protoc and keeps their descriptors for reflection and for tests.

use std::path::PathBuf;
use std::{env, error, fs};

use prost::Message;

const PROTOS: [&str; 8] = [
    "depot/admin/v1/admin.proto",
    "depot/auth/v1/auth.proto",
    "depot/auth/v1/groups.proto",
    "depot/changes/v1/changes.proto",
    "depot/files/v1/files.proto",
    "depot/files/v1/history.proto",
    "depot/files/v1/sharing.proto",
    "depot/mail/v1/mail.proto",
];

fn main() -> Result<(), Box<dyn error::Error>> {
    println!("cargo::rerun-if-changed=depot");
    let descriptors = protox::compile(PROTOS, ["."])?;
    let target = PathBuf::from(env::var("OUT_DIR")?).join("depot.descriptors");
    fs::write(target, descriptors.encode_to_vec())?;
    // `bytes` fields are slices of the buffer that arrived: file data is not copied again.
    tonic_prost_build::configure()
        .bytes(".")
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors)?;
    Ok(())
}
