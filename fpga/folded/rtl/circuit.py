"""The engines of a graph, wired: bytes in, streams between, bytes out."""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Cat, ClockDomain, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from fpga.design.stream import Stream
from fpga.folded.graph.engines import Engine
from fpga.folded.graph.lower import Graph
from fpga.folded.rtl.fifo import Queue
from fpga.folded.rtl.gather import Gather
from fpga.folded.rtl.harness import FromBytes, OutputGate, ToBytes
from fpga.folded.rtl.join import Join
from fpga.folded.rtl.requantise import wire


class Circuit(wiring.Component):
    """`queues` holds the depths of the queues in front of additions, by (engine, input).

    With `output_gated`, no result begins before its sample does.
    """

    def __init__(
        self,
        graph: Graph,
        engines: tuple[Engine, ...],
        queues: Mapping[tuple[str, int], int],
        output_gated: bool,
    ) -> None:
        self.graph, self.engines, self.queues, self.output_gated = graph, engines, queues, output_gated
        self.clock = ClockDomain("sync", reset_less=True)
        super().__init__({"input": In(stream.Signature(8)), "output": Out(stream.Signature(8))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.domains.sync = self.clock
        graph = self.graph
        m.submodules.from_bytes = source = FromBytes(Stream.of(graph.streams[graph.source]))
        m.submodules.to_bytes = sink = ToBytes(Stream.of(graph.streams[graph.sink]))
        wiring.connect(m, wiring.flipped(self.input), source.input)
        results = self._gated(m, sink.output) if self.output_gated else sink.output
        wiring.connect(m, results, wiring.flipped(self.output))
        writers: dict[str, Any] = {graph.source: source.output}
        readers: dict[str, list[Any]] = {name: [] for name in graph.streams}
        for engine in self.engines:
            node = engine.node
            m.submodules[_module_name(m, node.name)] = unit = _hardware(engine)
            writers[node.output] = unit.output
            for i, name in enumerate(node.inputs):
                port = unit.input if engine.taps is not None else getattr(unit, f"input{i}")
                readers[name].append(self._queued(m, engine, i, port))
        readers[graph.sink].append(sink.input)
        for name, writer in writers.items():
            _fork(m, writer, readers[name])
        return m

    def _gated(self, m: Module, results: Any) -> Any:
        source, sink = (Stream.of(self.graph.streams[name]) for name in (self.graph.source, self.graph.sink))
        m.submodules.in_turn = gate = OutputGate(sink.bytes)
        count, taken = Signal(range(source.bytes)), self.input.valid & self.input.ready
        with m.If(taken):
            m.d.sync += count.eq(Mux(count == source.bytes - 1, 0, count + 1))
        m.d.comb += gate.begins.eq(taken & (count == 0))
        wiring.connect(m, results, gate.input)
        return gate.output

    def _queued(self, m: Module, engine: Engine, i: int, port: Any) -> Any:
        depth = self.queues.get((engine.node.name, i))
        if depth is None:
            return port
        queue = Queue(wire(engine.inputs[i]), depth)
        m.submodules[_module_name(m, f"{engine.node.name}_queue{i}")] = queue
        wiring.connect(m, queue.output, port)
        return queue.input


def _module_name(m: Module, name: str) -> str:
    """A value may be called as a part of the circuit."""
    while hasattr(m.submodules, name):
        name += "_"
    return name


def _hardware(engine: Engine) -> Gather | Join:
    if engine.taps is None:
        return Join(engine.inputs, engine.values)
    return Gather(engine.inputs[0], engine.values, engine.word, engine.taps)


def _fork(m: Module, writer: Any, readers: list[Any]) -> None:
    """All readers take an element in the same clock, once all are ready."""
    m.d.comb += writer.ready.eq(Cat(reader.ready for reader in readers).all())
    for reader in readers:
        others = Cat(other.ready for other in readers if other is not reader)
        m.d.comb += [reader.payload.eq(writer.payload), reader.valid.eq(writer.valid & others.all())]
