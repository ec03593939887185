"""What is public is listed, and looking at it loads nothing heavy."""

import shared.lab


def test_all_names_what_is_visible():
    modules = {
        "benchmark",
        "comparison",
        "context",
        "engine",
        "experiment",
        "html",
        "identity",
        "lines",
        "page",
        "plot",
        "progress",
        "provenance",
        "runner",
        "settings",
        "statistics",
        "store",
        "terminal",
        "compare",
    }
    visible = {name for name in vars(shared.lab) if not name.startswith("_")} - (modules - set(shared.lab.__all__))
    assert visible == set(shared.lab.__all__)
    assert len(shared.lab.__all__) == len(visible)


def test_the_lab_loads_no_heavy_package(python):
    heavy = ("torch", "jinja2", "matplotlib", "ray", "click", "sklearn", "qiskit", "pennylane")
    done = python("-c", f"import shared.lab, sys; print([name for name in {heavy} if name in sys.modules])")
    assert done.stdout == "[]\n", done.stderr
