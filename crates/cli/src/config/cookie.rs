//! Where the cookie comes from: always a file or Erlang's own variable, never the command line.

use std::fs::Metadata;
use std::path::{Path, PathBuf};

use enmesh_identity::Cookie;

use super::environment::Environment;
use super::error::{ConfigError, ConfigErrors, Origin};

/// More than this is no cookie's file. It bounds what a wrong path makes us read.
const MAX_COOKIE_FILE_BYTES: u64 = 4096;

/// What names the file at home.
const AT_HOME: &str = "the default, for want of --cookie-file, ENMESH_COOKIE_FILE, cookie_file and \
                       RELEASE_COOKIE";

/// What holds the cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CookieSource {
    /// The file that `cookie_file` names.
    File { path: PathBuf, origin: &'static str },
    /// The variable `RELEASE_COOKIE`, as a release's scripts set it.
    ReleaseCookie,
    /// Nothing was given and there is no home directory either.
    Nowhere,
}

impl CookieSource {
    /// The first that is given of: the setting `cookie_file`, `RELEASE_COOKIE`,
    /// `~/.erlang.cookie`.
    pub(crate) fn choose(setting: Option<(PathBuf, &Origin)>, environment: &Environment) -> Self {
        if let Some((path, origin)) = setting {
            let origin = match origin {
                Origin::Flag => "--cookie-file",
                Origin::Variable(name) => name,
                Origin::File(_) => "cookie_file",
            };
            return Self::File { path, origin };
        }
        if environment.get_filled("RELEASE_COOKIE").is_some() {
            return Self::ReleaseCookie;
        }
        match environment.get_filled("HOME") {
            Some(home) => Self::File {
                path: Path::new(home).join(".erlang.cookie"),
                origin: AT_HOME,
            },
            None => Self::Nowhere,
        }
    }
}

impl CookieSource {
    /// Whether it is a file that somebody named.
    pub(crate) fn is_given(&self) -> bool {
        matches!(self, Self::File { origin, .. } if *origin != AT_HOME)
    }
}

impl std::fmt::Display for CookieSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { path, .. } => write!(f, "the file {}", path.display()),
            Self::ReleaseCookie => f.write_str("the variable RELEASE_COOKIE"),
            Self::Nowhere => f.write_str("nothing"),
        }
    }
}

/// The cookie that `source` holds. A file that others can read only warns: a mounted Secret is
/// such a file, and refusing it would keep every member in Kubernetes from starting.
pub(crate) fn load_cookie(
    source: &CookieSource,
    environment: &Environment,
) -> Result<Cookie, ConfigErrors> {
    match source {
        CookieSource::File { path, origin } => load_file(path, origin),
        CookieSource::ReleaseCookie => {
            Cookie::new(environment.get("RELEASE_COOKIE").unwrap_or_default())
                .map_err(|error| ConfigError::CookieVariable(error).into())
        }
        CookieSource::Nowhere => Err(ConfigError::Missing {
            what: "the cookie",
            next: "give --cookie-file FILE or ENMESH_COOKIE_FILE=FILE",
        }
        .into()),
    }
}

/// The cookie in the file at `path`, which `origin` names.
pub(super) fn load_file(path: &Path, origin: &'static str) -> Result<Cookie, ConfigErrors> {
    read_cookie(path).map_err(|reason| {
        ConfigError::Cookie {
            path: path.to_owned(),
            reason,
            origin,
        }
        .into()
    })
}

fn read_cookie(path: &Path) -> Result<Cookie, String> {
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("not a file".to_owned());
    }
    if metadata.len() > MAX_COOKIE_FILE_BYTES {
        return Err("too long for a cookie's file".to_owned());
    }
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let cookie = Cookie::new(bytes).map_err(|error| error.to_string())?;
    if is_open_to_others(&metadata, path) {
        tracing::warn!(
            file = %path.display(),
            hint = "chmod 600; of a mounted Secret, defaultMode 0400 and fsGroup",
            "cookie file can be read by others"
        );
    }
    Ok(cookie)
}

#[cfg(unix)]
fn is_open_to_others(metadata: &Metadata, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;

    let is_ours = metadata.uid() == rustix::process::geteuid().as_raw();
    is_open(metadata.mode(), is_ours && !is_mounted(path))
}

