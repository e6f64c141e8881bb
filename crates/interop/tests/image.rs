//! The shipped image: what Debian's skopeo reads in the archive, that the Dockerfile makes the same with Debian's buildah, and that
//! other Dockerfiles take the program out of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use enmesh_interop::{CheckedImage, Image};

/// The root of the repository.
const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// What the pages call the image.
const NAME: &str = "registry.example.org/enmesh:0.1.0";

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

    let buildah = Buildah::new(folder.path());
    buildah.build(&repository("Dockerfile"), ours.root(), NAME, &[]);
    let theirs = buildah.read(NAME);
    assert_eq!(theirs.config()["config"], *settings);
    assert_eq!(
        theirs.config()["architecture"],
        ours.config()["architecture"]
    );
    assert_eq!(digest(&theirs), digest(&ours));
    assert!(theirs.run(&["--version"]).unwrap().starts_with("enmesh "));

    the_pages_put_the_program_into_an_image(&buildah, &ours);
    the_example_has_images(&buildah);
}

/// The line of the pages that takes the program out of the image, of which they all have the same.
fn the_pages_put_the_program_into_an_image(buildah: &Buildah<'_>, ours: &CheckedImage) {
    let lines = ["kubernetes", "image", "releases"].map(|page| {
        let page = fs::read_to_string(repository(&format!("docs/{page}.md"))).unwrap();
        let begin = page.find("COPY --from=").expect("the page has a COPY");
        let rest = &page[begin..];
        let end = rest.find(['`', '\n']).expect("the line ends");
        rest[..end].to_owned()
    });
    assert!(lines.iter().all(|line| *line == lines[0]), "{lines:?}");
    let file = buildah.folder.join("Dockerfile");
    fs::write(&file, format!("FROM scratch\n{}\n", lines[0])).unwrap();
    buildah.build(&file, ours.root(), "shop", &[]);
    let shop = buildah.read("shop");
    // Where `enmesh manifests` and the lines of env.sh have it, too.
    let put = fs::read(shop.root().join("opt/enmesh/enmesh")).unwrap();
    assert!(put == fs::read(ours.root().join("enmesh")).unwrap());
}

/// The Dockerfiles of examples/elixir-and-rust, with files that stand for the programs, and nothing for the system below.
fn the_example_has_images(buildah: &Buildah<'_>) {
    let context = buildah.folder.join("context");
    for file in ["app/bin/front", "prices"] {
        let path = context.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }
    for (part, file, command) in [
        ("elixir", "app/bin/front", "/app/bin/front"),
        ("rust", "prices", "/prices"),
    ] {
        let dockerfile = repository(&format!("examples/elixir-and-rust/{part}/Dockerfile"));
        buildah.build(&dockerfile, &context, part, &["BASE=scratch"]);
        let image = buildah.read(part);
        let settings = &image.config()["config"];
        assert_eq!(settings["User"], "65532:65532", "{part}");
        assert_eq!(settings["Entrypoint"][0], command, "{part}");
        assert!(image.root().join(file).is_file(), "{part}");
    }
}

/// A file of the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(REPOSITORY).join(path)
}

/// buildah with a store of its own.
struct Buildah<'f> {
    folder: &'f Path,
    store: PathBuf,
}

impl<'f> Buildah<'f> {
    fn new(folder: &'f Path) -> Self {
        let store = folder.join("store");
        Self { folder, store }
    }

    /// Builds a Dockerfile with `context`, out of images that are in the store already.
    fn build(&self, file: &Path, context: &Path, name: &str, arguments: &[&str]) {
        let mut args = vec!["build", "--isolation", "chroot", "--identity-label=false"];
        args.extend(["--pull=never", "--tag", name]);
        args.extend(arguments.iter().flat_map(|it| ["--build-arg", it]));
        let (file, context) = (file.to_str().unwrap(), context.to_str().unwrap());
        self.run(&[&args[..], &["--file", file, context]].concat());
    }

    /// What skopeo reads in the archive that it makes of an image.
    fn read(&self, name: &str) -> CheckedImage {
        let archive = self.folder.join("buildah.tar");
        let _ = fs::remove_file(&archive);
        self.run(&["push", name, &format!("oci-archive:{}", archive.display())]);
        CheckedImage::read(&archive).unwrap()
    }

    fn run(&self, args: &[&str]) {
        let mut command = Command::new("buildah");
        command
            .args(["--storage-driver", "vfs", "--root"])
            .arg(self.store.join("root"))
            .arg("--runroot")
            .arg(self.store.join("run"))
            .args(args);
        let output = command.output().expect("buildah is installed");
        assert!(output.status.success(), "{command:?}: {output:?}");
    }
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
