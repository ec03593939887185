"""A design of gates as C++ that computes each of them once per clock, in topological order.

CXXRTL, which runs the RTL, is designed for words: in a netlist, whose wires are single bits, each wire becomes an
object, and large netlists are slow. Here a wire is a byte and a gate an expression.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

from fpga.design.interface import TOP

Bit = int | str
"""A wire by its number, or a constant: "0", "1" or "x", which is 0."""

SCRIPT: Final = (
    f"hierarchy -check -top {TOP}",
    "proc -noopt",
    "opt_expr",
    "opt_clean",
    "memory_share",
    "memory_collect",
    "select -set words t:$mul t:$mem_v2",
    "techmap */* @words %d",
    "simplemap",
    "opt_expr",
    "opt_clean -purge",
    "flatten -noscopeinfo",
    "opt -purge",
    "dfflegalize -cell $_DFF_P_ 01",
    "opt_clean -purge",
    "write_json gates.json",
)
"""Yosys commands that reduce a design to the cells that `to_cpp` supports: each module simplified, then all flattened.

The model of a block RAM covers every width. Unless the unused ones are removed first, ninety block RAMs are more than
yosys can hold in memory.
"""

_GATES: Final = {
    "$_BUF_": "{A}",
    "$_NOT_": "!{A}",
    "$_AND_": "{A} & {B}",
    "$_OR_": "{A} | {B}",
    "$_XOR_": "{A} ^ {B}",
    "$_XNOR_": "!({A} ^ {B})",
    "$_MUX_": "{S} ? {B} : {A}",
}
CHUNK: Final = 400
"""Statements of one function: a compiler's time grows faster than a function's length."""
NOTHING: Final = "0"
"""In C++, a wire that is always low, and the number of such wires."""
OTHERWISE: Final = "; simulate it without cells=, as RTL"
"""The way out where a design is more than gates of one clock."""
WORD: Final = 64
"""Bits of the widest number that the C++ has."""


@dataclass(frozen=True)
class _Statement:
    """Computes some wires from others."""

    text: str
    reads: tuple[Bit, ...]
    writes: tuple[Bit, ...]


@dataclass
class _Code:
    """The C++ that is written so far."""

    clock: Bit
    wires: dict[Bit, int] = field(default_factory=dict)
    logic: list[_Statement] = field(default_factory=list)
    flipflops: list[tuple[Bit, Bit]] = field(default_factory=list)
    """Output and input of each. Their outputs are the first wires."""
    memories: list[str] = field(default_factory=list)
    stores: list[str] = field(default_factory=list)

    def wire(self, bit: Bit) -> str:
        if isinstance(bit, str):
            return "1" if bit == "1" else NOTHING
        return f"v[{self.wires.setdefault(bit, len(self.wires))}]"

    def number(self, bits: Sequence[Bit]) -> str:
        """The number of some bits, the lowest first."""
        terms = [f"(u64){self.wire(bit)} << {i}" for i, bit in enumerate(bits) if self.wire(bit) != NOTHING]
        return " | ".join(terms) or NOTHING

    def spread(self, bits: Sequence[Bit], number: str) -> str:
        return " ".join(f"{self.wire(bit)} = {number} >> {i} & 1;" for i, bit in enumerate(bits))


def to_cpp(top: Mapping[str, Any]) -> str:
    """The C++ of a module as `SCRIPT` leaves it in JSON: a `struct Design` as `cells/driver.cc` wants it.

    Raises `ValueError` for a cell of another kind, a second clock, or gates that wait for themselves.
    """
    cells, ports = top["cells"].values(), {name: port["bits"] for name, port in top["ports"].items()}
    code = _Code(clock=ports["clk"][0])
    for cell in cells:
        if cell["type"] == "$_DFF_P_":
            _flipflop(code, cell)
    for cell in cells:
        if cell["type"] == "$mul":
            _multiplier(code, cell)
        elif cell["type"] == "$mem_v2":
            _memory(code, cell)
        elif cell["type"] in _GATES:
            _gate(code, cell)
        elif cell["type"] != "$_DFF_P_":
            supported = ", ".join((*_GATES, "$_DFF_P_", "$mul", "$mem_v2"))
            raise ValueError(f"no gate simulation of a cell {cell['type']}: it needs {supported}{OTHERWISE}")
    return _text(code, ports, _initial(top))


def _pins(cell: Mapping[str, Any]) -> dict[str, list[Bit]]:
    return dict(cell["connections"])


def _whole(cell: Mapping[str, Any], name: str) -> int:
    return int(cell["parameters"][name], 2)


def _flipflop(code: _Code, cell: Mapping[str, Any]) -> None:
    pins = _pins(cell)
    _need_clock(code, pins["C"])
    code.wire(pins["Q"][0])
    code.flipflops.append((pins["Q"][0], pins["D"][0]))


def _need_clock(code: _Code, clocks: Sequence[Bit]) -> None:
    if any(clock != code.clock for clock in clocks):
        raise ValueError(f"a cell runs on another clock than clk: gates need one clock, its rising edge{OTHERWISE}")


def _gate(code: _Code, cell: Mapping[str, Any]) -> None:
    pins = {name: bits[0] for name, bits in _pins(cell).items()}
    output = pins.pop("Y")
    formula = _GATES[cell["type"]].format(**{name: code.wire(bit) for name, bit in pins.items()})
    code.logic.append(_Statement(f"{code.wire(output)} = {formula};", tuple(pins.values()), (output,)))


def _multiplier(code: _Code, cell: Mapping[str, Any]) -> None:
    pins = _pins(cell)
    if (widest := max(map(len, pins.values()))) > WORD:
        raise ValueError(f"a multiplier of {widest} bits: gates need {WORD} or fewer{OTHERWISE}")
    left, right = (_extended(code, cell, name) for name in "AB")
    text = f"{{ u64 y = ({left}) * ({right}); {code.spread(pins['Y'], 'y')} }}"
    code.logic.append(_Statement(text, (*pins["A"], *pins["B"]), tuple(pins["Y"])))


def _extended(code: _Code, cell: Mapping[str, Any], name: str) -> str:
    """An operand in 64 bits."""
    bits = _pins(cell)[name]
    number, above = code.number(bits), WORD - len(bits)
    return f"(u64)((i64)(({number}) << {above}) >> {above})" if _whole(cell, f"{name}_SIGNED") else number


def _memory(code: _Code, cell: Mapping[str, Any]) -> None:
    pins, width, size, bits = _pins(cell), _whole(cell, "WIDTH"), _whole(cell, "SIZE"), _whole(cell, "ABITS")
    if width > WORD or _whole(cell, "OFFSET") or _whole(cell, "RD_CLK_ENABLE"):
        raise ValueError(
            f"a memory of {width} bits: gates need {WORD} or fewer, the first address 0, and reads without a clock"
            f"{OTHERWISE}"
        )
    name = f"m{len(code.memories)}"
    words = [f"{word}u" for word in _contents(cell["parameters"]["INIT"], width, 1 << bits)]
    code.memories.append(f"static u64 {name}[{1 << bits}] = {{{', '.join(words)}}};")
    for k in range(_whole(cell, "RD_PORTS")):
        address, data = _part(pins["RD_ADDR"], k, bits), _part(pins["RD_DATA"], k, width)
        text = f"{{ u64 y = {name}[{code.number(address)}]; {code.spread(data, 'y')} }}"
        code.logic.append(_Statement(text, tuple(address), tuple(data)))
    for k in range(_whole(cell, "WR_PORTS")):
        enable, data = (code.number(_part(pins[pin], k, width)) for pin in ("WR_EN", "WR_DATA"))
        if enable != NOTHING:  # the other port of a table that is only read has no clock either
            _need_clock(code, _part(pins["WR_CLK"], k, 1))
            place = code.number(_part(pins["WR_ADDR"], k, bits))
            code.stores.append(f"store({name}, {place}, {size}, {enable}, {data});")


def _part(bits: Sequence[Bit], k: int, width: int) -> Sequence[Bit]:
    return bits[k * width : (k + 1) * width]


def _contents(init: str, width: int, size: int) -> Iterator[int]:
    """The words of a memory from their bits, the highest of the last word first."""
    digits = init.replace("x", "0").rjust(width * size, "0")[-width * size :]
    return (int(digits[at - width : at], 2) for at in range(width * size, 0, -width))


def _initial(top: Mapping[str, Any]) -> dict[Bit, str]:
    """The initial values of wires, where the netlist gives them."""
    initial: dict[Bit, str] = {}
    for net in top["netnames"].values():
        initial.update(zip(net["bits"], reversed(net["attributes"].get("init", "")), strict=False))
    return initial


def _ordered(logic: Sequence[_Statement]) -> Iterator[str]:
    source = {bit: n for n, statement in enumerate(logic) for bit in statement.writes}
    waits = {n: {source[bit] for bit in statement.reads if bit in source} for n, statement in enumerate(logic)}
    try:
        yield from (logic[n].text for n in TopologicalSorter(waits).static_order())
    except CycleError:
        raise ValueError(f"gates wait for each other in a circle: they need an order{OTHERWISE}") from None


def _functions(name: str, statements: Sequence[str]) -> str:
    parts = [statements[at : at + CHUNK] for at in range(0, len(statements), CHUNK)]
    bodies = [f"static void {name}{k}() {{\n" + "\n".join(part) + "\n}\n" for k, part in enumerate(parts)]
    return "".join(bodies) + f"static void {name}() {{ {' '.join(f'{name}{k}();' for k in range(len(parts)))} }}\n"


def _text(code: _Code, ports: Mapping[str, Sequence[Bit]], initial: Mapping[Bit, str]) -> str:
    logic = list(_ordered(code.logic))
    kept = [f"next[{n}] = {code.wire(d)};" for n, (_, d) in enumerate(code.flipflops)]
    taken = " ".join(code.spread(ports[name], name) for name in ("in_valid", "in_byte", "out_ready"))
    ones = [f"{code.wire(q)} = 1;" for q, _ in code.flipflops if initial.get(q) == "1"]
    outputs = {name: code.number(ports[name]) for name in ("in_ready", "out_valid", "out_byte")}
    return _TEMPLATE.format(
        wires=len(code.wires) or 1,
        flipflops=len(code.flipflops),
        memories="\n".join(code.memories),
        functions="".join(_functions(*part) for part in (("logic", logic), ("keep", kept), ("stores", code.stores))),
        ones=" ".join(ones),
        taken=taken,
        **outputs,
    )


_TEMPLATE: Final = """\
#include <cstdint>
#include <cstring>

using u64 = std::uint64_t;
using i64 = std::int64_t;

// Every wire, the outputs of the flip-flops first, and what those will be.
static std::uint8_t v[{wires}], next[{flipflops} + 1];
{memories}

static void store(u64 *memory, u64 address, u64 size, u64 enable, u64 data) {{
    if (address < size) memory[address] = (memory[address] & ~enable) | (data & enable);
}}

{functions}
struct Design {{
    Design() {{ {ones} }}

    void settle(bool in_valid, std::uint8_t in_byte, bool out_ready) {{
        {taken}
        logic();
    }}
    void clock() {{
        keep();
        stores();
        std::memcpy(v, next, {flipflops});
    }}
    bool in_ready() const {{ return {in_ready}; }}
    bool out_valid() const {{ return {out_valid}; }}
    std::uint8_t out_byte() const {{ return {out_byte}; }}
}};
"""
