"""The training step without Ray: pairs per second, the share of optimal transport in it, and of the device's ceiling.

    python experiments/benchmarks/step.py                                # CUDA: XLM-R-base's shape; CPU: a small one
    python experiments/benchmarks/step.py --checkpoint FOLDER [--trim]   # a real encoder, its vocabulary trimmed or not

Pairs are paragraphs of the Universal Declaration in 17 languages with the English ones, at their real lengths, those
of like length together; with --languages in those alone. The teacher's vectors come ready made, as from the cache; the
student reads both sides (distillation and anchor). Dropout is 0. Medians over steps, smallest and largest beside them.
The transport's share is the time of the loss on the step's own vectors, forward and backward, over the step's. The
share of the ceiling counts the matrix products of real tokens alone (6 x weights x tokens, and attention), over the
fastest of a few square products measured here in the same precision.
processor_ms is the time that this process' threads were at work, which other programs on the machine do not stretch.
Results are added to experiments/benchmarks/results/step-<device>.json, or to --json FILE.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import re
import resource
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from optical_ray.config.trial import StudentConfig
from optical_ray.data.datasets.udhr import UdhrBitext
from optical_ray.data.interface import Counts
from optical_ray.encoders.interface import EncoderConfig
from optical_ray.encoders.pretrained import PretrainedEncoder
from optical_ray.encoders.scratch import ScratchEncoder
from optical_ray.encoders.token_encoder import TokenEncoder
from optical_ray.encoders.tokenizer import PieceTokenizer, from_backend, train_vocabulary
from optical_ray.encoders.trimming import trim_vocabulary
from optical_ray.losses.optimal_transport import OptimalTransport
from optical_ray.retrieval.embeddings import TokenEmbeddings
from optical_ray.training.batches import PairBatch, pad_ids
from optical_ray.training.step import Distillation, TrainState, compact, new_state, train_step
from optical_ray.training.student import adapt, autocast_dtype

RESULTS = Path(__file__).parent / "results"
BASE = {"layers": 12, "hidden": 768, "heads": 12, "intermediate": 3072}
SMALL = {"layers": 4, "hidden": 256, "heads": 4, "intermediate": 1024}
XLMR_ROWS = 250_002


def sentence_pairs(languages: Sequence[str] = ()) -> list[tuple[str, str]]:
    """(foreign, pivot), all there is in ``languages``."""
    return [
        pair
        for language in languages or UdhrBitext().languages()
        for batch in UdhrBitext().batches(language, Counts())
        for pair in zip(batch["foreign"].to_pylist(), batch["pivot"].to_pylist(), strict=True)
    ]


def build(
    arguments: argparse.Namespace, texts: list[str], shape: dict[str, int]
) -> tuple[TokenEncoder, PieceTokenizer]:
    """The student and its tokenizer: a checkpoint's, or new weights of ``shape`` and a vocabulary of the texts."""
    if arguments.checkpoint:
        config: EncoderConfig = PretrainedEncoder(
            checkpoint=arguments.checkpoint, dim=128, trim_vocabulary=arguments.trim
        )
        tokenizer = config.tokenizer()
        assert tokenizer is not None
        if arguments.trim:
            used = {i for e in tokenizer.backend.encode_batch_fast(texts, add_special_tokens=False) for i in e.ids}
            tokenizer = from_backend(trim_vocabulary(tokenizer.backend, used), markers=tokenizer.marker_pieces)
        return config.build(tokenizer), tokenizer
    fields: dict[str, Any] = {**shape, "dim": 128, "vocabulary": 4000, "query_length": 160, "document_length": 160}
    config = ScratchEncoder(**fields)
    tokenizer = train_vocabulary(texts, 4000)
    encoder = config.build(tokenizer)
    if shape == BASE:  # as many rows as XLM-R has: their gradients and Adam states are part of the step
        encoder.backbone.resize_token_embeddings(XLMR_ROWS, mean_resizing=False)  # type: ignore[operator]
    return encoder, tokenizer


