"""The transpiler, what it counts, and what each angle level costs on a device."""
