"""vLLM on the CPU with a model of random weights: run by the Python that has `vllm`.

    .venv/vllm/bin/python bench/servers/vllm_standalone.py --port 8320

The model is a llama of a few layers that says any byte with the same chance: a call's `stop` says at which letters
it ends. Imports nothing of flowpool or of the bench.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

LENGTH = 256  # tokens of one call: a short prompt and a short answer
TEMPLATE = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
# fmt: off
ENVIRON = {
    "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "0", "OMP_NUM_THREADS": "1",
}
# fmt: on


def write_model(folder: Path, layers: int, width: int) -> None:
    """The configuration and the tokenizer of a llama; vLLM makes up the weights."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    words = ["<s>", "</s>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(words[:3])
    tokenizer.save(str(folder / "tokenizer.json"))
    heads = width // 64
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": len(words),
        "hidden_size": width,
        "intermediate_size": width * 3,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "max_position_embeddings": LENGTH,
        "rms_norm_eps": 1e-5,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "torch_dtype": "float32",
    }
    tokens = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "model_max_length": LENGTH,
        "chat_template": TEMPLATE,
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text(json.dumps(tokens))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8320)
    parser.add_argument("--slots", type=int, default=256, help="calls that are worked on at once")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--folder", type=Path, required=True, help="where the model is written")
    options = parser.parse_args()
    write_model(options.folder, options.layers, options.width)
    os.environ.update(ENVIRON)
    arguments = ["--model", str(options.folder), "--served-model-name", "bench"]
    arguments += ["--load-format", "dummy", "--host", "127.0.0.1", "--port", str(options.port)]
    arguments += ["--max-model-len", str(LENGTH), "--max-num-seqs", str(options.slots)]
    arguments += ["--dtype", "float32", "--enforce-eager", "--no-enable-prefix-caching"]
    os.execv(
        sys.executable, [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *arguments]
    )


if __name__ == "__main__":
    main()
