"""Two processes that write one ledger."""

import pytest

from behemoth._gen import digest
from behemoth.store.ledger import LEDGER, Book, Entry, Ledger, read_ledger
from behemoth.store.place import open_place

CONTENTS = {Entry(len(data), digest(data)): data for data in (b"old", b"new", b"other")}
OLD, NEW, OTHER = CONTENTS
UNIT = "trials/t/trial.json"


class Machine:
    """A process that changes the objects of a study and its ledger."""

    def __init__(self, place):
        self.place, self.book = place, Book(place, read_ledger(place), shared=True)
        self.book.begin()

    def send(self, name, entry, *, now=False):
        self.place.write(name, CONTENTS[entry])
        self.book.enter(name, entry, now=now)

    def remove(self, name):
        self.book.strike([name], now=True)
        self.place.remove([name])

    def close(self):
        self.book.close(complete=True)


def write_ledger(place, files):
    place.write(LEDGER, Ledger("study.json", "study", files=files).to_bytes())


@pytest.fixture
def place(tmp_path):
    """A place whose ledger lists the old unit."""
    place = open_place("url", f"file://{tmp_path}/store")
    place.write(UNIT, CONTENTS[OLD])
    write_ledger(place, {UNIT: OLD})
    return place


@pytest.fixture
def overtaken(place, monkeypatch):
    """Close a ledger once another process has replaced what was written: overtaken(change, files).

    The objects are as `change` leaves them.
    """

    def overtaken(change, files):
        machine = Machine(place)
        change(machine)
        write, written = place.write, []

        def late(name, data):
            write(name, data)
            written.append(name)
            if len(written) == 1:
                write(name, Ledger("study.json", "study", True, files).to_bytes())

        with monkeypatch.context() as patch:
            patch.setattr(place, "write", late)
            machine.close()
        assert len(written) <= 2
        return read_ledger(place).files

    return overtaken


def test_a_replaced_file_is_entered_again(overtaken):
    def change(machine):
        machine.remove(UNIT)
        machine.send(UNIT, NEW)

    found = overtaken(change, {UNIT: OLD, "theirs": OTHER})
    assert found == {UNIT: NEW, "theirs": OTHER}


def test_a_new_file_is_entered_again(overtaken):
    found = overtaken(lambda machine: machine.send("new", NEW), {UNIT: OLD})
    assert found == {UNIT: OLD, "new": NEW}


def test_a_removed_file_is_struck_again(overtaken):
    assert not overtaken(lambda machine: machine.remove(UNIT), {UNIT: OLD})


@pytest.mark.parametrize("theirs", [OTHER, OLD])
def test_a_file_that_another_process_has_sent_since_stays_theirs(overtaken, place, theirs):
    def change(machine):
        machine.send(UNIT, NEW)
        machine.send("lost", NEW)
        place.write(UNIT, CONTENTS[theirs])

    assert overtaken(change, {UNIT: theirs}) == {UNIT: theirs, "lost": NEW}


def test_a_file_that_another_process_has_removed_since_is_not_entered_again(overtaken, place):
    def change(machine):
        machine.send("gone", NEW)
        place.remove(["gone"])

    assert overtaken(change, {UNIT: OLD}) == {UNIT: OLD}


@pytest.fixture
def pair(place):
    """Two processes that write the ledger of the place."""
    return Machine(place), Machine(place)


@pytest.mark.parametrize("removes", [False, True], ids=["kept", "removed"])
@pytest.mark.parametrize("name", [UNIT, "more"])
@pytest.mark.parametrize("theirs", [OTHER, OLD])
@pytest.mark.parametrize("now", [False, True], ids=["waits", "now"])
def test_a_file_is_of_the_last_process_that_sent_it(place, pair, removes, name, theirs, now):
    first, last = pair
    if removes:
        first.remove(UNIT)
    first.send(name, NEW, now=now)
    last.send(name, theirs, now=True)
    first.send("next", NEW, now=now)
    first.close()
    assert read_ledger(place).files[name] == theirs
    last.close()
    assert read_ledger(place).files[name] == theirs
    assert read_ledger(place).files["next"] == NEW


