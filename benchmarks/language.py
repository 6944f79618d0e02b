"""Language models: tokens a second in training and in generation, against plain Transformers; and on a GPU.

    python benchmarks/language.py --rounds 3 --threads 1
    python benchmarks/language.py --parts generation --threads 2
    python benchmarks/language.py --gpu --workers 14

Models of random weights and conversations of random words are made here; what they learn or say does not
matter. What is measured how stands in `language_training.py`, `language_generation.py` and `language_gpu.py`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch
import transformers
from language_generation import generation_part
from language_gpu import gpu_part
from language_training import training_part

PARTS = {"training": training_part, "generation": generation_part}
SIZES = {"hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 4, "num_attention_heads": 4}
SMOKE = dict(zip(SIZES, (16, 32, 1, 2), strict=True))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=96, help="conversations of an epoch")
    parser.add_argument("--batch-size", type=int, default=8, help="of padded conversations")
    parser.add_argument("--packs", type=int, nargs="+", default=[1024], help="tokens of a pack")
    parser.add_argument("--vocabulary", type=int, default=2000)
    parser.add_argument("--chats", type=int, default=8, help="conversations that are answered at once")
    parser.add_argument("--answer", type=int, default=64, help="tokens of an answer")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: its own choice")
    parser.add_argument("--gpu", action="store_true", help="measure large models on a GPU, and nothing else")
    parser.add_argument("--pack", type=int, default=4096, help="tokens of a pack, on the GPU")
    parser.add_argument("--steps", type=int, default=40, help="of an epoch, on the GPU")
    parser.add_argument("--workers", type=int, default=8, help="processes that read, on the GPU")
    parser.add_argument("--attention", help="of the language model, on the GPU, such as flash_attention_2")
    parser.add_argument("--compile", action="store_true", help="compile the model, on the GPU")
    parser.add_argument("--smoke", action="store_true", help="toy sizes and one round, to see that it runs")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.gpu:
        gpu_part(options)
        return
    options.sizes = SIZES
    if options.smoke:
        options.sizes, options.rounds, options.rows, options.batch_size = SMOKE, 1, 12, 4
        options.vocabulary, options.chats, options.answer = 400, 3, 5
    sizes = " ".join(f"{name} {size}" for name, size in options.sizes.items())
    print(
        f"Llama: {sizes}, vocabulary {options.vocabulary}; {options.rounds} rounds, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"transformers {transformers.__version__}"
    )
    for part in options.parts:
        PARTS[part](options)


if __name__ == "__main__":
    main()
