"""Laws of comparing: pairs are rows that differ only in what tells the two sets apart."""

import numpy as np
import pytest

from shared.lab import Row, compare, differences_table


def rows(target: str, seeds, **result):
    return [
        Row(
            f"{target}{seed}",
            "trial",
            1,
            {"seed": seed, "target": target, "task": "a"},
            seed,
            {name: values[seed] for name, values in result.items()},
        )
        for seed in seeds
    ]


def test_pairs_by_seed_whatever_the_order():
    first = rows("torino", [2, 0, 1], depth=[10, 20, 30], inner=[{"gates": 1}] * 3)
    second = rows("nairobi", [0, 1, 2], depth=[9, 19, 29], inner=[{"gates": 1}] * 3)
    depth, gates = compare(first, second, np.random.default_rng(0))
    assert (depth.name, depth.first, depth.second, depth.difference, depth.low, depth.high) == (
        "depth",
        20,
        19,
        1,
        1,
        1,
    )
    assert (depth.pairs, depth.verdict) == (3, "higher")
    assert (gates.name, gates.verdict) == ("inner.gates", "tie")


def test_inside_the_noise_is_a_tie():
    [depth] = compare(
        rows("a", range(4), depth=[1, 2, 3, 4]), rows("b", range(4), depth=[2, 1, 4, 3]), np.random.default_rng(0)
    )
    assert depth.low < 0 < depth.high
    assert depth.verdict == "tie"


def test_one_pair_has_no_interval():
    [depth] = compare(rows("a", [0], depth=[5]), rows("b", [0], depth=[7]), np.random.default_rng(0))
    assert depth == ("depth", 5, 7, -2, None, None, 1, "one pair: no verdict")
    assert differences_table([depth], "a", "b").title == "1 pair of rows"


@pytest.mark.parametrize("seeds", [[0, 1], [0, 1, 2, 3], [1, 2, 3]])
def test_rows_without_partner_are_refused(seeds):
    with pytest.raises(
        ValueError, match=r"rows cannot be paired by the settings both share \(.*task.*\); run both with the same"
    ):
        compare(rows("a", [0, 1, 2], depth=[1] * 3), rows("b", seeds, depth=[1] * 4), np.random.default_rng(0))


def test_rows_with_the_same_values_in_other_combinations_are_no_pairs():
    first, second = rows("a", [0, 1], depth=[1, 1]), rows("a", [0, 1], depth=[1, 1])
    for index in (0, 1):
        first[index].settings["task"] = "xy"[index]
        second[index].settings["task"] = "yx"[index]
    with pytest.raises(ValueError, match="rows cannot be paired"):
        compare(first, second, np.random.default_rng(0))


def test_words_and_flags_are_no_numbers():
    first, second = (rows(name, [0], ok=[True], word=["x"], list=[[1, 2]], none=[None], count=[3]) for name in "ab")
    assert [each.name for each in compare(first, second, np.random.default_rng(0))] == ["count"]
