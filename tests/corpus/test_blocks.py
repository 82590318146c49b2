from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest

from behemoth import ArgumentError, Corpus, Grammar, World


def test_blocks_cut_the_stream_and_drop_the_rest(rich_corpus):
    everything = rich_corpus.tokens(0, rich_corpus.num_documents)
    blocks = rich_corpus.blocks(100)
    assert len(blocks) == len(everything) // 100
    joined = np.concatenate(list(blocks))
    np.testing.assert_array_equal(joined, everything[: len(joined)])


def test_an_iteration_goes_on_from_one_number(rich_corpus):
    whole = [block.tolist() for block in rich_corpus.blocks(64)]
    for start in (0, 1, 17, len(whole)):
        assert [block.tolist() for block in rich_corpus.blocks(64, start=start)] == whole[start:]
    assert [block.tolist() for block in rich_corpus.blocks(64, 3, 5)] == whole[3:5]


def test_blocks_are_found_by_number(corpus):
    blocks = corpus.blocks(50, start=2)
    listed = list(blocks)
    np.testing.assert_array_equal(blocks[0], listed[0])
    np.testing.assert_array_equal(blocks[-1], listed[-1])
    with pytest.raises(IndexError, match=f"block {len(listed)} of {len(listed)}"):
        blocks[len(listed)]


def test_blocks_kept_are_not_written_again(corpus, monkeypatch):
    monkeypatch.setattr("behemoth.corpus.blocks._BUFFER_TOKENS", 100)
    kept = list(corpus.blocks(33))
    tokens = corpus.tokens(0, corpus.num_documents)
    assert len(kept) == len(tokens) // 33
    for number, block in enumerate(kept):
        np.testing.assert_array_equal(block, tokens[33 * number : 33 * (number + 1)])


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.int32, np.int64])
def test_blocks_come_in_the_type_asked_for(corpus, dtype):
    block = next(iter(corpus.blocks(40, dtype=dtype)))
    assert block.dtype == dtype
    np.testing.assert_array_equal(block, corpus.tokens(0, 4)[:40])


def test_blocks_of_a_type_too_narrow_are_refused_at_once():
    corpus = Corpus(World(70_000, 1, 2), base=1_000_000)
    assert corpus.dtype == np.uint32 and next(iter(corpus.blocks(40, dtype="int32"))).size == 40
    with pytest.raises(ArgumentError, match="argument 'dtype': got uint16, allowed: uint32, int32"):
        corpus.blocks(40, dtype=np.uint16)


def test_many_small_blocks_cross_the_buffers_ends(corpus, monkeypatch):
    monkeypatch.setattr("behemoth.corpus.blocks._BUFFER_TOKENS", 100)
    joined = np.concatenate(list(corpus.blocks(30)))
    np.testing.assert_array_equal(joined, corpus.tokens(0, corpus.num_documents)[: len(joined)])


@pytest.mark.parametrize(
    ("length", "start", "stop"),
    [(0, 0, None), (-1, 0, None), (10, -1, None), (10, 5, 4), (10, 0, 793)],
)
def test_blocks_that_do_not_exist_are_refused(corpus, length, start, stop):
    with pytest.raises(ArgumentError, match=r"argument '.*': got .*, allowed: "):
        corpus.blocks(length, start, stop)


def test_a_corpus_goes_to_another_process(rich_corpus, corpus, tmp_path):
    """As loaders send it to workers that are started anew: what it says comes with it."""
    written = Corpus.open(corpus.write(tmp_path / "c", probes=0).out)
    many = np.arange(corpus.world.num_facts) % 3 + 1
    for one in (
        rich_corpus,
        corpus.override({0: 7}),
        Corpus(corpus.world, exposures=many),
        Corpus(World(relations=Grammar.named("bios-en").relations, subjects=4), grammar="bios-en"),
        written,
    ):
        again = ForkingPickler.loads(ForkingPickler.dumps(one))
        assert again.spec_hash == one.spec_hash and again.directory == one.directory
        count = one.num_documents
        np.testing.assert_array_equal(again.tokens(0, count), one.tokens(0, count))


def test_a_slice_of_blocks_is_a_range_of_them(corpus):
    blocks = corpus.blocks(50, start=2, dtype=np.int64)
    whole = [block.tolist() for block in blocks]
    for part in (slice(1, 4), slice(None), slice(-3, None), slice(5, 2), slice(3, 10**6)):
        assert [block.tolist() for block in blocks[part]] == whole[part]
    again = blocks[1:6][1:3]
    assert [block.tolist() for block in again] == whole[2:4] and again[0].dtype == np.int64
    assert repr(again) == "Blocks(length=50, start=4, stop=6, dtype=int64)"
    with pytest.raises(ArgumentError, match="argument 'step': got 2, allowed: 1"):
        blocks[::2]
    assert (blocks[np.int64(1)] == blocks[1]).all()


def test_numbers_of_blocks_may_be_whole_floats(corpus):
    assert repr(corpus.blocks(5e1, 1e0, 3.0)) == repr(corpus.blocks(50, 1, 3))
    np.testing.assert_array_equal(corpus.tokens(0, 1e1), corpus.tokens(0, 10))
    with pytest.raises(ArgumentError, match=r"'start': got 1.5, allowed: a whole number from 0"):
        corpus.blocks(50, 1.5)
