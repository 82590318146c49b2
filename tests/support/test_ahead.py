"""Work ahead on other threads: in order, and left at once when its user leaves."""

from threading import Event

import pytest

from behemoth.support.ahead import ahead


def test_what_is_made_comes_in_order():
    first_may_end = Event()

    def made(piece):
        if piece == 1:
            first_may_end.set()
        elif piece == 0:
            assert first_may_end.wait(60)  # the second is made first
        return piece * piece

    assert list(ahead(made, range(7), 3)) == [piece * piece for piece in range(7)]


@pytest.mark.parametrize("fails", [False, True])
def test_a_long_piece_hears_that_its_user_has_left(fails):
    stop, begun, heard = Event(), Event(), []

    def made(piece):
        if piece == 0:
            assert begun.wait(60)
            if fails:
                raise ValueError("the first failed")
            return piece
        begun.set()
        heard.append(stop.wait(60))  # without the word, a minute
        return piece

    if fails:
        with pytest.raises(ValueError, match="the first failed"):
            next(ahead(made, range(3), 2, stop))
    else:
        made_ahead = ahead(made, range(3), 2, stop)
        assert next(made_ahead) == 0
        made_ahead.close()
    assert heard and all(heard)
