import subprocess
import sys
from itertools import islice
from multiprocessing import get_context
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from behemoth import ArgumentError, Corpus, CorpusError, World
from behemoth.support.digests import unchecked
from behemoth.train.data import BlockDataset, BlockStream, DataConfig

LENGTH, BATCH = 48, 3


@pytest.fixture(scope="module")
def stored(rich_corpus, tmp_path_factory):
    out = tmp_path_factory.mktemp("data") / "corpus"
    rich_corpus.write(out, probes=0)
    return Corpus.open(out)


@pytest.fixture(scope="module")
def everything(rich_corpus):
    tokens = rich_corpus.tokens(0, rich_corpus.num_documents).astype(np.int64)
    blocks = len(tokens) // LENGTH
    return torch.from_numpy(tokens[: blocks * LENGTH].reshape(blocks, LENGTH))


def take(stream, batches, key="input_ids"):
    return torch.cat([batch[key] for batch in islice(stream, batches)])


def wrapped(everything, start, count):
    return everything[torch.arange(start, start + count) % len(everything)]


def position(corpus, block):
    return {"block": block, "block_length": LENGTH, "spec_hash": corpus.spec_hash}


def test_blocks_of_a_directory_and_of_its_spec_are_the_same(rich_corpus, stored, everything):
    for corpus in (rich_corpus, stored):
        dataset = BlockDataset(corpus, LENGTH)
        assert len(dataset) == len(everything)
        assert dataset[0].dtype == torch.int64
        assert torch.equal(torch.stack(list(DataLoader(dataset, batch_size=None))), everything)
        assert torch.equal(dataset[-1], everything[-1])
        with pytest.raises(IndexError, match=r"block \d+ of \d+"):
            dataset[len(everything)]


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int64])
def test_a_block_is_the_same_by_any_integer(rich_corpus, everything, dtype):
    dataset = BlockDataset(rich_corpus, LENGTH)
    for number in (0, 100, len(everything) % 100 + 3):
        assert torch.equal(dataset[dtype(number)], everything[number])


@pytest.mark.parametrize("options", [{}, {"answers_only": True}, {"document_mask": True}])
def test_a_stream_is_the_same_from_a_directory_and_a_spec(rich_corpus, stored, options):
    config = DataConfig(LENGTH, BATCH, **options)
    batches = len(BlockDataset(rich_corpus, LENGTH)) // BATCH + 5
    pairs = zip(BlockStream(rich_corpus, config), BlockStream(stored, config), strict=True)
    for left, right in islice(pairs, batches):
        assert left.keys() == right.keys()
        for key, value in left.items():
            assert value.dtype == (torch.int32 if key == "position_ids" else torch.int64)
            assert value.shape == (BATCH, LENGTH)
            assert torch.equal(value, right[key])


def test_shards_are_joined(tmp_path, monkeypatch):
    """More of them than may be open at a time, too."""
    corpus = Corpus(World(5000, 2, 10), exposures=3, shard_bytes=1 << 14)
    assert corpus.num_shards > 20
    corpus.write(tmp_path / "corpus", probes=0)
    monkeypatch.setattr("behemoth.train.reader.MAPS", 2)
    before = len(list(Path("/dev/fd").iterdir()))
    stored = BlockDataset(Corpus.open(tmp_path / "corpus"), 1000)
    made = BlockDataset(corpus, 1000)
    assert len(stored) == len(made)
    assert all(torch.equal(a, b) for a, b in zip(stored, made, strict=True))
    assert len(list(Path("/dev/fd").iterdir())) < before + 10


def test_an_unfinished_directory_is_refused(tmp_path):
    corpus = Corpus(World(5000, 2, 10), exposures=3, shard_bytes=1 << 16)
    corpus.write(tmp_path / "corpus", probes=0, part=(0, 2))
    with pytest.raises(CorpusError, match=r"not all of its .* shards are there"):
        BlockDataset(Corpus.open(tmp_path / "corpus"))


def test_an_opened_corpus_is_the_same_in_another_working_directory(tmp_path, monkeypatch):
    here, there = (Corpus(World(40, 2, 5, seed=seed), exposures=8) for seed in (0, 1))
    here.write(tmp_path / "corpus", probes=0)
    there.write(tmp_path / "beside" / "corpus", probes=0)
    monkeypatch.chdir(tmp_path)
    opened = Corpus.open("corpus")
    monkeypatch.chdir("beside")
    assert torch.equal(BlockDataset(opened, LENGTH)[3], BlockDataset(here, LENGTH)[3])


