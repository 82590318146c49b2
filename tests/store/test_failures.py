"""A store that fails says so in one line that names the place, and leaves nothing half done."""

from types import SimpleNamespace

import pytest

import behemoth as bh
from behemoth.store.errors import about

pytestmark = pytest.mark.usefixtures("cache")


def test_a_bucket_that_is_not_there(directory, s3, run, tmp_path, corpus):
    said = "s3://nobody/c: The specified bucket does not exist"
    assert run("push", directory, "s3://nobody/c").refused(1) == said
    assert run("pull", "s3://nobody/c", tmp_path / "o").refused(1).startswith("s3://nobody/c")
    assert run("gen", "--facts", 60, "--out", "s3://nobody/c").refused(1) == said
    assert not (tmp_path / "o").exists()


def test_no_credentials(directory, s3, run, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    message = run("push", directory, "s3://corpora/c").refused(1)
    assert message == "s3://corpora/c: Unable to locate credentials"


def test_a_server_that_does_not_answer(directory, s3, run, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # botocore waits between attempts
    message = run("push", directory, "s3://corpora/c").refused(1)
    assert message.startswith("s3://corpora/c: Could not connect to the endpoint URL")


def test_a_store_that_fails_on_the_way(directory, s3, monkeypatch, tmp_path, files):
    """What was sent before is kept, and the next call sends the rest."""
    from behemoth.store.objects import Objects

    sent, send = [], Objects.send

    def fail(self, name, file, moved):
        if len(sent) == 4:
            raise bh.StoreError(f"{self.url}/{name}: Please reduce your request rate")
        sent.append(name)
        send(self, name, file, moved)

    with monkeypatch.context() as patch:
        patch.setattr(Objects, "send", fail)
        with pytest.raises(bh.StoreError, match="reduce your request rate"):
            bh.push(directory, "s3://corpora/c")
    assert not s3.exists("corpora/c/manifest.json")
    bh.push(directory, "s3://corpora/c")
    bh.pull("s3://corpora/c", tmp_path / "back")
    assert files(tmp_path / "back") == files(directory)


def test_what_an_onlooker_raises_stops_gen(corpus, s3):
    class Enough(Exception):  # noqa: N818
        pass

    def look(moment):
        if moment.label == "writing":
            raise Enough

    with pytest.raises(Enough):
        bh.gen(corpus, "s3://corpora/c", progress=look)
    assert not s3.exists("corpora/c/manifest.json")
    assert bh.gen(corpus, "s3://corpora/c").complete


def test_one_writes_at_a_time(corpus, cache, tmp_path):
    from behemoth.store.cache import stage_of
    from behemoth.support.locks import lock_folder

    url = f"file://{tmp_path}/store"
    with (
        lock_folder(stage_of(url)),
        pytest.raises(bh.CorpusError, match="another process is writing to file:///"),
    ):
        bh.gen(corpus, url)


@pytest.mark.parametrize("verb", ["push", "gen"])
def test_ctrl_c_stops_at_once_and_says_how_to_go_on(verb, s3, spawn, tmp_path):
    """While bytes are on their way to the store."""
    import signal
    import time

    big = bh.World(subjects=1_000, relations=2, objects=5)
    large = bh.Corpus(big, exposures=3_000, shard_bytes=1 << 30)
    if verb == "push":
        large.write(tmp_path / "c", probes=0)
        words = ("push", tmp_path / "c", "s3://corpora/c")
    else:
        (tmp_path / "spec.toml").write_text(large.spec_toml)
        words = ("gen", "--spec", tmp_path / "spec.toml", "--out", "s3://corpora/c", "--probes", 0)
    process = spawn(*words)
    until = time.monotonic() + 120
    while not s3.call_s3("list_multipart_uploads", Bucket="corpora").get("Uploads"):
        assert time.monotonic() < until and process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    said = said if isinstance(said, str) else said.decode()
    last = said.strip().splitlines()[-1]
    assert process.returncode == 130, said
    assert last == "behemoth: stopped: run the same command again to resume s3://corpora/c"
    assert not s3.exists("corpora/c/manifest.json")


def test_a_store_that_finds_nothing_by_an_error_is_empty(directory, monkeypatch, tmp_path, files):
    """As that of Hugging Face does of a folder that is not there."""
    from fsspec.implementations.memory import MemoryFileSystem

    find = MemoryFileSystem.find

    def strict(self, path, **more):
        found = find(self, path, **more)
        if not found:
            raise FileNotFoundError(path)
        return found

    monkeypatch.setattr(MemoryFileSystem, "find", strict)
    assert bh.push(directory, "memory://strict").sent == len(files(directory))


def test_a_host_without_an_answer_is_named():
    """Errors of httpx, which reads ``hf://``, do not say what could not be reached."""
    request = SimpleNamespace(url=SimpleNamespace(host="hub.example"))

    class ConnectError(Exception):
        def __init__(self, text, **about):
            super().__init__(text)
            vars(self).update(about)

    for error, said in (
        (ConnectError("[Errno -2] Name or service not known", request=request),
         "hub.example cannot be reached ([Errno -2] Name or service not known)"),
        (ConnectError("404 Not Found", request=request, response=404), "404 Not Found"),
        (ConnectError("no hub.example", request=request), "no hub.example"),
        (ConnectError("out of files"), "out of files"),
    ):  # fmt: skip
        with pytest.raises(bh.StoreError) as caught, about("hf://datasets/a/b"):
            raise error
        assert str(caught.value) == f"hf://datasets/a/b: {said}"
