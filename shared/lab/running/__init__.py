"""How cells run: experiments, engines, checkpoints, progress, benchmarks."""