def test_a_corpus_that_has_replaced_an_opened_one_is_refused(tmp_path):
    earlier, later = (Corpus(World(40, 2, 5, seed=seed), exposures=8) for seed in (0, 1))
    earlier.write(tmp_path / "corpus", probes=0)
    opened = Corpus.open(tmp_path / "corpus")
    later.write(tmp_path / "corpus", probes=0, force=True)
    with pytest.raises(CorpusError, match="another corpus is there now than when it was opened"):
        BlockDataset(opened, LENGTH)


def test_damaged_shards_are_refused_and_workers_do_not_read_them_twice(
    rich_corpus, tmp_path, monkeypatch
):
    rich_corpus.write(tmp_path / "corpus", probes=0)
    stream = BlockStream(Corpus.open(tmp_path / "corpus"), DataConfig(LENGTH, BATCH))
    file = tmp_path / "corpus" / "tokens" / "00000.bin"
    tokens = np.fromfile(file, np.uint16)
    tokens[3] ^= 1
    tokens.tofile(file)
    ForkingPickler.loads(ForkingPickler.dumps(stream))
    with pytest.raises(CorpusError, match=r"00000.bin is damaged"):
        BlockStream(Corpus.open(tmp_path / "corpus"), DataConfig(LENGTH, BATCH))
    tokens[:-1].tofile(file)
    with unchecked(), pytest.raises(CorpusError, match=r"00000.bin has .* bytes, and the manifest"):
        BlockDataset(Corpus.open(tmp_path / "corpus"), LENGTH)


def test_epochs_follow_each_other(rich_corpus, everything):
    count = 2 * len(everything) // BATCH + 3
    stream = BlockStream(rich_corpus, DataConfig(LENGTH, BATCH))
    assert stream.blocks == len(everything)
    assert torch.equal(take(stream, count), wrapped(everything, 0, count * BATCH))
    far = 10**6 * len(everything) + 7
    for start in (far, 2**63 - 1):
        stream = BlockStream(rich_corpus, DataConfig(LENGTH, BATCH), start_block=start)
        place = start % len(everything)
        assert torch.equal(take(stream, 2), wrapped(everything, place, 2 * BATCH))
        assert int(stream._shared) % len(everything) == place + 2 * BATCH


def test_a_batch_may_be_larger_than_an_epoch(everything, rich_corpus):
    size = 2 * len(everything) + 5
    stream = BlockStream(rich_corpus, DataConfig(LENGTH, size))
    assert torch.equal(take(stream, 1), wrapped(everything, 0, size))


@pytest.mark.parametrize("prefetch", [0, 1, 4])
def test_a_stream_resumes_anywhere(rich_corpus, everything, prefetch, monkeypatch):
    # Also inside a chunk of batches that were made together, and at its end.
    monkeypatch.setattr("behemoth.train.data._CHUNK_TOKENS", 4 * LENGTH * BATCH)
    config = DataConfig(LENGTH, BATCH, prefetch=prefetch)
    for stop in (0, 1, 3, 4, 5, 9):
        stream = BlockStream(rich_corpus, config)
        for _ in islice(stream, stop):
            pass
        state = stream.state_dict()
        assert state == position(rich_corpus, stop * BATCH)
        again = BlockStream(rich_corpus, config)
        again.load_state_dict(state)
        assert torch.equal(take(again, 6), wrapped(everything, stop * BATCH, 6 * BATCH))


def test_a_stream_goes_on_when_it_is_iterated_again(rich_corpus, everything):
    stream = BlockStream(rich_corpus, DataConfig(LENGTH, BATCH))
    joined = torch.cat([take(stream, 2), take(stream, 3)])
    assert torch.equal(joined, everything[: 5 * BATCH])


def test_ranks_share_each_step_and_may_change_in_number(rich_corpus, everything):
    config, start, pieces = DataConfig(LENGTH, BATCH), 0, []
    for world_size, steps in ((1, 4), (2, 3), (3, 2), (1, 1)):
        streams = [
            BlockStream(rich_corpus, config, rank=rank, world_size=world_size, start_block=start)
            for rank in range(world_size)
        ]
        for batches in islice(zip(*streams, strict=True), steps):
            pieces += [batch["input_ids"] for batch in batches]
        states = [stream.state_dict() for stream in streams]
        start += steps * world_size * BATCH
        assert states == [position(rich_corpus, start)] * world_size
    assert torch.equal(torch.cat(pieces), wrapped(everything, 0, start))


