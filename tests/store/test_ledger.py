"""Two processes that write one ledger."""

import pytest

from behemoth.store.ledger import Book, Entry, Ledger, read_ledger
from behemoth.store.place import open_place

OLD, NEW, OTHER = Entry(3, "a"), Entry(3, "b"), Entry(4, "c")
UNIT = "trials/t/trial.json"


@pytest.fixture
def overtaken(tmp_path, monkeypatch):
    """Close a ledger once another process has replaced what was written: overtaken(book, files)."""
    place = open_place("url", f"file://{tmp_path}/store")

    def overtaken(before, change, files):
        ledger = Ledger("study.json", "study", files=dict(before))
        place.write(".behemoth/ledger.json", ledger.to_bytes())
        book = Book(place, ledger, shared=True)
        book.begin()
        change(book)
        write, written = place.write, []

        def late(name, data):
            write(name, data)
            if not written:
                write(name, Ledger("study.json", "study", True, files).to_bytes())
            written.append(name)

        monkeypatch.setattr(place, "write", late)
        book.close(complete=True)
        assert len(written) <= 2
        return read_ledger(place).files

    return overtaken


def test_a_replaced_file_is_entered_again(overtaken):
    def change(book):
        book.strike([UNIT], now=True)
        book.enter(UNIT, NEW)

    found = overtaken({UNIT: OLD}, change, {UNIT: OLD, "theirs": OTHER})
    assert found == {UNIT: NEW, "theirs": OTHER}


def test_a_new_file_is_entered_again(overtaken):
    found = overtaken({UNIT: OLD}, lambda book: book.enter("new", NEW), {UNIT: OLD})
    assert found == {UNIT: OLD, "new": NEW}


def test_a_file_that_another_process_has_sent_since_stays_theirs(overtaken):
    found = overtaken({UNIT: OLD}, lambda book: book.enter(UNIT, NEW), {UNIT: OTHER})
    assert found == {UNIT: OTHER}


def test_it_stays_theirs_while_another_file_is_entered_again(overtaken):
    def change(book):
        book.enter(UNIT, NEW)
        book.enter("lost", NEW)

    assert overtaken({UNIT: OLD}, change, {UNIT: OTHER}) == {UNIT: OTHER, "lost": NEW}


@pytest.fixture
def pair(tmp_path):
    """A place, and two processes that write its ledger, which lists the old unit."""
    place = open_place("url", f"file://{tmp_path}/store")
    place.write(
        ".behemoth/ledger.json", Ledger("study.json", "study", files={UNIT: OLD}).to_bytes()
    )
    books = [Book(place, read_ledger(place), shared=True) for _ in range(2)]
    for book in books:
        book.begin()
    return place, *books


def test_a_file_is_of_the_last_process_that_sent_it(pair):
    place, first, last = pair
    first.enter(UNIT, NEW, now=True)
    last.enter(UNIT, OTHER, now=True)
    assert read_ledger(place).files == {UNIT: OTHER}
    first.enter("more", NEW, now=True)
    first.close(complete=True)
    assert read_ledger(place).files == {UNIT: OTHER, "more": NEW}


def test_a_file_that_the_other_sends_as_it_was_before_stays_theirs(pair):
    place, first, last = pair
    first.enter(UNIT, NEW)
    last.enter(UNIT, OLD, now=True)
    first.enter("more", NEW)
    first.close(complete=True)
    assert read_ledger(place).files == {UNIT: OLD, "more": NEW}


def test_a_struck_file_that_the_other_sends_as_it_was_before_stays_theirs(pair):
    place, first, last = pair
    first.strike([UNIT], now=True)
    first.enter("more", NEW, now=True)  # reads that it is gone
    last.enter(UNIT, OLD, now=True)
    first.close(complete=True)
    assert read_ledger(place).files == {UNIT: OLD, "more": NEW}


def test_what_a_close_has_read_counts_as_written(pair):
    place, first, last = pair
    first.enter("more", NEW)
    first.strike([UNIT])
    first.close(complete=True)
    last.enter(UNIT, OLD, now=True)
    first.close(complete=True)
    assert read_ledger(place).files == {UNIT: OLD, "more": NEW}


def test_an_entry_that_replaces_another_does_not_wait_for_more(pair):
    place, first, last = pair
    first.enter(UNIT, NEW)
    last.enter(UNIT, OTHER, now=True)
    first.close(complete=True)
    assert read_ledger(place).files == {UNIT: OTHER}


def test_a_file_that_is_sent_after_it_was_struck_stays(pair):
    place, first, last = pair
    first.strike([UNIT], now=True)
    last.enter(UNIT, OTHER, now=True)
    first.close(complete=True)
    assert read_ledger(place).files == {UNIT: OTHER}
    last.strike([UNIT], now=True)
    last.close(complete=True)
    assert not read_ledger(place).files


def test_the_same_file_sent_again_is_no_loss(overtaken):
    def change(book):
        book.force([UNIT])
        book.enter(UNIT, OLD)

    assert overtaken({UNIT: OLD}, change, {UNIT: OLD}) == {UNIT: OLD}


def test_a_unit_taken_over_from_a_part_is_entered_again(overtaken):
    def change(book):
        book.take({UNIT: NEW}, Ledger("study.json", "study", files={UNIT: OLD}))

    assert overtaken({UNIT: OLD}, change, {UNIT: OLD}) == {UNIT: NEW}
