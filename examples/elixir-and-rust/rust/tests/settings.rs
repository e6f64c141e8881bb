//! The program itself, without a cluster.

use std::process::Command;

#[test]
fn what_is_not_set_is_named_and_ends_it() {
    let output = Command::new(env!("CARGO_BIN_EXE_prices"))
        .env_remove("COOKIE_FILE")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("COOKIE_FILE"), "{said}");
}
