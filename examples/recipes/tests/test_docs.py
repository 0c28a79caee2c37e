"""The programs of the documentation print what it says, and the code in it is that of the recipes."""

import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[3]
BLOCK = r"```{}\n(.*?)```"
HANGS = (ROOT / "docs/when-it-hangs.md").read_text(encoding="utf-8")
RECIPES = (ROOT / "docs/recipes.md").read_text(encoding="utf-8").split("\n## ")[1:]
PROGRAMS = re.findall(BLOCK.format("python") + r"\s*" + BLOCK.format("text"), HANGS, re.DOTALL)


def test_every_program_of_the_page_has_an_output():
    assert len(PROGRAMS) == HANGS.count("```python") == HANGS.count("```text") == 3


@pytest.mark.parametrize("program, output", PROGRAMS, ids=["tasks", "slow", "stopped"])
def test_a_program_prints_what_the_page_says(tmp_path, program, output):
    (tmp_path / "hang.py").write_text(program)
    ran = subprocess.run(
        [sys.executable, "hang.py"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60
    )
    # `…` stands for a part of a line, or for lines if it is alone.
    lines = [r"(?:.*\n)*" if line == "…" else re.escape(line).replace("…", ".*") + r"\n" for line in output.splitlines()]
    assert re.fullmatch("".join(lines), ran.stdout), ran.stdout


@pytest.mark.parametrize("recipe", RECIPES, ids=[recipe.splitlines()[0] for recipe in RECIPES])
def test_the_code_of_a_recipe_is_in_the_file_that_it_names(recipe):
    *_, link = re.findall(r"\]\(\.\./(examples/recipes/[^)]*|pytests/[^)]*)\)", recipe)
    source = (ROOT / link).read_text(encoding="utf-8")
    for code in re.findall(BLOCK.format("rust"), recipe, re.DOTALL):
        assert code in source
