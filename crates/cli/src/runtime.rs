//! What every long-running sub-command stands on.

use tokio::runtime::{Builder, Runtime};

use crate::exit::Failure;

/// The runtime of the program itself, with as many descriptors as the system allows us: the usual
/// soft limit of 1,024 is less than the handshakes and links of a large cluster.
pub(crate) fn start() -> Result<Runtime, Failure> {
    #[cfg(unix)]
    raise_descriptor_limit();
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::System {
            doing: "cannot start a runtime",
            error,
        })
}

#[cfg(unix)]
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};

    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Refused means that we go on with what there is.
    let _ = setrlimit(Resource::Nofile, limit);
}
