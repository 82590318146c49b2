"""A study says it if its twins start from a model that has read the facts."""

import shutil

import pytest

from behemoth import ArgumentError, Corpus, World
from behemoth.study.file import identity
from behemoth.study.file.spec import Study
from behemoth.study.started import start_text, twins_from
from behemoth.study.work import run as work
from behemoth.train import default_config, train

TEXT = """
name = "tiny"
[world]
subjects = 20
relations = 2
objects = 5
[corpus]
exposures = 4
[train]
steps = 5
block_length = 32
start = "START"
[plan]
edits = 2
kind = "refusal"
distinct = false
[measure]
suite = "unlearning"
twin = true
[[method]]
name = "grad_ascent"
"""


@pytest.fixture(scope="module")
def start_on(tmp_path_factory):
    """Train a model on a corpus: start_on(corpus) -> its directory."""

    def start_on(corpus):
        place = tmp_path_factory.mktemp("starts") / "start"
        config = default_config(
            "pico", steps=1, batch_size=2, block_length=32, threads=1, tensorboard=False
        )
        train(corpus, out=place, config=config)
        return place

    return start_on


@pytest.fixture(scope="module")
def knowing(start_on):
    """A model that has read the facts of the study."""
    return start_on(Corpus(World(20, 2, 5), exposures=1))


def expanded(text, start):
    return Study.parse(text.replace("START", str(start))).expand()


def test_twins_that_start_from_a_model_of_their_facts_are_found(knowing, start_on):
    alone = TEXT.replace("twin = true", "twin = false")
    assert twins_from(expanded(TEXT, knowing)) == str(knowing)
    assert twins_from(expanded(alone, knowing)) is None
    oracle = alone.replace("grad_ascent", "retrain")
    assert twins_from(expanded(oracle, knowing)) == str(knowing)
    assert twins_from(expanded(TEXT, start_on(Corpus(World(20, 2, 5, seed=1))))) is None
    (knowing / "run.json").rename(knowing / "aside")
    assert twins_from(expanded(TEXT, knowing)) is None, "what it has read is not known"
    (knowing / "aside").rename(knowing / "run.json")
    assert twins_from(Study.parse(TEXT.replace('start = "START"\n', "")).expand()) is None


def test_a_run_says_it_before_the_first_unit(knowing, tmp_path, monkeypatch, caplog):
    class Stopping:
        """An engine that does nothing."""

        slots = 1

        def __init__(self, *_):
            assert caplog.messages == [start_text(str(knowing))]

        def submit(self, slot, unit):
            raise KeyboardInterrupt

        def close(self):
            pass

    monkeypatch.setattr(work, "_engine", Stopping)
    with pytest.raises(KeyboardInterrupt):
        work.run_study(Study.parse(TEXT.replace("START", str(knowing))), tmp_path / "out")


def test_weights_of_a_start_are_read_once_for_all_models(knowing, tmp_path, monkeypatch):
    place, read = tmp_path / "start", []
    shutil.copytree(knowing, place)
    digest = identity.digest_file

    def digest_file(file):
        read.append(file)
        return digest(file)

    monkeypatch.setattr(identity, "digest_file", digest_file)
    text = f'{TEXT}[grid]\n"world.seed" = [0, 1, 2]\n'
    ids = expanded(text, place).models.keys()
    assert len(ids) == 6 and expanded(text, place).models.keys() == ids
    assert read == [place / "model.safetensors"]
    weights = read[0].read_bytes()
    read[0].write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))  # of the same size
    assert not expanded(text, place).models.keys() & ids and len(read) == 2


def test_a_relative_start_is_one_beside_the_file(knowing, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = TEXT.replace("START", knowing.name)
    in_grid = text.replace(f'start = "{knowing.name}"\n', "")
    in_grid += f'[grid]\n"train.start" = ["{knowing.name}"]\n'
    for own in (text, in_grid):
        found = Study.parse(own, knowing.parent).expand()
        assert {unit.config.start for unit in found.models.values()} == {str(knowing)}
        assert found.models.keys() == expanded(TEXT, knowing).models.keys()
    for refused in ("", "s3://store/run"):
        with pytest.raises(ArgumentError, match=r"argument 'train\.start'"):
            Study.parse(TEXT.replace("START", refused), tmp_path)
