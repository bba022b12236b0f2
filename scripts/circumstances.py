"""The circumstances under which the records of a page were produced, in words."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from secateur.record import Record


def circumstances(records: Sequence[Record]) -> str:
    """Machines, versions and seeds of the runs of a page."""
    lines = [f"* **machine** {text}" for text in distinct(records, machine)]
    lines += [f"* {text}" for text in distinct(records, versions)]
    seeds = sorted({record.seed for record in records})
    return "\n".join([*lines, f"* **seeds** {', '.join(map(str, seeds))}"])


def distinct(records: Sequence[Record], tell: Callable[[Record], str]) -> list[str]:
    """The distinct descriptions of the records."""
    return list(dict.fromkeys(map(tell, records)))


def machine(record: Record) -> str:
    known = ", ".join(f"{key} {value}" for key, value in record.machine.items() if value and key != "system")
    return f"{known}; trainer.precision {record.config['trainer']['precision']}"


def versions(record: Record) -> str:
    return ", ".join(f"{key} {value}" for key, value in record.versions.items())


def model(record: Record) -> str:
    return f"`{record.model}`, checkpoint `{Path(record.config['model']['checkpoint'] or 'random').name}`"


def data(record: Record) -> str:
    dataset = record.config["dataset"]
    limit = dataset["limit_test"]
    limits = {name: dataset[name] for name in ("limit_train", "limit_test") if dataset[name] is not None}
    lengths = {name: dataset[name] for name in ("max_seq_length", "doc_stride") if name in dataset}
    return (
        f"fingerprint `{record.fingerprint}`, {json.dumps(limits) if limits else 'all rows'}, "
        f"{', '.join(f'{name} {length}' for name, length in lengths.items())}; a tenth of the training rows is `val`, "
        f"test is {'the complete' if limit is None else f'{limit} rows of the'} test split"
    )


def predecessor(record: Record) -> str:
    settings = record.config["predecessor"]
    return f"{optimization(settings)}, seed {settings['seed']}"


def recovery(record: Record) -> str:
    settings = record.config["method"]["steps"].get("recover")
    return optimization(settings) if settings else ""


def optimization(settings: dict) -> str:
    return (
        f"{settings['epochs']:g} epochs, batch {settings['batch_size'] * settings['accumulate_grad_batches']}, "
        f"learning rate {settings['learning_rate']:g}, warm-up {settings['warmup_ratio']:g}, "
        f"weight decay {settings['weight_decay']:g}"
    )


SETTINGS = {"model": model, "data": data, "predecessor": predecessor, "recovery": recovery}


def setting(records: Sequence[Record], *, settings: Mapping[str, Callable[[Record], str]] = SETTINGS) -> str:
    """The settings of the runs on one data set: model, data, training; with the methods, where they differ."""
    found = {name: _with_methods(tell, records) for name, tell in settings.items()}
    return "\n".join(f"* **{name}** {text}" for name, text in found.items() if text)


def _with_methods(tell: Callable[[Record], str], records: Sequence[Record]) -> str:
    methods: dict[str, dict[str, None]] = {}
    for record in records:
        if text := tell(record):
            methods.setdefault(text, {})[record.method] = None
    several = len({tuple(of) for of in methods.values()}) > 1
    return "; ".join(f"{text} ({', '.join(of)})" if several else text for text, of in methods.items())
