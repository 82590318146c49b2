import json
import re
import subprocess
import sys
from types import SimpleNamespace

import polars as pl
import pytest

from behemoth import ArgumentError
from behemoth.report import write_report
from behemoth.report.charts import CHARTS
from behemoth.report.write import _counts
from behemoth.study.schemas import SUITES

NAMES = {chart.__name__ for chart in CHARTS}


def test_the_report_is_whole(report, study):
    assert report == study / "report" / "report.html"
    charts = {file.name for file in (report.parent / "charts").iterdir()}
    assert charts == {f"{name}.{end}" for name in NAMES for end in ("png", "svg")}
    assert (report.parent / "charts" / "dose.png").read_bytes().startswith(b"\x89PNG")
    assert (report.parent / "charts" / "dose.svg").read_text().startswith("<svg")
    frames = {file.stem for file in (report.parent / "frames").iterdir()}
    assert {f"figure_{name}" for name in NAMES} <= frames
    assert {"contrasts", "doses", "mediation", "damage"} <= frames
    doses = pl.read_parquet(report.parent / "frames" / "figure_dose.parquet")
    assert {"label", "exposures", "ed50", "low", "high", "censored"} <= set(doses.columns)


def test_it_says_what_was_asked_run_and_found(report):
    text = report.read_text()
    assert "Does the frequency of a fact decide how well it can be edited?" in text
    assert 'data-verdict="rises"' in text
    assert "3 clusters" in text
    assert (
        "Primary contrasts, stated in the study: the time ratio of the dose of edits that need a "
        "step, per doubling of exposures with lora, rank 1, mlp, over all facts" in text
    )
    assert "log-likelihood</th>" in text
    assert "behemoth study run" in text
    assert "measure = &quot;ed50&quot;" in text
    assert "No trial and no edit failed." in text
    for name in NAMES:
        assert f'<figure id="{name}"' in text


def test_the_methods_stand_before_the_figures(report, study):
    text = report.read_text()
    place = text.index('<h2 id="methods">')
    assert text.index('class="headline"') < place < text.index("<figure ")
    heads = re.findall(r"<th[^>]*>([^<]+)", text[place : text.index("<figure ")])
    assert heads[:4] == ["method", "success", "held-out wordings", "known bystanders lost"]
    assert {"seconds an edit", "10⁹ operations an edit", "memory, MiB"} <= set(heads)
    frame = pl.read_parquet(report.parent / "frames" / "methods.parquet")
    assert frame.height == 3


@pytest.mark.parametrize(
    ("out", "file", "said"),
    [("notes.txt/out", "notes.txt", "notes.txt, a file"),
     ("out", "out/charts", "out/charts, a file"), ("out", "out/frames", "out/frames, a file"),
     ("out", "out/report.html/notes.txt", "out/report.html, a directory"),
     ("out", "out/run.json", "out, which is a run"),
     ("out", "out/study.json", "out, which is a study")],
)  # fmt: skip
def test_what_is_in_the_way_of_the_report_is_refused_before_the_analysis(
    study, tmp_path, out, file, said
):
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).touch()
    moments = []
    with pytest.raises(ArgumentError, match=rf"'out': got {tmp_path}/{said}, allowed: a folder"):
        write_report(study, tmp_path / out, progress=moments.append)
    assert moments == []


def test_a_file_in_the_place_of_the_report_is_refused_before_the_analysis(study, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    told = r"argument 'out': got .*notes.txt, a file, allowed: a folder for the report"
    moments = []
    with pytest.raises(ArgumentError, match=told):
        write_report(study, tmp_path / "notes.txt", progress=moments.append)
    assert not moments and (tmp_path / "notes.txt").read_text() == "mine"


def test_figures_say_what_they_show(report):
    text = report.read_text()
    head = r'<figure id="(\w+)"[^>]*><h3>[^<]*</h3><p class="finding">([^<]+)</p>'
    said = dict(re.findall(head, text))
    assert re.match(r"From 1 to 256 exposures, ED50 changes from \d+ to \d+ steps", said["dose"])
    assert "At least half of the facts are recalled from" in said["recall"]
    assert said["damage"].startswith("Over all methods, edits lose")
    start = "mlp, rank 1 against mlp, rank 16: at the same KL on bystanders "
    assert re.match(rf"{start}\d+\.\d percentage points (more|fewer) flip", said["matched"])
    # What the question of a study of ranks is about stands on top, too.
    assert said["matched"] in text[: text.index('<h2 id="methods">')]


def test_nothing_is_loaded_from_anywhere(report):
    text = report.read_text()
    elements = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"<(link|img|iframe|script)[^>]+(src|href)=\"(?!data:)", elements)
    assert "url(" not in elements and "@import" not in elements
    assert "<script src" not in text


