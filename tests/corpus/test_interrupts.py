"""Long calls of the engine let other threads run, and stop when they are interrupted."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import behemoth as bh
from behemoth import _gen

MANY = 2 * 10**8


@pytest.fixture(scope="module")
def templates():
    world = bh.World(subjects=MANY, relations=1, objects=100)
    return bh.Corpus(world, templates={"nonsense": 1})._native


@pytest.fixture(scope="module")
def text():
    grammar = bh.Grammar.named("bios-en")
    return bh.Corpus(grammar.world(10**7), exposures=100, grammar=grammar)._native


@pytest.fixture(scope="module")
def filler():
    world = bh.World(subjects=10, relations=2, objects=10)
    return bh.Corpus(world, filler="zipf:tokens=1e4,length=1e5")._native


@pytest.fixture(scope="module")
def often():
    world = bh.World(subjects=10**5, relations=1, objects=100)
    return bh.Corpus(world, exposures=10**6)._native


@pytest.fixture(scope="module")
def long():
    grammar = bh.Grammar.named("bios-en")
    corpus = bh.Corpus(grammar.world(10**5), exposures=2000, grammar=grammar, order="bios",
                       documents_per_subject=1)  # fmt: skip
    return corpus._native


@pytest.fixture(scope="module")
def names():
    words = [f"w{number}" for number in range(1000)]
    each = 'pronoun = "it"\npossessive = "its"\n'
    classes = "".join(f"[subject.classes.c{number}]\n{each}" for number in range(16))
    text = (
        f'name = "many"\n[lists]\none = {words}\ntwo = {words}\n'
        '[subject]\nname = "{one} {two}"\n'
        f'{classes}[relations.city]\nobjects = "{{one}}"\n'
        'statements = ["{subject} lives in {object}."]\n'
    )
    return bh.Grammar("many.toml", text)


@pytest.fixture(scope="module")
def composed():
    drawn, of_it = {"objects": MANY}, {"kind": "composed", "of": 0, "objects": 100}
    return bh.World(subjects=10, relations=[{"kind": "independent", **drawn}, of_it])._native


@pytest.fixture(scope="module")
def asked():
    world = bh.World(subjects=1000, relations=10_000, objects=10)
    return bh.Corpus(world, questions={"subjects": 1, "sentences": 1e-6})._native


@pytest.mark.parametrize(
    ("corpus", "call"),
    [
        ("templates", lambda corpus: corpus.sample_facts(MANY)),
        ("templates", lambda corpus: corpus.document_lengths(0, MANY)),
        ("templates", lambda corpus: corpus.entries(0, MANY)),
        ("text", lambda corpus: corpus.fill_tokens(np.empty(100, np.uint32), 0)),
        ("text", lambda corpus: corpus.texts(0, MANY)),
        ("text", lambda corpus: corpus.spans(0, MANY)),
        ("often", lambda corpus: corpus.ledger(np.arange(10**5, dtype=np.uint64))),
        ("long", lambda corpus: corpus.entries(0, 10**5)),
        ("long", lambda corpus: corpus.spans(0, 10**5)),
        ("long", lambda corpus: corpus.ledger(np.arange(10**5, dtype=np.uint64))),
        ("filler", lambda corpus: corpus.filler_documents(0, MANY)),
        ("names", lambda grammar: grammar.ambiguities()),
        ("composed", lambda world: world.links(1)),
        # Each fact is about another subject than the one before.
        (
            "asked",
            lambda corpus: corpus.seen_in_questions(
                np.arange(10**7, dtype=np.uint64).reshape(1000, 10_000).ravel("F")
            ),
        ),
    ],
)
def test_a_long_call_stops_when_it_is_interrupted(corpus, call, request):
    corpus = request.getfixturevalue(corpus)
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    start = time.process_time()

    def interrupted():
        timer.start()
        call(corpus)

    try:
        with pytest.raises(KeyboardInterrupt):
            interrupted()
    except KeyboardInterrupt:  # would end all tests, and not this one
        pytest.fail("the signal came after the call")
    finally:
        timer.cancel()
    # Each takes a minute or more to its end, on any machine that is busy as well.
    assert time.process_time() - start < 15


FIRST = """
import sys

from behemoth import _gen

kinds = '[{"kind": "independent", "objects": 4}, {"kind": "composed", "of": 0, "objects": 1}]'
world = _gen.World('{"subjects": 1, "relations": ' + kinds + "}")
# As a signal would: nothing more can be imported.
sys.modules.update({"numpy.core.multiarray": None, "numpy._core.multiarray": None})
print(world.links(1).tolist())
"""


def test_no_first_array_is_where_an_interrupt_becomes_a_panic():
    ran = subprocess.run([sys.executable, "-c", FIRST], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout) == (0, "[0, 0, 0, 0]\n"), ran.stderr


def test_one_long_document_does_not_make_the_others_slow():
    number = 10**5
    world = bh.World(subjects=number, relations=1, objects=100)
    exposures = np.ones(number, np.int64)

    def seconds():
        corpus = bh.Corpus(
            world, exposures=exposures, order="bios", templates={"default": 1, "nonsense": 1}
        )
        # Not the long document itself.
        lengths = corpus._native.document_lengths(0, number)
        start, stop = (0, number // 2) if lengths.argmax() >= number // 2 else (number // 2, number)

        def once():
            began = time.process_time()
            corpus._native.document_lengths(start, stop)
            return time.process_time() - began

        return min(once() for _ in range(20))  # of 3 all were slow once, on a busy machine

    alone = seconds()
    exposures[7] = 200_000
    assert seconds() < 2.5 * alone  # three to four times as much, if each is a call of its own


def test_what_else_the_interpreter_does_is_not_counted_as_work():
    number = 200_000
    world = bh.World(subjects=number, relations=1, objects=100)
    corpus = bh.Corpus(world, templates={"nonsense": 1})._native
    calls = []

    def handle(*_):
        # A handler stands for other threads, too, which keep the interpreter after a piece of work.
        calls.append(None)
        if len(calls) > 60:
            pytest.fail("there are ever more pieces of work, with ever fewer documents")
        time.sleep(0.1)
        signal.setitimer(signal.ITIMER_REAL, 2e-4)  # within the next piece

    before = signal.signal(signal.SIGALRM, handle)
    timeout = signal.setitimer(signal.ITIMER_REAL, 2e-4)  # of pytest
    try:
        corpus.document_lengths(0, number)  # 13 pieces, if each has as many as it may
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *timeout)
    assert calls


@pytest.fixture
def ticks():
    """How often another thread came to run."""
    seen, stop = [], threading.Event()

    def tick():
        while not stop.is_set():
            seen.append(None)
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    yield seen
    stop.set()
    thread.join()


def test_other_threads_run_while_objects_are_made(ticks):
    world = bh.World(subjects=500_000, relations=4, objects=100)
    exposures = np.random.default_rng(0).integers(1, 9, world.num_facts).astype(np.uint32)
    corpus = bh.Corpus(world, exposures=exposures)._native
    spec = json.dumps(json.loads(corpus.spec)["corpus"])
    every = np.arange(world.num_facts, dtype=np.uint64)
    objects = np.zeros(len(every), np.uint32)
    text = dict(_gen.GRAMMARS)["bios-en"]
    for make in (
        lambda: _gen.Corpus(world._native, spec, exposures),
        lambda: corpus.without(every),
        lambda: corpus.override(every, objects, False),
        lambda: _gen.Lexicon("bios-en", text),
    ):
        before = len(ticks)
        make()
        assert len(ticks) - before >= 3
