defmodule Front.Greeter do
  @moduledoc "A GenServer in the group `:greeters`, which Rust calls."
  use GenServer

  def start_link(_), do: GenServer.start_link(__MODULE__, nil, name: __MODULE__)

  @impl true
  def init(nil) do
    :ok = :pg.join(:greeters, self())
    {:ok, nil}
  end

  @impl true
  def handle_call({:greet, who}, _from, state) do
    {:reply, "hello #{who}, this is #{node()}", state}
  end
end
