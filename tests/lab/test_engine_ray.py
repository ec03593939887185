"""Law of engines: the same cells give the same rows, here or on a cluster."""

import pytest
from lab_toys import Coin, CoinSettings

from shared.lab import Local, Ray, Store, run

try:
    import ray  # noqa: F401
except ModuleNotFoundError:
    pytestmark = pytest.mark.skip(reason="ray is not installed: pip install 'qwedge[ray]'")


def test_ray_gives_the_rows_of_the_local_engine(tmp_path):
    coin = Coin()
    cells = coin.cells(CoinSettings(players=3))
    there, here = Store(tmp_path / "ray"), Store(tmp_path / "local")
    rows = run(coin, cells, there, engine=Ray())
    expected = run(coin, cells, here, engine=Local())
    assert [(row.id, row.result, row.artefacts, row.command) for row in rows] == [
        (row.id, row.result, row.artefacts, row.command) for row in expected
    ]
    assert all(there.get(sha256) == here.get(sha256) for row in rows for sha256 in row.artefacts.values())


def test_a_bad_setting_reads_the_same_and_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match=r"^name=bent: this coin cannot be thrown; use a flat one$"):
        run(Coin(), [CoinSettings(name="bent")], Store(tmp_path / "ray"), engine=Ray())
    assert not (tmp_path / "ray").exists()


def test_no_cluster_at_the_address(tmp_path):
    with pytest.raises(ValueError, match=r"--address 127\.0\.0\.1:1: no Ray cluster answers there"):
        run(Coin(), [CoinSettings()], Store(tmp_path / "ray"), engine=Ray("127.0.0.1:1"))
