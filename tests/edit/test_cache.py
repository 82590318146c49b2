"""What methods keep between calls: what is not what was written is not read."""

import re

import pytest
import torch

from behemoth import ArgumentError
from behemoth.edit.cache import cache_place, read_tensors, write_tensors

TENSORS = {
    "matrix": torch.arange(12, dtype=torch.float32).reshape(3, 4),
    "half": torch.ones(5, dtype=torch.bfloat16),
    "count": torch.tensor(7),
    "none": torch.zeros(0, 3),
}


def test_what_is_written_is_read(tmp_path):
    file = tmp_path / "kept" / "a.safetensors"
    assert read_tensors(file) is None
    write_tensors(file, TENSORS | {"turned": TENSORS["matrix"].T})
    found = read_tensors(file)
    assert found.keys() == {*TENSORS, "turned"}
    for name, tensor in TENSORS.items():
        assert torch.equal(found[name], tensor) and found[name].dtype == tensor.dtype
    assert torch.equal(found["turned"], TENSORS["matrix"].T)


def test_every_flipped_byte_is_noticed(tmp_path):
    file = tmp_path / "a.safetensors"
    write_tensors(file, TENSORS)
    whole = file.read_bytes()
    assert len(whole) < 1000
    for at in range(len(whole)):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        found = read_tensors(file)
        # A blank behind the header may be another blank.
        same = found is not None and all(torch.equal(found[k], v) for k, v in TENSORS.items())
        assert found is None or (same and found.keys() == TENSORS.keys()), at
    file.write_bytes(whole)
    assert read_tensors(file) is not None


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", b"\xff" * 64])
def test_something_else_is_not_read(tmp_path, content):
    file = tmp_path / "a.safetensors"
    file.write_bytes(content)
    assert read_tensors(file) is None


def test_files_without_a_digest_are_made_again(tmp_path):
    from safetensors.torch import save_file

    save_file({"a": torch.ones(2)}, tmp_path / "a.safetensors")
    assert read_tensors(tmp_path / "a.safetensors") is None


def test_a_cache_is_a_directory(tmp_path):
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "new" / "cache"):
        assert cache_place(place) == place
    said = f"argument 'cache': got {tmp_path / 'file'}, a file, allowed: a directory"
    with pytest.raises(ArgumentError, match=re.escape(said)):
        cache_place(tmp_path / "file")
    with pytest.raises(ArgumentError, match="argument 'cache': got '', allowed: a directory"):
        cache_place("")
