"""OpenQASM 2 and 3: text to circuits and back."""

import bisect
import contextlib
import io
import re
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from quantum.circuits.circuit import ROTATIONS, Circuit, Gate
from quantum.circuits.formula import Formula
from quantum.interop.expansion import check_expansion
from quantum.interop.limits import MOST_BYTES, MOST_CONTROLS, MOST_POWER_QUBITS, MOST_WIRES

if TYPE_CHECKING:
    from openqasm3 import ast
    from qiskit import QuantumCircuit
    from qiskit_qasm3_import.converter import ConvertVisitor

    from quantum.interop.qiskit import Weights

_HEADERS = {2: 'OPENQASM 2.0;\ninclude "qelib1.inc";\n', 3: 'OPENQASM 3.0;\ninclude "stdgates.inc";\n'}
_DEFINITIONS = {
    "sxdg": "gate sxdg a { s a; h a; s a; }",
    "rxx": "gate rxx(t) a, b { h a; h b; cx a, b; rz(t) b; cx a, b; h a; h b; }",
    "ryy": "gate ryy(t) a, b { rx(pi/2) a; rx(pi/2) b; cx a, b; rz(t) b; cx a, b; rx(-pi/2) a; rx(-pi/2) b; }",
    "rzz": "gate rzz(t) a, b { cx a, b; rz(t) b; cx a, b; }",
    "iswap": "gate iswap a, b { s a; s b; h a; cx a, b; cx b, a; h b; }",
    "ecr": "gate ecr a, b { s a; sx b; cx a, b; x a; }",
}
"""Definitions of gates that a standard library lacks, in gates of both libraries, up to a global phase."""
_LACKS = {2: ("ryy", "iswap", "ecr"), 3: tuple(_DEFINITIONS)}
_NAMES = {2: {"p": "u1", "cp": "cu1"}, 3: dict[str, str]()}

MOST_BISECTED = 500
"""Lines among which one without a position is looked for, by parsing the text again and again."""

# Exceptions that the parsers raise for some malformed texts, besides their own errors.
_FAULTS = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def dumps(circuit: Circuit, weights: Sequence[float] = (), version: int = 3) -> str:
    """The circuit as OpenQASM text with `weights` bound; in version 3 the features are `input float x0, x1 ...`.

    Angles are written with full precision: reading the text gives the same floating-point numbers.

    >>> print(dumps(Circuit(1, (Gate("ry", (0,), feature=0),))), end="")
    OPENQASM 3.0;
    include "stdgates.inc";
    input float[64] x0;
    qubit[1] q;
    ry(x0) q[0];
    """
    if version not in _HEADERS:
        raise ValueError(f"OpenQASM {version} cannot be written: use version 2 or 3")
    circuit = circuit.bind(weights)
    if circuit.features and version == 2:
        raise ValueError(
            f"OpenQASM 2 has no inputs, but the circuit reads feature {circuit.features - 1}: use version 3"
        )
    formulas = (gate.feature for gate in circuit.gates if isinstance(gate.feature, Formula))
    if functions := sorted({name for formula in formulas for name in formula.functions}):
        raise ValueError(f"no reader of OpenQASM 3 in Python knows {functions[0]} of an input: write QPY")
    used = {gate.name for gate in circuit.gates}
    lines = [f"input float[64] x{k};" for k in range(circuit.features)]  # all, so that x0 says where counting starts
    lines += [text for name, text in _DEFINITIONS.items() if name in used and name in _LACKS[version]]
    lines.append(f"qreg q[{circuit.wires}];" if version == 2 else f"qubit[{circuit.wires}] q;")
    lines += [_line(gate, _NAMES[version].get(gate.name, gate.name)) for gate in circuit.gates]
    return _HEADERS[version] + "\n".join(lines) + "\n"


