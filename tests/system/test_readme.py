"""README.md is true: its commands run as they stand, its links lead somewhere."""
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SAMEPAGE_BUILD", ROOT / "build/release"))
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.M | re.S)


def test_its_commands_run(tmp_path):
    """All in one shell, as a reader types them, in an empty home beside a finished build."""
    (tmp_path / "build").mkdir()
    (tmp_path / "build/release").symlink_to(BUILD)
    script = "set -eux\n"
    for language, text in BLOCKS:
        if language == "cpp":
            (tmp_path / re.match(r"// (\w+\.cpp)", text)[1]).write_text(text)
        elif "./dev" not in text:
            script += text
    result = subprocess.run(["bash", "-c", script], cwd=tmp_path, env={**os.environ, "HOME": str(tmp_path)},
                            capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert "slice 3 of 4" in result.stdout
    words = (tmp_path / "words").read_text().splitlines()
    assert words == [f"constant number {number}" for number in range(0, 1_000_000, 7)]
    assert "the store holds them" in result.stdout


@pytest.mark.parametrize("word", re.findall(r"^\./dev (\w+)", README, re.M))
def test_its_dev_words_exist(word):
    result = subprocess.run([ROOT / "dev", word, "--help"], capture_output=True, text=True)
    assert result.returncode == 0 and f"./dev {word}" in result.stdout


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/README.md"])
def test_its_links_lead_somewhere(page):
    file = ROOT / page
    dead = [link for link in re.findall(r"\]\(([^)#:]+)\)", file.read_text()) if not (file.parent / link).exists()]
    assert not dead