/// A file that is not ours we read by our group, and one that is mounted has the group of `fsGroup`, whose right Kubernetes adds
/// for everybody in the pod, whoever we are: then that is no fault.
#[cfg(unix)]
fn is_open(mode: u32, is_ours_alone: bool) -> bool {
    let needed = if is_ours_alone { 0o700 } else { 0o740 };
    mode & 0o777 & !needed != 0
}

/// Whether Kubernetes has put it there: of a mounted Secret every file leads over `..data`.
#[cfg(unix)]
fn is_mounted(path: &Path) -> bool {
    let beside = path.with_file_name("..data");
    beside.symlink_metadata().is_ok()
}

#[cfg(not(unix))]
fn is_open_to_others(_: &Metadata, _: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The source that is chosen when these are given, in words.
    fn check(setting: Option<(&str, Origin)>, variables: &[(&str, &str)], expected: &str) {
        let environment = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let setting = setting
            .as_ref()
            .map(|(path, origin)| (PathBuf::from(path), origin));
        let chosen = match CookieSource::choose(setting, &environment.collect()) {
            CookieSource::File { path, .. } => path.display().to_string(),
            CookieSource::ReleaseCookie => "RELEASE_COOKIE".to_owned(),
            CookieSource::Nowhere => "nowhere".to_owned(),
        };
        assert_eq!(chosen, expected);
    }

    #[test]
    fn the_first_that_is_given_counts() {
        let home = ("HOME", "/home/me");
        let release = ("RELEASE_COOKIE", "c");
        check(Some(("/a", Origin::Flag)), &[release, home], "/a");
        check(
            Some(("/b", Origin::Variable("ENMESH_COOKIE_FILE"))),
            &[release, home],
            "/b",
        );
        check(
            Some(("/c", Origin::File("enmesh.toml".into()))),
            &[release, home],
            "/c",
        );
        check(None, &[release, home], "RELEASE_COOKIE");
        check(
            None,
            &[("RELEASE_COOKIE", ""), home],
            "/home/me/.erlang.cookie",
        );
        check(None, &[home], "/home/me/.erlang.cookie");
        check(None, &[], "nowhere");
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_or_the_group_that_must_read_it_may_read_it() {
        for (mode, is_ours_alone, expected) in [
            (0o100_600, true, false),
            (0o100_640, true, true),
            (0o100_644, true, true),
            // A Secret with defaultMode 0400, for a pod with fsGroup, and one with the default of 0644.
            (0o100_440, false, false),
            (0o100_644, false, true),
            (0o100_460, false, true),
        ] {
            assert_eq!(is_open(mode, is_ours_alone), expected, "{mode:o}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn of_a_mounted_secret_the_group_may_read_it_also_where_it_is_ours() {
        use std::fs::Permissions;
        use std::os::unix::fs::PermissionsExt as _;

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cookie");
        std::fs::write(&path, "secret").unwrap();
        let is_open = || is_open_to_others(&std::fs::metadata(&path).unwrap(), &path);
        std::fs::set_permissions(&path, Permissions::from_mode(0o440)).unwrap();
        assert!(is_open());
        // As the kubelet lays a Secret out.
        let data = directory.path().join("..2026_01_01");
        std::fs::create_dir(&data).unwrap();
        std::fs::rename(&path, data.join("cookie")).unwrap();
        let link = std::os::unix::fs::symlink::<&str, _>;
        link("..2026_01_01", directory.path().join("..data")).unwrap();
        link("..data/cookie", path.clone()).unwrap();
        assert!(!is_open());
        std::fs::set_permissions(&path, Permissions::from_mode(0o444)).unwrap();
        assert!(is_open());
    }

    #[test]
    fn a_line_break_at_the_end_of_the_file_does_not_count() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cookie");
        std::fs::write(&path, "secret\r\n").unwrap();
        let source = CookieSource::File {
            path,
            origin: "--cookie-file",
        };
        let cookie = load_cookie(&source, &Environment::default()).unwrap();
        assert_eq!(cookie.expose(), b"secret");
    }

    #[test]
    fn what_is_no_cookie_file_is_refused_without_a_word_of_its_text() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cookie");
        let refused = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let source = CookieSource::File {
                path: path.clone(),
                origin: "--cookie-file",
            };
            load_cookie(&source, &Environment::default())
                .unwrap_err()
                .to_string()
        };
        assert!(refused("").contains("the cookie is empty"));
        assert!(refused(&"x".repeat(5000)).contains("too long for a cookie's file"));
        let text = refused("top-secret\n\u{1}more");
        assert!(
            text.contains("printable ASCII") && !text.contains("top-secret"),
            "{text}"
        );
    }
}
