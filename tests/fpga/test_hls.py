"""A project of hls4ml computes what the integer program does, value by value and bit for bit, or is refused."""

import doctest
import importlib
import re
import shutil
import sys

import numpy as np
import pytest

from fpga.hls import BACKENDS, lower, read_reports
from fpga.hls.layers import layers
from shared.integer import (
    Add,
    AveragePool,
    Constant,
    Conv1d,
    Conv2d,
    Flatten,
    Input,
    Linear,
    MaxPool,
    Program,
    Requantise,
    run,
)
from shared.integer.format import Format

S8, U8 = Format(8, 5), Format(8, 6, signed=False)
hls4ml = pytest.mark.skipif(importlib.util.find_spec("hls4ml") is None, reason="pip install -e '.[fpga]'")
compiled = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler: g++")


@pytest.fixture(autouse=True)
def no_keras(monkeypatch):
    """Keras takes seconds to import, and hls4ml only tells its YAML writer of it; it does without."""
    monkeypatch.setitem(sys.modules, "keras", None)
    monkeypatch.setitem(sys.modules, "tensorflow", None)


def constant(rng, shape, format=S8):
    return Constant(rng.integers(format.low, format.high + 1, shape), format)


def bias(rng, out, fraction):
    return Constant(rng.integers(-(2**12), 2**12, out), Format(32, fraction))


def tiny():
    """One layer, and a value that nobody needs."""
    rng = np.random.default_rng(0)
    steps = (
        Linear(("x",), "a", constant(rng, (2, 3)), bias(rng, 2, 10)),
        Requantise(("x",), "unused", Format(4, 1)),
        Requantise(("a",), "y", Format(8, 2, signed=False)),
    )
    return Program((Input("x", (3,), S8),), steps, ("y",))


def dense():
    """17-24-16, with odd words: weights of 2 bits that hold -2, a format without an integer bit, one above 2**8."""
    rng = np.random.default_rng(1)
    steps = (
        Linear(("x",), "int", constant(rng, (24, 17), Format(2, 0)), bias(rng, 24, 4)),
        Requantise(("int",), "A", Format(6, -1, signed=False)),
        Linear(("A",), "a", constant(rng, (16, 24), Format(5, 7))),
        Requantise(("a",), "wide", Format(8, -4)),
        Requantise(("wide",), "same", Format(8, -4)),
    )
    return Program((Input("x", (17,), Format(8, 4)),), steps, ("same",))


def line():
    """One-dimensional: stride, padding, groups, a residual addition, pools of 2, 3 and overlapping."""
    rng = np.random.default_rng(2)
    steps = (
        Conv1d(("x",), "a", constant(rng, (4, 2, 3)), bias(rng, 4, 10), (2,), (1,)),
        Requantise(("a",), "b", Format(8, 4, signed=False)),
        Conv1d(("b",), "c", constant(rng, (4, 1, 5)), bias(rng, 4, 9), padding=(2,), groups=4),
        Requantise(("c",), "d", Format(8, 3)),
        Add(("b", "d"), "e"),
        Requantise(("e",), "f", U8),
        AveragePool(("f",), "g", (2,)),
        Requantise(("g",), "h", Format(8, 7)),
        MaxPool(("h",), "i", (3,), (1,)),
        AveragePool(("i",), "j", (3,)),
        Requantise(("j",), "k", Format(7, 7, signed=False)),
        Flatten(("k",), "l"),
        Linear(("l",), "y", constant(rng, (5, 4)), bias(rng, 5, 12)),
    )
    return Program((Input("x", (2, 23), S8),), steps, ("y",))


def image():
    """Two-dimensional: uneven kernels, strides and padding, groups, a kernel of 1, both pools, flat at the end."""
    rng = np.random.default_rng(3)
    steps = (
        Conv2d(("x",), "a", constant(rng, (4, 3, 3, 2)), bias(rng, 4, 11), (1, 2), (1, 0)),
        Requantise(("a",), "b", U8),
        Conv2d(("b",), "c", constant(rng, (6, 2, 3, 3)), None, (2, 1), (0, 1), groups=2),
        Requantise(("c",), "d", Format(8, -2)),
        MaxPool(("d",), "e", (2, 2)),
        Conv2d(("e",), "f", constant(rng, (4, 6, 1, 1), Format(4, 3))),
        Requantise(("f",), "g", Format(8, -1)),
        AveragePool(("g",), "h", (2, 2)),
        Requantise(("h",), "i", Format(8, 0)),
        Flatten(("i",), "y"),
    )
    return Program((Input("x", (3, 10, 8), U8),), steps, ("y",))


