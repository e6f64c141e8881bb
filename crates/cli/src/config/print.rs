//! The merged configuration as a file that says the same.

use std::fmt::Write;

use toml::{Table, Value};

use super::cookie::CookieSource;
use super::merge::RunConfig;
use super::setting::{self, COOKIES_KEY, TOPOLOGY_KEY};

/// The configuration as TOML, every setting in it, the cookie never.
pub(crate) fn print(config: &RunConfig) -> String {
    let mut out = String::new();
    match &config.name {
        Some(name) => line(&mut out, "name", name.as_str()),
        None => out.push_str("# name is not set; give it with --name or ENMESH_NAME\n"),
    }
    match &config.cookie {
        CookieSource::File { path, .. } => {
            line(&mut out, "cookie_file", path.display().to_string());
        }
        CookieSource::ReleaseCookie => {
            out.push_str("# the cookie is the one in RELEASE_COOKIE\n");
        }
        CookieSource::Nowhere => {
            out.push_str("# cookie_file is not set, and there is no home directory\n");
        }
    }
    match &config.allow {
        Some((_, entries)) => line(&mut out, "allow", entries.clone()),
        None => out.push_str("# allow is not set: everybody who has the cookie is let in\n"),
    }
    line(&mut out, "visible", config.visible);
    line(&mut out, "listen", config.listen.to_string());
    line(&mut out, "dist_port", i64::from(config.dist_port));
    line(&mut out, "epmd", config.epmd.to_string());
    line(&mut out, "epmd_port", i64::from(config.epmd_port));
    let ticktime = humantime::format_duration(config.net_ticktime).to_string();
    line(&mut out, "net_ticktime", ticktime.replace(' ', ""));
    line(
        &mut out,
        "net_tickintensity",
        i64::from(config.net_tickintensity),
    );
    let auto_connect = setting::auto_connect_word(config.dist_auto_connect);
    line(&mut out, "dist_auto_connect", auto_connect);
    line(&mut out, "echo", config.echo);
    line(&mut out, "min_peers", i64::from(config.min_peers));
    line(&mut out, "prune", config.prune.to_string());
    line(&mut out, "on_leave", config.on_leave.to_string());
    match &config.on_event {
        Some(command) => line(&mut out, "on_event", command.clone()),
        None => out.push_str("# on_event is not set: no command is run\n"),
    }
    line(&mut out, "log_format", config.log_format.to_string());
    line(&mut out, "log_level", config.log_level.to_string());
    tables(&mut out, config);
    for topology in &config.topologies {
        let table = Table::try_from(topology).expect("a topology is a table of texts and lists");
        write!(out, "\n[[{TOPOLOGY_KEY}]]\n").expect("a String takes any text");
        for (key, value) in table {
            line(&mut out, &key, value);
        }
    }
    out
}

/// The tables with names of their own.
fn tables(out: &mut String, config: &RunConfig) {
    match &config.tls {
        Some(tls) => {
            out.push_str("\n[tls]\n");
            line(out, "cert_file", tls.cert_file.display().to_string());
            line(out, "key_file", tls.key_file.display().to_string());
            line(out, "ca_file", tls.ca_file.display().to_string());
            line(out, "verify_client", tls.verify_client);
        }
        None => out.push_str("# tls is not set: links run over plain TCP\n"),
    }
    match config.http_listen {
        Some(address) => {
            out.push_str("\n[http]\n");
            line(out, "listen", address.to_string());
        }
        None => out.push_str("# http is not set: nobody is told whether we live and are ready\n"),
    }
    if !config.cookies.is_empty() {
        write!(out, "\n[{COOKIES_KEY}]\n").expect("a String takes any text");
        for cookie in &config.cookies {
            let name = format!("{:?}", cookie.peer.as_str());
            line(out, &name, cookie.path.display().to_string());
        }
    }
}

fn line(out: &mut String, key: &str, value: impl Into<Value>) {
    writeln!(out, "{key} = {}", value.into()).expect("a String takes any text");
}
