defmodule Shop do
  @moduledoc "Knows nothing of clustering, and prints whom its VM sees come and go."
  use Application

  def start(_type, _args), do: Task.start_link(&watch/0)

  defp watch do
    :ok = :net_kernel.monitor_nodes(true)
    IO.puts("started #{node()}")
    # The VM may have been connected before any application ran.
    Enum.each(Node.list(), &send(self(), {:nodeup, &1}))
    tell(MapSet.new())
  end

  defp tell(known) do
    receive do
      {:nodeup, node} ->
        unless node in known, do: IO.puts("up #{node}")
        tell(MapSet.put(known, node))

      {:nodedown, node} ->
        IO.puts("down #{node}")
        tell(MapSet.delete(known, node))
    end
  end
end
