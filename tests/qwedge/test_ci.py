"""`.ci/run` runs what the README prints, nothing else, and fails if either command fails."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "run"


@pytest.fixture
def ci(tmp_path):
    """Runs a copy of the script in a repository of its own, whose README holds `text`."""

    def call(text: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / ".ci").mkdir()
        shutil.copy(SCRIPT, tmp_path / ".ci" / "run")
        (tmp_path / "README.md").write_text(text)
        git = ("git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b")
        for words in (("init", "-q"), ("add", "README.md"), ("commit", "-qm", "first")):
            subprocess.run([*git, *words], check=True)
        (tmp_path / "untracked.txt").write_text("is not in a clean clone")
        return subprocess.run(
            ["bash", tmp_path / ".ci" / "run"], capture_output=True, text=True, check=False, timeout=120
        )

    return call


def readme(*commands: str) -> str:
    block = "\n".join(commands)
    return f"# Q\n```sh\nfalse\n```\n\n## Two commands\nText.\n\n```sh\n{block}\n```\n\n```sh\nfalse\n```\n## More\n"


def test_both_run_in_a_fresh_environment_and_one_failure_fails(ci):
    first = 'test -n "$VIRTUAL_ENV" && test ! -e untracked.txt && touch mark && echo "one of $(basename $PWD)"'
    done = ci(readme(first, "test ! -e mark && echo two && false"))
    assert done.returncode == 1
    assert f"$ {first}\none of qwedge\n" in done.stdout
    assert "\npassed after" in done.stdout
    assert "\ntwo\n" in done.stdout
    assert "\nFAILED after" in done.stdout


@pytest.mark.parametrize("commands", [(), ("true",), ("true", "true", "true")])
def test_anything_but_two_lines_is_refused(ci, commands):
    done = ci(readme(*commands))
    assert done.returncode == 1
    expected = f'README.md: needs a fenced block of two lines under "## Two commands", found {len(commands)} lines\n'
    assert done.stderr == expected
