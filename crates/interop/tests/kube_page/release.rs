//! The release of the page: a Mix release that knows nothing of other nodes, in an image with a shell.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use enmesh_interop::{Image, Otp};

const MIX: &str = r#"
defmodule Shop.MixProject do
  use Mix.Project
  def project, do: [app: :shop, version: "1.0.0", elixir: "~> 1.14", deps: []]
  def application, do: [mod: {Shop, []}]
end
"#;

const SHOP: &str = r#"
defmodule Shop do
  use Application
  def start(_type, _args), do: Task.start_link(fn -> Process.sleep(:infinity) end)
end
"#;

/// The image: `/app/bin/shop start` on Debian 12, whose Erlang the release brings along.
pub(crate) fn image(folder: &Path) -> Result<Image> {
    let (project, root) = (folder.join("project"), folder.join("root"));
    fs::create_dir_all(project.join("lib"))?;
    fs::create_dir_all(root.join("app"))?;
    fs::write(project.join("mix.exs"), MIX)?;
    fs::write(project.join("lib/shop.ex"), SHOP)?;
    let built = Command::new("mix")
        .args(["release", "--quiet"])
        .current_dir(&project)
        .env("MIX_ENV", "prod")
        .env("HOME", &project)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .context("mix could not be started: apt-get install elixir")?;
    ensure!(built.status.success(), "mix release: {built:?}");
    let mut copy = Command::new("cp");
    copy.arg("-r")
        .arg(project.join("_build/prod/rel/shop/."))
        .arg(root.join("app"));
    ensure!(copy.status()?.success(), "the release could not be copied");
    fs::write(root.join("start"), "#!/bin/sh\nexec /app/bin/shop start\n")?;
    let image = Image::beam(Otp::R25)?
        .with_root(&root)
        .with_user("1000:1000");
    Ok(image
        .with_file(&root.join("start"), "/start")
        .with_command("/start"))
}
