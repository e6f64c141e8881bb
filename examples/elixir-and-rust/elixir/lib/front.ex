defmodule Front do
  @moduledoc "Greets whoever asks, and asks the Rust service for prices."
  use Application

  def start(_type, _args) do
    children = [
      %{id: :pg, start: {:pg, :start_link, []}},
      Front.Greeter,
      Front.Buyer
    ]

    Supervisor.start_link(children, strategy: :one_for_one)
  end
end
