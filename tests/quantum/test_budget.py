"""A budget is written as it is read, allows what is within it, and says what is wrong with it."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantum.compvqc.budget import METRICS, Budget, parse

limits = st.floats(0, 1e9, allow_nan=False)


@given(st.dictionaries(st.sampled_from(METRICS), limits), st.none() | st.floats(0, 1, exclude_max=True))
def test_what_is_written_is_read_again(limits, drop):
    budget = Budget(tuple(limits.items()), drop)
    if limits or drop is not None:
        assert parse(str(budget)) == budget


@pytest.mark.parametrize(
    ("text", "budget", "again"),
    [
        ("twoq<=20", Budget((("twoq", 20.0),)), "twoq<=20"),
        ("drop<=0.01", Budget((), 0.01), "drop<=0.01"),
        (" depth <= 60 , drop<=.02", Budget((("depth", 60.0),), 0.02), "depth<=60,drop<=0.02"),
        ("duration_ns<=1234567.5", Budget((("duration_ns", 1234567.5),)), "duration_ns<=1234567.5"),
        ("twoq<=2e1", Budget((("twoq", 20.0),)), "twoq<=20"),
    ],
)
def test_what_users_write(text, budget, again):
    assert parse(text) == budget
    assert str(budget) == again


@pytest.mark.parametrize("metric", METRICS)
@given(limit=limits, other=limits)
def test_a_limit_allows_what_does_not_exceed_it(metric, limit, other):
    compiled = SimpleNamespace(**dict.fromkeys(METRICS, 1e12) | {metric: other})
    assert Budget(((metric, limit),)).allows(compiled) == (other <= limit)


def test_every_limit_counts():
    both = parse("twoq<=3,depth<=9")
    allowed = [both.allows(SimpleNamespace(twoq=twoq, depth=depth)) for twoq, depth in ((3, 9), (4, 9), (3, 10))]
    assert allowed == [True, False, False]


NEEDED = r"is not METRIC<=NUMBER with METRIC one of drop, twoq, depth, depth_no_rz, twoq_depth, duration_ns"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", f"^budget '' {NEEDED}$"),
        ("twoq<20", f"^budget 'twoq<20' {NEEDED}$"),
        ("twoq<=20,", f"^budget '' {NEEDED}$"),
        ("cnots<=20", f"^budget 'cnots<=20' {NEEDED}$"),
        ("drop<=1%", f"^budget 'drop<=1%' {NEEDED}$"),
        ("twoq<=nan", f"^budget 'twoq<=nan' {NEEDED}$"),
        ("depth<=60, twoq<=1e", "^budget 'twoq<=1e': '1e' is not a number$"),
        ("twoq<=-1", "^budget 'twoq<=-1': the limit must be at least 0 and finite$"),
        ("twoq<=1e999", "^budget 'twoq<=1e999': the limit must be at least 0 and finite$"),
        ("twoq<=1,drop<=0,twoq<=2", "^budget 'twoq<=1,drop<=0,twoq<=2' limits twoq twice: state it once$"),
        ("drop<=0.1,drop<=0", "^budget 'drop<=0.1,drop<=0' limits drop twice: state it once$"),
        ("drop<=1", "^budget 'drop<=1': drop is a share, 0.01 for one in a hundred samples$"),
    ],
)
def test_what_is_no_budget_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse(text)
