//! Real Erlang nodes, driven over their standard input.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{ChildStdin, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::netns::NetNs;
use crate::output::Output;
use crate::peers::Otp;
use crate::process::{Process, poll_until};

const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long one expression may take, unless told otherwise.
const EVAL_TIMEOUT: Duration = Duration::from_secs(15);

/// Reads lines `ID HEX` from standard input, evaluates each text in a process of its own and prints one line `@enmesh ID ok|error HEX`.
///
/// Both ways are hex, so that neither a line end nor an encoding can break the frame. Without standard input the node ends.
/// Lines are binaries once Elixir has been started in the node.
const CONTROL_LOOP: &str = r#"
Say = fun(Id, Tag, Term) ->
    Text = unicode:characters_to_binary(io_lib:format("~0tp", [Term])),
    io:put_chars(["\n@enmesh ", Id, " ", Tag, " ", binary:encode_hex(Text), "\n"])
end,
Eval = fun(Id, Text) ->
    try
        {ok, Tokens, _} = erl_scan:string(Text ++ "."),
        {ok, Exprs} = erl_parse:parse_exprs(Tokens),
        {value, Value, _} = erl_eval:exprs(Exprs, []),
        Say(Id, "ok", Value)
    catch Class:Reason:Stack ->
        Say(Id, "error", {Class, Reason, Stack})
    end
end,
Loop = fun Loop() ->
    case io:get_line("") of
        %% Elixir, once it is started, makes standard input give binaries.
        Line when is_list(Line); is_binary(Line) ->
            [Id, Hex] = string:lexemes(Line, " \n"),
            Text = unicode:characters_to_list(binary:decode_hex(iolist_to_binary(Hex))),
            spawn(fun() -> Eval(Id, Text) end),
            Loop();
        _ -> halt(0)
    end
end,
spawn(fun() -> io:put_chars("\n@enmesh ready\n"), Loop() end).
"#;

/// A running Erlang node. It ends when this is dropped.
///
/// The control channel is its standard input and output, never the distribution, so it works while the node is cut off.
pub struct Beam {
    name: String,
    process: Process,
    stdin: ChildStdin,
    output: Output,
    next_id: u64,
}

impl Beam {
    /// Starts a node `name` (`alive@host`) with `cookie` in `ns`; `extra` is added to the command line of `erl`.
    ///
    /// A host with a dot or a colon makes a long name, else it is a short one. The node starts no epmd: there must be one in
    /// `ns` (see [`Epmd`](crate::Epmd)), or `extra` must make it do without.
    pub fn start(otp: Otp, ns: &NetNs, name: &str, cookie: &str, extra: &[&str]) -> Result<Self> {
        let mut words = otp.prefix();
        words.push("erl".into());
        let mut command = ns.command(&words[0]);
        command
            .args(&words[1..])
            .args([name_flag(name), name, "-setcookie", cookie])
            .args(["-noshell", "-start_epmd", "false"])
            .args(extra)
            .args(["-eval", CONTROL_LOOP])
            .env("HOME", "/tmp")
            .env_remove("ERL_AFLAGS")
            .env_remove("ERL_FLAGS")
            .env_remove("ERL_ZFLAGS")
            // The chroots are minimal and have no other locale.
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = Process::start(format!("{otp} node {name}"), command)?;
        let stdin = process.child_mut().stdin.take().context("stdin is piped")?;
        let stdout = process
            .child_mut()
            .stdout
            .take()
            .context("stdout is piped")?;
        let output = Output::collect(stdout);
        output
            .wait_for(START_TIMEOUT, |line| {
                (line == "@enmesh ready").then_some(())
            })
            .with_context(|| format!("{process} did not start"))?;
        Ok(Self {
            name: name.to_owned(),
            process,
            stdin,
            output,
            next_id: 0,
        })
    }

    /// The node's full name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Evaluates Erlang expressions (no full stop at the end) in a new process, and gives the value as `~0tp` prints it.
    pub fn eval(&mut self, expressions: &str) -> Result<String> {
        self.eval_within(EVAL_TIMEOUT, expressions)
    }

    /// Like [`Beam::eval`], with a time of your own; an expression that takes longer goes on by itself.
    pub fn eval_within(&mut self, timeout: Duration, expressions: &str) -> Result<String> {
        self.next_id += 1;
        let prefix = format!("@enmesh {} ", self.next_id);
        let mark = self.output.mark();
        writeln!(
            self.stdin,
            "{} {}",
            self.next_id,
            to_hex(expressions.as_bytes())
        )
        .with_context(|| format!("{} reads no more", self.process))?;
        let answer = self
            .output
            .wait_from(mark, timeout, |line| {
                line.strip_prefix(&prefix).map(str::to_owned)
            })
            .with_context(|| format!("{}: {expressions}", self.process))?;
        let (tag, hex) = answer.split_once(' ').context("an answer has two words")?;
        let text = String::from_utf8(from_hex(hex)?)?;
        if tag != "ok" {
            bail!("{}: {expressions}: {text}", self.process);
        }
        Ok(text)
    }

    /// Evaluates again and again until the value is `wanted`.
    pub fn wait_eval(&mut self, timeout: Duration, expressions: &str, wanted: &str) -> Result<()> {
        let what = format!("{} says {wanted} to {expressions}", self.name);
        poll_until(&what, timeout, || {
            let value = self.eval(expressions)?;
            anyhow::ensure!(value == wanted, "it says {value}");
            Ok(())
        })
    }

    /// The names in `erlang:nodes(connected)`, hidden ones included, sorted.
    pub fn connected(&mut self) -> Result<Vec<String>> {
        let text = self.eval("lists:sort([atom_to_list(N) || N <- nodes(connected)])")?;
        let names: Vec<String> = text
            .trim_matches(['[', ']'])
            .split(',')
            .map(|name| name.trim_matches('"').to_owned())
            .filter(|name| !name.is_empty())
            .collect();
        Ok(names)
    }

    /// All that it has printed.
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// The process, to kill, freeze and thaw it.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// SIGKILL.
    pub fn kill9(&mut self) -> Result<()> {
        self.process.kill9()
    }

    /// SIGSTOP.
    pub fn stop(&self) -> Result<()> {
        self.process.stop()
    }

    /// SIGCONT.
    pub fn cont(&self) -> Result<()> {
        self.process.cont()
    }
}

fn name_flag(name: &str) -> &'static str {
    let host = name.rsplit_once('@').map_or("", |(_, host)| host);
    if host.contains(['.', ':']) {
        "-name"
    } else {
        "-sname"
    }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02X}");
        text
    })
}

fn from_hex(text: &str) -> Result<Vec<u8>> {
    let digits: Vec<u32> = text
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .collect();
    anyhow::ensure!(
        digits.len() == text.len() && digits.len().is_multiple_of(2),
        "not hex: {text}"
    );
    Ok(digits
        .chunks_exact(2)
        .map(|pair| u8::try_from(pair[0] * 16 + pair[1]).expect("two hex digits fit a byte"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_there_and_back_is_the_same() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(from_hex(&to_hex(&bytes)).unwrap(), bytes);
        assert!(from_hex("0").is_err());
        assert!(from_hex("zz").is_err());
    }

    #[test]
    fn a_dot_or_a_colon_makes_a_long_name() {
        assert_eq!(name_flag("a@127.0.0.1"), "-name");
        assert_eq!(name_flag("a@::1"), "-name");
        assert_eq!(name_flag("a@host"), "-sname");
    }
}