# From Python 3.12 on a fork beside torch's threads warns; these children use none of them.
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("world_size", [1, 2])
def test_workers_of_a_loader_keep_the_order(rich_corpus, everything, workers, world_size):
    config, steps = DataConfig(LENGTH, BATCH), 7
    ranks = []
    for rank in range(world_size):
        stream = BlockStream(rich_corpus, config, rank=rank, world_size=world_size, start_block=5)
        # A spawned worker takes seconds to import torch.
        context = "fork" if workers else None
        loader = DataLoader(
            stream, batch_size=None, num_workers=workers, multiprocessing_context=context
        )
        ranks.append([batch["input_ids"] for batch in islice(loader, steps)])
    joined = torch.cat([block for step in zip(*ranks, strict=True) for block in step])
    assert torch.equal(joined, wrapped(everything, 5, steps * world_size * BATCH))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("persistent", [False, True])
def test_every_pass_over_workers_begins_where_the_stream_stands(
    rich_corpus, everything, persistent
):
    stream = BlockStream(rich_corpus, DataConfig(LENGTH, BATCH), start_block=5)
    loader = DataLoader(
        stream, batch_size=None, num_workers=2, multiprocessing_context="fork",
        persistent_workers=persistent,
    )  # fmt: skip
    for batches in (3, 2, 4):
        taken = take(loader, batches)
        assert torch.equal(taken, wrapped(everything, 5, batches * BATCH))
    stream.load_state_dict(stream.state_dict() | {"block": 30})
    for batches in (2, 3):
        assert torch.equal(take(loader, batches), wrapped(everything, 30, batches * BATCH))
    take(stream, 2)  # and where batches were taken from itself
    assert torch.equal(take(loader, 2), wrapped(everything, 30 + 2 * BATCH, 2 * BATCH))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_workers_begin_where_the_stream_was_when_the_pass_began(rich_corpus, everything):
    stream = BlockStream(rich_corpus, DataConfig(LENGTH, BATCH), start_block=5)
    moved = get_context("fork").Event()
    loader = DataLoader(
        stream, batch_size=None, num_workers=2, multiprocessing_context="fork",
        worker_init_fn=lambda worker: worker and moved.wait(),
    )  # fmt: skip
    batches = iter(loader)
    first = next(batches)["input_ids"]
    take(stream, 2)
    moved.set()  # only now the second worker begins
    taken = torch.cat([first, take(batches, 3)])
    assert torch.equal(taken, wrapped(everything, 5, 4 * BATCH))


def test_a_kept_worker_reads_the_position_when_a_pass_begins(rich_corpus, everything, monkeypatch):
    stream = BlockStream(rich_corpus, DataConfig(LENGTH, BATCH), start_block=5)
    worker = SimpleNamespace(id=0, num_workers=1)
    monkeypatch.setattr("behemoth.train.data.get_worker_info", lambda: worker)
    assert torch.equal(take(stream, 2), wrapped(everything, 5, 2 * BATCH))
    stream._shared.fill_(30)
    batches = iter(stream)
    stream._shared.fill_(40)
    assert torch.equal(take(batches, 2), wrapped(everything, 30, 2 * BATCH))


@pytest.mark.slow
@pytest.mark.parametrize("context", ["spawn", "forkserver"])
def test_kept_workers_that_are_not_forked_hear_of_a_load(rich_corpus, everything, context):
    stream = BlockStream(rich_corpus, DataConfig(LENGTH, BATCH), start_block=5)
    loader = DataLoader(
        stream, batch_size=None, num_workers=2, multiprocessing_context=context,
        persistent_workers=True,
    )  # fmt: skip
    for block in (5, 30, 11):
        stream.load_state_dict(stream.state_dict() | {"block": block})
        assert torch.equal(take(loader, 3), wrapped(everything, block, 3 * BATCH))


def test_a_worker_that_is_told_its_own_position_keeps_it(rich_corpus, everything, monkeypatch):
    stream = BlockStream(rich_corpus, DataConfig(LENGTH, BATCH), start_block=5)
    state = stream.state_dict()
    worker = SimpleNamespace(id=0, num_workers=1)
    monkeypatch.setattr("behemoth.train.data.get_worker_info", lambda: worker)
    stream.load_state_dict(state | {"block": 30})
    for _ in range(2):
        assert torch.equal(take(stream, 2), wrapped(everything, 30, 2 * BATCH))


