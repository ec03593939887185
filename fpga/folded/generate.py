"""Folded RTL: the Verilog of a plan."""

from fpga.design.interface import TOP, Design
from fpga.folded.planning.plan import Plan
from fpga.folded.rtl.circuit import Circuit
from shared.integer import Program


def generate(program: Program, plan: Plan) -> Design:
    """The design of a program, folded as planned. Equal to `shared.integer.run` bit for bit.

    Its latency is exact for the first sample, which meets pipelines that are still filling: a later one that finds an
    idle design may come up to three clocks sooner. Its interval is exact at full rate.

    Raises `ValueError` if the plan is for another program.

    >>> import numpy as np
    >>> from fpga.folded import Fold
    >>> from shared.integer.format import Format
    >>> from shared.integer import Constant, Input, Linear
    >>> weight = Constant(np.array([[3, -4], [5, 6]]), Format(8, 6))
    >>> net = Program((Input("x", (2,), Format(8, 7)),), (Linear(("x",), "y", weight),), ("y",))
    >>> design = generate(net, Plan(net, {"y": Fold(lanes=2)}))
    >>> design.interval, design.verilog.count("module top")
    (4, 1)
    """
    if plan.program != program:
        raise ValueError("the plan is for another program: plan this one")
    from amaranth.back.verilog import convert

    circuit = Circuit(*plan.graph_and_engines, plan.queues, plan.output_gated)
    ports = {
        "clk": circuit.clock.clk,
        "in_valid": circuit.input.valid,
        "in_byte": circuit.input.payload,
        "in_ready": circuit.input.ready,
        "out_valid": circuit.output.valid,
        "out_byte": circuit.output.payload,
        "out_ready": circuit.output.ready,
    }
    named = {name: (signal, None) for name, signal in ports.items()}
    text = convert(circuit, name=TOP, ports=named, strip_internal_attrs=True)
    return Design(program, "folded", text, plan.latency, plan.interval, plan.parts)