def _line(gate: Gate, name: str) -> str:
    wires = ", ".join(f"q[{wire}]" for wire in gate.wires)
    return f"{name}({_angle(gate)}) {wires};" if gate.name in ROTATIONS else f"{name} {wires};"


def _angle(gate: Gate) -> str:
    if gate.feature is None:
        return _real(gate.value)
    read = str(gate.feature) if isinstance(gate.feature, Formula) else f"x{gate.feature}"
    scaled = read if gate.scale == 1 else f"{_real(gate.scale)}*{read}"
    return f"{_real(gate.value)} + {scaled}" if gate.value else scaled


def _real(value: float) -> str:
    """The shortest text that reads back as `value`, with the decimal point that OpenQASM 2 wants before an exponent."""
    digits, e, exponent = repr(float(value)).partition("e")
    return f"{digits}{'' if '.' in digits else '.0'}{e}{exponent}"


def loads(
    text: str,
    weights: "Weights" = None,
    features: Sequence[str] | None = None,
    unbound: Callable[[], float] | None = None,
) -> tuple[Circuit, list[float]]:
    """The circuit and the values of its weights from OpenQASM text; the other arguments as in `from_qiskit`.

    Weights in a sequence are those of the inputs in the order of their declarations, which is Qiskit's order in a file
    that Qiskit wrote.

    Raises `ValueError` with the line number for text that is not OpenQASM 2 or 3, and the `ValueError` of `from_qiskit`
    for a program that is not a circuit of gates with measurements at its end. Only the standard libraries are included.
    """
    from quantum.interop.qiskit import from_qiskit

    circuit, inputs, physical = parse(text)
    return from_qiskit(circuit, weights, features, inputs=inputs, physical=physical, unbound=unbound)


def parse(text: str) -> tuple["QuantumCircuit", list[str], bool]:
    """The text as a Qiskit circuit, the names of its inputs in order, and whether it addresses physical qubits."""
    if not text.strip():
        _fail(1, "the text is empty")
    if len(text) > MOST_BYTES:
        _fail(1, f"the text has {len(text)} characters: at most {MOST_BYTES} are read")
    version = version_of(text)
    code = re.sub(r"//[^\n]*|/\*.*?(?:\*/|\Z)", lambda comment: _blank(text, comment), text, flags=re.DOTALL)
    _check_sizes(code)
    check_expansion(code)
    if version == 2:
        return _parse_2(text, code), [], False
    return (*_parse_3(text), re.search(r"\$\d", code) is not None)


def _blank(text: str, comment: re.Match[str]) -> str:
    if comment[0].startswith("/*") and not re.fullmatch(r"/\*.*\*/", comment[0], flags=re.DOTALL):
        _fail(text.count("\n", 0, comment.start()) + 1, "a comment has no end")
    return re.sub(r"[^\n]", " ", comment[0])


def version_of(text: str) -> int:
    """2 or 3, from the header or, without one, from the register declarations."""
    header = re.search(r"^[^\S\n]*OPENQASM\s+([^\s;]*)", text, flags=re.MULTILINE)
    if header is None:
        return 2 if re.search(r"^[^\S\n]*[qc]reg\b", text, flags=re.MULTILINE) else 3
    if header[1] not in ("2", "2.0", "3", "3.0", "3.1"):
        _fail(text.count("\n", 0, header.start(1)) + 1, f"OPENQASM {header[1]!r:.20} is unknown: write 2.0 or 3.0")
    return int(header[1][0])


def _check_sizes(code: str) -> None:
    for match in re.finditer(r"(?:\[\s*|\$)(\d+)", code):
        if int(match[1][:9]) > MOST_WIRES:
            line = code.count("\n", 0, match.start(1)) + 1
            _fail(line, f"{match[1]:.20} is above the limit of {MOST_WIRES} qubits or bits")


