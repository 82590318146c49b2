"""`.ci/run` does not begin its long work by mistake."""

import shutil
import subprocess
from pathlib import Path

RUN = Path(__file__).parents[1] / ".ci" / "run"


def test_arguments_are_refused():
    """Without a PATH it could not begin anything either."""
    bash = shutil.which("bash")
    assert bash is not None
    ran = subprocess.run([bash, RUN, "--help"], env={"PATH": ""}, capture_output=True, text=True)
    assert ran.returncode == 2
    assert ran.stderr == ".ci/run: got '--help', and takes no arguments\n"
