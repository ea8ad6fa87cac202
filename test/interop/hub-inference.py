"""Libraries that compute with a model, from a directory and from what HF_ENDPOINT serves.

hub-inference.py make DIR                      writes a small model: a tokenizer and an embedding a word
hub-inference.py model2vec|transformers DIR ID compares what comes of both
"""

import json
import pathlib
import sys

WORDS = ["[UNK]", "[PAD]", "weights", "move", "through", "a", "registry"]
TEXT = "weights move through a registry unheard"


def make(directory):
    import numpy
    from safetensors.numpy import save_file

    embeddings = numpy.random.default_rng(7).normal(size=(len(WORDS), 16)).astype("float32")
    save_file({"embeddings": embeddings}, directory / "model.safetensors")
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "WordLevel",
            "vocab": {word: id for id, word in enumerate(WORDS)},
            "unk_token": "[UNK]",
        },
    }
    special = {"unk_token": "[UNK]", "pad_token": "[PAD]"}
    files = {
        "tokenizer.json": tokenizer,
        "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", **special},
        "config.json": {"model_type": "model2vec", "architectures": ["StaticModel"], "normalize": True},
    }
    for name, content in files.items():
        (directory / name).write_text(json.dumps(content))


def model2vec(directory, model):
    from model2vec import StaticModel

    local, remote = (StaticModel.from_pretrained(name).encode([TEXT]) for name in (str(directory), model))
    assert abs(local).sum() > 0, local
    assert (local == remote).all(), (local, remote)
    print(f"the same vector of {local.shape[1]} numbers")


def transformers(directory, model):
    from transformers import AutoTokenizer

    local, remote = (
        AutoTokenizer.from_pretrained(name)(TEXT)["input_ids"] for name in (str(directory), model)
    )
    assert local == remote == [2, 3, 4, 5, 6, 0], (local, remote)
    print(f"the same {len(local)} tokens")


command, directory, *rest = sys.argv[1:]
{"make": make, "model2vec": model2vec, "transformers": transformers}[command](pathlib.Path(directory), *rest)
