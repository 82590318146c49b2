"""A package of an extra that is not installed is said in one line, from Python as well."""

import subprocess
import sys

import pytest

WITHOUT = (
    "import sys; "
    "sys.modules.update(dict.fromkeys({packages!r}.split())); "
    "from behemoth.support.extras import MissingExtraError\n"
    "try:\n"
    "    {statement}\n"
    "except MissingExtraError as error:\n"
    "    print(error)"
)


@pytest.mark.parametrize(
    ("statement", "packages", "message"),
    [
        ("from behemoth.evaluate import evaluate", "torch",
         "torch is not installed: in a clone of Behemoth, pip install '.[train]'"),
        ("from behemoth.train import train; train('spec.toml', out='run')", "torch",
         "torch is not installed: in a clone of Behemoth, pip install '.[train]'"),
        ("from behemoth.report import write_report", "altair",
         "altair is not installed: in a clone of Behemoth, pip install '.[report]'"),
        ("import behemoth; behemoth.load('s3://bucket/corpus')", "fsspec",
         "fsspec is not installed: in a clone of Behemoth, pip install '.[remote]'"),
        ("import behemoth; behemoth.load('s3://bucket/corpus')", "s3fs",
         "s3fs is not installed: in a clone of Behemoth, pip install '.[remote]'"),
        ("import behemoth; behemoth.load('gs://bucket/corpus')", "gcsfs",
         "gcsfs is not installed: pip install gcsfs"),
    ],
)  # fmt: skip
def test_the_line_names_the_extra(statement, packages, message):
    script = WITHOUT.format(statement=statement, packages=packages)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{message}\n"


def test_other_missing_packages_are_left_as_they_are():
    from behemoth.support.extras import MissingExtraError, needed

    with pytest.raises(ModuleNotFoundError) as caught, needed():
        import a_package_that_nobody_has  # noqa: F401
    assert not isinstance(caught.value, MissingExtraError)
