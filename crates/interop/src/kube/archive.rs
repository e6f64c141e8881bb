//! An image as an archive: the layout of OCI, and beside it what `docker load` of old reads.
//!
//! The same input gives the same bytes: times are zero, owners are root's, names are in order.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::image::{Image, Layer};
use crate::process::run;

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// What is the same in every tar that we write; times are told apart by nobody.
const STEADY: [&str; 5] = [
    "--format=gnu",
    "--sort=name",
    "--mtime=@0",
    "--owner=0",
    "--group=0",
];

impl Image {
    /// Writes the image as an OCI archive (image-spec, "OCI Image Layout") and gives the digest of its manifest.
    pub fn write(&self, archive: &Path) -> Result<String> {
        let folder = archive.parent().context("an archive is in a folder")?;
        fs::create_dir_all(folder)?;
        let place = tempfile::tempdir_in(folder)?;
        let layout = Layout::new(place.path())?;
        let mut layers = Vec::new();
        for layer in &self.layers {
            let tar = place.path().join("layer.tar");
            layer.write_tar(place.path(), &tar)?;
            layers.push(layout.add(&tar, LAYER)?);
        }
        let config = layout.add_json(&self.config(&layers), CONFIG)?;
        let manifest =
            json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
        let mut manifest = layout.add_json(&manifest, MANIFEST)?;
        let digest = manifest["digest"].as_str().unwrap_or_default().to_owned();
        manifest["annotations"] = json!({
            "io.containerd.image.name": self.whole_name(),
            "org.opencontainers.image.ref.name": self.name.rsplit(':').next(),
        });
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [manifest]});
        layout.write("index.json", &index)?;
        layout.write("oci-layout", &json!({"imageLayoutVersion": "1.0.0"}))?;
        let paths: Vec<String> = layers.iter().map(blob_path).collect();
        let of_docker =
            json!([{"Config": blob_path(&config), "RepoTags": [self.name], "Layers": paths}]);
        layout.write("manifest.json", &of_docker)?;
        layout.pack(archive)?;
        Ok(digest)
    }

    /// image-spec, "OCI Image Configuration".
    fn config(&self, layers: &[Value]) -> Value {
        let diff_ids: Vec<&Value> = layers.iter().map(|layer| &layer["digest"]).collect();
        let settings = &self.settings;
        let mut config = json!({
            "Entrypoint": settings.entrypoint,
            "User": settings.user,
            "Env": settings.env,
            "Labels": settings.labels,
        });
        let is_empty = |value: &Value| match value {
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            _ => false,
        };
        if let Some(map) = config.as_object_mut() {
            map.retain(|_, value| !is_empty(value));
        }
        json!({
            "created": "1970-01-01T00:00:00Z",
            "architecture": self.architecture.oci(),
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        })
    }
}

/// A folder that becomes the archive.
struct Layout {
    folder: PathBuf,
}

impl Layout {
    fn new(place: &Path) -> Result<Self> {
        let folder = place.join("layout");
        fs::create_dir_all(folder.join("blobs/sha256"))?;
        Ok(Self { folder })
    }

    fn write(&self, name: &str, value: &Value) -> Result<()> {
        Ok(fs::write(self.folder.join(name), value.to_string())?)
    }

    fn add_json(&self, value: &Value, kind: &str) -> Result<Value> {
        self.write("blob", value)?;
        self.add(&self.folder.join("blob"), kind)
    }

    /// Moves a file to its digest's name and gives its descriptor.
    fn add(&self, path: &Path, kind: &str) -> Result<Value> {
        let mut command = Command::new("sha256sum");
        command.arg(path);
        let line = run(command)?;
        let digest = line
            .split(' ')
            .next()
            .context("sha256sum prints a digest")?;
        let size = fs::metadata(path)?.len();
        let descriptor =
            json!({"mediaType": kind, "digest": format!("sha256:{digest}"), "size": size});
        fs::rename(path, self.folder.join(blob_path(&descriptor)))?;
        Ok(descriptor)
    }

    fn pack(&self, archive: &Path) -> Result<()> {
        let mut command = Command::new("tar");
        command
            .arg("-cf")
            .arg(archive)
            .args(STEADY)
            .args(["--mode=u=rwX,go=rX", "-C"])
            .arg(&self.folder)
            .args(["oci-layout", "index.json", "manifest.json", "blobs"]);
        run(command).map(drop)
    }
}

/// Where a descriptor's bytes are in the layout.
fn blob_path(descriptor: &Value) -> String {
    let digest = descriptor["digest"].as_str().unwrap_or_default();
    format!("blobs/{}", digest.replacen(':', "/", 1))
}

impl Layer {
    fn write_tar(&self, place: &Path, tar: &Path) -> Result<()> {
        let mut command = Command::new("tar");
        command.arg("-cf").arg(tar);
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
                    .args(["--numeric-owner", "--sort=name"])
                    .args(left_out.map(|path| format!("--exclude=./{path}/*")))
                    .arg("-C")
                    .arg(root)
                    .arg(".");
                run(command).map(drop)
            }
            Self::File { from, to } => {
                let stage = tempfile::tempdir_in(place)?;
                let inside = to
                    .strip_prefix("/")
                    .context("a path in an image is absolute")?;
                let at = stage.path().join(inside);
                fs::create_dir_all(at.parent().context("a file is in a folder")?)?;
                fs::copy(from, &at)
                    .with_context(|| format!("{} could not be read", from.display()))?;
                let first = inside.components().next();
                let first = first.context("a file has a name")?;
                command
                    .args(STEADY)
                    .args(["--mode=755", "-C"])
                    .arg(stage.path())
                    .arg(first);
                run(command).map(drop)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a tar holds: a line for each entry.
    fn entries(tar: &Path) -> String {
        let mut command = Command::new("tar");
        command.arg("-tvf").arg(tar).env("TZ", "UTC");
        run(command).unwrap()
    }

    #[test]
    fn the_same_program_gives_the_same_bytes_whenever_and_by_whomever() {
        let folder = tempfile::tempdir().unwrap();
        let mut written = Vec::new();
        for number in 0..2 {
            let program = folder.path().join(format!("program-{number}"));
            fs::write(&program, "program").unwrap();
            let mut touch = Command::new("touch");
            touch
                .arg(format!("--date=2026-01-0{}", number + 1))
                .arg(&program);
            run(touch).unwrap();
            let archive = folder.path().join(format!("{number}/image.tar"));
            let image = Image::of_program("enmesh:1", &program);
            let digest = image.write(&archive).unwrap();
            written.push((digest, fs::read(&archive).unwrap()));
        }
        assert!(written[0] == written[1]);
        let held = entries(&folder.path().join("0/image.tar"));
        for name in ["oci-layout", "index.json", "manifest.json", "blobs/sha256/"] {
            assert!(held.contains(name), "{held}");
        }
    }

    #[test]
    fn a_program_is_all_that_its_image_holds() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        fs::write(&program, "program").unwrap();
        let layer = &Image::of_program("enmesh:1", &program).layers[0];
        let tar = folder.path().join("layer.tar");
        layer.write_tar(folder.path(), &tar).unwrap();
        let held = entries(&tar);
        assert_eq!(
            held,
            "-rwxr-xr-x root/root         7 1970-01-01 00:00 enmesh\n"
        );
    }
}
