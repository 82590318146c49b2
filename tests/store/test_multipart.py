"""Large files are sent to S3 in parts, and a stopped upload goes on."""

import errno

import pytest

import behemoth as bh
from behemoth.store import place as places
from behemoth.store.multipart import _begun, part_bytes


def test_a_large_file_goes_on_with_the_parts_that_are_there(s3, tmp_path, monkeypatch):
    small = bh.World(subjects=1_000, relations=2, objects=5)
    bh.Corpus(small, exposures=1_600, shard_bytes=1 << 30).write(tmp_path / "c", probes=0)
    file = tmp_path / "c/tokens/00000.bin"
    size = file.stat().st_size
    step, key = part_bytes(size), "large/tokens/00000.bin"
    parts = -(-size // step)
    assert parts >= 4
    url = "s3://corpora/large"
    # What a push that was killed leaves: an upload that nobody has finished, with some parts.
    begun = s3.call_s3("create_multipart_upload", Bucket="corpora", Key=key)["UploadId"]
    there = [{"PartNumber": number} for number in (1, 3)]
    for row in there:
        data = file.read_bytes()[(row["PartNumber"] - 1) * step : row["PartNumber"] * step]
        s3.call_s3("upload_part", Bucket="corpora", Key=key, UploadId=begun, Body=data, **row)
    sent = []
    import s3fs

    real = s3fs.S3FileSystem.call_s3

    def counted(self, method, *words, **more):
        if method == "upload_part":
            sent.append(more["PartNumber"])
        return real(self, method, *words, **more)

    monkeypatch.setattr(s3fs.S3FileSystem, "call_s3", counted)
    bh.push(tmp_path / "c", url)
    assert sorted({row["PartNumber"] for row in there} | set(sent)) == list(range(1, parts + 1))
    assert not {row["PartNumber"] for row in there} & set(sent)
    assert (
        s3.cat_file("corpora/large/tokens/00000.bin")
        == (tmp_path / "c/tokens/00000.bin").read_bytes()
    )
    assert not s3.call_s3("list_multipart_uploads", Bucket="corpora").get("Uploads")


@pytest.fixture
def refusing(monkeypatch):
    """Make S3 refuse a call: refusing(method, error)."""
    import s3fs

    real = s3fs.S3FileSystem.call_s3

    def refusing(method, error):
        def call(self, called, *words, **more):
            if called == method:
                raise error
            return real(self, called, *words, **more)

        monkeypatch.setattr(s3fs.S3FileSystem, "call_s3", call)

    return refusing


@pytest.fixture
def large(tmp_path):
    """A file that is sent in three parts."""
    file = tmp_path / "large.bin"
    file.write_bytes(bytes(33 << 20))
    return file


@pytest.mark.parametrize("method", ["list_multipart_uploads", "list_parts"])
def test_a_store_that_refuses_to_list_uploads_is_not_begun_anew_in(s3, large, refusing, method):
    place = places.open_place("url", "s3://corpora/c")
    key = {"Bucket": "corpora", "Key": "c/large.bin"}
    upload = s3.call_s3("create_multipart_upload", **key)["UploadId"]
    refusing(method, OSError(errno.EBUSY, "Please reduce your request rate"))
    with pytest.raises(bh.StoreError, match=r"^s3://corpora/c/large\.bin: .*reduce your request"):
        place.send("large.bin", large, lambda moved: None)
    if method == "list_parts":
        uploads = s3.call_s3("list_multipart_uploads", Bucket="corpora")["Uploads"]
        assert [row["UploadId"] for row in uploads] == [upload]


def test_a_store_that_does_not_know_of_uploads_gets_the_file(s3, large, refusing, caplog):
    refusing("list_multipart_uploads", OSError(errno.ENOSYS, "not implemented"))
    place = places.open_place("url", "s3://corpora/c")
    place.send("large.bin", large, lambda moved: None)
    assert place.sizes() == {"large.bin": 33 << 20}
    assert not caplog.records


def test_who_may_not_list_uploads_is_told_once(s3, large, refusing, caplog):
    refusing("list_multipart_uploads", PermissionError("Access Denied"))
    place = places.open_place("url", "s3://corpora/c")
    for name in ("one.bin", "two.bin"):
        place.send(name, large, lambda moved: None)
    assert place.sizes() == {"one.bin": 33 << 20, "two.bin": 33 << 20}
    [said] = caplog.messages
    assert said.startswith("s3://corpora/c: unfinished uploads may not be listed or aborted (")


def test_unfinished_uploads_are_listed_page_by_page():
    """A server answers with up to 1,000 at a time, of all keys that begin with this one."""
    rows = [
        {"Key": "a", "UploadId": "old", "Initiated": 1},
        {"Key": "a.bin", "UploadId": "other", "Initiated": 5},
        {"Key": "a", "UploadId": "new", "Initiated": 2},
    ]
    gone = []

    class Server:
        def call_s3(self, method, **more):
            if method == "abort_multipart_upload":
                gone.append(more["UploadId"])
                return {}
            if method == "list_parts":
                assert more["UploadId"] == "new"
                return {"Parts": [{"PartNumber": 1, "ETag": "x"}]}
            at = int(more.get("KeyMarker", 0))
            more = {"IsTruncated": True, "NextKeyMarker": str(at + 1)} if at < 2 else {}
            return {"Uploads": [rows[at]], **more}

    assert _begun(Server(), "corpora", "a") == ("new", {1: "x"})
    assert gone == ["old"]


def test_parts_are_as_many_as_s3_takes():
    assert part_bytes(40 << 20) == 16 << 20
    assert part_bytes(5 << 40) % (1 << 20) == 0
    assert (5 << 40) / part_bytes(5 << 40) <= 10_000
