"""A run directory without training: a model with random weights, and its record."""


def random_run(place, corpus, *, seed, weights, width=32, spread=0.02, parameters=0):
    """Write a run and return its directory.

    `seed` is that of its configuration and `weights` that of its weights, whose standard deviation
    is `spread`; `parameters` is their number without embeddings, as recorded.
    """
    import torch
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    from behemoth.train.config import TrainConfig
    from behemoth.train.run import RunRecord

    torch.manual_seed(weights)
    config = GPTNeoXConfig(
        vocab_size=corpus.vocabulary_size, hidden_size=width, num_hidden_layers=2,
        num_attention_heads=4, intermediate_size=64, max_position_embeddings=64,
        initializer_range=spread, bos_token_id=0, eos_token_id=0, pad_token_id=1,
    )  # fmt: skip
    GPTNeoXForCausalLM(config).save_pretrained(place)
    RunRecord(
        status="finished", config=TrainConfig(seed=seed), spec_hash=corpus.spec_hash,
        spec=corpus.spec, directory=None, versions={}, device="cpu", device_name="none",
        precision="fp32", compiled=False, threads=1, world_size=1,
        vocabulary=corpus.vocabulary_size, vocabulary_padded=corpus.vocabulary_size,
        parameters=parameters, parameters_without_embedding=parameters, steps=0,
    ).write(place)  # fmt: skip
    (place / "spec.toml").write_text(corpus._native.spec_toml)
    return place
