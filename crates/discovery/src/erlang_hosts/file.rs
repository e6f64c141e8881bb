//! Where `.hosts.erlang` is, and what it holds.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use enmesh_membership::{FailureKind, Update};

use super::terms::{TermsError, hosts};
use crate::Environment;
use crate::epmd_all::{distinct, is_host};
use crate::epmd_hosts::MAX_HOSTS;
use crate::failure::failed;

const NAME: &str = ".hosts.erlang";

/// The longest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The directories that are searched, in the order of OTP's net_adm.
#[derive(Debug)]
pub(super) struct HostsFile {
    directories: Vec<PathBuf>,
}

/// Why there are no hosts.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("there is no {NAME} in {searched}; write one there, a line 'host.name'. for each host")]
    Absent { searched: String },
    #[error("{}: {error}", path.display())]
    Unreadable {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("{}: it is no file", path.display())]
    NoFile { path: PathBuf },
    #[error("{}: more than {MAX_FILE_BYTES} bytes or {MAX_HOSTS} hosts are not read", path.display())]
    TooLong { path: PathBuf },
    #[error("{}: it is not in UTF-8", path.display())]
    NotText { path: PathBuf },
    #[error("{}: {error}", path.display())]
    Terms { path: PathBuf, error: TermsError },
    #[error("{}: {host:?} is no host name", path.display())]
    BadHost { path: PathBuf, host: String },
    /// A file that is just being written is empty, too.
    #[error("{}: it names no host", path.display())]
    Empty { path: PathBuf },
}

impl FileError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Absent { .. } => FailureKind::NotFound,
            Self::Empty { .. } => FailureKind::Empty,
            Self::Unreadable { error, .. } if error.kind() == ErrorKind::PermissionDenied => {
                FailureKind::Forbidden
            }
            Self::Unreadable { .. } | Self::NoFile { .. } => FailureKind::Other,
            Self::TooLong { .. }
            | Self::NotText { .. }
            | Self::Terms { .. }
            | Self::BadHost { .. } => FailureKind::Malformed,
        }
    }
}

impl HostsFile {
    pub(super) fn new(environment: &Environment) -> Self {
        let home = environment.get("HOME").map(PathBuf::from);
        let directories = [Some(PathBuf::from(".")), home, otp_root(environment)];
        Self {
            directories: directories.into_iter().flatten().collect(),
        }
    }

    /// The hosts of the first such file there is; a file that is wrong hides those after it, as in
    /// OTP.
    pub(super) fn read(&self) -> Result<Vec<String>, Update> {
        self.hosts()
            .map_err(|error| failed(error.kind(), error.to_string()))
    }

    fn hosts(&self) -> Result<Vec<String>, FileError> {
        for directory in &self.directories {
            let path = directory.join(NAME);
            match std::fs::metadata(&path) {
                Ok(about) if about.is_file() => return read(path),
                Ok(_) => return Err(FileError::NoFile { path }),
                Err(error) if is_absent(error.kind()) => {}
                Err(error) => return Err(FileError::Unreadable { path, error }),
            }
        }
        let searched = self
            .directories
            .iter()
            .map(|path| path.display().to_string());
        let searched = searched.collect::<Vec<_>>().join(", ");
        Err(FileError::Absent { searched })
    }
}