@pytest.mark.parametrize("kind", ["spec", "directory", "arrays"])
def test_streams_travel_to_workers_that_are_not_forked(kind, rich_corpus, stored, graph):
    corpus = {"spec": rich_corpus.override({3: 1}), "directory": stored}.get(kind)
    if corpus is None:
        corpus = Corpus(World.from_table(graph), exposures=np.arange(40) % 5 + 20)
    stream = BlockStream(corpus, DataConfig(LENGTH, BATCH, answers_only=True), start_block=6)
    # What a loader does to hand its dataset to a spawned worker.
    copy = ForkingPickler.loads(ForkingPickler.dumps(stream))
    assert copy.state_dict() == stream.state_dict()
    for left, right in islice(zip(copy, stream, strict=True), 3):
        assert torch.equal(left["labels"], right["labels"])
        assert torch.equal(left["input_ids"], right["input_ids"])


def test_batches_that_are_kept_are_not_written_again(rich_corpus, everything, monkeypatch):
    monkeypatch.setattr("behemoth.train.data._CHUNK_TOKENS", 1)
    stream = BlockStream(rich_corpus, DataConfig(LENGTH, BATCH, answers_only=True))
    batches = list(islice(stream, 30))
    joined = torch.cat([batch["input_ids"] for batch in batches])
    assert torch.equal(joined, wrapped(everything, 0, 30 * BATCH))
    # A view of a batch, too, keeps its memory.
    row = next(iter(stream))["input_ids"][1, 3:5]
    before = row.clone()
    take(stream, 20)
    assert torch.equal(row, before)


@pytest.mark.parametrize("threads", [0, 3])
@pytest.mark.parametrize("chunk", [1, 4 * LENGTH * BATCH])
@pytest.mark.parametrize(
    "options", [{}, {"answers_only": True}, {"answers_only": True, "document_mask": True}]
)
def test_threads_side_by_side_make_the_same_batches(
    rich_corpus, stored, options, chunk, threads, monkeypatch
):
    monkeypatch.setattr("behemoth.train.data._CHUNK_TOKENS", chunk)
    one = BlockStream(rich_corpus, DataConfig(LENGTH, BATCH, **options))
    config = DataConfig(LENGTH, BATCH, prefetch=1, threads=threads, **options)
    several = [BlockStream(corpus, config) for corpus in (rich_corpus, stored)]
    kept = []
    for batch, *others in islice(zip(one, *several, strict=True), one.blocks // BATCH + 9):
        for other in others:
            assert list(other) == list(batch)
            assert all(torch.equal(other[key], value) for key, value in batch.items())
        kept.append((batch, {key: value.clone() for key, value in batch.items()}))
    assert several[0].state_dict() == one.state_dict()
    # And none of them has written into a batch that is still held.
    for batch, before in kept:
        assert all(torch.equal(value, before[key]) for key, value in batch.items())


def test_as_many_threads_as_asked_for_make_batches_at_once(rich_corpus, monkeypatch):
    stream = BlockStream(rich_corpus, DataConfig(LENGTH, BATCH, prefetch=1, threads=3))
    together, fill = Barrier(3, timeout=120), stream._reader.fill

    def wait(out, token):
        together.wait()
        fill(out, token)

    # Every thread waits in its first chunks for the two others.
    monkeypatch.setattr(stream._reader, "fill", wait)
    next(iter(stream))


def test_memory_is_used_again(rich_corpus, monkeypatch):
    monkeypatch.setattr("behemoth.train.data._CHUNK_TOKENS", 1)
    stream = BlockStream(rich_corpus, DataConfig(LENGTH, BATCH))
    places = {batch["input_ids"].data_ptr() for batch in islice(stream, 50)}
    assert len(places) <= 20


def test_another_spec_is_refused(rich_corpus, corpus):
    state = BlockStream(corpus, DataConfig(LENGTH, BATCH)).state_dict()
    stream = BlockStream(rich_corpus, DataConfig(LENGTH, BATCH))
    with pytest.raises(
        ArgumentError, match=f"argument 'state': got .*{corpus.spec_hash}, allowed: "
    ):
        stream.load_state_dict(state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"block_length": 2 * LENGTH}, f"blocks of {2 * LENGTH} tokens, allowed: one in blocks of"),
        ({"block_length": None}, "blocks of None tokens, allowed: one in blocks of"),
        ({"block": -5}, "got block -5, allowed: a whole number from 0"),
        ({"block": "7"}, "got block '7', allowed: a whole number from 0"),
        ({"block": True}, "got block True, allowed: a whole number from 0"),
        ({"block": 1.0}, "got block 1.0, allowed: a whole number from 0"),
    ],
)
def test_a_state_of_other_blocks_is_refused(rich_corpus, change, message):
    stream = BlockStream(rich_corpus, DataConfig(LENGTH, BATCH), start_block=4)
    before = stream.state_dict()
    with pytest.raises(ArgumentError, match=f"argument 'state': .*{message}"):
        stream.load_state_dict({**before, **change})
    assert stream.state_dict() == before


