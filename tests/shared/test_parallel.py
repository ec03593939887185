"""Training in several processes: the net is that of one process, and a script need not know."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from shared.training import parallel

SCRIPT = """
import sys
import torch
from torch import nn
from safetensors.torch import save_file
from shared.training.data import Pairs, Shuffled
from shared.training.epochs import NesterovCosine, Trainer
from shared.training.parallel import joined

with joined() as (rank, processes):
    torch.manual_seed(rank)  # the first one's net counts
    net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
    unused = nn.Linear(2, 2)
    net.add_module("unused", nn.Sequential())
    net.unused.register_parameter("idle", unused.weight)
    generator = torch.Generator().manual_seed(7)
    x = torch.randn(70, 6, generator=generator)
    examples = Pairs(x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long())
    trainer = Trainer(net, NesterovCosine(3, 0.1, batch=15))
    losses = [trainer.run_epoch(Shuffled(examples, 15, generator)) for _ in range(3)]
    save_file(trainer.state() | {"losses": torch.tensor(losses)}, f"{sys.argv[1]}/{processes}-{rank}.safetensors")
"""


@pytest.mark.slow
def test_two_processes_train_the_net_that_one_trains(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for before in ([], torchrun):
        subprocess.run([sys.executable, *before, str(script), str(tmp_path)], check=True, timeout=300)
    alone, *together = (load_file(tmp_path / f"{name}.safetensors") for name in ("1-0", "2-0", "2-1"))
    for state in together:
        assert state.keys() == alone.keys()
        losses = state.pop("losses")
        torch.testing.assert_close(losses, alone["losses"], rtol=0.03, atol=0)  # parts of 8 and 7 examples
        for name, value in state.items():
            torch.testing.assert_close(value, alone[name], rtol=1e-4, atol=1e-6)
    assert all(torch.equal(together[0][name], together[1][name]) for name in together[0])


def test_parts_of_a_batch_are_disjoint_and_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "processes", lambda: 3)
    batch, parts = torch.arange(10), []
    for rank in range(3):
        monkeypatch.setattr(parallel.dist, "get_rank", lambda rank=rank: rank)
        parts.append(parallel.own_part(batch))
    assert sorted(torch.cat(parts).tolist()) == batch.tolist()
    with pytest.raises(ValueError, match="a batch of 2 for 3 processes: needs one example for each; start fewer"):
        parallel.own_part(batch[:2])