fn is_absent(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn read(path: PathBuf) -> Result<Vec<String>, FileError> {
    let mut bytes = Vec::new();
    let reading =
        File::open(&path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
    if let Err(error) = reading {
        return Err(FileError::Unreadable { path, error });
    }
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(FileError::TooLong { path });
    }
    let Ok(text) = String::from_utf8(bytes) else {
        return Err(FileError::NotText { path });
    };
    let found = match hosts(&text) {
        Ok(found) => distinct(found),
        Err(error) => return Err(FileError::Terms { path, error }),
    };
    if found.len() > MAX_HOSTS {
        return Err(FileError::TooLong { path });
    }
    match found.iter().find(|host| !is_host(host)) {
        Some(host) => {
            let host = host.clone();
            Err(FileError::BadHost { path, host })
        }
        None if found.is_empty() => Err(FileError::Empty { path }),
        None => Ok(found),
    }
}

/// The root of Erlang/OTP: what its own start script is told, else the directory that holds the
/// `bin` in which the `erl` of the search path really is.
fn otp_root(environment: &Environment) -> Option<PathBuf> {
    for variable in ["ROOTDIR", "ERL_ROOTDIR"] {
        if let Some(root) = environment.get(variable) {
            return Some(root.into());
        }
    }
    let path = environment.get("PATH")?;
    let erl = std::env::split_paths(path)
        .map(|directory| directory.join("erl"))
        .find(|erl| erl.is_file())?;
    let erl = erl.canonicalize().ok()?;
    let root = erl.parent()?.parent()?;
    is_otp(root).then(|| root.to_owned())
}

/// A wrapper that some version manager puts in the place of `erl` stands in no such directory.
fn is_otp(root: &Path) -> bool {
    root.join("releases").is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(file: &HostsFile) -> Option<FailureKind> {
        file.hosts().err().map(|error| error.kind())
    }

    #[test]
    fn the_first_file_there_is_counts_even_if_it_is_wrong() {
        let [first, second] = [0, 1].map(|_| tempfile::tempdir().unwrap());
        let file = HostsFile {
            directories: vec![first.path().to_owned(), second.path().to_owned()],
        };
        assert_eq!(kind(&file), Some(FailureKind::NotFound));
        std::fs::write(second.path().join(NAME), "b.\nb.\n").unwrap();
        assert_eq!(file.hosts().unwrap(), ["b"]);
        let hosts = first.path().join(NAME);
        std::fs::write(&hosts, "a.").unwrap();
        assert_eq!(file.hosts().unwrap(), ["a"]);
        for (text, expected) in [
            ("", FailureKind::Empty),
            ("a", FailureKind::Malformed),
            ("'a b'.", FailureKind::Malformed),
            ("'a@b'.", FailureKind::Malformed),
        ] {
            std::fs::write(&hosts, text).unwrap();
            assert_eq!(kind(&file), Some(expected), "{text}");
        }
        std::fs::write(&hosts, [0xff, b'.']).unwrap();
        assert_eq!(kind(&file), Some(FailureKind::Malformed));
        std::fs::write(&hosts, vec![b' '; (MAX_FILE_BYTES + 1) as usize]).unwrap();
        assert_eq!(kind(&file), Some(FailureKind::Malformed));
        std::fs::remove_file(&hosts).unwrap();
        std::fs::create_dir(&hosts).unwrap();
        assert_eq!(kind(&file), Some(FailureKind::Other));
    }

    #[test]
    fn the_root_of_otp_is_told_or_found_by_its_program() {
        let root = tempfile::tempdir().unwrap();
        let otp = root.path().canonicalize().unwrap().join("otp");
        let bin = root.path().join("usr-bin");
        for directory in [otp.join("bin"), otp.join("releases"), bin.clone()] {
            std::fs::create_dir_all(directory).unwrap();
        }
        std::fs::write(otp.join("bin/erl"), "").unwrap();
        let path = [("PATH", bin.to_str().unwrap().to_owned())];
        let path = Environment::from_iter(path);
        assert_eq!(otp_root(&path), None);
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(otp.join("bin/erl"), bin.join("erl")).unwrap();
            assert_eq!(otp_root(&path), Some(otp.clone()));
        }
        let told = Environment::from_iter([("ROOTDIR", "/opt/otp")]);
        assert_eq!(otp_root(&told), Some(PathBuf::from("/opt/otp")));
        std::fs::remove_dir(otp.join("releases")).unwrap();
        assert_eq!(otp_root(&path), None);
    }
}
