"""One trial: train or load, plan, edit, measure; the frames that it leaves."""
