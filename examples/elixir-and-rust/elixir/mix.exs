defmodule Front.MixProject do
  use Mix.Project

  # No dependency: who belongs to the cluster is the sidecar's business.
  def project, do: [app: :front, version: "0.1.0", elixir: "~> 1.14", deps: []]
  def application, do: [mod: {Front, []}, extra_applications: [:logger]]
end
