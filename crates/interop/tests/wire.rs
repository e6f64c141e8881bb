//! Every form of packet, to and from OTP 27 and 29, and how they end a handshake; the tests of `enmesh-proto` do it for OTP 25.
// The driver is theirs.
#![allow(dead_code)]

#[path = "../../proto/tests/beam/driver.rs"]
mod driver;
#[path = "../../proto/tests/beam/endings.rs"]
mod endings;
#[path = "../../proto/tests/beam/wire.rs"]
mod wire;

use std::ffi::OsString;

use enmesh_interop::Otp;

fn prefix(otp: Otp) -> Vec<OsString> {
    let root = otp.root().expect("it is in a chroot");
    vec!["chroot".into(), root.into()]
}

#[test]
fn otp_27_sends_messages_of_all_forms_back() {
    wire::messages_of_all_forms_come_back(&prefix(Otp::R27));
}

#[test]
fn otp_29_sends_messages_of_all_forms_back() {
    wire::messages_of_all_forms_come_back(&prefix(Otp::R29));
}

#[test]
fn otp_27_passes_large_messages_and_small_ones() {
    wire::large_messages_and_small_ones_pass_each_other(&prefix(Otp::R27));
}

#[test]
fn otp_29_passes_large_messages_and_small_ones() {
    wire::large_messages_and_small_ones_pass_each_other(&prefix(Otp::R29));
}

#[test]
fn otp_27_ends_in_order_after_our_digest_for_another_cookie_alone() {
    endings::another_cookie_alone_ends_in_order_after_our_digest(&prefix(Otp::R27));
}

#[test]
fn otp_29_ends_in_order_after_our_digest_for_another_cookie_alone() {
    endings::another_cookie_alone_ends_in_order_after_our_digest(&prefix(Otp::R29));
}
