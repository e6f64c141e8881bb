defmodule Front.Buyer do
  @moduledoc "Asks one of the group `:prices`, which is written in Rust, again and again."
  use GenServer

  def start_link(_), do: GenServer.start_link(__MODULE__, nil)

  @impl true
  def init(nil), do: {:ok, nil, {:continue, :ask}}

  @impl true
  def handle_continue(:ask, state), do: ask(state)

  @impl true
  def handle_info(:ask, state), do: ask(state)
  # A reply that came after its time.
  def handle_info(_late, state), do: {:noreply, state}

  defp ask(state) do
    case :pg.get_members(:prices) do
      [] -> IO.puts("nobody knows prices yet")
      servers -> IO.puts(price(Enum.random(servers)))
    end

    Process.send_after(self(), :ask, 1_000)
    {:noreply, state}
  end

  defp price(server) do
    {:ok, cents} = GenServer.call(server, {:price, "apple"})
    "an apple costs #{cents} cents, says #{node(server)}"
  catch
    :exit, {reason, _call} -> "no price: #{inspect(reason)}"
  end
end
