"""Integer programs survive JSON, and compute alike, bit for bit, as C and as ONNX."""

import doctest
import importlib
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from integer_programs import PROGRAMS, S8, U8, bias, constant, dense, line, samples

from shared.integer import Add, Constant, Input, Linear, Program, Requantise, run
from shared.integer.c_header import c_header
from shared.integer.files import from_json, load, save, to_json
from shared.integer.format import Format
from shared.integer.onnx_qdq import to_onnx

CC = shutil.which("cc") or shutil.which("gcc")


@pytest.fixture(params=PROGRAMS)
def program(request):
    return PROGRAMS[request.param](seed=1)


@pytest.mark.parametrize("module", ["files", "c_header", "onnx_qdq"])
def test_examples_in_docstrings(module):
    assert doctest.testmod(importlib.import_module(f"shared.integer.{module}")).failed == 0


# JSON


def test_a_saved_program_loads_equal(program, tmp_path):
    save(program, tmp_path / "net.json")
    assert load(tmp_path / "net.json") == program
    assert [file.name for file in tmp_path.iterdir()] == ["net.json"]


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    save(dense(), tmp_path / "net.json")
    monkeypatch.setattr("os.fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        save(line(), tmp_path / "net.json")
    assert load(tmp_path / "net.json") == dense()
    assert [file.name for file in tmp_path.iterdir()] == ["net.json"]


def edited(**changes):
    data = json.loads(to_json(dense()))
    for path, value in changes.items():
        *parents, last = [int(part) if part.isdigit() else part for part in path.split("__")]
        place = data
        for part in parents:
            place = place[part]
        place[last] = value
    return json.dumps(data)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Expecting property name"),
        ("[]", 'this is not a qwedge integer program: its "kind" is None'),
        (edited(version=2), "of version 2, but version 1 is read here"),
        (edited(operations__0__kind="Sigmoid"), "no operation 'Sigmoid'; there are Linear"),
        (edited(operations__0__slope=1), "unexpected keyword argument 'slope'"),
        (edited(operations__0__weight__integers=[0.5] * 42), "needs integers, got float64"),
        (edited(operations__0__weight__integers=[128] * 42), "holds -128 to 127, got 128 to 128"),
        (edited(operations__0__weight__integers=[1] * 41), "cannot reshape"),
        (edited(operations__0__inputs=["z"]), "no value 'z' so far"),
        (edited(inputs__0__format__word=8.5), "a format needs whole numbers"),
        (edited(inputs__0__shape="ab"), "not supported between"),
        (edited(outputs=[]), "a program needs an output"),
    ],
)
def test_a_file_that_holds_no_program_says_why(text, message, tmp_path):
    path = tmp_path / "net.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=re.escape(str(path)) + ".*" + re.escape(message)):
        load(path)


def test_a_missing_entry_is_named():
    data = json.loads(to_json(dense()))
    del data["inputs"]
    with pytest.raises(ValueError, match="the entry 'inputs' is missing"):
        from_json(json.dumps(data))


# C


def layout(program, names):
    """How values of those names lie one after the other."""
    return np.dtype([(name, program.values[name].format.dtype, program.values[name].shape) for name in names])


def by_c(program, folder, *inputs):
    """Every value of every sample, from a main that feeds the struct from stdin and writes it to stdout."""
    (folder / "net.h").write_text(c_header(program))
    reads = " || ".join(f"!fread(v.{given.name}, sizeof v.{given.name}, 1, stdin)" for given in program.inputs)
    writes = " ".join(f"fwrite(v.{name}, sizeof v.{name}, 1, stdout);" for name in program.values)
    main = f"static struct net_values v; int main(void) {{ while (!({reads})) {{ net_run(&v); {writes} }} return 0; }}"
    (folder / "main.c").write_text(f'#include <stdio.h>\n#include "net.h"\n{main}\n')
    flags = ["-std=c99", "-O1", "-Wall", "-Wextra", "-pedantic", "-Werror"]
    trap = ["-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"]  # overflow would stop the program
    subprocess.run([CC, *flags, *trap, "main.c", "-o", "main"], cwd=folder, check=True, capture_output=True)
    given = np.zeros(len(inputs[0]), dtype=layout(program, [given.name for given in program.inputs]))
    for name, x in zip(given.dtype.names, inputs, strict=True):
        given[name] = x
    done = subprocess.run([folder / "main"], input=given.tobytes(), check=True, capture_output=True)
    return np.frombuffer(done.stdout, dtype=layout(program, program.values))