@pytest.mark.parametrize("state", [{}, {"block": 1, "spec_hash": "0"}, "block", None], ids=str)
def test_what_is_no_state_is_refused(rich_corpus, state):
    stream = BlockStream(rich_corpus, DataConfig(LENGTH, BATCH))
    with pytest.raises(ArgumentError, match="allowed: a mapping with block, block_length, spec_h"):
        stream.load_state_dict(state)


def test_an_iterator_of_before_a_load_moves_the_stream_no_longer(rich_corpus, everything):
    stream = BlockStream(rich_corpus, DataConfig(LENGTH, BATCH))
    live = iter(stream)
    next(live)
    state = stream.state_dict()
    next(live)
    stream.load_state_dict(state)
    assert torch.equal(next(live)["input_ids"], everything[2 * BATCH : 3 * BATCH])
    assert stream.state_dict() == state
    assert torch.equal(take(stream, 1), everything[BATCH : 2 * BATCH])


def test_a_script_that_ends_inside_a_stream_says_nothing():
    script = """
from torch.utils.data import DataLoader
from behemoth import Corpus, World
from behemoth.train.data import BlockStream, DataConfig
corpus = Corpus(World(20, 2, 5), exposures=4)
loader = iter(DataLoader(BlockStream(corpus, DataConfig(16, 2)), batch_size=None))
next(loader)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""


@pytest.mark.parametrize(
    "options",
    [{"block_length": 1}, {"batch_size": 0}, {"prefetch": -1}, {"threads": True}],
)
def test_configs_that_cannot_be_are_refused(options):
    with pytest.raises(ArgumentError, match=r"'\w+': got .*, allowed: a whole number from \d"):
        DataConfig(**options)


@pytest.mark.parametrize("name", ["document_mask", "answers_only"])
def test_a_text_is_no_switch_of_a_stream(name):
    """The text "no" is true, so batches would be made as if "yes" had been given."""
    with pytest.raises(ArgumentError, match=f"'{name}': got no, allowed: True or False"):
        DataConfig(**{name: "no"})


def test_a_stream_takes_the_integers_of_numpy():
    config = DataConfig(block_length=np.int64(16), batch_size=np.int32(2))
    assert config == DataConfig(16, 2) and type(config.block_length) is int


@pytest.mark.parametrize(
    "options",
    [{"rank": 2, "world_size": 2}, {"rank": -1}, {"start_block": -1}],
)
def test_streams_that_cannot_be_are_refused(corpus, options):
    with pytest.raises(ArgumentError, match=r"argument '\w+': got .*, allowed: "):
        BlockStream(corpus, **options)


@pytest.mark.parametrize("kind", [BlockStream, BlockDataset])
def test_what_is_no_corpus_is_refused(kind):
    allowed = "a Corpus, such as bh.Corpus.open"
    with pytest.raises(ArgumentError, match=f"argument 'corpus': got corpus, allowed: {allowed}"):
        kind("corpus")
    with pytest.raises(ArgumentError, match="argument 'corpus': got nothing, allowed: a Corpus"):
        kind(None)


@pytest.mark.parametrize("config", [{"block_length": 32}, 32])
def test_a_config_that_is_none_is_refused(corpus, config):
    with pytest.raises(ArgumentError, match=r"'config': got .*32.*, allowed: a DataConfig, such"):
        BlockStream(corpus, config)


def test_blocks_longer_than_the_corpus_are_refused(corpus):
    with pytest.raises(ArgumentError, match="argument 'block_length': got 100000, allowed: up to"):
        BlockDataset(corpus, 100_000)


def test_what_goes_wrong_in_the_thread_is_raised(rich_corpus, monkeypatch):
    stream = BlockStream(rich_corpus, DataConfig(LENGTH, BATCH))

    def fill(out, token):
        raise OSError("the disk is gone")

    monkeypatch.setattr(stream._reader, "fill", fill)
    with pytest.raises(OSError, match="the disk is gone"):
        next(iter(stream))


def test_waiting_is_counted(rich_corpus):
    stream = BlockStream(rich_corpus, DataConfig(LENGTH, BATCH))
    take(stream, 3)
    assert stream.wait_seconds > 0


def test_labels_are_the_tokens(rich_corpus):
    batch = next(iter(BlockStream(rich_corpus, DataConfig(LENGTH, BATCH))))
    assert set(batch) == {"input_ids", "labels"}
    assert torch.equal(batch["labels"], batch["input_ids"])
