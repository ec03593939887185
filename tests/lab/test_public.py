"""What is public is listed, and looking at it loads nothing heavy."""

from types import ModuleType

import shared.lab


def test_all_names_what_is_visible():
    visible = {
        name for name, value in vars(shared.lab).items() if not (name.startswith("_") or isinstance(value, ModuleType))
    }
    assert visible == set(shared.lab.__all__)
    assert len(shared.lab.__all__) == len(visible)


def test_the_lab_loads_no_heavy_package(python):
    heavy = ("torch", "jinja2", "matplotlib", "ray", "click", "sklearn", "qiskit", "pennylane")
    done = python("-c", f"import shared.lab, sys; print([name for name in {heavy} if name in sys.modules])")
    assert done.stdout == "[]\n", done.stderr
