from importlib.util import find_spec

needing_torch = [
    "test_alone.py", "test_architecture.py", "test_build.py", "test_loss.py", "test_observe.py",
    "test_prefix.py",
]  # fmt: skip
collect_ignore = [] if find_spec("torch") else needing_torch