PROGRAMS = {"dense": dense, "line": line, "image": image}


def samples(program, count=200, seed=0):
    """Integers over the whole range of the input, its ends included."""
    given = program.inputs[0]
    x = np.random.default_rng(seed).integers(given.format.low, given.format.high + 1, (count, *given.shape))
    x[0], x[1] = given.format.low, given.format.high
    return x


@pytest.mark.parametrize("module", ["backends", "layers", "project", "reports"])
def test_examples_in_docstrings(module):
    assert doctest.testmod(importlib.import_module(f"fpga.hls.{module}")).failed == 0


# What hls4ml is told


def test_elements_go_to_hls4ml_channels_last_and_come_back():
    first = layers(line())[0]
    x = samples(line(), 3)
    np.testing.assert_array_equal(first.gather(x), np.moveaxis(x, 1, -1).reshape(3, -1))
    np.testing.assert_array_equal(first.scatter(first.gather(x), (2, 23)), x)


def test_a_group_sees_no_other_group():
    weight = layers(line())[3].attributes["weight_data"]  # (kernel, in, out), depthwise
    assert weight.shape == (5, 4, 4)
    assert not weight[:, ~np.eye(4, dtype=bool)].any()


def test_names_differ_whatever_their_case_and_are_no_words_of_cpp():
    names = [layer.name for layer in layers(dense())]
    assert len({name.lower() for name in names}) == 6
    assert "int" not in names


def test_what_the_output_does_not_need_is_left_out():
    assert [layer.value for layer in layers(tiny())] == ["x", "a", "y"]


# Bit for bit


@hls4ml
@compiled
def test_the_compiled_project_computes_every_value(tmp_path):
    project, x = lower(tiny(), tmp_path), samples(tiny())
    with pytest.raises(ValueError, match=r"this project is not compiled: call compile\(\) or check\(samples\) first"):
        project.predict(x)
    assert project.check(x).compared == {"a": 400, "y": 400}
    np.testing.assert_array_equal(project.predict(x), run(tiny(), x)["y"])
    np.testing.assert_array_equal(project.predict(x[:1]), run(tiny(), x[:1])["y"])
    with pytest.raises(ValueError, match=re.escape("'x' needs (batch, *(3,)), got (200, 2)")):
        project.predict(x[:, :2])
    with pytest.raises(TypeError, match="'x' needs integers, got float64"):
        project.predict(x * 1.0)


@hls4ml
@compiled
@pytest.mark.slow
@pytest.mark.parametrize("backend", [name for name, backend in BACKENDS.items() if backend.compiler == "g++"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_every_backend_computes_every_value(backend, program, tmp_path):
    program = PROGRAMS[program]()
    project, x = lower(program, tmp_path, backend=backend), samples(program)
    actual = project.check(x)
    assert actual.samples == 200
    expected = {step.output for step in program.operations} - {"same", "l"}  # identities, which hls4ml removes
    assert set(actual.compared) - {"same"} == expected
    np.testing.assert_array_equal(project.predict(x), run(program, x)[program.outputs[0]])


@hls4ml
@compiled
@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [{"strategy": "Resource", "reuse": 4}, {"strategy": "distributed_arithmetic"}, {"io": "io_stream"}],
    ids=["resource", "adders", "stream"],
)
@pytest.mark.parametrize("program", PROGRAMS)
def test_every_strategy_computes_every_value(options, program, tmp_path):
    program = PROGRAMS[program]()
    if "io" in options:  # which has no overlapping pools
        steps = tuple(MaxPool(s.inputs, s.output, s.size) if isinstance(s, MaxPool) else s for s in program.operations)
        steps = tuple(AveragePool(s.inputs, s.output, (2,)) if s.output == "j" else s for s in steps)
        program = Program(program.inputs, steps, program.outputs)
    lower(program, tmp_path, **options).check(samples(program))


@hls4ml
@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "libero"])
def test_a_backend_writes_a_project_and_says_what_runs_it(backend, tmp_path):
    project = lower(tiny(), tmp_path, backend=backend)
    (source,) = tmp_path.rglob("firmware/qwedge.cpp")
    assert "relu<" in source.read_text()
    needs = rf"of a {BACKENDS[backend].title} project needs '.*' on PATH: install it, or take .* to a machine"
    if shutil.which(BACKENDS[backend].compiler) is None:
        with pytest.raises(OSError, match=r"compile\(\) " + needs):
            project.compile()
    if shutil.which(BACKENDS[backend].tool) is None:
        with pytest.raises(OSError, match=r"build\(\) " + needs):
            project.build()


