//! The shipped image: what Debian's skopeo reads in the archive, and that the Dockerfile makes the same with Debian's buildah.

use std::fs;
use std::path::Path;
use std::process::Command;

use enmesh_interop::{CheckedImage, Image};

/// The root of the repository.
const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

#[test]
fn archive_and_dockerfile_make_the_same_image() {
    let folder = tempfile::tempdir().unwrap();
    // The program comes out of the very archive: what is compared is what is around it.
    let archive = folder.path().join("enmesh.tar");
    let image = Image::enmesh().unwrap().named(&Image::release_name());
    image.write(&archive).unwrap();
    let ours = CheckedImage::read(&archive).unwrap();
    let settings = &ours.config()["config"];
    assert_eq!(settings["Entrypoint"], serde_json::json!(["/enmesh"]));
    let of_docker = CheckedImage::config_for_docker(&archive).unwrap();
    assert_eq!(of_docker["config"], *settings);
    assert!(ours.run(&["--version"]).unwrap().starts_with("enmesh "));

    let theirs = built_by_buildah(ours.root(), folder.path());
    let theirs = CheckedImage::read(&theirs).unwrap();
    assert_eq!(theirs.config()["config"], *settings);
    assert_eq!(
        theirs.config()["architecture"],
        ours.config()["architecture"]
    );
    assert_eq!(digest(&theirs), digest(&ours));
    assert!(theirs.run(&["--version"]).unwrap().starts_with("enmesh "));
}

/// Builds the Dockerfile with `context`, and gives an archive.
fn built_by_buildah(context: &Path, folder: &Path) -> std::path::PathBuf {
    let archive = folder.join("buildah.tar");
    let store = folder.join("store");
    let buildah = |args: &[&str]| {
        let mut command = Command::new("buildah");
        command
            .args(["--storage-driver", "vfs", "--root"])
            .arg(store.join("root"))
            .arg("--runroot")
            .arg(store.join("run"))
            .args(args);
        let output = command.output().expect("buildah is installed");
        assert!(output.status.success(), "{command:?}: {output:?}");
    };
    let file = format!("{REPOSITORY}/Dockerfile");
    let context = context.to_str().unwrap();
    buildah(&[
        "build",
        "--isolation",
        "chroot",
        "--identity-label=false",
        "--file",
        &file,
        "--tag",
        "enmesh",
        context,
    ]);
    buildah(&[
        "push",
        "enmesh",
        &format!("oci-archive:{}", archive.display()),
    ]);
    archive
}

/// The digest of the only file.
fn digest(image: &CheckedImage) -> String {
    let files: Vec<_> = fs::read_dir(image.root()).unwrap().flatten().collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let output = Command::new("sha256sum")
        .arg(files[0].path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (digest, _) = text.split_once(' ').unwrap();
    format!("{} {digest}", files[0].file_name().display())
}
