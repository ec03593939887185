"""Laws of a verdict: the numbers alone decide who is ahead, and every other is named once."""

import pytest

from shared.lab import Comparison, Number, cite, compared, standing, verdict


def words(comparisons):
    return "".join(map(str, verdict("Ours", comparisons).parts))


@pytest.mark.parametrize(
    ("value", "low", "high", "margin", "stands"),
    [
        (0.3, 0.2, 0.4, 0.0, "ahead"),
        (-0.3, -0.4, -0.2, 0.0, "behind"),
        (0.3, -0.1, 0.7, 0.0, "level"),
        (0.02, 0.01, 0.03, 0.05, "level"),
        (-0.02, -0.03, -0.01, 0.05, "level"),
        (-0.02, -0.03, -0.01, 0.01, "behind"),
        (0.3, None, None, 0.0, "ahead"),
        (0, None, None, 0.0, "level"),
    ],
)
def test_the_interval_and_the_margin_decide(value, low, high, margin, stands):
    difference = Number(value, (), low=low, high=high)
    assert standing(difference, margin=margin) == stands
    reversed_ = {"ahead": "behind", "behind": "ahead", "level": "level"}[stands]
    assert compared("theirs", difference, less_is_better=True, margin=margin).standing == reversed_


def test_words_are_no_difference():
    with pytest.raises(TypeError, match=r"^'no errors' is not a difference: use a number$"):
        standing(cite("no errors"))


@pytest.mark.parametrize(
    ("stands", "says"),
    [
        ({"A": "ahead"}, "Ours is ahead of A."),
        ({"A": "behind"}, "Ours is behind A."),
        ({"A": "level", "B": "level", "C": "level"}, "Ours is level with A; B and C."),
        ({"A": "behind", "B": "ahead"}, "Ours is ahead of B. It is behind A."),
        ({"A": "behind", "B": "level", "C": "ahead"}, "Ours is ahead of C. It is level with B. It is behind A."),
        ({}, "Ours stands beside no other."),
    ],
)
def test_every_other_is_named(stands, says):
    assert words([Comparison(other, it) for other, it in stands.items()]) == says


def test_the_numbers_stand_beside_the_name_and_lead_to_their_rows():
    numbers = (Number(-3, ("a", "b"), form="+d", unit="gates"), Number(0.5, ("a",), form="+.1f", unit="points"))
    sentence = verdict("Ours", [Comparison("theirs", "ahead", numbers)])
    assert "".join(map(str, sentence.parts)) == "Ours is ahead of theirs (-3 gates, +0.5 points)."
    assert [part for part in sentence.parts if isinstance(part, Number)] == list(numbers)