@hls4ml
def test_libero_lacks_a_file_in_this_release_of_hls4ml(tmp_path):
    with pytest.raises(OSError, match=r"hls4ml cannot write .*templates/libero/build_lib.sh"):
        lower(tiny(), tmp_path, backend="libero")


@hls4ml
def test_a_layer_that_computes_otherwise_is_named(tmp_path, monkeypatch):
    project, x = lower(tiny(), tmp_path), samples(tiny(), 5)
    values = run(tiny(), x)
    traces = {layer.name: values[layer.value] * tiny().values[layer.value].format.step for layer in project.layers[1:]}
    monkeypatch.setattr("shutil.which", lambda tool: tool)
    monkeypatch.setattr(type(project.graph), "trace", lambda self, x: (traces["s2_y"], dict(traces)))
    assert project.check(x).compared == {"a": 10, "y": 10}
    traces["s1_a"][2, 1] += 2**-10
    with pytest.raises(ValueError, match=r"computes 'a' otherwise: 1 of 10 integers differ .*do not use this project"):
        project.check(x)
    traces["s1_a"][2, 1] += 2**-12
    with pytest.raises(ValueError, match=r"hls4ml computes 'a' in finer steps than Format"):
        project.check(x)
    del traces["s1_a"]
    with pytest.raises(ValueError, match="hls4ml dropped 'a', which is no identity"):
        project.check(x)
    with pytest.raises(ValueError, match="needs at least one sample"):
        project.check(x[:0])


# Refusals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "xls"}, "backend 'xls' is unknown: it must be one of vitis, vivado"),
        ({"part": 'x"; exec rm'}, "must be letters, digits, dots and dashes"),
        ({"clock_ns": 0.0}, "Arg `clock_ns` must be a positive number but was 0.0."),
        ({"reuse": 0}, "Arg `reuse` must be at least 1 but was 0."),
        ({"strategy": "fast"}, "strategy 'fast' is unknown"),
        ({"strategy": "distributed_arithmetic", "backend": "quartus"}, "for vitis and vivado, not for quartus"),
        ({"io": "io_serial"}, "io 'io_serial' is unknown"),
        ({"io": "io_stream"}, "streams MaxPool 'i' only with the stride (3,) of its window, got (1,): use io_parallel"),
        ({"backend": "libero"}, "for Libero has dense layers and activations, not Conv1d 'a': use vitis"),
    ],
)
def test_what_cannot_be_lowered_is_refused(options, message, tmp_path):
    with pytest.raises(ValueError, match=re.escape(message)):
        lower(line(), tmp_path, **options)


def test_terms_in_different_orders_are_refused(tmp_path):
    steps = (
        Flatten(("x",), "a"),
        Linear(("a",), "b", Constant(np.ones((6, 6), np.int8), Format(8, 0))),
        Add(("a", "b"), "y"),
    )
    with pytest.raises(ValueError, match=r"the terms of Add 'y' lie in different orders.*add before the Flatten"):
        lower(Program((Input("x", (2, 3), S8),), steps, ("y",)), tmp_path)


def test_two_outputs_are_refused(tmp_path):
    program = Program(tiny().inputs, tiny().operations, ("a", "y"))
    with pytest.raises(ValueError, match="one input and one output"):
        lower(program, tmp_path)


# Reports