def batches(
    pairs: list[tuple[str, str]], tokenizer: PieceTokenizer, size: int, longest: int, dim: int, device: torch.device
) -> Iterator[PairBatch]:
    """Endless batches of ``size`` pairs of like length; the teacher's side are random unit vectors, one a piece."""
    foreign, pivot = (tokenizer.encode([pair[side] for pair in pairs], "query", longest).ids for side in (0, 1))
    order = sorted(range(len(pairs)), key=lambda index: max(len(foreign[index]), len(pivot[index])))
    places = [order[start : start + size] for start in range(0, max(1, len(order) - size + 1), size)]
    generator = torch.Generator().manual_seed(0)
    for number in itertools.count():
        if number % len(places) == 0:
            turn = torch.randperm(len(places), generator=generator).tolist()
        chosen = places[turn[number % len(places)]]
        ids = [pad_ids([torch.tensor(side[i]).numpy() for i in chosen], tokenizer.pad) for side in (foreign, pivot)]
        mask = ~torch.isin(ids[1], torch.tensor(sorted(tokenizer.specials)))
        vectors = torch.nn.functional.normalize(torch.randn(*mask.shape, dim, generator=generator), dim=-1)
        teacher = compact(TokenEmbeddings(vectors * mask.unsqueeze(-1), mask))
        yield PairBatch(ids[0], ids[1], teacher).to(device)


def timed(run: Callable[[], Any], device: torch.device) -> float:
    """Seconds of one call, the device's work included."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def ceiling(device: torch.device, dtype: torch.dtype) -> float:
    """Most floating-point operations a second that a square matrix product reaches here."""
    best = 0.0
    for size in (4096, 8192) if device.type == "cuda" else (1024, 2048):
        a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
        product = partial(torch.matmul, a, b)
        timed(product, device)
        best = max(best, max(2 * size**3 / timed(product, device) for _ in range(10)))
    return best


def operations(encoder: TokenEncoder, batch: PairBatch) -> float:
    """Floating-point operations of a step's matrix products on real tokens, forward and backward."""
    lengths = [(ids != encoder.pad).sum(dim=1).double() for ids in (batch.foreign, batch.pivot)]
    weights = sum(module.weight.numel() for module in encoder.modules() if isinstance(module, torch.nn.Linear))
    config: Any = encoder.backbone.config
    attention = 12 * config.num_hidden_layers * config.hidden_size  # two products a layer, 2 operations, three passes
    return float(sum(6 * weights * n.sum() + attention * (n * n).sum() for n in lengths))


def transport_seconds(objective: Distillation, batch: PairBatch, device: torch.device) -> float:
    """The loss alone on the vectors that the student makes of ``batch``, forward and backward."""
    teacher = batch.teacher
    assert isinstance(teacher, TokenEmbeddings)
    with torch.no_grad(), torch.autocast(device.type, dtype=objective.autocast, enabled=objective.autocast is not None):
        cloud = objective.student(batch.foreign)
    leaf = TokenEmbeddings(cloud.vectors.clone().requires_grad_(), cloud.mask)
    return timed(lambda: torch.autograd.backward(objective.loss(leaf, teacher).loss), device)


