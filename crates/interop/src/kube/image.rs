//! Container images out of folders and files, without a registry.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::peers::Otp;

/// Names the static program that the shipped image is made of.
const STATIC_PROGRAM_VARIABLE: &str = "ENMESH_STATIC_BIN";
/// What pods call the shipped image; without a tag it is the same.
const SHIPPED_NAME: &str = "enmesh-test/enmesh:latest";
/// Who the shipped program runs as; its group reads the cookie.
const SHIPPED_USER: &str = "65532:65532";

/// What a Dockerfile gives to every image.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the shipped image says of itself, after `org.opencontainers.image.`. No revision, so that one program is one image.
const LABELS: [(&str, &str); 5] = [
    ("title", "enmesh"),
    (
        "description",
        "Discovers, joins and watches clusters of Erlang and Elixir nodes",
    ),
    ("version", env!("CARGO_PKG_VERSION")),
    ("source", env!("CARGO_PKG_REPOSITORY")),
    ("licenses", env!("CARGO_PKG_LICENSE")),
];

/// A container image: folders and files, no more.
///
/// Pods name it with `imagePullPolicy: Never`.
#[derive(Clone, Debug)]
pub struct Image {
    pub(super) name: String,
    pub(super) layers: Vec<Layer>,
    pub(super) architecture: Architecture,
    pub(super) settings: Settings,
}

/// What a container of an image is like when its pod does not say.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    pub(super) entrypoint: Vec<String>,
    /// `UID:GID`; empty for root.
    pub(super) user: String,
    pub(super) env: Vec<String>,
    pub(super) labels: BTreeMap<String, String>,
}

/// What an image's programs run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// What Rust calls x86_64.
    Amd64,
    /// What Rust calls aarch64.
    Arm64,
}

impl Architecture {
    /// That of Rust's name for it, or of this machine's.
    pub fn of_rust(name: &str) -> Result<Self> {
        match name {
            "x86_64" => Ok(Self::Amd64),
            "aarch64" => Ok(Self::Arm64),
            other => anyhow::bail!("there are images for x86_64 and aarch64, not for {other}"),
        }
    }

    /// What OCI calls it.
    pub fn oci(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

/// One layer of an image.
#[derive(Clone, Debug)]
pub enum Layer {
    /// A whole folder as the root; what is in its proc, sys, tmp and package caches is left out.
    Root(PathBuf),
    /// One file, made executable, at an absolute path in the image. Its time and owner do not come with it.
    File {
        /// Where it is now.
        from: PathBuf,
        /// Where it will be.
        to: PathBuf,
    },
}

impl Image {
    /// An image of this name, such as `enmesh-test/beam:27`, for this machine.
    pub fn new(name: &str, layers: Vec<Layer>) -> Self {
        Self {
            name: name.to_owned(),
            layers,
            architecture: match std::env::consts::ARCH {
                "aarch64" => Architecture::Arm64,
                _ => Architecture::Amd64,
            },
            settings: Settings {
                env: vec![PATH.to_owned()],
                ..Settings::default()
            },
        }
    }

    /// The image that is shipped, as `enmesh-test/enmesh`: the static program that `ENMESH_STATIC_BIN` names, and nothing else.
    pub fn enmesh() -> Result<Self> {
        let program = std::env::var_os(STATIC_PROGRAM_VARIABLE).with_context(|| {
            format!(
                "{STATIC_PROGRAM_VARIABLE} is to name the static program: `cargo xtask image` \
                 makes it, or a quick one \
                 `cargo build -p enmesh-cli --target {}-unknown-linux-musl`",
                std::env::consts::ARCH
            )
        })?;
        let program = PathBuf::from(program);
        ensure!(
            program.is_file(),
            "{STATIC_PROGRAM_VARIABLE} names {}, which is no file",
            program.display()
        );
        Ok(Self::of_program(SHIPPED_NAME, &program))
    }

    /// The image of a static program: `/enmesh` alone, run as nobody special.
    ///
    /// The Dockerfile says the same, and a test compares them.
    pub fn of_program(name: &str, program: &Path) -> Self {
        let image = Self::new(name, Vec::new()).with_file(program, "/enmesh");
        let mut image = image.with_user(SHIPPED_USER);
        image.settings.labels = LABELS
            .iter()
            .map(|(key, value)| (format!("org.opencontainers.image.{key}"), (*value).into()))
            .collect();
        image.with_command("/enmesh")
    }

    /// `enmesh:VERSION`, as it is shipped.
    pub fn release_name() -> String {
        format!("enmesh:{}", env!("CARGO_PKG_VERSION"))
    }

    /// An OTP's chroot as `enmesh-test/beam:27`.
    pub fn beam(otp: Otp) -> Result<Self> {
        let root = otp.chroot();
        ensure!(
            root.is_dir(),
            "{} is missing: `cargo xtask peers` makes it",
            root.display()
        );
        Ok(Self::new(&Self::beam_name(otp), vec![Layer::Root(root)]))
    }

    /// What pods call the image of [`Image::beam`].
    pub fn beam_name(otp: Otp) -> String {
        format!("enmesh-test/beam:{}", otp.release())
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What a container of it runs when its pod does not say.
    pub fn with_command(mut self, program: &str) -> Self {
        self.settings.entrypoint = vec![program.to_owned()];
        self
    }

    /// Who its programs run as, `UID:GID`.
    pub fn with_user(mut self, user: &str) -> Self {
        user.clone_into(&mut self.settings.user);
        self
    }

    /// Adds one executable file.
    pub fn with_file(mut self, from: &Path, to: &str) -> Self {
        self.layers.push(Layer::File {
            from: from.to_owned(),
            to: to.into(),
        });
        self
    }

    /// Adds what is in a folder, laid out as from the root.
    pub fn with_root(mut self, folder: &Path) -> Self {
        self.layers.push(Layer::Root(folder.to_owned()));
        self
    }

    /// The name as Kubernetes completes it: one that begins with no registry is docker.io's.
    pub(super) fn whole_name(&self) -> String {
        let first = self.name.split('/').next().unwrap_or_default();
        let is_registry = self.name.contains('/') && first.contains(['.', ':']);
        match is_registry || first == "localhost" {
            true => self.name.clone(),
            false => format!("docker.io/{}", self.name),
        }
    }

    /// The same for another machine than this.
    pub fn for_architecture(mut self, architecture: Architecture) -> Self {
        self.architecture = architecture;
        self
    }

    /// The same under another name.
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_registry_is_completed() {
        for (name, whole) in [
            ("enmesh-test/beam:27", "docker.io/enmesh-test/beam:27"),
            ("enmesh:0.1.0", "docker.io/enmesh:0.1.0"),
            ("registry.example.org/web:1", "registry.example.org/web:1"),
            ("localhost/web:1", "localhost/web:1"),
            ("here:5000/web", "here:5000/web"),
        ] {
            assert_eq!(Image::new(name, Vec::new()).whole_name(), whole);
        }
    }
}