def _parse_2(text: str, code: str) -> "QuantumCircuit":
    from qiskit import qasm2

    # Qiskit's additions to qelib1.inc, without those that the file defines itself, which they would override
    defined = set(re.findall(r"\bgate\s+(\w+)", code))
    added = [gate for gate in qasm2.LEGACY_CUSTOM_INSTRUCTIONS if gate.builtin and gate.name not in defined]

    def parse(text: str) -> "QuantumCircuit":
        return qasm2.loads(text, include_path=(), custom_instructions=added)

    try:
        return parse(text)
    except qasm2.QASM2ParseError as error:
        where = re.search(r"<input>:(\d+),\d+: (.*)", error.message, flags=re.DOTALL)
        _fail(int(where[1]) if where else _lines(text), where[2] if where else error.message)
    except _FAULTS as error:
        _fail(_first_line(text, parse, qasm2.QASM2ParseError), str(error))


def _parse_3(text: str) -> tuple["QuantumCircuit", list[str]]:
    """The circuit, and the names of the inputs in the order of their declarations."""
    import openqasm3
    from openqasm3 import ast
    from openqasm3.parser import QASM3ParsingError
    from qiskit_qasm3_import import ConversionError

    try:
        with contextlib.redirect_stderr(io.StringIO()):  # the lexer prints its complaints
            program = openqasm3.parse(text)
    except QASM3ParsingError as error:
        _fail(*_place(error, text))
    except _FAULTS:
        _fail(_first_line(text, openqasm3.parse, QASM3ParsingError), "the syntax is wrong")
    try:
        with warnings.catch_warnings():  # the converter controls gates in a way that Qiskit is about to change
            warnings.simplefilter("ignore", DeprecationWarning)
            _check_program(program)
            _divide_exactly(program)
            circuit = _converter().convert(program).circuit
            return circuit, [s.identifier.name for s in program.statements if isinstance(s, ast.IODeclaration)]
    except ConversionError as error:
        where = re.match(r"(\d+),\d+: (.*)", error.message, flags=re.DOTALL)
        _fail(int(where[1]) if where else _lines(text), where[2] if where else error.message)


def _check_program(program: "ast.Program") -> None:
    """Raises for a program that is not a circuit of gates, or that the converter would expand beyond the limits."""
    from openqasm3 import ast
    from qiskit_qasm3_import import ConversionError

    plain = (
        *(ast.Include, ast.QubitDeclaration, ast.ClassicalDeclaration, ast.IODeclaration, ast.AliasStatement),
        *(ast.QuantumGateDefinition, ast.QuantumGate, ast.QuantumPhase, ast.QuantumMeasurementStatement),
        *(ast.QuantumBarrier, ast.QuantumReset, ast.DelayInstruction),
    )
    controls: dict[str, int] = {}  # of every definition
    for statement in program.statements:
        inner = statement.body if isinstance(statement, ast.QuantumGateDefinition) else [statement]
        for node in (statement, *inner):
            if not isinstance(node, plain):
                kind = re.sub(r"(?<!^)(?=[A-Z])", " ", type(node).__name__).lower()
                raise ConversionError(f"a {kind} is not a gate: only circuits of gates are supported", node)
        deepest = max((_check_modifiers(node, controls) for node in inner), default=0)
        if isinstance(statement, ast.QuantumGateDefinition):
            controls[statement.name.name] = deepest
        for size in (getattr(statement, "size", None), getattr(getattr(statement, "type", None), "size", None)):
            if size is not None and not isinstance(size, ast.IntegerLiteral):
                raise ConversionError("the size of a register must be a number", statement)


