# What two nodes see of each other's Phoenix.PubSub, versions 2.0 to 2.3, written anew: the registry of Hex is not within reach of
# these tests. Names, groups, messages and the choice of a worker are the real ones; only what no other node can see is left out.

defmodule Phoenix.PubSub do
  def start_link(name, options) do
    pool = Keyword.get(options, :pool_size, 1)
    {:ok, _} = Registry.start_link(keys: :duplicate, name: name, partitions: pool)
    sending = Keyword.get(options, :broadcast_pool_size, pool)
    Phoenix.PubSub.PG2.start_link(name, adapter(name), pool, sending)
  end

  def subscribe(name, topic), do: {:ok, _} = Registry.register(name, topic, nil)

  def broadcast(name, topic, message, dispatcher \\ __MODULE__) do
    :ok = Phoenix.PubSub.PG2.broadcast(adapter(name), topic, message, dispatcher)
    hand_on(name, topic, :none, message, dispatcher)
  end

  def broadcast_from(name, from, topic, message, dispatcher \\ __MODULE__) do
    :ok = Phoenix.PubSub.PG2.broadcast(adapter(name), topic, message, dispatcher)
    hand_on(name, topic, from, message, dispatcher)
  end

  def direct_broadcast(node, name, topic, message, dispatcher \\ __MODULE__) do
    Phoenix.PubSub.PG2.direct_broadcast(adapter(name), node, topic, message, dispatcher)
  end

  # A message names the module that does this, so a name that does not exist ends the worker.
  def dispatch(subscribers, from, message) do
    for {pid, _} <- subscribers, pid != from, do: send(pid, message)
    :ok
  end

  def hand_on(name, topic, from, message, dispatcher) do
    Registry.dispatch(name, topic, {dispatcher, :dispatch, [from, message]})
  end

  defp adapter(name), do: Module.concat(name, "Adapter")
end

defmodule Phoenix.PubSub.PG2 do
  def start_link(name, adapter, pool, sending) do
    groups = for number <- 1..pool, do: group(adapter, number)
    :persistent_term.put(adapter, groups |> Enum.take(sending) |> List.to_tuple())
    for group <- groups, do: {:ok, _} = Phoenix.PubSub.PG2Worker.start_link(name, group)
    :ok
  end

  # The first one is called as the only one of 2.0.
  def group(adapter, 1), do: adapter
  def group(adapter, number), do: :"#{adapter}_#{number}"

  def broadcast(adapter, topic, message, dispatcher) do
    members = :pg.get_members(Phoenix.PubSub, chosen(adapter))
    forward = {:forward_to_local, topic, message, dispatcher}
    for pid <- members, node(pid) != node(), do: send(pid, forward)
    :ok
  end

  def direct_broadcast(adapter, node, topic, message, dispatcher) do
    send({chosen(adapter), node}, {:forward_to_local, topic, message, dispatcher})
    :ok
  end

  def chosen(adapter) do
    groups = :persistent_term.get(adapter)
    elem(groups, :erlang.phash2(self(), tuple_size(groups)))
  end
end

defmodule Phoenix.PubSub.PG2Worker do
  use GenServer

  def start_link(name, group), do: GenServer.start_link(__MODULE__, {name, group}, name: group)

  @impl true
  def init({name, group}) do
    :ok = :pg.join(Phoenix.PubSub, group, self())
    # The count is for the test alone.
    {:ok, {name, 0}}
  end

  @impl true
  def handle_info({:forward_to_local, topic, message, dispatcher}, {name, count}) do
    Phoenix.PubSub.hand_on(name, topic, :none, message, dispatcher)
    {:noreply, {name, count + 1}}
  end

  def handle_info(_, state), do: {:noreply, state}
end

# The application: it subscribes to two topics and keeps what it hears.
defmodule Probe do
  @name MyApp.PubSub

  def start(options) do
    starter = self()

    spawn(fn ->
      {:ok, _} = :pg.start_link(Phoenix.PubSub)
      :ok = Phoenix.PubSub.start_link(@name, options)
      for topic <- ["orders", "other"], do: subscriber(topic)
      send(starter, :started)
      Process.sleep(:infinity)
    end)

    receive do
      :started -> :ok
    end
  end

  defp subscriber(topic) do
    starter = self()

    pid =
      spawn_link(fn ->
        Phoenix.PubSub.subscribe(@name, topic)
        send(starter, :subscribed)
        hear([])
      end)

    Process.register(pid, String.to_atom(topic))

    receive do
      :subscribed -> :ok
    end
  end

  defp hear(heard) do
    receive do
      {:heard, from} ->
        send(from, {:heard, Enum.reverse(heard)})
        hear(heard)

      {:say, topic, message} ->
        Phoenix.PubSub.broadcast_from(@name, self(), topic, message)
        hear(heard)

      message ->
        hear([message | heard])
    end
  end

  def heard(topic) do
    send(topic, {:heard, self()})

    receive do
      {:heard, heard} -> heard
    end
  end

  # One process for each, and which workers they chose.
  def from_many(senders, work) do
    for _ <- 1..senders do
      Task.async(fn ->
        work.()
        Phoenix.PubSub.PG2.chosen(Module.concat(@name, "Adapter"))
      end)
    end
    |> Task.await_many()
    |> Enum.uniq()
    |> length()
  end

  def counts(pool) do
    for number <- 1..pool do
      group = Phoenix.PubSub.PG2.group(Module.concat(@name, "Adapter"), number)
      {_, count} = :sys.get_state(group)
      count
    end
  end
end
