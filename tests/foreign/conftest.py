"""What is in this folder besides tests."""

# Runs in the environment of open-unlearning, which `test_open_unlearning.py` gives it.
collect_ignore = ["open_unlearning_losses.py"]