def _check_modifiers(node: "ast.Statement | ast.Pragma", controls: dict[str, int]) -> int:
    """The number of controls of a gate, those of its definition included."""
    from openqasm3 import ast
    from qiskit_qasm3_import import ConversionError

    if not isinstance(node, ast.QuantumGate | ast.QuantumPhase):
        return 0
    total = controls.get(node.name.name, 0) if isinstance(node, ast.QuantumGate) else 0
    for modifier in node.modifiers:
        if modifier.modifier is ast.GateModifierName.pow and len(node.qubits) > MOST_POWER_QUBITS:
            raise ConversionError(f"a power is taken of gates on at most {MOST_POWER_QUBITS} qubits", node)
        if modifier.modifier in (ast.GateModifierName.ctrl, ast.GateModifierName.negctrl):
            count = 1 if modifier.argument is None else getattr(modifier.argument, "value", MOST_CONTROLS + 1)
            total += count if isinstance(modifier.argument, ast.IntegerLiteral | None) else MOST_CONTROLS + 1
        if total > MOST_CONTROLS:
            raise ConversionError(f"a gate takes at most {MOST_CONTROLS} controls, as a literal number", node)
    return total


def _divide_exactly(program: "ast.Program") -> None:
    """Makes `3/4` in an angle or a power the number 0.75, which the converter would divide as integers."""
    from openqasm3 import ast
    from openqasm3.visitor import QASMVisitor

    class Floats(QASMVisitor[None]):
        """Turns the integers of sums, products and quotients into floats."""

        def visit_BinaryExpression(self, node: ast.BinaryExpression) -> None:
            self.generic_visit(node)
            node.lhs, node.rhs = _as_float(node.lhs), _as_float(node.rhs)

        def visit_UnaryExpression(self, node: ast.UnaryExpression) -> None:
            self.generic_visit(node)
            node.expression = _as_float(node.expression)

    def _as_float(node: ast.Expression) -> ast.Expression:
        if not isinstance(node, ast.IntegerLiteral) or abs(node.value) > 2**53:
            return node
        literal = ast.FloatLiteral(float(node.value))
        literal.span = node.span
        return literal

    for statement in program.statements:
        for node in statement.body if isinstance(statement, ast.QuantumGateDefinition) else [statement]:
            if isinstance(node, ast.QuantumGate | ast.QuantumPhase):
                for expression in (*getattr(node, "arguments", ()), getattr(node, "argument", None), *node.modifiers):
                    if expression is not None:
                        Floats().visit(expression)


def _converter() -> "ConvertVisitor":
    """Qiskit's converter from the syntax tree, with a line number on every error."""
    from openqasm3 import ast
    from qiskit.exceptions import QiskitError
    from qiskit_qasm3_import import ConversionError
    from qiskit_qasm3_import.converter import ConvertVisitor

    class Converter(ConvertVisitor):
        def visit(self, node: ast.QASMNode, context: Any = None) -> Any:
            try:
                return super().visit(node, context)
            except (QiskitError, *_FAULTS) as error:
                raise ConversionError(str(error) or type(error).__name__, node) from error

    return Converter()


def _place(error: Exception, text: str) -> tuple[int, str]:
    """The line and the message of a syntax error, from the offending token if the error itself has no position."""
    if where := re.match(r"L(\d+):C\d+: (.*)", str(error), flags=re.DOTALL):
        return int(where[1]), where[2]
    reason = getattr(error.__cause__, "args", ())
    token = getattr(reason[0], "offendingToken", None) if reason else None
    return (_lines(text), "the syntax is wrong") if token is None else (token.line, f"unexpected {token.text!r:.40}")


def _first_line(text: str, parse: Callable[[str], object], syntax_error: type[Exception]) -> int:
    """The first line at which `parse` fails with an exception other than `syntax_error`, which has no position."""
    lines = text.split("\n")
    if len(lines) > MOST_BISECTED:
        return 1

    def fails(count: int) -> bool:
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                parse("\n".join(lines[:count]))
        except syntax_error:
            return False
        except _FAULTS:
            return True
        return False

    return 1 + bisect.bisect_left(range(1, len(lines)), True, key=fails)


def _lines(text: str) -> int:
    return text.count("\n") + 1


def _fail(line: int, message: str) -> NoReturn:
    raise ValueError(f"OpenQASM line {line}: {' '.join(message.split())}")
