"""Kernel calls as C: a library of its own, with a benchmark and a CMakeLists."""
