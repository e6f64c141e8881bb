//! Container images out of folders, without a registry.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::peers::Otp;
use crate::process::run;

/// Names the static program that the shipped image is made of.
const STATIC_PROGRAM_VARIABLE: &str = "ENMESH_STATIC_BIN";
/// What pods call the shipped image; without a tag it is the same.
const SHIPPED_NAME: &str = "enmesh-test/enmesh:latest";

/// A container image: folders and files, no more.
///
/// Pods name it with `imagePullPolicy: Never`.
#[derive(Clone, Debug)]
pub struct Image {
    name: String,
    layers: Vec<Layer>,
    command: Vec<String>,
    /// `UID:GID`; empty for root.
    user: String,
}

/// One layer of an image.
#[derive(Clone, Debug)]
pub enum Layer {
    /// A whole folder as the root; what is in its proc, sys, tmp and package caches is left out.
    Root(PathBuf),
    /// One file, made executable, at an absolute path in the image.
    File {
        /// Where it is now.
        from: PathBuf,
        /// Where it will be.
        to: PathBuf,
    },
}

impl Image {
    /// An image of this name, such as `enmesh-test/beam:27`.
    pub fn new(name: &str, layers: Vec<Layer>) -> Self {
        Self {
            name: name.to_owned(),
            layers,
            command: Vec::new(),
            user: String::new(),
        }
    }

    /// What a container of it runs when its pod does not say.
    pub fn with_command(mut self, program: &str) -> Self {
        self.command = vec![program.to_owned()];
        self
    }

    /// Who its containers run as when their pod does not say: `UID:GID`.
    pub fn with_user(mut self, user: &str) -> Self {
        user.clone_into(&mut self.user);
        self
    }

    /// The image that is shipped, as `enmesh-test/enmesh`: the static program that `ENMESH_STATIC_BIN` names, and nothing else.
    pub fn enmesh() -> Result<Self> {
        let program = std::env::var_os(STATIC_PROGRAM_VARIABLE).with_context(|| {
            format!(
                "{STATIC_PROGRAM_VARIABLE} is to name the static program: `cargo xtask image`, or for a quick one \
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

    /// The image of a static program, as `/enmesh`.
    pub fn of_program(name: &str, program: &Path) -> Self {
        Self::new(name, Vec::new())
            .with_file(program, "/enmesh")
            .with_command("/enmesh")
            .with_user("65532:65532")
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

    pub(super) fn beam_name(otp: Otp) -> String {
        format!("enmesh-test/beam:{}", otp.release())
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Adds one executable file.
    pub fn with_file(mut self, from: &Path, to: &str) -> Self {
        self.layers.push(Layer::File {
            from: from.to_owned(),
            to: to.into(),
        });
        self
    }

    /// The same under another name.
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    /// Writes the image as an OCI archive (image-spec, "OCI Image Layout") and gives its path.
    pub(super) fn write_archive(&self, folder: &Path) -> Result<PathBuf> {
        let layout = folder.join("layout");
        let blobs = layout.join("blobs/sha256");
        fs::create_dir_all(&blobs)?;
        let mut layers = Vec::new();
        for layer in &self.layers {
            let tar = folder.join("layer.tar");
            layer.write_tar(folder, &tar)?;
            layers.push(add_blob(
                &blobs,
                &tar,
                "application/vnd.oci.image.layer.v1.tar",
            )?);
        }
        let diff_ids: Vec<&Value> = layers.iter().map(|layer| &layer["digest"]).collect();
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let config = json!({
            "architecture": architecture,
            "os": "linux",
            "config": {
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "Entrypoint": self.command,
                "User": self.user,
            },
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = add_json(
            folder,
            &blobs,
            &config,
            "application/vnd.oci.image.config.v1+json",
        )?;
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest =
            json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers});
        let mut manifest = add_json(folder, &blobs, &manifest, kind)?;
        // Kubernetes completes a short name with docker.io, so that is the name it will look for.
        manifest["annotations"] =
            json!({"io.containerd.image.name": format!("docker.io/{}", self.name)});
        let index = json!({"schemaVersion": 2, "manifests": [manifest]});
        fs::write(layout.join("index.json"), index.to_string())?;
        fs::write(
            layout.join("oci-layout"),
            r#"{"imageLayoutVersion":"1.0.0"}"#,
        )?;
        let archive = folder.join("image.tar");
        let mut command = Command::new("tar");
        command
            .arg("-cf")
            .arg(&archive)
            .arg("-C")
            .arg(&layout)
            .args(["oci-layout", "index.json", "blobs"]);
        run(command)?;
        fs::remove_dir_all(&layout)?;
        Ok(archive)
    }
}

impl Layer {
    fn write_tar(&self, folder: &Path, tar: &Path) -> Result<()> {
        let mut command = Command::new("tar");
        command
            .arg("-cf")
            .arg(tar)
            .args(["--numeric-owner", "--sort=name"]);
        match self {
            Self::Root(root) => {
                let left_out = [
                    "proc",
                    "sys",
                    "tmp",
                    "var/cache/apt",
                    "var/lib/apt/lists",
                    "usr/share/doc",
                ];
                command
                    .args(left_out.map(|path| format!("--exclude=./{path}/*")))
                    .arg("-C")
                    .arg(root);
            }
            Self::File { from, to } => {
                let stage = folder.join("stage");
                let inside = to
                    .strip_prefix("/")
                    .context("a path in an image is absolute")?;
                let place = stage.join(inside);
                fs::create_dir_all(place.parent().context("a file is in a folder")?)?;
                fs::copy(from, &place)
                    .with_context(|| format!("{} could not be read", from.display()))?;
                command.arg("--mode=755").arg("-C").arg(&stage);
            }
        }
        command.arg(".");
        run(command).map(drop)?;
        let stage = folder.join("stage");
        if stage.exists() {
            fs::remove_dir_all(stage)?;
        }
        Ok(())
    }
}

fn add_json(folder: &Path, blobs: &Path, value: &Value, kind: &str) -> Result<Value> {
    let path = folder.join("blob.json");
    fs::write(&path, value.to_string())?;
    add_blob(blobs, &path, kind)
}

/// Moves a file to its digest's name and gives its descriptor.
fn add_blob(blobs: &Path, path: &Path, kind: &str) -> Result<Value> {
    let mut command = Command::new("sha256sum");
    command.arg(path);
    let line = run(command)?;
    let digest = line
        .split(' ')
        .next()
        .context("sha256sum prints a digest")?;
    let size = fs::metadata(path)?.len();
    fs::rename(path, blobs.join(digest))?;
    Ok(json!({"mediaType": kind, "digest": format!("sha256:{digest}"), "size": size}))
}