@pytest.mark.parametrize("name", [UNIT, "more"])
def test_the_last_that_sent_a_file_need_not_be_the_last_that_enters_it(place, pair, name):
    first, last = pair
    first.send(name, NEW)
    place.write(name, CONTENTS[OTHER])
    place.write(name, CONTENTS[NEW])  # the first is slower
    last.book.enter(name, OTHER, now=True)
    assert read_ledger(place).files[name] == (OTHER if name == "more" else NEW)
    first.close()
    last.close()
    assert read_ledger(place).files[name] == NEW


def test_what_was_read_back_and_is_lost_then_is_entered_again(place, pair):
    first, _ = pair
    first.send(UNIT, NEW, now=True)
    first.send("more", NEW, now=True)  # reads that the unit is entered
    write_ledger(place, {UNIT: OLD})  # by another that read the ledger before
    first.close()
    assert read_ledger(place).files == {UNIT: NEW, "more": NEW}


def test_a_strike_that_was_read_back_and_is_lost_then_is_made_again(place, pair):
    first, _ = pair
    first.remove(UNIT)
    first.send("more", NEW, now=True)
    write_ledger(place, {UNIT: OLD})
    first.close()
    assert read_ledger(place).files == {"more": NEW}


@pytest.mark.parametrize("theirs", [OTHER, OLD])
@pytest.mark.parametrize("more", [False, True], ids=["at once", "later"])
def test_a_removed_file_that_the_other_sends_stays_theirs(place, pair, theirs, more):
    first, last = pair
    first.remove(UNIT)
    if more:
        first.send("more", NEW, now=True)
    last.send(UNIT, theirs, now=True)
    first.close()
    assert read_ledger(place).files[UNIT] == theirs
    last.remove(UNIT)
    last.close()
    assert UNIT not in read_ledger(place).files


def test_a_file_that_is_removed_after_the_other_sent_it_is_not_listed(place, pair):
    first, last = pair
    first.book.strike([UNIT], now=True)
    last.send(UNIT, OLD, now=True)
    place.remove([UNIT])
    first.close()
    last.close()
    assert not read_ledger(place).files


def test_nothing_is_looked_at_while_nobody_else_writes(place, monkeypatch):
    for operation in ("sizes", "fetch"):
        monkeypatch.setattr(place, operation, lambda *_: pytest.fail("a request"))
    machine = Machine(place)
    machine.book.strike([UNIT], now=True)
    machine.send(UNIT, NEW)
    machine.send(UNIT, OTHER, now=True)
    machine.send("more", NEW)
    machine.close()
    assert read_ledger(place).files == {UNIT: OTHER, "more": NEW}


def test_an_object_is_read_only_if_its_size_does_not_tell(place, pair, monkeypatch):
    first, last = pair
    monkeypatch.setattr(place, "fetch", lambda *_: pytest.fail("read"))
    for machine, name in ((first, UNIT), (first, "more"), (last, "theirs")):
        machine.send(name, NEW, now=True)
    last.send("theirs", OTHER)
    write_ledger(place, {UNIT: OTHER, "theirs": NEW})
    first.close()
    last.close()
    assert read_ledger(place).files == {UNIT: NEW, "more": NEW, "theirs": OTHER}


def test_a_push_with_force_sends_what_another_lists_again(place):
    machine = Machine(place)
    machine.book.force([UNIT])
    machine.send("more", NEW, now=True)
    write_ledger(place, {UNIT: OLD})  # the object may be damaged
    machine.send("most", NEW, now=True)
    assert UNIT not in machine.book.ledger.files
    machine.send(UNIT, OLD)
    machine.close()
    assert read_ledger(place).files == {UNIT: OLD, "more": NEW, "most": NEW}


def test_the_same_file_sent_again_is_no_loss(overtaken):
    def change(machine):
        machine.book.force([UNIT])
        machine.send(UNIT, OLD)

    assert overtaken(change, {UNIT: OLD}) == {UNIT: OLD}


def test_a_unit_taken_over_from_a_part_is_entered_again(overtaken, place):
    def change(machine):
        place.write(UNIT, CONTENTS[NEW])  # by the part
        machine.book.take({UNIT: NEW}, read_ledger(place))

    assert overtaken(change, {UNIT: OLD}) == {UNIT: NEW}