CSYNTH = """<profile><UserAssignments><TargetClockPeriod>5.00</TargetClockPeriod></UserAssignments>
<PerformanceEstimates>
<SummaryOfTimingAnalysis><EstimatedClockPeriod>3.512</EstimatedClockPeriod></SummaryOfTimingAnalysis>
<SummaryOfOverallLatency><Best-caseLatency>7</Best-caseLatency><Worst-caseLatency>9</Worst-caseLatency>
<Interval-min>1</Interval-min><Interval-max>2</Interval-max></SummaryOfOverallLatency></PerformanceEstimates>
<AreaEstimates><Resources><BRAM_18K>0</BRAM_18K><DSP>3</DSP><FF>120</FF><LUT>455</LUT><URAM>0</URAM></Resources>
<AvailableResources><BRAM_18K>270</BRAM_18K><DSP>240</DSP><FF>126800</FF><LUT>63400</LUT><URAM>0</URAM>
</AvailableResources></AreaEstimates></profile>"""


def reported(folder, text):
    """A project that Vitis is to have synthesised."""
    place = folder / "qwedge_prj" / "solution1" / "syn" / "report"
    place.mkdir(parents=True)
    (folder / "project.tcl").write_text('variable project_name\nset project_name "qwedge"\nset backend "vitis"\n')
    solutions = '<solutions><solution name="solution1" status=""/></solutions>'
    app = f'<project xmlns="com.autoesl.autopilot.project" name="qwedge_prj">{solutions}</project>'
    (folder / "qwedge_prj" / "vivado_hls.app").write_text(app)
    (folder / "qwedge_prj" / "hls.app").write_text(app)
    (place / "qwedge_csynth.xml").write_text(text)


@hls4ml
@pytest.mark.parametrize("backend", ["vitis", "vivado"])
def test_a_report_becomes_numbers(backend, tmp_path):
    reported(tmp_path, CSYNTH)
    actual = read_reports(tmp_path, backend)["CSynthesisReport"]
    assert actual["TargetClockPeriod"] == 5.0
    assert actual["EstimatedClockPeriod"] == 3.512
    assert [actual[name] for name in ("BestLatency", "WorstLatency", "IntervalMin", "IntervalMax")] == [7, 9, 1, 2]
    assert [actual[name] for name in ("LUT", "FF", "DSP", "AvailableDSP")] == [455, 120, 3, 240]


@hls4ml
def test_a_vendors_tool_on_the_path_is_run_and_its_report_read(tmp_path, monkeypatch):
    project, tool = lower(tiny(), tmp_path / "project"), tmp_path / "bin" / "vitis-run"
    reported(tmp_path / "made", CSYNTH)
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\ncat build_opt.tcl >seen.txt; cp -r '{tmp_path}/made/qwedge_prj' .\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=":")
    assert project.build()["CSynthesisReport"]["LUT"] == 455
    assert re.search(r"csim +0\s+synth +1", (tmp_path / "project" / "seen.txt").read_text())
    tool.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(OSError, match=r"vitis-run failed on .*: Build failed for qwedge"):
        project.build()


@hls4ml
@pytest.mark.parametrize("text", [CSYNTH[:300], "", CSYNTH.replace("AreaEstimates", "Area")])
def test_a_broken_report_says_so(text, tmp_path):
    reported(tmp_path, text)
    with pytest.raises(ValueError, match=r"the report of vitis in .* cannot be read"):
        read_reports(tmp_path, "vitis")


@hls4ml
@pytest.mark.parametrize("backend", BACKENDS)
def test_without_a_report_there_is_a_hint(backend, tmp_path):
    with pytest.raises(OSError, match=rf"no report of {backend} in .*: synthesise it by build\(\)"):
        read_reports(tmp_path, backend)


@pytest.mark.parametrize(("call", "verb"), [(lower, "lower"), (read_reports, "read_reports")])
def test_without_hls4ml_there_is_a_hint(call, verb, tmp_path, monkeypatch):
    for name in ("hls4ml", "hls4ml.model", "hls4ml.report", "hls4ml.utils.config"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ModuleNotFoundError, match=re.escape(f"{verb} needs hls4ml: pip install -e '.[fpga]'")):
        call(tiny(), tmp_path) if call is lower else call(tmp_path, "vitis")
