//! `certs/make-throwaway-ca` makes what strict verifiers accept, keeps its keys to itself, and never
//! overwrites anything.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use depot_tests::repository;

#[test]
fn a_strict_verifier_accepts_every_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let made = make(folder.path(), &["box.example", "10.1.2.3"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    for name in ["localhost", "box.example"] {
        assert!(verifies(folder.path(), "-verify_hostname", name), "{name}");
    }
    for address in ["127.0.0.1", "::1", "10.1.2.3"] {
        assert!(verifies(folder.path(), "-verify_ip", address), "{address}");
    }
    assert!(!verifies(folder.path(), "-verify_hostname", "other.example"));
}

#[test]
fn keys_are_for_their_owner_and_nothing_is_overwritten() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let inside = folder.path().join("new");
    assert!(make(&inside, &[]).status.success());
    for name in ["ca.key", "cert.key"] {
        let mode = fs::metadata(inside.join(name)).expect("a key").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let before = fs::read(inside.join("ca.pem")).expect("an authority");
    let again = make(&inside, &[]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("exists"));
    assert_eq!(fs::read(inside.join("ca.pem")).expect("an authority"), before);
}

fn make(folder: &Path, names: &[&str]) -> Output {
    Command::new(repository().join("certs/make-throwaway-ca"))
        .arg(folder)
        .args(names)
        .output()
        .expect("the script runs")
}

fn verifies(folder: &Path, kind: &str, name: &str) -> bool {
    Command::new("openssl")
        .args(["verify", "-x509_strict", "-purpose", "sslserver", kind, name, "-CAfile"])
        .args([folder.join("ca.pem"), folder.join("cert.pem")])
        .output()
        .expect("openssl is installed")
        .status
        .success()
}