def test_words_of_a_study_cannot_break_the_page(report):
    text = report.read_text()
    assert "ft </script>" not in text
    assert "ft &lt;/script&gt; &amp; &lt;b&gt;" in text
    assert text.count("<script") == text.count("</script>")


def test_charts_without_data_are_left_out_with_a_sentence(tmp_path, draw, write_study):
    frames = draw(worlds=1, edits=12, probes=1, labels=("lora",), levels=(1, 16))
    study = write_study(tmp_path / "study", frames, {"measure": "ed50", "method": "lora"})
    text = write_report(study, tmp_path / "out", resamples=10).read_text()
    assert 'data-verdict="one cluster"' in text
    assert '<figure id="retention"' not in text
    assert "The study did not continue training after its edits" in text
    assert "The study has one rank and one placement only." in text
    assert not (tmp_path / "out" / "charts" / "retention.png").exists()
    assert (tmp_path / "out" / "charts" / "dose.png").exists()


def test_a_study_in_which_nothing_is_finished(tmp_path, draw, write_study):
    frames = draw(worlds=1, edits=12, probes=1, labels=("lora",))
    study = write_study(tmp_path / "study", frames, {"measure": "ed50", "method": "lora"})
    for record in study.glob("*/*/*.json"):
        record.unlink()
    text = write_report(study, resamples=10).read_text()
    assert 'data-verdict="no data"' in text
    assert "<figure " not in text
    assert "This report is about the other 0." in text


def test_charts_for_print_and_charts_alone(tmp_path, draw, write_study, monkeypatch):
    some = [chart for chart in CHARTS if chart.__name__ in ("dose", "damage")]
    monkeypatch.setattr("behemoth.report.write.CHARTS", some)
    frames = draw(worlds=2, edits=12, probes=1, labels=("lora", "ft"), levels=(1, 16))
    study = write_study(tmp_path / "study", frames, {"measure": "ed50", "method": "lora"})
    place = write_report(study, tmp_path / "out", resamples=10, style="paper", figures=True)
    assert place == tmp_path / "out" and not (place / "report.html").exists()
    ends = {file.suffix for file in (place / "charts").iterdir()}
    assert ends == {".pdf", ".svg"}
    assert (place / "charts" / "dose.pdf").read_bytes().startswith(b"%PDF")
    text = (place / "charts" / "dose.svg").read_text()
    assert "Nimbus Roman" in text and "system-ui" not in text
    width = float(re.search(r'<svg[^>]* width="([\d.]+)"', text).group(1))
    assert width < 560, "two panels fit on a page"
    assert {file.stem for file in (place / "frames").iterdir()} == {
        f"figure_{file.stem}" for file in (place / "charts").glob("*.svg")
    }
    with pytest.raises(ArgumentError, match="argument 'style': got print, allowed: screen, paper"):
        write_report(study, style="print")


def test_what_is_not_there_yet_stands_on_top(tmp_path, draw, write_study, report, monkeypatch):
    monkeypatch.setattr("behemoth.report.write.CHARTS", [])
    assert 'class="state"' not in report.read_text(), "of a whole study there is nothing to say"
    frames = draw(worlds=3, edits=12, probes=1, labels=("lora",), levels=(1, 16))
    study = write_study(tmp_path / "study", frames, {"measure": "ed50", "method": "lora"})
    records = sorted(study.glob("trials/*/*.json"))
    records[0].unlink()
    text = write_report(study, resamples=10).read_text()
    count = len(records)
    said = f"Incomplete study: 1 of {count} trials have not been run yet. "
    said += f"This report is about the other {count - 1}."
    assert said in text
    assert text.index(said) < text.index('class="headline"')
    assert "<dt>clusters (world, init)</dt><dd>2</dd>" in text, "those that have edits"


def test_what_is_no_study_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match="allowed: a study"):
        write_report(tmp_path)


def test_importing_the_report_loads_nothing_heavy():
    script = "import sys, behemoth.report; sys.stdout.write(' '.join(sys.modules))"
    loaded = set(subprocess.check_output([sys.executable, "-c", script], text=True).split())
    assert not loaded & {"altair", "vl_convert", "pandas", "statsmodels", "torch", "polars"}


def test_axes_that_no_table_separates_are_named_at_the_front(
    draw, write_study, tmp_path, monkeypatch
):
    monkeypatch.setattr("behemoth.report.write.CHARTS", [])
    place = write_study(tmp_path / "s", draw(edits=4, probes=1, labels=("a",)),
                        {"measure": "ed50", "method": "a"})  # fmt: skip
    record = place / "study.json"
    about = json.loads(record.read_text())
    about["points"] = [{"train.steps": 4, "train.seed": 0}, {"train.steps": 8, "train.seed": 0}]
    for number, model in enumerate(about["models"]):
        model |= {"corpus": {"world": {}, "corpus": {}}}
        model |= {"config": {"steps": 4 + 4 * (number % 2), "seed": number}}
    record.write_text(json.dumps(about))
    text = write_report(place, resamples=5).read_text()
    said = "Tables and figures pool over train.steps (4 and 8) and name none of these values"
    assert text.index(said) < text.index('class="headline"')
    last = 'axes of the grid that tables pool over</td><td class="wrap">train.steps (4 and 8)</td>'
    assert text.index("What was run</h2>") < text.index(last)
    assert "pool over" not in write_report(
        write_study(tmp_path / "t", draw(edits=4, probes=1, labels=("a",)),
                    {"measure": "ed50", "method": "a"}), resamples=5,
    ).read_text()  # fmt: skip


