"""Devices: where a circuit runs, by name, file or coupling list."""

from dataclasses import dataclass, field

from qiskit.transpiler import Target


@dataclass(frozen=True)
class Device:
    """A compilation target with a name, and the SHA-256 of everything in it that a price depends on."""

    name: str
    sha256: str
    target: Target = field(compare=False, repr=False)


def device(spec: str) -> Device:
    """The device called `spec`."""
    from qiskit_ibm_runtime import fake_provider

    backend = getattr(fake_provider, {"nairobi": "FakeNairobiV2", "torino": "FakeTorino"}[spec])()
    return Device(spec, spec, backend.target)
