"""Names of the files of a saved model, as transformers has them."""

CONFIG, WEIGHTS = "config.json", "model.safetensors"