def new_training(encoder: TokenEncoder, config: StudentConfig, device: torch.device) -> TrainState:
    adapt(encoder, config)
    objective = Distillation(
        encoder, OptimalTransport(), anchor_weight=0.5, same_pieces=True, teacher=None, autocast=autocast_dtype(config)
    ).to(device)
    return new_state(objective, objective, learning_rate=1e-5, weight_decay=0.01, warmup=0.0, steps=10_000, clip=1.0)


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """One row of results."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    shape = BASE if device.type == "cuda" or arguments.base else SMALL
    pairs = sentence_pairs(arguments.languages)
    encoder, tokenizer = build(arguments, [text for pair in pairs for text in pair], shape)
    parameters = sum(parameter.numel() for parameter in encoder.parameters())
    config = StudentConfig(precision=arguments.precision)
    state = new_training(encoder, config, device)
    stream = batches(pairs, tokenizer, arguments.pairs, arguments.longest, encoder.dim, device)
    state.forward.train()
    steps, busy, transports, done, real, padded = [], [], [], 0.0, 0, 0
    for step in range(arguments.warmup + arguments.steps):
        batch = next(stream)
        before = time.process_time()
        seconds = timed(partial(train_step, state, batch), device)
        spent = time.process_time() - before
        if step < arguments.warmup:
            continue
        steps.append(seconds)
        busy.append(spent)
        transports.append(transport_seconds(state.objective, batch, device))  # type: ignore[arg-type]
        done += operations(encoder, batch)
        real += int(sum((ids != encoder.pad).sum() for ids in (batch.foreign, batch.pivot)))
        padded += batch.num_tokens
    memory = torch.cuda.max_memory_allocated() if device.type == "cuda" else resident_bytes()
    state.optimizer.zero_grad(set_to_none=True)
    peak = ceiling(device, autocast_dtype(config) or torch.float32)
    return {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else _processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "encoder": Path(arguments.checkpoint).name if arguments.checkpoint else shape,
        "trimmed": arguments.trim,
        "languages": list(arguments.languages) or "all",
        "parameters": parameters,
        "embedding_rows": encoder.input_embeddings.num_embeddings,
        "precision": arguments.precision,
        "pairs": arguments.pairs,
        "steps": arguments.steps,
        "step_ms": _spread([1e3 * seconds for seconds in steps]),
        "processor_ms": _spread([1e3 * seconds for seconds in busy]),
        "pairs_per_second": arguments.pairs / statistics.median(steps),
        "real_tokens_per_second": real / sum(steps),
        "padding": 1 - real / padded,
        "transport_ms": _spread([1e3 * seconds for seconds in transports]),
        "transport_share": sum(transports) / sum(steps),
        "teraflops": done / sum(steps) / 1e12,
        "ceiling_teraflops": peak / 1e12,
        "ceiling_share": done / sum(steps) / peak,
        "memory_gb": memory / 1e9,
    }


def resident_bytes() -> int:
    """Memory of this process at the end of a step, weights, gradients and Adam's moments included."""
    path = Path("/proc/self/statm")
    pages = int(path.read_text().split()[1]) if path.is_file() else 0
    return pages * resource.getpagesize()


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", path.read_text()) if path.is_file() else []
    return names[0] if names else platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="", help="an encoder's folder, in place of new weights")
    parser.add_argument("--trim", action="store_true", help="keep the pieces that the pairs use (with --checkpoint)")
    parser.add_argument("--languages", nargs="*", default=(), help="of the pairs; all where not given")
    parser.add_argument("--base", action="store_true", help="XLM-R-base's shape on a CPU, too")
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument("--longest", type=int, default=128, help="pieces a sentence at most")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default=None)
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--threads", type=int, default=None, help="of torch, on a CPU")
    parser.add_argument("--json", type=Path, default=None, help="where the row is added")
    arguments = parser.parse_args()
    on_gpu = torch.cuda.is_available()
    arguments.precision = arguments.precision or ("bfloat16" if on_gpu else "float32")
    arguments.steps = arguments.steps or (50 if on_gpu else 7)
    row = measure(arguments)
    print(json.dumps(row, indent=1))
    device = re.sub(r"\W+", "-", row["device"]).strip("-").lower()
    path = arguments.json or RESULTS / f"step-{device}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = json.loads(path.read_text()) if path.is_file() else []
    same = ("encoder", "trimmed", "languages", "precision", "pairs", "threads")
    rows = [old for old in rows if any(old.get(field) != row[field] for field in same)]
    path.write_text(json.dumps([*rows, row], indent=1) + "\n")
    print(f"written to {path}")


if __name__ == "__main__":
    main()
