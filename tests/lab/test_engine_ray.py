"""Law of engines: the same cells give the same rows, here or on a cluster."""

import pytest
from lab_toys import Coin, CoinSettings

from shared.lab import Local, Ray, Store, run

try:
    from ray.cluster_utils import Cluster
except ModuleNotFoundError:
    pytestmark = pytest.mark.skip(reason="ray is not installed: pip install -e '.[ray]'")
else:
    pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster():
    """A cluster that was running before anyone asked for it."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    yield cluster.address
    cluster.shutdown()


def what_matters(rows):
    return [(row.id, row.result, row.artefacts, row.command) for row in rows]


def test_an_existing_cluster_gives_the_rows_of_the_local_engine(cluster, tmp_path):
    coin = Coin()
    cells = coin.cells(CoinSettings(seeds=3))
    there, here = Store(tmp_path / "ray"), Store(tmp_path / "local")
    rows = run(coin, cells, there, engine=Ray(cluster))
    assert what_matters(rows) == what_matters(run(coin, cells, here, engine=Local()))
    assert all(there.get(sha256) == here.get(sha256) for row in rows for sha256 in row.artefacts.values())
    assert run(coin, cells, there, engine=Ray(cluster)) == rows


def test_a_bad_setting_reads_the_same_and_leaves_nothing(cluster, tmp_path):
    with pytest.raises(ValueError, match=r"^name=bent: this coin cannot be thrown; use a flat one$"):
        run(Coin(), [CoinSettings(name="bent")], Store(tmp_path / "ray"), engine=Ray(cluster))
    assert not (tmp_path / "ray").exists()


def test_without_an_address_a_cluster_is_started(tmp_path):
    [row] = run(Coin(), [CoinSettings()], Store(tmp_path / "ray"), engine=Ray())
    [same] = run(Coin(), [CoinSettings()], Store(tmp_path / "local"))
    assert what_matters([row]) == what_matters([same])


def test_no_cluster_at_the_address(tmp_path):
    with pytest.raises(ValueError, match=r"--address 127\.0\.0\.1:1: no Ray cluster answers there"):
        run(Coin(), [CoinSettings()], Store(tmp_path / "ray"), engine=Ray("127.0.0.1:1"))
    assert not (tmp_path / "ray").exists()
