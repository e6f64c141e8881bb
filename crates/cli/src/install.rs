//! `enmesh install`: the program copies itself out of its image, which has no shell to do it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::exit::Failure;

/// What `install` takes.
#[derive(Args, Debug)]
#[command(after_help = "\
For an init container that hands the program to a container whose image does not have it:
  initContainers:
  - name: install-enmesh
    image: enmesh
    args: [install, --to, /opt/enmesh]
    volumeMounts: [{name: enmesh, mountPath: /opt/enmesh}]
The other container mounts the same volume, an emptyDir, and finds /opt/enmesh/enmesh there.

Exit codes: 0 it is there, 64 wrong usage, 1 it cannot be written.")]
pub(crate) struct InstallOptions {
    /// The folder that gets the program, as `enmesh`; it is made if it is missing.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

/// Copies the program, in one step for whoever looks.
pub(crate) fn run(options: &InstallOptions) -> Result<(), Failure> {
    let program = std::env::current_exe().map_err(failed("find this program"))?;
    let installed = install(&program, &options.to)?;
    eprintln!("enmesh: installed {}", installed.display());
    Ok(())
}

fn install(program: &Path, folder: &Path) -> Result<PathBuf, Failure> {
    fs::create_dir_all(folder).map_err(failed("make the folder"))?;
    let installed = folder.join("enmesh");
    let written =
        tempfile::NamedTempFile::new_in(folder).map_err(failed("write into the folder"))?;
    fs::copy(program, written.path()).map_err(failed("copy this program"))?;
    make_executable(written.path()).map_err(failed("make the copy a program"))?;
    let moved = written.persist(&installed);
    moved.map_err(|error| failed("put the copy in its place")(error.error))?;
    Ok(installed)
}

/// For everybody: the other container most likely has another user.
fn make_executable(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

fn failed(doing: &'static str) -> impl Fn(io::Error) -> Failure {
    move |error| Failure::System { doing, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn the_program_is_copied_for_everybody_and_over_an_old_one() {
        use std::os::unix::fs::PermissionsExt as _;

        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("program");
        fs::write(&program, "new").unwrap();
        let folder = directory.path().join("a/b");
        for text in ["new", "newer"] {
            fs::write(&program, text).unwrap();
            let installed = install(&program, &folder).unwrap();
            assert_eq!(fs::read_to_string(&installed).unwrap(), text);
            let mode = fs::metadata(&installed).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o755);
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let error = install(&file, &file.join("below")).unwrap_err();
        assert!(error.to_string().contains("make the folder"), "{error}");
    }
}