def board_of(place, frames, write_study, labels):
    """Write a study in which the methods of these labels run a suite."""
    study = write_study(place, frames, {"measure": "ed50", "method": "a"})
    record = study / "study.json"
    about = json.loads(record.read_text())
    for row in about["trials"]:
        if row["label"] in labels:
            row["measure"] = {"suite": "editing"}
            one = {"suite": "editing", "edits": 4, "measure": "efficacy", "value": 0.5}
            given = {"trial": row["id"], **dict.fromkeys(SUITES), **one}
            suites = pl.DataFrame([given], schema={"trial": pl.String, **SUITES})
            suites.write_parquet(study / "trials" / row["id"] / "suites.parquet")
    record.write_text(json.dumps(about))
    return study


def test_models_whose_trials_are_not_done_are_not_counted_on_a_board(draw, write_study, tmp_path):
    frames = draw(worlds=3, edits=4, probes=1, labels=("a",))
    study = board_of(tmp_path / "s", frames, write_study, ("a",))
    for trial in json.loads((study / "study.json").read_text())["trials"]:
        if trial["model"].startswith("nano-0-"):
            (study / "trials" / trial["id"] / "trial.json").unlink()
    text = write_report(study).read_text()
    done = frames.edits.filter(pl.col("world_seed") > 0).collect()
    assert f"<dt>models edited</dt><dd>{done['model'].n_unique()}</dd>" in text
    clusters = done.select("world_seed", "seed").unique().height
    assert f"<dt>clusters (world, init)</dt><dd>{clusters}</dd>" in text


def test_numbers_of_facts_are_in_their_order():
    """Not in that of a set, which differs from one process to the next."""
    facts = [900, 1200, *range(480, 400, -10)]
    edits = pl.DataFrame({"world_seed": [0], "seed": [0], "label": ["a"]})
    summary = SimpleNamespace(models=pl.DataFrame({"facts": facts}), edits=edits)
    counts = dict(_counts(SimpleNamespace(seconds={}), summary))
    said = " or ".join([*map(str, range(410, 490, 10)), "900", "1,200"])
    assert counts["facts in each world"] == said


def test_methods_without_a_suite_are_named_on_a_board(draw, write_study, tmp_path):
    frames = draw(worlds=1, edits=4, probes=1, labels=("a", "b <i>", "c"))
    said = "are not on this page; Results.edits has their edits."
    text = write_report(board_of(tmp_path / "s", frames, write_study, ("a",))).read_text()
    assert f'role="status">b &lt;i&gt; and c run no suite and {said}' in text
    text = write_report(board_of(tmp_path / "t", frames, write_study, ("a", "c"))).read_text()
    assert f'role="status">b &lt;i&gt; runs no suite and {said.replace("are", "is", 1)}' in text
    whole = board_of(tmp_path / "u", frames, write_study, ("a", "b <i>", "c"))
    assert "run no suite" not in write_report(whole).read_text()


def test_what_was_run_has_the_settings_of_each_method(draw, write_study, tmp_path, monkeypatch):
    monkeypatch.setattr("behemoth.report.write.CHARTS", [])
    place = write_study(tmp_path / "s", draw(edits=4, probes=1, labels=("a", "b", "c", "d"),
                        settings={"a": {"rank": 4, "part": "mlp"}}),
                        {"measure": "ed50", "method": "a"})  # fmt: skip
    record = place / "study.json"
    about = json.loads(record.read_text())
    tuning = {"trials": 8, "seconds": 75}
    about["methods"] = [
        {"label": "a", "settings": {}, "whence": "tuned", "tuning": tuning},
        {"label": "b", "settings": {}, "whence": "default"},
        {"label": "c", "worlds": {"text": {"settings": {"steps": 3}, "whence": "given"}}},
    ]
    record.write_text(json.dumps(about))
    text = write_report(place, resamples=5).read_text()
    rows = dict(re.findall(r">settings of (.)</td><td[^>]*>([^<]*)", text))
    assert rows == {
        "a": "rank = 4, part = mlp (tuned, 8 trials, 1 min 15 s)",
        "b": "none (default)",
        "c": "settings on text (by hand): steps = 3",
        "d": "none",
    }
