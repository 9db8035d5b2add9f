"""llama.cpp's own server with a model of random weights: run by the Python that has `xllamacpp` and `gguf`.

    .venv/llama/bin/python bench/servers/llama_standalone.py --port 8310 --slots 64

The model is a llama of `--layers` layers that says letters and never ends by itself: a call's `stop` says at which
letters. Imports nothing of flowpool or of the bench.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
from pathlib import Path
from typing import Any

# Large beside what the layers add, so that it stays large when a state is scaled to its norm.
CONSTANT = 16.0
# Times a normal deviate, the logits: about a dozen letters are likely at each step, and no answer repeats itself.
LIVELY = 1.5
CONTEXT = 256  # tokens of one slot: a short prompt and a short answer
TEMPLATE = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
# Kinds of tokens, as GGUF numbers them.
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6


def write_model(path: Path, layers: int, width: int, heads: int) -> None:
    """A llama with random weights and a vocabulary of bytes and printable letters."""
    import gguf
    import numpy

    random = numpy.random.default_rng(0)
    tokens = [("<unk>", UNKNOWN), ("<s>", CONTROL), ("</s>", CONTROL)]
    tokens += [(f"<0x{byte:02X}>", BYTE) for byte in range(256)]
    silent = len(tokens)  # what is before is never said
    tokens += [("\u2581", NORMAL)] + [(chr(code), NORMAL) for code in range(33, 127)]

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(width * 3)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_rope_dimension_count(width // heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list([text for text, _ in tokens])
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types([kind for _, kind in tokens])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(TEMPLATE)

    def weights(rows: int, columns: int, scale: float = 1.0) -> Any:
        values = random.standard_normal((rows, columns), dtype=numpy.float32)
        return values * numpy.float32(scale / columns**0.5)

    def add_even(name: str) -> None:
        writer.add_tensor(f"{name}.weight", numpy.ones(width, dtype=numpy.float32))

    # The first of the numbers is the same in every state, and speaks against the tokens that are never said.
    embedding = weights(len(tokens), width)
    embedding[:, 0] = CONSTANT
    writer.add_tensor("token_embd.weight", embedding)
    said = weights(len(tokens), width, LIVELY)
    said[:, 0] = 0.0
    said[:silent, 0] = -CONSTANT
    writer.add_tensor("output.weight", said)
    add_even("output_norm")
    for number in range(layers):
        block = f"blk.{number}"
        for name in ("attn_q", "attn_k", "attn_v", "ffn_gate", "ffn_up"):
            rows = width if name.startswith("attn") else width * 3
            writer.add_tensor(f"{block}.{name}.weight", weights(rows, width))
        for name, columns in (("attn_output", width), ("ffn_down", width * 3)):
            values = weights(width, columns)
            values[0] = 0.0
            writer.add_tensor(f"{block}.{name}.weight", values)
        add_even(f"{block}.attn_norm")
        add_even(f"{block}.ffn_norm")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def serve(model: Path, port: int, slots: int) -> None:
    """Serves until it is ended."""
    import xllamacpp

    params: Any = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.model_alias = {"bench"}
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_parallel = slots
    params.n_ctx = CONTEXT * slots
    params.n_gpu_layers = 0
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.n_threads_http = 512  # a thread for each connection of the widest window
    params.endpoint_metrics = True
    params.cont_batching = True
    params.cache_prompt = False
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    threading.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8310)
    parser.add_argument("--slots", type=int, default=64, help="calls that are worked on at once")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--heads", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="flowpool-bench-") as folder:
        model = Path(folder, "random.gguf")
        write_model(model, options.layers, options.width, options.heads)
        serve(model, options.port, options.slots)


if __name__ == "__main__":
    main()
