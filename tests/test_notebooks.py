"""What notebooks show, and that the notebooks of examples/ run."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

import behemoth as bh
from behemoth.evaluate import SuiteResult
from behemoth.evaluate.suites.suite import Found, Taken
from behemoth.support.html import card

EXAMPLES = Path(__file__).parents[1] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
STUDY = """
name = "tiny"
question = "Is 1 < 2?"
[plan]
edits = 2
[[method]]
name = "lora"
"""


def rows(thing):
    html = thing._repr_html_()
    assert html.startswith("<table>") and html.endswith("</table>")
    return dict(re.findall(r"<th>(.*?)</th><td>(.*?)</td>", html, re.DOTALL))


def test_cards_escape_what_they_show():
    made = card("<b>", {"a&b": "<script>", "many": 1_200, "is": True})
    assert "<b>" not in made and "<script>" not in made
    assert "<th>a&amp;b</th>" in made and "<td>1,200</td>" in made and "<td>yes</td>" in made


def test_worlds_and_corpora(corpus):
    world = rows(corpus.world)
    assert (world["facts"], world["subjects"]) == ("180", "60")
    assert world["relations (objects)"].count("independent (12)") == 3
    shown = rows(corpus)
    assert shown["sentences"] == "720" and shown["spec"] == corpus.spec_hash[:16]
    assert corpus.texts(0, 1)[0].startswith(shown["a document"].split("&lt;")[0])


def test_suites():
    found = Found(0.25, 0.125, 0.375, 8, "facts")
    measures = (
        Taken("forget_recall", "", 1, found, twin=0.5),
        Taken("score", "", 1, Found(1.0)),
        Taken("kl_twin_forget", "", 1, missing="a twin"),
    )
    suite = SuiteResult("unlearning", "edit", None, "t", "after", None, measures, 1.0, {}, None)
    assert rows(suite) == {"forget_recall": "0.25 (0.125 to 0.375); twin 0.5", "score": "1"}
    said = "2 of 3 measures; .table() says what the others need"
    assert repr(suite) == f"SuiteResult(unlearning of 'edit', {said})"
    whole = replace(suite, measures=measures[:2])
    assert repr(whole) == "SuiteResult(unlearning of 'edit', 2 measures)"


def test_runs_plans_edits_and_studies(trained, tmp_path):
    run = bh.load(trained)
    assert rows(run)["model"] == "nano" and rows(run)["facts"] == "360"
    plan = bh.plan(run, edits=2, repeats=3)
    shown = rows(plan)
    assert shown["edits"] == "2" and shown["probes, edited"] == "2"
    assert shown["rows of training"] == f"{plan.rows:,}"
    edit = bh.edit(run, plan, "lora", tmp_path / "edit", settings={"steps": 1})
    shown = rows(bh.load(edit))
    assert rows(edit).items() <= shown.items() and len(rows(edit)) == 6
    assert shown["edits"] == "2 edits in one batch by lora" and shown["complete"] == "yes"
    assert "steps=1" in shown["settings"] and shown["failed"] == "0"
    study = rows(bh.Study.parse(STUDY))
    assert study["question"] == "Is 1 &lt; 2?" and study["methods"] == "lora"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_clean(path):
    """Committed without outputs, so that a diff shows what was written and no more."""
    nbformat = pytest.importorskip("nbformat")
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert code and not any(cell.outputs or cell.execution_count for cell in code)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "path",
    [  # the others train: half a minute of one core
        pytest.param(path, id=path.stem, marks=[pytest.mark.slow] * (path.stem != "first-corpus"))
        for path in NOTEBOOKS
    ],
)
@pytest.mark.filterwarnings("default")
def test_a_notebook_runs(path, tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    book = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(
        book, timeout=500, startup_timeout=300, kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    ).execute()  # fmt: skip
    outputs = [each for cell in book.cells for each in cell.get("outputs", ())]
    assert not [each.text for each in outputs if each.get("name") == "stderr"]
