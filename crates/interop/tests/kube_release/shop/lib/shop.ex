defmodule Shop do
  @moduledoc "Knows nothing of clustering, and prints whom its VM sees come and go."
  use Application

  def start(_type, _args), do: Task.start_link(&watch/0)

  defp watch do
    :ok = :net_kernel.monitor_nodes(true)
    IO.puts("started #{node()}")
    tell()
  end

  defp tell do
    receive do
      {:nodeup, node} -> IO.puts("up #{node}")
      {:nodedown, node} -> IO.puts("down #{node}")
    end

    tell()
  end
end
