//! What a BEAM must be told: pure, from a name and a way to ports, to variables and arguments.

use enmesh_identity::{Cookie, NameForm, NodeName};

/// The variable whose words `elixir` hands to `erl`.
pub(super) const ERL_OPTIONS: &str = "ELIXIR_ERL_OPTIONS";

/// The variable that says at which port epmd is, to every BEAM.
const EPMD_PORT: &str = "ERL_EPMD_PORT";

/// The commands of an Elixir release that start the node itself.
const STARTING: [&str; 4] = ["start", "start_iex", "daemon", "daemon_iex"];

/// The node that a release is to be.
#[derive(Debug)]
pub(super) struct Release {
    pub(super) name: NodeName,
    pub(super) cookie: Option<Cookie>,
    pub(super) is_ipv6: bool,
    pub(super) ports: Ports,
    /// Where epmd is asked, if it is.
    pub(super) epmd_port: u16,
    /// The file with the options of TLS, if links run over it.
    pub(super) tls_options: Option<String>,
}

/// Where nodes listen and how they are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ports {
    /// Anywhere, and epmd tells.
    Any,
    /// Here, and epmd tells.
    Fixed(u16),
    /// All here, and there is no epmd.
    Shared(u16),
}

/// Arguments of erl that belong together.
type Group = Vec<String>;

/// Whether this command of a release starts the node; what is no command of one does.
pub(super) fn starts(command: Option<&str>) -> bool {
    command.is_none_or(|command| STARTING.contains(&command))
}

impl Release {
    /// The variables for a command that starts the node, or for one that only asks it.
    pub(super) fn variables(&self, starts: bool, erl_options: &str) -> Vec<(&'static str, String)> {
        let distribution = match self.name.form() {
            NameForm::Long => "name",
            NameForm::Short => "sname",
        };
        let mut variables = vec![
            ("RELEASE_DISTRIBUTION", distribution.to_owned()),
            ("RELEASE_NODE", self.name.to_string()),
        ];
        if let Some(cookie) = &self.cookie {
            let text = String::from_utf8_lossy(cookie.expose()).into_owned();
            variables.push(("RELEASE_COOKIE", text));
        }
        if let Ports::Shared(port) = self.ports {
            variables.push(("ERL_DIST_PORT", port.to_string()));
        } else if self.has_other_epmd() {
            variables.push((EPMD_PORT, self.epmd_port.to_string()));
        }
        let words = merge(erl_options, self.arguments(starts));
        if !words.is_empty() || !erl_options.trim().is_empty() {
            variables.push((ERL_OPTIONS, words));
        }
        variables
    }

    /// The same as arguments of an erl that is to be the node, one to a line.
    pub(super) fn vm_args(&self) -> String {
        let form = match self.name.form() {
            NameForm::Long => "-name",
            NameForm::Short => "-sname",
        };
        let name = vec![form.to_owned(), self.name.to_string()];
        let mut text = String::new();
        let epmd = vec![
            "-env".to_owned(),
            EPMD_PORT.to_owned(),
            self.epmd_port.to_string(),
        ];
        let epmd = Some(epmd).filter(|_| self.has_other_epmd());
        for group in std::iter::once(name)
            .chain(epmd)
            .chain(self.arguments(true))
        {
            text.push_str(&group.join(" "));
            text.push('\n');
        }
        if self.cookie.is_some() {
            text.push_str(
                "# The cookie is not here: everybody could read it off the command line of the VM. \
                 Copy its file to\n# ~/.erlang.cookie with mode 0400, or give RELEASE_COOKIE to a \
                 start script.\n",
            );
        }
        text
    }

    /// Whether epmd is asked at another port than a BEAM does by itself.
    fn has_other_epmd(&self) -> bool {
        !matches!(self.ports, Ports::Shared(_)) && self.epmd_port != enmesh_epmd::DEFAULT_PORT
    }

    fn arguments(&self, starts: bool) -> Vec<Group> {
        let group = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let mut groups: Vec<Group> = Vec::new();
        let carrier = match (self.is_ipv6, &self.tls_options) {
            (false, None) => None,
            (true, None) => Some("inet6_tcp"),
            (false, Some(_)) => Some("inet_tls"),
            (true, Some(_)) => Some("inet6_tls"),
        };
        groups.extend(carrier.map(|carrier| group(&["-proto_dist", carrier])));
        let options = self.tls_options.as_deref();
        groups.extend(options.map(|file| group(&["-ssl_dist_optfile", file])));
        match self.ports {
            // Here this is the port of every other node as well, so that those who only ask need it.
            Ports::Shared(port) => {
                groups.push(group(&["-start_epmd", "false"]));
                groups.push(group(&["-erl_epmd_port", &port.to_string()]));
            }
            Ports::Fixed(port) if starts => {
                let port = port.to_string();
                let (least, most) = ("inet_dist_listen_min", "inet_dist_listen_max");
                groups.push(group(&["-kernel", least, &port, most, &port]));
            }
            Ports::Fixed(_) | Ports::Any => {}
        }
        if !starts {
            groups.push(group(&["-dist_listen", "false"]));
        }
        groups
    }
}

/// What the variable held, with ours in the place of those of the same name, which a release hands
/// down to every command that it starts itself.
fn merge(before: &str, groups: Vec<Group>) -> String {
    let is_ours = |word: &str| {
        word == "-dist_listen"
            || groups
                .iter()
                .any(|group| group[0] == word && word != "-kernel")
    };
    let mut words: Vec<&str> = Vec::new();
    let mut rest = before.split_whitespace().peekable();
    while let Some(word) = rest.next() {
        if is_ours(word) {
            rest.next_if(|value| !value.starts_with('-'));
        } else {
            words.push(word);
        }
    }
    let kernel = groups.iter().find(|group| group[0] == "-kernel");
    if let Some(kernel) = kernel {
        let same = |at: &usize| {
            words[*at..].starts_with(&kernel.iter().map(String::as_str).collect::<Vec<_>>())
        };
        if let Some(at) = (0..words.len()).find(same) {
            words.drain(at..at + kernel.len());
        }
    }
    words.extend(groups.iter().flatten().map(String::as_str));
    words.join(" ")
}
