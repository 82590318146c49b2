"""Records with digests, whatever their content."""

import pytest

from behemoth.support.digests import read_sealed, sealed
from behemoth.support.errors import CorpusError
from behemoth.support.files import as_json


@pytest.mark.parametrize("files", [["x"], "x", 1])
def test_digests_that_are_no_table_are_refused_with_the_file(tmp_path, files):
    file = tmp_path / "delta.json"
    file.write_bytes(as_json(sealed({"files": files})))
    with pytest.raises(CorpusError, match=r"delta\.json is damaged: it is not a valid record of"):
        read_sealed(file, "a delta")