needs_cc = pytest.mark.skipif(CC is None, reason="no C compiler: cc or gcc")


@needs_cc
def test_c_computes_every_value_bit_for_bit(program, tmp_path):
    inputs = samples(program, 300)
    expected, actual = run(program, *inputs), by_c(program, tmp_path, *inputs)
    assert len(actual) == 300
    for name, array in expected.items():
        np.testing.assert_array_equal(actual[name], array, name)


def wide():
    """Words beyond 8 bits, sums beyond 32, shifts both ways, both ends of int32."""
    rng = np.random.default_rng(5)
    ends = Constant(np.array([-(2**31), 2**31 - 1, 5]), Format(32, 12))
    return Program(
        (Input("x", (4,), Format(16, 3)), Input("z", (3,), Format(31, -2))),
        (
            Linear(("x",), "a", constant(rng, (3, 4), Format(16, 9)), ends),
            Add(("a", "z"), "b"),
            Requantise(("b",), "c", Format(32, 6)),
            Requantise(("x",), "y", Format(20, 9)),
        ),
        ("c", "y"),
    )


@needs_cc
def test_c_computes_wide_words_bit_for_bit(tmp_path):
    inputs = samples(wide(), 300)
    expected, actual = run(wide(), *inputs), by_c(wide(), tmp_path, *inputs)
    assert actual["b"].dtype == np.int64
    for name, array in expected.items():
        np.testing.assert_array_equal(actual[name], array, name)


def test_the_header_holds_no_float(program):
    assert not re.search(r"\b(float|double)\b|\d\.\d", c_header(program))


def test_a_word_of_c_is_no_name():
    for word in ("int", "class", "INT64_MAX", "linux"):
        program = Program((Input(word, (2,), S8),), (), (word,))
        with pytest.raises(ValueError, match=f"'{word}' cannot be a name in C: rename it"):
            c_header(program)
    with pytest.raises(ValueError, match="'a b' cannot be a name in C"):
        c_header(dense(), "a b")


# ONNX


def by_onnx(program, *inputs):
    onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is the oracle: pip install -e '.[mobile]'")
    pytest.importorskip("onnx", reason="pip install -e '.[fpga]'")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    model = to_onnx(program).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    reals = {
        f"{given.name}.real": given.format.from_integers(x).astype(np.float32)
        for given, x in zip(program.inputs, inputs, strict=True)
    }
    results = session.run(None, reals)
    return {  # not by `to_integers`, which would saturate
        name: result / program.values[name].format.step for name, result in zip(program.outputs, results, strict=True)
    }


def test_onnx_runtime_computes_the_outputs_bit_for_bit(program):
    inputs = samples(program, 300)
    expected = run(program, *inputs)
    for name, array in by_onnx(program, *inputs).items():
        np.testing.assert_array_equal(array, expected[name], name)


def test_onnx_saturates_words_of_less_than_eight_bits():
    rng = np.random.default_rng(2)
    narrow = Program(
        (Input("x", (9,), Format(5, 2)),),
        (
            Linear(("x",), "a", constant(rng, (8, 9), Format(4, 3)), bias(rng, 8, 5)),
            Requantise(("a",), "b", Format(3, 0, signed=False)),
            Requantise(("a",), "c", Format(6, 1)),
        ),
        ("b", "c"),
    )
    inputs = samples(narrow, 300)
    for name, array in by_onnx(narrow, *inputs).items():
        np.testing.assert_array_equal(array, run(narrow, *inputs)[name], name)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (wide(), "'z' has 31 bits, at most 24"),
        (
            Program(
                (Input("x", (600,), U8),),
                (Linear(("x",), "y", Constant(np.full((1, 600), 127), S8)),),
                ("y",),
            ),
            "'y' may reach 19431000, float32 is exact to 16777216",
        ),
    ],
)
def test_what_float32_cannot_hold_is_refused(program, message):
    pytest.importorskip("onnx", reason="pip install -e '.[fpga]'")
    with pytest.raises(ValueError, match=message):
        to_onnx(program)


def test_without_onnx_there_is_a_hint(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ModuleNotFoundError, match=re.escape("to_onnx needs onnx: pip install -e '.[fpga]'")):
        to_onnx(dense())
