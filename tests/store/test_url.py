"""URLs of directories in stores are what they say."""

import pytest

import behemoth as bh
from behemoth.store.url import read_url


@pytest.mark.parametrize(
    "text",
    [
        "file:///data/corpus", "file:///data/a%20b", "file:///data/a%2520b", "file:///data/100%25",
        "file:///data/w%C3%B6rter", "file:///data/a+b=c@d,e", "s3://bucket/a%20b",
        "s3://bucket/a b", "memory://a%b",
    ],
)  # fmt: skip
def test_a_url_is_itself_again(text):
    url = read_url("url", text)
    assert str(url) == text
    assert read_url("url", str(url)) == url


def test_a_percent_sign_in_a_path_is_no_other_path(tmp_path, cache):
    corpus = bh.Corpus(bh.World(subjects=10, relations=2, objects=5))
    url = (tmp_path / "a%20b").as_uri()
    done = bh.gen(corpus, url, probes=0)
    assert done.out == url
    assert (tmp_path / "a%20b/manifest.json").is_file() and not (tmp_path / "a b").exists()
    assert bh.verify(done.out).ok
    corpus.write(tmp_path / "c", probes=0)
    assert bh.push(tmp_path / "c", url).url == url
    assert bh.load(url).spec_hash == corpus.spec_hash
