//! `cargo xtask peers`: the Erlang releases that the tests talk to, and the rebar3 that builds for each.

use enmesh_interop::{
    Otp, ensure_chroot, ensure_rebar3, ensure_release, verify_chroot, verify_rebar3, verify_release,
};

/// What `cargo xtask peers` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Look only: make nothing, and fail when something is missing.
    #[arg(long)]
    check: bool,
}

/// Makes what is missing, then prints each release that was found.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    for otp in Otp::ALL {
        if !args.check {
            ensure_release(otp)?;
        }
        println!("{}", verify_release(otp)?);
        if otp.root().is_none() {
            // Debian's own OTP needs a folder as well, for its image.
            if !args.check {
                ensure_chroot(otp)?;
            }
            println!("{}", verify_chroot(otp)?);
        }
    }
    // After all of them: who has no use for it has the peers where it is not to be had.
    for otp in Otp::ALL {
        match args.check {
            true => verify_rebar3(otp)?,
            false => ensure_rebar3(otp)?,
        }
    }
    Ok(())
}
